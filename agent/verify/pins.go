package verify

import (
	"context"
	"errors"

	"github.com/odradek/odradek/checkpoint"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

// pinned is a snapshot or a fork, and the control state of its moment.
type pinned struct {
	*control.Pin
	state *control.State
}

// takePins remembers the states of the moments that snapshots keep; a fork's is that of its snapshot.
func (w *walk) takePins(n Number, r control.Record) {
	switch r := r.(type) {
	case control.Snapshot:
		w.moments[r.ID] = n.Before
	case control.Fork:
		w.moments[r.ID] = w.moments[r.Snapshot]
	case control.Unpin:
		if r.Whole {
			delete(w.moments, r.Pin)
		}
	case control.Forked:
		clear(w.moments)
	}
}

// beginPins lists the snapshots and forks that hold something.
func (w *walk) beginPins() {
	for p := range w.state.Pins() {
		if s := w.moments[p.ID]; s != nil {
			w.pins = append(w.pins, pinned{p, s})
		}
	}
}

// slots gives which slots of a journal are kept for a pin.
func (p pinned) slots(id topic.JournalID) (from, to topic.Slot) {
	j, ok := p.state.Journal(id)
	if !ok {
		return 0, 0
	}
	if to, ok = p.Moment.Next(id); !ok {
		to = j.SealSlot + 1
	}
	return max(j.Trim, p.Unpinned(id)), to
}

// object says whether a compacted object is kept for a pin.
func (p pinned) object(o topic.Object) bool {
	_, named := p.state.Object(o)
	return named && !p.ObjectUnpinned(o)
}

// pinnedSlot and pinnedObject say whether something is kept for any pin.
func (w *walk) pinnedSlot(j topic.JournalID, s topic.Slot) bool {
	for _, p := range w.pins {
		if from, to := p.slots(j); from <= s && s < to {
			return true
		}
	}
	return false
}

func (w *walk) pinnedObject(o topic.Object) bool {
	for _, p := range w.pins {
		if p.object(o) {
			return true
		}
	}
	return false
}

// walkPins finds what snapshots and forks keep and is not there (I9). What was listed is there; for what was not, as it is
// newer, or an ancestor's, the store is asked.
func (w *walk) walkPins(ctx context.Context) error {
	for _, p := range w.pins {
		keys, err := w.missingOf(ctx, p)
		if err != nil {
			return err
		}
		var gone []string
		err = ahead(ctx, 0, topic.Slot(len(keys)), w.opt.Reads, func(ctx context.Context, i topic.Slot) (bool, error) {
			_, err := w.store.Head(ctx, keys[i])
			if errors.Is(err, objectstore.ErrNotFound) {
				return true, nil
			}
			return false, err
		}, func(i topic.Slot, missing bool) (bool, error) {
			if missing {
				gone = append(gone, keys[i])
			}
			return true, nil
		})
		if err != nil {
			return err
		}
		if len(gone) == 0 {
			continue
		}
		if _, err := w.catchUp(ctx); err != nil {
			return err
		}
		if now, ok := w.now.Pin(p.ID); !ok || now != p.Pin && p.IsFork() {
			w.note("%s was given up while the bucket was walked", p.name())
			continue
		}
		for _, key := range gone {
			w.find(key, "missing, though it is kept for %s (I9)", p.name())
		}
	}
	return nil
}

func (p pinned) name() string {
	if p.IsFork() {
		return "the fork at " + p.Place
	}
	return "snapshot " + p.Name
}

// missingOf lists what is kept for a pin and was not listed.
func (w *walk) missingOf(ctx context.Context, p pinned) ([]string, error) {
	var keys []string
	for j := range p.state.Journals() {
		from, to := p.slots(j.ID)
		for s := from; s < to; s++ {
			if _, listed := w.listed.journals[j.ID].size(s); !listed {
				keys = append(keys, slotlog.JournalKey(j.ID, s))
			}
		}
	}
	for o := range p.state.Objects() {
		if _, listed := w.listed.compacted[o]; !listed && p.object(o) {
			keys = append(keys, o.Key())
		}
	}
	for _, c := range p.state.Checkpoints() {
		if !c.Verified {
			continue
		}
		head, err := checkpoint.ReadHead(ctx, w.store, c.Control, c.ID)
		if errors.Is(err, checkpoint.ErrMissing) || errors.Is(err, checkpoint.ErrCorrupt) || errors.Is(err, checkpoint.ErrVersion) {
			keys = append(keys, checkpoint.Name{Control: c.Control, ID: c.ID}.Key())
			if !errors.Is(err, checkpoint.ErrMissing) {
				w.find(keys[len(keys)-1], "%v", err)
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		w.pinnedKeys[head.Name().Key()] = true
		for _, part := range head.Parts {
			w.pinnedKeys[part.Key()] = true
			if _, listed := w.listed.parts[part.Key()]; !listed {
				keys = append(keys, part.Key())
			}
		}
	}
	return keys, nil
}
