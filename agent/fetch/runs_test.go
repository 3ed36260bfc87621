package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/odradek/odradek/index"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/faulty"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/topic"
)

// Bytes are the same whether a slot holds them, a run or an unpacked run, and the log goes on behind its runs.
func TestSetRuns_EveryOffsetReadsTheSameBytes(t *testing.T) {
	for _, codec := range []segment.Codec{segment.None, segment.S2, segment.Zstd} {
		t.Run(codec.String(), func(t *testing.T) {
			b := newBench(Config{})
			for i := range 10 {
				b.write(t, false, segment.S2, in{orders, []string{value(3*i, 100), value(3*i+1, 400_000), value(3*i+2, 10)}},
					in{payments, []string{"p"}})
			}
			first := b.compact(t, 1, codec, stretchOf{partition: orders, next: 12}, stretchOf{partition: payments, next: 4})
			second := b.compact(t, 2, codec, stretchOf{partition: orders, base: 12, next: 30}, stretchOf{partition: payments, base: 4, next: 7})
			b.SetRuns(orders, 0, 30, []topic.Run{first[0], second[0]})
			b.SetRuns(payments, 0, 7, []topic.Run{first[1], second[1]})
			if xs := b.Extents(payments, 0, 10); len(xs) != 3 || xs[0].Base != 7 {
				t.Errorf("extents in slots are %+v, want the three from 7 on", xs)
			}
			for _, p := range []topic.Partition{orders, payments} {
				for offset := range b.next[p] {
					want := b.from(t, p, offset, nil)
					if r := b.read(t, p, offset); r.Err != nil || !bytes.Equal(joined(r), want) || r.HighWatermark != b.next[p] || r.LogStart != 0 {
						t.Fatalf("%s from %d: %d bytes in [%d,%d), %v; want %d", p, offset, len(joined(r)), r.LogStart, r.HighWatermark, r.Err, len(want))
					}
				}
			}
			b.write(t, false, segment.S2, in{orders, []string{"more"}})
			if r := b.read(t, orders, 29); r.Err != nil || !bytes.Equal(joined(r), b.from(t, orders, 29, nil)) || r.HighWatermark != 31 {
				t.Errorf("over the end of the runs: %d bytes up to %d, %v", len(joined(r)), r.HighWatermark, r.Err)
			}
		})
	}
}

// What is in runs is read from them alone.
func TestSetRuns_NothingIsReadOfSlotsBelow(t *testing.T) {
	b := newBench(Config{})
	for i := range 4 {
		b.write(t, false, segment.None, in{orders, []string{value(i, 1000)}})
	}
	b.SetRuns(orders, 0, 4, b.compact(t, 1, segment.Zstd, stretchOf{partition: orders, next: 4}))
	b.deleteSlots(t)
	if r := b.read(t, orders, 0); r.Err != nil || !bytes.Equal(joined(r), b.sent[orders]) {
		t.Errorf("%d bytes, %v", len(joined(r)), r.Err)
	}
}

// An offset in a hole reads the next batch there is; the end of the log stays, and nobody spins at a hole there.
func TestSetRuns_Holes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Config{})
		for i := range 8 {
			b.write(t, false, segment.None, in{orders, []string{value(2*i, 300_000), value(2*i+1, 300_000)}})
		}
		drop := func(at topic.Offset) bool { return at < 2 || at >= 5 && at < 11 || at >= 14 }
		first := b.compact(t, 1, segment.S2, stretchOf{orders, 0, 8, drop})
		none := b.compact(t, 2, segment.S2, stretchOf{orders, 8, 10, drop})
		last := b.compact(t, 3, segment.S2, stretchOf{orders, 10, 16, drop})
		if none[0].Length != 0 {
			t.Fatalf("a run of nothing has %d bytes", none[0].Length)
		}
		b.SetRuns(orders, 0, 16, slices.Concat(first, none, last))
		for offset := range topic.Offset(17) {
			r := b.read(t, orders, offset)
			if r.Err != nil || !bytes.Equal(joined(r), b.from(t, orders, offset, drop)) || r.HighWatermark != 16 {
				t.Fatalf("from %d: %d bytes up to %d, %v", offset, len(joined(r)), r.HighWatermark, r.Err)
			}
		}
		gets, began, rooms := b.gets(), time.Now(), 0
		request := Request{MaxWait: time.Minute, MinBytes: 1, MaxBytes: 1 << 20,
			Parts: []Part{{Partition: orders, Offset: 14, MaxBytes: 1 << 20}},
			Room: func(_ context.Context, want int) (int, error) {
				rooms++
				return want, nil
			}}
		if r := b.Read(t.Context(), request)[0]; r.Err != nil || len(r.Records) != 0 || time.Since(began) != time.Minute {
			t.Errorf("in the last hole: %d rows, %v after %v", len(r.Records), r.Err, time.Since(began))
		}
		b.Engine = again(b) // one that does not know of the hole
		began = time.Now()
		time.AfterFunc(time.Second, func() { b.write(t, false, segment.None, in{orders, []string{"behind"}}) })
		if r := b.Read(t.Context(), request)[0]; r.Err != nil || !bytes.Equal(joined(r), b.from(t, orders, 16, nil)) || time.Since(began) != time.Second {
			t.Errorf("woken in the last hole: %d bytes, %v after %v", len(joined(r)), r.Err, time.Since(began))
		}
		if rooms != 1 { // the first read knew that there was nothing
			t.Errorf("memory was asked for %d times, want 1", rooms)
		}
		if n := b.gets() - gets; n > 3 {
			t.Errorf("%d GETs to wait in a hole", n)
		}
	})
}

