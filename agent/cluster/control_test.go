package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/odradek/odradek/metadata/embedded"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/memory"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

// started makes an engine on a store, with a cluster.
func started(t *testing.T, store objectstore.Store) *Engine {
	t.Helper()
	e := New(Config{Alone: true, Window: 4, Lease: time.Second}, store, embedded.Open())
	t.Cleanup(e.Stop)
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return e
}

// A follower that reads a record between its PUT and its outcome must not take the outcome away.
func TestPropose_FollowersMayReadTheRecordFirst(t *testing.T) {
	e := started(t, memory.New())
	ctx, cancel := context.WithCancel(t.Context())
	var following sync.WaitGroup
	for range 4 {
		following.Go(func() {
			for ctx.Err() == nil {
				if err := e.CatchUp(ctx); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range 500 {
		if err := e.AlterCluster(t.Context(), topic.Config{"num.partitions": fmt.Sprint(i + 1)}, nil); err != nil {
			t.Fatalf("proposal %d: %v", i, err)
		}
	}
	cancel()
	following.Wait()
}

// away is a store whose PUTs hang until their context ends.
type away struct {
	objectstore.Store
	puts chan struct{} // one for each PUT that hangs
}

func (s *away) Create(ctx context.Context, _ string, _ objectstore.Body) error {
	s.puts <- struct{}{}
	<-ctx.Done()
	return context.Cause(ctx)
}

func TestPropose_BucketAwayHoldsNeitherCallerNorStop(t *testing.T) {
	store := memory.New()
	started(t, store)
	hanging := &away{store, make(chan struct{}, 64)}
	e := New(Config{Alone: true, Window: 4, Lease: time.Second}, hanging, embedded.Open())
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	told := make(chan error)
	go func() { told <- e.AlterCluster(ctx, topic.Config{"num.partitions": "7"}, nil) }()
	<-hanging.puts
	cancel()
	if err := <-told; !errors.Is(err, context.Canceled) {
		t.Fatalf("the caller was told %v, want that it was cancelled", err)
	}
	e.Stop()
	if err := e.AlterCluster(ctx, topic.Config{"num.partitions": "8"}, nil); err == nil {
		t.Fatal("a stopped engine takes proposals")
	}
}

// O3: who cannot read the control log to its end creates nothing after 10 minutes, until it has read again, and gives its
// journal up after an hour.
func TestStale_WithoutTheControlLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bucket := newGate(memory.New())
		o, err := bootOnce(t.Context(), t, Config{Window: 4}, bucket, embedded.Open(), nobody)
		if err != nil {
			t.Fatal(err)
		}
		_, fenced := o.running(t, o.Follow)
		time.Sleep(time.Hour)
		if o.Stale() {
			t.Fatal("stale in quiet times")
		}
		bucket.cut(true)
		time.Sleep(staleAfter - 10*time.Second)
		if o.Stale() {
			t.Error("stale before 10 minutes are over")
		}
		time.Sleep(20 * time.Second)
		if !o.Stale() {
			t.Error("not stale after 10 minutes")
		}
		bucket.cut(false)
		time.Sleep(2 * pollControl)
		if o.Stale() {
			t.Error("stale after the control log was read again")
		}
		bucket.cut(true)
		select {
		case err := <-fenced:
			if !errors.Is(err, slotlog.ErrFenced) {
				t.Errorf("%v, want ErrFenced", err)
			}
		case <-time.After(giveUpAfter + time.Minute):
			t.Error("keeps its journal")
		}
	})
}

// An agent that is alone waits for its bucket for as long as it takes.
func TestStale_NeverForWhoIsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bucket := newGate(memory.New())
		o := boot(t, bucket, embedded.Open())
		_, fenced := o.running(t, o.Follow)
		bucket.cut(true)
		time.Sleep(5 * time.Hour)
		select {
		case err := <-fenced:
			t.Errorf("follow ended: %v", err)
		default:
		}
		if o.Stale() {
			t.Error("stale")
		}
	})
}
