package cluster

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/metadata/embedded"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/faulty"
	"github.com/odradek/odradek/objectstore/memory"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

// shared is a bucket with several places.
type shared struct {
	mu     sync.Mutex
	stores map[string]*memory.Store
	faults map[string]objectstore.Store // what is opened instead
}

func newShared() *shared {
	return &shared{stores: make(map[string]*memory.Store), faults: make(map[string]objectstore.Store)}
}

func (b *shared) at(place string) *memory.Store {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stores[place] == nil {
		b.stores[place] = memory.New()
	}
	return b.stores[place]
}

func (b *shared) open(_ context.Context, place string) (objectstore.Store, error) {
	if s := b.faults[place]; s != nil {
		return s, nil
	}
	return b.at(place), nil
}

// heir opens a place as an agent of the cluster there does.
func (b *shared) heir(t *testing.T, place string) *Heir {
	t.Helper()
	store, _ := b.open(t.Context(), place)
	h := NewHeir(store, b.open)
	if err := h.Learn(t.Context()); err != nil {
		t.Fatal(err)
	}
	return h
}

// boots an agent of the cluster at a place.
func (b *shared) boot(t *testing.T, place string) (*owner, *Heir) {
	t.Helper()
	heir := b.heir(t, place)
	cfg := alone()
	cfg.Base = heir.Base()
	o, err := bootOnce(t.Context(), t, cfg, heir, embedded.Open(), nobody)
	if err != nil {
		t.Fatal(err)
	}
	return o, heir
}

// keys lists what a place holds.
func (b *shared) keys(t *testing.T, place string) []string {
	t.Helper()
	var keys []string
	if err := b.at(place).List(t.Context(), "", func(i objectstore.Info) error { keys = append(keys, i.Key); return nil }); err != nil {
		t.Fatal(err)
	}
	return keys
}

// lenient passes over the deletion of what is an ancestor's, as who deletes does that lists what is its own.
type lenient struct{ objectstore.Store }

func (s lenient) Delete(ctx context.Context, key string) error {
	if err := s.Store.Delete(ctx, key); !errors.Is(err, ErrInherited) {
		return err
	}
	return nil
}

// fork makes a fork of a cluster as it is now.
func (b *shared) fork(t *testing.T, e *Engine, heir *Heir, self, place string) *control.Pin {
	t.Helper()
	if _, err := e.Snapshot(t.Context(), "for "+place); err != nil {
		t.Fatal(err)
	}
	pin, err := e.Fork(t.Context(), heir, self, place, "for "+place, b.open)
	if err != nil {
		t.Fatal(err)
	}
	return pin
}

// ends checks where partitions end.
func (o *owner) ends(t *testing.T, want map[topic.Partition]topic.Offset) {
	t.Helper()
	for p, end := range want {
		if _, have := o.log.Bounds(p); have != end {
			t.Errorf("%s ends at %d, want %d", p, have, end)
		}
	}
}

