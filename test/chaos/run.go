package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/odradek/odradek/test/chaos/history"
	"github.com/odradek/odradek/test/chaos/pool"
	"github.com/odradek/odradek/test/chaos/traffic"
	"github.com/odradek/odradek/test/harness"
)

const (
	recoverTime = 3 * time.Minute  // until every partition has an ack after a fault is over
	settleTime  = 2 * time.Minute  // until everything that was sent is answered in the end
	drainTime   = 2 * time.Minute  // until consumers were handed everything
	readTime    = 2 * time.Minute  // until an agent has served everything,
	readRecord  = time.Millisecond // and so much more for each record
	keepTime    = 5 * time.Second  // until retention stands still when it was ended: longer than between two passes
	cleanTime   = 5 * time.Minute  // until the bucket is clean
	indexTime   = time.Minute      // until Redis has what the bucket gives
	quietTime   = 4 * time.Second  // of load before the first fault, and after the last

	smallDisk = 160 << 20 // bytes: the rings of two lives have room
)

// topics are those that live as long as the run.
var topics = map[string]int32{"orders": 6, "events": 6}

// fading are those of which the oldest records go meanwhile, and those that newer ones take the place of.
var fading = map[string]history.Fading{
	"aging": {Partitions: 2, Age: time.Minute}, "bounded": {Partitions: 2, Bytes: 60_000}, "cut": {Partitions: 2, Cut: true},
	"keyed": {Partitions: 2, ByKey: true},
}

// hurried are settings of the agents under which checkpoints, compaction, TRIM and deletion happen all the time.
var hurried = []string{
	"--checkpoint-interval=10s", "--checkpoint-slots=200", "--compaction-interval=8s", "--compaction-slots=60", "--gc-grace=3s",
	"--set", "log.retention.check.interval.ms=3000",
}

// run is one run.
type run struct {
	o       options
	ctx     context.Context
	t       *harness.Program
	log     *history.Log
	pool    *pool.Pool
	traffic *traffic.Traffic
	rng     *rand.Rand
	deck    *deck
	hits    *hits
	control *controlLog

	began   time.Time
	commit  string
	strikes int
	points  map[string][]string // left in this round, by fault
	serial  int                 // of the newest damage
	faulty  time.Duration       // from the first fault to the end of the last

	mu        sync.Mutex     // guards all below
	broken    []string       // what fails the run, besides what the checker says
	done      map[string]int // faults, by name
	idle      map[string]int // those of which nothing came: they are not counted
	lates     map[int]int    // PUTs that were held and landed, by status
	crashes   map[string]int // by point
	holds     map[string]int // the same
	heldUntil time.Time      // the last of them goes on
	evidence  map[evidence]int
	silent    map[string][]float64 // seconds, by fault that came alone
	away      []span               // when Redis did not answer anybody
}

// span is a time of the run.
type span struct{ from, to time.Duration }

func newRun(ctx context.Context, o options) *run {
	return &run{o: o, began: time.Now(), commit: commit(), ctx: ctx, t: harness.NewProgram(ctx, "chaos"), rng: rand.New(rand.NewPCG(o.seed, 2)), hits: &hits{by: make(map[*pool.Agent]*damage)}, done: make(map[string]int), idle: make(map[string]int), lates: make(map[int]int), crashes: make(map[string]int), holds: make(map[string]int), points: make(map[string][]string),
		evidence: make(map[evidence]int), silent: make(map[string][]float64)}
}

// history is the file that takes what clients saw.
func (r *run) history() string { return filepath.Join(r.o.dir, "history.jsonl") }

