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

// kept is what a start may begin from: the control states of the checkpoints that are kept for it. An era's own checkpoint
// is needed until the era is open and no longer; while none is open nothing is deleted.
type kept struct {
	now    *control.State
	states []*control.State // the two newest verified checkpoints', and that of one not verified yet
}

// keptStates reads the heads of the checkpoints that are kept. ok is false while there are not two verified ones: nothing
// was trimmed then.
func keptStates(ctx context.Context, store objectstore.Store, now *control.State) (k kept, ok bool, err error) {
	k.now = now
	verified := 0
	for _, info := range slices.Backward(now.Checkpoints()) {
		if info.Verified && verified == 2 {
			break
		}
		if info.Verified {
			verified++
		}
		h, err := checkpoint.ReadHead(ctx, store, info.Control, info.ID)
		if err == nil {
			var s *control.State
			if s, err = h.Restore(); err == nil {
				k.states = append(k.states, s)
			}
		}
		if err != nil {
			return k, false, fmt.Errorf("checkpoint at %d: %w", info.Control, err)
		}
	}
	return k, verified == 2, nil
}

// trim gives up to where all of them know a journal to be trimmed: slots below are named by none (I9).
func (k kept) trim(j *control.Journal) topic.Slot {
	low := j.Trim
	for _, s := range k.states {
		have, ok := s.Journal(j.ID)
		if !ok {
			return 0
		}
		low = min(low, have.Trim)
	}
	return low
}

// oldest is the state that says what may go: what it does not name, and what nothing can swap in after it, no later state
// names either, whatever is on its way.
func (k kept) oldest() *control.State { return k.states[len(k.states)-1] }

// names says whether one of them has current runs in an object.
func (k kept) names(o topic.Object) bool {
	if _, ok := k.now.Object(o); ok {
		return true
	}
	return slices.ContainsFunc(k.states, func(s *control.State) bool { _, ok := s.Object(o); return ok })
}

// owing says whether something can go only after further checkpoints: an idle cluster would make none.
func (k kept) owing() bool {
	for j := range k.now.Journals() {
		if k.trim(j) < j.Trim {
			return true
		}
	}
	for _, s := range k.states {
		for o := range s.Objects() {
			if _, ok := k.now.Object(o); !ok {
				return true
			}
		}
	}
	return false
}

// garbage is what Collect remembers. It belongs to the one who works.
type garbage struct {
	cleared map[topic.JournalID]*clearing
	numbers []seen                      // control numbers; the first one is the newest that a SWEEP may name, once it is old enough
	once    map[topic.Object]topic.Slot // were swapped in by then, so that they cannot be again: their inputs are gone
	orphans map[topic.Object]time.Time  // may go -> since when, by this process's own clock
	control forgetting
}

func newGarbage() garbage {
	return garbage{cleared: make(map[topic.JournalID]*clearing), once: make(map[topic.Object]topic.Slot)}
}

// clearing is what was deleted of a journal's slots, and what is next.
type clearing struct {
	done topic.Slot // all below are gone
	next topic.Slot // those below may go
	at   time.Time  // when that was seen first

	sealed time.Time // when all checkpoints that are kept were seen to know that it is sealed
	placed time.Time // when its seal was made, by the store's clock, once that was asked
	behind bool      // what lay behind the seal is gone
	empty  bool      // the seal too
}

// seen is a control number, and when it was read.
type seen struct {
	number topic.Slot
	at     time.Time
}

