package faulty

import (
	"context"
	"fmt"
	"time"

	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/metadata/embedded"
	"github.com/odradek/odradek/topic"
)

// What the faults of this package answer; all are metadata.ErrUnavailable.
var (
	ErrRefused = fmt.Errorf("%w: refused", metadata.ErrUnavailable)     // nothing happened
	ErrLost    = fmt.Errorf("%w: answer lost", metadata.ErrUnavailable) // it happened
	ErrCut     = fmt.Errorf("%w: cut off", metadata.ErrUnavailable)
)

// Call is one call about to be made.
type Call struct {
	N        int    // from 1, of all calls of this link
	OfMethod int    // from 1, of the calls of this method
	Method   string // as in the interface
}

// Fault is what a Script does to a call; the zero Fault does nothing.
type Fault struct {
	Delay  time.Duration // before the call is made; the caller's context may end it
	Before error         // answered instead of making the call
	After  error         // answered although the call was made
}

// Script decides about each call. It is called with a lock held and must not block nor call back.
type Script func(Call) Fault

// Store is one agent's link to the world. Safe for concurrent use.
type Store struct {
	world *World

	// guarded by world.mu
	script   Script
	below    *embedded.Store
	cut      bool
	calls    int
	ofMethod map[string]int
}

var _ metadata.Store = (*Store)(nil)

// SetScript replaces the script.
func (s *Store) SetScript(script Script) {
	if script == nil {
		script = func(Call) Fault { return Fault{} }
	}
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	s.script = script
}

// Cut makes every call fail and every ring go unheard until Mend.
func (s *Store) Cut() { s.setCut(true) }

// Mend ends a Cut.
func (s *Store) Mend() { s.setCut(false) }

func (s *Store) setCut(cut bool) {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	s.cut = cut
	s.world.wake()
}

// Calls gives how many calls were made so far.
func (s *Store) Calls() int {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	return s.calls
}

func (s *Store) next(method string) Fault {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	s.calls++
	s.ofMethod[method]++
	if s.cut {
		return Fault{Before: ErrCut}
	}
	return s.script(Call{N: s.calls, OfMethod: s.ofMethod[method], Method: method})
}

// view is what this link sees now, and a channel that is closed when that may have changed.
func (s *Store) view() (below *embedded.Store, cut bool, changed <-chan struct{}) {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	return s.below, s.cut, s.world.changed
}

// call makes one call with whatever the script does to it.
func call[T any](ctx context.Context, s *Store, method string, do func(metadata.Store) (T, error)) (T, error) {
	var none T
	f := s.next(method)
	if f.Delay > 0 {
		timer := time.NewTimer(f.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return none, fmt.Errorf("%s: %w: %w", method, metadata.ErrUnavailable, ctx.Err())
		}
	}
	if f.Before != nil {
		return none, fmt.Errorf("%s: %w", method, f.Before)
	}
	below, cut, _ := s.view()
	if cut { // meanwhile
		return none, fmt.Errorf("%s: %w", method, ErrCut)
	}
	answer, err := do(below)
	if f.After != nil {
		return none, fmt.Errorf("%s: %w", method, f.After)
	}
	return answer, err
}

// act is call for what answers nothing but an error.
func act(ctx context.Context, s *Store, method string, do func(metadata.Store) error) error {
	_, err := call(ctx, s, method, func(m metadata.Store) (struct{}, error) { return struct{}{}, do(m) })
	return err
}

// Close does nothing: the world stays.
func (s *Store) Close() error { return nil }

// Index implements metadata.Index.
func (s *Store) Index(ctx context.Context, pin metadata.Pin, control topic.Slot, segments []metadata.Segment) ([]metadata.Outcome, error) {
	return call(ctx, s, "Index", func(m metadata.Store) ([]metadata.Outcome, error) { return m.Index(ctx, pin, control, segments) })
}

// Segments implements metadata.Index.
func (s *Store) Segments(ctx context.Context, pin metadata.Pin, from []metadata.Cursor, limit int) ([]metadata.Segment, error) {
	return call(ctx, s, "Segments", func(m metadata.Store) ([]metadata.Segment, error) { return m.Segments(ctx, pin, from, limit) })
}

// Ends implements metadata.Index.
func (s *Store) Ends(ctx context.Context, pin metadata.Pin, partitions []topic.Partition) ([]metadata.End, error) {
	return call(ctx, s, "Ends", func(m metadata.Store) ([]metadata.End, error) { return m.Ends(ctx, pin, partitions) })
}

// Apply implements metadata.Index. Number and error of ErrOutOfTurn come together.
func (s *Store) Apply(ctx context.Context, pin metadata.Pin, first topic.Slot, effects [][]metadata.Effect) (topic.Slot, error) {
	return call(ctx, s, "Apply", func(m metadata.Store) (topic.Slot, error) { return m.Apply(ctx, pin, first, effects) })
}

// Applied implements metadata.Index.
func (s *Store) Applied(ctx context.Context, pin metadata.Pin) (topic.Slot, error) {
	return call(ctx, s, "Applied", func(m metadata.Store) (topic.Slot, error) { return m.Applied(ctx, pin) })
}

// Identity implements metadata.Eras.
func (s *Store) Identity(ctx context.Context) (runID, replicationID string, err error) {
	id, err := call(ctx, s, "Identity", func(m metadata.Store) (embedded.Identity, error) {
		run, replication, err := m.Identity(ctx)
		return embedded.Identity{RunID: run, ReplicationID: replication}, err
	})
	return id.RunID, id.ReplicationID, err
}

