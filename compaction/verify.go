package compaction

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/odradek/odradek/checkpoint"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

// Verify computes a checkpoint a second time, from the one that it was computed from, the control records and the footers
// since, reads every object back that was written for it, and appends VERIFIED: from then on it counts (G1). Errors:
// ErrMismatch, ErrLost.
func (c *Compactor) Verify(ctx context.Context, info control.CheckpointInfo) error {
	if err := c.begin(ctx); err != nil {
		return err
	}
	defer c.done()
	ctx = objectstore.Because(ctx, objectstore.ReasonCheckpoint)
	began := time.Now()
	if err := c.verify(ctx, info); err != nil {
		if unfit(err) || errors.Is(err, ErrMismatch) {
			c.mismatched.Add(1)
			err = fmt.Errorf("%w: %w", ErrMismatch, err)
		}
		return fmt.Errorf("verify %s: %w", nameOf(info), err)
	}
	r := control.Verified{Control: info.Control, ID: info.ID, By: c.cfg.Journal}
	outcomes, err := c.log.Propose(ctx, func(s *control.State) ([]control.Record, error) {
		if newest, ok := s.NewestCheckpoint(); ok && newest.ID == info.ID {
			return nil, nil // another agent was faster
		}
		if o := s.Judge(r); o.Void {
			return nil, fmt.Errorf("%w: %s", ErrLost, o.Why)
		}
		return []control.Record{r}, nil
	})
	if err == nil && len(outcomes) > 0 && outcomes[0].Void {
		err = fmt.Errorf("%w: %s", ErrLost, outcomes[0].Why)
	}
	if err != nil {
		return fmt.Errorf("append that %s is verified: %w", nameOf(info), err)
	}
	c.verified.Add(1)
	slog.DebugContext(ctx, "checkpoint verified", "control", info.Control, "id", info.ID.String(), "took", time.Since(began))
	return nil
}

func (c *Compactor) verify(ctx context.Context, info control.CheckpointInfo) error {
	have, err := checkpoint.ReadHead(ctx, c.store, info.Control, info.ID) // from the store, whatever is at hand
	if err != nil {
		return err
	}
	base, err := c.verifiedAt(ctx, have.Previous)
	if err != nil {
		return fmt.Errorf("computed from %d: %w", have.Previous, err)
	}
	state, err := stateAt(ctx, c.store, base, info.Control)
	if err != nil {
		return err
	}
	cut, err := newCut(ctx, c.store, c.log, state, base)
	if err != nil {
		return err
	}
	if err := cut.advance(ctx, math.MaxInt, func(j *control.Journal) topic.Slot { return info.Next(j.ID) }); err != nil {
		return err
	}
	c.perSlot.Store(cut.perSlot())
	for _, r := range cut.journals {
		if r.next != r.limit {
			return fmt.Errorf("%w: slot %d of journal %s does not belong in it", ErrMismatch, r.next, r.id)
		}
	}
	want := cut.head(info.ID)
	err = checkpoint.Compose(ctx, c.store, base, want, cut.news(), func(p checkpoint.Part) (checkpoint.PartRef, error) {
		return p.ReadBack(ctx, c.store)
	})
	if err != nil {
		return err
	}
	if !bytes.Equal(want.Body(), have.Body()) {
		return fmt.Errorf("%w: %s", ErrMismatch, difference(want, have))
	}
	for _, p := range have.Parts {
		if p.Planned < have.Control { // read back when it was written
			if err := p.Present(ctx, c.store); err != nil {
				return err
			}
		}
	}
	c.last = have
	return nil
}

// verifiedAt reads the head of the verified checkpoint at a control number: nil at 0.
func (c *Compactor) verifiedAt(ctx context.Context, n topic.Slot) (*checkpoint.Head, error) {
	if n == 0 {
		return nil, nil
	}
	for _, info := range c.log.State().Checkpoints() {
		if info.Control == n && info.Verified {
			return c.head(ctx, info)
		}
	}
	return nil, fmt.Errorf("%w: no verified checkpoint at %d is kept", ErrMismatch, n)
}

const controlReads = 16 // control numbers asked for at once

// stateAt gives the control state after number n, from base and the control log.
func stateAt(ctx context.Context, store objectstore.Store, base *checkpoint.Head, n topic.Slot) (*control.State, error) {
	state := control.New()
	if base != nil {
		var err error
		if state, err = base.Restore(); err != nil {
			return nil, err
		}
	}
	type read struct {
		payload []byte
		err     error
	}
	ctx, cancel := context.WithCancel(ctx)
	var running []chan read
	defer func() {
		cancel()
		for _, r := range running {
			<-r
		}
	}()
	for ahead := state.Next(); state.Next() <= n; {
		for ; ahead <= n && len(running) < controlReads; ahead++ {
			r, number := make(chan read, 1), ahead
			running = append(running, r)
			go func() {
				payload, err := slotlog.ReadControl(ctx, store, number)
				r <- read{payload, err}
			}()
		}
		r := <-running[0]
		running = running[1:]
		if r.err != nil {
			return nil, r.err
		}
		records, err := control.Decode(r.payload)
		if err != nil {
			return nil, fmt.Errorf("control %d: %w", state.Next(), err)
		}
		if state, _, err = state.Apply(state.Next(), records); err != nil {
			return nil, err
		}
	}
	return state, nil
}

// difference says where two heads that should be equal are not.
func difference(want, have *checkpoint.Head) string {
	switch {
	case !bytes.Equal(want.State, have.State):
		return fmt.Sprintf("control state of %d bytes is not that of %d bytes computed", len(have.State), len(want.State))
	case len(want.Partitions) != len(have.Partitions):
		return fmt.Sprintf("%d partitions, computed %d", len(have.Partitions), len(want.Partitions))
	case len(want.Parts) != len(have.Parts) || want.Shards != have.Shards:
		return fmt.Sprintf("%d parts in %d shards, computed %d in %d", len(have.Parts), have.Shards, len(want.Parts), want.Shards)
	}
	for i, p := range want.Partitions {
		if h := have.Partitions[i]; h != p {
			return fmt.Sprintf("%s stands at [%d,%d), computed %s [%d,%d)", h.Partition, h.Start, h.End, p.Partition, p.Start, p.End)
		}
	}
	for i, p := range want.Parts {
		if h := have.Parts[i]; h != p {
			return fmt.Sprintf("part %s, computed %s", h.Key(), p.Key())
		}
	}
	return "heads differ"
}
