package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/odradek/odradek/checkpoint"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/sequence"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

// errUnkept says that the control state does not keep a checkpoint any more that an era was to be recovered from.
var errUnkept = errors.New("checkpoint is not kept any more")

// outlived says what keeps the log from being read from where next says that something stands for the slots below: TRIM of
// a journal lies above, so that slots between may be gone (I2, I9). The two newest verified checkpoints never lie below it
// (G2).
func outlived(s *control.State, next func(topic.JournalID) topic.Slot) error {
	for j := range s.Journals() {
		if from := next(j.ID); from < j.Trim {
			return fmt.Errorf("journal %s would have to be read from slot %d, and is trimmed below %d: %w", j.ID, from, j.Trim, ErrTrimmed)
		}
	}
	return nil
}

// nextInNone is where the log is read from without a checkpoint.
func nextInNone(topic.JournalID) topic.Slot { return 0 }

// unfitCheckpoint says whether an error is about what a checkpoint's objects hold, that they are not there, or that slots
// behind it may not be there any more: the checkpoint before it will do. After any other error the same objects are asked for again.
func unfitCheckpoint(err error) bool {
	for _, why := range []error{checkpoint.ErrCorrupt, checkpoint.ErrMissing, checkpoint.ErrVersion, ErrContradiction, ErrTrimmed} {
		if errors.Is(err, why) {
			return true
		}
	}
	return false
}

// dismiss tells people of a checkpoint that cannot be used.
func (e *Engine) dismiss(ctx context.Context, n topic.Slot, id control.CheckpointID, err error) {
	slog.WarnContext(ctx, "checkpoint cannot be used, the one before must do", "control", n, "id", id.String(), "error", err)
	if e.cfg.Unfit != nil {
		e.cfg.Unfit()
	}
}

// verifiedAt finds the verified checkpoint that stands at a control number, if it is kept.
func verifiedAt(s *control.State, n topic.Slot) (control.CheckpointInfo, bool) {
	for _, c := range s.Checkpoints() {
		if c.Control == n && c.Verified && n > 0 {
			return c, true
		}
	}
	return control.CheckpointInfo{}, false
}

// readHead reads a checkpoint's head, and the control state in it.
func (e *Engine) readHead(ctx context.Context, n topic.Slot, id control.CheckpointID) (*checkpoint.Head, *control.State, error) {
	head, err := checkpoint.ReadHead(ctx, e.store, n, id)
	if err != nil {
		return nil, nil, err
	}
	s, err := head.Restore()
	if err != nil {
		return nil, nil, err
	}
	head.State = nil // as big as all else, and done with
	return head, s, nil
}

// readControl reads the control log to its end: from the newest checkpoint that counts, or from the beginning. That the
// bucket lists a checkpoint is a hint: what it says is taken only if the control log, read on from there, says that the
// checkpoint was verified (B2, G1). The log also says which one is the newest, so that few of those are read that came to
// nothing. ErrForgotten: the beginning was deleted (G4), and no checkpoint can be read that stands for it.
func (e *Engine) readControl(ctx context.Context) error {
	var before []checkpoint.Name
	for {
		names, err := checkpoint.Heads(ctx, e.store)
		if err != nil {
			return fmt.Errorf("list checkpoints: %w", err)
		}
		err = e.readControlFrom(ctx, slices.Clone(names))
		if !errors.Is(err, ErrForgotten) || slices.Equal(names, before) {
			return err
		}
		before = names // others may have come in their place
	}
}

// readControlFrom tries checkpoints, the likeliest first.
func (e *Engine) readControlFrom(ctx context.Context, names []checkpoint.Name) error {
	if base := e.cfg.Base; !base.ID.IsZero() { // an ancestor's: it is not listed
		names = append(names, checkpoint.Name{Control: base.Control, ID: base.ID})
	}
	tried := make(map[control.CheckpointID]bool)
	for len(names) > 0 {
		next := names[0]
		names = names[1:]
		if tried[next.ID] {
			continue
		}
		tried[next.ID] = true
		head, s, err := e.readHead(ctx, next.Control, next.ID)
		if unfitCheckpoint(err) {
			e.dismiss(ctx, next.Control, next.ID, err)
			continue
		}
		if err != nil {
			return err
		}
		e.begin(s)
		err = e.readAll(ctx)
		if errors.Is(err, ErrForgotten) {
			continue // it was not kept any more
		}
		if err != nil {
			return err
		}
		if c, ok := verifiedAt(e.State(), next.Control); ok && c.ID == next.ID {
			if fine, err := e.sameCluster(ctx); err != nil || fine {
				e.mirror.base = head
				return err
			}
			break
		}
		if newest, ok := e.State().NewestCheckpoint(); ok {
			names = slices.Insert(names, 0, checkpoint.Name{Control: newest.Control, ID: newest.ID})
		}
	}
	e.begin(control.New())
	return e.readAll(ctx)
}