func TestFork_BeginsWhereTheSnapshotStands(t *testing.T) {
	for _, aged := range []bool{false, true} {
		b := newShared()
		parent, heir := b.boot(t, "/prod")
		ps := parent.topicOf(t, "t", 2)
		for range 70 { // beyond a summary
			parent.write(t, heir, ps...)
		}
		if aged { // most of it lies in runs, and slots are gone
			parent.age(t, heir, map[topic.JournalID]topic.Slot{parent.Journal(): 60})
		}
		if _, err := parent.Snapshot(t.Context(), "s"); err != nil {
			t.Fatal(err)
		}
		parent.write(t, heir, ps[0])
		if _, err := parent.Fork(t.Context(), heir, "/prod", "/blue", "s", b.open); err != nil {
			t.Fatal(err)
		}
		mine := b.keys(t, "/prod")

		fork, own := b.boot(t, "/blue")
		if fork.State().ClusterID() == parent.State().ClusterID() || fork.NodeID() != parent.NodeID() {
			t.Errorf("cluster %s, node %d", fork.State().ClusterID(), fork.NodeID())
		}
		if aged == (fork.opened.Checkpoint == 0) {
			t.Errorf("aged %t: it began from checkpoint %d", aged, fork.opened.Checkpoint)
		}
		fork.ends(t, map[topic.Partition]topic.Offset{ps[0]: 70, ps[1]: 70})
		_, inherited := remembers(t, own)
		for _, p := range ps {
			if n := len(inherited.records[p]); n != 70 {
				t.Errorf("%d records of %s, want 70", n, p)
			}
		}
		fork.write(t, own, ps...)
		fork.write(t, own, ps[1])
		parent.write(t, heir, ps[1])
		parent.ends(t, map[topic.Partition]topic.Offset{ps[0]: 71, ps[1]: 71})
		fork.ends(t, map[topic.Partition]topic.Offset{ps[0]: 71, ps[1]: 72})
		if aged { // compaction over what is inherited, and a start from the fork's own checkpoints
			fork.age(t, lenient{own}, map[topic.JournalID]topic.Slot{fork.Journal(): 1})
		}
		again, _ := b.boot(t, "/blue")
		again.ends(t, map[topic.Partition]topic.Offset{ps[0]: 71, ps[1]: 72})

		// G8: nothing was created or deleted at the parent's place by the fork.
		now := slices.DeleteFunc(b.keys(t, "/prod"), func(k string) bool { return slices.Contains(mine, k) })
		if want := []string{slotlog.JournalKey(parent.Journal(), 71)}; !slices.Equal(now, want) {
			t.Errorf("at the parent's place there is %v since, want %v", now, want)
		}
		for _, k := range mine {
			if strings.HasPrefix(k, slotlog.ControlPrefix) || k == slotlog.JournalKey(parent.Journal(), 70) {
				continue // its own has the number, or it is not part of the snapshot
			}
			if err := own.Delete(t.Context(), k); !errors.Is(err, ErrInherited) {
				t.Errorf("delete %s: %v", k, err)
			}
		}
		if len(b.keys(t, "/prod")) != len(mine)+1 {
			t.Error("a fork deleted what is its parent's")
		}
	}
}

// A fork is a cluster: it can be forked, with journals and runs of both.
func TestFork_OfAFork(t *testing.T) {
	b := newShared()
	first, heir := b.boot(t, "/a")
	p := first.topicOf(t, "t", 1)
	for range 3 {
		first.write(t, heir, p...)
	}
	first.checkpoint(t, heir, map[topic.JournalID]topic.Slot{first.Journal(): 2})
	b.fork(t, first.Engine, heir, "/a", "/b")
	first.write(t, heir, p...)

	// Forked before any agent was there, and after.
	e := New(Config{Base: b.heir(t, "/b").Base()}, b.heir(t, "/b"), embedded.Open())
	defer e.Stop()
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.fork(t, e, b.heir(t, "/b"), "/b", "/early")
	second, own := b.boot(t, "/b")
	second.ends(t, map[topic.Partition]topic.Offset{p[0]: 3})
	second.write(t, own, p...)
	second.write(t, own, p...)
	if err := second.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	second.age(t, lenient{own}, map[topic.JournalID]topic.Slot{second.Journal(): 1})
	b.fork(t, second.Engine, own, "/b", "/c")
	second.write(t, own, p...)

	early, _ := b.boot(t, "/early")
	early.ends(t, map[topic.Partition]topic.Offset{p[0]: 3})
	third, its := b.boot(t, "/c")
	third.ends(t, map[topic.Partition]topic.Offset{p[0]: 5})
	third.write(t, its, p...)
	if _, r := remembers(t, its); len(r.records[p[0]]) != 5 { // what an open journal holds is not read
		t.Errorf("%d records, want 5", len(r.records[p[0]]))
	}
	if _, r := remembers(t, b.heir(t, "/b")); len(r.records[p[0]]) != 4 {
		t.Errorf("%d records at /b, want 4", len(r.records[p[0]]))
	}
	f, _ := its.Forked()
	if len(f.Ancestors) != 2 || f.Ancestors[0].Place != "/a" || f.Ancestors[1].Place != "/b" {
		t.Errorf("ancestors %v", f.Ancestors)
	}
	if sealed, _ := third.State().Journal(first.Journal()); !sealed.Sealed || sealed.SealSlot != 3 {
		t.Errorf("the first journal ends at %d, sealed %t", sealed.SealSlot, sealed.Sealed)
	}
	if _, err := its.Get(t.Context(), slotlog.JournalKey(first.Journal(), 3)); err != nil {
		t.Errorf("its seal, which the second cluster made: %v", err)
	}
}

