package compaction

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/odradek/odradek/checkpoint"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/topic"
)

// needed lists the objects that the checkpoints kept name.
func (w *world) needed(t *testing.T) []string {
	t.Helper()
	var keys []string
	for _, info := range w.state.Checkpoints() {
		h, err := checkpoint.ReadHead(t.Context(), w.bucket, info.Control, info.ID)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, h.Name().Key())
		for _, p := range h.Parts {
			keys = append(keys, p.Keys()...)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// old makes a cluster with several generations of checkpoints, and garbage.
func old(t *testing.T) (w *world, one, two *agent, p topic.Partition) {
	t.Helper()
	w, one, two, p = busy(t)
	garbage := []string{
		checkpoint.Name{Control: 3, ID: [16]byte{1}}.Key(), checkpoint.PartKey(2, [16]byte{2}),
		checkpoint.PartKey(99999, [16]byte{3}), // planned above: somebody may be about to name it
	}
	for _, key := range garbage {
		if err := w.bucket.Create(t.Context(), key, objectstore.NewBody([]byte("garbage"))); err != nil {
			t.Fatal(err)
		}
	}
	for range 6 {
		for range 30 {
			w.write(w.state.OpenJournals()[0].ID, p)
		}
		one.build(t)
		two.verifyNewest(t)
	}
	return w, one, two, p
}

func TestSweep_WhatNothingNeedsGoesAfterGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, one, _, _ := old(t)
		all := w.keys(t, checkpoint.Prefix)
		needed := w.needed(t)
		if len(all) < len(needed)+8 {
			t.Fatalf("%d objects, %d needed", len(all), len(needed))
		}
		for range 4 { // the grace of an hour is counted from the first look
			if err := one.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := len(w.keys(t, checkpoint.Prefix)); n != len(all) {
				t.Fatalf("%d of %d objects are left within the hour", n, len(all))
			}
			time.Sleep(15 * time.Minute)
		}
		if err := one.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := append(slices.Clone(needed), checkpoint.PartKey(99999, [16]byte{3}))
		slices.Sort(want)
		if left := w.keys(t, checkpoint.Prefix); !slices.Equal(left, want) {
			t.Errorf("left %v\nwant %v", left, want)
		}
		if s := one.Stats(); s.Swept != int64(len(all)-len(want)) {
			t.Errorf("%d deleted, want %d", s.Swept, len(all)-len(want))
		}
		for _, info := range w.state.Checkpoints() { // I9: what is kept can be read whole
			h, err := checkpoint.ReadHead(t.Context(), w.bucket, info.Control, info.ID)
			if err == nil {
				err = h.Rows(t.Context(), w.bucket, func(checkpoint.Row) error { return nil })
			}
			if err != nil {
				t.Error(err)
			}
		}
		if !slices.ContainsFunc(w.keys(t, ""), func(k string) bool { return strings.HasPrefix(k, "control/") }) {
			t.Error("the control log is gone")
		}
	})
}

// A process whose clock is ahead by a day, or a store's, deletes nothing sooner.
func TestSweep_TheYoungAreLeftWhateverOneClockSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, one, two, p := old(t)
		time.Sleep(24 * time.Hour) // everything is old by the store's clock
		all := len(w.keys(t, checkpoint.Prefix))
		if err := one.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := len(w.keys(t, checkpoint.Prefix)); n != all {
			t.Errorf("%d of %d objects are left after the first look", n, all)
		}
		time.Sleep(time.Hour) // what comes now is young by the store's clock, whatever else is seen of it
		for range 30 {
			w.write(w.state.OpenJournals()[0].ID, p)
		}
		one.build(t)
		two.verifyNewest(t)
		if err := one.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, key := range w.needed(t) {
			if _, err := w.bucket.Head(t.Context(), key); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestSweep_WithOneUnreadableNothingGoes(t *testing.T) {
	for name, damage := range damages {
		synctest.Test(t, func(t *testing.T) {
			w, one, _, _ := old(t)
			if err := one.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.spoil(t, nameOf(w.state.Checkpoints()[0]).Key(), damage)
			all := len(w.keys(t, checkpoint.Prefix))
			time.Sleep(2 * time.Hour)
			if err := one.Sweep(t.Context()); err == nil {
				t.Errorf("%s: no error", name)
			}
			if n := len(w.keys(t, checkpoint.Prefix)); n != all {
				t.Errorf("%s: %d of %d objects are left", name, n, all)
			}
		})
	}
}

func TestRun_TheSweeperSweeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, one, two, _ := old(t)
		stop := team(t, one, two)
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		stop()
		want := append(w.needed(t), checkpoint.PartKey(99999, [16]byte{3}))
		if left := w.keys(t, checkpoint.Prefix); len(left) != len(want) {
			t.Errorf("%d objects left, want %d", len(left), len(want))
		}
		if a, b := one.Stats().Swept, two.Stats().Swept; a == 0 && b == 0 || a > 0 && b > 0 {
			t.Errorf("swept by one: %d, by the other: %d", a, b)
		}
	})
}
