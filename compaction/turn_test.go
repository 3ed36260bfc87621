package compaction

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/topic"
)

func TestTurn_WhoDoesWhatAndWhen(t *testing.T) {
	cfg := Config{}.withDefaults()
	pending := control.CheckpointInfo{ID: control.CheckpointID{1}}
	for _, test := range []struct {
		name string
		view view
		want work
	}{
		{"nothing happened", view{ranks: 3, aged: time.Hour}, toRest},
		{"little happened", view{ranks: 3, aged: time.Hour, slots: 63, records: 15}, toRest},
		{"something happened, not long ago", view{ranks: 3, aged: 9 * time.Minute, slots: 4095, records: 499}, toRest},
		{"some slots, long ago", view{ranks: 3, aged: 10 * time.Minute, slots: 64}, toBuild},
		{"some records, long ago", view{ranks: 3, aged: 10 * time.Minute, records: 16}, toBuild},
		{"many slots", view{ranks: 3, slots: 4096}, toBuild},
		{"many extents", view{ranks: 3, slots: 400, extents: 400_000}, toBuild},
		{"not so many", view{ranks: 3, slots: 400, extents: 399_999}, toRest},
		{"many records", view{ranks: 3, records: 500}, toBuild},
		{"not a journal that is open", view{rank: -1, ranks: 3, slots: 5000, due: time.Hour}, toRest},
		{"the second waits for the first", view{rank: 1, ranks: 3, slots: 5000, due: 59 * time.Second}, toRest},
		{"a minute", view{rank: 1, ranks: 3, slots: 5000, due: time.Minute}, toBuild},
		{"the third two", view{rank: 2, ranks: 3, slots: 5000, due: 119 * time.Second}, toRest},
		{"the hundredth not much longer", view{rank: 99, ranks: 100, slots: 5000, due: 13 * time.Minute}, toBuild},

		{"verify: the second at once", view{rank: 1, ranks: 3, pending: pending}, toVerify},
		{"verify: the third after a minute", view{rank: 2, ranks: 3, pending: pending, waited: 59 * time.Second}, toRest},
		{"verify: the third", view{rank: 2, ranks: 3, pending: pending, waited: time.Minute}, toVerify},
		{"verify: the builder last", view{rank: 0, ranks: 3, pending: pending, mine: true, waited: 119 * time.Second}, toRest},
		{"verify: the builder", view{rank: 0, ranks: 3, pending: pending, mine: true, waited: 2 * time.Minute}, toVerify},
		{"verify: the builder alone at once", view{ranks: 1, pending: pending, mine: true}, toVerify},
		{"verify: alone, after a restart", view{ranks: 1, pending: pending}, toVerify},
		{"verify: the first, of what the second built", view{ranks: 2, pending: pending}, toVerify},
		{"verify: the second, of its own", view{rank: 1, ranks: 2, pending: pending, mine: true, waited: 59 * time.Second}, toRest},
		{"verify comes first", view{rank: 1, ranks: 3, pending: pending, slots: 5000, due: time.Hour}, toVerify},
		{"one that nobody verified is followed by another", view{ranks: 2, pending: pending, waited: 13 * time.Minute, slots: 5000, due: time.Hour}, toBuild},
		{"if that is due", view{ranks: 2, pending: pending, waited: 13 * time.Minute}, toRest},
	} {
		if got := test.view.turn(cfg); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

func TestRank_EveryJournalHasAPlaceAndThoseThatDrainComeLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var all []topic.JournalID
		for range 5 {
			all = append(all, w.openJournal())
		}
		w.append(control.Drain{Journal: all[2], On: true})
		firsts := make(map[topic.JournalID]bool)
		for n := range topic.Slot(60) {
			places := make(map[int]bool)
			for _, j := range all {
				place, of := rank(w.state, j, n)
				if of != 5 || places[place] || place < 0 || place > 4 {
					t.Fatalf("number %d: place %d of %d", n, place, of)
				}
				places[place] = true
				if place == 0 {
					firsts[j] = true
				}
				if j == all[2] && place != 4 {
					t.Errorf("number %d: the one that drains is at %d", n, place)
				}
			}
		}
		if len(firsts) != 4 {
			t.Errorf("%d agents were first once, want 4", len(firsts))
		}
		if place, _ := rank(w.state, topic.JournalID{1}, 0); place != -1 {
			t.Errorf("an unknown journal is at %d", place)
		}
	})
}

