package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"
)

// seedTimeout is for one seed of a few seconds: one that takes longer hangs.
const seedTimeout = 3 * time.Minute

// told is what a seed came to, as TestSim prints it.
type told struct {
	Seed    uint64         `json:"seed"`
	Log     string         `json:"log"`
	Bucket  string         `json:"bucket"`
	Faults  map[string]int `json:"faults"`
	Counts  map[string]int `json:"counts"`
	Wrong   []string       `json:"wrong"`
	Seconds float64        `json:"seconds"`
	Fake    float64        `json:"fake_seconds"`
}

// tell runs one seed in a process. What goes wrong with the process itself is wrong with the seed.
func (p program) tell(ctx context.Context, seed uint64, disks string) told {
	ctx, cancel := context.WithTimeout(ctx, seedTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.binary, "-test.run", "^TestSim_", "-test.timeout", "0",
		"-sim.json", "-sim.seeds", "1", "-sim.seed", fmt.Sprint(seed), "-sim.disks", disks)
	// One processor, no collector and no signals between goroutines: nothing of the machine's own pace is left.
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GOGC=off", "GODEBUG=asyncpreemptoff=1,memprofilerate=0", "GOTRACEBACK=all")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	for line := range strings.Lines(out.String()) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), "SIM "); ok {
			var t told
			if jerr := json.Unmarshal([]byte(text), &t); jerr == nil {
				if err != nil && len(t.Wrong) == 0 {
					t.Wrong = []string{"the process ended with " + err.Error() + ": " + last(out.String()+errs.String(), 2000)}
				}
				return t
			}
		}
	}
	return told{Seed: seed, Wrong: []string{fmt.Sprintf("no end: %v: %s", err, first(errs.String()+out.String(), 3000))}}
}

func last(s string, n int) string  { return s[max(0, len(s)-n):] }
func first(s string, n int) string { return s[:min(len(s), n)] }

// total adds up seeds.
type total struct {
	mu      sync.Mutex // guards all below
	seeds   int
	faults  map[string]int
	counts  map[string]int
	reached map[string]int // seeds in which a count was above 0
	wrong   []told
	differ  []uint64 // seeds that two runs of told differently
	cpu     float64
	fake    float64
}

func newTotal() *total {
	return &total{faults: map[string]int{}, counts: map[string]int{}, reached: map[string]int{}}
}

func (t *total) add(s told) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seeds++
	t.cpu += s.Seconds
	t.fake += s.Fake
	for k, n := range s.Faults {
		t.faults[k] += n
	}
	for k, n := range s.Counts {
		t.counts[k] += n
		if n > 0 {
			t.reached[k]++
		}
	}
	if len(s.Wrong) > 0 {
		t.wrong = append(t.wrong, s)
	}
}

func (t *total) line() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return fmt.Sprintf("%d seeds, %d faults, %d takeovers, %d moves, %d eras, %d fenced, %d records acked, %d violations", t.seeds,
		sum(t.faults), t.counts["takeovers"], t.counts["moves"], t.counts["eras"], t.counts["fenced"], t.counts["acked"], len(t.wrong))
}

func sum(m map[string]int) (n int) {
	for _, v := range m {
		n += v
	}
	return n
}

// print writes what the seeds came to.
func (t *total) print(seconds float64) {
	fmt.Printf("\n%s\n%.0f s, %.2f s a seed, %.0f simulated hours\n", t.line(), seconds, t.cpu/float64(max(1, t.seeds)), t.fake/3600)
	fmt.Println("\nfaults by kind")
	table(t.faults, nil)
	fmt.Println("\nreached, and in how many seeds")
	table(t.counts, t.reached)
	slices.SortFunc(t.wrong, func(a, b told) int { return cmp.Compare(a.Seed, b.Seed) })
	for i, s := range t.wrong {
		if i == 10 {
			fmt.Printf("\n... and %d more\n", len(t.wrong)-i)
			break
		}
		fmt.Printf("\nVIOLATION seed %d (again: go run ./test/sim -seed %d -seeds 1 -tell)\n", s.Seed, s.Seed)
		for _, w := range s.Wrong[:min(3, len(s.Wrong))] {
			fmt.Println("  ", w)
		}
	}
}

func table(m, reached map[string]int) {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if reached != nil {
			fmt.Printf("  %-26s %9d  in %d\n", k, m[k], reached[k])
		} else {
			fmt.Printf("  %-26s %9d\n", k, m[k])
		}
	}
}

// plan says which seeds run.
type plan struct {
	first uint64
	count uint64    // 0: until the time is up
	until time.Time // zero: until all have run
	jobs  int
	twice bool
	tell  func(*total)    // how far it is; nil: nobody is told
	stop  func(told) bool // after which seed to stop, nil: none
}

// run tells seeds side by side.
func (p program) run(ctx context.Context, pl plan, disks string) *total {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t := newTotal()
	next := make(chan uint64)
	go func() {
		defer close(next)
		for s := pl.first; (pl.count == 0 || s < pl.first+pl.count) && (pl.until.IsZero() || time.Now().Before(pl.until)); s++ {
			select {
			case next <- s:
			case <-ctx.Done():
				return
			}
		}
	}()
	var wg sync.WaitGroup
	for range pl.jobs {
		wg.Go(func() {
			for seed := range next {
				s := p.tell(ctx, seed, disks)
				if ctx.Err() != nil {
					return
				}
				if t.add(s); pl.tell != nil {
					pl.tell(t)
				}
				if pl.twice {
					t.compare(s, p.tell(ctx, seed, disks))
				}
				if pl.stop != nil && pl.stop(s) {
					cancel()
				}
			}
		})
	}
	wg.Wait()
	return t
}

func (t *total) compare(a, b told) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if a.Log != b.Log || a.Bucket != b.Bucket {
		t.differ = append(t.differ, a.Seed)
	}
}
