package embedded_test

import (
	"errors"
	"testing"

	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/metadata/embedded"
	"github.com/odradek/odradek/metadata/metadatatest"
	"github.com/odradek/odradek/topic"
)

func TestRestore_AnEmptySnapshotIsAnEmptyStore(t *testing.T) {
	metadatatest.Run(t, func(*testing.T) metadata.Store {
		return embedded.Restore(embedded.Open().Snapshot(), embedded.NewIdentity())
	})
}

// opened makes a store with era 1 open and one partition that ends at 5.
func opened(t *testing.T) (*embedded.Store, metadata.Pin, topic.Partition) {
	t.Helper()
	s, p := embedded.Open(), topic.Partition{Topic: topic.ID{1}}
	run, replication, _ := s.Identity(t.Context())
	pin := metadata.Pin{Era: 1, RunID: run, ReplicationID: replication}
	for _, err := range []error{
		s.Begin(t.Context(), pin),
		s.Load(t.Context(), pin, []metadata.Effect{metadata.PartitionAdded{Partition: p, Next: 5}}),
		s.Loaded(t.Context(), pin, 0), s.Open(t.Context(), pin, 0, nil),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return s, pin, p
}

func TestRestore_UnderTheSameIdentityGoesBackUnseen(t *testing.T) {
	s, pin, p := opened(t)
	snapshot := s.Snapshot()
	if err := s.Register(t.Context(), pin, topic.JournalID{7}, ""); err != nil {
		t.Fatal(err)
	}
	back := embedded.Restore(snapshot, snapshot.Identity())
	ends, err := back.Ends(t.Context(), pin, []topic.Partition{p})
	if err != nil || ends[0].Next != 5 {
		t.Fatalf("ends %v, %v; want what the snapshot held", ends, err)
	}
	if counters, err := back.Counters(t.Context(), pin); err != nil || len(counters) != 0 {
		t.Fatalf("counters %v, %v; want none, they are younger than the snapshot", counters, err)
	}
}

func TestRestore_UnderAnotherIdentityNoEraFits(t *testing.T) {
	s, pin, p := opened(t)
	id := embedded.NewIdentity()
	promoted := embedded.Restore(s.Snapshot(), id)
	same := metadata.Pin{Era: 1, RunID: id.RunID, ReplicationID: id.ReplicationID}
	for _, wrong := range []metadata.Pin{pin, same} {
		if _, err := promoted.Ends(t.Context(), wrong, []topic.Partition{p}); !errors.Is(err, metadata.ErrEra) {
			t.Errorf("ends under %v: %v, want ErrEra", wrong, err)
		}
		if err := promoted.Begin(t.Context(), wrong); !errors.Is(err, metadata.ErrEra) {
			t.Errorf("begin under %v: %v, want ErrEra", wrong, err)
		}
	}
	status, err := promoted.Current(t.Context(), 1)
	if err != nil || status.OpenEra != 1 || status.Open() {
		t.Fatalf("status %+v, %v; want era 1 open for somebody else", status, err)
	}
	next := same
	next.Era = 2
	if err := promoted.Begin(t.Context(), next); err != nil {
		t.Fatalf("begin of the next era: %v", err)
	}
}