// begin makes s the control state. Nobody else knows the engine yet.
func (e *Engine) begin(s *control.State) {
	e.state.Store(s)
	e.effects.begin(s.Next())
}

// sameCluster says whether control/0 is there, which no checkpoint stands for, and names the cluster of the control state
// (S5). A fork's stands at the number at which it was born.
func (e *Engine) sameCluster(ctx context.Context) (bool, error) {
	born, id := e.State().Born()
	payload, err := slotlog.ReadControl(ctx, e.store, born)
	if errors.Is(err, slotlog.ErrHole) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	records, err := control.Decode(payload)
	if err != nil {
		return false, fmt.Errorf("control %d: %w", born, err)
	}
	if forked, ok := records[0].(control.Forked); ok && born > 0 {
		if forked.ClusterID != e.State().ClusterID() || forked.Fork != id {
			return false, fmt.Errorf("%w: control/0 is of fork %s, cluster %s, its checkpoints are of fork %s, cluster %s", ErrForeign, forked.Fork, forked.ClusterID, id, e.State().ClusterID())
		}
		return true, nil
	}
	s, _, err := control.New().Apply(0, records)
	if err != nil {
		return false, fmt.Errorf("control 0: %w", err)
	}
	if s.ClusterID() != e.State().ClusterID() {
		return false, fmt.Errorf("%w: control/0 is of cluster %s, its checkpoints are of %s", ErrForeign, s.ClusterID(), e.State().ClusterID())
	}
	return true, nil
}

// restored gives what the newest checkpoint holds that can be read whole, and tells log of it: slots below its Next are
// not to be read then. The head is nil if there is none. What an unfit one told log of before it was found out is true all
// the same, by its own checksums.
func (e *Engine) restored(ctx context.Context, s *control.State, log Log) (*folding, *checkpoint.Head, error) {
	var newer error // a checkpoint that a newer build wrote
	for _, c := range slices.Backward(s.Checkpoints()) {
		if !c.Verified {
			continue
		}
		err := outlived(s, c.Next)
		if err == nil {
			var f *folding
			var head *checkpoint.Head
			if f, head, err = e.restore(ctx, s, c, log); err == nil {
				return f, head, nil
			}
		}
		if !unfitCheckpoint(err) {
			return nil, nil, err
		}
		if newer == nil && errors.Is(err, checkpoint.ErrVersion) {
			newer = err
		}
		e.dismiss(ctx, c.Control, c.ID, err)
	}
	if err := outlived(s, nextInNone); err != nil {
		if newer != nil { // nothing that this build reads is left
			return nil, nil, fmt.Errorf("%w: %w", newer, err)
		}
		return nil, nil, err
	}
	return newFolding(), nil, nil
}

