//go:build linux

package crash

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// watcher is a member of a group that reads along and commits what it read. What it saw once must be in the log for ever,
// and what it was told is committed is never less than that.
type watcher struct {
	t      *testing.T
	group  string
	client *kgo.Client
	stop   context.CancelFunc
	wg     sync.WaitGroup

	mu        sync.Mutex // guards all below
	seen      map[place]*kgo.Record
	committed map[int32]int64 // acked, by partition
	commits   int
}

// startWatcher joins a group that reads the load.
func startWatcher(t *testing.T, addr, group string) *watcher {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	w := &watcher{t: t, group: group, stop: stop, seen: make(map[place]*kgo.Record), committed: make(map[int32]int64)}
	c := clientOf(t, addr, kgo.ConsumeTopics(loadTopic), kgo.ConsumerGroup(group), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(200*time.Millisecond))
	w.client = c
	t.Cleanup(func() { w.finish() })
	w.wg.Go(func() { w.run(ctx, c) })
	return w
}

func (w *watcher) run(ctx context.Context, c *kgo.Client) {
	for ctx.Err() == nil {
		fetches := c.PollRecords(ctx, 5000)
		w.take(fetches)
		marks := c.UncommittedOffsets()
		if len(marks) == 0 {
			continue
		}
		limited, cancel := context.WithTimeout(ctx, 10*time.Second)
		c.CommitOffsetsSync(limited, marks, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
			w.acked(marks, resp, err)
		})
		cancel()
	}
}

// take notes what was read.
func (w *watcher) take(fetches kgo.Fetches) {
	w.mu.Lock()
	defer w.mu.Unlock()
	fetches.EachRecord(func(r *kgo.Record) {
		at := place{r.Topic, r.Partition, r.Offset}
		if old := w.seen[at]; old != nil {
			if diff := difference(r, old); diff != "" {
				w.t.Errorf("at %v there was another record before: %s", at, diff)
			}
		}
		w.seen[at] = r
	})
}

// acked notes the offsets that a commit was acked for.
func (w *watcher) acked(marks map[string]map[int32]kgo.EpochOffset, resp *kmsg.OffsetCommitResponse, err error) {
	if err != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, topic := range resp.Topics {
		for _, p := range topic.Partitions {
			if p.ErrorCode == 0 {
				w.committed[p.Partition] = max(w.committed[p.Partition], marks[topic.Topic][p.Partition].Offset)
				w.commits++
			}
		}
	}
}

// acks gives a copy of what commits were acked.
func (w *watcher) acks() (committed map[int32]int64, commits int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	committed = make(map[int32]int64)
	for p, o := range w.committed {
		committed[p] = o
	}
	return committed, w.commits
}

func (w *watcher) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.seen)
}

// progress waits until n more commits were acked.
func (w *watcher) progress(n int, limit time.Duration) {
	w.t.Helper()
	_, before := w.acks()
	eventually(w.t, limit, func() error {
		if _, have := w.acks(); have < before+n {
			return fmt.Errorf("%d offset commits acked, want %d", have, before+n)
		}
		return nil
	})
}

// checkCommitted asks the group's offsets and fails when one is behind what was acked before the question.
func (w *watcher) checkCommitted(addr string) {
	w.t.Helper()
	want, commits := w.acks()
	got := fetchOffsets(w.t, addr, w.group)
	for p, o := range want {
		if have, ok := got.Lookup(loadTopic, p); !ok || have.At < o {
			w.t.Errorf("committed offset of partition %d is %d, acked was %d", p, have.At, o)
		}
	}
	w.t.Logf("%d offset commits acked", commits)
}

func fetchOffsets(t *testing.T, addr, group string) kadm.OffsetResponses {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	got, err := adminOf(t, addr).FetchOffsets(ctx, group)
	if err == nil {
		err = got.Error()
	}
	if err != nil {
		t.Fatalf("fetch offsets of %s: %v", group, err)
	}
	return got
}

// checkSeen fails when something that was visible is not in the log any more.
func (w *watcher) checkSeen(log map[place]*kgo.Record) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	c := new(complaints)
	for at, old := range w.seen {
		got := log[at]
		if got == nil {
			c.addf("record %s was visible at %v and is not there any more", old.Key, at)
		} else if diff := difference(got, old); diff != "" {
			c.addf("at %v: %s, as it was visible before", at, diff)
		}
	}
	if len(c.lines) > 0 {
		w.t.Error(c)
	}
	w.t.Logf("%d records were read along", len(w.seen))
}

// finish leaves.
func (w *watcher) finish() {
	w.stop()
	w.wg.Wait()
}
