package compaction

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/odradek/odradek/checkpoint"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

// numbers lists the control numbers that are there.
func (w *world) numbers(t *testing.T) (out []topic.Slot) {
	t.Helper()
	for _, key := range w.keys(t, slotlog.ControlPrefix) {
		n, err := slotlog.ParseControlKey(key)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, n)
	}
	return out
}

// checkpoints makes some more generations of checkpoints.
func (w *stored) checkpoints(t *testing.T, n int, a *agent, p topic.Partition) {
	t.Helper()
	owner, _ := w.state.Owner(p)
	for range n {
		for range 3 {
			w.put(owner.Journal, 100, p)
		}
		w.checkpointed(t, a, a)
	}
}

// looked is one look for garbage of all kinds.
func (a *agent) looked(t *testing.T) {
	t.Helper()
	if err := errors.Join(a.Sweep(t.Context()), a.Collect(t.Context())); err != nil {
		t.Fatal(err)
	}
}

// aging is a cluster of one agent with some generations of checkpoints, the first of which an era was recovered from.
func aging(t *testing.T, store func(objectstore.Store) objectstore.Store, cfg Config) (*stored, *agent, topic.Partition) {
	t.Helper()
	w := newStored(t)
	j := w.openJournal()
	one := w.agent(j, store(w.bucket), cfg)
	p := topic.Partition{Topic: w.createTopic(j)}
	w.checkpoints(t, 1, one, p)
	first, _ := w.state.NewestCheckpoint()
	w.append(control.Era{Number: 1, RunID: "r", ReplicationID: "x", Checkpoint: first.Control})
	w.checkpoints(t, 4, one, p)
	return w, one, p
}

// forgotten lists what FindForgotten tells: what goes, and what waits.
func (w *world) forgotten(t *testing.T) (goes, waits []string) {
	t.Helper()
	err := FindForgotten(t.Context(), w.bucket, w.state, func(g Garbage, at time.Time, wait bool) error {
		if g.Size == 0 || at.IsZero() || at.After(time.Now()) {
			t.Errorf("%+v of %v", g, at)
		}
		if wait {
			waits = append(waits, g.Key)
		} else {
			goes = append(goes, g.Key)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return goes, waits
}

func plain(s objectstore.Store) objectstore.Store { return s }

func TestForget_ControlNumbersGoOnceTheyAreOldAndUnneeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, one, p := aging(t, plain, soon())
		kept := w.state.Checkpoints()
		oldest := kept[1].Control // the era's own is not needed any more
		if len(kept) != 3 || kept[0].Control >= oldest {
			t.Fatalf("checkpoints %v", kept)
		}
		all := len(w.numbers(t))
		for range 3 { // heads of older checkpoints go first, then their grace is over
			one.looked(t)
			time.Sleep(2 * time.Hour)
		}
		if n := len(w.numbers(t)); n != all {
			t.Fatalf("%d of %d control numbers are left within a day", n, all)
		}
		time.Sleep(6 * 24 * time.Hour)
		one.looked(t)
		if n := len(w.numbers(t)); n != all {
			t.Fatalf("%d of %d control numbers are left within a week", n, all)
		}
		var told []string
		for n := topic.Slot(1); n < oldest; n++ {
			told = append(told, slotlog.ControlKey(n))
		}
		if goes, waits := w.forgotten(t); !slices.Equal(goes, told) || len(waits) > 0 {
			t.Errorf("told of %v and %v, want %v", goes, waits, told)
		}
		time.Sleep(24 * time.Hour)
		one.looked(t)
		want := []topic.Slot{0}
		for n := oldest; n < w.state.Next(); n++ {
			want = append(want, n)
		}
		if goes, waits := w.forgotten(t); len(goes)+len(waits) > 0 {
			t.Errorf("told of %v and %v, which are gone", goes, waits)
		}
		if have := w.numbers(t); !slices.Equal(have, want) {
			t.Fatalf("control numbers %v are left, want %v", have, want)
		}
		w.checkpoints(t, 2, one, p) // computed and verified from what is left
		w.readAll()
		if n := len(w.keys(t, LedgerPrefix)); n < 2 {
			t.Errorf("%d ledgers", n)
		}
	})
}

// Whoever reads heads that a checkpoint left behind may read on from there.
func TestForget_AHeadThatIsThereHoldsItsNumbers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, one, _ := aging(t, plain, soon())
		time.Sleep(9 * 24 * time.Hour)
		for range 3 {
			if err := one.Collect(t.Context()); err != nil { // nobody sweeps
				t.Fatal(err)
			}
			time.Sleep(2 * time.Hour)
		}
		names, err := checkpoint.Heads(t.Context(), w.bucket)
		if err != nil || len(names) != 5 {
			t.Fatalf("heads %v, %v", names, err)
		}
		oldest := names[len(names)-2].Control // but the era's
		if n := w.numbers(t); n[1] != oldest {
			t.Fatalf("control numbers %v are left, want those from %d on", n, oldest)
		}
	})
}

// broken fails the n-th delete.
type broken struct {
	objectstore.Store
	mu      sync.Mutex // guards all below
	left    int
	deleted []string
}

