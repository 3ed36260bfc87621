package retention

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/topic"
)

// world is a log in memory, with clocks that can be wrong.
type world struct {
	partitions []Partition
	units      map[topic.Partition][]Unit
	written    map[string]time.Time
	refuse     error

	mu     sync.Mutex // guards starts and raises
	starts map[topic.Partition]topic.Offset
	raises int // calls

	local, store, redis time.Duration // by how much the clocks are wrong
	asleep              time.Duration // that the machine slept: its clock that only goes on counted it
	began               time.Time

	mark    string
	markErr error
}

func (w *world) Partitions() []Partition { return w.partitions }

func (w *world) Units(p topic.Partition) iter.Seq[Unit] {
	return func(yield func(Unit) bool) {
		w.mu.Lock()
		start := w.starts[p]
		w.mu.Unlock()
		for _, u := range w.units[p] {
			if u.Next > start && !yield(u) {
				return
			}
		}
	}
}

func (w *world) Written(_ context.Context, u Unit) (time.Time, error) {
	at, ok := w.written[u.Key]
	if !ok {
		return at, fs.ErrNotExist
	}
	return at, nil
}

func (w *world) Raise(_ context.Context, to []segment.LogStart) []error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.raises++
	out := make([]error, len(to))
	for i, l := range to {
		if out[i] = w.refuse; w.refuse == nil {
			w.starts[l.Partition] = l.Start
		}
	}
	return out
}

func (w *world) Interval() time.Duration { return 5 * time.Minute }

func (w *world) Set(why string) error {
	if w.markErr == nil {
		w.mark = why
	}
	return w.markErr
}

func (w *world) There() (bool, error) { return w.mark != "", nil }

func (w *world) Clear() error { w.mark = ""; return nil }

func part(n int32) topic.Partition {
	return topic.Partition{Topic: topic.ID{byte(n / 10)}, Index: n % 10}
}

// newWorld has two topics of two partitions each, with a record an hour for the last 20 hours: 100 bytes each, kept for 15 h.
func newWorld() *world {
	w := &world{units: make(map[topic.Partition][]Unit), starts: make(map[topic.Partition]topic.Offset), began: time.Now()}
	for _, n := range []int32{10, 11, 20, 21} {
		w.partitions = append(w.partitions, Partition{part(n), Policy{Ms: (15 * time.Hour).Milliseconds(), Bytes: -1}})
		for h := range 20 {
			at := time.Now().Add(30*time.Minute - time.Duration(20-h)*time.Hour)
			w.units[part(n)] = append(w.units[part(n)], Unit{Next: topic.Offset(h + 1), Bytes: 100, MaxTimestamp: at.UnixMilli()})
		}
	}
	return w
}

func (w *world) engine() *Engine {
	clock := func(name string, off *time.Duration) Witness {
		return Witness{name, func(context.Context) (time.Time, error) { return time.Now().Add(*off), nil }}
	}
	return New(w, w, Config{
		Witnesses: []Witness{clock("local", &w.local), clock("store", &w.store), clock("redis", &w.redis)},
		Elapsed:   func() time.Duration { return time.Since(w.began) + w.asleep }, Log: slog.New(slog.DiscardHandler),
	})
}

// wantStarts compares the log starts of 10, 11, 20 and 21.
func (w *world) wantStarts(t *testing.T, when string, want ...topic.Offset) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	var got []topic.Offset
	for _, p := range w.partitions {
		got = append(got, w.starts[p.Partition])
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s: log starts %v, want %v", when, got, want)
	}
}

func tell(t *testing.T, story func(t *testing.T, w *world, e *Engine)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		story(t, w, w.engine())
	})
}

func TestRun_PassesAndEnds(t *testing.T) {
	tell(t, func(t *testing.T, w *world, e *Engine) {
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- e.Run(ctx) }()
		time.Sleep(firstPass)
		synctest.Wait()
		w.wantStarts(t, "after the first pass", 5, 5, 5, 5)
		time.Sleep(time.Hour)
		synctest.Wait()
		w.wantStarts(t, "an hour later", 6, 6, 6, 6)
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		s := e.Stats()
		if s.Passes < 12 || s.Raised != 8 || s.Units != 24 || s.Bytes != 2400 || s.Failed != 0 || s.Timeless || s.Stopped || s.LastEnded == 0 {
			t.Errorf("%+v", s)
		}
		if w.raises != 2 {
			t.Errorf("%d calls raised log starts: all of a pass go together", w.raises)
		}
	})
}

func TestPass_ALocalClockThatIsAnHourAheadDropsNothingMore(t *testing.T) {
	tell(t, func(t *testing.T, w *world, e *Engine) {
		w.local = time.Hour
		e.pass(t.Context())
		w.wantStarts(t, "two right clocks", 5, 5, 5, 5)
		w.redis = -time.Hour
		time.Sleep(3 * time.Hour)
		e.pass(t.Context())
		w.wantStarts(t, "three clocks that disagree", 5, 5, 5, 5)
		if !e.Stats().Timeless {
			t.Error("nobody is told")
		}
		w.redis = 0
		e.pass(t.Context())
		w.wantStarts(t, "two right clocks again", 8, 8, 8, 8)
		if s := e.Stats(); s.Timeless || s.Stopped {
			t.Errorf("%+v", s)
		}
	})
}

