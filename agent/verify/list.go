package verify

import (
	"context"
	"fmt"
	"strings"

	"github.com/odradek/odradek/checkpoint"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

// maxStray is how many objects behind a gap are remembered of one journal; the rest is counted.
const maxStray = 10_000

// listing is what the bucket listed before anything was read.
type listing struct {
	control  topic.Slot // 1 + the highest number listed
	journals map[topic.JournalID]*listedJournal
	heads    map[checkpoint.Name]int64 // sizes
	parts    map[string]int64          // of checkpoints, by key
	other    int                       // objects of none of these
}

// listedJournal is one journal's slots as listed.
type listedJournal struct {
	sizes []uint32           // of the slots from 0 up to the first that was not listed
	stray []objectstore.Info // behind that; at most maxStray
	more  int                // not remembered
	end   topic.Slot         // 1 + the highest slot listed
}

// size gives the listed size of a slot's object, and whether it was listed.
func (l *listedJournal) size(s topic.Slot) (int64, bool) {
	if l == nil || s >= topic.Slot(len(l.sizes)) {
		return 0, false
	}
	return int64(l.sizes[s]), true
}

// list asks the bucket for all its keys.
func (w *walk) list(ctx context.Context) error {
	w.listed.journals = make(map[topic.JournalID]*listedJournal)
	w.listed.heads, w.listed.parts = make(map[checkpoint.Name]int64), make(map[string]int64)
	err := w.store.List(ctx, "", func(i objectstore.Info) error {
		switch {
		case strings.HasPrefix(i.Key, slotlog.ControlPrefix):
			w.listControl(i)
		case strings.HasPrefix(i.Key, slotlog.JournalsPrefix):
			w.listSlot(i)
		case strings.HasPrefix(i.Key, checkpoint.Prefix):
			w.listCheckpoint(i)
		default:
			w.listed.other++
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("list the bucket: %w", err)
	}
	return nil
}

func (w *walk) listControl(i objectstore.Info) {
	n, err := slotlog.ParseControlKey(i.Key)
	if err != nil || slotlog.ControlKey(n) != i.Key {
		w.discard(i.Key, i.Size, "no control number's name")
		return
	}
	w.listed.control = max(w.listed.control, n+1)
}

func (w *walk) listSlot(i objectstore.Info) {
	id, slot, err := slotlog.ParseJournalKey(i.Key)
	if err != nil || slotlog.JournalKey(id, slot) != i.Key {
		w.discard(i.Key, i.Size, "no slot's name")
		return
	}
	l := w.listed.journals[id]
	if l == nil {
		l = &listedJournal{}
		w.listed.journals[id] = l
	}
	l.end = max(l.end, slot+1)
	switch {
	case slot == topic.Slot(len(l.sizes)) && i.Size <= slotlog.MaxSlotBytes:
		l.sizes = append(l.sizes, uint32(i.Size))
	case len(l.stray) < maxStray:
		l.stray = append(l.stray, i)
	default:
		l.more++
	}
}

// unknownJournals finds the slots of journals that no control record opened. An agent writes its first slot after its
// JOURNAL_OPEN holds, so that these are the remains of a lost control log.
func (w *walk) unknownJournals() {
	if !w.whole {
		return
	}
	for id, l := range w.listed.journals {
		if _, ok := w.now.Journal(id); !ok {
			w.find(slotlog.JournalPrefix(id), "%d slots up to %d of a journal that no control record opened",
				len(l.sizes)+len(l.stray)+l.more, l.end-1)
		}
	}
}
