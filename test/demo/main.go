package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/odradek/odradek/agent/verify"
	"github.com/odradek/odradek/test/chaos/check"
	"github.com/odradek/odradek/test/chaos/history"
	"github.com/odradek/odradek/test/chaos/pool"
	"github.com/odradek/odradek/test/chaos/traffic"
	"github.com/odradek/odradek/test/harness"
)

const (
	agents     = 3
	settleTime = 90 * time.Second // until everything is answered, read and served in the end
)

// topics are what the demo writes to.
var topics = map[string]int32{"orders": 12}

// demo is one showing.
type demo struct {
	ctx     context.Context
	t       *harness.Program
	store   string
	length  time.Duration
	dir     string
	log     *history.Log
	pool    *pool.Pool
	traffic *traffic.Traffic
	began   time.Duration
	strikes sync.WaitGroup

	mu     sync.Mutex // guards all below
	faults []*shown
	broken []string
}

// shown is a fault on the screen.
type shown struct {
	at   time.Duration
	name string
	took time.Duration // until all partitions had an ack; 0: not yet
	back string        // what was undone
}

func main() {
	seconds := flag.Float64("seconds", 60, "how long it takes; all times scale with it")
	store := flag.String("store", pool.Directory, "file or minio")
	keep := flag.Bool("keep", false, "keep data and logs")
	flag.Parse()
	if *store != pool.MinIO && *store != pool.Directory || *seconds < 10 || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "demo: see go doc ./test/demo; -seconds is at least 10")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	dir, err := os.MkdirTemp("", "odradek-demo-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
	d := &demo{ctx: ctx, t: harness.NewProgram(ctx, "demo"), store: *store, length: time.Duration(*seconds * float64(time.Second)), dir: dir}
	clean, err := d.run()
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
	}
	if !clean || err != nil {
		fmt.Fprintln(os.Stderr, "demo: history and logs are in", dir)
		os.Exit(1)
	}
	if *keep {
		fmt.Println("history and logs are in", dir)
		return
	}
	os.RemoveAll(dir)
}

// run reports whether nothing was lost.
func (d *demo) run() (bool, error) {
	defer d.t.Close()
	var err error
	if d.log, err = history.Create(d.dir + "/history.jsonl"); err != nil {
		return false, err
	}
	fmt.Printf("starting %d agents on one bucket (%s) and one Redis …\n", agents, d.store)
	d.pool = pool.Start(d.t, pool.Options{Dir: d.dir, Store: d.store, Agents: agents, Flags: []string{"--wal-size", "64MiB", "--memory", "512MiB", "--lease", max(d.at(5), time.Second).String()}})
	d.traffic = traffic.New(traffic.Config{
		Log: d.log, Seeds: d.pool.Seeds(), Topics: topics, Producers: 4, Rate: 100, Consumers: 0, Groups: 1, Targets: d.targets,
	})
	if err := d.traffic.Start(d.ctx); err != nil {
		return false, err
	}
	d.began = d.log.Now()
	screen := newScreen(os.Stdout)
	d.schedule()
	for d.ctx.Err() == nil && d.log.Now()-d.began < d.length {
		screen.draw(d)
		sleep(d.ctx, screen.every)
	}
	d.strikes.Wait()
	if d.ctx.Err() != nil {
		d.traffic.Stop()
		return false, d.ctx.Err()
	}
	screen.draw(d)
	result, clean, err := d.finish()
	if err != nil {
		return false, err
	}
	return d.tell(result, clean), nil
}

// at gives a time of the minute, scaled.
func (d *demo) at(seconds float64) time.Duration {
	return time.Duration(seconds / 60 * float64(d.length))
}

// schedule starts a goroutine for each fault.
func (d *demo) schedule() {
	d.strike(15, "SIGKILL", func(f *shown) {
		a := d.owner()
		d.name(f, "SIGKILL of "+a.Name)
		a.Kill()
		sleep(d.ctx, d.at(10))
		a.Launch()
		d.undone(f, a.Name+" started again")
	})
	d.strike(30, "FLUSHALL", func(*shown) {
		if err := d.pool.Redis.Flush(); err != nil {
			d.breaks("%v", err)
		}
	})
	d.strike(40, "SIGSTOP", func(f *shown) {
		a := d.owner()
		d.name(f, fmt.Sprintf("SIGSTOP of %s for %.0f s", a.Name, d.at(10).Seconds()))
		a.Signal(syscall.SIGSTOP)
		sleep(d.ctx, d.at(10))
		a.Signal(syscall.SIGCONT)
		d.undone(f, a.Name+" goes on")
	})
	d.strike(50, fmt.Sprintf("Redis stopped for %.0f s", d.at(5).Seconds()), func(f *shown) {
		d.pool.Redis.Kill()
		sleep(d.ctx, d.at(5))
		d.pool.Redis.RestartEmpty()
		d.undone(f, "Redis is back, empty")
	})
}

