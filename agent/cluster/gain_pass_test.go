package cluster

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/odradek/odradek/metadata/embedded"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/faulty"
	"github.com/odradek/odradek/objectstore/memory"
	"github.com/odradek/odradek/topic"

	"github.com/odradek/odradek/agent/cache"
)

// takenOver gives an agent that owns partitions of a sealed journal of 150 slots, each of which has an extent of every
// partition; nothing but the footers tells of their producers, and no footer stays in memory.
func takenOver(t *testing.T, store objectstore.Store, partitions int) (*owner, []topic.Partition) {
	t.Helper()
	meta := embedded.Open()
	a := join(t, store, meta)
	b := join(t, store, meta)
	if err := a.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	ps := a.topicAt(t, "orders", partitions)
	pin := openEra(t, meta, a, b)
	for range slotsTaken {
		a.write(t, store, ps...)
	}
	a.publish(t, pin, slotsTaken)
	if err := b.SyncIndex(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	a.sealedBy(t, store, b)
	b.reader.cache = cache.New[part, footers](1)
	return b, ps
}

const (
	slotsTaken     = 150
	footersOfTaken = 2 + slotsTaken - 128
)

// Partitions that are taken over at the same time share what is read of the footers: who comes first reads for itself,
// all others together.
func TestGained_ManyShareOneReading(t *testing.T) {
	store := faulty.New(memory.New(), nil)
	b, ps := takenOver(t, store, 200)
	before := footerReadsOf(store)
	var all sync.WaitGroup
	for _, p := range ps {
		all.Go(func() {
			if taken := b.gains(t, p); !isAt(&taken.Producers, p, slotsTaken) {
				t.Errorf("%s: the producers are not those of the log", p)
			}
		})
	}
	all.Wait()
	if n := footerReadsOf(store) - before; n > 10*footersOfTaken {
		t.Errorf("%d footers read for %d partitions, one reading takes %d", n, len(ps), footersOfTaken)
	}
}

// Who makes a pass for others may go away in the middle of it: one of them makes it again, at once.
func TestGained_WhoReadsForOthersGoesAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &turnstile{Store: memory.New()}
		b, ps := takenOver(t, store, 3)
		store.goOn = make(chan struct{})
		q := &b.reader.passes
		q.running = true // somebody else's pass: all three wait for its end, and share the next one
		leave := make(map[topic.Partition]context.CancelFunc)
		gone := make(chan error, len(ps))
		var all sync.WaitGroup
		for _, p := range ps {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			leave[p] = cancel
			all.Go(func() {
				a, _ := b.State().Owner(p)
				taken, err := b.Gained(ctx, a)
				if ctx.Err() != nil {
					gone <- err
				} else if err != nil || !isAt(&taken.Producers, p, slotsTaken) {
					t.Errorf("%s: the producers are not those of the log: %v", p, err)
				}
			})
		}
		synctest.Wait()
		q.mu.Lock()
		if len(q.queue) != len(ps) {
			t.Fatalf("%d wait, want %d", len(q.queue), len(ps))
		}
		leader := q.queue[0].partition
		q.next()
		q.mu.Unlock()
		synctest.Wait() // it reads for all
		left := time.Now()
		leave[leader]()
		if err := <-gone; !errors.Is(err, context.Canceled) {
			t.Errorf("who left got %v", err)
		}
		close(store.goOn)
		all.Wait()
		if took := time.Since(left); took >= gainRetry {
			t.Errorf("the others were served %v later, as after a failure", took)
		}
		q.mu.Lock()
		defer q.mu.Unlock()
		if q.running || len(q.queue) > 0 {
			t.Errorf("after all that: running %v, %d wait", q.running, len(q.queue))
		}
	})
}

// An assignment that is over may wait beside the one that followed it: each has a pass of its own.
func TestGather_TakesAPartitionOnce(t *testing.T) {
	store := memory.New()
	b, ps := takenOver(t, store, 2)
	q := &b.reader.passes
	wants := []*want{
		{partition: ps[0], from: 0, to: 10}, {partition: ps[1], from: 0, to: 10}, {partition: ps[0], from: 0, to: 20},
	}
	q.queue = append(q.queue, wants...)
	if some := b.gather(q); len(some) != 2 || some[0] != wants[0] || some[1] != wants[1] {
		t.Errorf("first pass: %v", some)
	}
	if some := b.gather(q); len(some) != 1 || some[0] != wants[2] || len(some[0].extents) != 20 {
		t.Errorf("second pass: %v", some)
	}
}

// turnstile is a store whose reads of ranges wait for goOn once that is set.
type turnstile struct {
	objectstore.Store
	goOn chan struct{}
}

func (g *turnstile) GetRange(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	if g.goOn != nil {
		select {
		case <-g.goOn:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return g.Store.GetRange(ctx, key, offset, length)
}