// Everything that counted before the call is in the snapshot, and a record that comes in between means another look (G6).
func TestSnapshot_OvertakenLooksAgain(t *testing.T) {
	b := newShared()
	parent, heir := b.boot(t, "/prod")
	p := parent.topicOf(t, "t", 1)
	for range 5 {
		parent.write(t, heir, p...)
	}
	other := New(Config{}, heir, embedded.Open())
	defer other.Stop()
	if err := other.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	times := 0
	e := New(Config{}, &overtaking{Store: heir, when: func(key string) bool { return strings.HasPrefix(key, slotlog.JournalsPrefix) }, do: func() {
		if times++; times <= 2 { // in the middle of two readings of ends
			parent.write(t, heir, p...)
			other.topicOf(t, "other"+strings.Repeat("x", times), 1)
		}
	}}, embedded.Open())
	defer e.Stop()
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	pin, err := e.Snapshot(t.Context(), "s")
	if err != nil {
		t.Fatal(err)
	}
	if next, ok := pin.Moment.Next(parent.Journal()); !ok || next < 5 || pin.At != pin.Moment.Number+1 {
		t.Errorf("up to slot %d, after %d, at %d", next, pin.Moment.Number, pin.At)
	}
	if e.State().TopicCount() != 3 || times <= 2 {
		t.Errorf("%d topics, looked at %d slots", e.State().TopicCount(), times)
	}
	if _, err := e.Snapshot(t.Context(), "s"); !errors.Is(err, ErrSnapshotExists) {
		t.Errorf("twice: %v", err)
	}
	if err := e.DeleteSnapshot(t.Context(), "s"); err != nil {
		t.Fatal(err)
	}
	if err := e.DeleteSnapshot(t.Context(), "s"); !errors.Is(err, ErrNoSnapshot) {
		t.Errorf("deleted twice: %v", err)
	}
}

// overtaking does something before a Head.
type overtaking struct {
	objectstore.Store
	mu   sync.Mutex
	when func(key string) bool
	do   func()
}

func (s *overtaking) Head(ctx context.Context, key string) (objectstore.Info, error) {
	if s.when(key) {
		s.mu.Lock()
		s.do()
		s.mu.Unlock()
	}
	return s.Store.Head(ctx, key)
}

