package api

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestAnswers_SlowReaderGivesWayToWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAnswers(leastAnswer)
		var given time.Duration
		began := time.Now()
		slow := &Conn{}
		held, err := a.grant(t.Context(), slow, leastAnswer)
		if err != nil {
			t.Fatal(err)
		}
		slow.GiveUp = func() { given = time.Since(began); held.release() }
		if _, err := a.grant(t.Context(), &Conn{}, 10); err != nil {
			t.Fatal(err)
		}
		if given < tooSlow || given > tooSlow+2*askAgain {
			t.Fatalf("the slow reader gave way after %v, want %v", given, tooSlow)
		}
	})
}

func TestAnswers_WaitingEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAnswers(leastAnswer)
		if _, err := a.grant(t.Context(), &Conn{}, leastAnswer); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := a.grant(ctx, &Conn{}, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v, want the end of the context", err)
		}
	})
}

func TestAnswers_GrowWhileTheyLeaveAtOnce(t *testing.T) {
	a := newAnswers(64 << 20)
	c := &Conn{}
	for _, want := range []int64{1 << 20, 2 << 20, 4 << 20} {
		held, err := a.grant(t.Context(), c, 50<<20)
		if err != nil || held.n != want {
			t.Fatalf("granted %d, want %d: %v", held.n, want, err)
		}
		held.release()
		c.Sent(int(want), time.Millisecond)
	}
	c.Sent(4<<20, time.Minute)
	if c.allowed() != 2<<20 {
		t.Fatalf("after a slow answer %d bytes are allowed, want a quarter of 8 MiB", c.allowed())
	}
}

func TestAnswers_SettleHoldsWhatWasRead(t *testing.T) {
	a := newAnswers(8 << 20)
	held, err := a.grant(t.Context(), &Conn{}, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	held.settle(100)
	if !a.room.TryAcquire(8<<20 - 100) {
		t.Fatal("more is held than was read")
	}
	a.room.Release(8<<20 - 100)
	held.settle(6 << 20) // one large batch
	if a.room.TryAcquire(3 << 20) {
		t.Fatal("less is held than was read")
	}
	held.release()
	if !a.room.TryAcquire(8 << 20) {
		t.Fatal("something is held for ever")
	}
}
