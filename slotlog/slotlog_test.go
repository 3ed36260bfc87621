package slotlog

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
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

var testJournal = topic.JournalID{0xaa, 1}

// running is a Writer with its Run.
type running struct {
	*Writer
	cancel context.CancelFunc
	over   chan error // Run's answer

	mu   sync.Mutex
	ends []topic.Slot // what counted was told
}

// write runs a journal's writer until the test's end.
func write(t *testing.T, store objectstore.Store, window int) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Writer: NewWriter(store, testJournal, window), cancel: cancel, over: make(chan error, 1)}
	go func() {
		r.over <- r.Run(ctx, func(end topic.Slot) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.ends = append(r.ends, end)
		})
	}()
	t.Cleanup(cancel)
	return r
}

func (r *running) told() []topic.Slot {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.ends)
}

// put gives text the next slot.
func (r *running) put(t *testing.T, text string) topic.Slot {
	t.Helper()
	slot, err := r.Next(t.Context())
	if err != nil {
		t.Fatalf("next: %v", err)
	}
	r.Land(slot, Freeze(Data, []byte(text)))
	return slot
}

func (r *running) drained(t *testing.T) {
	t.Helper()
	if err := r.Drained(t.Context()); err != nil {
		t.Fatalf("drained: %v", err)
	}
}

// holds checks what a slot of the test's journal holds.
func holds(t *testing.T, store objectstore.Store, slot topic.Slot, kind Kind, payload string) {
	t.Helper()
	e, err := Read(t.Context(), store, JournalKey(testJournal, slot))
	if err != nil || e.Kind != kind || kind == Data && string(e.Payload) != payload {
		t.Fatalf("slot %d holds %s %q, %v; want %s %q", slot, e.Kind, e.Payload, err, kind, payload)
	}
}

// of makes a script for the creates of one key.
func of(key string, f faulty.Fault) faulty.Script {
	return func(c faulty.Call) faulty.Fault {
		if c.Kind == objectstore.KindCreate && c.Key == key {
			return f
		}
		return faulty.Fault{}
	}
}

func TestRun_SlotsLandInAnyOrderAndCountInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := faulty.New(memory.New(), faulty.Each(
			of(JournalKey(testJournal, 0), faulty.Fault{Delay: time.Second}),
			of(JournalKey(testJournal, 2), faulty.Fault{Delay: 2 * time.Second}),
		))
		w := write(t, store, 4)
		for i := range 4 {
			w.put(t, fmt.Sprint(i))
		}
		time.Sleep(900 * time.Millisecond)
		if end := w.End(); end != 0 {
			t.Fatalf("slot 0 is missing, and the end is %d", end)
		}
		time.Sleep(900 * time.Millisecond)
		if end := w.End(); end != 2 {
			t.Fatalf("slot 2 is missing, and the end is %d", end)
		}
		w.drained(t)
		synctest.Wait()
		if got := w.told(); !slices.Equal(got, []topic.Slot{2, 4}) {
			t.Fatalf("counted up to %v, want 2 and then 4", got)
		}
	})
}

func TestNext_WaitsWhileTheWindowIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const window = 3
		store := faulty.New(memory.New(), faulty.Latency(objectstore.KindCreate, time.Second))
		w := write(t, store, window)
		for i := range window {
			w.put(t, fmt.Sprint(i))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		if _, err := w.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("slot %d beyond the window: %v", window, err)
		}
		if n := w.InFlight(); n != window {
			t.Fatalf("%d slots in flight, want %d", n, window)
		}
		time.Sleep(600 * time.Millisecond)
		if slot := w.put(t, "after"); slot != window {
			t.Fatalf("slot %d after the window moved, want %d", slot, window)
		}
	})
}

