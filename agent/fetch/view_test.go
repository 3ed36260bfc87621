package fetch

import (
	"bytes"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/topic"
)

// withheld writes slots whose extents the engine is not told of yet.
func withheld(t *testing.T, b *bench, n int) [][]segment.Extent {
	t.Helper()
	engine := b.Engine
	defer func() { b.Engine = engine }()
	var slots [][]segment.Extent
	for i := range n {
		b.Engine = New(b.store, Config{TailBytes: 1 << 20, CatchUpBytes: 64 << 20})
		slot := b.slot
		if err := b.index.SetStart(orders, b.next[orders]); err != nil { // fits as if all before were there
			t.Fatal(err)
		}
		b.write(t, false, segment.None, in{orders, []string{value(i, 100)}})
		x, _ := b.index.Find(orders, b.next[orders]-1)
		if x.Slot != slot {
			t.Fatalf("the extent lies in slot %d, want %d", x.Slot, slot)
		}
		slots = append(slots, []segment.Extent{x.Extent(orders)})
	}
	return slots
}

// Slots of several journals come in any order: what lies behind a gap is not seen, not waited for and not out of range
// any more once the gap is closed.
func TestAdd_BehindAGapNothingIsVisible(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Config{})
		b.write(t, true, segment.None, in{orders, []string{"first"}})
		late := withheld(t, b, 3)
		for _, i := range []int{2, 1} {
			if err := b.Add(testJournal, segment.SlotExtents{Slot: topic.Slot(1 + i), Extents: late[i]}); err != nil {
				t.Fatal(err)
			}
		}
		if _, end := b.Bounds(orders); end != 1 {
			t.Fatalf("ends at %d with a gap at 1", end)
		}
		if r := b.read(t, orders, 2); !errors.Is(r.Err, ErrOutOfRange) {
			t.Errorf("behind the gap: %v, want ErrOutOfRange", r.Err)
		}
		done := make(chan Result, 1)
		go func() {
			done <- b.Read(t.Context(), Request{MaxWait: time.Hour, MinBytes: 1, MaxBytes: 1 << 20, Parts: []Part{{Partition: orders, Offset: 1, MaxBytes: 1 << 20}}})[0]
		}()
		synctest.Wait()
		if err := b.Add(testJournal, segment.SlotExtents{Slot: 3, Extents: late[2]}); err != nil { // again
			t.Fatal(err)
		}
		synctest.Wait()
		select {
		case <-done:
			t.Fatal("woken by what nobody can see")
		default:
		}
		if err := b.Add(testJournal, segment.SlotExtents{Slot: 1, Extents: late[0]}); err != nil {
			t.Fatal(err)
		}
		if r := <-done; r.Err != nil || r.HighWatermark != 4 || !bytes.HasSuffix(b.sent[orders], joined(r)) || len(joined(r)) == 0 {
			t.Errorf("high watermark %d, %d bytes, %v; want 4 and all three", r.HighWatermark, len(joined(r)), r.Err)
		}
		if xs := b.Extents(orders, 1, 3); len(xs) != 2 || xs[0].Slot != 1 || xs[1].Slot != 2 {
			t.Errorf("extents of [1,3): %+v", xs)
		}
	})
}

func TestDrop_ForgetsWhatIsBehindAGap(t *testing.T) {
	b := newBench(Config{})
	late := withheld(t, b, 2)
	if err := b.Add(testJournal, segment.SlotExtents{Slot: 1, Extents: late[1]}); err != nil {
		t.Fatal(err)
	}
	b.Drop(orders.Topic, 1)
	if n := b.index.Aside(orders); n != 0 {
		t.Errorf("%d extents of a deleted topic are kept", n)
	}
	for i := range late {
		if err := b.Add(testJournal, segment.SlotExtents{Slot: topic.Slot(i), Extents: late[i]}); err != nil {
			t.Fatal(err)
		}
	}
	if _, end := b.Bounds(orders); end != 0 || b.index.Aside(orders) != 0 {
		t.Errorf("a deleted topic's partition ends at %d, %d aside", end, b.index.Aside(orders))
	}
}
