package compaction

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/topic"
)

// gatheredUp is a world with runs of level 1 in several objects that are due to be merged by ranges, and an agent that has
// seen it.
func gatheredUp(t *testing.T) (*stored, *agent, []topic.Partition) {
	w := newStored(t)
	j := w.openJournal()
	all := parts(w.createTopic(journalsOf(j, 12)...), 12)
	cfg := soon()
	cfg.Merge.Objects, cfg.Merge.ObjectBytes = 6, 150<<10
	a := w.agent(j, w.bucket, cfg)
	for range 5 {
		w.gather(t, a, all)
	}
	if n := a.Stats().Jobs; n[FromSlots] != 5 || n[FromRuns] != 0 {
		t.Fatalf("jobs %v", n)
	}
	for range 5 {
		w.put(j, 2000, all...)
	}
	w.checkpointed(t, a, a)
	a.look(t)
	return w, a, all
}

// gather adds an object of level 1.
func (w *stored) gather(t *testing.T, a *agent, all []topic.Partition) {
	t.Helper()
	owner, _ := w.state.Owner(all[0])
	for range 5 {
		w.put(owner.Journal, 2000, all...)
	}
	w.checkpointed(t, a, a)
	a.look(t)
	a.compactAll(t)
}

// step does one job.
func (a *agent) step(t *testing.T) bool {
	t.Helper()
	did, err := a.Compact(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return did
}

// What gathered is merged by ranges of partitions: each is one object of level 2 with one run of a partition, swapped by
// itself. Who dies in between loses one object's work, and the next one goes on; whoever reads meanwhile finds every byte.
func TestPass_WhoDiesLosesOneObject(t *testing.T) {
	whole := 0
	synctest.Test(t, func(t *testing.T) {
		w, a, _ := gatheredUp(t)
		for a.step(t) {
			w.readAll()
		}
		if whole = int(a.Stats().Jobs[FromRuns]); whole < 4 {
			t.Fatalf("%d jobs", whole)
		}
		for p, c := range w.state.Compactions() {
			if len(c.Runs) != 1 || c.Runs[0].Level != levelRuns {
				t.Errorf("%s has runs %v, want one", p, c.Runs)
			}
		}
		w.named(t, w.state)
	})
	for died := 1; died < whole; died++ {
		synctest.Test(t, func(t *testing.T) {
			w, a, all := gatheredUp(t)
			for a.Stats().Jobs[FromRuns] < int64(died) {
				a.step(t)
			}
			a.before = func() { // the output is written, its MANIFEST is not: this agent is gone
				a.before = nil
				panic("died")
			}
			func() {
				defer func() { _ = recover() }()
				a.step(t)
				t.Fatal("nothing was proposed")
			}()
			w.readAll()
			owner, _ := w.state.Owner(all[0])
			b := w.agent(owner.Journal, w.bucket, a.cfg)
			b.look(t)
			b.compactAll(t)
			if n := int(b.Stats().Jobs[FromRuns]); n != whole-died {
				t.Errorf("died after %d of %d jobs: %d were left to do", died, whole, n)
			}
			w.readAll()
			if have, named := len(w.keys(t, topic.CompactedPrefix)), objects(w.state); have < named+1 {
				t.Errorf("%d objects, %d named: where is the one that was lost?", have, named)
			}
		})
	}
}

// What others do between the jobs of a pass is left as it is: partitions that were deleted, runs that were replaced.
func TestPass_OthersComeInBetween(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, all := gatheredUp(t)
		for a.Stats().Jobs[FromRuns] == 0 {
			a.step(t)
		}
		owner, _ := w.state.Owner(all[0])
		other := w.agent(owner.Journal, w.bucket, a.cfg)
		other.look(t)
		for other.Stats().Jobs[FromRuns] < 2 { // the first of them is what a's pass has next
			other.step(t)
		}
		w.readAll()
		a.look(t)
		a.compactAll(t)
		s := a.Stats()
		if s.JobsLost > 0 || s.JobsFailed > 0 {
			t.Errorf("stats %+v", s)
		}
		for _, p := range all {
			if n := len(w.state.Compaction(p).Runs); n != 1 {
				t.Errorf("%s has %d runs", p, n)
			}
		}
		w.readAll()
		w.append(control.TopicDelete{ID: all[0].Topic})
		a.compactAll(t)
	})
}

// What is less than gathers by itself is merged after a time.
func TestPass_WhatIsLittleWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newStored(t)
		j := w.openJournal()
		all := parts(w.createTopic(j, j), 2)
		cfg := soon()
		cfg.Merge.Objects, cfg.Merge.LeastGather, cfg.Merge.Gather = 50, 3, 12*time.Hour
		a := w.agent(j, w.bucket, cfg)
		for range 4 {
			w.gather(t, a, all) // an hour each
		}
		if n := a.Stats().Jobs; n[FromSlots] != 4 || n[FromRuns] != 0 {
			t.Fatalf("jobs %v", n)
		}
		time.Sleep(8 * time.Hour)
		if n := a.compactAll(t); n != 0 {
			t.Fatalf("%d jobs before the time is over", n)
		}
		time.Sleep(4 * time.Hour)
		if n := a.compactAll(t); n != 1 || len(w.state.Compaction(all[1]).Runs) != 1 {
			t.Fatalf("%d jobs, %d runs", n, len(w.state.Compaction(all[1]).Runs))
		}
		w.readAll()
	})
}
