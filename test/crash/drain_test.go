//go:build linux

package crash

import (
	"testing"
	"time"

	"github.com/odradek/odradek/test/harness"
	"github.com/odradek/odradek/test/servers"
)

func TestDrain_DirectoryBucket(t *testing.T) {
	t.Parallel()
	drainUnderLoad(t, harness.Options{}, time.Second)
}

func TestDrain_MinIOAndRedis(t *testing.T) {
	t.Parallel()
	m, r := servers.SharedMinIO(t), servers.OwnRedis(t)
	drainUnderLoad(t, harness.Options{Bucket: m.URL("drain"), Redis: r.URL(), Env: m.Env()}, 2*time.Second)
}

// drainUnderLoad stops an agent with SIGTERM while producers are at work: it ends by itself, soon and well, all that was
// acked is in the bucket, and the next start is quick.
func drainUnderLoad(t *testing.T, o harness.Options, start time.Duration) {
	o.Flags = append(o.Flags, "--set", "group.initial.rebalance.delay.ms=0")
	a := harness.Start(t, o)
	createTopic(t, a.Addr, loadTopic, partitions)
	l := newLedger()
	work := startLoad(t, l, loadConfig{addr: a.Addr, producers: 4})
	along := startWatcher(t, a.Addr, "along")
	for range 3 {
		work.progress(200, 30*time.Second)
		along.progress(1, 30*time.Second)
		if took := a.Stop(); took > 15*time.Second {
			t.Errorf("the agent took %v to stop", took)
		}
		verify(t, a.Bucket, o.Env)
		began := time.Now()
		a.Restart()
		took := time.Since(began)
		t.Logf("ready after %v", took)
		if took > 10*start {
			t.Errorf("the agent took %v to start", took)
		}
		if n := a.Metric("odradek_agent_wal_replayed_entries_total"); n != 0 {
			t.Errorf("%v entries were replayed after a clean stop", n)
		}
	}
	settle(t, a, work, along)
}

// An idle agent stops at once.
func TestDrain_IdleAgentStopsAtOnce(t *testing.T) {
	t.Parallel()
	a := harness.Start(t, harness.Options{})
	if took := a.Stop(); took > 10*time.Second {
		t.Errorf("an idle agent took %v to stop", took)
	}
}