// Collect deletes what nothing names any more, after Grace as this process saw it, whatever clocks say (I9): slots below
// the TRIM that all checkpoints kept know of, compacted objects that the oldest of them does not name and nothing can
// swap in behind it: those that were swapped in before and out again, and those that were planned below its SWEEP (G5); and
// seals and control numbers that are old, too (G4).
func (c *Compactor) Collect(ctx context.Context) error {
	if err := c.begin(ctx); err != nil {
		return err
	}
	defer c.done()
	ctx = objectstore.Because(ctx, objectstore.ReasonGarbage)
	if !c.cfg.Open() {
		return nil
	}
	s := c.log.State()
	k, ok, err := keptStates(ctx, c.store, s)
	c.owed[1].Store(ok && k.owing())
	if err != nil || !ok {
		return err
	}
	held, err := c.pinned(ctx, s)
	if err == nil {
		err = c.tendForks(ctx, s, held)
	}
	if err != nil {
		return err
	}
	deleted, err := c.collectSlots(ctx, k, held)
	if err != nil {
		return fmt.Errorf("collect slots: %w", err)
	}
	objects, err := c.collectObjects(ctx, k, held)
	if err != nil {
		return fmt.Errorf("collect compacted objects: %w", err)
	}
	old, err := c.forget(ctx, k, held)
	if err != nil {
		return err
	}
	if deleted += objects + old; deleted > 0 {
		slog.DebugContext(ctx, "garbage deleted", "objects", deleted)
		return c.forgetLedgers(ctx, time.Now())
	}
	return nil
}

// errPast ends a listing.
var errPast = errors.New("past what was asked for")

// collectSlots deletes the slots of journals that are trimmed.
func (c *Compactor) collectSlots(ctx context.Context, k kept, held pins) (deleted int, err error) {
	now := time.Now()
	for j := range k.now.Journals() {
		to := k.trim(j)
		at := c.garbage.cleared[j.ID]
		if at == nil {
			at = new(clearing)
			c.garbage.cleared[j.ID] = at
		}
		if at.next == at.done && to > at.done {
			at.next, at.at = to, now
		}
		if at.next == at.done || now.Sub(at.at) < c.cfg.Grace {
			continue
		}
		for {
			var all []Garbage
			free := func(slot topic.Slot) bool { return held.slot(j.ID, slot) == nil }
			err := someSlotsBelow(ctx, c.store, j.ID, at.next, deletesOfBatch, free, func(o objectstore.Info, _ topic.Slot) {
				all = append(all, Garbage{o.Key, o.Size, fmt.Sprintf("below trim %d", at.next)})
			})
			if err != nil {
				return deleted, err
			}
			n, err := c.remove(ctx, k.now.Next()-1, all)
			deleted += n
			if err != nil {
				return deleted, err
			}
			if n < deletesOfBatch {
				break
			}
		}
		at.done = at.next
	}
	return deleted, nil
}

// slotsBelow tells fn of the slots of a journal below one of them, at most so many.
func slotsBelow(ctx context.Context, store objectstore.Store, j topic.JournalID, below topic.Slot, most int, fn func(objectstore.Info, topic.Slot)) error {
	return someSlotsBelow(ctx, store, j, below, most, func(topic.Slot) bool { return true }, fn)
}

// someSlotsBelow is slotsBelow for the slots that is holds for.
func someSlotsBelow(ctx context.Context, store objectstore.Store, j topic.JournalID, below topic.Slot, most int, is func(topic.Slot) bool, fn func(objectstore.Info, topic.Slot)) error {
	n := 0
	err := store.List(ctx, slotlog.JournalPrefix(j), func(o objectstore.Info) error {
		_, slot, err := slotlog.ParseJournalKey(o.Key)
		if err != nil {
			return nil // not ours
		}
		if slot >= below || n == most {
			return errPast
		}
		if !is(slot) {
			return nil
		}
		n++
		fn(o, slot)
		return nil
	})
	if errors.Is(err, errPast) {
		return nil
	}
	return err
}

