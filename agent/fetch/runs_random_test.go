package fetch

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/topic"
)

// At random: what is written, compacted, compacted again and cut off reads like the same log that never was compacted.
func TestSetRuns_ReadsLikeSlotsAtRandom(t *testing.T) {
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 4))
		b := newBench(Config{TailBytes: 1 << 20, CatchUpBytes: []int64{1 << 20, 16 << 20, 64 << 20}[r.IntN(3)]})
		w := &twins{
			bench: b, Rand: r, seed: seed, codec: segment.Codec(r.IntN(3)),
			plain: New(b.store, Config{TailBytes: 1 << 20, CatchUpBytes: 16 << 20}),
		}
		for range 30 {
			switch k := r.IntN(10); {
			case k < 5:
				w.append(t)
			case k < 7:
				w.compactSlots(t)
			case k < 8:
				w.mergeRuns(t)
			case k < 9:
				w.deleteRecords(t)
			}
			w.read(t)
			w.find(t)
		}
	}
}

// twins is a log that is compacted, and beside it an engine that reads it from slots.
type twins struct {
	*bench
	*rand.Rand
	plain     *Engine
	seed      uint64
	codec     segment.Codec
	objects   int
	runs      []topic.Run
	ends      []topic.Offset // of slots
	start     topic.Offset
	compacted topic.Offset
}

func (w *twins) append(t *testing.T) {
	t.Helper()
	var values []string
	for range 1 + w.IntN(4) {
		v := make([]byte, []int{10, 10, 1000, 1000, 60_000, 60_000, 1_200_000}[w.IntN(7)])
		for i := 0; i < len(v); i += 1 + w.IntN(40) {
			v[i] = byte(w.Uint32())
		}
		values = append(values, string(v))
	}
	w.write(t, w.IntN(2) == 0, w.codec, in{orders, values})
	w.ends = append(w.ends, w.next[orders])
	x := w.Extents(orders, w.next[orders]-1, w.next[orders])[0]
	if err := w.plain.Add(testJournal, segment.SlotExtents{Slot: x.Slot, Extents: []segment.Extent{x.Extent(orders)}}); err != nil {
		t.Fatal(err)
	}
}

// compactSlots makes a run of some slots.
func (w *twins) compactSlots(t *testing.T) {
	t.Helper()
	i, _ := slices.BinarySearch(w.ends, w.compacted+1)
	if i == len(w.ends) {
		return
	}
	to := w.ends[i+w.IntN(len(w.ends)-i)]
	w.objects++
	w.runs = slices.Concat(w.runs, w.compact(t, w.objects, w.codec, stretchOf{partition: orders, base: w.compacted, next: to}))
	w.compacted = to
	w.SetRuns(orders, 0, w.compacted, w.runs)
}

// mergeRuns makes one run of some, whose objects go.
func (w *twins) mergeRuns(t *testing.T) {
	t.Helper()
	if len(w.runs) == 0 {
		return
	}
	i := w.IntN(len(w.runs))
	j := i + 1 + w.IntN(len(w.runs)-i)
	w.objects++
	one := w.compact(t, w.objects, w.codec, stretchOf{partition: orders, base: w.runs[i].Base, next: w.runs[j-1].Next})
	for _, old := range w.runs[i:j] {
		if err := w.store.Delete(t.Context(), old.Object.Key()); err != nil {
			t.Fatal(err)
		}
	}
	w.runs = slices.Concat(w.runs[:i], one, w.runs[j:])
	w.SetRuns(orders, 0, w.compacted, w.runs)
}

// deleteRecords raises the log start, and now and then lets the runs below go.
func (w *twins) deleteRecords(t *testing.T) {
	t.Helper()
	w.start += topic.Offset(w.Int64N(int64(w.next[orders]-w.start) + 1))
	for _, e := range []*Engine{w.Engine, w.plain} {
		if err := e.Add(testJournal, segment.SlotExtents{Slot: w.slot, LogStarts: []segment.LogStart{{Partition: orders, Start: w.start}}}); err != nil {
			t.Fatal(err)
		}
	}
	if w.IntN(2) == 0 {
		w.runs = slices.DeleteFunc(slices.Clone(w.runs), func(run topic.Run) bool { return run.Next <= w.start })
		w.SetRuns(orders, min(w.start, w.compacted), w.compacted, w.runs)
	}
}

// read compares all from some offset on, and a part of it.
func (w *twins) read(t *testing.T) {
	t.Helper()
	if w.start == w.next[orders] {
		return
	}
	offset := w.start + topic.Offset(w.Int64N(int64(w.next[orders]-w.start)))
	have, want := w.bench.read(t, orders, offset), w.plain.Read(t.Context(), Request{
		MaxBytes: 1 << 30, Parts: []Part{{Partition: orders, Offset: offset, MaxBytes: 1 << 30}},
	})[0]
	all := joined(want)
	if have.Err != nil || want.Err != nil || !bytes.Equal(joined(have), all) || have.HighWatermark != want.HighWatermark || have.LogStart != want.LogStart {
		t.Fatalf("seed %d: from %d: %d bytes of [%d,%d), %v; want %d of [%d,%d), %v", w.seed, offset, len(joined(have)),
			have.LogStart, have.HighWatermark, have.Err, len(all), want.LogStart, want.HighWatermark, want.Err)
	}
	limit := 1 + w.IntN(1<<20)
	some := joined(w.Read(t.Context(), Request{MaxBytes: limit, Parts: []Part{{Partition: orders, Offset: offset, MaxBytes: limit}}})[0])
	if len(some) == 0 || !bytes.HasPrefix(all, some) {
		t.Fatalf("seed %d: %d bytes at most from %d are %d that are not the log's", w.seed, limit, offset, len(some))
	}
}

// find compares look-ups by time.
func (w *twins) find(t *testing.T) {
	t.Helper()
	ms := w.Int64N(int64(w.next[orders])*10 + 20)
	have, ok, err := w.ByTime(t.Context(), orders, ms)
	want, there, _ := w.plain.ByTime(t.Context(), orders, ms)
	if err != nil || ok != there || have != want {
		t.Fatalf("seed %d: at %d ms %+v, %v, %v; want %+v, %v", w.seed, ms, have, ok, err, want, there)
	}
	have, ok, err = w.MaxTime(t.Context(), orders)
	want, there, _ = w.plain.MaxTime(t.Context(), orders)
	if err != nil || ok != there || have != want {
		t.Fatalf("seed %d: newest is %+v, %v, %v; want %+v, %v", w.seed, have, ok, err, want, there)
	}
}
