package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/topic"
)

// pin finds the era that this Redis holds, or names the next one and builds it. With rebuild it always does.
func (e *Engine) pin(ctx context.Context, rebuild bool) (metadata.Pin, error) {
	runID, replicationID, err := e.meta.Identity(ctx)
	if err != nil {
		return metadata.Pin{}, err
	}
	if err := e.CatchUp(ctx); err != nil {
		return metadata.Pin{}, err
	}
	if err := e.over(); err != nil { // what was fenced indexes nothing and names no era
		return metadata.Pin{}, err
	}
	newest, ok := e.State().NewestEra()
	if ok && !rebuild && newest.RunID == runID && newest.ReplicationID == replicationID {
		status, err := e.meta.Current(ctx, uint64(newest.Number))
		if err != nil {
			return metadata.Pin{}, err
		}
		if status.Open() {
			return pinOf(newest), nil
		}
		if newest.Number == e.named { // begun here, and something came in between: go on where it stopped
			return pinOf(newest), e.build(ctx, pinOf(newest))
		}
	}
	era, err := e.nameEra(ctx, runID, replicationID)
	if err != nil {
		return metadata.Pin{}, err
	}
	e.named = era.Number
	return pinOf(era), e.build(ctx, pinOf(era))
}

// nameEra appends ERA: who wins the number recovers (R2).
func (e *Engine) nameEra(ctx context.Context, runID, replicationID string) (control.Era, error) {
	var era control.Era
	outcomes, err := e.Propose(ctx, func(s *control.State) ([]control.Record, error) {
		era = control.Era{Number: 1, RunID: runID, ReplicationID: replicationID}
		if newest, ok := s.NewestEra(); ok {
			era.Number = newest.Number + 1
		}
		return []control.Record{era}, nil
	})
	if err != nil {
		return control.Era{}, err
	}
	if outcomes[0].Void { // an isolated master: act as if Redis were away
		return control.Era{}, fmt.Errorf("name era %d: %w: %s", era.Number, metadata.ErrUnavailable, outcomes[0].Why)
	}
	return era, nil
}

// build makes the index anew from the bucket (R3) and opens it (R4). Until then owners serve everything without it.
func (e *Engine) build(ctx context.Context, pin metadata.Pin) error {
	slog.InfoContext(ctx, "building the index from the bucket", "era", pin.Era, "run_id", pin.RunID)
	if err := e.meta.Begin(ctx, pin); err != nil {
		return err
	}
	s := e.State()
	if err := e.meta.Load(ctx, pin, stateEffects(s)); err != nil {
		return err
	}
	if err := e.meta.Loaded(ctx, pin, s.Next()-1); err != nil {
		return err
	}
	if err := e.meta.Reattach(ctx, pin, e.journal, e.index.counted()); err != nil {
		return err
	}
	var js []ended
	var expected []metadata.Expected
	for j := range s.Journals() {
		expected = append(expected, metadata.Expected{Journal: j.ID, Sealed: j.Sealed, Seal: j.SealSlot})
		switch {
		case j.Sealed:
			js = append(js, ended{j, j.SealSlot})
		case j.ID == e.journal:
			js = append(js, ended{j, e.index.counted()})
		}
	}
	status, err := e.meta.Current(ctx, pin.Era)
	if err != nil {
		return err
	}
	for _, j := range inOrder(js) {
		if err := e.indexAll(ctx, pin, j, status.Journals[j.journal.ID].Next); err != nil {
			return err
		}
		if err := e.meta.Progress(ctx, pin); err != nil {
			return err
		}
	}
	if err := e.meta.Open(ctx, pin, s.Next()-1, expected); err != nil {
		return err
	}
	e.named = 0 // a Redis that forgets it from now on gets a new era
	slog.InfoContext(ctx, "era open", "era", pin.Era)
	return e.sweep(ctx, pin)
}

// sweep deletes what older eras left, a bounded number of keys at a time.
func (e *Engine) sweep(ctx context.Context, pin metadata.Pin) error {
	for {
		more, err := e.meta.Sweep(ctx, pin, 1000)
		if err != nil || !more {
			return err
		}
	}
}

// indexAll indexes a journal's slots from next, where the era stands, up to its end.
func (e *Engine) indexAll(ctx context.Context, pin metadata.Pin, j ended, next topic.Slot) error {
	for next < j.end {
		segments, err := e.readSegments(ctx, j.journal.ID, next, min(next+indexBatch, j.end))
		if err != nil {
			return err
		}
		n, err := e.indexSegments(ctx, pin, segments)
		if err != nil {
			return err
		}
		next += topic.Slot(n)
	}
	return nil
}

// attach brings an open era to where the log stands: control records, the journals sealed before ours, our own; and
// registers this agent. It returns our next slot to index.
func (e *Engine) attach(ctx context.Context, pin metadata.Pin) (topic.Slot, error) {
	if err := e.applyEffects(ctx, pin); err != nil {
		return 0, err
	}
	s := e.State()
	var js []ended
	for j := range s.Journals() {
		if j.Sealed {
			js = append(js, ended{j, j.SealSlot})
		}
	}
	status, err := e.meta.Current(ctx, pin.Era)
	if err != nil {
		return 0, err
	}
	for _, j := range inOrder(js) {
		if err := e.indexAll(ctx, pin, j, status.Journals[j.journal.ID].Next); err != nil {
			return 0, err
		}
	}
	me, ok := s.Journal(e.journal)
	if !ok {
		return 0, errors.New("own journal is not in the control state")
	}
	info := fmt.Sprintf("node %d zone %q build %s", me.NodeID, me.Zone, me.Build)
	if err := e.meta.Register(ctx, pin, e.journal, info); err != nil {
		return 0, err
	}
	return status.Journals[e.journal].Next, nil
}