func TestSetRuns_WakesWhoWaitsIfTheEndRose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Config{})
		whole := b.Engine
		for i := range 3 {
			b.write(t, false, segment.None, in{orders, []string{value(i, 100)}})
		}
		runs := b.compact(t, 1, segment.None, stretchOf{partition: orders, next: 3})
		b.Engine = New(b.store, whole.cfg) // one that was not told of the slots
		done := make(chan Result, 1)
		go func() {
			done <- b.Read(t.Context(), Request{MaxWait: time.Hour, MinBytes: 1, MaxBytes: 1 << 20, Parts: []Part{{Partition: orders, MaxBytes: 1 << 20}}})[0]
		}()
		synctest.Wait()
		b.SetRuns(orders, 0, 3, runs)
		if r := <-done; r.Err != nil || r.HighWatermark != 3 || !bytes.Equal(joined(r), b.sent[orders]) {
			t.Errorf("%d bytes up to %d, %v", len(joined(r)), r.HighWatermark, r.Err)
		}
	})
}

// Checkpoint's rows begin where runs end, and whichever comes first the log is whole in the end and never out of order.
func TestRestore_BeforeAndAfterRuns(t *testing.T) {
	b := newBench(Config{})
	for i := range 6 {
		b.write(t, false, segment.None, in{orders, []string{value(2*i, 100), value(2*i+1, 100)}})
	}
	rows := b.Extents(orders, 6, 12)
	runs := b.compact(t, 1, segment.S2, stretchOf{partition: orders, next: 6})
	later := append(slices.Clone(runs), b.compact(t, 2, segment.S2, stretchOf{partition: orders, base: 6, next: 10})...)
	for _, start := range []topic.Offset{0, 3, 6, 7, 8, 12} {
		at, _ := slices.BinarySearchFunc(rows, start, func(x index.Entry, start topic.Offset) int {
			if x.Next <= start {
				return -1
			}
			return 1
		})
		restore := func() {
			if err := b.Restore(orders, start, rows[at:]); err != nil {
				t.Fatal(err)
			}
		}
		steps := map[string][]func(){
			"runs first":       {func() { b.SetRuns(orders, 0, 6, runs) }, restore},
			"rows first":       {restore, func() { b.SetRuns(orders, 0, 6, runs) }},
			"newer runs first": {func() { b.SetRuns(orders, 0, 10, later) }, restore},
			"newer runs last":  {restore, func() { b.SetRuns(orders, 0, 10, later) }},
			"again":            {restore, func() { b.SetRuns(orders, 0, 10, later) }, restore, func() { b.SetRuns(orders, 0, 6, runs) }},
		}
		for name, steps := range steps {
			t.Run(fmt.Sprintf("%s, from %d", name, start), func(t *testing.T) {
				old := b.Engine
				defer func() { b.Engine = old }()
				b.Engine = New(b.store, old.cfg)
				for _, step := range steps {
					step()
				}
				if from, end := b.Bounds(orders); from != start || end != 12 {
					t.Fatalf("[%d,%d), want [%d,12)", from, end, start)
				}
				for offset := start; offset < 12; offset++ {
					if r := b.read(t, orders, offset); r.Err != nil || !bytes.Equal(joined(r), b.from(t, orders, offset, nil)) {
						t.Errorf("from %d: %d bytes, %v", offset, len(joined(r)), r.Err)
					}
				}
			})
		}
	}
}