func TestAppend_SealedJournalIsFenced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		w := write(t, store, 4)
		w.put(t, "mine")
		w.drained(t)
		if seal, err := SealJournal(t.Context(), store, testJournal, 0, "test"); seal != 1 || err != nil {
			t.Fatalf("sealed at %d, %v; want 1", seal, err)
		}
		w.put(t, "too late")
		if err := <-w.over; !errors.Is(err, ErrFenced) {
			t.Fatalf("run ended with %v, want ErrFenced", err)
		}
		if _, err := w.Next(t.Context()); !errors.Is(err, ErrFenced) {
			t.Errorf("next: %v, want ErrFenced", err)
		}
		if err := w.Drained(t.Context()); !errors.Is(err, ErrFenced) {
			t.Errorf("drained: %v, want ErrFenced", err)
		}
		if err := w.Proof(t.Context()); !errors.Is(err, ErrFenced) {
			t.Errorf("proof: %v, want ErrFenced", err)
		}
		if end := w.End(); end != 1 {
			t.Errorf("end %d, want 1: nothing counts after the seal", end)
		}
	})
}

func TestRun_StopWakesWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := faulty.New(memory.New(), faulty.Latency(objectstore.KindCreate, time.Hour))
		w := write(t, store, 1)
		w.put(t, "hangs")
		next := make(chan error, 1)
		go func() {
			_, err := w.Next(t.Context())
			next <- err
		}()
		synctest.Wait()
		w.cancel()
		if err := <-w.over; !errors.Is(err, ErrClosed) {
			t.Errorf("run: %v, want ErrClosed", err)
		}
		if err := <-next; !errors.Is(err, ErrClosed) {
			t.Errorf("next: %v, want ErrClosed", err)
		}
	})
}

// The story of a journal and two control numbers, told again and again while each store call in turn fails once,
// before or after it took effect. It must end the same every time.
func TestStory_EveryStoreCallFailsOnce(t *testing.T) {
	n := tell(t, faulty.None)
	if n < 15 {
		t.Fatalf("the story makes %d store calls: it does not tell enough", n)
	}
	for i := 1; i <= n+2; i++ {
		for name, f := range map[string]faulty.Fault{
			"before": {Before: faulty.ErrRefused}, "after": {After: faulty.ErrLost}, "late": {Late: true}, "hangs": {Delay: time.Hour},
		} {
			t.Run(fmt.Sprintf("call %d %s", i, name), func(t *testing.T) { tell(t, faulty.Nth(i, f)) })
		}
	}
}

// tell tells the story and returns how many store calls it took.
func tell(t *testing.T, script faulty.Script) (calls int) {
	synctest.Test(t, func(t *testing.T) {
		below := memory.New()
		store := faulty.New(below, script)
		w := write(t, store, 2)
		for i := range 5 {
			w.put(t, fmt.Sprint(i))
		}
		w.drained(t)
		untilDone(t, "proof", func() error { return w.Proof(t.Context()) })
		var from, seal topic.Slot
		untilDone(t, "find the end", func() (err error) {
			from, err = FirstToSeal(t.Context(), store, testJournal, 0, 2)
			return err
		})
		untilDone(t, "seal", func() (err error) {
			seal, err = SealJournal(t.Context(), store, testJournal, from, "test")
			return err
		})
		for n := range topic.Slot(2) {
			untilDone(t, "decide", func() error { return Decide(t.Context(), store, n, fmt.Append(nil, "record ", n)) })
		}
		time.Sleep(time.Minute) // what hangs gives up
		store.Land(t.Context())
		if seal != 5 {
			t.Errorf("sealed at %d, want 5", seal)
		}
		for i := range topic.Slot(5) {
			holds(t, below, i, Data, fmt.Sprint(i))
		}
		holds(t, below, 5, Seal, "")
		for n := range topic.Slot(2) {
			if b, err := ReadControl(t.Context(), below, n); err != nil || string(b) != fmt.Sprint("record ", n) {
				t.Errorf("control %d holds %q, %v", n, b, err)
			}
		}
		calls = len(store.Calls())
	})
	return calls
}

// untilDone repeats what may answer an error for a call that failed.
func untilDone(t *testing.T, what string, do func() error) {
	t.Helper()
	var err error
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		done := make(chan error, 1)
		go func() { done <- do() }()
		select {
		case err = <-done:
		case <-ctx.Done():
			t.Fatalf("%s hangs", what)
		}
		cancel()
		if err == nil {
			return
		}
	}
	t.Fatalf("%s: %v", what, err)
}

