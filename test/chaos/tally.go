package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/odradek/odradek/agent/verify"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/test/chaos/check"
	"github.com/odradek/odradek/test/chaos/history"
	"github.com/odradek/odradek/topic"
)

// reads is how many control records are asked for at once.
const reads = 16

// followPause is how often it is read on: far more often than records are deleted.
const followPause = 3 * time.Second

// reached is what a run came to, as the agents and the control log tell.
type reached struct {
	takenOver   int // journals that another agent sealed and took over
	restarted   int // journals that an agent sealed itself when it started again
	moves       int
	eras        int
	void        int
	fenced      int
	quarantined int
	ackedAway   int // acks of records that were sent while Redis was away
	verified    int // checkpoints
	manifests   int // compacted objects swapped in, or runs dropped
	trimmed     int // slots below TRIM
	sweeps      int
	forgotten   int // control numbers that were deleted
}

// controlLog is what the control log tells. It is read while the run goes on, since its beginning is deleted meanwhile (G4).
type controlLog struct {
	store objectstore.Store

	mu        sync.Mutex // guards all below
	state     *control.State
	trims     map[topic.JournalID]topic.Slot
	names     map[topic.ID]string
	owners    map[topic.JournalID]string // where a journal's agent listens, which no other agent does
	reached   reached
	takeovers []check.Takeover
}

func newControlLog(store objectstore.Store) *controlLog {
	return &controlLog{
		store: store, state: control.New(), trims: make(map[topic.JournalID]topic.Slot), names: make(map[topic.ID]string),
		owners: make(map[topic.JournalID]string),
	}
}

// follow reads on until ctx ends. What cannot be read is read again later.
func (c *controlLog) follow(ctx context.Context) {
	for ctx.Err() == nil {
		_, _, _ = c.read(ctx)
		sleep(ctx, followPause)
	}
}

// read reads to the end of the log, and gives what it came to so far.
func (c *controlLog) read(ctx context.Context) (reached, []check.Takeover, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := verify.EachControl(ctx, c.store, c.state, reads, func(n verify.Number) error {
		for i, record := range n.Records {
			if n.Outcomes[i].Void {
				c.reached.void++
			} else {
				c.take(record)
			}
		}
		c.state = n.After
		return nil
	})
	return c.reached, c.takeovers, err
}

// take takes a record that holds.
func (c *controlLog) take(record control.Record) {
	out := &c.reached
	switch r := record.(type) {
	case control.TopicCreate:
		c.names[r.ID] = r.Name
	case control.JournalOpen:
		where := fmt.Sprint(r.Endpoints)
		for _, s := range r.Predecessors {
			c.sealed(s, where)
		}
		c.owners[r.ID] = where
	case control.JournalSealed:
		c.sealed(r, "")
	case control.Assign:
		out.moves++
	case control.Era:
		out.eras++
	case control.Verified:
		out.verified++
	case control.Manifest:
		out.manifests++
	case control.Sweep:
		out.sweeps++
	case control.Trim:
		out.trimmed += int(r.Slot - c.trims[r.Journal])
		c.trims[r.Journal] = r.Slot
	}
}

// sealed takes a seal in, by whom it was placed.
func (c *controlLog) sealed(r control.JournalSealed, by string) {
	if by != "" && by == c.owners[r.Journal] {
		c.reached.restarted++
		return
	}
	c.reached.takenOver++
	for _, part := range r.Parts {
		p := history.Partition{Topic: c.names[part.Partition.Topic], Index: part.Partition.Index}
		c.takeovers = append(c.takeovers, check.Takeover{Partition: p, Epoch: int32(part.OldEpoch) + 1, Base: int64(part.Base)})
	}
}

// forgotten gives how many control numbers are not there any more.
func (c *controlLog) forgotten(ctx context.Context) (int, error) {
	there := 0
	err := c.store.List(ctx, slotlog.ControlPrefix, func(objectstore.Info) error { there++; return nil })
	return int(c.state.Next()) - there, err
}

// tally gathers what the agents printed and what the bucket holds. All agents have ended.
func (r *run) tally(events []history.Event) (reached, error) {
	out, _, err := r.control.read(r.ctx)
	if err != nil {
		return reached{}, err
	}
	if out.forgotten, err = r.control.forgotten(r.ctx); err != nil {
		return reached{}, err
	}
	for _, a := range r.pool.Agents() {
		out.fenced += a.Count("journal is over, opening a new one")
		out.quarantined += a.Count("wal quarantined")
		if n := a.Count("\npanic: ") + a.Count("\nfatal error: "); n > 0 {
			r.fail("%s panicked", a.Name)
		}
		if a.Count("WARNING: DATA RACE") > 0 {
			r.fail("%s reported a data race", a.Name)
		}
	}
	for _, e := range events {
		if e.Kind != history.Produced || e.Outcome != history.OK {
			continue
		}
		if slices.ContainsFunc(r.away, func(s span) bool { return s.from <= e.Start && e.End <= s.to }) {
			out.ackedAway++
		}
	}
	if strings.TrimSpace(r.o.faults) == "" && (out.takenOver == 0 || out.eras < 2) {
		r.fail("the run does not count: %d takeovers, %d recoveries of Redis", out.takenOver, max(0, out.eras-1))
	}
	return out, nil
}

