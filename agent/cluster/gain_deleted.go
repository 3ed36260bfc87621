package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/odradek/odradek/checkpoint"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/sequence"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

// advanceDeleted takes into s what the footers say of [from, to) of a partition, which lies before its log start or in
// compacted objects, so that the index in memory has forgotten the slots. Producer state is a function of all that was ever
// written (I8): the footers of the journals that owned the partition then are read, those that a checkpoint stands for aside.
func (e *Engine) advanceDeleted(ctx context.Context, p topic.Partition, s *sequence.State, from, to topic.Offset) error {
	for _, epoch := range e.State().Assignments(p) {
		if from >= to {
			return nil
		}
		if epoch.End != control.EndOpen && epoch.End <= from {
			continue
		}
		err := e.readEpoch(ctx, epoch, from, func(x segment.SlotExtents) (enough bool, err error) {
			i := slices.IndexFunc(x.Extents, func(y segment.Extent) bool { return y.Partition == p })
			if i < 0 || x.Extents[i].Next <= from {
				return false, nil
			}
			if base := x.Extents[i].Base; base > from {
				return false, fmt.Errorf("slot %d of journal %s: %s begins at %d, %d was looked for: %w",
					x.Slot, epoch.Journal, p, base, from, segment.ErrCorrupt)
			}
			for _, d := range x.Producers {
				if d.Partition == p && d.Base >= from {
					s.Apply(d)
				}
			}
			from = x.Extents[i].Next
			return from >= to || from == epoch.End, nil
		})
		if err != nil {
			return err
		}
	}
	if from < to {
		return fmt.Errorf("%s: producers are known up to %d, log start %d: %w", p, from, to, errUnreached)
	}
	return nil
}

// errEnough ends a reading of slots.
var errEnough = errors.New("enough slots were read")

// readEpoch tells fn what the footers of an epoch's journal say, in slot order, until fn has enough or no more slots
// count. Slots that hold nothing of the partition from offset from on, because a checkpoint that this agent has read stands
// for them, are left out. ErrTrimmed: others are gone.
func (e *Engine) readEpoch(ctx context.Context, epoch control.Assignment, from topic.Offset, fn func(segment.SlotExtents) (bool, error)) error {
	j, ok := e.State().Journal(epoch.Journal)
	if !ok {
		return fmt.Errorf("%s: %w", epoch.Journal, ErrUnknownJournal)
	}
	begin, end := topic.Slot(0), j.SealSlot
	for _, base := range []*checkpoint.Head{e.mirror.base, e.past.base()} {
		if base != nil && base.End(epoch.Partition) <= from {
			begin = max(begin, base.Next(j.ID))
		}
	}
	if begin < j.Trim {
		return fmt.Errorf("%s from offset %d on, slot %d of journal %s: %w", epoch.Partition, from, begin, j.ID, ErrTrimmed)
	}
	if !j.Sealed {
		end = max(begin, e.countedOf(j.ID))
	}
	tell := func(x segment.SlotExtents) error {
		enough, err := fn(x)
		if err == nil && enough {
			err = errEnough
		}
		return err
	}
	err := e.slots(ctx, j.ID, begin, end, tell)
	for slot := end; err == nil && !j.Sealed; slot++ {
		var f segment.Footer
		if f, err = readFooter(ctx, e.store, j.ID, slot); err == nil {
			err = tell(f.Repeated())
		}
	}
	atEnd := errors.Is(err, slotlog.ErrHole) || errors.Is(err, errSeal) // whoever sealed it may not have said so
	if errors.Is(err, errEnough) || atEnd && !j.Sealed {
		return nil
	}
	return err
}
