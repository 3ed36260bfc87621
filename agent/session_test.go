package agent

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/odradek/odradek/agent/api"
	"github.com/odradek/odradek/agent/cluster"
	"github.com/odradek/odradek/agent/ingest"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/topic"
)

// An owner whose own slot does not fit its index in memory acks what counts, and decides nothing by that index: a wrong end
// makes clients skip records (I7).
func TestSession_ContradictionDecidesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := alone(t)
		id, err := l.cluster.CreateTopic(t.Context(), cluster.NewTopic{Name: "t", Partitions: 1})
		if err != nil {
			t.Fatal(err)
		}
		p := topic.Partition{Topic: id}
		latest := func() error {
			return (&apiOffsets{l.session}).Lookup(t.Context(), []api.OffsetQuery{{Partition: p, Kind: api.OffsetLatest}})[0].Err
		}
		if err := latest(); err != nil {
			t.Fatal(err)
		}
		if err := l.fetch.Add(topic.JournalID{9}, segment.SlotExtents{Extents: []segment.Extent{{Partition: p, Base: 0, Next: 5}}}); err != nil {
			t.Fatal(err)
		}
		// The journal ends for it, which may come before the ack does.
		if at, err := l.write(t, p, 0); at != 0 || err != nil && !errors.Is(err, cluster.ErrContradiction) {
			t.Fatalf("written at %d, %v", at, err)
		}
		if err := l.cluster.Sound(); !errors.Is(err, cluster.ErrContradiction) {
			t.Errorf("sound: %v, want ErrContradiction", err)
		}
		// Once the journal has ended it owns nothing; until then it cannot prove that it is the owner.
		if err := latest(); !errors.Is(err, api.ErrUnproved) && !errors.Is(err, ingest.ErrNotOwner) {
			t.Errorf("the latest offset: %v, want ErrUnproved or ErrNotOwner", err)
		}
		if err := (&groupLog{l.session}).Proof(t.Context(), time.Now()); !errors.Is(err, cluster.ErrContradiction) {
			t.Errorf("a decision about a group: %v, want ErrContradiction", err)
		}
	})
}
