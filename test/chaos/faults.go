package main

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/odradek/odradek/test/chaos/pool"
	"github.com/odradek/odradek/test/chaos/traffic"
)

// class says what a fault breaks. Two faults at a time are of different classes.
type class string

const (
	ofAgents class = "agent"  // processes that end, start, or are broken from inside
	ofPauses class = "pause"  // processes that stop for a while
	ofRedis  class = "redis"  // the server
	ofBucket class = "bucket" // the server, and what it does with requests

	// The ways from agents to others, whatever is done to either end.
	ofClientLinks class = "links of clients"
	ofRedisLinks  class = "links to redis"
	ofBucketLinks class = "links to the bucket"
)

// fault is something that can be done to a pool. do does it, waits, and mends it; it says to whom, as soon as it knows,
// by damage.tell, by damage.did what it was once it has seen that it happened, and by damage.idle that nothing did.
type fault struct {
	name   string
	class  class
	weight int             // cards in a round of the deck
	away   bool            // Redis does not answer meanwhile
	long   bool            // takes a minute: others happen meanwhile, and a short run has none of it
	alone  bool            // nothing happens beside it
	points func() []string // is done at one of these, that is dealt for it; nil: at none
	do     func(ctx context.Context, d *damage) error
}

// able is what a run can do.
type able struct {
	store   string
	minutes float64
	inside  bool // agents can be broken from inside
	small   bool // one has its data on a small disk
}

// allFaults are those that a run can do.
func allFaults(can able) []fault {
	all := slices.Concat(agentFaults(), redisFaults())
	if can.store == pool.MinIO {
		all = append(all, bucketFaults()...)
		if can.small {
			all = append(all, smallDiskFaults()...)
		}
	}
	if can.inside {
		all = append(all, insideFaults()...)
	}
	minutes := can.minutes
	return slices.DeleteFunc(all, func(f fault) bool { return f.long && minutes < longRun })
}

// longRun is how many minutes a run has at least that has faults of a minute.
const longRun = 10

// damage is one fault being done.
type damage struct {
	fault
	pool   *pool.Pool
	rng    *rand.Rand // its own: two faults at a time draw in any order
	lease  time.Duration
	late   time.Duration // a PUT that is held lands that much later at most
	point  string        // where to crash, if the fault does
	tell   func(target string)
	did    func(kind evidence)
	landed func(status int) // takes what the bucket answered to a PUT that was held
	hits   *hits
	idle   bool // nothing happened: the fault does not count; do only

	traffic *traffic.Traffic
	serial  int // no other damage of the run has it
	crashed func(point string)
	held    func(point string, t time.Duration)
	note    func(format string, args ...any)
}

// between draws a time.
func (d *damage) between(from, to time.Duration) time.Duration {
	return from + time.Duration(d.rng.Int64N(int64(to-from)))
}

// agentsBack is how long after the other fault of a pair killed all agents one of them runs again.
const agentsBack = 20 * time.Second

// hits are the agents whose processes faults are at: two that happen at a time never end, stop or signal the same one.
type hits struct {
	mu sync.Mutex // guards by
	by map[*pool.Agent]*damage
}

// take gives those of the agents that no other damage is at to d.
func (h *hits) take(d *damage, agents ...*pool.Agent) (taken []*pool.Agent) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, a := range agents {
		if by := h.by[a]; by == nil || by == d {
			h.by[a] = d
			taken = append(taken, a)
		}
	}
	return taken
}

// free gives back what d has.
func (h *hits) free(d *damage) {
	h.mu.Lock()
	defer h.mu.Unlock()
	maps.DeleteFunc(h.by, func(_ *pool.Agent, by *damage) bool { return by == d })
}

// take draws up to n members that no other damage is at, up or not.
func (d *damage) take(n int) (taken []*pool.Agent) {
	agents := d.pool.Members()
	d.rng.Shuffle(len(agents), func(i, j int) { agents[i], agents[j] = agents[j], agents[i] })
	for _, a := range agents {
		if len(taken) < n {
			taken = append(taken, d.hits.take(d, a)...)
		}
	}
	return taken
}

// target draws a member that runs, for what is done to its links only.
func (d *damage) target() (*pool.Agent, error) {
	a, err := d.agent()
	d.hits.free(d)
	return a, err
}

// agent draws a member that runs and takes it, and waits for one if none does.
func (d *damage) agent() (*pool.Agent, error) {
	for began := time.Now(); time.Since(began) < agentsBack; time.Sleep(100 * time.Millisecond) {
		var up []*pool.Agent
		for _, a := range d.pool.Members() {
			if a.Up() {
				up = append(up, a)
			}
		}
		d.rng.Shuffle(len(up), func(i, j int) { up[i], up[j] = up[j], up[i] })
		for _, a := range up {
			if len(d.hits.take(d, a)) > 0 {
				return a, nil
			}
		}
	}
	return nil, fmt.Errorf("no agent runs for %v", agentsBack)
}

// some draws one member, or all of them as often.
func (d *damage) some() []*pool.Agent {
	all := d.pool.Members()
	if d.rng.IntN(2) == 0 {
		return all
	}
	return []*pool.Agent{all[d.rng.IntN(len(all))]}
}

// names prints agents.
func names(agents []*pool.Agent) string {
	var out []string
	for _, a := range agents {
		out = append(out, a.Name)
	}
	return strings.Join(out, "+")
}

// sleep waits; faults are mended when the run is broken off, too.
func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