// A fork that is broken off at any of its calls, before it took effect or after, is finished by the next attempt, and there is
// one FORK.
func TestFork_BrokenOffGoesOn(t *testing.T) {
	for n, done := 0, false; !done; n++ {
		for _, after := range []bool{false, true} {
			b := newShared()
			parent, heir := b.boot(t, "/prod")
			p := parent.topicOf(t, "t", 1)
			parent.write(t, heir, p...)
			parent.checkpoint(t, heir, map[topic.JournalID]topic.Slot{parent.Journal(): 1})
			if _, err := parent.Snapshot(t.Context(), "s"); err != nil {
				t.Fatal(err)
			}
			ctx, kill := context.WithCancel(t.Context())
			var calls int
			var mu sync.Mutex
			script := func(c faulty.Call) faulty.Fault {
				mu.Lock()
				defer mu.Unlock()
				if calls++; calls-1 < n {
					return faulty.Fault{}
				}
				if calls-1 == n && after {
					context.AfterFunc(ctx, func() {})
					defer kill()
					return faulty.Fault{}
				}
				kill()
				return faulty.Fault{Before: faulty.ErrRefused}
			}
			broken := faulty.New(heir, nil)
			b.faults["/blue"] = faulty.New(b.at("/blue"), script)
			e := New(Config{}, broken, embedded.Open())
			if err := e.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			broken.SetScript(script)
			_, err := e.Fork(ctx, heir, "/prod", "/blue", "s", b.open)
			broken.SetScript(nil)
			e.Stop()
			kill()
			delete(b.faults, "/blue")
			if err == nil {
				done = true
			}
			again := New(Config{}, heir, embedded.Open())
			if err := again.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := again.Fork(t.Context(), heir, "/prod", "/blue", "s", b.open); err != nil {
				t.Fatalf("call %d, after %t: again: %v", n, after, err)
			}
			forks := 0
			for pin := range again.State().Pins() {
				if pin.IsFork() {
					forks++
				}
			}
			again.Stop()
			fork, own := b.boot(t, "/blue")
			fork.ends(t, map[topic.Partition]topic.Offset{p[0]: 1})
			fork.write(t, own, p...)
			if forks != 1 {
				t.Errorf("call %d, after %t: %d forks", n, after, forks)
			}
		}
		if n > 200 {
			t.Fatal("a fork takes more than 200 calls")
		}
	}
}

// Birth and tombstone are one key: whoever creates it has decided (G7).
func TestFork_UnbornIsBuried(t *testing.T) {
	b := newShared()
	parent, heir := b.boot(t, "/prod")
	parent.topicOf(t, "t", 1)
	if _, err := parent.Snapshot(t.Context(), "s"); err != nil {
		t.Fatal(err)
	}
	pin, err := parent.declare(t.Context(), b.at("/blue"), "/blue", "s")
	if err != nil {
		t.Fatal(err)
	}
	if look, err := LookAtFork(t.Context(), pin, b.open); err != nil || look.Born || look.Never {
		t.Fatalf("unborn: %+v, %v", look, err)
	}
	for range 2 {
		if never, err := BuryFork(t.Context(), pin, b.open); err != nil || !never {
			t.Fatalf("buried %t, %v", never, err)
		}
	}
	if _, err := parent.Fork(t.Context(), heir, "/prod", "/blue", "s", b.open); !errors.Is(err, ErrPlaceTaken) {
		t.Errorf("born behind its tombstone: %v", err)
	}
	if look, err := LookAtFork(t.Context(), pin, b.open); err != nil || !look.Never {
		t.Errorf("buried: %+v, %v", look, err)
	}
	if err := NewHeir(b.at("/blue"), b.open).Learn(t.Context()); !errors.Is(err, ErrEnded) {
		t.Errorf("an agent there: %v", err)
	}
	if _, _, err := parent.EndFork(t.Context(), "/blue", b.open); err != nil {
		t.Error(err)
	}
	born := b.fork(t, parent.Engine, heir, "/prod", "/green")
	if never, err := BuryFork(t.Context(), born, b.open); err != nil || never {
		t.Errorf("a fork that lives is buried: %t, %v", never, err)
	}
}

// FORK and the end of its snapshot have an order: behind it there is no fork, before it the fork has all it needs (G7).
func TestFork_SnapshotIsDeletedMeanwhile(t *testing.T) {
	b := newShared()
	parent, heir := b.boot(t, "/prod")
	p := parent.topicOf(t, "t", 1)
	parent.write(t, heir, p...)
	if _, err := parent.Snapshot(t.Context(), "s"); err != nil {
		t.Fatal(err)
	}
	pin, err := parent.declare(t.Context(), b.at("/blue"), "/blue", "s")
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.DeleteSnapshot(t.Context(), "s"); err != nil {
		t.Fatal(err)
	}
	if _, err := parent.Fork(t.Context(), heir, "/prod", "/green", "s", b.open); !errors.Is(err, ErrNoSnapshot) {
		t.Errorf("from a snapshot that is gone: %v", err)
	}
	if again, err := parent.Fork(t.Context(), heir, "/prod", "/blue", "s", b.open); err != nil || again.ID != pin.ID {
		t.Fatalf("the fork that counted before: %v", err)
	}
	fork, _ := b.boot(t, "/blue")
	fork.ends(t, map[topic.Partition]topic.Offset{p[0]: 1})
}

