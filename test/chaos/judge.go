package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/odradek/odradek/agent/verify"
	"github.com/odradek/odradek/test/chaos/check"
	"github.com/odradek/odradek/test/chaos/history"
	"github.com/odradek/odradek/test/chaos/traffic"
)

// windows is how many windows porcupine is given: some for each minute of a long run.
func windows(events []history.Event) int {
	if len(events) == 0 {
		return 0
	}
	return min(max(200, 20*int(events[len(events)-1].Start/time.Minute)), 1200)
}

// finish mends everything, lets the load run out, reads all from everybody and judges.
func (r *run) finish() (bool, error) {
	sleep(r.ctx, time.Until(r.heldUntil))
	r.say("the last fault is over")
	r.pool.Mend()
	if err := r.pool.WaitReady(recoverTime); err != nil {
		r.fail("in the end: %v", err)
	}
	sleep(r.ctx, quietTime)
	if left := r.traffic.StopProducing(settleTime); left > 0 {
		r.fail("%d records are without an answer %v after the last fault", left, settleTime)
		r.dump()
	}
	if err := r.traffic.Drain(r.ctx, drainTime); err != nil {
		r.fail("consumers: %v", err)
		r.dump()
	}
	if err := r.traffic.Keep(r.ctx, readTime); err != nil {
		r.fail("in the end: %v", err)
	}
	sleep(r.ctx, keepTime)
	in := check.Input{Seed: r.o.seed, ReadBack: r.traffic.ReadBack(), Fading: fading}
	var err error
	if in.Final, err = r.readAll(); err != nil {
		r.fail("in the end: %v", err)
	}
	r.traffic.Stop()
	if in.Index, err = r.sameIndex(); err != nil {
		return false, err
	}
	if err := r.cleaned(); err != nil {
		r.fail("in the end: %v", err)
	}
	for _, a := range r.pool.Agents() { // so that nothing is under way while the bucket is walked
		if a.Running() {
			if _, err := a.Terminate(stopTime); err != nil {
				r.fail("in the end: %v", err)
			}
		}
	}
	if err := r.walk(&in); err != nil {
		return false, err
	}
	if err := r.log.Close(); err != nil {
		return false, err
	}
	if in.Events, err = history.Load(r.history()); err != nil {
		return false, err
	}
	in.Windows = windows(in.Events)
	reached, err := r.tally(in.Events)
	if err != nil {
		return false, err
	}
	if err := save(r.o.dir, in, r.traffic.Notes()); err != nil {
		return false, err
	}
	began := time.Now()
	result := check.Check(in)
	r.say("judged %d calls in %.1f s", len(in.Events), time.Since(began).Seconds())
	t := r.totals(reached, result)
	r.print(t, result)
	if r.o.record != "" {
		if err := record(r.o.record, t); err != nil {
			return false, err
		}
	}
	return result.Clean() && len(r.broken) == 0, nil
}

// readAll reads every partition from every agent.
func (r *run) readAll() (map[string]map[history.Partition][]history.Record, error) {
	c, err := kgo.NewClient(kgo.SeedBrokers(r.pool.Seeds()...))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	starts, err := r.traffic.Starts(r.ctx, kadm.NewClient(c), readTime)
	if err != nil {
		return nil, err
	}
	ends, err := traffic.Ends(r.ctx, kadm.NewClient(c), everywhere(), readTime)
	if err != nil {
		return nil, err
	}
	limit := readTime
	for _, end := range ends {
		limit += time.Duration(end) * readRecord
	}
	return traffic.ReadAll(r.ctx, r.targets(), starts, ends, limit)
}

// everywhere are all topics that live as long as the run.
func everywhere() map[string]int32 { return traffic.Config{Topics: topics, Fading: fading}.All() }

// cleaned waits until nothing is left in the bucket that nothing needs: no orphan, nothing in grace. It counts objects by
// `odradek verify`, while the agents run.
func (r *run) cleaned() error {
	store, err := r.pool.Bucket(r.ctx)
	if err != nil {
		return err
	}
	for began := time.Now(); ; sleep(r.ctx, 2*time.Second) {
		report, err := verify.Run(r.ctx, store, verify.Options{Fast: true})
		if err != nil {
			return err
		}
		left := make(map[string]verify.Account)
		for _, a := range report.Accounts {
			left[a.Class] = a
		}
		orphans, grace := left[verify.ClassOrphans], left[verify.ClassGrace]
		if orphans.Objects == 0 && grace.Objects == 0 {
			r.say("nothing is left that nothing needs, after %.1f s", time.Since(began).Seconds())
			return nil
		}
		if time.Since(began) > cleanTime || r.ctx.Err() != nil {
			var first []string
			for _, g := range report.Garbage[:min(5, len(report.Garbage))] {
				first = append(first, g.Key+" "+g.Why)
			}
			return fmt.Errorf("after %v there are %d orphans and %d objects in grace: %s", cleanTime, orphans.Objects, grace.Objects, strings.Join(first, "; "))
		}
	}
}

// sameIndex compares Redis with the bucket while there are slots that are not compacted yet.
func (r *run) sameIndex() (*check.Index, error) {
	i, err := r.pool.Index(r.ctx, indexTime)
	if err != nil {
		return nil, err
	}
	r.say("redis was compared with the bucket: %d slots and the ends of %d partitions are the same, %d things are not", i.Slots, i.Ends, len(i.Differs))
	return &check.Index{Ends: i.Ends, Differs: i.Differs}, nil
}

