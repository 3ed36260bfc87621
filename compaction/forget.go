package compaction

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/odradek/odradek/checkpoint"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

// mostForgotten is how many control numbers one pass deletes: one after the other, so that what is left has no gap.
const mostForgotten = 5_000

// forgetting is what is known of the control numbers that nobody needs. It belongs to the one who works.
type forgetting struct {
	limit topic.Slot // those below will not be needed, but for number 0
	since time.Time  // when that was seen first, by this process's own clock
	ready topic.Slot // limits that are older than the grace
	gone  topic.Slot // all below were deleted, but for number 0
}

// forget deletes control numbers and seals that nothing needs (G4): two newer checkpoints were verified, every checkpoint that
// needs them has been gone for the time of grace, and they are old by a time on which two clocks agree. Whoever slept
// for so long looks, before it believes that the control log ends, whether the number before is there still
// (agent/cluster): so they go in order, and number 0 never does (S5).
func (c *Compactor) forget(ctx context.Context, k kept, held pins) (int, error) {
	at, err := c.cfg.Keys.Now(ctx)
	if err != nil {
		slog.DebugContext(ctx, "no seal and no control number goes until clocks agree", "error", err)
		return 0, nil
	}
	deleted, err := c.forgetControl(ctx, k, held, at)
	if err != nil {
		return deleted, fmt.Errorf("forget control numbers: %w", err)
	}
	seals, err := c.forgetSeals(ctx, k, held, at)
	if err != nil {
		err = fmt.Errorf("forget seals: %w", err)
	}
	return deleted + seals, err
}

// unneeded gives the lowest control number that somebody may read who begins from a checkpoint that the bucket holds, whether
// it counts or not. The number at which a checkpoint stands is kept with it. One that is kept for the newest era alone does not
// count: an era that is open was loaded, and who begins there by mistake finds the next number gone.
func unneeded(ctx context.Context, store objectstore.Store, k kept) (topic.Slot, error) {
	names, err := checkpoint.Heads(ctx, store)
	if err != nil {
		return 0, err
	}
	limit := k.oldest().Next() - 1
	for _, s := range k.states {
		limit = min(limit, s.Next()-1)
	}
	all := k.now.Checkpoints()
	for _, n := range names {
		i := slices.IndexFunc(all, func(c control.CheckpointInfo) bool { return c.ID == n.ID && c.Control == n.Control })
		if i < 0 || !forEra(all, i) {
			limit = min(limit, n.Control)
		}
	}
	return limit, nil
}

// forEra says whether a checkpoint is kept only because the newest era was recovered from it.
func forEra(all []control.CheckpointInfo, i int) bool {
	newer := 0
	for _, c := range all[i+1:] {
		if c.Verified {
			newer++
		}
	}
	return newer >= 2
}

func (c *Compactor) forgetControl(ctx context.Context, k kept, held pins, at time.Time) (int, error) {
	limit, err := unneeded(ctx, c.store, k)
	if err != nil {
		return 0, err
	}
	for _, h := range held { // whoever begins at its moment reads on from its checkpoint
		limit = min(limit, h.pin.Moment.Base.Control)
	}
	f, now := &c.garbage.control, time.Now()
	switch {
	case limit < f.limit: // a checkpoint is there that was not
		f.limit, f.since = limit, now
	case now.Sub(f.since) >= c.cfg.Grace:
		f.ready = f.limit
		f.limit, f.since = limit, now
	}
	f.ready = min(f.ready, limit)
	if f.ready <= max(f.gone, 1) {
		return 0, nil
	}
	var old []Garbage
	err = oldControl(ctx, c.store, f.ready, func(o objectstore.Info) bool {
		if at.Sub(o.Modified) < c.cfg.Garbage.Age || len(old) == mostForgotten {
			return false
		}
		old = append(old, Garbage{o.Key, o.Size, fmt.Sprintf("below every checkpoint but older ones' remains: the oldest stands at %d", limit)})
		return true
	})
	if err != nil {
		return 0, err
	}
	n, err := c.removeInOrder(ctx, k.now.Next()-1, old)
	if err == nil && n > 0 {
		last, _ := slotlog.ParseControlKey(old[n-1].Key)
		f.gone = last + 1
	}
	return n, err
}

// oldControl tells fn of the control numbers [1, below) that are there, in order, until it says that it is enough.
func oldControl(ctx context.Context, store objectstore.Store, below topic.Slot, fn func(objectstore.Info) bool) error {
	err := store.List(ctx, slotlog.ControlPrefix, func(o objectstore.Info) error {
		n, err := slotlog.ParseControlKey(o.Key)
		if err != nil || n == 0 {
			return nil // not ours, or never to go
		}
		if n >= below || !fn(o) {
			return errPast
		}
		return nil
	})
	if errors.Is(err, errPast) {
		return nil
	}
	return err
}

// forgetSeals deletes what lies behind the seals of journals, which never counted (I2), and the seals themselves of those
// of which no slot is needed any more.
func (c *Compactor) forgetSeals(ctx context.Context, k kept, held pins, at time.Time) (deleted int, err error) {
	now := time.Now()
	for j := range k.now.Journals() {
		if !j.Sealed || k.now.Inherits(j) || held.slot(j.ID, j.SealSlot) != nil { // an ancestor's stay as they are (G8)
			continue
		}
		seen := c.garbage.cleared[j.ID]
		if seen == nil || seen.sealed.IsZero() && !k.sealed(j) {
			continue
		}
		if seen.sealed.IsZero() {
			seen.sealed = now
		}
		over := k.trim(j) == j.SealSlot && (seen.placed.IsZero() || at.Sub(seen.placed) >= c.cfg.Garbage.Age)
		if seen.empty || now.Sub(seen.sealed) < c.cfg.Grace || seen.behind && !over {
			continue
		}
		var gone []Garbage
		seal, err := c.store.Head(ctx, slotlog.JournalKey(j.ID, j.SealSlot))
		if errors.Is(err, objectstore.ErrNotFound) {
			seen.behind, seen.empty = true, true // what lay behind it went before it
			continue
		}
		if err != nil {
			return deleted, err
		}
		seen.placed = seal.Modified
		over = over && at.Sub(seal.Modified) >= c.cfg.Garbage.Age
		if seen.behind && !over {
			continue
		}
		if gone, err = behindSeal(ctx, c.store, j); err != nil {
			return deleted, err
		}
		if over {
			gone = append(gone, Garbage{seal.Key, seal.Size, "seal of a journal of which no slot is needed"})
		}
		n, err := c.removeInOrder(ctx, k.now.Next()-1, gone)
		deleted += n
		if err != nil {
			return deleted, err
		}
		seen.behind, seen.empty = true, over
	}
	return deleted, nil
}

// sealed says whether all states know that a journal is sealed, and where.
func (k kept) sealed(j *control.Journal) bool {
	return !slices.ContainsFunc(k.states, func(s *control.State) bool {
		have, ok := s.Journal(j.ID)
		return !ok || !have.Sealed
	})
}

// behindSeal gives the objects behind a journal's seal. Its writer had at most K slots in flight, the lowest of which met
// the seal (S2).
func behindSeal(ctx context.Context, store objectstore.Store, j *control.Journal) ([]Garbage, error) {
	var out []Garbage
	for slot := j.SealSlot + 1; slot < j.SealSlot+topic.Slot(j.K); slot++ {
		o, err := store.Head(ctx, slotlog.JournalKey(j.ID, slot))
		if errors.Is(err, objectstore.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, Garbage{o.Key, o.Size, fmt.Sprintf("behind the seal at slot %d: it never counted", j.SealSlot)})
	}
	return out, nil
}
