package slotlog

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/faulty"
	"github.com/odradek/odradek/objectstore/memory"
)

// Proof is ProofSince of the moment of the call.
func (w *Writer) Proof(ctx context.Context) error { return w.ProofSince(ctx, time.Now()) }

// count tells how many calls of a kind a store saw.
func count(store *faulty.Store, kind objectstore.Kind) int {
	n := 0
	for _, c := range store.Calls() {
		if c.Kind == kind {
			n++
		}
	}
	return n
}

func TestProof_FreeSlotProvesWhilePutsHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := faulty.New(memory.New(), faulty.Latency(objectstore.KindCreate, time.Hour))
		w := write(t, store, 4)
		w.put(t, "hangs")
		asked := time.Now()
		if err := w.Proof(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(asked); took > time.Second {
			t.Errorf("the proof took %v", took)
		}
	})
}

func TestProof_SealFencesAnIdleOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		w := write(t, store, 4)
		w.put(t, "mine")
		w.drained(t)
		if err := w.Proof(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := SealJournal(t.Context(), store, testJournal, 0, "test"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
		if err := w.Proof(t.Context()); !errors.Is(err, ErrFenced) {
			t.Fatalf("proof of a sealed journal: %v, want ErrFenced", err)
		}
	})
}

func TestProof_AnothersDataInAFreeSlotFences(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		w := write(t, store, 4)
		if err := store.Create(t.Context(), JournalKey(testJournal, 0), Freeze(Data, []byte("not mine")).Body); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := w.Proof(ctx); !errors.Is(err, ErrFenced) {
			t.Fatalf("proof: %v, want ErrFenced", err)
		}
	})
}

func TestProofSince_OnlyASlotSentLaterProves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := faulty.New(memory.New(), faulty.Latency(objectstore.KindCreate, time.Second))
		store.SetScript(faulty.Each(faulty.Latency(objectstore.KindCreate, time.Second), func(c faulty.Call) faulty.Fault {
			if c.Kind == objectstore.KindHead {
				return faulty.Fault{Before: faulty.ErrRefused} // slots alone must prove
			}
			return faulty.Fault{}
		}))
		w := write(t, store, 4)
		before := time.Now()
		time.Sleep(time.Millisecond)
		w.put(t, "sent before the question")
		time.Sleep(time.Millisecond)
		asked := time.Now()
		w.drained(t)
		if err := w.ProofSince(t.Context(), before); err != nil {
			t.Errorf("a slot that was sent after the question and counts proves nothing: %v", err)
		}
		if err := w.ProofSince(t.Context(), asked); err == nil {
			t.Error("a slot that was sent before the question proved something")
		}
	})
}

// A slot that landed above a hole may lie behind a seal: it proves nothing.
func TestProofSince_SlotAboveAHoleProvesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := faulty.New(memory.New(), of(JournalKey(testJournal, 0), faulty.Fault{Delay: time.Hour}))
		w := write(t, store, 4)
		w.put(t, "hangs")
		asked := time.Now()
		time.Sleep(time.Millisecond)
		w.put(t, "lands")
		time.Sleep(time.Second)
		store.Cut() // no HEAD helps
		if err := w.ProofSince(t.Context(), asked); err == nil {
			t.Fatal("proved by a slot that does not count")
		}
	})
}

func TestProof_OneHeadServesAllAndAtMostFourASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := faulty.New(memory.New(), faulty.Latency(objectstore.KindHead, 20*time.Millisecond))
		w := write(t, store, 4)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				for ctx.Err() == nil {
					if err := w.Proof(ctx); err != nil && ctx.Err() == nil {
						t.Error(err)
					}
					time.Sleep(time.Duration(i+1) * time.Millisecond)
				}
			})
		}
		wg.Wait()
		if heads := count(store, objectstore.KindHead); heads > 42 || heads < 30 {
			t.Errorf("%d HEADs in 10 s for 50 that ask all the time, want 4 a second", heads)
		}
	})
}

func TestProof_HeadThatHangsHoldsNobodyForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := faulty.New(memory.New(), faulty.NthOf(objectstore.KindHead, 1, faulty.Fault{Delay: time.Hour}))
		w := write(t, store, 4)
		first := make(chan error, 1)
		go func() { first <- w.Proof(context.Background()) }()
		synctest.Wait()
		began := time.Now()
		if err := w.Proof(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 2*lookTimeout {
			t.Errorf("the second asker waited %v for the first one's HEAD", took)
		}
		if err := <-first; err == nil {
			t.Error("a HEAD without an answer proved something")
		}
	})
}

// A PUT that got lost holds everything behind it up: it is sent again before it times out, budget or not.
func TestHedge_ALostPutIsSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := faulty.New(memory.New(), func(c faulty.Call) faulty.Fault {
			if c.Kind == objectstore.KindCreate && c.OfKey == 1 {
				return faulty.Fault{Delay: time.Hour}
			}
			return faulty.Fault{}
		})
		began := time.Now()
		w := write(t, store, 1)
		w.put(t, "x")
		w.drained(t)
		if err := Decide(t.Context(), store, 0, []byte("y")); err != nil { // control records, too
			t.Fatal(err)
		}
		if took := time.Since(began); took > 2*overdue+time.Second {
			t.Errorf("two lost PUTs took %v, want twice %v", took, overdue)
		}
	})
}

func TestHedge_ALatePutIsSentTwiceWithinTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const slots = 1000
		store := faulty.New(memory.New(), func(c faulty.Call) faulty.Fault {
			if c.Kind != objectstore.KindCreate {
				return faulty.Fault{}
			}
			if c.OfKey == 1 && c.OfKind%10 == 0 {
				return faulty.Fault{Delay: overdue - time.Second}
			}
			return faulty.Fault{Delay: 30 * time.Millisecond}
		})
		w := write(t, store, 4)
		for i := range slots {
			w.put(t, fmt.Sprint(i))
		}
		w.drained(t)
		creates := count(store, objectstore.KindCreate)
		if creates > slots+slots/20 || creates < slots+slots/50 {
			t.Errorf("%d PUTs for %d slots, want some second ones and at most one in twenty", creates, slots)
		}
	})
}

func TestHedge_QuietJournalIsNotHedged(t *testing.T) {
	var h hedge
	if h.Delay() != hedgeUnknown || h.Allow() {
		t.Fatal("hedges before anything is known")
	}
	for range 100 {
		h.Note(time.Millisecond)
	}
	if d := h.Delay(); d != hedgeFloor {
		t.Errorf("late after %v, want no less than %v", d, hedgeFloor)
	}
	if first, second, third := h.Allow(), h.Allow(), h.Allow(); !first || !second || third {
		t.Errorf("more or less than %d saved up", maxHedges)
	}
}
