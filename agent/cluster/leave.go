package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

// leaveTime bounds the wait until the index holds all of a journal that ends. Others read the rest from the bucket.
const leaveTime = time.Second

// Leave ends this agent's journal cleanly: it seals it at counted, the first slot that does not count, and gives its
// partitions to those that live, in one record. The caller admits nothing more, and every slot that it gave out counts.
// ErrNobody: nobody else is there, and nothing was done; the next boot seals the journal. After another error the journal
// may be sealed, and others find out.
//
// Follow goes on afterwards: what this agent does is its own wish.
func (e *Engine) Leave(ctx context.Context, counted topic.Slot) error {
	if err := e.CatchUp(ctx); err != nil {
		return fmt.Errorf("leave: %w", err)
	}
	if err := e.over(); err != nil {
		return fmt.Errorf("leave: %w", err)
	}
	others := slices.DeleteFunc(e.State().OpenJournals(), func(j *control.Journal) bool {
		return j.ID == e.journal || e.out.has(j.ID)
	})
	if len(others) == 0 {
		return fmt.Errorf("leave: %w", ErrNobody)
	}
	e.leaving.Store(true)
	e.settle(ctx)
	seal, err := slotlog.SealJournal(ctx, e.store, e.journal, counted, "ended by its own agent")
	if err != nil {
		return fmt.Errorf("leave: %w", err)
	}
	ends, known := e.index.ended(seal)
	if !known { // slots landed that this agent was not told of
		if ends, err = e.readToSeal(ctx, e.journal, seal); err != nil {
			return fmt.Errorf("leave: %w", err)
		}
	}
	given := 0
	for err = errTrimRose; errors.Is(err, errTrimRose); { // the seal lies where this agent knows that its slots end
		mine, _ := e.State().Journal(e.journal)
		given, err = e.handOver(ctx, e.journal, seal, mine.Trim, ends)
	}
	if err != nil {
		return fmt.Errorf("leave: %w", err)
	}
	slog.InfoContext(ctx, "journal ended", "seal", seal, "partitions", given)
	return nil
}

// settle waits a little until the index holds what counts here.
func (e *Engine) settle(ctx context.Context) {
	if e.era.Load() == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, leaveTime)
	defer cancel()
	for e.Behind() > 0 && rest(ctx, retryBehind) == nil {
	}
}

// Assign appends assignments of partitions in one control number and tells what became of each, in their order. They are
// appended while one of them would hold; those that would not are void there, for every reader alike (S3).
func (e *Engine) Assign(ctx context.Context, as []control.Assign) ([]control.Outcome, error) {
	var judged []control.Outcome
	outcomes, err := e.Propose(ctx, func(s *control.State) ([]control.Record, error) {
		records := make([]control.Record, len(as))
		outcomes, hold := make([]control.Outcome, len(as)), false
		for i, a := range as {
			records[i] = a
			outcomes[i] = s.Judge(a)
			hold = hold || !outcomes[i].Void
		}
		judged = outcomes
		if !hold {
			return nil, nil
		}
		return records, nil
	})
	if err != nil {
		return nil, fmt.Errorf("assign %d partitions: %w", len(as), err)
	}
	if outcomes == nil {
		return judged, nil
	}
	return outcomes, nil
}

// rest waits for d, or for ctx to end.
func rest(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
