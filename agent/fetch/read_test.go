package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/faulty"
	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

func TestRead_GivesBackEveryByteFromEveryOffset(t *testing.T) {
	for _, codec := range []segment.Codec{segment.None, segment.S2, segment.Zstd} {
		for _, tail := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, tail %v", codec, tail), func(t *testing.T) {
				b := newBench(Config{})
				for i := range 10 {
					b.write(t, tail, codec, in{orders, []string{value(3*i, 100), value(3*i+1, 70_000), value(3*i+2, 10)}},
						in{payments, []string{"p"}})
				}
				rest := b.sent[orders]
				for offset := range b.next[orders] {
					r := b.read(t, orders, offset)
					if r.Err != nil || !bytes.Equal(joined(r), rest) {
						t.Fatalf("from %d: %d bytes, %v; want %d", offset, len(joined(r)), r.Err, len(rest))
					}
					if r.HighWatermark != 30 || r.LogStart != 0 {
						t.Fatalf("bounds [%d, %d), want [0, 30)", r.LogStart, r.HighWatermark)
					}
					info, err := recordbatch.Read(rest)
					if err != nil {
						t.Fatal(err)
					}
					rest = rest[info.Size:]
				}
				if r := b.read(t, orders, 30); r.Err != nil || len(r.Records) != 0 {
					t.Errorf("at the end: %d rows, %v", len(r.Records), r.Err)
				}
			})
		}
	}
}

func TestRead_OutsideTheLogIsOutOfRange(t *testing.T) {
	b := newBench(Config{})
	b.write(t, true, segment.None, in{orders, []string{"a", "b"}})
	for _, offset := range []int{-1, 3, 1000} {
		began := time.Now()
		r := b.Read(t.Context(), Request{
			MaxWait: time.Hour, MinBytes: 1, MaxBytes: 100, Parts: []Part{{Partition: orders, Offset: topicOffset(offset), MaxBytes: 100}},
		})[0]
		if !errors.Is(r.Err, ErrOutOfRange) || time.Since(began) > time.Minute {
			t.Errorf("offset %d: %v", offset, r.Err)
		}
	}
	if r := b.read(t, payments, 0); r.Err != nil || r.HighWatermark != 0 {
		t.Errorf("a partition that was never written: %+v", r)
	}
}

// Kafka: max bytes cut between batches; the first batch of the answer comes whole whatever its size, once per answer.
func TestRead_MaxBytes(t *testing.T) {
	b := newBench(Config{})
	b.write(t, true, segment.None, in{orders, []string{value(0, 1000), value(1, 1000)}}, in{payments, []string{value(0, 1000)}})
	b.write(t, true, segment.None, in{orders, []string{value(2, 1000)}})
	one := len(b.sent[payments])
	tests := []struct {
		name            string
		max, maxA, maxB int
		wantA, wantB    int // batches
		offsetA         int
	}{
		{name: "room for all", max: 1 << 20, maxA: 1 << 20, maxB: 1 << 20, wantA: 3, wantB: 1},
		{name: "nothing at all still gives one batch", wantA: 1},
		{name: "a part's limit cuts between batches", max: 1 << 20, maxA: 2*one + one/2, maxB: 1 << 20, wantA: 2, wantB: 1},
		{name: "a limit below one batch, first part", max: 1 << 20, maxA: 1, maxB: 1 << 20, wantA: 1, wantB: 1},
		{name: "a limit below one batch, second part", max: 1 << 20, maxA: 1 << 20, maxB: 1, wantA: 3, wantB: 0},
		{name: "the request's limit is shared", max: 3 * one, maxA: 1 << 20, maxB: 1 << 20, wantA: 3, wantB: 0},
		{name: "what the first part leaves", max: 4 * one, maxA: 2 * one, maxB: 1 << 20, wantA: 2, wantB: 1},
		{name: "an empty first part leaves its right to the second", max: 1, maxA: 1, maxB: 1, offsetA: 3, wantA: 0, wantB: 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			rs := b.Read(t.Context(), Request{MaxBytes: test.max, Parts: []Part{
				{Partition: orders, Offset: topicOffset(test.offsetA), MaxBytes: test.maxA}, {Partition: payments, Offset: 0, MaxBytes: test.maxB},
			}})
			if a, p := len(joined(rs[0])), len(joined(rs[1])); a != test.wantA*one || p != test.wantB*one {
				t.Errorf("%d and %d bytes, want %d and %d batches of %d", a, p, test.wantA, test.wantB, one)
			}
		})
	}
}

func TestRead_LongPollWakesOnTheRightRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Config{})
		b.write(t, true, segment.None, in{orders, []string{"first"}})
		done := make(chan Result, 1)
		began := time.Now()
		go func() {
			done <- b.Read(t.Context(), Request{
				MaxWait: time.Minute, MinBytes: 1, MaxBytes: 1 << 20, Parts: []Part{{Partition: orders, Offset: 1, MaxBytes: 1 << 20}},
			})[0]
		}()
		time.Sleep(time.Second)
		b.write(t, true, segment.None, in{payments, []string{"elsewhere"}})
		time.Sleep(time.Second)
		select {
		case <-done:
			t.Fatal("woken by another partition")
		default:
		}
		b.write(t, true, segment.None, in{orders, []string{"second"}})
		r := <-done
		if took := time.Since(began); took != 2*time.Second || len(joined(r)) == 0 || r.HighWatermark != 2 {
			t.Errorf("after %v: %d bytes, high watermark %d", took, len(joined(r)), r.HighWatermark)
		}
	})
}

func TestRead_MinBytesAndMaxWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Config{})
		began := time.Now()
		done := make(chan []Result, 1)
		go func() {
			done <- b.Read(t.Context(), Request{
				MaxWait: 10 * time.Second, MinBytes: 5000, MaxBytes: 1 << 20,
				Parts: []Part{{Partition: orders, Offset: 0, MaxBytes: 1 << 20}, {Partition: payments, Offset: 0, MaxBytes: 1 << 20}},
			})
		}()
		for i := range 2 {
			time.Sleep(time.Second)
			b.write(t, true, segment.None, in{orders, []string{value(i, 2000)}})
		}
		time.Sleep(time.Second)
		b.write(t, true, segment.None, in{payments, []string{value(0, 2000)}})
		<-done
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("5000 bytes of two partitions came after 3s, answered after %v", took)
		}
		began = time.Now()
		r := b.Read(t.Context(), Request{MaxWait: 2 * time.Second, MinBytes: 1, MaxBytes: 100, Parts: []Part{{Partition: orders, Offset: 2, MaxBytes: 100}}})[0]
		if took := time.Since(began); took != 2*time.Second || r.Err != nil || len(r.Records) != 0 {
			t.Errorf("nothing new: after %v %+v", took, r)
		}
		if len(b.waiting) != 0 {
			t.Errorf("%d partitions still have waiters", len(b.waiting))
		}
	})
}

func TestRead_ManyWaitersAllWake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Config{})
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				r := b.Read(t.Context(), Request{MaxWait: time.Hour, MinBytes: 1, MaxBytes: 1 << 20, Parts: []Part{{Partition: orders, Offset: 0, MaxBytes: 1 << 20}}})[0]
				if len(joined(r)) == 0 {
					t.Error("woken without records")
				}
			})
		}
		synctest.Wait()
		b.write(t, true, segment.None, in{orders, []string{"for all"}})
		wg.Wait()
	})
}

func TestRead_CancelledAnswersWithWhatThereIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Config{})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		r := b.Read(ctx, Request{MaxWait: time.Hour, MinBytes: 1, MaxBytes: 100, Parts: []Part{{Partition: orders, Offset: 0, MaxBytes: 100}}})[0]
		if r.Err != nil || len(r.Records) != 0 {
			t.Errorf("%+v", r)
		}
	})
}

// Who went away while many extents were read holds nothing up, an agent that stops least of all, and costs no more GETs.
func TestRead_CancelledReadsNoFurther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Config{})
		for i := range 50 {
			b.write(t, false, segment.S2, in{orders, []string{value(i, 1000)}})
		}
		b.store.SetScript(func(faulty.Call) faulty.Fault { return faulty.Fault{Delay: time.Second} })
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(2500*time.Millisecond, cancel)
		began := time.Now()
		b.Read(ctx, Request{MaxBytes: 1 << 20, Parts: []Part{{Partition: orders, MaxBytes: 1 << 20}}})
		if took := time.Since(began); took != 2500*time.Millisecond || b.gets() != 3 {
			t.Errorf("went on for %v, %d GETs; want 2.5 s, 3 GETs", took, b.gets())
		}
		time.Sleep(time.Second) // what was begun ends
	})
}