func (b *broken) Delete(ctx context.Context, key string) error {
	b.mu.Lock()
	b.left--
	breaks := b.left == 0
	if !breaks {
		b.deleted = append(b.deleted, key)
	}
	b.mu.Unlock()
	if breaks {
		return fmt.Errorf("delete %s: broken", key)
	}
	return b.Store.Delete(ctx, key)
}

// A gap would make the log end where it does not.
func TestForget_WhatIsLeftHasNoGap(t *testing.T) {
	for n := range 12 {
		synctest.Test(t, func(t *testing.T) {
			b := &broken{left: -1}
			w, one, _ := aging(t, func(s objectstore.Store) objectstore.Store { b.Store = s; return b }, soon())
			for range 3 {
				one.looked(t)
				time.Sleep(2 * time.Hour)
			}
			time.Sleep(8 * 24 * time.Hour)
			b.left, b.deleted = n+1, nil
			if err := one.Collect(t.Context()); err == nil && len(b.deleted) > n {
				t.Fatalf("delete %d failed, and no error", n)
			}
			if !slices.IsSorted(b.deleted) {
				t.Errorf("deleted in the order %v", b.deleted)
			}
			have := w.numbers(t)
			for i := 2; i < len(have); i++ {
				if have[i] != have[i-1]+1 {
					t.Fatalf("control numbers %v are left", have)
				}
			}
			if have[0] != 0 {
				t.Fatal("control/0 is gone")
			}
		})
	}
}

func TestForget_NothingWithoutATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := soon()
		cfg.Keys.Now = func(context.Context) (time.Time, error) { return time.Time{}, errors.New("clocks disagree") }
		w, one, _ := aging(t, plain, cfg)
		all := len(w.numbers(t))
		for range 20 {
			one.looked(t)
			time.Sleep(24 * time.Hour)
		}
		if n := len(w.numbers(t)); n != all {
			t.Errorf("%d of %d control numbers are left", n, all)
		}
	})
}

func TestForget_SealsGoWhenNoSlotIsNeeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newStored(t)
		dead, j := w.openJournal(), w.openJournal()
		one := w.agent(j, w.bucket, soon())
		p := topic.Partition{Topic: w.createTopic(dead)}
		for range 5 {
			w.put(dead, 100, p)
		}
		w.sealStored(dead, j)
		behind := []string{slotlog.JournalKey(dead, 6), slotlog.JournalKey(dead, 8)} // K is 4
		for _, key := range behind {
			if err := w.bucket.Create(t.Context(), key, slotlog.Freeze(slotlog.Data).Body); err != nil {
				t.Fatal(err)
			}
		}
		there := func() int { return len(w.keys(t, slotlog.JournalPrefix(dead))) }
		w.checkpoints(t, 3, one, p) // all that are kept know of the seal
		if there() != 8 {
			t.Fatalf("%d objects", there())
		}
		one.looked(t)
		one.looked(t)
		if goes, waits := w.forgotten(t); !slices.Equal(goes[len(goes)-2:], behind) || len(waits) == 0 { // heads of older checkpoints hold numbers
			t.Errorf("told of %v and %v, want %v in the end", goes, waits, behind)
		}
		if there() != 8 {
			t.Fatalf("%d of 8 objects are left before the grace is over", there())
		}
		time.Sleep(2 * time.Hour)
		one.looked(t)
		if there() != 6 {
			t.Fatalf("%d objects are left, want 6: what lay behind the seal never counted", there())
		}
		time.Sleep(10 * 24 * time.Hour)
		one.looked(t)
		if there() != 6 {
			t.Fatalf("%d objects are left, want 6: the slots are needed", there())
		}
		one.compactAll(t)
		time.Sleep(2 * time.Minute)
		if one.compactAll(t) == 0 {
			t.Fatal("nothing is compacted")
		}
		if err := one.Trim(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.checkpoints(t, 3, one, p) // all that are kept know of the TRIM
		goes, _ := w.forgotten(t)
		if seal := slotlog.JournalKey(dead, 5); goes[len(goes)-1] != seal {
			t.Errorf("told of %v, want %s in the end", goes, seal)
		}
		for range 2 {
			one.looked(t)
			time.Sleep(2 * time.Hour)
		}
		one.looked(t)
		if n := there(); n != 0 {
			t.Fatalf("%d objects are left of a journal that nothing needs: %v", n, w.keys(t, slotlog.JournalPrefix(dead)))
		}
		w.readAll()
	})
}

func TestForget_YoungSealsStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newStored(t)
		dead, j := w.openJournal(), w.openJournal()
		one := w.agent(j, w.bucket, soon())
		p := topic.Partition{Topic: w.createTopic(dead)}
		w.sealStored(dead, j) // it never held anything
		w.checkpoints(t, 3, one, p)
		for range 6*24/8 + 1 {
			one.looked(t)
			time.Sleep(8 * time.Hour)
		}
		if n := len(w.keys(t, slotlog.JournalPrefix(dead))); n != 1 {
			t.Fatalf("%d objects are left within a week", n)
		}
		time.Sleep(24 * time.Hour)
		one.looked(t)
		if n := len(w.keys(t, slotlog.JournalPrefix(dead))); n != 0 {
			t.Fatalf("%d objects are left after a week", n)
		}
	})
}
