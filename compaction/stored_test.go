package compaction

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

// stored is what of a world's journals has bytes in the bucket: batches as they were written, by partition and offset.
type stored struct {
	*world
	batches map[topic.Partition]map[topic.Offset][]byte
	starts  map[topic.Partition]topic.Offset // log starts
	written int64                            // bytes of slots
	noise   bool                             // records cannot be packed
}

func newStored(t *testing.T) *stored {
	return &stored{newWorld(t), make(map[topic.Partition]map[topic.Offset][]byte), make(map[topic.Partition]topic.Offset), 0, false}
}

// payload gives bytes of which about half can be packed, or none, others for every offset of every partition.
func (w *stored) payload(p topic.Partition, o topic.Offset, size int) []byte {
	rng := rand.New(rand.NewPCG(uint64(p.Topic[0])<<32|uint64(uint32(p.Index)), uint64(o)))
	b := make([]byte, size)
	for i := range b {
		if b[i] = byte(rng.Uint32()); !w.noise {
			b[i] = b[i]%16 + 'a'
		}
	}
	return b
}

// put makes the next slot of a journal with a batch of each partition, which it owns, and the log starts that were raised.
func (w *stored) put(j topic.JournalID, size int, partitions ...topic.Partition) {
	w.t.Helper()
	w.putWith(j, size, nil, partitions...)
}

func (w *stored) putWith(j topic.JournalID, size int, starts []segment.LogStart, partitions ...topic.Partition) {
	w.t.Helper()
	f := segment.Footer{Journal: j, Slot: topic.Slot(len(w.slots[j])), CreatedMs: 1_700_000_000_000, LogStarts: starts}
	var runs []segment.Run
	for _, p := range partitions {
		a, ok := w.state.Owner(p)
		if !ok || a.Journal != j {
			w.t.Fatalf("%s is not %s's", p, j)
		}
		base := w.ends[p]
		records := make([]recordbatch.Record, 1+base%3)
		for i := range records {
			records[i] = recordbatch.Record{Timestamp: 1_700_000_000_000 + int64(base), Value: w.payload(p, base+topic.Offset(i), size/len(records))}
		}
		b := recordbatch.Build(recordbatch.Draft{Base: base, Epoch: a.Epoch, Records: records})
		w.ends[p] = base + topic.Offset(len(records))
		if w.batches[p] == nil {
			w.batches[p] = make(map[topic.Offset][]byte)
		}
		w.batches[p][base] = b
		runs = append(runs, segment.Run{Partition: p, Epoch: a.Epoch, Base: base, Next: w.ends[p], Batches: [][]byte{b}})
	}
	for _, l := range starts {
		w.starts[l.Partition] = l.Start
	}
	o, err := segment.Build(f, runs, segment.S2)
	if err != nil {
		w.t.Fatal(err)
	}
	frozen := slotlog.Freeze(slotlog.Data, o.Parts...)
	if err := w.bucket.Create(w.t.Context(), slotlog.JournalKey(j, f.Slot), frozen.Body); err != nil {
		w.t.Fatal(err)
	}
	w.written += frozen.Body.Size
	w.slots[j] = append(w.slots[j], o.Footer.Repeated())
}

// raise lets a partition's log begin at an offset from the journal's next slot on.
func (w *stored) raise(p topic.Partition, start topic.Offset) {
	w.t.Helper()
	a, _ := w.state.Owner(p)
	w.putWith(a.Journal, 0, []segment.LogStart{{Partition: p, Start: start}})
}

// seal ends a journal: its seal is in the bucket.
func (w *stored) sealStored(j, to topic.JournalID) {
	w.t.Helper()
	frozen := slotlog.Freeze(slotlog.Seal)
	if err := w.bucket.Create(w.t.Context(), slotlog.JournalKey(j, topic.Slot(len(w.slots[j]))), frozen.Body); err != nil {
		w.t.Fatal(err)
	}
	w.seal(j, to)
}

// places counts of how many extents a partition is read from.
type places struct{ runs, slots int }

