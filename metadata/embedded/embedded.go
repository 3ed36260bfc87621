package embedded

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"maps"
	"slices"
	"sync"

	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/topic"
)

var _ metadata.Store = (*Store)(nil)

// Store is a metadata store in memory. Safe for concurrent use.
type Store struct {
	runID, replicationID string

	mu    sync.Mutex // guards what follows
	open  uint64     // the open era, 0 if none
	stale uint64     // eras up to this one are for another identity: the contents were restored from its snapshot
	eras  map[uint64]*era
	ears  []*ear // in the order in which they came
}

// era is the contents of one era.
type era struct {
	loaded   bool
	applied  topic.Slot
	progress uint64
	journals map[topic.JournalID]*journal
	ends     map[topic.Partition]span
	counters map[topic.JournalID]uint64
	copies   map[copySet]map[string]metadata.Copy
}

// journal holds the status of a journal and its segments: log[i] is slot first+i, and status.Next = first+len(log).
type journal struct {
	status metadata.JournalStatus
	first  topic.Slot
	floor  topic.Slot // segments below were dropped, but for the newest one
	log    []metadata.Segment
}

// drop forgets the segments below floor, but for the newest one.
func (j *journal) drop(below topic.Slot) {
	j.floor = max(j.floor, below)
	if j.status.Next == j.first || j.floor <= j.first {
		return
	}
	gone := min(j.floor, j.status.Next-1) - j.first
	j.log, j.first = slices.Clone(j.log[gone:]), j.first+gone
}

type span struct{ start, next topic.Offset }

// Open returns an empty store with an identity of its own.
func Open() *Store {
	return &Store{
		runID:         randomID(),
		replicationID: randomID(),
		eras:          make(map[uint64]*era),
	}
}

func randomID() string {
	var b [20]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// Close does nothing: the contents go with the last reference.
func (s *Store) Close() error { return nil }

// Identity returns what Open drew.
func (s *Store) Identity(context.Context) (runID, replicationID string, err error) {
	return s.runID, s.replicationID, nil
}

// pinned returns the era that pin names, nil if it could be begun. The caller holds mu.
func (s *Store) pinned(pin metadata.Pin) (*era, error) {
	if pin.Era == 0 || pin.RunID != s.runID || pin.ReplicationID != s.replicationID || pin.Era < s.open || pin.Era <= s.stale {
		return nil, metadata.ErrEra
	}
	return s.eras[pin.Era], nil
}

// readable returns the pinned era if it is open. The caller holds mu.
func (s *Store) readable(pin metadata.Pin) (*era, error) {
	e, err := s.begun(pin)
	if err == nil && s.open != pin.Era {
		return nil, metadata.ErrNotOpen
	}
	return e, err
}

// writable returns the pinned era if it is open or loaded. The caller holds mu.
func (s *Store) writable(pin metadata.Pin) (*era, error) {
	e, err := s.begun(pin)
	if err == nil && !e.loaded {
		return nil, metadata.ErrNotLoaded
	}
	return e, err
}

// begun returns the pinned era if it is open or being built. The caller holds mu.
func (s *Store) begun(pin metadata.Pin) (*era, error) {
	e, err := s.pinned(pin)
	if err == nil && e == nil {
		return nil, metadata.ErrEra
	}
	return e, err
}

// room returns the pinned era and makes it if it is not there. The caller holds mu.
func (s *Store) room(pin metadata.Pin) (*era, error) {
	e, err := s.pinned(pin)
	if err == nil && e == nil {
		e = &era{
			journals: make(map[topic.JournalID]*journal),
			ends:     make(map[topic.Partition]span),
			counters: make(map[topic.JournalID]uint64),
			copies:   make(map[copySet]map[string]metadata.Copy),
		}
		s.eras[pin.Era] = e
	}
	return e, err
}

// journal returns the era's journal and makes it if it is not there.
func (e *era) journal(id topic.JournalID) *journal {
	j := e.journals[id]
	if j == nil {
		j = &journal{}
		e.journals[id] = j
	}
	return j
}

// Current implements metadata.Eras.
func (s *Store) Current(_ context.Context, number uint64) (metadata.EraStatus, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	status := metadata.EraStatus{
		RunID: s.runID, ReplicationID: s.replicationID,
		OpenEra: s.open, OpenPinned: s.open > s.stale, Number: number,
		Journals: make(map[topic.JournalID]metadata.JournalStatus),
	}
	if e := s.eras[number]; e != nil {
		status.Begun, status.Loaded, status.Applied, status.Progress = true, e.loaded, e.applied, e.progress
		for id, j := range e.journals {
			status.Journals[id] = j.status
		}
	}
	return status, nil
}

// Counters implements metadata.Heartbeats.
func (s *Store) Counters(_ context.Context, pin metadata.Pin) (map[topic.JournalID]uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := s.begun(pin)
	if err != nil {
		return nil, err
	}
	return maps.Clone(e.counters), nil
}

// Register implements metadata.Heartbeats. info is not kept: there is one agent.
func (s *Store) Register(_ context.Context, pin metadata.Pin, id topic.JournalID, _ string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := s.begun(pin)
	if err != nil {
		return err
	}
	e.counters[id] += 0
	return nil
}

// Beat implements metadata.Heartbeats.
func (s *Store) Beat(_ context.Context, pin metadata.Pin, id topic.JournalID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := s.begun(pin)
	if err != nil {
		return err
	}
	if _, ok := e.counters[id]; !ok {
		return metadata.ErrNotRegistered
	}
	e.counters[id]++
	return nil
}

// Remove implements metadata.Heartbeats.
func (s *Store) Remove(_ context.Context, pin metadata.Pin, ids []topic.JournalID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := s.begun(pin)
	if err != nil {
		return err
	}
	for _, id := range ids {
		delete(e.counters, id)
	}
	return nil
}
