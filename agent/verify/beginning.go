package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/odradek/odradek/checkpoint"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

// ErrForgotten says that the control log's beginning was deleted, and that no checkpoint can be read that stands for it.
var ErrForgotten = errors.New("the beginning of the control log was deleted, and no checkpoint can be read that stands for it")

// Beginning gives the control state to read the control log on from: that of no record at all, or, where the log's beginning
// was deleted (G4), that of the oldest checkpoint behind which it can be read, and which counts by what the log says there. base
// is then its name. Errors: ErrForgotten, the store's.
func Beginning(ctx context.Context, store objectstore.Store, reads int) (s *control.State, base checkpoint.Name, err error) {
	first, err := firstControl(ctx, store)
	if err != nil || first <= 1 {
		return control.New(), base, err
	}
	names, err := checkpoint.Heads(ctx, store)
	if err != nil {
		return nil, base, fmt.Errorf("list checkpoints: %w", err)
	}
	for _, name := range slices.Backward(names) { // oldest first
		if name.Control+1 < first {
			continue
		}
		head, err := checkpoint.ReadHead(ctx, store, name.Control, name.ID)
		if err == nil {
			s, err = head.Restore()
		}
		if err == nil {
			var counts bool
			if counts, err = verified(ctx, store, s, name, reads); err == nil && counts {
				return s, name, nil
			}
		}
		if err != nil && !unfit(err) {
			return nil, base, err
		}
	}
	return nil, base, fmt.Errorf("%w: it goes on at %s", ErrForgotten, slotlog.ControlKey(first))
}

// unfit says whether an error is about what is stored.
func unfit(err error) bool {
	var broken *ControlError
	return errors.As(err, &broken) || errors.Is(err, checkpoint.ErrMissing) || errors.Is(err, checkpoint.ErrCorrupt) || errors.Is(err, checkpoint.ErrVersion)
}

// firstControl gives the lowest control number above 0 that is there, 1 if there is none.
func firstControl(ctx context.Context, store objectstore.Store) (topic.Slot, error) {
	_, err := store.Head(ctx, slotlog.ControlKey(1))
	if err == nil || !errors.Is(err, objectstore.ErrNotFound) {
		return 1, err
	}
	first := topic.Slot(1)
	err = store.List(ctx, slotlog.ControlPrefix, func(o objectstore.Info) error {
		if n, err := slotlog.ParseControlKey(o.Key); err == nil && n > 0 {
			first = n
			return errFound
		}
		return nil
	})
	if err != nil && !errors.Is(err, errFound) {
		return 0, fmt.Errorf("list the control log: %w", err)
	}
	return first, nil
}

// errFound ends a reading.
var errFound = errors.New("found")

// verified says whether the control log behind a checkpoint, at whose number s stands, says that it was verified.
func verified(ctx context.Context, store objectstore.Store, s *control.State, name checkpoint.Name, reads int) (bool, error) {
	err := EachControl(ctx, store, s, reads, func(n Number) error {
		for i, r := range n.Records {
			if v, ok := r.(control.Verified); ok && !n.Outcomes[i].Void && v.ID == name.ID && v.Control == name.Control {
				return errFound
			}
		}
		return nil
	})
	if errors.Is(err, errFound) {
		return true, nil
	}
	return false, err
}