func (e *Engine) restore(ctx context.Context, s *control.State, c control.CheckpointInfo, log Log) (*folding, *checkpoint.Head, error) {
	head := e.mirror.base
	if head == nil || head.ID != c.ID {
		var err error
		if head, _, err = e.readHead(ctx, c.Control, c.ID); err != nil {
			return nil, nil, err
		}
	}
	if err := agrees(head, c); err != nil {
		return nil, nil, err
	}
	f := newFolding()
	starts := make(map[topic.Partition]topic.Offset, len(head.Partitions))
	for _, p := range head.Partitions {
		if s.TopicDeleted(p.Partition.Topic) {
			continue
		}
		starts[p.Partition] = p.Start
		f.history.Ends[p.Partition], f.history.Stands[p.Partition] = p.End, p.End
	}
	err := head.Rows(ctx, e.store, func(r checkpoint.Row) error {
		start, ok := starts[r.Partition]
		if !ok {
			return nil // deleted since
		}
		if len(r.Producers) > 0 {
			producers, err := sequence.Restore(r.Producers)
			if err != nil {
				return fmt.Errorf("producers of %s: %w: %w", r.Partition, err, checkpoint.ErrCorrupt)
			}
			f.history.Producers[r.Partition] = &producers
		}
		if err := log.Restore(r.Partition, start, r.Entries); err != nil {
			return fmt.Errorf("%w: %w", err, ErrContradiction)
		}
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("checkpoint at %d: %w", c.Control, err)
	}
	for p, start := range starts {
		end := f.history.Ends[p]
		if have, _ := log.Bounds(p); have < start {
			if err := log.Restore(p, start, nil); err != nil { // no row: all of it was deleted, or lies in runs
				return nil, nil, fmt.Errorf("checkpoint at %d: %w: %w", c.Control, err, ErrContradiction)
			}
		}
		if _, have := log.Bounds(p); have < end {
			return nil, nil, fmt.Errorf("checkpoint at %d: %s ends at %d, its rows at %d: %w", c.Control, p, end, have, checkpoint.ErrCorrupt)
		}
	}
	return f, head, nil
}

// agrees checks that a head holds of each journal what the control log says that the checkpoint does.
func agrees(head *checkpoint.Head, c control.CheckpointInfo) error {
	n := 0
	for j, next := range c.Journals() {
		n++
		if have := head.Next(j); have != next {
			return fmt.Errorf("checkpoint at %d holds journal %s up to %d, by the control log up to %d: %w", c.Control, j, have, next, checkpoint.ErrCorrupt)
		}
	}
	if n != len(head.Journals) {
		return fmt.Errorf("checkpoint at %d holds %d journals, by the control log %d: %w", c.Control, len(head.Journals), n, checkpoint.ErrCorrupt)
	}
	return nil
}

// eraBase picks what the next era is recovered from: the newest checkpoint whose head can be read; nil if there is none.
func (e *Engine) eraBase(ctx context.Context) (*checkpoint.Head, error) {
	s := e.State()
	for _, c := range slices.Backward(s.Checkpoints()) {
		if !c.Verified {
			continue
		}
		err := outlived(s, c.Next)
		if err == nil {
			var head *checkpoint.Head
			if head, err = e.baseOf(ctx, c); err == nil {
				return head, nil
			}
		}
		if !unfitCheckpoint(err) {
			return nil, err
		}
		e.dismiss(ctx, c.Control, c.ID, err)
	}
	return nil, outlived(s, nextInNone)
}

// baseOf reads the head of a checkpoint that an era is recovered from, once.
func (e *Engine) baseOf(ctx context.Context, c control.CheckpointInfo) (*checkpoint.Head, error) {
	if e.eras.base != nil && e.eras.base.ID == c.ID {
		return e.eras.base, nil
	}
	head, _, err := e.readHead(ctx, c.Control, c.ID)
	if err == nil {
		err = agrees(head, c)
	}
	if err != nil {
		return nil, err
	}
	e.eras.base = head
	return head, nil
}

// loadBase reads the head of the checkpoint that an era names, nil if it names none. errRebuild: it cannot be used, and
// another era must name one that can.
func (e *Engine) loadBase(ctx context.Context, era control.Era) (*checkpoint.Head, error) {
	if era.Checkpoint == 0 {
		return nil, nil
	}
	c, ok := verifiedAt(e.State(), era.Checkpoint)
	if !ok {
		return nil, fmt.Errorf("era %d is of checkpoint %d: %w: %w", era.Number, era.Checkpoint, errUnkept, errRebuild)
	}
	head, err := e.baseOf(ctx, c)
	if unfitCheckpoint(err) {
		e.dismiss(ctx, c.Control, c.ID, err)
		return nil, fmt.Errorf("era %d: %w: %w", era.Number, err, errRebuild)
	}
	return head, err
}

// reachBase takes in what the open era was loaded with and never held slot by slot: all of it was visible before (I7).
func (e *Engine) reachBase(ctx context.Context, era control.Era, all []*followed) error {
	c, ok := verifiedAt(e.State(), era.Checkpoint)
	if !ok {
		return nil
	}
	if next, counted := c.Next(e.journal), e.index.counted(); next > counted {
		return fmt.Errorf("checkpoint at %d holds slot %d of the own journal, not known to count here: %w", c.Control, next-1, errBehindOwn)
	}
	for _, f := range all {
		if from, to := e.mirror.next(f), c.Next(f.id); from < to {
			if err := e.mirrorFooters(ctx, f, from, to); err != nil {
				return err
			}
		}
	}
	return nil
}

// earlierEffects gives the effects of the control numbers [from, to), which this agent did not apply itself: it began
// from a checkpoint above them. errRebuild: some of what says so was deleted (G4), so that the index must begin at a checkpoint.
func (e *Engine) earlierEffects(ctx context.Context, from, to topic.Slot) ([][]metadata.Effect, error) {
	s := control.New()
	for _, c := range slices.Backward(e.State().Checkpoints()) {
		if !c.Verified || c.Control >= from {
			continue
		}
		_, older, err := e.readHead(ctx, c.Control, c.ID)
		if err == nil {
			s = older
			break
		}
		if !unfitCheckpoint(err) {
			return nil, err
		}
	}
	var out [][]metadata.Effect
	err := e.readNumbers(ctx, s.Next(), to, func(n topic.Slot, payload []byte) error {
		records, err := control.Decode(payload)
		if err != nil {
			return fmt.Errorf("control %d: %w", n, err)
		}
		after, outcomes, err := s.Apply(n, records)
		if err != nil {
			return fmt.Errorf("control %d: %w", n, err)
		}
		if n >= from {
			out = append(out, effectsOf(s, records, outcomes))
		}
		s = after
		return nil
	})
	if errors.Is(err, slotlog.ErrHole) { // all of them were there once
		err = fmt.Errorf("control %d: %w: %w", s.Next(), ErrForgotten, errRebuild)
	}
	return out, err
}
