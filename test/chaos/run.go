package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/odradek/odradek/test/chaos/history"
	"github.com/odradek/odradek/test/chaos/pool"
	"github.com/odradek/odradek/test/chaos/traffic"
	"github.com/odradek/odradek/test/harness"
)

const (
	recoverTime = 90 * time.Second // until every partition has an ack after a fault is over
	settleTime  = 2 * time.Minute  // until everything that was sent is answered in the end
	drainTime   = 2 * time.Minute  // until consumers were handed everything
	readTime    = 2 * time.Minute  // until an agent has served everything
	quietTime   = 4 * time.Second  // of load before the first fault, and after the last
)

// topics are those that live as long as the run.
var topics = map[string]int32{"orders": 6, "events": 6}

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

	mu     sync.Mutex // guards all below
	broken []string   // what fails the run, besides what the checker says
	done   map[string]int
	away   []span // when Redis did not answer anybody
}

// span is a time of the run.
type span struct{ from, to time.Duration }

func newRun(ctx context.Context, o options) *run {
	return &run{o: o, ctx: ctx, t: harness.NewProgram(ctx, "chaos"), rng: rand.New(rand.NewPCG(o.seed, 2)), done: make(map[string]int)}
}

// run reports whether the run was clean.
func (r *run) run() (bool, error) {
	defer r.t.Close()
	var err error
	if r.deck, err = newDeck(r.o.seed, r.o.store, words(r.o.faults, ",")); err != nil {
		return false, err
	}
	if r.log, err = history.Create(filepath.Join(r.o.dir, "history.jsonl")); err != nil {
		return false, err
	}
	flags := append([]string{"--lease", r.o.lease.String(), "--wal-size", "64MiB", "--memory", "512MiB", "--pprof"}, words(r.o.flags, " ")...)
	r.pool = pool.Start(r.t, pool.Options{Dir: r.o.dir, Store: r.o.store, Agents: r.o.agents, Flags: flags})
	r.traffic = traffic.New(traffic.Config{
		Log: r.log, Seeds: r.pool.Seeds(), Topics: topics, Producers: 6, AcksOne: 2, Rate: r.o.rate, Consumers: 2, Groups: 2, Admin: true,
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
	for end := time.Now().Add(time.Duration(r.o.minutes * float64(time.Minute))); time.Now().Before(end) && r.ctx.Err() == nil; {
		if !r.strike() {
			break
		}
	}
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

// strike does one fault or two and waits until every partition has an ack. It reports whether it came to that.
func (r *run) strike() bool {
	pair := r.log.Now() > time.Minute && r.rng.IntN(3) == 0 || len(r.done) > 1 && r.rng.IntN(3) == 0
	faults := r.deck.deal(pair)
	watch := r.traffic.Watch()
	began := r.log.Now()
	var striking sync.WaitGroup
	var what []string
	for _, f := range faults {
		d := &damage{
			fault: f, pool: r.pool, rng: rand.New(rand.NewPCG(r.rng.Uint64(), 3)), lease: r.o.lease, long: 12 * time.Second,
			tell: func(target string) {
				r.say("%-32s %s", f.name, target)
				r.mu.Lock()
				defer r.mu.Unlock()
				what = append(what, f.name+" "+target)
			},
		}
		if r.o.minutes > 10 {
			d.long = time.Minute
		}
		striking.Go(func() { r.suffer(d) })
	}
	striking.Wait()
	over := r.log.Now()
	text := strings.Join(what, " and ")
	r.log.Add(history.Event{Kind: history.Fault, Start: began, End: over, Value: text})
	defer watch.Close()
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
	sleep(r.ctx, time.Duration(500+r.rng.IntN(2500))*time.Millisecond)
	r.watchOver()
	return true
}

// suffer does one fault.
func (r *run) suffer(d *damage) {
	from := r.log.Now()
	if err := d.do(r.ctx, d); err != nil && r.ctx.Err() == nil {
		r.fail("%s: %v", d.name, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done[d.name]++
	if d.away {
		r.away = append(r.away, span{from, r.log.Now()})
	}
}

// watchOver looks for agents that ended by themselves.
func (r *run) watchOver() {
	for _, a := range r.pool.Members() {
		if !a.Running() {
			r.fail("%s ended by itself:\n%s", a.Name, a.Tail())
			a.Launch()
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
