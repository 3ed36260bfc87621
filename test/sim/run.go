package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
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

// environment is what a process of seeds runs in: one processor, no collector while a seed is told (TestSim calls it in
// between) and no signals between goroutines. Nothing of the machine's own pace is left.
func environment() []string {
	return append(os.Environ(), "GOMAXPROCS=1", "GOGC=off", "GODEBUG=asyncpreemptoff=1,memprofilerate=0", "GOTRACEBACK=all")
}

// tell runs the seeds [first, first+count) one after the other and gives each to hear. All are told by one process; one
// that ends before its time or hangs is what is wrong with the seed it was at, and another one goes on behind that.
// It gives the seconds of a processor that all took, and stops early when ctx ends.
func (p program) tell(ctx context.Context, first, count uint64, disks string, hear func(told)) (cpu float64) {
	for next, end := first, first+count; next < end && ctx.Err() == nil; {
		seconds, err := p.process(ctx, next, end-next, disks, func(t told) {
			next = t.Seed + 1
			hear(t)
		})
		cpu += seconds
		if err == nil || ctx.Err() != nil || next == end {
			continue
		}
		hear(told{Seed: next, Wrong: []string{fmt.Sprintf("no end: %v", err)}})
		next++
	}
	return cpu
}

// process is one process of tell. An error means that it did not come to its end.
func (p program) process(ctx context.Context, first, count uint64, disks string, hear func(told)) (cpu float64, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.binary, "-test.run", "^TestSim_", "-test.timeout", "0",
		"-sim.json", "-sim.seeds", fmt.Sprint(count), "-sim.seed", fmt.Sprint(first), "-sim.disks", disks)
	cmd.Env = environment()
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGQUIT) } // its goroutines are told
	cmd.WaitDelay = 10 * time.Second
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	hangs := time.AfterFunc(seedTimeout, cancel)
	defer hangs.Stop()
	heard, other := uint64(0), ""
	lines := bufio.NewReader(out)
	for {
		line, rerr := lines.ReadString('\n')
		var t told
		if text, ok := strings.CutPrefix(line, "SIM "); ok && json.Unmarshal([]byte(text), &t) == nil {
			heard++
			hangs.Reset(seedTimeout)
			hear(t)
		} else {
			other = head(other+line, 3000)
		}
		if rerr != nil {
			break
		}
	}
	err = cmd.Wait()
	if s := cmd.ProcessState; s != nil {
		cpu = (s.UserTime() + s.SystemTime()).Seconds()
	}
	if heard == count {
		return cpu, nil
	}
	return cpu, fmt.Errorf("%w: %s", cmp.Or(err, errors.New("it told nothing")), head(errs.String()+other, 3000))
}

func head(s string, n int) string { return s[:min(len(s), n)] }

// total adds up seeds.
type total struct {
	mu      sync.Mutex // guards all below
	seeds   int
	faults  map[string]int
	counts  map[string]int
	reached map[string]int // seeds in which a count was above 0
	wrong   []told
	again   int      // seeds that ran twice
	differ  []uint64 // of these, those that two runs told differently
	cpu     float64  // seconds of a processor, of processes that have ended
	fake    float64
	first   uint64          // the seed to begin with
	next    uint64          // all before it were told
	ahead   map[uint64]bool // told behind it
}

func newTotal(first uint64) *total {
	return &total{
		faults: map[string]int{}, counts: map[string]int{}, reached: map[string]int{},
		first: first, next: first, ahead: map[uint64]bool{},
	}
}

func (t *total) add(s told) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seeds++
	t.fake += s.Fake
	for t.ahead[s.Seed] = true; t.ahead[t.next]; t.next++ {
		delete(t.ahead, t.next)
	}
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

func (t *total) used(cpu float64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cpu += cpu
}

// print writes what the seeds came to.
func (t *total) print(seconds float64) {
	fmt.Printf("\nseeds %d to %d, to go on: -seed %d\n", t.first, t.next-1, t.next)
	fmt.Printf("%s\n%.0f s, %.0f CPU s, %.3f CPU s a seed, %.1f simulated hours\n", t.line(), seconds, t.cpu, t.cpu/float64(max(1, t.seeds)), t.fake/3600)
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
	block uint64    // seeds that a process tells
	until time.Time // no block begins later; zero: until all have run
	jobs  int
	twice uint64          // so many of the first run twice
	tell  func(*total)    // how far it is; nil: nobody is told
	stop  func(told) bool // after which seed to stop, nil: none
}

// span is seeds that one process tells, [first, first+count).
type span struct{ first, count uint64 }

// spans cuts the plan into them.
func (pl plan) spans(yield func(span) bool) {
	for at := pl.first; pl.until.IsZero() || time.Now().Before(pl.until); at += pl.block {
		s := span{at, pl.block}
		if pl.count > 0 {
			if at >= pl.first+pl.count {
				return
			}
			s.count = min(s.count, pl.first+pl.count-at)
		}
		if !yield(s) {
			return
		}
	}
}

// run tells seeds side by side.
func (p program) run(ctx context.Context, pl plan, disks string) *total {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if pl.count > 0 { // few seeds: none waits for another
		pl.block = min(pl.block, max(1, pl.count/uint64(pl.jobs)))
	}
	t := newTotal(pl.first)
	next := make(chan span)
	go func() {
		defer close(next)
		for s := range pl.spans {
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
			for s := range next {
				t.used(p.tell(ctx, s.first, s.count, disks, func(s told) {
					if ctx.Err() != nil {
						return
					}
					if t.add(s); pl.tell != nil {
						if len(s.Wrong) > 0 { // a long run that is ended from outside must not keep it to itself
							fmt.Printf("VIOLATION seed %d: %s\n", s.Seed, s.Wrong[0])
						}
						pl.tell(t)
					}
					if s.Seed-pl.first < pl.twice {
						p.tell(ctx, s.Seed, 1, disks, func(again told) { t.compare(s, again) })
					}
					if pl.stop != nil && pl.stop(s) {
						cancel()
					}
				}))
			}
		})
	}
	wg.Wait()
	return t
}

func (t *total) compare(a, b told) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.again++
	if a.Log != b.Log || a.Bucket != b.Bucket {
		t.differ = append(t.differ, a.Seed)
	}
}
