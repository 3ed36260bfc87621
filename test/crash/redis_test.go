//go:build linux

package crash

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/odradek/odradek/test/harness"
	"github.com/odradek/odradek/test/servers"
)

// flush makes a Redis forget everything.
func flush(t *testing.T, r *servers.RedisServer) {
	t.Helper()
	say(t, r, "FLUSHALL")
}

// say gives a Redis a command that it answers with OK.
func say(t *testing.T, r *servers.RedisServer, command string) {
	t.Helper()
	c, err := net.Dial("tcp", r.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte(command + "\r\n")); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.HasPrefix(line, "+OK") {
		t.Fatalf("%s: %q %v", command, line, err)
	}
}

// picture is what clients know of a cluster.
type picture struct {
	ids       map[string]kadm.TopicID
	ends      kadm.ListedOffsets
	committed kadm.OffsetResponses
}

func pictureOf(t *testing.T, addr, group string) picture {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	admin := adminOf(t, addr)
	topics, err := admin.ListTopicsWithInternal(ctx)
	if err != nil {
		t.Fatal(err)
	}
	p := picture{ids: make(map[string]kadm.TopicID), committed: fetchOffsets(t, addr, group)}
	for _, topic := range topics {
		p.ids[topic.Topic] = topic.ID
	}
	if p.ends, err = admin.ListEndOffsets(ctx, loadTopic); err != nil {
		t.Fatal(err)
	}
	return p
}

// compare wants the same topics with the same ids, and no end and no committed offset behind what it was.
func (p picture) compare(t *testing.T, now picture) {
	t.Helper()
	if len(now.ids) != len(p.ids) {
		t.Errorf("%d topics, before %d", len(now.ids), len(p.ids))
	}
	for name, id := range p.ids {
		if now.ids[name] != id {
			t.Errorf("topic %s has id %v, before %v", name, now.ids[name], id)
		}
	}
	p.ends.Each(func(o kadm.ListedOffset) {
		if n, ok := now.ends.Lookup(o.Topic, o.Partition); !ok || n.Offset < o.Offset {
			t.Errorf("%s/%d ends at %d, before at %d", o.Topic, o.Partition, n.Offset, o.Offset)
		}
	})
	p.committed.Each(func(o kadm.OffsetResponse) {
		if n, ok := now.committed.Lookup(o.Topic, o.Partition); !ok || n.At < o.At {
			t.Errorf("committed offset of %s/%d is %d, before %d", o.Topic, o.Partition, n.At, o.At)
		}
	})
	if len(p.committed) == 0 {
		t.Error("nothing was committed before")
	}
}

// withRedis starts an agent on a directory bucket with a real Redis, with producers and a group at work.
func withRedis(t *testing.T, r *servers.RedisServer) (*harness.Agent, *load, *watcher) {
	t.Helper()
	a := harness.Start(t, harness.Options{Redis: r.URL(), Flags: []string{"--set", "group.initial.rebalance.delay.ms=0"}})
	createTopic(t, a.Addr, loadTopic, partitions)
	work := startLoad(t, newLedger(), loadConfig{addr: a.Addr, producers: 3})
	along := startWatcher(t, a.Addr, "along")
	work.progress(200, 30*time.Second)
	along.progress(2, 30*time.Second)
	a.WaitLog("index in step with the log", 20*time.Second)
	return a, work, along
}

// settle ends load and group and compares all that they know with the log.
func settle(t *testing.T, a *harness.Agent, work *load, along *watcher) map[place]*kgo.Record {
	t.Helper()
	work.finish(30 * time.Second)
	log := work.check(t, a.Addr)
	eventually(t, 30*time.Second, func() error {
		if have := along.count(); have < len(log) {
			return fmt.Errorf("the group read %d records, want %d", have, len(log))
		}
		return nil
	})
	along.finish()
	along.checkSeen(log)
	along.checkCommitted(a.Addr)
	return log
}

func TestRedis_FlushedWhileTheAgentIsStopped(t *testing.T) {
	t.Parallel()
	r := servers.OwnRedis(t)
	a, work, along := withRedis(t, r)
	before := pictureOf(t, a.Addr, along.group)
	a.Stop()
	flush(t, r)
	a.Restart()
	before.compare(t, pictureOf(t, a.Addr, along.group))
	work.progress(200, 30*time.Second)
	along.progress(2, 30*time.Second)
	a.WaitLog("index in step with the log", 20*time.Second)
	checkIndex(t, a.Addr, r, settle(t, a, work, along))
	a.Kill()
	flush(t, r)
	a.Restart()
	work.check(t, a.Addr)
}