// walk reads the bucket as `odradek verify` does.
func (r *run) walk(in *check.Input) error {
	store, err := r.pool.Bucket(r.ctx)
	if err != nil {
		return err
	}
	report, err := verify.Run(r.ctx, store, verify.Options{})
	if err != nil {
		return err
	}
	for _, f := range report.Findings {
		in.Findings = append(in.Findings, f.String())
	}
	r.account(report)
	in.Stored, in.Begin = make(map[history.Partition]int64), make(map[history.Partition]int64)
	lasting := everywhere()
	for _, t := range report.Topics {
		if t.Internal || strings.HasPrefix(t.Name, "__") {
			continue
		}
		for _, p := range t.Partitions {
			at := history.Partition{Topic: t.Name, Index: p.Index}
			if _, lasts := lasting[t.Name]; lasts {
				in.Stored[at], in.Begin[at] = int64(p.End), int64(p.Start)
			}
		}
	}
	if _, in.Takeovers, err = r.control.read(r.ctx); err != nil {
		return err
	}
	if in.Bucket, err = readBucket(r.ctx, store, r.control.state, lasting, in.Begin); err != nil {
		return err
	}
	records := 0
	for _, log := range in.Bucket {
		records += len(log)
	}
	r.say("the bucket was walked: %d records were read from slots and compacted objects, %d findings", records, len(report.Findings))
	return nil
}

// account prints how much the bucket holds of each class, and fails the run if some of it is in none.
func (r *run) account(report verify.Report) {
	var parts []string
	objects, bytes := 0, int64(0)
	for i, a := range report.Accounts {
		if i < len(report.Accounts)-1 {
			objects, bytes = objects+a.Objects, bytes+a.Bytes
			parts = append(parts, fmt.Sprintf("%s %d (%d KiB)", a.Class, a.Objects, a.Bytes>>10))
		} else if a.Objects != objects || a.Bytes != bytes {
			r.fail("the bucket holds %d objects of %d bytes, of which %d of %d bytes are accounted for", a.Objects, a.Bytes, objects, bytes)
		}
	}
	r.say("the bucket holds %s", strings.Join(parts, ", "))
}

// kept is what a run leaves for -judge, besides its history.
type kept struct {
	Final     map[string][]listing      `json:"final"`
	ReadBack  []listing                 `json:"read_back"`
	Takeovers []check.Takeover          `json:"takeovers"`
	Findings  []string                  `json:"findings"`
	Stored    []stored                  `json:"stored"`
	Fading    map[string]history.Fading `json:"fading"`
	Bucket    []listing                 `json:"bucket"`
	Index     *check.Index              `json:"index"`
	Seed      uint64                    `json:"seed"`
	Notes     []string                  `json:"notes"`
}

type listing struct {
	Partition history.Partition `json:"partition"`
	Records   []history.Record  `json:"records"`
}

type stored struct {
	Partition history.Partition `json:"partition"`
	Begin     int64             `json:"begin"`
	End       int64             `json:"end"`
}

func listings(m map[history.Partition][]history.Record) []listing {
	var out []listing
	for p, records := range m {
		out = append(out, listing{p, records})
	}
	return out
}

func unlist(all []listing) map[history.Partition][]history.Record {
	out := make(map[history.Partition][]history.Record)
	for _, l := range all {
		out[l.Partition] = l.Records
	}
	return out
}

// save writes what judgeAgain reads.
func save(dir string, in check.Input, notes []string) error {
	k := kept{Final: make(map[string][]listing), ReadBack: listings(in.ReadBack), Takeovers: in.Takeovers, Findings: in.Findings, Seed: in.Seed, Notes: notes, Fading: in.Fading, Bucket: listings(in.Bucket), Index: in.Index}
	for name, m := range in.Final {
		k.Final[name] = listings(m)
	}
	for p, end := range in.Stored {
		k.Stored = append(k.Stored, stored{p, in.Begin[p], end})
	}
	b, err := json.Marshal(k)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "final.json"), b, 0o644)
}

// judgeAgain judges what a run left. It returns the exit status.
func judgeAgain(dir string) int {
	events, err := history.Load(filepath.Join(dir, "history.jsonl"))
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		return 1
	}
	var k kept
	b, err := os.ReadFile(filepath.Join(dir, "final.json"))
	if err == nil {
		err = json.Unmarshal(b, &k)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		return 1
	}
	in := check.Input{
		Events: events, Final: make(map[string]map[history.Partition][]history.Record), ReadBack: unlist(k.ReadBack), Takeovers: k.Takeovers,
		Index: k.Index, Findings: k.Findings, Stored: make(map[history.Partition]int64), Seed: k.Seed, Windows: windows(events), Fading: k.Fading, Begin: make(map[history.Partition]int64),
	}
	if k.Bucket != nil {
		in.Bucket = unlist(k.Bucket)
	}
	for name, l := range k.Final {
		in.Final[name] = unlist(l)
	}
	for _, s := range k.Stored {
		in.Stored[s.Partition], in.Begin[s.Partition] = s.End, s.Begin
	}
	result := check.Check(in)
	printResult(result)
	if !result.Clean() {
		return 1
	}
	return 0
}
