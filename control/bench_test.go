package control

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/odradek/odradek/topic"
)

// bigState has 10,000 topics of 100 partitions, all owned by one journal.
func bigState(b *testing.B) (*State, topic.JournalID) {
	b.Helper()
	a := topic.JournalID{1}
	s, _, err := New().Apply(0, []Record{Genesis{"c", 1}, JournalOpen{ID: a, K: 4, Format: 1}})
	owners := make([]topic.JournalID, 100)
	for i := range owners {
		owners[i] = a
	}
	for i := range 10_000 {
		if err != nil {
			b.Fatal(err)
		}
		s, _, err = s.Apply(s.Next(), []Record{TopicCreate{ID: topicID(i), Name: fmt.Sprint("topic-", i), Journals: owners}})
	}
	return s, a
}

func topicID(i int) (id topic.ID) {
	binary.BigEndian.PutUint64(id[:], uint64(i+1)*0x9e3779b97f4a7c15)
	return id
}

func BenchmarkApply(b *testing.B) {
	s, a := bigState(b)
	b.Run("Assign/1M-partitions", func(b *testing.B) {
		r := []Record{Assign{topic.Partition{Topic: topicID(77), Index: 7}, 0, a, 5, 0}}
		b.ReportAllocs()
		for b.Loop() {
			if _, out, err := s.Apply(s.Next(), r); err != nil || out[0].Void {
				b.Fatal(out, err)
			}
		}
	})
	b.Run("TopicCreate-100p/1M-partitions", func(b *testing.B) {
		owners := make([]topic.JournalID, 100)
		for i := range owners {
			owners[i] = a
		}
		r := []Record{TopicCreate{ID: topic.ID{1, 2, 3}, Name: "new", Journals: owners}}
		b.ReportAllocs()
		for b.Loop() {
			if _, out, err := s.Apply(s.Next(), r); err != nil || out[0].Void {
				b.Fatal(out, err)
			}
		}
	})
	b.Run("JournalOpen-sealing-1M-partitions", func(b *testing.B) {
		open := JournalOpen{ID: topic.JournalID{2}, NodeID: 1, K: 4, Format: 1, Predecessors: []JournalSealed{{Journal: a}}}
		for _, x := range s.PartitionsOf(a) {
			open.Predecessors[0].Parts = append(open.Predecessors[0].Parts, Reassigned{x.Partition, x.Epoch, open.ID, 9})
		}
		payload, err := Encode([]Record{open})
		b.ReportMetric(float64(len(payload)), "bytes")
		b.ReportAllocs()
		for b.Loop() {
			if _, out, err2 := s.Apply(s.Next(), []Record{open}); err != nil || err2 != nil || out[0].Void {
				b.Fatal(out, err, err2)
			}
		}
	})
}

func BenchmarkSnapshot(b *testing.B) {
	s, _ := bigState(b)
	snapshot := s.AppendSnapshot(nil)
	b.Run("Append/1M-partitions", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(snapshot)))
		for b.Loop() {
			snapshot = s.AppendSnapshot(snapshot[:0])
		}
	})
	b.Run("Restore/1M-partitions", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(snapshot)))
		for b.Loop() {
			if _, err := Restore(snapshot); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// compactedState has parts partitions of one topic with runs runs each; every object has one of each partition.
func compactedState(b *testing.B, parts, runs int) *State {
	b.Helper()
	a := topic.JournalID{1}
	owners := make([]topic.JournalID, parts)
	for i := range owners {
		owners[i] = a
	}
	s, _, err := New().Apply(0, []Record{Genesis{"c", 1}, JournalOpen{ID: a, K: 4, Format: 1}, TopicCreate{ID: topicID(0), Name: "t", Journals: owners}})
	for range runs {
		if err != nil {
			b.Fatal(err)
		}
		s, _, err = s.Apply(s.Next(), []Record{nextManifest(s, parts)})
	}
	return s
}

// nextManifest compacts some more of each partition.
func nextManifest(s *State, parts int) Manifest {
	m := Manifest{Output: topic.Object{Planned: s.Next() - 1}, Size: 1 << 28}
	binary.BigEndian.PutUint64(m.Output.ID[:], uint64(s.Next())*0x9e3779b97f4a7c15)
	position := uint32(8)
	for i := range parts {
		p := topic.Partition{Topic: topicID(0), Index: int32(i)}
		from := s.Compaction(p).End
		r := topic.Run{Object: m.Output, Base: from, Next: from + 2500 + topic.Offset(i), Level: 1, Position: position, Length: 250_000 + uint32(i)*7,
			Table: 40, CRC32C: uint32(i) * 0x9e3779b9, RawLength: 1 << 20, MaxTimestamp: 1_790_000_000_000 + int64(s.Next())*60_000}
		m.Parts = append(m.Parts, ManifestPart{Partition: p, From: from, To: r.Next, Run: &r})
		position += uint32(r.Size())
	}
	return m
}

func BenchmarkCompaction(b *testing.B) {
	const parts, runs = 1000, 100
	s := compactedState(b, parts, runs)
	b.Run("Manifest-1000p/100k-runs", func(b *testing.B) {
		m := []Record{nextManifest(s, parts)}
		payload, err := Encode(m)
		b.ReportMetric(float64(len(payload)), "bytes")
		b.ReportAllocs()
		for b.Loop() {
			if _, out, err2 := s.Apply(s.Next(), m); err != nil || err2 != nil || out[0].Void {
				b.Fatal(out, err, err2)
			}
		}
	})
	snapshot := s.AppendSnapshot(nil)
	b.Run("Append/100k-runs", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(snapshot)))
		for b.Loop() {
			snapshot = s.AppendSnapshot(snapshot[:0])
		}
	})
	b.Run("Restore/100k-runs", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(snapshot)))
		for b.Loop() {
			if _, err := Restore(snapshot); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(len(snapshot))/(parts*runs), "bytes/run")
	})
}
