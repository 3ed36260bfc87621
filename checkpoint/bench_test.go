package checkpoint

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/odradek/odradek/index"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/memory"
	"github.com/odradek/odradek/sequence"
	"github.com/odradek/odradek/topic"
)

// million is a checkpoint of 1,000,000 extents of 1,000 partitions of 10 topics, written by 10 journals, with 10 producers
// each, and the next one: 40,000 extents later.
func million() (first, second *Head, news, later News) {
	rng := rand.New(rand.NewPCG(1, 2))
	const partitions, each, more = 1000, 1000, 40
	var journals [10]topic.JournalID
	for i := range journals {
		for b := range journals[i] {
			journals[i][b] = byte(rng.Uint32())
		}
	}
	first, second = &Head{Control: 1000, ID: [16]byte{1}}, &Head{Control: 2000, Previous: 1000, ID: [16]byte{2}}
	for i, j := range journals {
		first.Journals = append(first.Journals, Journal{j, topic.Slot(1000 + i)})
	}
	var ids [10]topic.ID
	for i := range ids {
		ids[i] = topic.ID{byte(i * 20), 1: byte(rng.Uint32()), 2: byte(rng.Uint32())}
	}
	for i := range partitions {
		p := topic.Partition{Topic: ids[i/100], Index: int32(i % 100)}
		var at topic.Offset
		var producers sequence.State
		row, next := Row{Partition: p}, Row{Partition: p}
		for n := range each + more {
			records := topic.Offset(1 + rng.IntN(40))
			length := uint32(2000 + rng.IntN(6000))
			e := index.Entry{
				Journal: journals[i%10], Slot: topic.Slot(n), Base: at, Next: at + records, Position: rng.Uint32N(8 << 20),
				Length: length, RawLength: length + rng.Uint32N(4000), CRC32C: rng.Uint32(), MaxTimestamp: 1_700_000_000_000 + int64(n)*250,
			}
			at = e.Next
			producers.Apply(sequence.Delta{Partition: p, ProducerID: int64(n % 10), FirstSequence: int32(n / 10), Base: e.Base, Next: e.Next, Timestamp: e.MaxTimestamp})
			if n < each {
				row.Entries = append(row.Entries, e)
			} else {
				next.Entries = append(next.Entries, e)
			}
			if n == each-1 {
				first.Partitions = append(first.Partitions, Partition{Partition: p, End: at})
				news.Producers = append(news.Producers, Row{Partition: p, Producers: producers.AppendSnapshot(nil)})
			}
		}
		second.Partitions = append(second.Partitions, Partition{Partition: p, End: at})
		later.Producers = append(later.Producers, Row{Partition: p, Producers: producers.AppendSnapshot(nil)})
		news.Extents, later.Extents = append(news.Extents, row), append(later.Extents, next)
	}
	return first, second, news, later
}

func size(h *Head, planned topic.Slot) (bytes float64, parts float64) {
	for _, p := range h.Parts {
		if p.Planned == planned {
			bytes += float64(p.Size)
			parts++
		}
	}
	return bytes, parts
}

func writeAll(ctx context.Context, store objectstore.Store, before, h *Head, news News) error {
	return Compose(ctx, store, before, h, news, func(p Part) (PartRef, error) { return p.Write(ctx, store) })
}

func BenchmarkCompose(b *testing.B) {
	first, second, news, later := million()
	b.Run("first-1M", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := writeAll(b.Context(), memory.New(), nil, first, news); err != nil {
				b.Fatal(err)
			}
		}
		bytes, parts := size(first, first.Control)
		b.ReportMetric(bytes/1e6, "B/extent")
		b.ReportMetric(parts, "PUTs")
	})
	store := memory.New()
	if err := writeAll(b.Context(), store, nil, first, news); err != nil {
		b.Fatal(err)
	}
	b.Run("next-40k", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := writeAll(b.Context(), store, first, second, later); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			for _, p := range second.Parts {
				if p.Planned == second.Control {
					_ = store.Delete(b.Context(), p.Key())
				}
			}
			b.StartTimer()
		}
		bytes, parts := size(second, second.Control)
		b.ReportMetric(bytes, "written-B")
		b.ReportMetric(parts, "PUTs")
	})
}

func BenchmarkRows(b *testing.B) {
	first, _, news, _ := million()
	store := memory.New()
	if err := writeAll(b.Context(), store, nil, first, news); err != nil {
		b.Fatal(err)
	}
	b.Run("1M", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			n := 0
			err := first.Rows(b.Context(), store, func(r Row) error { n += len(r.Entries); return nil })
			if err != nil || n != 1_000_000 {
				b.Fatal(n, err)
			}
		}
		b.ReportMetric(float64(len(first.Parts)), "GETs")
	})
}
