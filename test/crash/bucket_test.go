//go:build linux

package crash

import (
	"testing"
	"time"

	"github.com/odradek/odradek/test/harness"
)

func TestBucket_AwayAtStart(t *testing.T) {
	t.Parallel()
	for way, cut := range cuts {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			p, o := cuttable(t)
			cut(p)
			o.NoWait = true
			a := harness.Start(t, o)
			if way == "refused" {
				a.WaitLog("bucket cannot be used yet", 20*time.Second)
			}
			a.WaitHTTP()
			if body := a.Get("/readyz"); !a.Running() || body == "ok\n" {
				t.Fatalf("running %v, /readyz says %q while the bucket is away", a.Running(), body)
			}
			if took := a.Stop(); took > 10*time.Second {
				t.Errorf("an agent that waits for its bucket took %v to stop", took)
			}
			a.Launch()
			time.Sleep(500 * time.Millisecond)
			p.mend()
			a.WaitReady()
			createTopic(t, a.Addr, loadTopic, partitions)
			work := startLoad(t, newLedger(), loadConfig{addr: a.Addr, producers: 1})
			work.progress(50, 20*time.Second)
			work.finish(20 * time.Second)
			work.check(t, a.Addr)
		})
	}
}

// Producers with acks=all wait while the bucket is away, and consumers are told nothing wrong; all goes on by itself.
func TestBucket_AwayWhileProducing(t *testing.T) {
	t.Parallel()
	for way, cut := range cuts {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			p, o := cuttable(t)
			o.Flags = append(o.Flags, "--set", "group.initial.rebalance.delay.ms=0")
			a := harness.Start(t, o)
			createTopic(t, a.Addr, loadTopic, partitions)
			work := startLoad(t, newLedger(), loadConfig{addr: a.Addr, producers: 4})
			along := startWatcher(t, a.Addr, "along")
			work.progress(100, 20*time.Second)
			along.progress(1, 20*time.Second)
			cut(p)
			time.Sleep(2 * time.Second) // what was under way may still be acked
			acked, lines := work.count(), len(a.LogLines("level="))
			time.Sleep(outage())
			if now := work.count(); now > acked {
				t.Errorf("%d records of acks=all were acked while the bucket was away", now-acked)
			}
			t.Logf("%d lines in the log for a bucket that was away for %v", len(a.LogLines("level="))-lines, outage())
			if more := len(a.LogLines("level=")) - lines; more > 200 {
				t.Errorf("%d lines in the log for a bucket that was away for %v", more, outage())
			}
			p.mend()
			work.progress(500, 40*time.Second)
			settle(t, a, work, along)
		})
	}
}

// An agent that is told to stop while its bucket is away gives up in time, and keeps what it acked in its WAL.
func TestBucket_AwayWhenTheAgentStops(t *testing.T) {
	t.Parallel()
	p, o := cuttable(t)
	a := harness.Start(t, o)
	createTopic(t, a.Addr, loadTopic, partitions)
	l := newLedger()
	cfg := ackOne["plain"]
	cfg.addr = a.Addr
	work := startLoad(t, l, cfg)
	work.progress(100, 20*time.Second)
	p.blackhole()
	work.progress(100, 20*time.Second)
	took, status := a.Terminate()
	work.abandon()
	t.Logf("the agent took %v to stop without its bucket, status %d", took, status)
	p.mend()
	a.Restart()
	l.check(t, a.Addr)
}
