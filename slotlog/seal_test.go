package slotlog

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/faulty"
	"github.com/odradek/odradek/objectstore/memory"
	"github.com/odradek/odradek/topic"
)

// have makes a bucket in which the journal's slots given hold data.
func have(t *testing.T, slots ...topic.Slot) *memory.Store {
	t.Helper()
	store := memory.New()
	for _, s := range slots {
		if err := store.Create(t.Context(), JournalKey(testJournal, s), Freeze(Data, fmt.Append(nil, s)).Body); err != nil {
			t.Fatal(err)
		}
	}
	return store
}

func TestSealJournal_NeverAboveAHole(t *testing.T) {
	store := have(t, 0, 1, 3, 4)
	if seal, err := SealJournal(t.Context(), store, testJournal, 0, "test"); seal != 2 || err != nil {
		t.Fatalf("sealed at %d, %v; want 2, the first free slot", seal, err)
	}
	holds(t, store, 2, Seal, "")
	holds(t, store, 3, Data, "3") // garbage, and left alone
}

func TestSealJournal_SealedAgainFindsTheSeal(t *testing.T) {
	store := have(t, 0, 1)
	for range 3 {
		if seal, err := SealJournal(t.Context(), store, testJournal, 0, "test"); seal != 2 || err != nil {
			t.Fatalf("sealed at %d, %v; want 2", seal, err)
		}
	}
}

func TestSealJournal_RacingSealersAgree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		w := write(t, store, 4)
		var wg sync.WaitGroup
		wg.Go(func() {
			for {
				slot, err := w.Next(t.Context())
				if err != nil {
					return
				}
				if slot > 200 { // a writer whose PUTs take no time may stay ahead of all sealers for ever
					<-time.After(time.Millisecond)
				}
				w.Land(slot, Freeze(Data, fmt.Append(nil, slot)))
			}
		})
		seals := make([]topic.Slot, 8)
		for i := range seals {
			wg.Go(func() {
				for w.End() < 20 && w.Err() == nil {
					_ = w.Drained(t.Context())
				}
				var err error
				if seals[i], err = SealJournal(t.Context(), store, testJournal, 0, fmt.Sprint(i)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for _, s := range seals[1:] {
			if s != seals[0] {
				t.Fatalf("sealers found %v", seals)
			}
		}
		for s := range seals[0] {
			holds(t, store, s, Data, fmt.Sprint(s))
		}
		if end := w.End(); end > seals[0] {
			t.Fatalf("the writer counts up to %d, the seal is at %d", end, seals[0])
		}
	})
}

// The gallop may land anywhere that is right: no free slot below where it says to begin.
func TestFirstToSeal_AgainstBruteForce(t *testing.T) {
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 1))
		window := 1 + r.IntN(8)
		trim := topic.Slot(r.IntN(50))
		end := trim + topic.Slot(r.IntN(200)) // first free slot
		var slots []topic.Slot
		for s := trim; s < end; s++ {
			slots = append(slots, s)
		}
		for s := end + 1; s < end+topic.Slot(window); s++ { // in flight beside it, landed or not
			if r.IntN(2) == 0 {
				slots = append(slots, s)
			}
		}
		below := have(t, slots...)
		store := faulty.New(below, nil)
		from, err := FirstToSeal(t.Context(), store, testJournal, trim, window)
		if err != nil {
			t.Fatal(err)
		}
		if from < trim || from > end {
			t.Fatalf("seed %d: begin at %d, but slots [%d, %d) are there and %d is free (window %d)", seed, from, trim, end, end, window)
		}
		if heads := len(store.Calls()); heads > 20 {
			t.Errorf("seed %d: %d HEADs to find slot %d above %d", seed, heads, end, trim)
		}
		seal, err := SealJournal(t.Context(), below, testJournal, from, "test")
		if err != nil || seal != end {
			t.Fatalf("seed %d: sealed at %d, %v; want %d of %v", seed, seal, err, end, slots)
		}
		again, err := FirstToSeal(t.Context(), below, testJournal, trim, window)
		if err != nil || again < trim || again > end {
			t.Fatalf("seed %d: begin at %d in the sealed journal, %v; the seal is at %d", seed, again, err, end)
		}
		if !slices.IsSorted(slots) {
			t.Fatal("slots out of order")
		}
	}
}

func TestFirstToSeal_StoreErrorIsTold(t *testing.T) {
	store := faulty.New(have(t, 0, 1), func(c faulty.Call) faulty.Fault {
		if c.Key == JournalKey(testJournal, 1) {
			return faulty.Fault{Before: faulty.ErrRefused}
		}
		return faulty.Fault{}
	})
	if from, err := FirstToSeal(t.Context(), store, testJournal, 0, 4); err == nil {
		t.Fatalf("begin at %d although a HEAD failed", from)
	}
}

// A sealer that starts far behind a writer which takes every slot first passes many at once, and never steps over a
// hole or another's seal.
func TestSealJournal_LooksAheadWhenItLoses(t *testing.T) {
	var slots []topic.Slot
	for s := range topic.Slot(500) {
		slots = append(slots, s)
	}
	store := faulty.New(have(t, append(slots, 501)...), nil)
	if seal, err := SealJournal(t.Context(), store, testJournal, 0, "test"); seal != 500 || err != nil {
		t.Fatalf("sealed at %d, %v; want 500, below the slot that is free", seal, err)
	}
	puts := 0
	for _, c := range store.Calls() {
		if c.Kind == objectstore.KindCreate {
			puts++
		}
	}
	if puts > 5 {
		t.Errorf("%d PUTs to seal behind 500 slots", puts)
	}
	if seal, err := SealJournal(t.Context(), store, testJournal, 10, "again"); seal != 500 || err != nil {
		t.Fatalf("the seal is found at %d, %v; want 500", seal, err)
	}
}

func TestHintToSeal_IsWorthNothingWithoutData(t *testing.T) {
	store := have(t, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
	for _, c := range []struct {
		trim, hint, from topic.Slot
		ok               bool
	}{
		{0, 10, 6, true}, {0, 8, 4, true}, {0, 3, 0, true}, {5, 8, 5, true}, // the window is 4
		{0, 0, 0, false}, {0, 12, 0, false}, {9, 9, 0, false},
	} {
		from, ok, err := HintToSeal(t.Context(), store, testJournal, c.trim, c.hint, 4)
		if err != nil || ok != c.ok || from != c.from {
			t.Errorf("trim %d, hint %d: begin at %d, %v, %v; want %d, %v", c.trim, c.hint, from, ok, err, c.from, c.ok)
		}
	}
	if _, err := SealJournal(t.Context(), store, testJournal, 0, "test"); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := HintToSeal(t.Context(), store, testJournal, 0, 11, 4); ok || err != nil {
		t.Errorf("a seal is taken for data: %v", err)
	}
}
