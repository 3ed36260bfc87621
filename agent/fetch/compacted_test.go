package fetch

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/topic"
)

// object names the n-th compacted object of a test.
func object(n int) topic.Object {
	return topic.Object{Planned: topic.Slot(n), ID: topic.ObjectID{0xc0, byte(n >> 8), byte(n)}}
}

// stretchOf is a part of a partition's log that goes into a compacted object. Batches that drop names by their base offset are
// left out, as key compaction does.
type stretchOf struct {
	partition  topic.Partition
	base, next topic.Offset
	drop       func(base topic.Offset) bool
}

// compact puts a compacted object of what was written and gives its runs, in the order of parts, whose partitions rise.
func (b *bench) compact(t testing.TB, n int, codec segment.Codec, parts ...stretchOf) []topic.Run {
	t.Helper()
	var body []byte
	w := segment.NewObjectWriter(object(n), func(part []byte) error {
		body = append(body, part...)
		return nil
	}, codec)
	var runs []topic.Run
	for _, part := range parts {
		if err := w.Begin(part.partition, part.base, 1); err != nil {
			t.Fatal(err)
		}
		for rest := b.sent[part.partition]; len(rest) > 0; {
			info, err := recordbatch.Read(rest)
			if err != nil {
				t.Fatal(err)
			}
			if at := info.BaseOffset; at >= part.base && at < part.next && (part.drop == nil || !part.drop(at)) {
				if err := w.Append(rest[:info.Size]); err != nil {
					t.Fatal(err)
				}
			}
			rest = rest[info.Size:]
		}
		run, err := w.End(part.next)
		if err != nil {
			t.Fatal(err)
		}
		runs = append(runs, run)
	}
	size, err := w.Close()
	if err != nil || size != int64(len(body)) {
		t.Fatalf("%d bytes, emitted %d: %v", size, len(body), err)
	}
	if err := b.store.Create(context.Background(), object(n).Key(), objectstore.NewBody(body)); err != nil {
		t.Fatal(err)
	}
	return runs
}

// noise writes batches of orders that nothing packs, one in a slot.
func (b *bench) noise(t testing.TB, batches, size int) {
	t.Helper()
	r := rand.New(rand.NewPCG(uint64(size), 7))
	for range batches {
		v := make([]byte, size)
		for i := range v {
			v[i] = byte(r.Uint32())
		}
		b.write(t, false, segment.None, in{orders, []string{string(v)}})
	}
}

// deleteSlots deletes all objects of the journal: what is not in runs is gone.
func (b *bench) deleteSlots(t testing.TB) {
	t.Helper()
	for slot := range b.slot {
		if err := b.store.Delete(context.Background(), objectKey{journal: testJournal, slot: slot}.String()); err != nil {
			t.Fatal(err)
		}
	}
}

// from gives the batches of a partition from the first that holds an offset or follows it, those left out that drop names.
func (b *bench) from(t testing.TB, p topic.Partition, offset topic.Offset, drop func(topic.Offset) bool) []byte {
	t.Helper()
	var out []byte
	for rest := b.sent[p]; len(rest) > 0; {
		info, err := recordbatch.Read(rest)
		if err != nil {
			t.Fatal(err)
		}
		if info.Next() > offset && (drop == nil || !drop(info.BaseOffset)) {
			out = append(out, rest[:info.Size]...)
		}
		rest = rest[info.Size:]
	}
	return out
}

// tally counts what is read of a store.
type tally struct {
	objectstore.Store
	delay       time.Duration
	gets, bytes atomic.Int64
}

func (s *tally) GetRange(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	time.Sleep(s.delay)
	b, err := s.Store.GetRange(ctx, key, offset, length)
	s.gets.Add(1)
	s.bytes.Add(int64(len(b)))
	return b, err
}

// behind is the offset behind a row of batches.
func behind(t testing.TB, row []byte) (next topic.Offset) {
	t.Helper()
	for len(row) > 0 {
		info, err := recordbatch.Read(row)
		if err != nil {
			t.Fatal(err)
		}
		next, row = info.Next(), row[info.Size:]
	}
	return next
}
