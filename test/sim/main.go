package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// blockSize is how many seeds a process tells if nothing else is said: the pages that the first of them takes from the
// system serve all.
const blockSize = 25

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	run := simulate
	args := os.Args[1:]
	if len(args) > 0 && args[0] == "mutants" {
		run, args = hunt, args[1:]
	}
	clean, err := run(ctx, args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "sim:", err)
	}
	if err != nil || !clean {
		stop()
		os.Exit(1)
	}
}

// workspace makes a directory for binaries and disks, in memory where there is one: disks of agents are files.
func workspace() (dir string, remove func(), err error) {
	parent := ""
	if i, serr := os.Stat("/dev/shm"); serr == nil && i.IsDir() {
		parent = "/dev/shm"
	}
	dir, err = os.MkdirTemp(parent, "odradek-sim-")
	return dir, func() { os.RemoveAll(dir) }, err
}

// simulate runs seeds and says whether nothing was found.
func simulate(ctx context.Context, args []string) (clean bool, err error) {
	f := flag.NewFlagSet("sim", flag.ExitOnError)
	seeds := f.Uint64("seeds", 0, "how many; 0 with -minutes: as many as fit")
	first := f.Uint64("seed", 1, "the first one")
	minutes := f.Float64("minutes", 0, "begin no seed after so long")
	jobs := f.Int("jobs", runtime.NumCPU(), "processes at a time")
	block := f.Uint64("block", blockSize, "seeds that a process tells, one after the other")
	twice := f.Uint64("twice", 0, "run the first so many seeds twice, among others and alone, and compare the logs of events and the buckets")
	tell := f.Bool("tell", false, "tell the story of the first seed instead, with the agents' own logs")
	calls := f.Bool("calls", false, "with -tell: tell every call to the stores, too")
	if err := f.Parse(args); err != nil {
		return false, err
	}
	if *seeds == 0 && *minutes == 0 {
		*seeds = 100
	}
	root, err := moduleRoot()
	if err != nil {
		return false, err
	}
	dir, remove, err := workspace()
	if err != nil {
		return false, err
	}
	defer remove()
	p, err := build(ctx, root, filepath.Join(dir, "agent.test"))
	if err != nil {
		return false, err
	}
	if *twice > 0 && !p.repeatable {
		return false, errors.New("with this runtime no seed gives the same log twice")
	}
	if *tell {
		return p.story(ctx, *first, *calls, dir)
	}
	began := time.Now()
	pl := plan{first: *first, count: *seeds, block: max(1, *block), jobs: max(1, *jobs), twice: *twice}
	if *minutes > 0 {
		pl.until = began.Add(time.Duration(*minutes * float64(time.Minute)))
	}
	pl.tell = every(15*time.Second, func(t *total) { fmt.Printf("%4.0f s  %s\n", time.Since(began).Seconds(), t.line()) })
	fmt.Printf("seeds from %d on, %d at a time, repeatable: %t\n", *first, *jobs, p.repeatable)
	t := p.run(ctx, pl, dir)
	t.print(time.Since(began).Seconds())
	if *twice > 0 {
		fmt.Printf("\n%d of %d seeds gave the same log of events and the same bucket twice; others: %v\n", t.again-len(t.differ), t.again, t.differ)
	}
	return len(t.wrong) == 0 && len(t.differ) == 0, ctx.Err()
}

// every lets one call through in a time.
func every(d time.Duration, tell func(*total)) func(*total) {
	var mu sync.Mutex
	last := time.Now()
	return func(t *total) {
		mu.Lock()
		defer mu.Unlock()
		if time.Since(last) >= d {
			last = time.Now()
			tell(t)
		}
	}
}

// story runs one seed aloud.
func (p program) story(ctx context.Context, seed uint64, calls bool, dir string) (clean bool, err error) {
	cmd := exec.CommandContext(ctx, p.binary, "-test.run", "^TestSim_", "-test.v", "-sim.tell", "-sim.seed", fmt.Sprint(seed), "-sim.disks", dir)
	if calls {
		cmd.Args = append(cmd.Args, "-sim.calls")
	}
	cmd.Env = environment()
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run() == nil, nil
}
