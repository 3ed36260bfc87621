package ingest

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/topic"
)

// startsIn gives the log starts that slots which count hold, by slot.
func (b *bench) startsIn() map[topic.Slot][]segment.LogStart {
	out := make(map[topic.Slot][]segment.LogStart)
	for _, f := range b.tail.footers() {
		if len(f.LogStarts) > 0 {
			out[f.Slot] = f.LogStarts
		}
	}
	return out
}

// raiseTo asks for one log start.
func (b *bench) raiseTo(t *testing.T, p topic.Partition, to topic.Offset) Raised {
	t.Helper()
	return b.Raise(t.Context(), []segment.LogStart{{Partition: p, Start: to}})[0]
}

func TestRaise_CountsBeforeItIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, setup{})
		acked(t, b.send(t, AcksAll, orders, batch("a", "b", "c")))
		b.store.Cut()
		done := make(chan Raised, 1)
		go func() { done <- b.raiseTo(t, orders, 2) }()
		time.Sleep(time.Minute)
		select {
		case r := <-done:
			t.Fatalf("answered %+v while nothing lands", r)
		default:
		}
		b.store.Mend()
		if r := <-done; r.Err != nil || r.Start != 2 || !r.Proved {
			t.Fatalf("raised: %+v", r)
		}
		if said := b.startsIn()[1]; len(said) != 1 || said[0] != (segment.LogStart{Partition: orders, Start: 2}) {
			t.Errorf("the footers say %v", b.startsIn())
		}
		r, err := b.send(t, AcksAll, orders, batch("d")).Wait(t.Context())
		if err != nil || r.LogStart != 2 || r.Base != 3 {
			t.Errorf("the next batch: %+v, %v", r, err)
		}
	})
}

func TestRaise_WhatIsThereAlreadyIsAnsweredWithoutASlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, setup{own: []Ownership{{Partition: orders, Epoch: 4, Base: 50, Start: 40}}})
		for _, to := range []topic.Offset{0, 39, 40} {
			if r := b.raiseTo(t, orders, to); r.Err != nil || r.Start != 40 || r.Proved {
				t.Errorf("to %d: %+v, want 40 and no slot", to, r)
			}
		}
		if r := b.raiseTo(t, orders, HighWatermark); r.Err != nil || r.Start != 50 || !r.Proved {
			t.Errorf("to the high watermark: %+v", r)
		}
		if r := b.raiseTo(t, orders, HighWatermark); r.Err != nil || r.Start != 50 || r.Proved {
			t.Errorf("to the high watermark again: %+v", r)
		}
		if n := b.slots.End(); n != 1 {
			t.Errorf("%d slots, want one", n)
		}
	})
}

func TestRaise_OnlyWhatCountsIsDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, setup{})
		acked(t, b.send(t, AcksAll, orders, batch("a", "b")))
		b.store.Cut()
		p := b.send(t, AcksAll, orders, batch("in flight"))
		synctest.Wait()
		for _, to := range []topic.Offset{3, 4, -2} {
			if r := b.raiseTo(t, orders, to); !errors.Is(r.Err, ErrAhead) {
				t.Errorf("to %d: %+v, want ErrAhead", to, r)
			}
		}
		b.store.Mend()
		acked(t, p)
		if r := b.raiseTo(t, orders, 3); r.Err != nil || r.Start != 3 {
			t.Errorf("once it counts: %+v", r)
		}
		if r := b.raiseTo(t, topic.Partition{Topic: topic.ID{9}}, 0); !errors.Is(r.Err, ErrNotOwner) {
			t.Errorf("a partition of another journal: %+v", r)
		}
	})
}

// Many that ask at once, one by one, share slots: an idle budget gives one, whoever comes while it is on its way the next.
func TestRaise_ManyShareASlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 500
		own := make([]Ownership, n)
		for i := range own {
			own[i] = Ownership{Partition: topic.Partition{Topic: topic.ID{1}, Index: int32(i)}, Epoch: 1, Base: 10}
		}
		b := start(t, setup{own: own})
		done := make(chan Raised, 2*n)
		for i := range own {
			go func() { done <- b.raiseTo(t, own[i].Partition, 3) }()
			go func() { done <- b.raiseTo(t, own[i].Partition, 7) }()
		}
		for range 2 * n {
			if r := <-done; r.Err != nil || r.Start < 3 {
				t.Fatalf("%+v", r)
			}
		}
		if end := b.slots.End(); end != 1 {
			t.Errorf("%d slots, want 1", end)
		}
		for _, l := range b.startsIn()[0] {
			if l.Start != 7 {
				t.Errorf("%s begins at %d, want 7", l.Partition, l.Start)
			}
		}
	})
}

