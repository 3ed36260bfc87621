package chaos

import (
	"fmt"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/odradek/odradek/topic"
)

// The faults that are counted, by their label.
const (
	faultCrash = "crash"
	faultClock = "clock"
	faultDisk  = "disk"
	faultHold  = "hold"
)

// crashVariable is the environment variable that names a point to end at from the start on.
const crashVariable = "CHAOS_CRASH"

// Injector is what is injected into one process.
type Injector struct {
	faults *prometheus.CounterVec
	die    func() // ends the process; does not return
	shifts bool   // the wall clock can be shifted

	mu       sync.Mutex // guards all below
	passed   map[string]int
	armed    map[string]int           // passes that are left, this one included
	holding  map[string]time.Duration // who passes next waits for so long
	done     map[string]int           // faults, by label
	disk     DiskFault                // empty: none
	slow     time.Duration            // of a sync, with SlowSync
	internal func(topic.ID) bool
}

// New makes an injector that does nothing yet but what the environment asks for.
func New(registry prometheus.Registerer) (*Injector, error) {
	i := &Injector{
		faults: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "odradek_chaos_faults_total", Help: "Faults injected into this process by kind: crash, clock, disk, hold. Only in a binary built to break.",
		}, []string{"kind"}),
		die: kill, shifts: clockShifts(), passed: make(map[string]int), armed: make(map[string]int), holding: make(map[string]time.Duration), done: make(map[string]int),
	}
	if err := registry.Register(i.faults); err != nil {
		return nil, err
	}
	if point := os.Getenv(crashVariable); point != "" {
		if err := i.Arm(point, 1); err != nil {
			return nil, fmt.Errorf("%s: %w", crashVariable, err)
		}
	}
	slog.Warn("this binary is built to break: it serves /chaos/", "clock", i.shifts)
	return i, nil
}

// kill is the end of the process as a power loss of one machine would have it: nothing is flushed, nobody is told.
func kill() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL) // nobody may refuse that
	select {}
}

// Arm has the process end at the n-th pass of a point from now on.
func (i *Injector) Arm(point string, n int) error {
	if !known(point) {
		return fmt.Errorf("no point is called %q", point)
	}
	if n < 1 {
		return fmt.Errorf("pass %d of %q: want 1 or more", n, point)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.armed[point] = n
	return nil
}

// Internal says how to tell topics that the cluster keeps for itself. A log that is read from a checkpoint on does not name
// them again.
func (i *Injector) Internal(is func(topic.ID) bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.internal = is
}

// Hold has the next one who passes a point wait there, while the process goes on: its work is overtaken by that of others.
func (i *Injector) Hold(point string, d time.Duration) error {
	if !known(point) {
		return fmt.Errorf("no point is called %q", point)
	}
	if d <= 0 || d > longestHold {
		return fmt.Errorf("hold for %v: want up to %v", d, longestHold)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.holding[point] = d
	return nil
}

// longestHold is for how long one may be held.
const longestHold = 5 * time.Minute

// Disarm takes every order to end or to wait back. Who waits already waits on.
func (i *Injector) Disarm() {
	i.mu.Lock()
	defer i.mu.Unlock()
	clear(i.armed)
	clear(i.holding)
}

// pass notes that points are passed, ends the process if one is armed, and waits if one is held.
func (i *Injector) pass(points ...string) {
	for _, point := range points {
		i.mu.Lock()
		i.passed[point]++
		left, armed := i.armed[point]
		if armed {
			i.armed[point] = left - 1
		}
		wait := i.holding[point]
		delete(i.holding, point)
		i.mu.Unlock()
		if armed && left == 1 {
			i.did(faultCrash, point)
			i.die()
		}
		if wait > 0 {
			i.did(faultHold, point)
			time.Sleep(wait)
		}
	}
}

// around passes the points before something, does it, and passes the points after it if it took effect.
func (i *Injector) around(what []string, do func() error) error {
	for _, w := range what {
		i.pass(Before(w))
	}
	err := do()
	if err == nil {
		for _, w := range what {
			i.pass(After(w))
		}
	}
	return err
}

// did reports a fault.
func (i *Injector) did(kind, what string) {
	i.faults.WithLabelValues(kind).Inc()
	slog.Warn("chaos", "kind", kind, "what", what)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.done[kind]++
}
