package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/odradek/odradek/agent/chaos"
	"github.com/odradek/odradek/test/chaos/check"
)

// enough is a clean run that reaches every goal by itself.
func enough() totals {
	t := totals{
		Began: time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC), Commit: "0123456789ab", Seed: 7, Store: "minio", Agents: 3, Lease: "5s", Minutes: goalMinutes,
		Faults: map[string]int{"flushall": goalFaults}, Evidence: make(map[evidence]int), Reached: map[string]int{"takeovers": 3}, Points: make(map[string]int),
		Silent: map[string][]float64{"flushall": {0.5, 0.25, 4}},
	}
	for _, g := range goals {
		t.Evidence[g.kind] = g.n
	}
	for _, p := range chaos.Points() {
		t.Points[p] = 1
	}
	t.judged(check.Result{Sent: 11, Acked: 10, Read: 40, Windows: 5})
	return t
}

// summed gives what sum prints of some runs in two files, and its status.
func summed(t *testing.T, runs ...totals) (string, int) {
	t.Helper()
	dir := t.TempDir()
	one, two := filepath.Join(dir, "one"), filepath.Join(dir, "two")
	for i, r := range runs {
		path := one
		if i > 0 {
			path = two
		}
		if err := record(path, r); err != nil {
			t.Fatal(err)
		}
	}
	paths := []string{one}
	if len(runs) > 1 {
		paths = append(paths, two)
	}
	var out strings.Builder
	status := sum(&out, paths)
	return out.String(), status
}

func TestSum_AddsRunsUp(t *testing.T) {
	out, status := summed(t, enough(), enough(), enough())
	if status != 0 {
		t.Errorf("status %d", status)
	}
	for _, want := range []string{
		"3 runs", "360 minutes of 120\n", "3000 faults of 1000\n", "600 SIGKILL of 200\n", "150 FLUSHALL of 50\n", "takeovers 9;",
		"9  flushall                         p50   0.5  p90   4.0  max   4.0", "acked 30, read 120, lost 0", "violations: 0",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

func TestSum_FailsWhenSomethingIsMissing(t *testing.T) {
	for name, change := range map[string]func(r *totals){
		"too few kills":      func(r *totals) { r.Evidence[sigkill]-- },
		"too few faults":     func(r *totals) { r.Faults["flushall"]-- },
		"a point never":      func(r *totals) { r.Points[chaos.Points()[0]] = 0 },
		"too short":          func(r *totals) { r.Minutes-- },
		"a violation":        func(r *totals) { r.judged(check.Result{Violations: []check.Violation{{Rule: "lost"}}}) },
		"only more of them":  func(r *totals) { r.judged(check.Result{More: map[string]int{"lost": 1}}) },
		"a run that was cut": func(r *totals) { r.Broken = []string{"a2 ended by itself"} },
	} {
		t.Run(name, func(t *testing.T) {
			r := enough()
			change(&r)
			if out, status := summed(t, r); status == 0 {
				t.Fatalf("status 0 of\n%s", out)
			}
		})
	}
}

func TestSum_NoSuchFile(t *testing.T) {
	var out strings.Builder
	if sum(&out, []string{filepath.Join(t.TempDir(), "none")}) == 0 {
		t.Fatal("status 0")
	}
}

// A run of the usual pace, as many faults as the goal names, has each kind as often as its goal says, and some to spare: not
// every fault is one that counts.
func TestFaults_ALongRunReachesTheGoals(t *testing.T) {
	d := dealer(t, 1)
	total, by := 0, make(map[evidence]int)
	for _, f := range d.all {
		total += f.weight
		for prefix, kind := range map[string]evidence{
			"kill": sigkill, "crash": sigkill, "torn": sigkill, "stop for a lease": sigstop, "stop for two": sigstop, "stop for a minute": sigstop, "failover": failedOver, "flushall": flushed,
			"bucket away": outage, "bucket takes PUTs late": outage, "cut": linkCut,
		} {
			if strings.HasPrefix(f.name, prefix) {
				by[kind] += f.weight
			}
		}
	}
	for _, g := range goals {
		if have := float64(by[g.kind]) / float64(total) * goalFaults; have < 1.05*float64(g.n) {
			t.Errorf("%s: %.0f among %d faults, want more than %d", g.kind, have, goalFaults, g.n)
		}
	}
}
