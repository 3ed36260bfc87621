//go:build linux

package crash

import (
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/odradek/odradek/test/harness"
	"github.com/odradek/odradek/test/servers"
)

// compactor is an `odradek compact`, through all its lives.
type compactor struct {
	t    *testing.T
	env  []string
	args []string
	http string

	cmd    *exec.Cmd
	exited <-chan struct{}
	mu     sync.Mutex // guards text
	text   strings.Builder
}

// Write takes what the process prints.
func (c *compactor) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.Write(b)
}

func (c *compactor) printed() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.String()
}

// startCompactor starts one that works on what an agent with these options stores, as often as it may.
func startCompactor(t *testing.T, o harness.Options) *compactor {
	c := &compactor{t: t, env: o.Env, http: harness.FreeAddr(t)}
	c.args = []string{
		"compact", "--bucket", o.Bucket, "--redis", o.Redis, "--http", c.http, "--checkpoint-slots", "64", "--checkpoint-interval", "10s",
		"--compaction-interval", "1s", "--compaction-slots", "64", "--gc-grace", "1s", "--lease", "2s", "--memory", "128MiB",
	}
	c.start()
	t.Cleanup(func() { c.end(syscall.SIGKILL) })
	return c
}

func (c *compactor) start() {
	c.t.Helper()
	c.cmd = harness.Command(c.t, c.env, c.args...)
	c.cmd.Stdout, c.cmd.Stderr = c, c
	var err error
	if c.exited, err = harness.StartTied(c.cmd); err != nil {
		c.t.Fatal(err)
	}
}

// end ends the process and gives its status.
func (c *compactor) end(s syscall.Signal) int {
	_ = c.cmd.Process.Signal(s)
	<-c.exited
	return c.cmd.ProcessState.ExitCode()
}

// did gives a number of its /metrics; 0 while it does not answer.
func (c *compactor) did(name string) float64 {
	n, err := harness.Scrape(c.http, name)
	if err != nil {
		return 0
	}
	return n
}

// Agents without the role compactor, and `odradek compact` beside them: it makes checkpoints, compacts, trims and deletes while
// clients work. Two share the work; one that is killed in the middle is missed by nobody.
func TestCompactor_AloneAndKilled(t *testing.T) {
	t.Parallel()
	m, r := servers.SharedMinIO(t), servers.OwnRedis(t)
	o := harness.Options{
		Bucket: m.URL("compactor"), Redis: r.URL(), Env: m.Env(),
		Flags: []string{"--roles", "broker", "--flush-interval", "5ms", "--lease", "2s", "--set", "group.initial.rebalance.delay.ms=0"},
	}
	a, b := harness.Start(t, o), harness.Start(t, o)
	createTopic(t, a.Addr, loadTopic, partitions)
	l := newLedger()
	work := startLoad(t, l, loadConfig{addr: a.Addr})
	one := startCompactor(t, o)
	waits := func(c *compactor, what string, least float64) {
		t.Helper()
		for deadline := time.Now().Add(90 * time.Second); c.did(what) < least; time.Sleep(100 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s is %g, want %g\n%s", what, c.did(what), least, c.printed())
			}
		}
	}
	waits(one, "odradek_compaction_jobs_total", 3)
	waits(one, "odradek_garbage_objects_total", 100)

	two := startCompactor(t, o)
	for i := range 4 { // killed in the middle of whatever it does
		time.Sleep(between(500*time.Millisecond, 2*time.Second))
		killed, other := two, one
		if i%2 == 1 {
			killed, other = one, two
		}
		before := other.did("odradek_compaction_jobs_total")
		killed.end(syscall.SIGKILL)
		waits(other, "odradek_compaction_jobs_total", before+2)
		killed.start()
		waits(killed, "odradek_checkpoint_control", 1)
	}
	b.Kill() // its partitions go over, with what of them is in runs
	work.progress(50, time.Minute)
	work.finish(time.Minute)
	l.check(t, a.Addr)
	for _, c := range []*compactor{one, two} {
		if c.did("odradek_checkpoint_mismatched_total") > 0 || c.did("odradek_compaction_jobs_damaged_total") > 0 {
			t.Errorf("a checkpoint mismatched, or an input was damaged:\n%s", c.printed())
		}
		if status := c.end(syscall.SIGTERM); status != 0 {
			t.Errorf("status %d\n%s", status, c.printed())
		}
	}
	verify(t, o.Bucket, o.Env)
	out, status := harness.Run(t, o.Env, "compact", "--once", "--bucket", o.Bucket, "--redis", o.Redis, "--memory", "128MiB")
	if status != 0 || !strings.Contains(out, "checkpoints made: ") {
		t.Errorf("once: status %d\n%s", status, out)
	}
	l.check(t, a.Addr)
	a.Restart()
	l.check(t, a.Addr)
	a.Stop()
	verify(t, o.Bucket, o.Env)
}

// With the index in memory a directory is one process's: beside the agent `odradek compact` goes at once, and says why; once the
// agent is stopped it does all there is, and the agent comes back to it.
func TestCompactor_OfADirectoryThatNobodyElseHas(t *testing.T) {
	t.Parallel()
	a := harness.Start(t, harness.Options{Flags: []string{"--roles", "broker", "--flush-interval", "5ms"}})
	createTopic(t, a.Addr, "t", 3)
	fill(t, a.Addr, "t", 300)
	out, status := harness.Run(t, nil, "compact", "--once", "--bucket", a.Bucket)
	if status != 1 || !strings.Contains(out, "in use") {
		t.Errorf("beside an agent: status %d\n%s", status, out)
	}
	a.Stop()
	out, status = harness.Run(t, nil, "compact", "--once", "--bucket", a.Bucket)
	if status != 0 || !strings.Contains(out, "jobs done: 1,") || !strings.Contains(out, "journals trimmed: 1") {
		t.Errorf("status %d\n%s", status, out)
	}
	verify(t, a.Bucket, nil)
	a.Restart()
	if n := len(readAll(t, a.Addr, "t")); n != 300 {
		t.Errorf("%d records, want 300", n)
	}
	for _, c := range []struct{ args, says string }{
		{"compact --once --bucket file://" + harness.TempDir(t), "no cluster here"},
		{"compact --once --bucket minio://127.0.0.1:1/b?secure=false", "--redis is missing"},
	} {
		if out, status := harness.Run(t, nil, strings.Fields(c.args)...); status == 0 || !strings.Contains(out, c.says) {
			t.Errorf("%s: status %d, want %q\n%s", c.args, status, c.says, out)
		}
	}
}
