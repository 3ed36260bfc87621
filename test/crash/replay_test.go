//go:build linux

package crash

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/odradek/odradek/test/harness"
)

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
