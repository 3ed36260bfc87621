//go:build linux

package crash

import (
	"strings"
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
	before, files := calm(t, a)
	for range 3 {
		trouble(t, a, p, r)
	}
	after, filesAfter := calm(t, a)
	t.Logf("%d goroutines and %d files after one round, %d and %d after four", before, files, after, filesAfter)
	if after > before+8 {
		t.Errorf("%d goroutines after one round of trouble, %d after four\n%s", before, after, a.Get("/debug/pprof/goroutine?debug=1"))
	}
	if filesAfter > files+8 {
		t.Errorf("%d open files after one round of trouble, %d after four", files, filesAfter)
	}
}

// calm waits until the agent has nothing more to do, and counts its goroutines and open files without those of the pool
// of connections to the bucket, which are closed after a while.
func calm(t *testing.T, a *harness.Agent) (goroutines, files int) {
	t.Helper()
	count := func() (n, pooled int) {
		for _, stack := range strings.Split(a.Get("/debug/pprof/goroutine?debug=2"), "\n\n") {
			switch {
			case strings.Contains(stack, "net/http.(*persistConn).readLoop("):
				pooled++
			case !strings.Contains(stack, "net/http.(*persistConn)."):
				n++
			}
		}
		return n, pooled
	}
	a.Wait(30*time.Second, "a calm agent", func() bool {
		before := goroutines
		var pooled int
		goroutines, pooled = count()
		files = int(a.Metric("process_open_fds")) - pooled
		time.Sleep(500 * time.Millisecond)
		return goroutines == before
	})
	return goroutines, files
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