// collectObjects deletes compacted objects that nothing names, and appends SWEEP when there are old ones that only it lets
// go.
func (c *Compactor) collectObjects(ctx context.Context, k kept, held pins) (int, error) {
	now := time.Now()
	c.garbage.numbers = append(c.garbage.numbers, seen{k.now.Next() - 1, now})
	old := topic.Slot(0) // read so long ago that a SWEEP may name it
	for i := len(c.garbage.numbers) - 1; i >= 0; i-- {
		if now.Sub(c.garbage.numbers[i].at) >= c.cfg.Garbage.Sweep {
			old = c.garbage.numbers[i].number
			c.garbage.numbers = c.garbage.numbers[i:]
			break
		}
	}
	c.remember(k.now)
	for _, s := range k.states {
		c.remember(s)
	}
	since := make(map[topic.Object]time.Time)
	listed := make(map[topic.Object]bool)
	oldest := k.oldest()
	stray := false // one that never was swapped in is old
	waits := false // one may go when the checkpoints that are kept stand further on
	var gone []Garbage
	err := c.store.List(ctx, topic.CompactedPrefix, func(info objectstore.Info) error {
		o, err := topic.ParseObjectKey(info.Key)
		if err != nil {
			return nil // not ours
		}
		once, swapped := c.garbage.once[o]
		if swapped {
			listed[o] = true
		}
		if k.names(o) || held.object(o) != nil {
			return nil
		}
		why := "its runs were replaced, dropped or deleted"
		if !swapped || once >= oldest.Next() {
			if why = fmt.Sprintf("planned below %d and not swapped in by then", oldest.Swept()); o.Planned >= oldest.Swept() {
				waits = waits || swapped || o.Planned < k.now.Swept()
				stray = stray || !swapped && o.Planned < old
				return nil
			}
		}
		at, before := c.garbage.orphans[o]
		if !before {
			at = now
		}
		if info.Modified.After(at) { // by the store's clock; one of both may be wrong
			at = info.Modified
		}
		if len(since) < mostGarbage {
			since[o] = at
		}
		if now.Sub(at) >= c.cfg.Grace {
			gone = append(gone, Garbage{info.Key, info.Size, why})
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	c.garbage.orphans = since // what is gone is forgotten
	for o := range c.garbage.once {
		if !listed[o] && !k.names(o) {
			delete(c.garbage.once, o)
		}
	}
	deleted := 0
	for deleted < len(gone) {
		n, err := c.remove(ctx, k.now.Next()-1, gone[deleted:])
		deleted += n
		if err != nil {
			return deleted, err
		}
	}
	c.owed[2].Store(waits)
	if stray && old > k.now.Swept() {
		if err := c.sweepBelow(ctx, old); err != nil {
			return deleted, err
		}
	}
	return deleted, c.abortUploads(ctx, now)
}

// remember notes which objects were swapped in, and by which number at the latest.
func (c *Compactor) remember(s *control.State) {
	for o := range s.Objects() {
		if have, ok := c.garbage.once[o]; !ok || s.Next()-1 < have {
			c.garbage.once[o] = s.Next() - 1
		}
	}
}

// sweepBelow appends SWEEP: what was planned below a number and is not swapped in now never will be (G5).
func (c *Compactor) sweepBelow(ctx context.Context, before topic.Slot) error {
	_, err := c.log.Propose(ctx, func(s *control.State) ([]control.Record, error) {
		if r := (control.Sweep{Before: before}); !s.Judge(r).Void {
			return []control.Record{r}, nil
		}
		return nil, nil
	})
	if err != nil {
		return fmt.Errorf("append sweep below %d: %w", before, err)
	}
	return nil
}

// abortUploads ends uploads that their makers gave up.
func (c *Compactor) abortUploads(ctx context.Context, now time.Time) error {
	u, err := objectstore.Uploads(c.store)
	if err != nil {
		return nil // nothing was uploaded
	}
	n, err := u.AbortStale(ctx, topic.CompactedPrefix, now.Add(-c.cfg.Garbage.Sweep))
	if err != nil {
		return fmt.Errorf("abort stale uploads: %w", err)
	}
	if n > 0 {
		slog.InfoContext(ctx, "uploads that nobody finished are aborted", "uploads", n)
	}
	return nil
}