// An agent that was left behind by TRIM takes a checkpoint that begins behind all that it knows.
func TestRestore_BehindAllThatIsKnown(t *testing.T) {
	b := newBench(Config{})
	for i := range 6 {
		b.write(t, false, segment.None, in{orders, []string{value(i, 100)}})
	}
	rows := b.Extents(orders, 4, 6)
	all := b.Engine
	b.Engine = New(b.store, all.cfg)
	if err := b.Add(testJournal, segment.SlotExtents{Extents: []segment.Extent{all.Extents(orders, 0, 1)[0].Extent(orders)}}); err != nil {
		t.Fatal(err)
	}
	if err := b.Restore(orders, 5, rows); err != nil {
		t.Fatal(err)
	}
	if start, end := b.Bounds(orders); start != 5 || end != 6 {
		t.Errorf("[%d,%d), want [5,6)", start, end)
	}
	if r := b.read(t, orders, 5); r.Err != nil || !bytes.Equal(joined(r), b.from(t, orders, 5, nil)) {
		t.Errorf("%d bytes, %v", len(joined(r)), r.Err)
	}
}

// An object that is gone is looked for where the control log says that its records are now; one that is nowhere is a
// storage error, and never an offset out of range (C2).
func TestRead_MissingObjectOfARun(t *testing.T) {
	refreshed := 0
	var b *bench
	var old, both []topic.Run
	told := func() {}
	b = newBench(Config{Refresh: func(context.Context) error {
		refreshed++
		told()
		return nil
	}})
	for i := range 4 {
		b.write(t, false, segment.None, in{orders, []string{value(i, 1000)}}, in{payments, []string{"p"}})
	}
	old = b.compact(t, 1, segment.S2, stretchOf{partition: orders, next: 4}, stretchOf{partition: payments, next: 4})
	both = b.compact(t, 2, segment.S2, stretchOf{partition: orders, next: 4}, stretchOf{partition: payments, next: 4})
	b.SetRuns(orders, 0, 4, old[:1])
	b.SetRuns(payments, 0, 4, old[1:])
	if err := b.store.Delete(t.Context(), object(1).Key()); err != nil {
		t.Fatal(err)
	}
	rs := b.Read(t.Context(), Request{MaxBytes: 1 << 20, Parts: []Part{{Partition: orders, MaxBytes: 1 << 20}, {Partition: payments, MaxBytes: 1 << 20}}})
	for _, r := range rs {
		if !errors.Is(r.Err, ErrStorage) || !errors.Is(r.Err, objectstore.ErrNotFound) || errors.Is(r.Err, ErrOutOfRange) || len(r.Records) > 0 {
			t.Errorf("%d rows, %v; want ErrStorage", len(r.Records), r.Err)
		}
	}
	if n := b.gets(); refreshed != 1 || n != 4 {
		t.Errorf("the control log was read %d times for one request, with %d GETs; want 1 and 4", refreshed, n)
	}
	if _, _, err := b.ByTime(t.Context(), orders, 0); !errors.Is(err, ErrStorage) || refreshed != 2 {
		t.Errorf("by time: %v, the control log was read %d times", err, refreshed)
	}
	if _, _, err := b.MaxTime(t.Context(), orders); !errors.Is(err, ErrStorage) || refreshed != 3 {
		t.Errorf("newest: %v, the control log was read %d times", err, refreshed)
	}
	told = func() {
		b.SetRuns(orders, 0, 4, both[:1])
		b.SetRuns(payments, 0, 4, both[1:])
	}
	if r := b.read(t, orders, 1); r.Err != nil || !bytes.Equal(joined(r), b.from(t, orders, 1, nil)) {
		t.Errorf("swapped meanwhile: %d bytes, %v", len(joined(r)), r.Err)
	}
	b.SetRuns(orders, 0, 4, old[:1])
	if f, ok, err := b.ByTime(t.Context(), orders, 11); err != nil || !ok || f.Offset != 2 {
		t.Errorf("by time, swapped meanwhile: %+v, %v, %v", f, ok, err)
	}
}

// Wrong bytes never reach a consumer: of a table no more than of an extent.
func TestRead_DamagedRunsAreNeverServed(t *testing.T) {
	for _, codec := range []segment.Codec{segment.None, segment.S2} {
		b := newBench(Config{})
		b.write(t, false, codec, in{orders, []string{value(0, 500), value(1, 500)}}, in{payments, []string{"p"}})
		runs := b.compact(t, 1, codec, stretchOf{partition: orders, next: 2}, stretchOf{partition: payments, next: 1})
		b.SetRuns(orders, 0, 2, runs[:1])
		size := int(runs[0].Size())
		damaged(t, b, faulty.Truncate(size/3))
		damaged(t, b, faulty.Truncate(0))
		for i := range size {
			damaged(t, b, faulty.FlipBit(i))
		}
	}
}

