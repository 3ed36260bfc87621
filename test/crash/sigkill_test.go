package crash

import (
	"testing"
	"time"

	"github.com/odradek/odradek/test/harness"
	"github.com/odradek/odradek/test/servers"
)

const kills = 5

func TestSigkill_DirectoryBucketLosesNothing(t *testing.T) {
	t.Parallel()
	killUnderLoad(t, harness.Options{})
}

func TestSigkill_MinIOAndRedisLoseNothing(t *testing.T) {
	t.Parallel()
	m, r := servers.SharedMinIO(t), servers.OwnRedis(t)
	killUnderLoad(t, harness.Options{Bucket: m.URL("kill"), Redis: r.URL(), Env: m.Env()})
}

// killUnderLoad has eight producers and a consumer at work while the agent is killed at random moments, some of which
// come before it serves again.
func killUnderLoad(t *testing.T, o harness.Options) {
	o.Flags = append(o.Flags, "--set", "group.initial.rebalance.delay.ms=0")
	a := harness.Start(t, o)
	createTopic(t, a.Addr, loadTopic, partitions)
	l := newLedger()
	work := startLoad(t, l, loadConfig{addr: a.Addr})
	along := startWatcher(t, a.Addr, "along")
	work.progress(100, 30*time.Second)
	along.progress(1, 30*time.Second)
	life := either(15*time.Second, time.Minute) / (kills + 1)
	for i := range kills {
		time.Sleep(between(life/4, life))
		a.Kill()
		verify(t, a.Bucket, o.Env)
		a.Launch()
		if i%2 == 1 { // once more, in the middle of its start
			time.Sleep(between(0, 300*time.Millisecond))
			a.Restart()
		}
		a.WaitReady()
		along.checkCommitted(a.Addr)
		work.progress(20, 30*time.Second)
		along.progress(1, 30*time.Second)
	}
	time.Sleep(life / 2)
	work.finish(30 * time.Second)
	log := l.check(t, a.Addr)
	eventually(t, 30*time.Second, func() error {
		if have := along.count(); have < len(log) {
			return errorf("the group read %d records, want %d", have, len(log))
		}
		return nil
	})
	along.finish()
	along.checkSeen(log)
	along.checkCommitted(a.Addr)
	a.Stop()
	verify(t, a.Bucket, o.Env)
	a.Restart()
	l.check(t, a.Addr)
}
