package agent

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/metadata/embedded"
	"github.com/odradek/odradek/topic"
)

// eraStore is a metadata store with an open era, and a control state that names it.
type eraStore struct {
	metadata.Store
	mu    sync.Mutex // guards state
	state *control.State
}

func (e *eraStore) now() *control.State {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.state
}

// append applies records.
func (e *eraStore) append(t *testing.T, records ...control.Record) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	after, outcomes, err := e.state.Apply(e.state.Next(), records)
	if err != nil || outcomes[0].Void {
		t.Fatalf("%v %v", outcomes, err)
	}
	e.state = after
}

// name names an era of this store, and finish opens it.
func (e *eraStore) name(t *testing.T, number int32) metadata.Pin {
	t.Helper()
	run, replication, err := e.Identity(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	e.append(t, control.Era{Number: number, RunID: run, ReplicationID: replication})
	return metadata.Pin{Era: uint64(number), RunID: run, ReplicationID: replication}
}

func (e *eraStore) finish(t *testing.T, pin metadata.Pin) {
	t.Helper()
	at := e.now().Next() - 1
	for _, step := range []func() error{
		func() error { return e.Begin(t.Context(), pin) }, func() error { return e.Loaded(t.Context(), pin, at) },
		func() error { return e.Open(t.Context(), pin, at, nil) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
}

// Compactors that beat share the work by rendezvous; one that stops beating is left out after a lease. While the newest era
// is not open nobody works.
func TestPeers_ShareTheWorkWhileAnEraIsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lease = 5 * time.Second
		e := &eraStore{Store: embedded.Open(), state: control.New()}
		defer e.Close()
		e.append(t, control.Genesis{ClusterID: "c", Format: control.FormatLevel})
		var all []*peers
		var stops []context.CancelFunc
		var running sync.WaitGroup
		for range 3 {
			p := newPeers(e, e.now, lease)
			ctx, stop := context.WithCancel(t.Context())
			running.Go(func() { _ = p.run(ctx) })
			all, stops = append(all, p), append(stops, stop)
		}
		opened := func(want bool) {
			t.Helper()
			time.Sleep(3 * time.Second)
			for i, p := range all {
				if p.open() != want {
					t.Fatalf("compactor %d: open is %t", i, !want)
				}
			}
		}
		opened(false)
		pin := e.name(t, 1)
		opened(false)
		e.finish(t, pin)
		opened(true)
		shared := func(live []*peers) {
			t.Helper()
			first := make(map[*peers]int)
			for n := range byte(60) {
				places := 0
				for _, p := range live {
					place, of := p.rank(topic.JournalID{n, 1})
					if of != len(live) || place < 0 {
						t.Fatalf("place %d of %d, %d live", place, of, len(live))
					}
					if places |= 1 << place; place == 0 {
						first[p]++
					}
				}
				if places != 1<<len(live)-1 {
					t.Fatalf("item %d: places %b", n, places)
				}
			}
			for _, p := range live {
				if first[p] < 8 {
					t.Errorf("one of %d is first for %d of 60", len(live), first[p])
				}
			}
		}
		shared(all)
		stops[2]() // one that is told to stop says so
		time.Sleep(2 * time.Second)
		shared(all[:2])
		if counters, err := e.Counters(t.Context(), pin); err != nil || len(counters) != 2 {
			t.Errorf("counters %v, %v", counters, err)
		}
		if err := e.Register(t.Context(), pin, topic.JournalID{9}, "died"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if _, of := all[0].rank(topic.JournalID{1}); of != 3 {
			t.Errorf("%d live, want 3", of)
		}
		time.Sleep(lease)
		shared(all[:2])
		all = all[:2]
		next := e.name(t, 2) // Redis forgot: nothing is compacted until all of it is there again
		opened(false)
		e.finish(t, next)
		opened(true)
		shared(all)
		for _, stop := range stops {
			stop()
		}
		running.Wait()
	})
}
