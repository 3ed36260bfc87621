package compaction

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/odradek/odradek/objectstore"

	"github.com/odradek/odradek/checkpoint"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/topic"
)

// Build makes a checkpoint that stands at the newest control number applied, writes its objects, and appends its
// CHECKPOINT. It counts once it is verified. Errors: ErrNothing, ErrLost; what was written then is garbage.
func (c *Compactor) Build(ctx context.Context) (control.Checkpoint, error) {
	if err := c.begin(ctx); err != nil {
		return control.Checkpoint{}, err
	}
	defer c.done()
	ctx = objectstore.Because(ctx, objectstore.ReasonCheckpoint)
	began := time.Now()
	state := c.log.State()
	r, err := c.build(ctx, state)
	if err != nil {
		return control.Checkpoint{}, fmt.Errorf("build checkpoint at %d: %w", state.Next()-1, err)
	}
	outcomes, err := c.log.Propose(ctx, func(s *control.State) ([]control.Record, error) {
		if o := s.Judge(r); o.Void {
			return nil, fmt.Errorf("%w: %s", ErrLost, o.Why)
		}
		return []control.Record{r}, nil
	})
	if err == nil && outcomes[0].Void {
		err = fmt.Errorf("%w: %s", ErrLost, outcomes[0].Why)
	}
	if err != nil {
		if errors.Is(err, ErrLost) {
			c.lost.Add(1)
		}
		return control.Checkpoint{}, fmt.Errorf("append checkpoint at %d: %w", r.Control, err)
	}
	c.built.Add(1)
	slog.DebugContext(ctx, "checkpoint made", "control", r.Control, "id", r.ID.String(), "parts", len(c.last.Parts), "took", time.Since(began))
	return r, nil
}

// build writes the objects and gives the record.
func (c *Compactor) build(ctx context.Context, state *control.State) (control.Checkpoint, error) {
	if state.Next() < 2 {
		return control.Checkpoint{}, ErrNothing
	}
	base, err := c.base(ctx, state)
	if err != nil {
		return control.Checkpoint{}, err
	}
	previous, _ := state.NewestCheckpoint()
	cut, err := newCut(ctx, c.store, c.log, state, base)
	if err != nil {
		return control.Checkpoint{}, err
	}
	err = cut.advance(ctx, c.cfg.MostExtents, func(j *control.Journal) topic.Slot {
		to := max(c.log.Counted(j.ID), previous.Next(j.ID)) // what a checkpoint holds counts, whatever this agent knows
		if j.Sealed {
			to = min(to, j.SealSlot)
		}
		return to
	})
	if err != nil {
		return control.Checkpoint{}, err
	}
	c.perSlot.Store(cut.perSlot())
	r := control.Checkpoint{Control: state.Next() - 1, Previous: previous.Control}
	rand.Read(r.ID[:])
	h := cut.head(r.ID)
	for _, j := range h.Journals {
		switch had := previous.Next(j.ID); {
		case j.Next > had:
			r.Journals = append(r.Journals, control.JournalNext{Journal: j.ID, Next: j.Next})
		case j.Next < had:
			return control.Checkpoint{}, fmt.Errorf("it reaches slot %d of journal %s, that at %d reaches %d: %w", j.Next, j.ID, previous.Control, had, ErrNothing)
		}
	}
	if len(r.Journals) == 0 && int(r.Control-previous.Control) < c.cfg.LeastRecords && !c.owes() {
		return control.Checkpoint{}, fmt.Errorf("%w: that at %d holds all that can be taken", ErrNothing, previous.Control)
	}
	err = checkpoint.Compose(ctx, c.store, base, h, cut.news(), func(p checkpoint.Part) (checkpoint.PartRef, error) {
		return p.Write(ctx, c.store)
	})
	if err != nil {
		return control.Checkpoint{}, err
	}
	if err := checkpoint.WriteHead(ctx, c.store, h); err != nil {
		return control.Checkpoint{}, err
	}
	c.last = h
	return r, nil
}

// base gives the checkpoint to go on from: the newest verified one; one before it if its head is damaged; nil for the
// beginning of the log (G1).
func (c *Compactor) base(ctx context.Context, state *control.State) (*checkpoint.Head, error) {
	for _, info := range slices.Backward(state.Checkpoints()) {
		if !info.Verified {
			continue
		}
		h, err := c.head(ctx, info)
		if err == nil {
			return h, nil
		}
		if !unfit(err) {
			return nil, err
		}
		slog.WarnContext(ctx, "checkpoint cannot be gone on from, the one before must do", "control", info.Control, "error", err)
	}
	return nil, nil
}

// unfit says whether an error is about what a checkpoint's objects hold.
func unfit(err error) bool {
	return errors.Is(err, checkpoint.ErrCorrupt) || errors.Is(err, checkpoint.ErrMissing) || errors.Is(err, checkpoint.ErrVersion)
}
