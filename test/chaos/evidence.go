package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/odradek/odradek/agent/chaos"
	"github.com/odradek/odradek/test/chaos/check"
)

// evidence is a kind of damage that many runs together must have done so many times that its absence from the violations
// means something. A fault counts once, and only if it was seen to have happened.
type evidence string

const (
	sigkill    evidence = "SIGKILL"
	sigstop    evidence = "SIGSTOP longer than a lease"
	failedOver evidence = "Redis failover that lost indexed slots"
	flushed    evidence = "FLUSHALL"
	outage     evidence = "bucket outage, or PUTs that land late"
	linkCut    evidence = "link cut"
)

// goals are what all runs together must come to.
var goals = []struct {
	kind evidence
	n    int
}{{sigkill, 200}, {sigstop, 150}, {failedOver, 100}, {flushed, 50}, {outage, 100}, {linkCut, 100}}

const (
	goalMinutes = 120
	goalFaults  = 1000
)

// totals is what one run came to: a line of the file that -record names.
type totals struct {
	Began      time.Time            `json:"began"`
	Commit     string               `json:"commit"` // of the tree, with a plus sign if the tree was changed
	Seed       uint64               `json:"seed"`
	Store      string               `json:"store"`
	Agents     int                  `json:"agents"` // at first
	Lease      string               `json:"lease"`
	Rate       int                  `json:"rate"` // of each producer
	Only       string               `json:"only,omitempty"`
	Minutes    float64              `json:"minutes"` // of faults
	Faults     map[string]int       `json:"faults"`  // by name
	Idle       map[string]int       `json:"idle"`    // of which nothing came, and that are not among them
	Evidence   map[evidence]int     `json:"evidence"`
	Points     map[string]int       `json:"points"` // crashes, by point
	Holds      map[string]int       `json:"holds"`  // compactors that were held, by point
	Reached    map[string]int       `json:"reached"`
	Silent     map[string][]float64 `json:"silent"` // seconds of the longest silence of a partition, by fault that came alone
	Sent       int                  `json:"sent"`
	Acked      int                  `json:"acked"`
	Read       int                  `json:"read"`
	Lost       int                  `json:"lost"`
	Doubled    int                  `json:"doubled"`
	Disordered int                  `json:"out_of_order"`
	Faded      int                  `json:"faded"`
	LostAcks1  int                  `json:"acks1_lost_with_takeover"`
	Windows    int                  `json:"windows"`
	Undecided  int                  `json:"windows_undecided"`
	Violations int                  `json:"violations"`
	Broken     []string             `json:"broken"` // what else failed the run
}

// judged takes a judgement in.
func (t *totals) judged(result check.Result) {
	t.Sent, t.Acked, t.Read = result.Sent, result.Acked, result.Read
	t.Lost, t.Doubled, t.Disordered, t.LostAcks1 = result.Lost, result.Doubled, result.Disordered, len(result.LostByTakeover)
	t.Windows, t.Undecided, t.Faded = result.Windows, result.Timeouts, result.Faded
	t.Violations = len(result.Violations)
	for _, n := range result.More {
		t.Violations += n
	}
}

// commit names the tree that the agents were built of.
func commit() string {
	hash, err := exec.Command("git", "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	changed, err := exec.Command("git", "status", "--porcelain", "--untracked-files=no").Output()
	if err != nil || len(changed) > 0 {
		return strings.TrimSpace(string(hash)) + "+"
	}
	return strings.TrimSpace(string(hash))
}

// record appends a run to a file.
func record(path string, t totals) error {
	line, err := json.Marshal(t)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(append(line, '\n'))
	return errors.Join(err, f.Close())
}

// readTotals reads the runs of some files.
func readTotals(paths []string) ([]totals, error) {
	var out []totals
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		for d := json.NewDecoder(f); err == nil; {
			var t totals
			if err = d.Decode(&t); err == nil {
				out = append(out, t)
			}
		}
		f.Close()
		if err != io.EOF {
			return nil, fmt.Errorf("%s: run %d: %w", path, len(out), err)
		}
	}
	return out, nil
}

// sum adds up the runs of some files and prints what they come to together. It returns the exit status: 0 if every figure
// is reached and no run was unclean.
func sum(out io.Writer, paths []string) int {
	runs, err := readTotals(paths)
	if err != nil {
		fmt.Fprintln(out, "chaos:", err)
		return 1
	}
	all := totals{Faults: make(map[string]int), Idle: make(map[string]int), Evidence: make(map[evidence]int), Points: make(map[string]int), Holds: make(map[string]int), Reached: make(map[string]int), Silent: make(map[string][]float64)}
	unclean := 0
	fmt.Fprintln(out, "began                 commit         seed  store  agents  lease  minutes  faults    acked  violations")
	for _, t := range runs {
		n := 0
		for name, m := range t.Faults {
			all.Faults[name] += m
			n += m
		}
		fmt.Fprintf(out, "%s  %-13s %5d  %-5s  %6d  %5s  %7.1f  %6d  %7d  %10d\n", t.Began.Format("2006-01-02 15:04:05"), t.Commit, t.Seed, t.Store,
			t.Agents, t.Lease, t.Minutes, n, t.Acked, t.Violations)
		for _, b := range t.Broken {
			fmt.Fprintf(out, "    FAILED %s\n", b)
		}
		if t.Violations > 0 || len(t.Broken) > 0 {
			unclean++
		}
		all.add(t)
	}
	short := all.print(out, runs)
	if unclean > 0 {
		fmt.Fprintf(out, "%d of %d runs were unclean\n", unclean, len(runs))
	}
	if short || unclean > 0 {
		return 1
	}
	return 0
}