func TestEndFork_GoesOnAndLeavesTheParent(t *testing.T) {
	b := newShared()
	parent, heir := b.boot(t, "/prod")
	p := parent.topicOf(t, "t", 1)
	parent.write(t, heir, p...)
	b.fork(t, parent.Engine, heir, "/prod", "/blue")
	fork, own := b.boot(t, "/blue")
	fork.write(t, own, p...)
	if _, err := fork.Snapshot(t.Context(), "own"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := parent.EndFork(t.Context(), "/blue", b.open); !errors.Is(err, ErrHasForks) {
		t.Errorf("ended with a snapshot of its own: %v", err)
	}
	if err := fork.DeleteSnapshot(t.Context(), "own"); err != nil {
		t.Fatal(err)
	}
	before := b.keys(t, "/prod")
	objects, bytes, err := parent.EndFork(t.Context(), "/blue", b.open)
	if err != nil || objects == 0 || bytes == 0 {
		t.Fatalf("%d objects of %d bytes, %v", objects, bytes, err)
	}
	for _, k := range b.keys(t, "/blue") {
		if !strings.HasPrefix(k, slotlog.ControlPrefix) {
			t.Errorf("%s is left", k)
		}
	}
	if now := b.keys(t, "/prod"); len(now) != len(before)+1 { // UNPIN
		t.Errorf("%d objects of the parent, %d before", len(now), len(before))
	}
	if err := fork.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := fork.over(); !errors.Is(err, ErrEnded) {
		t.Errorf("its agent goes on: %v", err)
	}
	if e := New(Config{}, b.heir(t, "/blue"), embedded.Open()); !errors.Is(e.Start(t.Context()), ErrEnded) {
		t.Error("an agent starts")
	}
	fork.write(t, own, p...) // by an agent that did not know yet
	if objects, _, err := parent.EndFork(t.Context(), "/blue", b.open); err != nil || objects != 1 {
		t.Errorf("again: %d objects, %v", objects, err)
	}
	if _, _, err := parent.EndFork(t.Context(), "/nowhere", b.open); !errors.Is(err, ErrNoFork) {
		t.Errorf("no fork: %v", err)
	}
	if _, _, err := fork.EndFork(t.Context(), "/prod", b.open); !errors.Is(err, ErrNoFork) || len(b.keys(t, "/prod")) != len(before)+1 {
		t.Errorf("the parent deleted as a fork: %v", err)
	}
}

// A place where something lives is left alone.
func TestFork_PlaceIsTaken(t *testing.T) {
	b := newShared()
	parent, heir := b.boot(t, "/prod")
	other, _ := b.boot(t, "/other")
	if _, err := parent.Snapshot(t.Context(), "s"); err != nil {
		t.Fatal(err)
	}
	before := maps.Clone(b.stores)
	if _, err := parent.Fork(t.Context(), heir, "/prod", "/other", "s", b.open); !errors.Is(err, ErrPlaceTaken) {
		t.Errorf("beside a cluster: %v", err)
	}
	if _, ok := parent.State().ForkAt("/other"); ok || len(before) != 2 {
		t.Error("FORK was appended all the same")
	}
	if err := other.CatchUp(t.Context()); err != nil || other.State().Next() != 2 {
		t.Errorf("the cluster there went on to %d, %v", other.State().Next(), err)
	}
}
