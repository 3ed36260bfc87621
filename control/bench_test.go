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
