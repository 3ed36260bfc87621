package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/odradek/odradek/test/chaos/pool"
)

// class says what a fault breaks. Two faults at a time are of different classes.
type class string

const (
	ofAgents class = "agent"
	ofRedis  class = "redis"
	ofBucket class = "bucket"
)

// fault is something that can be done to a pool. do does it, waits, and mends it; it says to whom, as soon as it knows,
// by damage.tell.
type fault struct {
	name  string
	class class
	away  bool // Redis does not answer meanwhile
	do    func(ctx context.Context, d *damage) error
}

// damage is one fault being done.
type damage struct {
	fault
	pool  *pool.Pool
	rng   *rand.Rand // its own: two faults at a time draw in any order
	lease time.Duration
	long  time.Duration // of the longest SIGSTOP
	tell  func(target string)
}

// between draws a time.
func (d *damage) between(from, to time.Duration) time.Duration {
	return from + time.Duration(d.rng.Int64N(int64(to-from)))
}

// agent draws a member that runs.
func (d *damage) agent() (*pool.Agent, error) {
	var up []*pool.Agent
	for _, a := range d.pool.Members() {
		if a.Up() {
			up = append(up, a)
		}
	}
	if len(up) == 0 {
		return nil, fmt.Errorf("no agent runs")
	}
	return up[d.rng.IntN(len(up))], nil
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

// deck deals faults by the seed: every one of them once in each round, in an order of chance, so that a long run has all
// of them in like numbers. The first two of a run are the ones without which it proves nothing.
type deck struct {
	rng  *rand.Rand
	all  []fault
	left []fault
}

// newDeck has the faults whose name holds one of the words, or all.
func newDeck(seed uint64, store string, only []string) (*deck, error) {
	d := &deck{rng: rand.New(rand.NewPCG(seed, 0))}
	all := slices.Concat(agentFaults(), redisFaults())
	if store == pool.MinIO {
		all = append(all, bucketFaults()...)
	}
	for _, f := range all {
		if len(only) == 0 || slices.ContainsFunc(only, func(w string) bool { return strings.Contains(f.name, w) }) {
			d.all = append(d.all, f)
		}
	}
	if len(d.all) == 0 {
		return nil, fmt.Errorf("no fault has one of %q in its name", only)
	}
	d.shuffle()
	first := 0
	for _, name := range []string{"kill until taken over", "flushall"} {
		for i, f := range d.left {
			if f.name == name && i >= first {
				d.left[i], d.left[first] = d.left[first], d.left[i]
				first++
				break
			}
		}
	}
	return d, nil
}

func (d *deck) shuffle() {
	d.left = slices.Clone(d.all)
	d.rng.Shuffle(len(d.left), func(i, j int) { d.left[i], d.left[j] = d.left[j], d.left[i] })
}

// deal gives one fault, or two of different classes.
func (d *deck) deal(pair bool) []fault {
	if len(d.left) == 0 {
		d.shuffle()
	}
	out := []fault{d.left[0]}
	d.left = d.left[1:]
	if !pair {
		return out
	}
	for i, f := range d.left {
		if f.class != out[0].class {
			out = append(out, f)
			d.left = slices.Delete(d.left, i, i+1)
			break
		}
	}
	return out
}
