//go:build linux

package crash

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/odradek/odradek/test/harness"
)

// Topics come and go while others are written, and the agent is killed: what is acked as created is there, what is acked
// as deleted is gone, and the log of the topic that stays is untouched.
func TestSigkill_TopicsComeAndGo(t *testing.T) {
	t.Parallel()
	a := harness.Start(t, harness.Options{Flags: []string{"--wal-size", "32MiB"}})
	createTopic(t, a.Addr, loadTopic, partitions)
	work := startLoad(t, newLedger(), loadConfig{addr: a.Addr, producers: 2})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var mu sync.Mutex // guards there
	there := make(map[string]bool)
	var churn sync.WaitGroup
	churn.Go(func() { churnTopics(ctx, t, a.Addr, &mu, there) })
	for range 4 {
		work.progress(300, 30*time.Second)
		a.Kill()
		verify(t, a.Bucket, nil)
		a.Restart()
	}
	work.progress(300, 30*time.Second)
	stop()
	churn.Wait()
	work.finish(30 * time.Second)
	work.check(t, a.Addr)
	a.Restart()
	work.check(t, a.Addr)
	topics, err := adminOf(t, a.Addr).ListTopics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range there {
		if topics.Has(name) != want {
			t.Errorf("topic %s is there: %v, acked was %v", name, topics.Has(name), want)
		}
	}
	t.Logf("%d topics came", len(there))
}

// churnTopics creates and deletes topics, with records in them, and notes what was acked.
func churnTopics(ctx context.Context, t *testing.T, addr string, mu *sync.Mutex, there map[string]bool) {
	admin := adminOf(t, addr)
	client := clientOf(t, addr)
	for n := 0; ctx.Err() == nil; n++ {
		name := fmt.Sprintf("t%d", n)
		limited, cancel := context.WithTimeout(ctx, 10*time.Second)
		if _, err := admin.CreateTopic(limited, 2, 1, nil, name); err == nil {
			mu.Lock()
			there[name] = true
			mu.Unlock()
			r := record(50, n)
			r.Topic, r.Partition = name, 0
			client.ProduceSync(limited, r)
		}
		if n%2 == 1 {
			_, err := admin.DeleteTopic(limited, name)
			mu.Lock()
			if delete(there, name); err == nil {
				there[name] = false
			}
			mu.Unlock()
		}
		cancel()
	}
}
