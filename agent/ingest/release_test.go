package ingest

import (
	"bytes"
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
	"github.com/odradek/odradek/sequence"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

// releasesOf gives the RELEASEs that the bucket holds in slots that count, by partition.
func (b *bench) releasesOf(t *testing.T) map[topic.Partition]segment.Release {
	t.Helper()
	out := make(map[topic.Partition]segment.Release)
	for slot := range b.slots.End() {
		e, err := slotlog.Read(t.Context(), b.store, slotlog.JournalKey(testJournal, slot))
		if err != nil {
			t.Fatal(err)
		}
		f, err := segment.Verify(e.Payload)
		if err != nil {
			t.Fatalf("slot %d: %v", slot, err)
		}
		for _, r := range f.Releases {
			if _, twice := out[r.Partition]; twice {
				t.Errorf("slot %d: %s is released twice", slot, r.Partition)
			}
			out[r.Partition] = r
		}
	}
	return out
}

func TestRelease_FollowsAllThatWasAdmitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, setup{
			own:        []Ownership{{Partition: orders, Epoch: 3, Base: 100}, {Partition: payments}},
			flushBytes: 300, script: faulty.Latency(objectstore.KindCreate, time.Second),
		})
		var ps []Pending
		for i := range 6 { // several slots: some in flight, some open
			ps = append(ps, b.send(t, AcksAll, orders, idempotent(7, 1, int32(i), string(make([]byte, 100)))))
		}
		other := b.send(t, AcksAll, payments, batch("goes on"))
		got, err := b.Release(t.Context(), []topic.Partition{orders})
		if err != nil || len(got) != 1 {
			t.Fatalf("released %v, %v", got, err)
		}
		r := got[0]
		if r.Partition != orders || r.Epoch != 3 || r.End != 106 {
			t.Errorf("released %+v, want %s of epoch 3 to end at 106", r, orders)
		}
		if end := b.slots.End(); r.Slot >= end {
			t.Errorf("slot %d holds the RELEASE, only those below %d count", r.Slot, end)
		}
		for i, p := range ps {
			if at := acked(t, p); at != topic.Offset(100+i) {
				t.Errorf("batch %d at %d", i, at)
			}
		}
		acked(t, other)
		acked(t, b.send(t, AcksAll, payments, batch("owned still")))
		said := b.releasesOf(t)[orders]
		want := producersOf(b.tail.footers(), orders)
		if said.End != 106 || said.Epoch != 3 || !bytes.Equal(said.ProducerState, want.AppendSnapshot(nil)) {
			t.Errorf("the footer says end %d of epoch %d and a state of %d bytes", said.End, said.Epoch, len(said.ProducerState))
		}
		for _, f := range b.tail.footers() {
			for _, x := range f.Extents {
				if x.Partition == orders && f.Slot > r.Slot {
					t.Errorf("slot %d holds records behind the RELEASE in slot %d", f.Slot, r.Slot)
				}
			}
		}
	})
}

// The slot of a RELEASE repeats the log start, also one that is still on its way in a slot before it: the owners to come read
// nothing else for it.
func TestRelease_RepeatsTheLogStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, setup{
			own:    []Ownership{{Partition: orders, Epoch: 3, Base: 100, Start: 40}, {Partition: payments}},
			script: faulty.Latency(objectstore.KindCreate, time.Second),
		})
		release := func(p topic.Partition) []segment.LogStart {
			released, err := b.Release(t.Context(), []topic.Partition{p})
			if err != nil || len(released) != 1 {
				t.Fatalf("released %v, %v", released, err)
			}
			return b.startsIn()[released[0].Slot]
		}
		go b.raiseTo(t, orders, 60)
		time.Sleep(500 * time.Millisecond) // its slot is in flight
		if said, want := release(orders), []segment.LogStart{{Partition: orders, Start: 60}}; !slices.Equal(said, want) {
			t.Errorf("the slot of the RELEASE says %v, want %v", said, want)
		}
		if said := release(payments); said != nil {
			t.Errorf("where nothing was deleted it says %v", said)
		}
		b.Own(Ownership{Partition: orders, Epoch: 5, Base: 100, Start: 60})
		if said, want := release(orders), []segment.LogStart{{Partition: orders, Start: 60}}; !slices.Equal(said, want) {
			t.Errorf("the slot of an owner that raised nothing says %v, want %v", said, want)
		}
	})
}