// strike does a fault at a second of the minute and waits until all partitions are back.
func (d *demo) strike(second float64, name string, do func(f *shown)) {
	d.strikes.Go(func() {
		sleep(d.ctx, d.at(second))
		if d.ctx.Err() != nil {
			return
		}
		f := &shown{at: d.log.Now() - d.began, name: name}
		d.mu.Lock()
		d.faults = append(d.faults, f)
		d.mu.Unlock()
		watch := d.traffic.Watch()
		defer watch.Close()
		var doing sync.WaitGroup
		doing.Go(func() { do(f) })
		took, err := watch.Wait(d.ctx, settleTime)
		doing.Wait()
		if err != nil {
			d.breaks("%s: %v", f.name, err)
			return
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		f.took = max(took, watch.Silence())
	})
}

func (d *demo) name(f *shown, name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f.name = name
}

func (d *demo) undone(f *shown, what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f.back = what
}

func (d *demo) breaks(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.broken = append(d.broken, fmt.Sprintf(format, args...))
}

// owner is the agent that owns the most partitions among those that run.
func (d *demo) owner() *pool.Agent {
	owned := d.owned()
	var most *pool.Agent
	for _, a := range d.pool.Agents() {
		if a.Up() && (most == nil || owned[a.Client.Addr] > owned[most.Client.Addr]) {
			most = a
		}
	}
	return most
}

// owned counts the partitions of each agent, by its address.
func (d *demo) owned() map[string]int {
	n := make(map[string]int)
	for _, addr := range d.traffic.Owners() {
		n[addr]++
	}
	return n
}

func (d *demo) targets() []traffic.Target {
	var out []traffic.Target
	for _, a := range d.pool.Agents() {
		if a.Up() {
			out = append(out, traffic.Target{Name: a.Name, Addr: a.Addr, Zone: a.Zone, Life: a.Life()})
		}
	}
	return out
}

// finish lets the load run out, reads everything from every agent, walks the bucket and judges.
func (d *demo) finish() (check.Result, bool, error) {
	d.pool.Mend()
	if err := d.pool.WaitReady(settleTime); err != nil {
		d.breaks("%v", err)
	}
	if left := d.traffic.StopProducing(settleTime); left > 0 {
		d.breaks("%d records are without an answer", left)
	}
	if err := d.traffic.Drain(d.ctx, settleTime); err != nil {
		d.breaks("%v", err)
	}
	in := check.Input{Windows: 50, Seed: 1, Stored: make(map[history.Partition]int64)}
	c, err := kgo.NewClient(kgo.SeedBrokers(d.pool.Seeds()...))
	if err != nil {
		return check.Result{}, false, err
	}
	defer c.Close()
	ends, err := traffic.Ends(d.ctx, kadm.NewClient(c), topics, settleTime)
	if err == nil {
		in.Final, err = traffic.ReadAll(d.ctx, d.targets(), nil, ends, settleTime)
	}
	if err != nil {
		d.breaks("%v", err)
	}
	d.traffic.Stop()
	index, err := d.pool.Index(d.ctx, settleTime)
	if err != nil {
		return check.Result{}, false, err
	}
	in.Index = &check.Index{Ends: index.Ends, Differs: index.Differs}
	taken := 0
	for _, a := range d.pool.Agents() {
		if taken += a.Count("journal taken over"); a.Count("panic: ") > 0 {
			d.breaks("%s panicked", a.Name)
		}
		if _, err := a.Terminate(settleTime); err != nil {
			d.breaks("%v", err)
		}
	}
	if taken == 0 {
		d.breaks("nobody took over from an agent that was killed or stopped")
	}
	store, err := d.pool.Bucket(d.ctx)
	if err != nil {
		return check.Result{}, false, err
	}
	report, err := verify.Run(d.ctx, store, verify.Options{})
	if err != nil {
		return check.Result{}, false, err
	}
	for _, f := range report.Findings {
		in.Findings = append(in.Findings, f.String())
	}
	for _, t := range report.Topics {
		for _, p := range t.Partitions {
			if _, ours := topics[t.Name]; ours {
				in.Stored[history.Partition{Topic: t.Name, Index: p.Index}] = int64(p.End)
			}
		}
	}
	in.Events = d.log.Events()
	return check.Check(in), report.Clean(), errors.Join(d.log.Close())
}

// tell prints the last lines and reports whether all is well.
func (d *demo) tell(result check.Result, clean bool) bool {
	group := make(map[string]bool) // values that the group was handed
	acked, read := 0, 0
	for _, e := range d.log.Events() {
		for _, rec := range e.Records {
			group[rec.Value] = group[rec.Value] || e.Group != ""
		}
	}
	for _, e := range d.log.Events() {
		if e.Kind == history.Produced && e.Outcome == history.OK {
			acked++
			if group[e.Value] {
				read++
			}
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, b := range d.broken {
		fmt.Println("FAILED:", strings.TrimSpace(b))
	}
	for _, v := range result.Violations {
		fmt.Println("FAILED:", v)
	}
	word := map[bool]string{true: "clean", false: "NOT CLEAN"}[clean]
	fmt.Printf("acked %d, read %d, lost %d, doubled %d, out of order %d, verify %s\n", acked, read, result.Lost, result.Doubled, result.Disordered, word)
	return result.Clean() && clean && read == acked && acked > 0 && len(d.broken) == 0
}

func sleep(ctx context.Context, t time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(t):
	}
}