// read reads a partition from its log start to its end as an agent would, from runs and then from slots, and asks that every
// byte be as it was written (I5).
func (w *stored) read(p topic.Partition) places {
	w.t.Helper()
	var n places
	c := w.state.Compaction(p)
	at := max(w.starts[p], c.Start)
	if c.End > at && len(c.Runs) == 0 {
		w.t.Fatalf("%s has no runs in [%d,%d)", p, at, c.End)
	}
	for _, r := range c.Runs {
		b, err := w.bucket.GetRange(w.t.Context(), r.Object.Key(), int64(r.Position), r.Size())
		if err != nil {
			w.t.Fatalf("%s: %s: %v", p, r, err)
		}
		extents, err := segment.ReadRunTable(p, r, b[r.Length:])
		if err != nil {
			w.t.Fatalf("%s: %s: %v", p, r, err)
		}
		for _, e := range extents {
			at = w.compare(p, e, b[e.Position-r.Position:][:e.Length], at)
			n.runs++
		}
	}
	for again := true; again; {
		again = false
		for j, slots := range w.slots {
			for _, x := range slots {
				for _, e := range x.Extents {
					if e.Partition != p || e.Next <= at || e.Base > at || e.Base < c.End {
						continue
					}
					b, err := w.bucket.GetRange(w.t.Context(), slotlog.JournalKey(j, x.Slot), int64(e.Position), int64(e.Length))
					if err != nil {
						w.t.Fatalf("%s at %d: %v", p, e.Base, err)
					}
					at = w.compare(p, e, b, at)
					n.slots++
					again = true
				}
			}
		}
	}
	if at != w.ends[p] {
		w.t.Fatalf("%s can be read up to %d, want %d", p, at, w.ends[p])
	}
	return n
}

// compare compares an extent's batches from an offset on with what was written, and gives where it ends.
func (w *stored) compare(p topic.Partition, e segment.Extent, stored []byte, at topic.Offset) topic.Offset {
	w.t.Helper()
	raw, err := segment.ReadExtent(e, stored)
	if err != nil {
		w.t.Fatal(err)
	}
	for len(raw) > 0 {
		info, err := recordbatch.Check(raw)
		if err != nil {
			w.t.Fatal(err)
		}
		if info.Next() > at {
			if want := w.batches[p][info.BaseOffset]; info.BaseOffset > at || !bytes.Equal(raw[:info.Size], want) {
				w.t.Fatalf("%s: batch [%d,%d) where %d is wanted is not as written", p, info.BaseOffset, info.Next(), at)
			}
			at = info.Next()
		}
		raw = raw[info.Size:]
	}
	return at
}

// readAll reads all partitions of topics that are not deleted.
func (w *stored) readAll() (n places) {
	w.t.Helper()
	for p := range w.ends {
		if w.state.TopicDeleted(p.Topic) {
			continue
		}
		one := w.read(p)
		n.runs, n.slots = n.runs+one.runs, n.slots+one.slots
	}
	return n
}

// checkpointed has a checkpoint made by one agent and verified by another, as both of their turns come.
func (w *stored) checkpointed(t *testing.T, one, two *agent) {
	t.Helper()
	_, err := one.Build(t.Context())
	if errors.Is(err, ErrNothing) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	two.verifyNewest(t)
}

// compactAll does what there is to compact, and says how many jobs that were.
func (a *agent) compactAll(t *testing.T) int {
	t.Helper()
	for n := 0; ; n++ {
		did, err := a.Compact(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !did {
			return n
		}
		if n > 10_000 {
			t.Fatal("compaction does not come to rest")
		}
	}
}

// size is the bytes of all objects under a prefix.
func (w *stored) size(t *testing.T, prefix string) (bytes int64, objects int) {
	t.Helper()
	err := w.bucket.List(t.Context(), prefix, func(o objectstore.Info) error {
		bytes, objects = bytes+o.Size, objects+1
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return bytes, objects
}

// named asks that every object that state names is there.
func (w *stored) named(t *testing.T, s *control.State) {
	t.Helper()
	for o, info := range s.Objects() {
		if have, err := w.bucket.Head(t.Context(), o.Key()); err != nil || have.Size != info.Size {
			t.Fatalf("%s: %d bytes, %v; want %d", o, have.Size, err, info.Size)
		}
	}
}

func parts(id topic.ID, n int) []topic.Partition {
	out := make([]topic.Partition, n)
	for i := range out {
		out[i] = topic.Partition{Topic: id, Index: int32(i)}
	}
	return out
}

func journalsOf(j topic.JournalID, n int) []topic.JournalID {
	out := make([]topic.JournalID, n)
	for i := range out {
		out[i] = j
	}
	return out
}
