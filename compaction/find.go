package compaction

import (
	"context"
	"errors"
	"fmt"

	"github.com/odradek/odradek/checkpoint"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/topic"
)

// FindGarbage tells fn of all objects that Collect and Sweep would delete once their grace is over, and of those that wait
// for something else first: then Why says for what. It writes nothing. It lists the compacted objects, the checkpoints, and
// the journals that are trimmed. What it does not list is needed, is not a cluster's, or lies behind a journal's end.
func FindGarbage(ctx context.Context, store objectstore.Store, s *control.State, fn func(g Garbage, waits bool) error) error {
	k, ok, err := keptStates(ctx, store, s)
	if err != nil {
		return err
	}
	held, err := pinsOf(ctx, store, s, nil)
	if err != nil {
		return err
	}
	for j := range s.Journals() {
		known := topic.Slot(0)
		if ok {
			known = k.trim(j)
		}
		var stop error
		tell := func(g Garbage, waits bool) {
			if stop == nil {
				stop = fn(g, waits)
			}
		}
		most := int(^uint(0) >> 1)
		if j.Trim == 0 {
			continue
		}
		err := slotsBelow(ctx, store, j.ID, j.Trim, most, func(o objectstore.Info, slot topic.Slot) {
			if pin := held.slot(j.ID, slot); pin != nil {
				tell(Garbage{o.Key, o.Size, "kept for " + pinName(pin)}, true)
			} else if slot < known {
				tell(Garbage{o.Key, o.Size, fmt.Sprintf("below trim %d", known)}, false)
			} else {
				tell(Garbage{o.Key, o.Size, fmt.Sprintf("below trim %d, which a checkpoint that is kept does not know yet", j.Trim)}, true)
			}
		})
		if err := errors.Join(err, stop); err != nil {
			return err
		}
	}
	err = store.List(ctx, topic.CompactedPrefix, func(info objectstore.Info) error {
		o, err := topic.ParseObjectKey(info.Key)
		if err != nil {
			return nil // not ours
		}
		if _, current := s.Object(o); current {
			return nil
		}
		pin := held.object(o)
		switch {
		case pin != nil:
			return fn(Garbage{info.Key, info.Size, "kept for " + pinName(pin)}, true)
		case k.names(o):
			return fn(Garbage{info.Key, info.Size, "its runs were replaced, dropped or deleted; a checkpoint that is kept still names it"}, true)
		case ok && o.Planned < k.oldest().Swept():
			return fn(Garbage{info.Key, info.Size, fmt.Sprintf("planned below %d and not in use by then", k.oldest().Swept())}, false)
		}
		return fn(Garbage{info.Key, info.Size, "orphan: replaced, made in vain, or being made; an agent that saw it in use lets it go, or a SWEEP"}, true)
	})
	if err != nil {
		return fmt.Errorf("list compacted objects: %w", err)
	}
	newest, ok := s.NewestCheckpoint()
	if !ok {
		return nil
	}
	named, err := namedBy(ctx, store, s)
	if err != nil {
		return err
	}
	return store.List(ctx, checkpoint.Prefix, func(o objectstore.Info) error {
		if planned, ok := plannedAt(o.Key); !ok || planned >= newest.Control || named[o.Key] {
			return nil
		}
		if pin := held.key(o.Key); pin != nil {
			return fn(Garbage{o.Key, o.Size, "kept for " + pinName(pin)}, true)
		}
		return fn(Garbage{o.Key, o.Size, "of no checkpoint that is kept"}, false)
	})
}