func TestRead_DeletedTopicIsUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Config{})
		b.write(t, true, segment.None, in{orders, []string{"a"}}, in{payments, []string{"p"}})
		done := make(chan Result, 1)
		go func() {
			done <- b.Read(t.Context(), Request{MaxWait: time.Hour, MinBytes: 1, MaxBytes: 100, Parts: []Part{{Partition: orders, Offset: 1, MaxBytes: 100}}})[0]
		}()
		synctest.Wait()
		b.Drop(orders.Topic, 1)
		if r := <-done; !errors.Is(r.Err, ErrUnknownPartition) {
			t.Errorf("who waited got %v, want ErrUnknownPartition", r.Err)
		}
		b.write(t, true, segment.None, in{orders, []string{"was on its way"}}, in{payments, []string{"q"}})
		if r := b.read(t, payments, 0); r.Err != nil || r.HighWatermark != 2 {
			t.Errorf("the other topic: %+v", r)
		}
		if r := b.read(t, orders, 0); !errors.Is(r.Err, ErrUnknownPartition) {
			t.Errorf("the deleted topic: %v", r.Err)
		}
	})
}

func TestAdd_OneExtentThatDoesNotFitHidesNoOther(t *testing.T) {
	b := newBench(Config{})
	b.write(t, true, segment.None, in{orders, []string{"a", "b"}}, in{payments, []string{"p"}})
	err := b.Add(testJournal, segment.SlotExtents{Slot: 1, Extents: []segment.Extent{
		{Partition: orders, Base: 1, Next: 3, Position: 8, Length: 100, RawLength: 70},
		{Partition: payments, Base: 1, Next: 2, Position: 108, Length: 100, RawLength: 70},
	}})
	if err == nil {
		t.Error("an overlap was taken")
	}
	if _, end := b.Bounds(payments); end != 2 {
		t.Errorf("the other partition ends at %d, want 2", end)
	}
	if _, end := b.Bounds(orders); end != 2 {
		t.Errorf("the partition with the overlap ends at %d, want 2", end)
	}
}

func TestRead_TailNeedsNoBucket(t *testing.T) {
	b := newBench(Config{})
	for i := range 5 {
		b.write(t, true, segment.S2, in{orders, []string{value(i, 1000)}})
	}
	b.store.Cut()
	if r := b.read(t, orders, 0); r.Err != nil || !bytes.Equal(joined(r), b.sent[orders]) {
		t.Fatalf("%d bytes, %v", len(joined(r)), r.Err)
	}
}

// One GET brings an aligned chunk once a second partition of a segment is asked for: whoever reads the neighbours later finds
// them in the cache.
func TestRead_NeighboursShareAChunk(t *testing.T) {
	b := newBench(Config{})
	third := topic.Partition{Topic: topic.ID{3}}
	b.write(t, false, segment.None, in{orders, []string{value(1, 1000)}}, in{payments, []string{value(2, 1000)}}, in{third, []string{value(3, 1000)}})
	b.read(t, orders, 0)
	b.read(t, payments, 0)
	b.read(t, third, 0)
	b.read(t, orders, 0)
	if n := b.gets(); n != 2 {
		t.Errorf("%d GETs for one extent and one chunk, want 2", n)
	}
}

func TestRead_ExtentOverManyChunks(t *testing.T) {
	b := newBench(Config{})
	r := rand.New(rand.NewPCG(1, 1))
	var values []string
	for range 20 {
		v := make([]byte, 900_000)
		for i := range v {
			v[i] = byte(r.Uint32())
		}
		values = append(values, string(v))
	}
	b.write(t, false, segment.S2, in{payments, []string{"shifts what follows"}}, in{orders, values})
	res := b.read(t, orders, 0)
	if res.Err != nil || !bytes.Equal(joined(res), b.sent[orders]) {
		t.Fatalf("%d bytes, %v; want %d", len(joined(res)), res.Err, len(b.sent[orders]))
	}
}

