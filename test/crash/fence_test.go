//go:build linux

package crash

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/odradek/odradek/test/harness"
	"github.com/odradek/odradek/test/servers"
)

// An agent that was paused while another one took over meets the seal when it goes on: it acks nothing more of what it
// held, and what it acked before is in the log of its successor.
func TestFence_PausedAgentMeetsTheSeal(t *testing.T) {
	t.Parallel()
	m, r := servers.SharedMinIO(t), servers.OwnRedis(t)
	o := harness.Options{Bucket: m.URL("fence"), Redis: r.URL(), Env: m.Env()}
	a := harness.Start(t, o)
	createTopic(t, a.Addr, loadTopic, partitions)
	l := newLedger()
	work := startLoad(t, l, loadConfig{addr: a.Addr, producers: 3})
	work.progress(200, 30*time.Second)
	a.Signal(syscall.SIGSTOP)
	b := harness.Start(t, o)
	b.WaitLog("journal taken over", 40*time.Second)
	a.Signal(syscall.SIGCONT)
	a.WaitLog("journal is over", 20*time.Second)
	work.progress(500, 60*time.Second) // the producers find the new owner through the old one
	work.finish(60 * time.Second)
	l.check(t, b.Addr)
	a.WaitReady() // with a new journal, that owns nothing: it sends clients to the other
	l.check(t, a.Addr)
	if n := a.Metric("odradek_agent_wal_quarantined_total"); n > 1 {
		t.Errorf("%v WALs quarantined", n)
	}
	a.Kill()
	b.Kill()
	verify(t, a.Bucket, o.Env)
}

// With the index in memory there is one agent: who finds itself sealed says who did it and ends.
func TestFence_WithTheIndexInMemoryTheOlderEnds(t *testing.T) {
	t.Parallel()
	m := servers.SharedMinIO(t)
	o := harness.Options{Bucket: m.URL("alone"), Env: m.Env()}
	a := harness.Start(t, o)
	createTopic(t, a.Addr, loadTopic, partitions)
	l := newLedger()
	work := startLoad(t, l, loadConfig{addr: a.Addr, producers: 2})
	work.progress(100, 30*time.Second)
	b := harness.Start(t, o)
	a.WaitExit(30 * time.Second)
	if a.ExitStatus() == 0 || !strings.Contains(a.Log(), "another agent has taken this bucket over") {
		t.Errorf("the older agent ended with status %d", a.ExitStatus())
	}
	work.abandon()
	log := readAll(t, b.Addr, loadTopic)
	if c := l.compare(log); len(c.lines) > 0 {
		t.Error(c)
	}
}

// A directory bucket with the index in memory is locked.
func TestFence_DirectoryBucketIsLocked(t *testing.T) {
	t.Parallel()
	a := harness.Start(t, harness.Options{})
	b := harness.Start(t, harness.Options{Bucket: a.Bucket, NoWait: true})
	b.WaitExit(10 * time.Second)
	if b.ExitStatus() != 1 || !a.Ready() {
		t.Fatalf("the second agent ended with status %d, want 1; the first is ready: %v\n%s", b.ExitStatus(), a.Ready(), b.Tail())
	}
}
