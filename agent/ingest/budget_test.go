package ingest

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func TestDue_Table(t *testing.T) {
	const ms = time.Millisecond
	tests := []struct {
		name   string
		tokens float64
		waiting
		age, calm time.Duration // since the first and since the newest batch
		freeze    bool
		wait      time.Duration
	}{
		{name: "a lone batch waits until it is quiet", tokens: 20, waiting: waiting{bytes: 10}, age: 1 * ms, calm: 1 * ms, wait: 1 * ms},
		{name: "a lone batch goes once it is quiet", tokens: 20, waiting: waiting{bytes: 10}, age: 2 * ms, calm: 2 * ms, freeze: true},
		{name: "busy producers wait no longer than the limit", tokens: 20, waiting: waiting{bytes: 10}, age: 8 * ms, freeze: true},
		{name: "busy producers wait until the limit", tokens: 20, waiting: waiting{bytes: 10}, age: 7 * ms, wait: 1 * ms},
		{name: "enough bytes go at once", tokens: 20, waiting: waiting{bytes: 1000}, freeze: true},
		{name: "enough bytes go without a token", waiting: waiting{bytes: 1000}, freeze: true},
		{name: "enough partitions go without a token", waiting: waiting{bytes: 1, extents: maxExtents}, freeze: true},
		{name: "another buffer behind it", waiting: waiting{bytes: 1, full: true}, freeze: true},
		{name: "urgent", waiting: waiting{bytes: 1, urgent: true}, freeze: true},
		{name: "without a token it waits for one", tokens: 0.5, waiting: waiting{bytes: 0}, age: time.Hour, calm: time.Hour, wait: 125 * ms},
		{name: "bytes pay for a part of it", tokens: 0.5, waiting: waiting{bytes: 250}, age: time.Hour, calm: time.Hour, freeze: true},
		{name: "half a full buffer needs none, whatever is in flight", waiting: waiting{bytes: 500, inFlight: 5}, age: 2 * ms, calm: 2 * ms, freeze: true},
		{name: "and goes at once when all are back", waiting: waiting{bytes: 500, acked: 500}, freeze: true},
		{name: "lazy with many tokens goes", tokens: 20, waiting: waiting{bytes: 10, lazy: true}, age: 5 * ms, calm: 5 * ms, freeze: true},
		{name: "lazy with few tokens waits a second", tokens: 5, waiting: waiting{bytes: 10, lazy: true}, age: 5 * ms, calm: 5 * ms, wait: 995 * ms},
		{name: "lazy for a second goes", tokens: 5, waiting: waiting{bytes: 10, lazy: true}, age: time.Second, calm: time.Second, freeze: true},
		{name: "few tokens wait for slots in flight", tokens: 3, waiting: waiting{bytes: 10, inFlight: 1}, age: 50 * ms, calm: 50 * ms, wait: 200 * ms},
		{name: "but no longer than the interval", tokens: 3, waiting: waiting{bytes: 10, inFlight: 1}, age: 250 * ms, calm: 250 * ms, freeze: true},
		{name: "those acked together are waited for", tokens: 20, waiting: waiting{bytes: 10, acked: 100}, age: 3 * ms, calm: 3 * ms, wait: 5 * ms},
		{name: "an eighth of a slow PUT at most", tokens: 20, waiting: waiting{bytes: 10, acked: 100, putTime: 400 * ms}, age: 20 * ms, calm: 20 * ms, wait: 30 * ms},
		{name: "and not when all are there", tokens: 20, waiting: waiting{bytes: 95, acked: 100}, age: 3 * ms, calm: 3 * ms, freeze: true},
	}
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := newBudget(250*ms, 1000)
			b.tokens, b.refilled = test.tokens, now
			w := test.waiting
			w.first, w.last = now.Add(-test.age), now.Add(-test.calm)
			freeze, wait := b.due(now, w)
			if freeze != test.freeze || wait != test.wait {
				t.Errorf("freeze %v, wait %v; want %v, %v", freeze, wait, test.freeze, test.wait)
			}
		})
	}
}

// Whatever was urgent or full before: who comes next waits for one token and no more.
func TestSpend_LeavesNoDebt(t *testing.T) {
	b := newBudget(250*time.Millisecond, 1000)
	for range 10_000 {
		b.spend(1)
	}
	now := time.Now()
	if _, wait := b.due(now, waiting{bytes: 1, first: now, last: now}); wait > b.interval {
		t.Errorf("waits %v after others overdrew the budget, want at most %v", wait, b.interval)
	}
}

// Waiting as long as it was told must bring due on: a loop that is told 0 again and again is busy.
func TestDue_NeverBusy(t *testing.T) {
	for tokens := 0.0; tokens < 1; tokens += 0.00001 {
		b := newBudget(250*time.Millisecond, 1000)
		now := time.Now()
		b.tokens, b.refilled = tokens, now
		freeze, wait := b.due(now, waiting{first: now.Add(-time.Hour), last: now.Add(-time.Hour)})
		if freeze || wait < shortest {
			t.Fatalf("with %v tokens: freeze %v, wait %v", tokens, freeze, wait)
		}
	}
}

func TestRun_IdleJournalWritesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, setup{})
		acked(t, b.send(t, AcksAll, orders, batch("one")))
		before := len(b.store.Calls())
		time.Sleep(24 * time.Hour)
		if n := len(b.store.Calls()) - before; n != 0 {
			t.Errorf("%d store calls on an idle day", n)
		}
	})
}

// A steady trickle costs one PUT an interval, whatever its rate.
func TestRun_TrickleStaysWithinTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, setup{})
		for i := range 6000 {
			b.send(t, AcksAll, orders, batch(fmt.Sprint(i)))
			time.Sleep(10 * time.Millisecond)
		}
		if puts := b.puts(); puts > 60*4+maxTokens+1 {
			t.Errorf("%d PUTs in a minute, want at most 4 a second and %d saved ones", puts, maxTokens)
		}
	})
}

func TestRun_LazyBatchesShareASlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, setup{})
		for range 60 * 50 {
			b.Append(t.Context(), AcksAll, []PartitionBatch{{Partition: orders, Records: batch("offset"), Lazy: true}})
			time.Sleep(20 * time.Millisecond)
		}
		if puts := b.puts(); puts > 60*4+maxTokens {
			t.Errorf("%d PUTs for the offsets of a minute, want at most 4 a second", puts)
		}
	})
}

// With the window full nothing is frozen, and the loop sleeps until a slot counts.
func TestRun_FullWindowWaitsForASlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, setup{window: 2, flushBytes: 100})
		b.store.Cut()
		var last Pending
		for range 10 {
			last = b.send(t, AcksAll, orders, batch(string(make([]byte, 90))))
		}
		time.Sleep(time.Minute)
		if n := b.slots.InFlight(); n != 2 {
			t.Fatalf("%d slots in flight, want the window's 2", n)
		}
		b.store.Mend()
		if at := acked(t, last); at != 9 {
			t.Errorf("the last is at %d, want 9", at)
		}
	})
}
