//go:build linux

package crash

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/odradek/odradek/test/harness"
	"github.com/odradek/odradek/test/servers"
)

// Another agent takes over while the first is dead: what only the first one's WAL holds is kept for people, and the log
// goes on without it.
func TestQuarantine_JournalSealedByAnotherAgent(t *testing.T) {
	t.Parallel()
	m, r := servers.SharedMinIO(t), servers.OwnRedis(t)
	p := startProxy(t, m.Endpoint[len("http://"):])
	behind := *m
	behind.Endpoint = "http://" + p.addr
	a := harness.Start(t, harness.Options{Bucket: behind.URL("q"), Redis: r.URL(), Env: m.Env(), Flags: []string{"--wal-size", "64MiB"}})
	createTopic(t, a.Addr, loadTopic, partitions)
	one := newLedger()
	work := startLoad(t, one, loadConfig{addr: a.Addr, producers: 1, once: true, opts: ackOne["plain"].opts})
	work.progress(100, 30*time.Second)
	p.cutOff()
	work.progress(200, 30*time.Second)
	a.Kill()
	work.abandon()

	b := harness.Start(t, harness.Options{Bucket: m.URL("q"), Redis: r.URL(), Env: m.Env()})
	two := newLedger()
	work = startLoad(t, two, loadConfig{addr: b.Addr, producers: 1})
	work.progress(200, 30*time.Second)
	work.finish(30 * time.Second)
	b.Stop()

	p.mend()
	a.Restart()
	if n := a.Metric("odradek_agent_wal_quarantined_total"); n != 1 {
		t.Errorf("odradek_agent_wal_quarantined_total is %v, want 1", n)
	}
	files, err := filepath.Glob(filepath.Join(a.DataDir, "quarantine", "*", "*.wal"))
	if err != nil || len(files) == 0 {
		t.Errorf("no file of the WAL in quarantine: %v", err)
	}
	if rings, _ := os.ReadDir(filepath.Join(a.DataDir, "wal")); len(rings) != 1 {
		t.Errorf("%d rings beside the quarantine, want that of the open journal", len(rings))
	}
	lines := a.LogLines("wal quarantined")
	if len(lines) != 1 {
		t.Errorf("%d lines in the log name the quarantine, want 1", len(lines))
	}
	log := readAll(t, a.Addr, loadTopic)
	for at, want := range two.acked {
		if got := log[at]; got == nil || difference(got, want) != "" {
			t.Errorf("record %s, acked by the agent that took over, is not at %v", want.Key, at)
		}
	}
	a.Restart() // a quarantined WAL stays one
	if n := a.Metric("odradek_agent_wal_quarantined_total"); n != 0 {
		t.Errorf("the next start quarantined %v WALs, want none", n)
	}
	if again, _ := filepath.Glob(filepath.Join(a.DataDir, "quarantine", "*", "*.wal")); len(again) != len(files) {
		t.Errorf("%d files in quarantine after another start, before it were %d", len(again), len(files))
	}
	after := newLedger()
	work = startLoad(t, after, loadConfig{addr: a.Addr, producers: 2, opts: []kgo.Opt{kgo.ClientID("after")}})
	work.progress(50, 30*time.Second)
	work.finish(30 * time.Second)
}

// Agents die twice: once in the outage, and again while they replay. What was acked is there all the same.
func TestReplay_KilledWhileReplaying(t *testing.T) {
	t.Parallel()
	l, a, p := killedInOutage(t, ackOne["plain"], (*proxy).cutOff)
	for range 6 {
		p.mend()
		a.Launch()
		time.Sleep(between(20*time.Millisecond, 350*time.Millisecond))
		if rand.IntN(2) == 1 {
			p.cutOff()
			time.Sleep(between(0, 200*time.Millisecond))
		}
		a.Kill()
	}
	p.mend()
	a.Restart()
	l.check(t, a.Addr)
	if files, _ := filepath.Glob(filepath.Join(a.DataDir, "quarantine", "*")); len(files) > 0 {
		t.Errorf("%d WALs in quarantine: %v", len(files), files)
	}
}

// A producer that outlives outage and kill is answered again, each record once.
func TestOutage_ProducersGoOnAfterIt(t *testing.T) {
	t.Parallel()
	p, o := cuttable(t)
	a := harness.Start(t, o)
	createTopic(t, a.Addr, loadTopic, partitions)
	l := newLedger()
	one := startLoad(t, l, loadConfig{addr: a.Addr, producers: 1, opts: ackOne["idempotent"].opts})
	one.progress(100, 30*time.Second)
	p.blackhole()
	one.progress(200, 30*time.Second)
	a.Kill()
	a.Launch()
	time.Sleep(between(0, time.Second)) // it starts in the outage
	p.mend()
	a.WaitReady()
	one.progress(200, 30*time.Second)
	a.Kill()
	a.Restart()
	one.progress(100, 30*time.Second)
	one.finish(30 * time.Second)
	l.check(t, a.Addr)
}

// An offset commit that was under way when the agent died is in the WAL, and comes to count when it is replayed: the
// coordinator then knows of it, or it would show up one start later.
func TestReplay_TheCoordinatorKnowsReplayedCommits(t *testing.T) {
	t.Parallel()
	p, o := cuttable(t)
	a := harness.Start(t, o)
	createTopic(t, a.Addr, loadTopic, partitions)
	commit := func(at int64, limit time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		offsets := make(kadm.Offsets)
		offsets.AddOffset(loadTopic, 0, at, -1)
		got, err := adminOf(t, a.Addr).CommitOffsets(ctx, "simple", offsets)
		if err == nil {
			err = got.Error()
		}
		return err
	}
	eventually(t, 20*time.Second, func() error { return commit(40, 10*time.Second) })
	p.cutOff()
	if err := commit(50, 2*time.Second); err == nil {
		t.Fatal("a commit was acked without a bucket")
	}
	a.Kill()
	p.mend()
	var told []int64
	for range 3 {
		a.Restart()
		got, ok := fetchOffsets(t, a.Addr, "simple").Lookup(loadTopic, 0)
		if !ok {
			t.Fatal("no committed offset")
		}
		told = append(told, got.At)
	}
	if told[0] != 50 || told[1] != 50 || told[2] != 50 {
		t.Fatalf("committed offset at three starts after the crash: %v, want that of the commit in the WAL, 50, each time", told)
	}
}
