package compaction

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/slotlog"
)

// FindForgotten tells fn of the control numbers and seals that forget would delete once they are old enough, with the time
// at which each was stored, and of what lies behind seals, which goes after the grace. Those that wait for something else first are
// told with what for. It writes nothing. It lists the control log below the oldest checkpoint, and asks for the seal of each
// sealed journal, and for the slots behind those that are there.
func FindForgotten(ctx context.Context, store objectstore.Store, s *control.State, fn func(g Garbage, at time.Time, waits bool) error) error {
	k, ok, err := keptStates(ctx, store, s)
	if err != nil || !ok {
		return err
	}
	held, err := pinsOf(ctx, store, s, nil)
	if err != nil {
		return err
	}
	limit, err := unneeded(ctx, store, k)
	if err != nil {
		return err
	}
	most := k.oldest().Next() - 1 // what checkpoints that are kept do not need
	var stop error
	err = oldControl(ctx, store, most, func(o objectstore.Info) bool {
		n, _ := slotlog.ParseControlKey(o.Key)
		g, waits := Garbage{o.Key, o.Size, fmt.Sprintf("below every checkpoint: the oldest stands at %d", most)}, false
		if n >= limit {
			g.Why, waits = fmt.Sprintf("a checkpoint that is not kept, at %d, is there still", limit), true
		}
		for _, h := range held {
			if n >= h.pin.Moment.Base.Control {
				g.Why, waits = "kept for "+pinName(h.pin), true
			}
		}
		stop = fn(g, o.Modified, waits)
		return stop == nil
	})
	if err := errors.Join(err, stop); err != nil {
		return err
	}
	for j := range s.Journals() {
		if !j.Sealed || s.Inherits(j) || !k.sealed(j) {
			continue
		}
		seal, err := store.Head(ctx, slotlog.JournalKey(j.ID, j.SealSlot))
		if errors.Is(err, objectstore.ErrNotFound) {
			continue // what lay behind it went before it
		}
		if err != nil {
			return err
		}
		gone, err := behindSeal(ctx, store, j)
		if err != nil {
			return err
		}
		if k.trim(j) == j.SealSlot {
			gone = append(gone, Garbage{seal.Key, seal.Size, "seal of a journal of which no slot is needed"})
		}
		pin := held.slot(j.ID, j.SealSlot)
		for _, g := range gone {
			if pin != nil {
				g.Why = "kept for " + pinName(pin)
			}
			if err := fn(g, seal.Modified, pin != nil); err != nil {
				return err
			}
		}
	}
	return nil
}