func TestRelease_NothingIsAdmittedAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, setup{window: 1})
		b.store.Cut()
		stuck := b.send(t, AcksAll, payments, batch("takes the only slot in flight"))
		time.Sleep(time.Second)
		first := b.send(t, AcksAll, orders, idempotent(7, 0, 0, "a"))
		done := make(chan error, 1)
		go func() {
			_, err := b.Release(context.Background(), []topic.Partition{orders})
			done <- err
		}()
		synctest.Wait()
		if _, _, ok := b.Owns(orders); ok {
			t.Error("owned while it is being released")
		}
		for name, p := range map[string]Pending{
			"the next batch":      b.send(t, AcksAll, orders, idempotent(7, 0, 1, "b")),
			"a batch out of turn": b.send(t, AcksAll, orders, idempotent(7, 0, 5, "c")),
			"an anonymous batch":  b.send(t, AcksOne, orders, batch("d")),
		} {
			if _, err := p.Wait(t.Context()); !errors.Is(err, ErrNotOwner) {
				t.Errorf("%s got %v, want ErrNotOwner", name, err)
			}
		}
		again := b.send(t, AcksAll, orders, idempotent(7, 0, 0, "a"))
		if !waits(again) {
			t.Error("the repeat of a batch in flight did not join it")
		}
		b.store.Mend()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		acked(t, stuck)
		if one, two := acked(t, first), acked(t, again); one != 0 || two != 0 {
			t.Errorf("a batch at %d, its repeat at %d", one, two)
		}
		if _, err := b.send(t, AcksAll, orders, idempotent(7, 0, 0, "a")).Wait(t.Context()); !errors.Is(err, ErrNotOwner) {
			t.Errorf("a repeat behind the RELEASE got %v, want ErrNotOwner", err)
		}
	})
}

// An idle journal has spent its budget: a RELEASE does not wait for the next token.
func TestRelease_OverdrawsTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, setup{interval: time.Minute})
		for i := range maxTokens {
			acked(t, b.send(t, AcksAll, payments, batch(fmt.Sprint(i))))
		}
		began := time.Now()
		if _, err := b.Release(t.Context(), []topic.Partition{orders}); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(began); d > time.Second {
			t.Errorf("released after %v", d)
		}
	})
}

func TestRelease_FencedBeforeItCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, setup{})
		acked(t, b.send(t, AcksAll, orders, batch("counts")))
		if _, err := slotlog.SealJournal(t.Context(), b.store, testJournal, 0, "test"); err != nil {
			t.Fatal(err)
		}
		if got, err := b.Release(t.Context(), []topic.Partition{orders}); !errors.Is(err, ErrFenced) || got != nil {
			t.Errorf("released %v, %v; want ErrFenced", got, err)
		}
		if n := len(b.releasesOf(t)); n != 0 {
			t.Errorf("%d RELEASEs count", n)
		}
	})
}

// Who gives up waiting has released all the same, and finds out by asking again.
func TestRelease_GivenUpAndAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, setup{})
		acked(t, b.send(t, AcksAll, orders, batch("a", "b")))
		b.store.Cut()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := b.Release(ctx, []topic.Partition{orders}); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("release with the bucket away: %v", err)
		}
		if _, err := b.send(t, AcksAll, orders, batch("late")).Wait(t.Context()); !errors.Is(err, ErrNotOwner) {
			t.Errorf("a batch after a release that was given up: %v", err)
		}
		b.store.Mend()
		for range 2 {
			got, err := b.Release(t.Context(), []topic.Partition{orders})
			if err != nil || !slices.Equal(got, []Released{{Partition: orders, End: 2, Slot: 1}}) {
				t.Errorf("asked again: %+v, %v", got, err)
			}
		}
		if n := len(b.releasesOf(t)); n != 1 {
			t.Errorf("%d RELEASEs count, want 1", n)
		}
	})
}

