package traffic

import (
	"context"
	"fmt"
	"time"

	"github.com/odradek/odradek/test/chaos/history"
)

// Watch waits for the first ack (acks=all) on every partition of a record that was sent after it began.
type Watch struct {
	t     *Traffic
	from  time.Duration
	full  chan struct{} // closed when every partition has one
	want  int
	first map[history.Partition]time.Duration // guarded by t.mu
	last  map[history.Partition]time.Duration // newest ack of any record; guarded by t.mu
	gap   time.Duration                       // longest time without an ack on some partition; guarded by t.mu
}

// Watch begins now.
func (t *Traffic) Watch() *Watch {
	parts := t.Partitions()
	w := &Watch{t: t, from: t.log.Now(), full: make(chan struct{}), want: len(parts),
		first: make(map[history.Partition]time.Duration), last: make(map[history.Partition]time.Duration)}
	for _, p := range parts {
		w.last[p] = w.from
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.watches[w] = true
	return w
}

// ack notes an ack; t.mu is held.
func (w *Watch) ack(e history.Event) {
	if e.Acks != -1 || w.t.all[e.Topic] <= e.Index {
		return
	}
	if e.End > w.last[e.Partition] {
		w.gap = max(w.gap, e.End-w.last[e.Partition])
		w.last[e.Partition] = e.End
	}
	if e.Start < w.from {
		return
	}
	if _, known := w.first[e.Partition]; known || len(w.first) == w.want {
		return
	}
	w.first[e.Partition] = e.End
	if len(w.first) == w.want {
		close(w.full)
	}
}

// Wait gives the time from the beginning of the watch until every partition had its ack, or an error that names one that
// has none after a limit. It may be asked again, until Close.
func (w *Watch) Wait(ctx context.Context, limit time.Duration) (time.Duration, error) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-w.full:
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-timer.C:
	}
	w.t.mu.Lock()
	defer w.t.mu.Unlock()
	if len(w.first) < w.want {
		for _, p := range w.t.Partitions() {
			if _, ok := w.first[p]; !ok {
				return 0, fmt.Errorf("no ack on %d of %d partitions after %v, one is %s/%d", w.want-len(w.first), w.want, limit, p.Topic, p.Index)
			}
		}
	}
	last := w.from
	for _, at := range w.first {
		last = max(last, at)
	}
	return last - w.from, nil
}

// Silence is the longest time since the beginning in which some partition had no ack.
func (w *Watch) Silence() time.Duration {
	w.t.mu.Lock()
	defer w.t.mu.Unlock()
	return w.gap
}

// Close ends the watch.
func (w *Watch) Close() {
	w.t.mu.Lock()
	defer w.t.mu.Unlock()
	delete(w.t.watches, w)
}