func TestPass_ByAgeWithoutTimeStopsAndBySizeGoesOn(t *testing.T) {
	tell(t, func(t *testing.T, w *world, e *Engine) {
		w.partitions[1].Policy.Bytes = 1200
		w.local, w.redis = time.Hour, -time.Hour
		e.pass(t.Context())
		w.wantStarts(t, "no time", 0, 8, 0, 0)
	})
}

func TestPass_AClockThatJumpedStopsIfMuchWouldGo(t *testing.T) {
	tell(t, func(t *testing.T, w *world, e *Engine) {
		e.pass(t.Context())
		w.wantStarts(t, "at first", 5, 5, 5, 5)
		w.local, w.store = 9*time.Hour, 9*time.Hour // the bucket is a directory of this machine
		w.redis = -time.Hour
		w.partitions[0].Policy.Bytes = 1400
		for range 3 {
			time.Sleep(time.Minute)
			e.pass(t.Context())
			w.wantStarts(t, "after the jump", 6, 5, 5, 5) // the one that has too many bytes
		}
		if s := e.Stats(); !s.Stopped || w.mark == "" {
			t.Errorf("nobody is told: %+v, mark %q", s, w.mark)
		}
		e = w.engine() // a new process, to which the clock never jumped
		e.pass(t.Context())
		w.wantStarts(t, "after a restart", 6, 5, 5, 5)
		if !e.Stats().Stopped {
			t.Error("a restart forgets")
		}
		w.mark = "" // a person
		e.pass(t.Context())
		w.wantStarts(t, "after somebody said so", 14, 14, 14, 14)
		if e.Stats().Stopped {
			t.Error("still stopped")
		}
	})
}

func TestPass_AClockThatJumpedStopsUntilThePersonSaysSoWithoutARestart(t *testing.T) {
	tell(t, func(t *testing.T, w *world, e *Engine) {
		e.pass(t.Context())
		w.local, w.store, w.redis = 9*time.Hour, 9*time.Hour, 9*time.Hour
		w.markErr = errors.New("disk full")
		e.pass(t.Context())
		e.pass(t.Context())
		w.wantStarts(t, "without a mark", 5, 5, 5, 5)
		w.markErr = nil
		e.pass(t.Context())
		if w.mark == "" {
			t.Fatal("the mark is not made when it can be")
		}
		w.wantStarts(t, "with it", 5, 5, 5, 5)
		w.mark = ""
		e.pass(t.Context())
		w.wantStarts(t, "after somebody said so", 14, 14, 14, 14)
	})
}

func TestPass_AClockThatComesBackGoesOnByItself(t *testing.T) {
	tell(t, func(t *testing.T, w *world, e *Engine) {
		e.pass(t.Context())
		w.local, w.store, w.redis = 9*time.Hour, 9*time.Hour, 9*time.Hour
		e.pass(t.Context())
		w.local, w.store, w.redis = 0, 0, 0
		time.Sleep(time.Hour)
		e.pass(t.Context())
		w.wantStarts(t, "with the right time", 6, 6, 6, 6)
		if s := e.Stats(); s.Stopped || w.mark != "" {
			t.Errorf("%+v, mark %q", s, w.mark)
		}
	})
}

func TestPass_AJumpThatDropsLittleAndASleepAreNoReasonToStop(t *testing.T) {
	tell(t, func(t *testing.T, w *world, e *Engine) {
		e.pass(t.Context())
		w.local, w.store, w.redis = 3*time.Hour, 3*time.Hour, 3*time.Hour
		e.pass(t.Context())
		w.wantStarts(t, "three of 15 hours", 8, 8, 8, 8)
		w.local, w.store, w.redis, w.asleep = 12*time.Hour, 12*time.Hour, 12*time.Hour, 9*time.Hour
		e.pass(t.Context())
		w.wantStarts(t, "after a sleep of 9 hours", 17, 17, 17, 17)
		if e.Stats().Stopped {
			t.Error("stopped")
		}
	})
}

func TestPass_WhatCannotBeRaisedIsTriedAgain(t *testing.T) {
	tell(t, func(t *testing.T, w *world, e *Engine) {
		w.refuse = errors.New("not now")
		e.pass(t.Context())
		if s := e.Stats(); s.Failed != 4 || s.Raised != 0 {
			t.Errorf("%+v", s)
		}
		w.refuse = ErrElsewhere
		e.pass(t.Context())
		if s := e.Stats(); s.Failed != 4 || s.Raised != 0 {
			t.Errorf("%+v", s)
		}
		w.refuse = nil
		e.pass(t.Context())
		w.wantStarts(t, "at last", 5, 5, 5, 5)
	})
}
