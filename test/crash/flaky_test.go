//go:build linux

package crash

import (
	"context"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/odradek/odradek/test/harness"
	"github.com/odradek/odradek/test/servers"
)

// Connections to the bucket break all the time, so that it is often unknown whether a PUT took effect; many small slots
// are in flight; and the agent is killed in between.
func TestFlaky_ConnectionsBreakAndManySlotsAreInFlight(t *testing.T) {
	t.Parallel()
	p, o := cuttable(t)
	r := servers.OwnRedis(t)
	o.Redis = r.URL()
	o.Flags = append(o.Flags, "--flush-interval", "5ms", "--flush-size", "64KiB", "--slots-in-flight", "64",
		"--wal-size", "16MiB", "--set", "group.initial.rebalance.delay.ms=0")
	a := harness.Start(t, o)
	createTopic(t, a.Addr, loadTopic, partitions)
	work := startLoad(t, newLedger(), loadConfig{addr: a.Addr})
	one := startLoad(t, work.ledger, loadConfig{addr: a.Addr, producers: 1, first: 10, opts: ackOne["idempotent"].opts})
	along := startWatcher(t, a.Addr, "along")
	along.progress(1, 30*time.Second)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	p.wg.Go(func() {
		for ctx.Err() == nil {
			p.breakSome()
			time.Sleep(between(50*time.Millisecond, 250*time.Millisecond))
		}
	})
	for range 3 {
		work.progress(500, 60*time.Second)
		time.Sleep(between(0, time.Second))
		a.Kill()
		verify(t, p.direct, o.Env)
		a.Restart()
	}
	work.progress(500, 60*time.Second)
	stop()
	one.finish(60 * time.Second)
	checkIndex(t, a.Addr, r, settle(t, a, work, along))
	slots := a.Metric("odradek_ingest_slots_counted_total")
	t.Logf("%v slots since the last start", slots)
	a.Stop()
	verify(t, p.direct, o.Env)
}

// breakSome resets a third of the connections.
func (p *proxy) breakSome() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		if rand.IntN(3) == 0 {
			reset(c)
		}
	}
}

// A WAL that is full during an outage holds producers up and loses nothing.
func TestOutage_UntilTheWALIsFull(t *testing.T) {
	t.Parallel()
	p, o := cuttable(t)
	o.Flags = []string{"--wal-size", "32MiB"}
	a := harness.Start(t, o)
	createTopic(t, a.Addr, loadTopic, partitions)
	l := newLedger()
	one := startLoad(t, l, loadConfig{addr: a.Addr, producers: 2, large: true, opts: ackOne["idempotent"].opts})
	one.progress(100, 20*time.Second)
	p.cutOff()
	full := one.count()
	a.Wait(60*time.Second, "producers that are held up", func() bool {
		before := one.count()
		time.Sleep(1500 * time.Millisecond)
		return one.count() == before
	})
	t.Logf("%d records of 64 KiB were acked in the outage", one.count()-full)
	if one.count()-full < 100 {
		t.Errorf("only %d records of 64 KiB fit a WAL of 32 MiB", one.count()-full)
	}
	a.Kill()
	p.mend()
	a.Restart()
	one.progress(100, 30*time.Second)
	p.cutOff()
	time.Sleep(2 * time.Second)
	p.mend()
	one.progress(400, 30*time.Second)
	one.finish(30 * time.Second)
	l.check(t, a.Addr)
	if strings.Contains(a.Log(), "quarantined") {
		t.Error("a WAL was quarantined")
	}
}