// Current implements metadata.Eras.
func (s *Store) Current(ctx context.Context, era uint64) (metadata.EraStatus, error) {
	return call(ctx, s, "Current", func(m metadata.Store) (metadata.EraStatus, error) { return m.Current(ctx, era) })
}

// Reattach implements metadata.Eras.
func (s *Store) Reattach(ctx context.Context, pin metadata.Pin, journal topic.JournalID, counted topic.Slot) error {
	return act(ctx, s, "Reattach", func(m metadata.Store) error { return m.Reattach(ctx, pin, journal, counted) })
}

// Begin implements metadata.Builder.
func (s *Store) Begin(ctx context.Context, pin metadata.Pin) error {
	return act(ctx, s, "Begin", func(m metadata.Store) error { return m.Begin(ctx, pin) })
}

// Load implements metadata.Builder.
func (s *Store) Load(ctx context.Context, pin metadata.Pin, effects []metadata.Effect) error {
	return act(ctx, s, "Load", func(m metadata.Store) error { return m.Load(ctx, pin, effects) })
}

// Loaded implements metadata.Builder.
func (s *Store) Loaded(ctx context.Context, pin metadata.Pin, applied topic.Slot) error {
	return act(ctx, s, "Loaded", func(m metadata.Store) error { return m.Loaded(ctx, pin, applied) })
}

// Progress implements metadata.Builder.
func (s *Store) Progress(ctx context.Context, pin metadata.Pin) error {
	return act(ctx, s, "Progress", func(m metadata.Store) error { return m.Progress(ctx, pin) })
}

// Open implements metadata.Builder.
func (s *Store) Open(ctx context.Context, pin metadata.Pin, control topic.Slot, expected []metadata.Expected) error {
	return act(ctx, s, "Open", func(m metadata.Store) error { return m.Open(ctx, pin, control, expected) })
}

// Sweep implements metadata.Builder.
func (s *Store) Sweep(ctx context.Context, pin metadata.Pin, limit int) (bool, error) {
	return call(ctx, s, "Sweep", func(m metadata.Store) (bool, error) { return m.Sweep(ctx, pin, limit) })
}

// Register implements metadata.Heartbeats.
func (s *Store) Register(ctx context.Context, pin metadata.Pin, journal topic.JournalID, info string) error {
	return act(ctx, s, "Register", func(m metadata.Store) error { return m.Register(ctx, pin, journal, info) })
}

// Beat implements metadata.Heartbeats.
func (s *Store) Beat(ctx context.Context, pin metadata.Pin, journal topic.JournalID) error {
	return act(ctx, s, "Beat", func(m metadata.Store) error { return m.Beat(ctx, pin, journal) })
}

// Counters implements metadata.Heartbeats.
func (s *Store) Counters(ctx context.Context, pin metadata.Pin) (map[topic.JournalID]uint64, error) {
	return call(ctx, s, "Counters", func(m metadata.Store) (map[topic.JournalID]uint64, error) { return m.Counters(ctx, pin) })
}

// Remove implements metadata.Heartbeats.
func (s *Store) Remove(ctx context.Context, pin metadata.Pin, journals []topic.JournalID) error {
	return act(ctx, s, "Remove", func(m metadata.Store) error { return m.Remove(ctx, pin, journals) })
}

// Ring implements metadata.Doorbell.
func (s *Store) Ring(ctx context.Context, kinds metadata.Kinds) error {
	return act(ctx, s, "Ring", func(m metadata.Store) error { return m.Ring(ctx, kinds) })
}

// Listen implements metadata.Doorbell: it follows the link to whatever store that leads to.
func (s *Store) Listen(ctx context.Context, heard func(metadata.Kinds)) error {
	for ctx.Err() == nil {
		below, cut, changed := s.view()
		here, leave := context.WithCancel(ctx)
		listening := make(chan struct{})
		go func() {
			defer close(listening)
			if !cut {
				_ = below.Listen(here, heard) // ends with here
			}
		}()
		select {
		case <-changed:
		case <-ctx.Done():
		}
		leave()
		<-listening
	}
	return ctx.Err()
}

// Put implements metadata.Copies.
func (s *Store) Put(ctx context.Context, pin metadata.Pin, copies []metadata.Copy) error {
	return act(ctx, s, "Put", func(m metadata.Store) error { return m.Put(ctx, pin, copies) })
}

// Get implements metadata.Copies.
func (s *Store) Get(ctx context.Context, pin metadata.Pin, kind metadata.CopyKind, partition topic.Partition, keys []string) ([]metadata.Copy, error) {
	return call(ctx, s, "Get", func(m metadata.Store) ([]metadata.Copy, error) { return m.Get(ctx, pin, kind, partition, keys) })
}

// All implements metadata.Copies.
func (s *Store) All(ctx context.Context, pin metadata.Pin, kind metadata.CopyKind, partition topic.Partition) ([]metadata.Copy, error) {
	return call(ctx, s, "All", func(m metadata.Store) ([]metadata.Copy, error) { return m.All(ctx, pin, kind, partition) })
}

// Drop implements metadata.Copies.
func (s *Store) Drop(ctx context.Context, pin metadata.Pin, kind metadata.CopyKind, partition topic.Partition) error {
	return act(ctx, s, "Drop", func(m metadata.Store) error { return m.Drop(ctx, pin, kind, partition) })
}
