package fetch

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/topic"
)

// metered counts what is read of slots.
type metered struct {
	objectstore.Store
	gets, bytes atomic.Int64
}

func (m *metered) GetRange(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	b, err := m.Store.GetRange(ctx, key, offset, length)
	m.gets.Add(1)
	m.bytes.Add(int64(len(b)))
	return b, err
}

const scanned = 12 // slots

// scannable is a bench with slots of many partitions, and what was read of them.
func scannable(t *testing.T, partitions int) (*bench, *metered) {
	b := newBench(Config{TailBytes: 1 << 20, CatchUpBytes: 170 << 20})
	m := &metered{Store: b.store}
	b.Engine = New(m, Config{TailBytes: 1 << 20, CatchUpBytes: 170 << 20})
	for n := range scanned {
		var all []in
		for i, p := range partitionsOf(partitions) {
			all = append(all, in{p, []string{value(n*partitions+i, 2000)}})
		}
		b.write(t, false, segment.None, all...)
	}
	return b, m
}

// scan reads partitions slot by slot, as consumers do that are at the same place, and gives the bytes that came.
func scan(t *testing.T, e *Engine, all []topic.Partition) (size int64) {
	t.Helper()
	for n := range topic.Offset(scanned) {
		for _, p := range all {
			r := e.Read(t.Context(), Request{MaxBytes: 1 << 20, Parts: []Part{{Partition: p, Offset: n, MaxBytes: 1}}})[0]
			if r.Err != nil || len(r.Records) == 0 {
				t.Fatalf("%s at %d: %d rows, %v", p, n, len(r.Records), r.Err)
			}
			for _, row := range r.Records {
				size += int64(len(row))
			}
		}
	}
	return size
}

// Before compaction, too, who reads one of a thousand partitions reads hardly anything of the others; who reads all of them
// comes to large chunks, whether slot by slot or one partition after the other.
func TestSlots_OneOfAThousandPartitions(t *testing.T) {
	const partitions = 1000
	all := partitionsOf(partitions)
	for _, c := range []struct {
		name  string
		read  func(*bench) int64
		gets  int64 // most
		ratio float64
	}{
		{"the first", func(b *bench) int64 { return scan(t, b.Engine, all[:1]) }, scanned, 1.1},
		{"one in the middle", func(b *bench) int64 { return consume(t, b.Engine, all[500]) }, scanned, 1.1},
		{"two far from each other", func(b *bench) int64 { return scan(t, b.Engine, []topic.Partition{all[3], all[700]}) }, 2 * scanned, 1.7},
		{"all, slot by slot", func(b *bench) int64 { return scan(t, b.Engine, all) }, 3 * scanned, 1.3},
		{"all, one after the other", func(b *bench) (size int64) {
			for _, p := range all {
				size += consume(t, b.Engine, p)
			}
			return size
		}, 12 * scanned, 2},
	} {
		b, m := scannable(t, partitions)
		size := c.read(b)
		gets, ratio := m.gets.Load(), float64(m.bytes.Load())/float64(size)
		t.Logf("%s: %d GETs of %d slots, %.2f bytes for each delivered", c.name, gets, scanned, ratio)
		if gets > c.gets || ratio > c.ratio {
			t.Errorf("%s: %d GETs, %.2f bytes for each delivered; want %d and %.2f at most", c.name, gets, ratio, c.gets, c.ratio)
		}
	}
}
