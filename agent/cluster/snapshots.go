package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

var (
	// ErrSnapshotExists says that a snapshot has the name.
	ErrSnapshotExists = errors.New("snapshot exists")
	// ErrNoSnapshot says that no snapshot has the name.
	ErrNoSnapshot = errors.New("no such snapshot")
)

// endsAtOnce is how many journals' ends are looked for at once.
const endsAtOnce = 16

// Snapshot keeps the cluster as it is at a moment during the call under a name: everything that was acked before the call is
// in it. It can be called beside agents that go on. The moment is void if another record takes its number (G6): then the next
// one is taken. Errors: ErrSnapshotExists; ErrVoid.
func (e *Engine) Snapshot(ctx context.Context, name string) (*control.Pin, error) {
	r := control.Snapshot{Name: name}
	rand.Read(r.ID[:])
	known := make(map[topic.JournalID]topic.Slot) // slots below count
	outcomes, err := e.Propose(ctx, func(s *control.State) ([]control.Record, error) {
		if _, ok := s.SnapshotNamed(name); ok {
			return nil, fmt.Errorf("%w: %s", ErrSnapshotExists, name)
		}
		var err error
		r.Moment, err = e.moment(ctx, s, known)
		return []control.Record{r}, err
	})
	if err != nil {
		return nil, fmt.Errorf("snapshot %s: %w", name, err)
	}
	if outcomes[0].Void {
		return nil, fmt.Errorf("snapshot %s: %w: %s", name, ErrVoid, outcomes[0].Why)
	}
	p, _ := e.State().Pin(r.ID)
	return p, nil
}

// moment finds where the open journals of a state end. Control records come first, so that what they say of a journal, such as
// a RELEASE, lies below its end. Every end is looked for twice: between the first of the second readings and the last there is
// hardly time for a record to count, to be read, and for the offset behind it to be committed and to count elsewhere.
func (e *Engine) moment(ctx context.Context, s *control.State, known map[topic.JournalID]topic.Slot) (control.Moment, error) {
	m := control.Moment{Number: s.Next() - 1}
	newest, _ := s.NewestCheckpoint()
	m.Base = control.BaseCheckpoint{Control: newest.Control, ID: newest.ID}
	open := s.OpenJournals()
	for _, j := range open {
		m.Journals = append(m.Journals, control.JournalNext{Journal: j.ID, Next: max(j.Trim, newest.Next(j.ID), known[j.ID])})
	}
	for range 2 {
		g, ctx := errgroup.WithContext(ctx)
		g.SetLimit(endsAtOnce)
		for i := range m.Journals {
			g.Go(func() (err error) {
				j := &m.Journals[i]
				j.Next, err = e.countedFrom(ctx, open[i], j.Next)
				return err
			})
		}
		if err := g.Wait(); err != nil {
			return control.Moment{}, err
		}
	}
	for _, j := range m.Journals {
		known[j.Journal] = j.Next
	}
	return m, nil
}

// countedFrom gives the first slot of a journal that does not count, where those below from do.
func (e *Engine) countedFrom(ctx context.Context, j *control.Journal, from topic.Slot) (topic.Slot, error) {
	first, err := slotlog.FirstToSeal(ctx, e.store, j.ID, from, j.K)
	if err != nil {
		return 0, err
	}
	return slotlog.FirstFree(ctx, e.store, j.ID, first)
}

// DeleteSnapshot gives a snapshot up. Forks that began from it stay. Errors: ErrNoSnapshot.
func (e *Engine) DeleteSnapshot(ctx context.Context, name string) error {
	_, err := e.Propose(ctx, func(s *control.State) ([]control.Record, error) {
		p, ok := s.SnapshotNamed(name)
		if !ok {
			return nil, fmt.Errorf("%w: %s", ErrNoSnapshot, name)
		}
		return []control.Record{control.Unpin{Pin: p.ID, Whole: true}}, nil
	})
	return err
}
