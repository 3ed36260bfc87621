package embedded

import (
	"maps"
	"slices"

	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/topic"
)

// Identity names a store: one process of it, and one history of its contents.
type Identity struct{ RunID, ReplicationID string }

// NewIdentity draws an identity that no store had.
func NewIdentity() Identity { return Identity{RunID: randomID(), ReplicationID: randomID()} }

// Snapshot is what a store held at one moment, as a file that Redis saves. It does not change.
type Snapshot struct {
	identity Identity
	open     uint64
	stale    uint64
	eras     map[uint64]*era
}

// Identity is that of the store at that moment.
func (n *Snapshot) Identity() Identity { return n.identity }

// Snapshot copies the contents.
func (s *Store) Snapshot() *Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &Snapshot{Identity{s.runID, s.replicationID}, s.open, s.stale, cloneEras(s.eras)}
}

// Restore makes a store with a snapshot's contents. Under another identity than the snapshot's no era in it can be used
// any more, as in Redis, which keeps the identity beside the era.
func Restore(n *Snapshot, id Identity) *Store {
	s := &Store{
		runID: id.RunID, replicationID: id.ReplicationID,
		open: n.open, stale: n.stale, eras: cloneEras(n.eras),
	}
	if id != n.identity {
		for number := range n.eras {
			s.stale = max(s.stale, number)
		}
		s.stale = max(s.stale, n.open)
	}
	return s
}

func cloneEras(eras map[uint64]*era) map[uint64]*era {
	out := make(map[uint64]*era, len(eras))
	for number, e := range eras {
		c := &era{
			loaded: e.loaded, applied: e.applied, progress: e.progress,
			journals: make(map[topic.JournalID]*journal, len(e.journals)),
			ends:     maps.Clone(e.ends), counters: maps.Clone(e.counters),
			copies: make(map[copySet]map[string]metadata.Copy, len(e.copies)),
		}
		for id, j := range e.journals {
			c.journals[id] = &journal{status: j.status, first: j.first, floor: j.floor, log: slices.Clip(j.log)} // entries never change
		}
		for set, of := range e.copies {
			c.copies[set] = maps.Clone(of)
		}
		out[number] = c
	}
	return out
}