// A table that is read by itself, as of a large run, is verified as well.
func TestRead_DamagedTableIsNeverUsed(t *testing.T) {
	b := newBench(Config{})
	b.noise(t, 6, 900_000)
	runs := b.compact(t, 1, segment.None, stretchOf{partition: orders, next: 6})
	b.SetRuns(orders, 0, 6, runs)
	whole := b.store
	table := func(c faulty.Call) bool { return c.Kind == objectstore.KindGetRange && c.OfKind == 1 }
	for i := range int(runs[0].Table) {
		for _, always := range []bool{false, true} {
			b.store = faulty.New(whole, func(c faulty.Call) faulty.Fault {
				if always || table(c) {
					return faulty.Fault{Mangle: faulty.FlipBit(i)}
				}
				return faulty.Fault{}
			})
			b.Engine = again(b)
			r := b.Read(t.Context(), Request{MaxBytes: 1, Parts: []Part{{Partition: orders, Offset: 3, MaxBytes: 1}}})[0]
			if always && (!errors.Is(r.Err, ErrStorage) || len(r.Records) > 0) {
				t.Fatalf("byte %d of the table always wrong: %d rows, %v", i, len(r.Records), r.Err)
			}
			if !always && (r.Err != nil || !bytes.HasPrefix(b.from(t, orders, 3, nil), joined(r))) {
				t.Fatalf("byte %d of the table wrong once: %d bytes, %v", i, len(joined(r)), r.Err)
			}
		}
	}
}

func TestByTime_OfALargeRunReadsItsTableAndOneExtent(t *testing.T) {
	b := newBench(Config{})
	b.noise(t, 12, 900_000)
	runs := b.compact(t, 1, segment.None, stretchOf{partition: orders, next: 12})
	b.SetRuns(orders, 0, 12, runs)
	for _, look := range []func() (Found, bool, error){
		func() (Found, bool, error) { return b.ByTime(t.Context(), orders, 101) },
		func() (Found, bool, error) { return b.MaxTime(t.Context(), orders) },
	} {
		s := &tally{Store: b.store}
		index := b.index
		b.Engine = New(s, b.cfg)
		b.index = index
		if f, ok, err := look(); err != nil || !ok || f.Offset != 11 || f.Time != 110 {
			t.Errorf("%+v, %v, %v; want offset 11 at 110", f, ok, err)
		}
		if n := s.bytes.Load(); s.gets.Load() != 2 || n > 1<<20 {
			t.Errorf("%d GETs of %d bytes, want 2 of less than 1 MiB", s.gets.Load(), n)
		}
	}
}

func TestSize_OfRuns(t *testing.T) {
	b := newBench(Config{})
	for i := range 4 {
		b.write(t, false, segment.None, in{orders, []string{value(i, 1000)}})
	}
	one := b.Size(orders) / 4
	runs := b.compact(t, 1, segment.None, stretchOf{partition: orders, next: 3})
	b.SetRuns(orders, 0, 3, runs)
	if got, want := b.Size(orders), runs[0].Size()+one; got != want {
		t.Errorf("%d bytes, want %d", got, want)
	}
}

func TestDrop_ForgetsRuns(t *testing.T) {
	b := newBench(Config{})
	b.write(t, false, segment.None, in{orders, []string{"a"}})
	runs := b.compact(t, 1, segment.None, stretchOf{partition: orders, next: 1})
	b.SetRuns(orders, 0, 1, runs)
	b.Drop(orders.Topic, 1)
	b.SetRuns(orders, 0, 1, runs)
	if r := b.read(t, orders, 0); !errors.Is(r.Err, ErrUnknownPartition) {
		t.Errorf("%v, want ErrUnknownPartition", r.Err)
	}
	if start, end := b.Bounds(orders); start != 0 || end != 0 {
		t.Errorf("a deleted topic's partition has [%d,%d)", start, end)
	}
}

func TestExtentSize_IsWhatExtentsTake(t *testing.T) {
	if n := unsafe.Sizeof(segment.Extent{}); n != extentSize {
		t.Errorf("an extent takes %d bytes, accounted are %d", n, extentSize)
	}
}