func TestRedis_FlushedWhileProducing(t *testing.T) {
	t.Parallel()
	r := servers.OwnRedis(t)
	a, work, along := withRedis(t, r)
	for range 3 {
		built := len(a.LogLines("era open"))
		flush(t, r)
		work.progress(100, 20*time.Second)
		a.Wait(time.Minute, "a new era", func() bool { return len(a.LogLines("era open")) > built }) // after 0, 10 and 20 s (R1)
	}
	inStep(t, a)
	checkIndex(t, a.Addr, r, settle(t, a, work, along))
}

func TestRedis_AwayWhileProducing(t *testing.T) {
	t.Parallel()
	r := servers.OwnRedis(t)
	a, work, along := withRedis(t, r)
	before := pictureOf(t, a.Addr, along.group)
	r.Kill()
	for range 4 { // acks go on, and so do reading and committing
		work.progress(100, 20*time.Second)
		along.progress(1, 20*time.Second)
		time.Sleep(time.Second)
	}
	before.compare(t, pictureOf(t, a.Addr, along.group))
	a.WaitLog("index is not kept for now", 10*time.Second)
	if n := len(a.LogLines("level=")); n > 60 {
		t.Errorf("%d lines in the log for a Redis that is away", n)
	}
	createTopic(t, a.Addr, "made-without-redis", 3)
	r.Restart() // empty
	a.Wait(30*time.Second, "the index in step again", func() bool { return len(a.LogLines("index in step with the log")) > 1 })
	inStep(t, a)
	checkIndex(t, a.Addr, r, settle(t, a, work, along))
}

// A Redis that hangs holds up nobody either.
func TestRedis_HangsWhileProducing(t *testing.T) {
	t.Parallel()
	r := servers.OwnRedis(t)
	p := startProxy(t, r.Addr)
	through := *r
	through.Addr = p.addr
	a, work, along := withRedis(t, &through)
	p.blackhole()
	for range 4 {
		work.progress(100, 20*time.Second)
		along.progress(1, 20*time.Second)
		time.Sleep(time.Second)
	}
	p.mend()
	inStep(t, a)
	checkIndex(t, a.Addr, r, settle(t, a, work, along))
}

func TestRedis_AwayAtStart(t *testing.T) {
	t.Parallel()
	r := servers.OwnRedis(t)
	a, work, along := withRedis(t, r)
	before := pictureOf(t, a.Addr, along.group)
	a.Kill()
	r.Kill()
	a.Restart() // an owner serves without Redis
	before.compare(t, pictureOf(t, a.Addr, along.group))
	work.progress(100, 20*time.Second)
	r.Restart()
	inStep(t, a)
	checkIndex(t, a.Addr, r, settle(t, a, work, along))
}

// The very first start of a cluster may meet no Redis either.
func TestRedis_AwayAtTheFirstStart(t *testing.T) {
	t.Parallel()
	r := servers.OwnRedis(t)
	r.Kill()
	a := harness.Start(t, harness.Options{Redis: r.URL(), Flags: []string{"--set", "group.initial.rebalance.delay.ms=0"}})
	createTopic(t, a.Addr, loadTopic, partitions)
	work := startLoad(t, newLedger(), loadConfig{addr: a.Addr, producers: 2})
	along := startWatcher(t, a.Addr, "along")
	work.progress(100, 30*time.Second)
	r.Restart()
	inStep(t, a)
	checkIndex(t, a.Addr, r, settle(t, a, work, along))
}

// inStep waits until the index in Redis follows the log of this life.
func inStep(t *testing.T, a *harness.Agent) {
	t.Helper()
	a.Wait(40*time.Second, "the index in step with the log", func() bool {
		lines := a.LogLines("index")
		return len(lines) > 0 && strings.Contains(lines[len(lines)-1], "index in step with the log")
	})
}

// A Redis that comes back with an old snapshot knows less than the bucket, and is not believed.
func TestRedis_RolledBackWhileProducing(t *testing.T) {
	t.Parallel()
	r := servers.OwnRedis(t)
	a, work, along := withRedis(t, r)
	say(t, r, "SAVE")
	work.progress(300, 20*time.Second)
	along.progress(2, 20*time.Second)
	r.Kill()
	r.Restart() // with what SAVE kept
	work.progress(100, 20*time.Second)
	a.Wait(30*time.Second, "another era", func() bool { return len(a.LogLines("era open")) > 1 })
	inStep(t, a)
	checkIndex(t, a.Addr, r, settle(t, a, work, along))
}
