package metadatatest

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/topic"
)

// Run runs the suite; open returns a new, empty store each time.
func Run(t *testing.T, open func(t *testing.T) metadata.Store) {
	parts := []struct {
		name  string
		tests []story
	}{
		{"Index", indexStories}, {"Apply", applyStories}, {"Eras", eraStories},
		{"Heartbeats", heartbeatStories}, {"Doorbell", doorbellStories}, {"Copies", copyStories},
	}
	for _, part := range parts {
		t.Run(part.name, func(t *testing.T) {
			for _, s := range part.tests {
				t.Run(s.name, func(t *testing.T) { s.tell(&bench{T: t, store: open(t)}) })
			}
		})
	}
}

type story struct {
	name string
	tell func(b *bench)
}

// bench is a store under test with shorthands that end the test when a step that must succeed fails.
type bench struct {
	*testing.T
	store metadata.Store
}

// journal and partition make nouns that differ by a number.
func journal(n byte) topic.JournalID { return topic.JournalID{0: 0xa0, 15: n} }

func partition(n int32) topic.Partition {
	return topic.Partition{Topic: topic.ID{0: 0xff, 1: byte(n / 3)}, Index: n}
}

// pin names an era for the store's own identity.
func (b *bench) pin(era uint64) metadata.Pin {
	b.Helper()
	run, replication, err := b.store.Identity(b.Context())
	b.must("identity", err)
	return metadata.Pin{Era: era, RunID: run, ReplicationID: replication}
}

func (b *bench) must(what string, err error) {
	b.Helper()
	if err != nil {
		b.Fatalf("%s: %v", what, err)
	}
}

func (b *bench) wantErr(what string, err, want error) {
	b.Helper()
	if !errors.Is(err, want) {
		b.Fatalf("%s: error %v, want %v", what, err, want)
	}
}

func (b *bench) same(what string, got, want any) {
	b.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		b.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

// opened opens era 1 with journals 1 and 2, attached, partitions 0 to 3 empty, and control number 1 applied.
func (b *bench) opened() metadata.Pin {
	b.Helper()
	pin := b.loaded(1)
	b.must("open", b.store.Open(b.Context(), pin, 1, []metadata.Expected{{Journal: journal(1)}, {Journal: journal(2)}}))
	return pin
}

// loaded brings an era to where opened opens it.
func (b *bench) loaded(era uint64) metadata.Pin {
	b.Helper()
	pin := b.pin(era)
	b.must("begin", b.store.Begin(b.Context(), pin))
	b.must("re-attach 1", b.store.Reattach(b.Context(), pin, journal(1), 0))
	b.must("re-attach 2", b.store.Reattach(b.Context(), pin, journal(2), 0))
	b.must("loaded", b.store.Loaded(b.Context(), pin, 0))
	effects := []metadata.Effect{metadata.JournalOpened{Journal: journal(1)}, metadata.JournalOpened{Journal: journal(2)}}
	for n := range int32(4) {
		effects = append(effects, metadata.PartitionAdded{Partition: partition(n)})
	}
	b.apply(pin, 1, effects...)
	return pin
}

// apply applies one control record.
func (b *bench) apply(pin metadata.Pin, n topic.Slot, effects ...metadata.Effect) {
	b.Helper()
	applied, err := b.store.Apply(b.Context(), pin, n, [][]metadata.Effect{effects})
	b.must("apply", err)
	if applied != n {
		b.Fatalf("applied %d, want %d", applied, n)
	}
}

// index indexes segments at control number 1 and compares the outcomes.
func (b *bench) index(pin metadata.Pin, segments []metadata.Segment, want ...metadata.Outcome) {
	b.Helper()
	b.indexAt(pin, 1, segments, want...)
}

func (b *bench) indexAt(pin metadata.Pin, control topic.Slot, segments []metadata.Segment, want ...metadata.Outcome) {
	b.Helper()
	got, err := b.store.Index(b.Context(), pin, control, segments)
	b.must("index", err)
	if !slices.Equal(got, want) {
		b.Fatalf("index: %v, want %v", got, want)
	}
}

// segment makes a segment of extents [base, next), given as triples of partition, base and next.
func segment(j byte, slot topic.Slot, triples ...int64) metadata.Segment {
	s := metadata.Segment{Journal: journal(j), Slot: slot}
	for i := 0; i < len(triples); i += 3 {
		s.Extents = append(s.Extents, metadata.Extent{
			Partition: partition(int32(triples[i])), Epoch: 3,
			Base: topic.Offset(triples[i+1]), Next: topic.Offset(triples[i+2]),
			Position: uint32(100 * i), Length: 90, RawLength: 300, CRC32C: 0xdeadbeef, MaxTimestamp: 1700000000000 + int64(slot),
		})
	}
	return s
}

func many(segments ...metadata.Segment) []metadata.Segment { return segments }

// wantEnds compares log ends of partitions 0, 1, ... in order.
func (b *bench) wantEnds(pin metadata.Pin, want ...topic.Offset) {
	b.Helper()
	var partitions []topic.Partition
	for n := range want {
		partitions = append(partitions, partition(int32(n)))
	}
	ends, err := b.store.Ends(b.Context(), pin, partitions)
	b.must("ends", err)
	for n, end := range ends {
		if !end.Known || end.Next != want[n] {
			b.Fatalf("end of partition %d: %+v, want %d", n, end, want[n])
		}
	}
}

// wantLog compares what the index holds of a journal from a slot on.
func (b *bench) wantLog(pin metadata.Pin, j byte, from topic.Slot, want ...metadata.Segment) {
	b.Helper()
	got, err := b.store.Segments(b.Context(), pin, []metadata.Cursor{{Journal: journal(j), From: from}}, 1000)
	b.must("segments", err)
	b.same("segments", got, want)
}
