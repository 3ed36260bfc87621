package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/odradek/odradek/test/chaos/pool"
)

// options are the flags.
type options struct {
	minutes float64
	seed    uint64
	store   string
	agents  int
	lease   time.Duration
	rate    int
	faults  string
	dir     string
	keep    bool
	judge   string
	flags   string
	record  string
	inside  bool
	sum     bool
}

func main() {
	var o options
	flag.Float64Var(&o.minutes, "minutes", 3, "how long faults are made")
	flag.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "what faults are drawn from")
	flag.StringVar(&o.store, "store", pool.MinIO, "minio or file")
	flag.IntVar(&o.agents, "agents", 3, "agents at first")
	flag.DurationVar(&o.lease, "lease", 5*time.Second, "of the agents")
	flag.IntVar(&o.rate, "rate", 40, "records a second for each of the 8 producers")
	flag.StringVar(&o.faults, "faults", "", "only faults whose name holds one of these, separated by commas")
	flag.StringVar(&o.dir, "dir", "", "directory for history, logs and data; default: a new one below that for temporary files")
	flag.BoolVar(&o.keep, "keep", false, "keep the directory after a clean run too")
	flag.StringVar(&o.judge, "judge", "", "judge what an earlier run left in a directory, and run nothing")
	flag.StringVar(&o.flags, "flags", "", "more flags for each agent, separated by spaces")
	flag.BoolVar(&o.inside, "inside", true, "build agents that can be broken from inside, and do that too")
	flag.StringVar(&o.record, "record", "", "append what the run came to to a file, one line of JSON")
	flag.BoolVar(&o.sum, "sum", false, "add up the runs that the files named behind it hold, and run nothing")
	flag.Parse()
	if o.sum {
		os.Exit(sum(os.Stdout, flag.Args()))
	}
	if o.store != pool.MinIO && o.store != pool.Directory || o.agents < 1 || o.minutes <= 0 || o.rate < 1 || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "chaos: see go doc ./test/chaos")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	run := func() int { return perform(ctx, o) }
	if o.judge != "" {
		run = func() int { return judgeAgain(o.judge) }
	}
	status := run()
	stop()
	os.Exit(status)
}

// able is what the run can do. Only who may mount has a small disk.
func (o options) able() able {
	can := able{store: o.store, minutes: o.minutes, inside: o.inside}
	if o.store == pool.MinIO {
		err := pool.TrySmallDisk()
		if can.small = err == nil; err != nil {
			fmt.Printf("chaos: no WAL is made full here: %v\n", err)
		}
	}
	return can
}

// perform is a whole run. It returns the exit status.
func perform(ctx context.Context, o options) int {
	if o.dir == "" {
		dir, err := os.MkdirTemp("", "odradek-chaos-")
		if err != nil {
			fmt.Fprintln(os.Stderr, "chaos:", err)
			return 1
		}
		o.dir = dir
	}
	dir, err := filepath.Abs(o.dir)
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		return 1
	}
	o.dir = dir
	fmt.Printf("chaos: seed %d, store %s, %d agents, lease %v, %.1f minutes; all is kept in %s\n", o.seed, o.store, o.agents, o.lease, o.minutes, dir)
	clean, err := newRun(ctx, o).run()
	if err != nil {
		fmt.Printf("chaos: %v\n", err)
	}
	if !clean || err != nil {
		fmt.Printf("chaos: FAILED, seed %d; history and logs are in %s\n", o.seed, dir)
		return 1
	}
	if !o.keep {
		os.RemoveAll(dir)
	}
	fmt.Printf("chaos: passed, seed %d\n", o.seed)
	return 0
}

// words cuts a list of flags.
func words(s, separator string) []string {
	var out []string
	for w := range strings.SplitSeq(s, separator) {
		if w = strings.TrimSpace(w); w != "" {
			out = append(out, w)
		}
	}
	return out
}