func TestRelease_PassesOverWhatIsNotOwned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, setup{})
		unknown := topic.Partition{Topic: topic.ID{9}}
		b.Disown(payments.Topic)
		got, err := b.Release(t.Context(), []topic.Partition{unknown, payments})
		if err != nil || len(got) != 0 || b.puts() != 0 {
			t.Errorf("released %v, %v with %d PUTs", got, err, b.puts())
		}
		got, err = b.Release(t.Context(), []topic.Partition{unknown, orders})
		if err != nil || len(got) != 1 || got[0].Partition != orders {
			t.Errorf("released %v, %v", got, err)
		}
	})
}

// The partition comes back at a higher epoch, and goes again.
func TestRelease_OwnedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, setup{})
		acked(t, b.send(t, AcksAll, orders, idempotent(7, 0, 0, "a")))
		got, err := b.Release(t.Context(), []topic.Partition{orders})
		if err != nil {
			t.Fatal(err)
		}
		var state sequence.State
		if state, err = sequence.Restore(b.releasesOf(t)[orders].ProducerState); err != nil {
			t.Fatal(err)
		}
		b.Own(Ownership{Partition: orders, Epoch: 1, Base: got[0].End, Producers: state})
		if at := acked(t, b.send(t, AcksAll, orders, idempotent(7, 0, 0, "a"))); at != 0 {
			t.Errorf("a repeat across the release at %d, want 0", at)
		}
		if at := acked(t, b.send(t, AcksAll, orders, idempotent(7, 0, 1, "b"))); at != 1 {
			t.Errorf("the next batch at %d, want 1", at)
		}
		b.Lose(orders, 1) // what replaced epoch 0: this epoch goes on
		if epoch, next, ok := b.Owns(orders); epoch != 1 || next != 2 || !ok {
			t.Errorf("owned: epoch %d, next %d, %v", epoch, next, ok)
		}
		b.Lose(orders, 2)
		if _, err := b.send(t, AcksAll, orders, batch("c")).Wait(t.Context()); !errors.Is(err, ErrNotOwner) {
			t.Errorf("a batch for a lost partition: %v", err)
		}
	})
}

func TestRelease_ManyPartitionsAndLargeStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many = maxExtents + 500
		var own []Ownership
		var ps []topic.Partition
		for i := range int32(many) {
			p := topic.Partition{Topic: topic.ID{3}, Index: i}
			own, ps = append(own, Ownership{Partition: p, Base: topic.Offset(i), Producers: producing(20)}), append(ps, p)
		}
		large := topic.Partition{Topic: topic.ID{4}}  // does not share a slot
		beyond := topic.Partition{Topic: topic.ID{5}} // does not fit into a footer
		own = append(own, Ownership{Partition: large, Producers: producing(60_000)}, Ownership{Partition: beyond, Producers: producing(200_000)})
		b := start(t, setup{own: own, window: 64})
		acked(t, b.send(t, AcksAll, ps[0], batch("a")))
		got, err := b.Release(t.Context(), append(ps, large, beyond))
		if !errors.Is(err, ErrManyProducers) {
			t.Errorf("released: %v, want ErrManyProducers for one of them", err)
		}
		if len(got) != many+1 {
			t.Fatalf("%d partitions released, want %d", len(got), many+1)
		}
		said := b.releasesOf(t)
		for _, r := range got {
			if r.Partition != large && r.Slot == got[len(got)-1].Slot {
				t.Fatalf("%s shares a slot with the large state", r.Partition)
			}
			s := said[r.Partition]
			if s.End != r.End || (r.Partition.Topic == topic.ID{3} && r.End != max(topic.Offset(r.Partition.Index), 1)) {
				t.Fatalf("%s released at %d, its footer says %d", r.Partition, r.End, s.End)
			}
		}
		state, err := sequence.Restore(said[large].ProducerState)
		if err != nil || state.Len() != 60_000 {
			t.Errorf("the large state has %d producers, %v", state.Len(), err)
		}
		acked(t, b.send(t, AcksAll, beyond, batch("goes on")))
	})
}