// Wrong bytes never reach a consumer: an answer that is damaged on its way is asked for again, and a damaged object is a
// storage error, until it is whole again.
func TestRead_DamagedBytesAreNeverServed(t *testing.T) {
	for _, codec := range []segment.Codec{segment.None, segment.S2} {
		b := newBench(Config{})
		b.write(t, false, codec, in{orders, []string{value(0, 500), value(1, 500)}}, in{payments, []string{"p"}})
		size := len(objectOf(t, b, 0))
		damaged(t, b, faulty.Truncate(size/3))
		damaged(t, b, faulty.Truncate(0))
		for i := 8; i < size; i += 7 {
			damaged(t, b, faulty.FlipBit(i))
		}
	}
}

// damaged reads with one answer mangled and with all of them.
func damaged(t *testing.T, b *bench, mangle func([]byte) []byte) {
	t.Helper()
	b.Engine = again(b)
	first := len(b.store.Calls()) + 1
	b.store.SetScript(faulty.Nth(first, faulty.Fault{Mangle: mangle}))
	if r := b.read(t, orders, 0); r.Err != nil || !bytes.Equal(joined(r), b.sent[orders]) {
		t.Fatalf("one damaged answer: %d bytes, %v", len(joined(r)), r.Err)
	}
	b.Engine = again(b)
	b.store.SetScript(func(faulty.Call) faulty.Fault { return faulty.Fault{Mangle: mangle} })
	if r := b.read(t, orders, 0); r.Err == nil && !bytes.Equal(joined(r), b.sent[orders]) || r.Err != nil && !errors.Is(r.Err, ErrStorage) {
		t.Fatalf("a damaged object: %d bytes, %v", len(joined(r)), r.Err)
	}
	b.store.SetScript(nil)
	if r := b.read(t, orders, 0); r.Err != nil || !bytes.Equal(joined(r), b.sent[orders]) {
		t.Fatalf("after it was mended: %d bytes, %v", len(joined(r)), r.Err)
	}
}

// again makes an engine with the same index and empty caches.
func again(b *bench) *Engine {
	e := New(b.store, Config{TailBytes: 1 << 20, CatchUpBytes: 64 << 20})
	e.index = b.index
	return e
}

func objectOf(t *testing.T, b *bench, slot int) []byte {
	t.Helper()
	o, err := b.store.Get(t.Context(), slotlog.JournalKey(testJournal, slotOf(slot)))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestRead_MissingObjectIsAStorageError(t *testing.T) {
	b := newBench(Config{})
	b.write(t, false, segment.None, in{orders, []string{"a"}})
	if err := b.store.Delete(t.Context(), slotlog.JournalKey(testJournal, 0)); err != nil {
		t.Fatal(err)
	}
	r := b.read(t, orders, 0)
	if !errors.Is(r.Err, ErrStorage) || !errors.Is(r.Err, objectstore.ErrNotFound) || len(r.Records) != 0 {
		t.Fatalf("%d rows, %v; want ErrStorage", len(r.Records), r.Err)
	}
	if n := b.gets(); n != 2 {
		t.Errorf("%d GETs, want 2: the index is looked at once more", n)
	}
}

// An error behind what was read is not an error yet: the batches before it are whole.
func TestRead_ErrorBehindTheFirstExtentIsKeptForLater(t *testing.T) {
	b := newBench(Config{})
	b.write(t, true, segment.None, in{orders, []string{"a"}})
	b.write(t, false, segment.None, in{orders, []string{"b"}})
	b.store.Cut()
	if r := b.read(t, orders, 0); r.Err != nil || len(r.Records) != 1 {
		t.Errorf("%d rows, %v; want the first", len(r.Records), r.Err)
	}
	if r := b.read(t, orders, 1); !errors.Is(r.Err, ErrStorage) {
		t.Errorf("the second alone: %v", r.Err)
	}
	b.store.Mend()
	if r := b.read(t, orders, 1); r.Err != nil || len(r.Records) != 1 {
		t.Errorf("after the outage: %d rows, %v", len(r.Records), r.Err)
	}
}

// What the caches hold is what they account for: a small extent must not keep its whole chunk alive.
func TestRead_CachedExtentDoesNotAliasItsChunk(t *testing.T) {
	b := newBench(Config{})
	b.write(t, false, segment.None, in{orders, []string{"small"}}, in{payments, []string{string(make([]byte, 3<<20))}})
	r := b.read(t, orders, 0)
	if c := cap(r.Records[0]); r.Err != nil || c > 1<<10 {
		t.Errorf("a row of %d bytes holds on to %d, %v", len(r.Records[0]), c, r.Err)
	}
}