// team runs agents until stop is called.
func team(t *testing.T, agents ...*agent) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	for _, a := range agents {
		go func() { done <- a.Run(ctx) }()
	}
	return func() {
		cancel()
		for range agents {
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Errorf("Run ended with %v", err)
			}
		}
	}
}

// three opens a world of three agents, and tells who is first, second and third for the first checkpoint.
func three(t *testing.T) (w *world, p topic.Partition, ranked [3]*agent) {
	w = newWorld(t)
	js := []topic.JournalID{w.openJournal(), w.openJournal(), w.openJournal()}
	p = topic.Partition{Topic: w.createTopic(js[0])}
	for _, j := range js {
		place, _ := rank(w.state, j, 0)
		ranked[place] = w.agent(j, w.bucket, Config{})
	}
	return w, p, ranked
}

func TestRun_OneBuildsAnotherVerifiesAndAQuietClusterRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, p, agents := three(t)
		stop := team(t, agents[:]...)
		owner, _ := w.now().Owner(p)
		w.writeMany(4096, owner.Journal, p)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if a, b := agents[0].Stats(), agents[1].Stats(); a.Built != 1 || a.Verified != 0 || b.Built != 0 || b.Verified != 1 {
			t.Errorf("first %+v, second %+v", a, b)
		}
		newest, ok := w.now().NewestCheckpoint()
		if !ok || newest.By != agents[1].journal || newest.Next(owner.Journal) != 4096 {
			t.Fatalf("newest checkpoint %+v", newest)
		}
		next := w.now().Next()
		time.Sleep(5 * time.Hour)
		synctest.Wait()
		if w.now().Next() != next {
			t.Errorf("%d control numbers in a quiet cluster", w.now().Next()-next)
		}
		w.writeMany(64, owner.Journal, p)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if newest, _ = w.now().NewestCheckpoint(); newest.Next(owner.Journal) != 4096+64 {
			t.Errorf("after ten minutes newest checkpoint %+v", newest)
		}
		stop()
		var failed int64
		for _, a := range agents {
			failed += a.Stats().Failed + a.Stats().Lost + a.Stats().Mismatched
		}
		if failed > 0 {
			t.Errorf("%d attempts were in vain", failed)
		}
	})
}

func TestRun_WhoIsAwayIsWaitedForAMinute(t *testing.T) {
	for dead := range 3 {
		t.Run(fmt.Sprint(dead), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, p, agents := three(t)
				alive := append(agents[:dead:dead], agents[dead+1:]...)
				stop := team(t, alive...)
				owner, _ := w.now().Owner(p)
				w.writeMany(4096, owner.Journal, p)
				time.Sleep(50 * time.Second)
				synctest.Wait()
				if _, ok := w.now().NewestCheckpoint(); ok != (dead == 2) {
					t.Errorf("verified checkpoint after 50 s: %t", ok)
				}
				time.Sleep(3 * time.Minute)
				synctest.Wait()
				stop()
				if c, ok := w.now().NewestCheckpoint(); !ok || len(w.now().Checkpoints()) != 1 {
					t.Errorf("after 4 minutes newest checkpoint is %+v", c)
				}
			})
		})
	}
}

func TestRun_AnAgentAloneDoesBoth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		j := w.openJournal()
		p := topic.Partition{Topic: w.createTopic(j)}
		a := w.agent(j, w.bucket, Config{})
		stop := team(t, a)
		for range 5 {
			w.writeMany(4096, j, p)
			time.Sleep(20 * time.Second)
			synctest.Wait()
		}
		stop()
		if s := a.Stats(); s.Built != 5 || s.Verified != 5 {
			t.Errorf("stats %+v", s)
		}
	})
}

// A checkpoint whose objects are damaged is not verified; another one takes its place.
func TestRun_ADamagedCheckpointIsFollowedByAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, p, agents := three(t)
		owner, _ := w.now().Owner(p)
		w.writeMany(4096, owner.Journal, p)
		r, err := agents[0].Build(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		bad := w.pending(t)
		w.spoil(t, nameOf(bad).Key(), damages["missing"])
		stop := team(t, agents[:]...)
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		stop()
		newest, ok := w.now().NewestCheckpoint()
		if !ok || newest.Control <= r.Control || newest.Next(owner.Journal) != 4096 {
			t.Errorf("newest checkpoint %+v, the damaged one stands at %d", newest, r.Control)
		}
	})
}
