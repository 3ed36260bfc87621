package crash

import (
	"testing"
	"time"

	"github.com/odradek/odradek/test/harness"
	"github.com/odradek/odradek/test/servers"
)

// Clients that come and go, a bucket that is cut and a Redis that forgets leave no goroutine and no descriptor behind.
func TestLeak_NothingStaysAfterTrouble(t *testing.T) {
	t.Parallel()
	p, o := cuttable(t)
	r := servers.OwnRedis(t)
	o.Redis = r.URL()
	o.Flags = append(o.Flags, "--pprof", "--set", "group.initial.rebalance.delay.ms=0")
	a := harness.Start(t, o)
	createTopic(t, a.Addr, loadTopic, partitions)
	trouble(t, a, p, r)
	calm := func() (goroutines, files float64) {
		var last float64
		a.Wait(30*time.Second, "a calm agent", func() bool {
			before := last
			last = a.Metric("go_goroutines")
			time.Sleep(500 * time.Millisecond)
			return last == before
		})
		return last, a.Metric("process_open_fds")
	}
	goroutines, files := calm()
	for range 3 {
		trouble(t, a, p, r)
	}
	after, filesAfter := calm()
	t.Logf("%v goroutines and %v files after one round, %v and %v after four", goroutines, files, after, filesAfter)
	if after > goroutines+15 {
		t.Errorf("%v goroutines after one round of trouble, %v after four\n%s", goroutines, after, a.Get("/debug/pprof/goroutine?debug=1"))
	}
	if filesAfter > files+15 {
		t.Errorf("%v open files after one round of trouble, %v after four", files, filesAfter)
	}
}

// trouble has clients at work while the bucket goes away and Redis forgets, and ends them all.
func trouble(t *testing.T, a *harness.Agent, p *proxy, r *servers.RedisServer) {
	t.Helper()
	work := startLoad(t, newLedger(), loadConfig{addr: a.Addr, producers: 4})
	along := startWatcher(t, a.Addr, "along")
	work.progress(100, 30*time.Second)
	along.progress(1, 30*time.Second)
	p.cutOff()
	flush(t, r)
	time.Sleep(time.Second)
	p.mend()
	work.progress(100, 30*time.Second)
	work.finish(30 * time.Second)
	along.finish()
	for _, c := range work.clients {
		c.Close()
	}
	along.client.CloseAllowingRebalance()
}