func TestLand_LateBodyMeetsTheSeal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		below := memory.New()
		store := faulty.New(below, faulty.NthOf(objectstore.KindCreate, 2, faulty.Fault{Late: true}))
		w := write(t, store, 4)
		w.put(t, "counts")
		w.drained(t)
		w.put(t, "on its way for ever")
		synctest.Wait()
		w.cancel() // killed while its PUT is in the network
		<-w.over
		seal, err := SealJournal(t.Context(), below, testJournal, 0, "test")
		if seal != 1 || err != nil {
			t.Fatalf("sealed at %d, %v; want 1", seal, err)
		}
		if errs := store.Land(t.Context()); len(errs) != 1 || !errors.Is(errs[0], objectstore.ErrExists) {
			t.Fatalf("the late body met %v, want the seal", errs)
		}
		holds(t, below, 1, Seal, "")
	})
}

func TestLand_OwnNonceWithOtherBytesIsAnImpostor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		ours := Freeze(Data, []byte("ours"))
		clone := slices.Concat(Freeze(Data, []byte("clone")).Body.Parts...)
		copy(clone[len(clone)-TrailerSize+16:], ours.Digest.Nonce[:])
		crc := len(clone) - 4
		binary.BigEndian.PutUint32(clone[crc:], crc32.Checksum(clone[:crc], castagnoli))
		if err := store.Create(t.Context(), JournalKey(testJournal, 0), objectstore.NewBody(clone)); err != nil {
			t.Fatal(err)
		}
		w := write(t, store, 1)
		slot, err := w.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		w.Land(slot, ours)
		if err := <-w.over; !errors.Is(err, ErrImpostor) {
			t.Fatalf("run: %v, want ErrImpostor", err)
		}
	})
}

func TestLand_GarbageInTheSlotIsFenced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		if err := store.Create(t.Context(), JournalKey(testJournal, 0), objectstore.NewBody([]byte("who put this here"))); err != nil {
			t.Fatal(err)
		}
		w := write(t, store, 1)
		w.put(t, "mine")
		if err := <-w.over; !errors.Is(err, ErrFenced) {
			t.Fatalf("run: %v, want ErrFenced", err)
		}
	})
}

func TestLand_ChangedBytesEndTheJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := write(t, memory.New(), 1) // checks what it gets, as S3 does
		slot, err := w.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		payload := []byte("frozen")
		body := Freeze(Data, payload)
		payload[0] ^= 1
		w.Land(slot, body)
		if err := <-w.over; !errors.Is(err, ErrChanged) {
			t.Fatalf("run: %v, want ErrChanged", err)
		}
	})
}

func TestDecide_OneOfManyWins(t *testing.T) {
	store := memory.New()
	var wg sync.WaitGroup
	errs := make([]error, 16)
	for i := range errs {
		wg.Go(func() { errs[i] = Decide(t.Context(), store, 0, []byte{byte(i)}) })
	}
	wg.Wait()
	decided, err := ReadControl(t.Context(), store, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i, err := range errs {
		if won := int(decided[0]) == i; won != (err == nil) || !won && !errors.Is(err, ErrFenced) {
			t.Errorf("proposer %d got %v, the number holds %d", i, err, decided[0])
		}
	}
	if _, err := ReadControl(t.Context(), store, 1); !errors.Is(err, ErrHole) {
		t.Errorf("number 1: %v, want ErrHole", err)
	}
}

func TestReadControl_SealIsCorrupt(t *testing.T) {
	store := memory.New()
	if err := store.Create(t.Context(), ControlKey(0), Freeze(Seal).Body); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadControl(t.Context(), store, 0); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("a seal in the control log: %v, want ErrCorrupt", err)
	}
}

func TestStuck_TellsHowLongNothingLanded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := faulty.New(memory.New(), nil)
		w := write(t, store, 2)
		time.Sleep(time.Hour)
		if d := w.Stuck(); d != 0 {
			t.Fatalf("an idle journal is stuck for %v", d)
		}
		store.Cut()
		w.put(t, "waits")
		time.Sleep(10 * time.Second)
		if d := w.Stuck(); d != 10*time.Second {
			t.Fatalf("stuck for %v, want 10s", d)
		}
		store.Mend()
		w.drained(t)
		if d := w.Stuck(); d != 0 {
			t.Fatalf("after all landed it is stuck for %v", d)
		}
	})
}
