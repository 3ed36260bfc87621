package cluster

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/odradek/odradek/metadata/embedded"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/memory"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

// forget deletes the control numbers [1, below), as agents do when they are old (G4).
func forget(t *testing.T, store objectstore.Store, below topic.Slot) {
	t.Helper()
	for n := topic.Slot(1); n < below; n++ {
		if err := store.Delete(t.Context(), slotlog.ControlKey(n)); err != nil {
			t.Fatal(err)
		}
	}
}

// Without the control log's beginning a start knows what it knew with it, also where one of both checkpoints is damaged.
func TestStart_TheControlLogsBeginningIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		older, newer := history(t, store)
		read, rh, rl := looks(t, store)
		forget(t, store, older.Control)
		e, h, l := looks(t, store)
		alike(t, "whole", read, e, rh, h, rl, l)
		for name, spoil := range map[string]func([]byte) []byte{"flipped": func(b []byte) []byte { b[len(b)/2] ^= 1; return b }, "gone": nil} {
			e, h, l := looks(t, damaged{store, newer.Name().Key(), spoil})
			alike(t, "newer "+name, read, e, rh, h, rl, l)
			if e.mirror.base == nil || e.mirror.base.ID != older.ID {
				t.Errorf("newer %s: begun from %+v, want the checkpoint at %d", name, e.mirror.base, older.Control)
			}
			both := damaged{damaged{store, newer.Name().Key(), spoil}, older.Name().Key(), spoil}
			none := New(alone(), both, embedded.Open())
			if err := none.Start(t.Context()); !errors.Is(err, ErrForgotten) {
				t.Errorf("both %s: %v, want ErrForgotten", name, err)
			}
			none.Stop()
		}
		if n, err := store.Head(t.Context(), slotlog.ControlKey(read.State().Next())); err == nil {
			t.Errorf("a start decided %s", n.Key)
		}
	})
}

// What was deleted may begin above what a checkpoint stands for that is still listed: it is passed over.
func TestStart_BehindAnOldCheckpointNothingIsLeft(t *testing.T) {
	store := memory.New()
	older, newer := history(t, store)
	read, rh, rl := looks(t, store)
	forget(t, store, newer.Control)
	e, h, l := looks(t, store)
	alike(t, "whole", read, e, rh, h, rl, l)
	none := New(alone(), damaged{store, newer.Name().Key(), nil}, embedded.Open())
	defer none.Stop()
	if err := none.Start(t.Context()); !errors.Is(err, ErrForgotten) {
		t.Errorf("from the checkpoint at %d: %v, want ErrForgotten", older.Control, err)
	}
}

// The index is built anew where the effects of control numbers are wanted that are not there any more.
func TestEffects_OfNumbersThatAreGone(t *testing.T) {
	store := memory.New()
	older, _ := history(t, store)
	whole, _, _ := looks(t, blind{store})
	forget(t, store, older.Control)
	for _, applied := range []topic.Slot{1, 5, older.Control - 2} {
		e, _, _ := looks(t, store)
		if err := e.rememberEffects(t.Context(), applied); !errors.Is(err, errRebuild) {
			t.Errorf("above %d: %v, want errRebuild", applied, err)
		}
	}
	e, _, _ := looks(t, store)
	if err := e.rememberEffects(t.Context(), older.Control); err != nil {
		t.Fatal(err)
	}
	got, ok := e.effects.after(older.Control)
	want, _ := whole.effects.after(older.Control)
	if !ok || len(got) != len(want) {
		t.Fatalf("above %d: %d effects, %t, want %d", older.Control, len(got), ok, len(want))
	}
	for i := range want {
		if !slices.Equal(got[i], want[i]) {
			t.Errorf("effects of %d: %v, want %v", int(older.Control)+1+i, got[i], want[i])
		}
	}
}

// O3: who slept until the number that it would read next was deleted neither takes it for the end nor decides it again.
func TestCatchUp_WhoSleptThroughADeletionIsOver(t *testing.T) {
	for name, wake := range map[string]func(t *testing.T, o *owner) error{
		"follows": func(t *testing.T, o *owner) error { return o.Follow(t.Context()) },
		"proposes": func(t *testing.T, o *owner) error {
			return o.AlterCluster(t.Context(), topic.Config{"num.partitions": "7"}, nil)
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			store, meta := memory.New(), embedded.Open()
			a, b := join(t, store, meta), join(t, store, meta)
			if err := a.CatchUp(t.Context()); err != nil {
				t.Fatal(err)
			}
			slept := a.State().Next()
			p := b.topicAt(t, "t", 1)[0]
			for range 3 {
				b.write(t, store, p)
				b.checkpoint(t, store, map[topic.JournalID]topic.Slot{b.Journal(): b.slot})
			}
			oldest := b.State().Checkpoints()[0].Control
			if oldest <= slept {
				t.Fatalf("the oldest checkpoint stands at %d, one sleeps at %d", oldest, slept)
			}
			time.Sleep(2 * confirmAfter)
			if err := b.CatchUp(t.Context()); err != nil {
				t.Fatal(err)
			}
			forget(t, store, oldest)
			if err := wake(t, a); !errors.Is(err, slotlog.ErrFenced) {
				t.Errorf("%s: %v, want ErrFenced", name, err)
			}
			if err := a.over(); !errors.Is(err, slotlog.ErrFenced) {
				t.Errorf("%s: goes on: %v", name, err)
			}
			if _, err := store.Head(t.Context(), slotlog.ControlKey(slept)); !errors.Is(err, objectstore.ErrNotFound) {
				t.Errorf("%s: control %d was decided a second time (I1): %v", name, slept, err)
			}
		})
	}
}

// Whoever slept while nothing was deleted goes on.
func TestCatchUp_AfterASleepTheEndIsTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, meta := memory.New(), embedded.Open()
		a, b := join(t, store, meta), join(t, store, meta)
		if err := a.CatchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * confirmAfter)
		if err := a.AlterCluster(t.Context(), topic.Config{"num.partitions": "7"}, nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * confirmAfter)
		if err := b.CatchUp(t.Context()); err != nil || b.State().Next() != a.State().Next() {
			t.Fatalf("at %d, want %d: %v", b.State().Next(), a.State().Next(), err)
		}
	})
}