// run reports whether the run was clean.
func (r *run) run() (bool, error) {
	defer r.t.Close()
	can := r.o.able()
	var err error
	if r.deck, err = newDeck(r.o.seed, allFaults(can), words(r.o.faults, ",")); err != nil {
		return false, err
	}
	if r.log, err = history.Spill(r.history()); err != nil {
		return false, err
	}
	age := time.Minute
	if r.o.minutes >= longRun {
		age = 2*r.late() + 30*time.Second // longer than a PUT is late: nobody's comes when its number was deleted
	}
	flags := slices.Concat([]string{"--lease", r.o.lease.String(), "--wal-size", "64MiB", "--memory", "512MiB", "--pprof", "--gc-age", age.String()},
		hurried, words(r.o.flags, " "))
	o := pool.Options{Dir: r.o.dir, Store: r.o.store, Agents: r.o.agents, Flags: flags}
	if can.small {
		o.Small = smallDisk
	}
	if r.o.inside {
		harness.BuildToBreak()
	}
	r.pool = pool.Start(r.t, o)
	if err := r.breakable(); err != nil {
		return false, err
	}
	store, err := r.pool.Bucket(r.ctx)
	if err != nil {
		return false, err
	}
	r.control = newControlLog(store)
	following, stop := context.WithCancel(r.ctx)
	var follower sync.WaitGroup
	follower.Go(func() { r.control.follow(following) })
	defer follower.Wait()
	defer stop()
	r.traffic = traffic.New(traffic.Config{
		Log: r.log, Seeds: r.pool.Seeds(), Topics: topics, Fading: fading, Producers: 6, AcksOne: 2, Rate: r.o.rate, Consumers: 2, Groups: 2, Admin: true,
		Targets: r.targets,
	})
	if err := r.traffic.Start(r.ctx); err != nil {
		return false, err
	}
	r.say("pool is up: %s", strings.Join(r.pool.Seeds(), " "))
	first := r.traffic.Watch()
	defer first.Close()
	if took, err := first.Wait(r.ctx, recoverTime); err != nil {
		r.fail("before the first fault: %v", err)
	} else {
		r.say("every partition has an ack after %.1f s", took.Seconds())
	}
	sleep(r.ctx, quietTime)
	began := time.Now()
	for end := began.Add(time.Duration(r.o.minutes * float64(time.Minute))); time.Now().Before(end) && r.ctx.Err() == nil; {
		if !r.strike() {
			break
		}
	}
	r.faulty = time.Since(began)
	if r.ctx.Err() != nil {
		r.traffic.Stop()
		return false, r.ctx.Err()
	}
	return r.finish()
}

// targets are the agents that may be asked for themselves.
func (r *run) targets() []traffic.Target {
	var out []traffic.Target
	for _, a := range r.pool.Members() {
		if a.Up() {
			out = append(out, traffic.Target{Name: a.Name, Addr: a.Addr, Zone: a.Zone, Life: a.Life()})
		}
	}
	return out
}

// strike does one fault, alone or with others beside it, and waits until every partition has an ack. It reports whether it
// came to that.
func (r *run) strike() bool {
	first, beside := r.draw()
	watch := r.traffic.Watch()
	defer watch.Close()
	began := r.log.Now()
	var mu sync.Mutex
	var what []string
	damages := make([]*damage, 0, 1+len(beside))
	for _, f := range append([]fault{first}, beside...) {
		r.serial++
		point := ""
		if f.points != nil {
			point = r.point(f)
		}
		damages = append(damages, &damage{
			fault: f, pool: r.pool, rng: rand.New(rand.NewPCG(r.rng.Uint64(), 3)), lease: r.o.lease, late: r.late(),
			tell: func(target string) {
				r.say("%-32s %s", f.name, target)
				mu.Lock()
				defer mu.Unlock()
				what = append(what, f.name+" "+target)
			},
			did: r.did, landed: r.landed, hits: r.hits, point: point, traffic: r.traffic, serial: r.serial, crashed: r.crashed, held: r.held, note: r.say,
		})
	}
	var striking sync.WaitGroup
	striking.Go(func() { r.suffer(damages[0]) })
	striking.Go(func() {
		for _, d := range damages[1:] {
			r.suffer(d)
		}
	})
	striking.Wait()
	over := r.log.Now()
	text := strings.Join(what, " and ")
	r.log.Add(history.Event{Kind: history.Fault, Start: began, End: over, Value: text})
	after := r.traffic.Watch()
	defer after.Close()
	took, err := after.Wait(r.ctx, recoverTime)
	if err != nil {
		if r.ctx.Err() == nil {
			r.fail("after %s: %v", text, err)
			r.dump()
		}
		return false
	}
	r.log.Add(history.Event{Kind: history.Recovered, Start: began, End: over + took, Value: text})
	r.say("  lasted %.1f s, acks on every partition %.1f s later; no partition was silent for longer than %.1f s", (over - began).Seconds(),
		took.Seconds(), watch.Silence().Seconds())
	if len(beside) == 0 {
		r.mu.Lock()
		r.silent[first.name] = append(r.silent[first.name], watch.Silence().Round(time.Millisecond).Seconds())
		r.mu.Unlock()
	}
	sleep(r.ctx, time.Duration(300+r.rng.IntN(1200))*time.Millisecond)
	r.watchOver()
	return true
}