func TestRaise_MoreThanAFooterMayNameTakeMoreSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := maxExtents + 1
		own, to := make([]Ownership, n), make([]segment.LogStart, n)
		for i := range own {
			own[i] = Ownership{Partition: topic.Partition{Topic: topic.ID{1}, Index: int32(i)}, Epoch: 1, Base: 10}
			to[i] = segment.LogStart{Partition: own[i].Partition, Start: 10}
		}
		b := start(t, setup{own: own})
		for i, r := range b.Raise(t.Context(), to) {
			if r.Err != nil || r.Start != 10 {
				t.Fatalf("partition %d: %+v", i, r)
			}
		}
		if said := b.startsIn(); len(said[0]) != maxExtents || len(said[1]) != 1 {
			t.Errorf("%d and %d log starts", len(said[0]), len(said[1]))
		}
	})
}

func TestRaise_JoinsAHigherOneInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, setup{own: []Ownership{{Partition: orders, Epoch: 1, Base: 10}}})
		b.store.Cut()
		done := make(chan Raised, 2)
		go func() { done <- b.raiseTo(t, orders, 8) }()
		time.Sleep(time.Second)
		go func() { done <- b.raiseTo(t, orders, 5) }()
		time.Sleep(time.Second)
		if len(done) > 0 {
			t.Fatalf("answered %+v before it counts", <-done)
		}
		b.store.Mend()
		high, low := <-done, <-done
		if high.Start+low.Start != 13 || high.Err != nil || low.Err != nil || high.Proved == low.Proved {
			t.Errorf("raised: %+v and %+v; only the one before the slot was frozen is proved by it", high, low)
		}
		if end := b.slots.End(); end != 1 {
			t.Errorf("%d slots, want 1", end)
		}
	})
}

// After a RELEASE nothing of the partition goes into a slot (P5); what was asked for before lies in one up to it.
func TestRaise_NotBehindARelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, setup{own: []Ownership{{Partition: orders, Epoch: 1, Base: 10}}})
		b.store.Cut()
		before := make(chan Raised, 1)
		go func() { before <- b.raiseTo(t, orders, 4) }()
		synctest.Wait()
		released := make(chan []Released, 1)
		go func() {
			rs, err := b.Release(t.Context(), []topic.Partition{orders})
			if err != nil {
				t.Error(err)
			}
			released <- rs
		}()
		synctest.Wait()
		if r := b.raiseTo(t, orders, 9); !errors.Is(r.Err, ErrNotOwner) {
			t.Errorf("while it is released: %+v", r)
		}
		b.store.Mend()
		r, rs := <-before, <-released
		if r.Err != nil || r.Start != 4 || len(rs) != 1 {
			t.Fatalf("raised %+v, released %+v", r, rs)
		}
		for slot, said := range b.startsIn() {
			if slot > rs[0].Slot {
				t.Errorf("slot %d behind the RELEASE in %d says %v", slot, rs[0].Slot, said)
			}
		}
	})
}

func TestRaise_EndsWithTheJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, setup{own: []Ownership{{Partition: orders, Epoch: 1, Base: 10}}})
		b.store.Cut()
		done := make(chan Raised, 1)
		go func() { done <- b.raiseTo(t, orders, 4) }()
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if r := b.Raise(ctx, []segment.LogStart{{Partition: orders, Start: 4}})[0]; !errors.Is(r.Err, context.DeadlineExceeded) {
			t.Errorf("a time-out: %+v", r)
		}
		b.stop()
		if r := <-done; !errors.Is(r.Err, ErrFenced) {
			t.Errorf("waited: %+v, want ErrFenced", r)
		}
		if r := b.raiseTo(t, orders, 4); !errors.Is(r.Err, ErrFenced) {
			t.Errorf("asked later: %+v, want ErrFenced", r)
		}
	})
}
