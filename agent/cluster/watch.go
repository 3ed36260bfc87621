package cluster

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/placement"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

const (
	looksPerLease = 10                     // at the counters
	rankPause     = 500 * time.Millisecond // a taker waits for each that comes before it (F1)
	massWindow    = 30 * time.Second       // deaths within it are counted together
	bucketBack    = 5 * time.Second        // from when one agent reaches the bucket again until slots of all land
	takeoverMost  = time.Minute            // of one takeover: then the journal is judged anew
)

// Watch judges the other agents' journals by their heartbeats until ctx ends and takes over those that are dead (F1). It
// has takeovers under way in goroutines of their own and waits for them. An agent that is alone watches nobody.
func (e *Engine) Watch(ctx context.Context) error {
	if e.cfg.Alone {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	w := newWatcher(e)
	defer e.out.dead.Store(nil)
	defer w.takeovers.Wait()
	tick := time.NewTicker(max(e.cfg.Lease/looksPerLease, time.Millisecond))
	defer tick.Stop()
	for {
		for _, j := range w.look(ctx) {
			w.take(ctx, j)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// watcher is one observer's picture of who lives, by its own monotonic clock. It belongs to Watch.
type watcher struct {
	engine *Engine
	era    int32     // the pulses are of this one
	open   time.Time // since when this agent keeps that era, which is open then; zero while it does not
	last   time.Time // when it looked last with success
	own    uint64    // this agent's own counter,
	moved  time.Time // and when it was seen to move last
	blind  bool      // it could not reach the bucket the last time it tried
	pulses map[topic.JournalID]*pulse
	deaths []time.Time // when journals that stood still were sealed

	takeovers sync.WaitGroup
	mu        sync.Mutex // guards taking
	taking    map[topic.JournalID]bool
}

// pulse is what was seen of one journal's counter.
type pulse struct {
	registered bool
	counter    uint64
	since      time.Time // it stands there
	dead       time.Time // when it was judged dead; zero: it was not
}

func newWatcher(e *Engine) *watcher {
	return &watcher{engine: e, pulses: make(map[topic.JournalID]*pulse), taking: make(map[topic.JournalID]bool)}
}

// look reads the counters once and gives the journals that this agent is to take over now.
func (w *watcher) look(ctx context.Context) []topic.JournalID {
	e := w.engine
	s := e.State()
	newest, ok := s.NewestEra()
	if !ok {
		return nil // nobody ever registered anywhere
	}
	asked := time.Now()
	counters, err := w.counters(ctx, pinOf(newest))
	if err != nil {
		return nil // away, or not the Redis of that era: an isolated master shows nobody alive
	}
	w.begin(newest.Number, asked)
	switch {
	case w.open.IsZero(): // who waits for the next era does not beat in this one, and lives
		w.restart(0)
		return nil
	case !w.takesBeats(counters):
		w.restart(w.bucketGrace())
		return nil
	}
	w.feel(s.OpenJournals(), counters)
	dead, suspects := w.judge(s, asked)
	if suspects == 0 && !w.blind {
		w.publish(nil)
		return nil
	}
	// The control log is read to its end after the last look. Who cannot read it may be one of many whose bucket is
	// away, and then nobody's slots land: all have their lease anew once it is back.
	if !w.sees(ctx) {
		return nil
	}
	s = e.State()
	if now, _ := s.NewestEra(); now.Number != newest.Number {
		return nil
	}
	dead = slices.DeleteFunc(dead, func(j topic.JournalID) bool {
		now, known := s.Journal(j)
		return !known || now.Sealed
	})
	w.publish(dead)
	return w.turn(s, w.spare(s, dead, suspects, asked))
}

func (w *watcher) counters(ctx context.Context, pin metadata.Pin) (map[topic.JournalID]uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, w.engine.cfg.Lease/2)
	defer cancel()
	return w.engine.meta.Counters(ctx, pin)
}

// sees says whether this agent has the bucket, asked once and without patience, and has read the control log to its end.
func (w *watcher) sees(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, w.engine.cfg.Lease/2)
	defer cancel()
	_, err := w.engine.store.Head(ctx, slotlog.ControlKey(0))
	if err == nil && !w.blind {
		err = w.engine.CatchUp(ctx)
	}
	switch {
	case err != nil:
		w.blind = true
		w.restart(0)
	case w.blind: // so are others, a moment later
		w.blind = false
		w.restart(w.bucketGrace())
	default:
		return true
	}
	return false
}

// bucketGrace is what journals have beside their lease when the bucket comes back.
func (w *watcher) bucketGrace() time.Duration { return max(0, bucketBack-w.engine.cfg.Lease) }

// begin notes that a look at an era succeeded. In a new era, and after a time without looks, all have their lease anew:
// this process may have slept, or Redis was away, and nobody could beat.
func (w *watcher) begin(era int32, asked time.Time) {
	if era != w.era {
		w.era, w.open = era, time.Time{}
		clear(w.pulses)
	} else if asked.Sub(w.last) > w.engine.cfg.Lease/2 {
		w.restart(0)
	}
	w.last = asked
	switch keeps := w.engine.Era() == uint64(era); {
	case !keeps:
		w.open = time.Time{}
	case w.open.IsZero():
		w.open = asked
		w.restart(0)
	}
}

// restart gives all journals their lease anew, and some time more.
func (w *watcher) restart(more time.Duration) {
	for _, p := range w.pulses {
		p.since, p.dead = time.Now().Add(more), time.Time{}
	}
	w.publish(nil)
}

// takesBeats says whether this agent's own counter moves. A Redis that answers and takes no writes, being full, say, shows
// everybody standing still; and an agent whose slots do not land for long does not beat, while others may be no better off.
func (w *watcher) takesBeats(counters map[topic.JournalID]uint64) bool {
	now := time.Now()
	if own, ok := counters[w.engine.journal]; ok && own != w.own {
		w.own, w.moved = own, now
	}
	return now.Sub(w.moved) <= w.engine.cfg.Lease/2
}

// feel takes in the counters of the open journals, and forgets those that are sealed.
func (w *watcher) feel(open []*control.Journal, counters map[topic.JournalID]uint64) {
	now := time.Now()
	for id, p := range w.pulses {
		if slices.ContainsFunc(open, func(j *control.Journal) bool { return j.ID == id }) {
			continue
		}
		if w.stood(p, now) >= -w.engine.cfg.Lease/2 { // by its pulse: one that leaves by itself beats to the end
			w.deaths = append(w.deaths, now)
		}
		delete(w.pulses, id)
	}
	w.deaths = slices.DeleteFunc(w.deaths, func(t time.Time) bool { return now.Sub(t) > massWindow })
	for _, j := range open {
		if j.ID == w.engine.journal {
			continue
		}
		counter, registered := counters[j.ID]
		p := w.pulses[j.ID]
		if p == nil {
			p = &pulse{registered: registered, counter: counter, since: now}
			w.pulses[j.ID] = p
		}
		if registered && (!p.registered || p.counter != counter) { // one that is gone stands still: somebody sealed it
			*p = pulse{registered: true, counter: counter, since: now}
		}
	}
}

// stood gives for how long a journal stands still beyond what is granted it: not below zero means dead. One that beats
// has a lease. One that never registered has two, from when this agent knows the era to be open: a missing key in a new
// era is not death.
func (w *watcher) stood(p *pulse, asked time.Time) time.Duration {
	lease := w.engine.cfg.Lease
	if p.registered {
		return asked.Sub(p.since) - lease
	}
	since := p.since
	if w.open.After(since) {
		since = w.open
	}
	return asked.Sub(since) - 2*lease
}

// judge gives the journals that are dead by their counters, and how many look as if they were soon, those included. Every
// open journal is meant, also one that owns nothing: its slots must be indexed.
func (w *watcher) judge(s *control.State, asked time.Time) (dead []topic.JournalID, suspects int) {
	for _, j := range s.OpenJournals() {
		p := w.pulses[j.ID]
		if p == nil {
			continue
		}
		over := w.stood(p, asked)
		if over >= -w.engine.cfg.Lease/2 {
			suspects++
		}
		if over < 0 {
			p.dead = time.Time{}
			continue
		}
		if p.dead.IsZero() {
			p.dead = asked
		}
		dead = append(dead, j.ID)
	}
	return dead, suspects
}

// spare gives those of the dead that may be sealed. When they are too many to believe it, more than one and more than a
// third of all within 30 s, they have one more lease. Those that died together reach their lease one after the other, so
// that suspects are counted as well.
func (w *watcher) spare(s *control.State, dead []topic.JournalID, suspects int, asked time.Time) []topic.JournalID {
	all := len(s.OpenJournals()) + len(w.deaths)
	if suspects+len(w.deaths) <= max(1, all/3) {
		return dead
	}
	return slices.DeleteFunc(slices.Clone(dead), func(j topic.JournalID) bool {
		return w.stood(w.pulses[j], asked) < w.engine.cfg.Lease
	})
}

// turn gives those of the dead whose takeover is this agent's: who comes before it had the time to do it.
func (w *watcher) turn(s *control.State, dead []topic.JournalID) []topic.JournalID {
	var takers []topic.JournalID
	for _, j := range s.OpenJournals() {
		if p := w.pulses[j.ID]; p == nil || p.dead.IsZero() {
			takers = append(takers, j.ID)
		}
	}
	return slices.DeleteFunc(slices.Clone(dead), func(j topic.JournalID) bool {
		rank := slices.Index(placement.Rank(j, takers), w.engine.journal)
		return rank < 0 || time.Since(w.pulses[j].dead) < time.Duration(rank)*rankPause
	})
}

// publish tells Live who is dead.
func (w *watcher) publish(dead []topic.JournalID) {
	w.engine.out.dead.Store(&dead)
}

// take begins to take a journal over, unless that is under way.
func (w *watcher) take(ctx context.Context, j topic.JournalID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.taking[j] {
		return
	}
	w.taking[j] = true
	tell(w.engine.cfg.Events.Dead)
	slog.WarnContext(ctx, "an agent is dead, taking its journal over", "journal", j.String(), "lease", w.engine.cfg.Lease)
	w.takeovers.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, takeoverMost)
		defer cancel()
		if err := w.engine.Takeover(ctx, j); err != nil && ctx.Err() == nil {
			slog.WarnContext(ctx, "journal not taken over yet", "journal", j.String(), "error", err)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.taking, j)
	})
}
