package verify

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"

	"github.com/odradek/odradek/checkpoint"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

// maxStretches is how many stretches of slots are remembered of one journal; what lies in more is counted only.
const maxStretches = 10_000

// listing is what the bucket listed before anything was read.
type listing struct {
	control   topic.Slot // 1 + the highest number listed
	journals  map[topic.JournalID]*listedJournal
	heads     map[checkpoint.Name]int64 // sizes
	parts     map[string]int64          // of checkpoints, by key
	compacted map[topic.Object]int64
	all       Account // every object there is
}

// listedJournal is one journal's slots as listed.
type listedJournal struct {
	stretches []stretch // in order, at most maxStretches
	slots     int
	more      int        // of them not in stretches
	end       topic.Slot // 1 + the highest slot listed
}

// stretch is slots from first on that were listed one after the other.
type stretch struct {
	first topic.Slot
	sizes []uint32
}

// size gives the listed size of a slot's object, and whether it was listed.
func (l *listedJournal) size(s topic.Slot) (int64, bool) {
	if l == nil {
		return 0, false
	}
	i, found := slices.BinarySearchFunc(l.stretches, s, func(t stretch, s topic.Slot) int { return cmp.Compare(t.first, s) })
	if !found {
		i--
	}
	if i < 0 || s-l.stretches[i].first >= topic.Slot(len(l.stretches[i].sizes)) {
		return 0, false
	}
	return int64(l.stretches[i].sizes[s-l.stretches[i].first]), true
}

// each gives the slots that were listed from one on, in order.
func (l *listedJournal) each(from topic.Slot) iter.Seq2[topic.Slot, int64] {
	return func(yield func(topic.Slot, int64) bool) {
		if l == nil {
			return
		}
		for _, t := range l.stretches {
			for i, size := range t.sizes {
				if s := t.first + topic.Slot(i); s >= from && !yield(s, int64(size)) {
					return
				}
			}
		}
	}
}

func (l *listedJournal) add(s topic.Slot, size int64) {
	l.end = max(l.end, s+1)
	l.slots++
	if n := len(l.stretches); n == 0 || s != l.stretches[n-1].first+topic.Slot(len(l.stretches[n-1].sizes)) {
		if n == maxStretches {
			l.more++
			return
		}
		l.stretches = append(l.stretches, stretch{first: s})
	}
	t := &l.stretches[len(l.stretches)-1]
	t.sizes = append(t.sizes, uint32(min(size, math.MaxUint32)))
}

// ledgerPrefix starts the keys of what says which objects were deleted.
const ledgerPrefix = "ledger/"

// list asks the bucket for all its keys.
func (w *walk) list(ctx context.Context) error {
	w.listed.journals = make(map[topic.JournalID]*listedJournal)
	w.listed.heads, w.listed.parts = make(map[checkpoint.Name]int64), make(map[string]int64)
	w.listed.compacted = make(map[topic.Object]int64)
	err := w.store.List(ctx, "", func(i objectstore.Info) error {
		w.listed.all.add(i.Size)
		switch {
		case strings.HasPrefix(i.Key, slotlog.ControlPrefix):
			w.listControl(i)
		case strings.HasPrefix(i.Key, slotlog.JournalsPrefix):
			w.listSlot(i)
		case strings.HasPrefix(i.Key, checkpoint.Prefix):
			w.listCheckpoint(i)
		case strings.HasPrefix(i.Key, topic.CompactedPrefix):
			w.listCompacted(i)
		case strings.HasPrefix(i.Key, ledgerPrefix):
			w.account(ClassLedgers, i.Size)
		default:
			w.account(ClassOther, i.Size)
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
	w.account(ClassControl, i.Size)
}

// maxCompacted is how many compacted objects are remembered.
const maxCompacted = 1 << 20

func (w *walk) listCompacted(i objectstore.Info) {
	o, err := topic.ParseObjectKey(i.Key)
	if err != nil || len(w.listed.compacted) >= maxCompacted {
		w.discard(i.Key, i.Size, "no compacted object's name")
		return
	}
	w.listed.compacted[o] = i.Size
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
	l.add(slot, i.Size)
}

// unknownJournals finds the slots of journals that no control record opened. An agent writes its first slot after its
// JOURNAL_OPEN holds, so that these are the remains of a lost control log.
func (w *walk) unknownJournals() {
	for id, l := range w.listed.journals {
		if w.journals[id] != nil {
			continue
		}
		for _, size := range l.each(0) {
			w.account(ClassOrphans, size)
		}
		if _, ok := w.now.Journal(id); !ok && w.whole {
			w.find(slotlog.JournalPrefix(id), "%d slots up to %d of a journal that no control record opened", l.slots, l.end-1)
		}
	}
}
