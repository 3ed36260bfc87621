package embedded

import (
	"context"
	"slices"

	"github.com/odradek/odradek/metadata"
)

// ear is one listener: the kinds it has not heard yet, and a signal that there are some.
type ear struct {
	pending metadata.Kinds // guarded by Store.mu
	signal  chan struct{}  // holds at most one
}

// Ring implements metadata.Doorbell.
func (s *Store) Ring(_ context.Context, kinds metadata.Kinds) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ring(kinds)
	return nil
}

// ring tells every listener. The caller holds mu.
func (s *Store) ring(kinds metadata.Kinds) {
	for _, e := range s.ears {
		e.pending |= kinds
		select {
		case e.signal <- struct{}{}:
		default:
		}
	}
}

// Listen implements metadata.Doorbell.
func (s *Store) Listen(ctx context.Context, heard func(metadata.Kinds)) error {
	e := &ear{signal: make(chan struct{}, 1)}
	s.mu.Lock()
	s.ears = append(s.ears, e)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.ears = slices.DeleteFunc(s.ears, func(other *ear) bool { return other == e })
		s.mu.Unlock()
	}()
	heard(metadata.AllKinds)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-e.signal:
		}
		s.mu.Lock()
		kinds := e.pending
		e.pending = 0
		s.mu.Unlock()
		heard(kinds)
	}
}