// producing makes the state of so many producers.
func producing(n int) sequence.State {
	var s sequence.State
	for id := range int64(n) {
		for i := range topic.Offset(sequence.Remembered) {
			s.Apply(sequence.Delta{ProducerID: 1<<40 + id, FirstSequence: int32(i), Base: 1<<30 + i, Next: 1<<30 + i + 1, Timestamp: 1 << 40})
		}
	}
	return s
}

func TestRelease_InASummarySlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, setup{})
		for i := range segment.SummaryEvery - 1 {
			acked(t, b.send(t, AcksAll, orders, batch(fmt.Sprint(i))))
		}
		acked(t, b.send(t, AcksAll, payments, batch("its slot carries the summary")))
		b.Own(Ownership{Partition: topic.Partition{Topic: topic.ID{8}}, Epoch: 5, Base: 50})
		for i := range segment.SummaryEvery - 1 {
			acked(t, b.send(t, AcksAll, payments, batch(fmt.Sprint(i))))
		}
		got, err := b.Release(t.Context(), []topic.Partition{orders})
		if err != nil || got[0].Slot != 2*segment.SummaryEvery-1 {
			t.Fatalf("released %v, %v; want the slot of the second summary", got, err)
		}
		fs := b.tail.footers()
		last := fs[len(fs)-1]
		if last.Summary == nil || len(last.Summary.Recent) != segment.SummaryEvery-1 {
			t.Fatal("the slot of the RELEASE has no summary")
		}
		ends := make(map[topic.Partition]topic.Offset)
		for _, e := range last.Summary.Ends {
			ends[e.Partition] = e.Next
		}
		if _, ok := ends[orders]; ok || len(ends) != 2 || ends[payments] != segment.SummaryEvery {
			t.Errorf("the summary lists %v: want what the journal goes on with", ends)
		}
	})
}

func TestClose_WhatWasAdmittedCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, setup{flushBytes: 300, script: faulty.Latency(objectstore.KindCreate, time.Second)})
		var ps []Pending
		for i := range 5 {
			ps = append(ps, b.send(t, AcksAll, orders, idempotent(7, 0, int32(i), string(make([]byte, 100)))))
		}
		closed := make(chan error, 1)
		go func() { closed <- b.Close(context.Background()) }()
		synctest.Wait()
		if _, err := b.send(t, AcksAll, orders, idempotent(7, 0, 5, "late")).Wait(t.Context()); !errors.Is(err, ErrNotOwner) {
			t.Errorf("a batch of a closed journal got %v", err)
		}
		repeat := b.send(t, AcksAll, orders, idempotent(7, 0, 4, string(make([]byte, 100))))
		if err := <-closed; err != nil {
			t.Fatal(err)
		}
		for i, p := range append(ps, repeat) {
			if at := acked(t, p); at != topic.Offset(min(i, 4)) {
				t.Errorf("batch %d at %d", i, at)
			}
		}
		if n := b.slots.InFlight(); n != 0 {
			t.Errorf("%d slots in flight after Close", n)
		}
		if _, _, ok := b.Owns(orders); ok {
			t.Error("a closed journal owns nothing")
		}
	})
}

// What the WAL holds of a partition that was given away lies below its end: a replay finds nothing to append.
func TestReplay_NothingWhileItIsGivenAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, setup{own: []Ownership{{Partition: orders, Epoch: 2, Base: 1}}})
		if _, err := b.Release(t.Context(), []topic.Partition{orders}); err != nil {
			t.Fatal(err)
		}
		l, err := ReadLogged(slices.Concat(make([]byte, walHeader), batch("old")))
		if err != nil {
			t.Fatal(err)
		}
		l.Partition, l.Base, l.Next = orders, 1, 2
		if what, _, err := b.Replay(t.Context(), l); what != Stranded || err != nil {
			t.Errorf("replayed into a partition that was released: %v, %v", what, err)
		}
	})
}