// totals is what the run came to.
func (r *run) totals(a reached, result check.Result) totals {
	r.mu.Lock() // PUTs that are held land still
	defer r.mu.Unlock()
	created, refused := r.lates[http.StatusOK], 0
	for status, n := range r.lates {
		if status != http.StatusOK {
			refused += n
		}
	}
	t := totals{
		Began: r.began.UTC(), Commit: r.commit, Seed: r.o.seed, Store: r.o.store, Agents: r.o.agents, Lease: r.o.lease.String(), Rate: r.o.rate,
		Only: r.o.faults, Minutes: r.faulty.Minutes(), Faults: r.done, Idle: r.idle, Evidence: maps.Clone(r.evidence), Points: r.crashes, Holds: r.holds, Silent: r.silent,
		Reached: map[string]int{
			"takeovers": a.takenOver, "restarts": a.restarted, "moves": a.moves, "recoveries": max(0, a.eras-1), "void control records": a.void,
			"fenced journals": a.fenced, "acks while redis was away": a.ackedAway, "quarantined WALs": a.quarantined,
			"verified checkpoints": a.verified, "manifests": a.manifests, "trimmed slots": a.trimmed,
			"late PUTs that created": created, "late PUTs that were refused": refused,
			"sweeps": a.sweeps, "deleted control numbers": a.forgotten,
		},
	}
	for _, b := range r.broken {
		t.Broken = append(t.Broken, strings.SplitN(b, "\n", 2)[0])
	}
	t.judged(result)
	return t
}

// print prints the counts and the judgement.
func (r *run) print(t totals, result check.Result) {
	faults := 0
	for _, n := range t.Faults {
		faults += n
	}
	fmt.Printf("\nfaults        %d in %.1f minutes\n", faults, t.Minutes)
	for _, name := range slices.Sorted(maps.Keys(t.Faults)) {
		fmt.Printf("  %4d  %s\n", t.Faults[name], name)
	}
	for _, name := range slices.Sorted(maps.Keys(t.Idle)) {
		fmt.Printf("  nothing came of %d more  %s\n", t.Idle[name], name)
	}
	printEvidence(t.Evidence)
	for _, point := range slices.Sorted(maps.Keys(t.Points)) {
		fmt.Printf("  %4d  crash %s\n", t.Points[point], point)
	}
	for _, point := range slices.Sorted(maps.Keys(t.Holds)) {
		fmt.Printf("  %4d  held %s\n", t.Holds[point], point)
	}
	var parts []string
	for _, what := range slices.Sorted(maps.Keys(t.Reached)) {
		parts = append(parts, fmt.Sprintf("%s %d", what, t.Reached[what]))
	}
	fmt.Printf("reached       %s\n", strings.Join(parts, ", "))
	printResult(result)
	for _, b := range t.Broken {
		fmt.Printf("FAILED        %s\n", b)
	}
}

// printResult prints a judgement.
func printResult(result check.Result) {
	fmt.Printf("records       sent %d, acked %d, read %d, lost %d, doubled %d, out of order %d\n", result.Sent, result.Acked, result.Read, result.Lost,
		result.Doubled, result.Disordered)
	fmt.Printf("faded         %d acked records went as their topics' settings say\n", result.Faded)
	fmt.Printf("acks=1        %d lost with a takeover, %d doubled by repeats\n", len(result.LostByTakeover), result.DoubledWithout)
	for i, l := range result.LostByTakeover {
		if i == 50 {
			fmt.Printf("  and %d more\n", len(result.LostByTakeover)-i)
			break
		}
		fmt.Printf("  %s\n", l)
	}
	fmt.Printf("porcupine     %d windows, %d undecided; %d committed offsets explained by commits of unknown outcome\n", result.Windows, result.Timeouts, result.Excused)
	fmt.Printf("violations    %d\n", len(result.Violations))
	for _, v := range result.Violations {
		fmt.Printf("  %s\n", v)
	}
	for rule, n := range result.More {
		fmt.Printf("  %s: %d more\n", rule, n)
	}
}
