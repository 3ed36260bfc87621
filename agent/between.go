package agent

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/odradek/odradek/topic"
)

const (
	betweenTime = time.Second          // for how long a request waits at most for a partition that is between two owners
	betweenPoll = 5 * time.Millisecond // between two looks
	betweenRest = 10 * time.Second     // before requests wait again after one waited in vain
)

// between makes clients wait for a partition that is on its way from one owner to the next, which takes a moment. Without
// that the old owner had to send them away without saying where to, and the new one without taking what it is about to
// own: clients look up the owner then, which some do every 5 s at most. All methods may be called concurrently.
type between struct {
	s *session
	// When a request waited in vain, in nanoseconds since 1970: something is stuck, and whoever shares a connection with
	// that partition should not be.
	inVain atomic.Int64
}

// arrive waits for those of n partitions that this journal is taking over. It blocks what comes later on the connection, so
// that a producer's batches are admitted in order.
func (b *between) arrive(ctx context.Context, n int, at func(int) topic.Partition) {
	if b.s.owning.idle() {
		return
	}
	var w waiting
	for i := range n {
		b.wait(ctx, &w, func() bool { return b.s.owning.gaining(at(i)) })
	}
}

// leave waits until it is known who owns a partition that this journal refuses though nobody else is known to own it: it
// was released, or the agent stops and its journal is being sealed. All partitions of a request share w.
func (b *between) leave(ctx context.Context, w *waiting, p topic.Partition) {
	b.wait(ctx, w, func() bool {
		a, ok := b.s.cluster.State().Owner(p)
		_, _, taking := b.s.ingest.Owns(p)
		return ok && a.Journal == b.s.journal && !taking
	})
}

// waiting is one request's time. It belongs to whoever answers the request.
type waiting struct {
	began time.Time // zero: it did not wait yet
}

func (b *between) wait(ctx context.Context, w *waiting, between func() bool) {
	if !between() || time.Since(time.Unix(0, b.inVain.Load())) < betweenRest || !b.s.others() {
		return
	}
	if w.began.IsZero() {
		w.began = time.Now()
	}
	tick := time.NewTicker(betweenPoll)
	defer tick.Stop()
	for between() {
		if time.Since(w.began) >= betweenTime {
			b.inVain.Store(time.Now().UnixNano())
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		case <-b.s.life.Done():
			return
		}
	}
}

// idle says whether nothing is being taken over.
func (o *owning) idle() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.gains) == 0
}

// gaining says whether a partition is being taken over.
func (o *owning) gaining(p topic.Partition) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, ok := o.gains[p]
	return ok
}
