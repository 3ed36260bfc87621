package ingest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/faulty"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

func TestAppend_OffsetsAndEpochsAreWrittenIntoTheBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, setup{own: []Ownership{{Partition: orders, Epoch: 3, Base: 100, Start: 40}, {Partition: payments}}})
		first := b.send(t, AcksAll, orders, batch("a", "b"))
		both := b.Append(t.Context(), AcksAll, []PartitionBatch{
			{Partition: payments, Records: batch("p")},
			{Partition: orders, Records: slices.Concat(batch("c"), batch("d", "e"))},
		})
		if at := acked(t, first); at != 100 {
			t.Errorf("first batch at %d, want 100", at)
		}
		if at := acked(t, both[0]); at != 0 {
			t.Errorf("first payment at %d, want 0", at)
		}
		r, err := both[1].Wait(t.Context())
		if err != nil || r != (Result{Base: 102, AppendTime: -1, LogStart: 40}) {
			t.Errorf("third batch got %+v, %v", r, err)
		}
		values, offsets := b.log(t, orders)
		if !slices.Equal(values, []string{"a", "b", "c", "d", "e"}) || !slices.Equal(offsets, []topic.Offset{100, 101, 102, 103, 104}) {
			t.Errorf("the log holds %v at %v", values, offsets)
		}
		if x := b.tail.footers()[0].Extents[0]; x.Epoch != 3 {
			t.Errorf("extent of epoch %d, want 3", x.Epoch)
		}
		if _, next, ok := b.Owns(orders); next != 105 || !ok {
			t.Errorf("next offset %d, %v; want 105", next, ok)
		}
	})
}

// With the bucket cut: acks=all waits, acks=1 is answered by the WAL, acks=0 at once.
func TestWait_AcksWithAStuckBucket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, setup{wal: true})
		b.store.Cut()
		none := b.send(t, AcksNone, orders, batch("none"))
		one := b.send(t, AcksOne, orders, batch("one"))
		all := b.send(t, AcksAll, orders, batch("all"))
		if _, err := none.Wait(t.Context()); err != nil {
			t.Errorf("acks=0: %v", err)
		}
		if at := acked(t, one); at != 1 {
			t.Errorf("acks=1 at %d, want 1", at)
		}
		time.Sleep(time.Minute)
		if !waits(all) {
			t.Error("acks=all was answered while the bucket is away")
		}
		if n := len(b.tail.footers()); n != 0 {
			t.Errorf("%d slots are visible while the bucket is away", n)
		}
		b.store.Mend()
		if at := acked(t, all); at != 2 {
			t.Errorf("acks=all at %d, want 2", at)
		}
	})
}

func TestWait_TimeoutDropsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, setup{script: faulty.Latency(objectstore.KindCreate, 10*time.Second)})
		p := b.send(t, AcksAll, orders, batch("slow"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := p.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("wait: %v", err)
		}
		time.Sleep(time.Minute)
		if values, _ := b.log(t, orders); !slices.Equal(values, []string{"slow"}) {
			t.Errorf("the log holds %v", values)
		}
	})
}

func TestWait_ClosedWALMakesAcksOneWaitForTheBucket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, setup{wal: true})
		b.walEnd()
		time.Sleep(time.Second)
		b.store.Cut()
		p := b.send(t, AcksOne, orders, batch("one"))
		if !waits(p) {
			t.Fatal("acks=1 was answered with neither WAL nor bucket")
		}
		b.store.Mend()
		acked(t, p)
	})
}

// A replay stops at the first entry that is missing: acks=1 behind it must not rely on the WAL.
func TestWait_AcksOneBehindAWALGapWaitsForTheBucket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, setup{wal: true, flushBytes: 8 << 20})
		b.store.Cut()
		tooLarge := batch(string(make([]byte, 2<<20))) // larger than a file of this WAL
		gap := b.send(t, AcksOne, orders, tooLarge)
		behind := b.send(t, AcksOne, orders, batch("behind"))
		elsewhere := b.send(t, AcksOne, payments, batch("elsewhere"))
		acked(t, elsewhere)
		if !waits(gap) || !waits(behind) {
			t.Fatal("acks=1 was answered although a replay could not bring the batch back")
		}
		b.store.Mend()
		acked(t, gap)
		acked(t, behind)
		b.store.Cut()
		acked(t, b.send(t, AcksOne, orders, batch("after the gap counts")))
	})
}

func TestCounted_ReleasesMemoryAndWAL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, setup{wal: true})
		for i := range 20 {
			acked(t, b.send(t, AcksAll, orders, batch(fmt.Sprint(i))))
		}
		synctest.Wait()
		if s := b.wal.Stats(); s.Released != s.Appended {
			t.Errorf("the WAL is released to %d of %d", s.Released, s.Appended)
		}
		if !b.memory.(interface{ TryAcquire(int64) bool }).TryAcquire(256 << 20) {
			t.Error("memory is still held although everything counts")
		}
	})
}

// Back-pressure: what does not fit waits, holds up nobody's order, and goes on when slots count.
func TestAppend_FullMemoryBlocksAndReleases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, setup{memory: 10_000, flushBytes: 4_000})
		b.store.Cut()
		value := string(make([]byte, 3_000))
		var ps []Pending
		for range 3 {
			ps = append(ps, b.send(t, AcksAll, orders, batch(value)))
		}
		fourth := make(chan Pending, 1)
		go func() {
			fourth <- b.Append(context.Background(), AcksAll, []PartitionBatch{{Partition: orders, Records: batch(value)}})[0]
		}()
		time.Sleep(time.Minute)
		select {
		case <-fourth:
			t.Fatal("the fourth batch was admitted without memory")
		default:
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		refused := b.Append(ctx, AcksAll, []PartitionBatch{{Partition: orders, Records: batch(value)}})[0]
		if _, err := refused.Wait(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("who gave up got %v", err)
		}
		b.store.Mend()
		for i, p := range append(ps, <-fourth) {
			if at := acked(t, p); at != topic.Offset(i) {
				t.Errorf("batch %d at %d", i, at)
			}
		}
	})
}

