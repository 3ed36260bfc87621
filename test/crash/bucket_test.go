//go:build linux

package crash

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

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

// An agent that is told to stop lets go of a client whose records are on their way from a bucket that does not answer.
func TestBucket_AwayWhenTheAgentStopsAndAFetchWaits(t *testing.T) {
	t.Parallel()
	p, o := cuttable(t)
	a := harness.Start(t, o)
	createTopic(t, a.Addr, loadTopic, 1)
	c := clientOf(t, a.Addr)
	r := &kgo.Record{Topic: loadTopic, Value: []byte("in the bucket")}
	if err := c.ProduceSync(t.Context(), r).FirstErr(); err != nil {
		t.Fatal(err)
	}
	a.Stop()
	a.Restart() // what it had in memory is gone
	p.blackhole()
	conn, err := net.Dial("tcp", a.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.MaxBytes, req.MinBytes = 12, 1<<20, 1 // MaxWait is 0: only the bucket can be waited for
	part := kmsg.NewFetchRequestTopicPartition()
	part.PartitionMaxBytes = 1 << 20
	req.Topics = []kmsg.FetchRequestTopic{{Topic: loadTopic, Partitions: []kmsg.FetchRequestTopicPartition{part}}}
	if _, err := conn.Write(kmsg.NewRequestFormatter().AppendRequest(nil, req, 1)); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 1)
	conn.SetReadDeadline(time.Now().Add(2 * time.Second))
	if _, err := conn.Read(answer); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("the fetch waits for no bucket: %v", err)
	}
	took, status := a.Terminate()
	t.Logf("the agent took %v to stop without its bucket, status %d", took, status)
	if took > 10*time.Second { // a GET may take 60
		t.Errorf("the agent took %v to stop, though it had acked nothing", took)
	}
	p.mend()
	a.Restart()
	if got := readAll(t, a.Addr, loadTopic); len(got) != 1 {
		t.Errorf("%d records, want 1", len(got))
	}
}