// draw gives the next fault, and those that happen one after the other while it does: none, one, or, if it takes a minute,
// several.
func (r *run) draw() (fault, []fault) {
	r.strikes++
	pair := r.rng.IntN(2) == 0 && r.strikes > 2
	first := r.deck.next()
	switch {
	case first.long:
		return first, r.deck.beside(first, 4+r.rng.IntN(4))
	case pair:
		return first, r.deck.beside(first, 1)
	}
	return first, nil
}

// point deals a point for a fault: each once in a round.
func (r *run) point(f fault) string {
	left := r.points[f.name]
	if len(left) == 0 {
		left = f.points()
		r.rng.Shuffle(len(left), func(i, j int) { left[i], left[j] = left[j], left[i] })
	}
	r.points[f.name] = left[1:]
	return left[0]
}

// crashed counts a process that ended at a point.
func (r *run) crashed(point string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.crashes[point]++
}

// held counts a compactor that waits at a point. It reads no control log meanwhile.
func (r *run) held(point string, t time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.holds[point]++
	if until := time.Now().Add(t); until.After(r.heldUntil) {
		r.heldUntil = until
	}
}

// breakable makes sure that agents that are to be broken from inside can be, their clocks included.
func (r *run) breakable() error {
	if !r.o.inside {
		return nil
	}
	for _, a := range r.pool.Members() {
		report, err := a.Report()
		if err != nil {
			return err
		}
		if !report.Shifts && slices.ContainsFunc(r.deck.all, func(f fault) bool { return strings.HasPrefix(f.name, "clock") }) {
			return fmt.Errorf("the clock of %s cannot be shifted", a.Name)
		}
	}
	return nil
}

// late is how much later a held PUT lands at most.
func (r *run) late() time.Duration {
	if r.o.minutes < longRun {
		return 20 * time.Second
	}
	return 2 * time.Minute
}

// did counts what was seen to have happened.
func (r *run) did(kind evidence) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.evidence[kind]++
}

// landed counts what the bucket answered to a PUT that was held.
func (r *run) landed(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lates[status]++
}

// suffer does one fault.
func (r *run) suffer(d *damage) {
	from := r.log.Now()
	if err := d.do(r.ctx, d); err != nil && r.ctx.Err() == nil {
		r.fail("%s: %v", d.name, err)
	}
	r.hits.free(d)
	r.mu.Lock()
	defer r.mu.Unlock()
	if d.idle {
		r.idle[d.name]++
	} else {
		r.done[d.name]++
	}
	if d.away {
		r.away = append(r.away, span{from, r.log.Now()})
	}
}

// watchOver looks for agents that ended by themselves.
func (r *run) watchOver() {
	for _, a := range r.pool.Members() {
		switch {
		case a.Running():
		case a.AtPoint(): // that it was told of in the moment it was stopped
			r.say("%s passed a point when nobody waited for it any more", a.Name)
			a.Launch()
		default:
			r.fail("%s ended by itself:\n%s", a.Name, a.Tail())
			a.Launch()
		}
		if err := a.ClearQuarantine(); err != nil {
			r.fail("%v", err)
		}
	}
}

// say prints a line with the time.
func (r *run) say(format string, args ...any) {
	fmt.Printf("%7.1f  %s\n", r.log.Now().Seconds(), fmt.Sprintf(format, args...))
}

// fail notes what fails the run.
func (r *run) fail(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	text := fmt.Sprintf(format, args...)
	r.broken = append(r.broken, text)
	fmt.Printf("%7.1f  FAILED: %s\n", r.log.Now().Seconds(), text)
}

// dump keeps what the agents' goroutines do, for people.
func (r *run) dump() {
	for _, a := range r.pool.Members() {
		if b := a.Goroutines(); len(b) > 0 {
			os.WriteFile(filepath.Join(r.o.dir, a.Name+".goroutines"), b, 0o644)
		}
	}
}
