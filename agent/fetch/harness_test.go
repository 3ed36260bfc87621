package fetch

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/faulty"
	"github.com/odradek/odradek/objectstore/memory"
	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

var (
	testJournal = topic.JournalID{0xcc, 1}
	orders      = topic.Partition{Topic: topic.ID{1}}
	payments    = topic.Partition{Topic: topic.ID{2}}
)

// bench is an engine and the journal that it reads.
type bench struct {
	*Engine
	store *faulty.Store
	slot  topic.Slot
	next  map[topic.Partition]topic.Offset
	sent  map[topic.Partition][]byte // all batches as they are in the log
}

func newBench(cfg Config) *bench {
	if cfg.CatchUpBytes == 0 {
		cfg.TailBytes, cfg.CatchUpBytes = 1<<20, 64<<20
	}
	store := faulty.New(memory.New(), nil)
	return &bench{
		Engine: New(store, cfg), store: store,
		next: make(map[topic.Partition]topic.Offset), sent: make(map[topic.Partition][]byte),
	}
}

// in is what one partition gets in a slot: one batch for each value, of one record.
type in struct {
	partition topic.Partition
	values    []string
}

// write makes the next slot count, seen by the engine; tail says whether this agent wrote it.
func (b *bench) write(t testing.TB, tail bool, codec segment.Codec, parts ...in) {
	t.Helper()
	var runs []segment.Run
	for _, p := range parts {
		run := segment.Run{Partition: p.partition, Base: b.next[p.partition]}
		for _, v := range p.values {
			at := b.next[p.partition]
			batch := recordbatch.Build(recordbatch.Draft{
				Base: at, Records: []recordbatch.Record{{Timestamp: int64(at) * 10, Value: []byte(v)}},
			})
			run.Batches = append(run.Batches, batch)
			b.sent[p.partition] = append(b.sent[p.partition], batch...)
			b.next[p.partition]++
		}
		run.Next = b.next[p.partition]
		runs = append(runs, run)
	}
	b.writeRuns(t, tail, codec, runs)
}

func (b *bench) writeRuns(t testing.TB, tail bool, codec segment.Codec, runs []segment.Run) {
	t.Helper()
	o, err := segment.Build(segment.Footer{Journal: testJournal, Slot: b.slot}, runs, codec)
	if err != nil {
		t.Fatal(err)
	}
	key := slotlog.JournalKey(testJournal, b.slot)
	if err := b.store.Create(context.Background(), key, slotlog.Freeze(slotlog.Data, o.Parts...).Body); err != nil {
		t.Fatal(err)
	}
	if tail {
		err = b.AddTail(testJournal, o.Footer.Repeated(), runs)
	} else {
		err = b.Add(testJournal, o.Footer.Repeated())
	}
	if err != nil {
		t.Fatal(err)
	}
	b.slot++
}

// read reads one partition at once, with room for everything.
func (b *bench) read(t testing.TB, p topic.Partition, offset topic.Offset) Result {
	t.Helper()
	return b.Read(t.Context(), Request{MaxBytes: 1 << 30, Parts: []Part{{Partition: p, Offset: offset, MaxBytes: 1 << 30}}})[0]
}

// gets counts the reads of the bucket so far.
func (b *bench) gets() int {
	n := 0
	for _, c := range b.store.Calls() {
		if c.Kind == objectstore.KindGetRange || c.Kind == objectstore.KindGet {
			n++
		}
	}
	return n
}

func joined(r Result) []byte { return bytes.Join(r.Records, nil) }

func value(n, size int) string {
	return fmt.Sprintf("%0*d", size, n)
}