// add takes a run in, but for its faults.
func (t *totals) add(o totals) {
	t.Minutes += o.Minutes
	for name, n := range o.Idle {
		t.Idle[name] += n
	}
	for kind, n := range o.Evidence {
		t.Evidence[kind] += n
	}
	for point, n := range o.Points {
		t.Points[point] += n
	}
	for point, n := range o.Holds {
		t.Holds[point] += n
	}
	for what, n := range o.Reached {
		t.Reached[what] += n
	}
	for name, seconds := range o.Silent {
		t.Silent[name] = append(t.Silent[name], seconds...)
	}
	t.Sent, t.Acked, t.Read = t.Sent+o.Sent, t.Acked+o.Acked, t.Read+o.Read
	t.Lost, t.Doubled, t.Disordered = t.Lost+o.Lost, t.Doubled+o.Doubled, t.Disordered+o.Disordered
	t.LostAcks1, t.Windows, t.Undecided = t.LostAcks1+o.LostAcks1, t.Windows+o.Windows, t.Undecided+o.Undecided
	t.Violations += o.Violations
	t.Faded += o.Faded
}

// print prints a sum of runs and reports whether a figure is not reached.
func (t *totals) print(out io.Writer, runs []totals) (short bool) {
	faults := 0
	for _, n := range t.Faults {
		faults += n
	}
	want := func(format string, have float64, goal int) {
		text := ""
		if have < float64(goal) {
			text, short = " (too few)", true
		}
		fmt.Fprintf(out, format+" of %d%s\n", have, goal, text)
	}
	fmt.Fprintf(out, "\n%d runs\n", len(runs))
	want("%8.0f minutes", t.Minutes, goalMinutes)
	want("%8.0f faults", float64(faults), goalFaults)
	for _, g := range goals {
		want("%8.0f "+string(g.kind), float64(t.Evidence[g.kind]), g.n)
	}
	for _, name := range slices.Sorted(maps.Keys(t.Faults)) {
		fmt.Fprintf(out, "%8d  %s\n", t.Faults[name], name)
	}
	for _, name := range slices.Sorted(maps.Keys(t.Idle)) {
		fmt.Fprintf(out, "%8d  more of which nothing came: %s\n", t.Idle[name], name)
	}
	fmt.Fprintln(out, "crashes at a point:")
	for _, point := range chaos.Points() {
		text := ""
		if t.Points[point] == 0 {
			text, short = " (never)", true
		}
		fmt.Fprintf(out, "%8d  %s%s\n", t.Points[point], point, text)
	}
	fmt.Fprintln(out, "compactors held at a point:")
	for _, point := range slices.Sorted(maps.Keys(t.Holds)) {
		fmt.Fprintf(out, "%8d  %s\n", t.Holds[point], point)
	}
	fmt.Fprint(out, "reached ")
	for _, what := range slices.Sorted(maps.Keys(t.Reached)) {
		fmt.Fprintf(out, " %s %d;", what, t.Reached[what])
	}
	fmt.Fprintln(out, "\nlongest silence of a partition after a fault that came alone, in seconds:")
	for _, name := range slices.Sorted(maps.Keys(t.Silent)) {
		s := slices.Sorted(slices.Values(t.Silent[name]))
		fmt.Fprintf(out, "%8d  %-32s p50 %5.1f  p90 %5.1f  max %5.1f\n", len(s), name, quantile(s, 0.5), quantile(s, 0.9), s[len(s)-1])
	}
	fmt.Fprintf(out, "records: sent %d, acked %d, read %d, lost %d, doubled %d, out of order %d; acks=1 lost with a takeover %d\n",
		t.Sent, t.Acked, t.Read, t.Lost, t.Doubled, t.Disordered, t.LostAcks1)
	fmt.Fprintf(out, "faded as their topics' settings say: %d\n", t.Faded)
	fmt.Fprintf(out, "porcupine: %d windows, %d undecided\nviolations: %d\n", t.Windows, t.Undecided, t.Violations)
	return short
}

// quantile is a value of a sorted list that is not empty.
func quantile(sorted []float64, q float64) float64 {
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// printEvidence prints how often a run did what must be done often.
func printEvidence(have map[evidence]int) {
	var parts []string
	for _, g := range goals {
		parts = append(parts, fmt.Sprintf("%s %d", g.kind, have[g.kind]))
	}
	fmt.Printf("evidence      %s\n", cmp.Or(strings.Join(parts, "; "), "none"))
}