// One request brings more than memory and WAL hold together: it goes on as its first batches come to count.
func TestAppend_RequestLargerThanAllRoomGoesThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, setup{wal: true, memory: 1 << 20, flushBytes: 256 << 10})
		var batches []PartitionBatch
		for range 24 {
			batches = append(batches, PartitionBatch{Partition: orders, Records: batch(string(make([]byte, 400<<10)))})
		}
		for i, p := range b.Append(t.Context(), AcksAll, batches) {
			if at := acked(t, p); at != topic.Offset(i) {
				t.Fatalf("batch %d at %d", i, at)
			}
		}
	})
}

func TestAppend_BatchLargerThanMemoryWaitsForAllOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, setup{memory: 64 << 10})
		first := b.send(t, AcksAll, orders, batch("small"))
		acked(t, b.send(t, AcksAll, orders, batch(string(make([]byte, 512<<10)))))
		acked(t, first)
	})
}

func TestFail_FencedThrowsEverythingAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, setup{window: 1, flushBytes: 100})
		acked(t, b.send(t, AcksAll, orders, batch("counts")))
		if _, err := slotlog.SealJournal(t.Context(), b.store, testJournal, 0, "test"); err != nil {
			t.Fatal(err)
		}
		var ps []Pending
		for range 5 { // frozen, full and open buffers
			ps = append(ps, b.send(t, AcksAll, orders, batch(string(make([]byte, 90)))))
		}
		for i, p := range ps {
			if _, err := p.Wait(t.Context()); !errors.Is(err, ErrFenced) || !errors.Is(err, slotlog.ErrFenced) {
				t.Errorf("waiter %d got %v, want ErrFenced", i, err)
			}
		}
		if _, err := b.send(t, AcksAll, orders, batch("later")).Wait(t.Context()); !errors.Is(err, ErrFenced) {
			t.Errorf("a later batch got %v", err)
		}
		if err := b.Flush(t.Context()); !errors.Is(err, ErrFenced) {
			t.Errorf("flush: %v", err)
		}
		if _, _, ok := b.Owns(orders); ok {
			t.Error("still owner")
		}
		synctest.Wait()
		if !b.memory.(interface{ TryAcquire(int64) bool }).TryAcquire(256 << 20) {
			t.Error("memory is held by what was thrown away")
		}
	})
}

func TestFlush_ReturnsWhenAllAdmittedCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, setup{flushBytes: 300, window: 1, script: faulty.Latency(objectstore.KindCreate, time.Second)})
		if err := b.Flush(t.Context()); err != nil {
			t.Fatalf("flush of nothing: %v", err)
		}
		for i := range 10 {
			b.send(t, AcksAll, orders, batch(fmt.Sprint(i), string(make([]byte, 100))))
		}
		if err := b.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if values, _ := b.log(t, orders); len(values) != 20 {
			t.Errorf("%d records count after a flush, want 20", len(values))
		}
		b.store.Cut()
		b.send(t, AcksAll, orders, batch("stuck"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := b.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("flush with the bucket away: %v", err)
		}
	})
}

func TestDisown_DeletedTopicIsRefusedAndItsRecordsGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, setup{script: faulty.Latency(objectstore.KindCreate, time.Second)})
		admitted := b.send(t, AcksAll, orders, batch("before"))
		other := b.send(t, AcksAll, payments, batch("other"))
		b.Disown(orders.Topic)
		if _, err := b.send(t, AcksAll, orders, batch("after")).Wait(t.Context()); !errors.Is(err, ErrNotOwner) {
			t.Errorf("a batch for a deleted topic got %v", err)
		}
		acked(t, admitted)
		acked(t, other)
	})
}

func TestFooter_EverySixtyFourthRepeatsWhatWasBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, setup{})
		const slots = 2 * segment.SummaryEvery
		for i := range slots {
			p := orders
			if i%3 == 0 {
				p = payments
			}
			acked(t, b.send(t, AcksAll, p, batch(fmt.Sprint(i))))
		}
		ends := make(map[topic.Partition]topic.Offset)
		var recent []topic.Slot
		for i, f := range b.tail.footers() {
			for _, x := range f.Extents {
				ends[x.Partition] = x.Next
			}
			if (f.Summary != nil) != (i%segment.SummaryEvery == segment.SummaryEvery-1) {
				t.Fatalf("slot %d: summary %v", i, f.Summary != nil)
			}
			if f.Summary == nil {
				recent = append(recent, f.Slot)
				continue
			}
			for _, e := range f.Summary.Ends {
				if e.Next != ends[e.Partition] {
					t.Errorf("slot %d says %s ends at %d, it ends at %d", i, e.Partition, e.Next, ends[e.Partition])
				}
			}
			var repeated []topic.Slot
			for _, r := range f.Summary.Recent {
				repeated = append(repeated, r.Slot)
			}
			if !slices.Equal(repeated, recent) {
				t.Errorf("slot %d repeats %v, want %v", i, repeated, recent)
			}
			recent = nil
		}
	})
}
