package copies

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/metadata/embedded"
	"github.com/odradek/odradek/topic"
)

var (
	offsets = topic.Partition{Topic: topic.ID{1}, Index: 7}
	errAway = errors.New("redis is away")
)

// world is a store with an open era, and a writer that keeps copies in it.
type world struct {
	*testing.T
	store  *embedded.Store
	faulty *faulty
	pin    metadata.Pin
	closed bool // no era is kept
	owner  *owner
	cfg    Config
	w      *Writer
}

func newWorld(t *testing.T) *world {
	x := &world{T: t, store: embedded.Open(), owner: &owner{states: map[topic.Partition]state{}}}
	x.faulty = &faulty{Store: x.store}
	x.era(1)
	counter := func() prometheus.Counter { return prometheus.NewCounter(prometheus.CounterOpts{Name: "n"}) }
	x.cfg = Config{
		Open:    func() (metadata.Pin, bool) { return x.pin, !x.closed },
		Newest:  func() (metadata.Pin, bool) { return x.pin, true },
		Written: counter(), Dropped: counter(),
	}
	x.restart()
	return x
}

// restart is another agent, which knows nothing.
func (x *world) restart() {
	x.w = New(x.faulty, x.owner, x.cfg, slog.New(slog.DiscardHandler))
}

// era opens another era.
func (x *world) era(n uint64) {
	x.Helper()
	run, replication, err := x.store.Identity(x.Context())
	x.pin = metadata.Pin{Era: n, RunID: run, ReplicationID: replication}
	for _, step := range []func() error{
		func() error { return err },
		func() error { return x.store.Begin(x.Context(), x.pin) },
		func() error { return x.store.Loaded(x.Context(), x.pin, 0) },
		func() error { return x.store.Open(x.Context(), x.pin, 0, nil) },
	} {
		if err := step(); err != nil {
			x.Fatal(err)
		}
	}
}

// write is one round of Run.
func (x *world) write() error { return x.w.write(x.Context(), x.pin, true) }

func (x *world) mustWrite() {
	x.Helper()
	if err := x.write(); err != nil {
		x.Fatal(err)
	}
}

// stored is what Redis holds of a kind: key to "position value".
func (x *world) stored(kind metadata.CopyKind, p topic.Partition) map[string]string {
	x.Helper()
	all, err := x.store.All(x.Context(), x.pin, kind, p)
	if err != nil {
		x.Fatal(err)
	}
	out := map[string]string{}
	for _, c := range all {
		out[c.Key] = fmt.Sprintf("%d %s", c.Position, c.Value)
	}
	return out
}

func (x *world) wantStored(kind metadata.CopyKind, p topic.Partition, want map[string]string) {
	x.Helper()
	if diff := cmp.Diff(want, x.stored(kind, p)); diff != "" {
		x.Errorf("copies of kind %d (-want +got):\n%s", kind, diff)
	}
}

func value(c prometheus.Counter) float64 {
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		return -1
	}
	return m.GetCounter().GetValue()
}

// faulty is a store that can be away.
type faulty struct {
	*embedded.Store
	mu   sync.Mutex
	away bool
	hang bool
	puts int
}

func (f *faulty) Put(ctx context.Context, pin metadata.Pin, copies []metadata.Copy) error {
	f.mu.Lock()
	away, hang := f.away, f.hang
	f.puts++
	f.mu.Unlock()
	if hang {
		<-ctx.Done()
		return ctx.Err()
	}
	if away {
		return errAway
	}
	return f.Store.Put(ctx, pin, copies)
}

func (f *faulty) set(away, hang bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.away, f.hang = away, hang
}

func (f *faulty) takePuts() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.puts
	f.puts = 0
	return n
}

type state struct {
	text    string
	counted topic.Offset
}

// owner owns some partitions.
type owner struct{ states map[topic.Partition]state }

func (o *owner) ProducerState(p topic.Partition) ([]byte, topic.Offset, bool) {
	s, ok := o.states[p]
	return []byte(s.text), s.counted, ok
}

func (o *owner) Producing() []topic.Partition { return slices.Collect(maps.Keys(o.states)) }

func group(key, value string) Entry {
	return Entry{Kind: metadata.CopyGroup, Key: key, Value: []byte(value)}
}

func offset(key, value string) Entry {
	return Entry{Kind: metadata.CopyOffset, Key: key, Value: []byte(value)}
}

// log is a partition of the offsets topic: one record per offset.
type log []Entry

// load loads a partition as a coordinator does, and gives what it then knows and where it read on.
func (x *world) load(l log) (map[name]string, topic.Offset) {
	from, entries := x.w.Load(x.Context(), offsets, topic.Offset(len(l)))
	know := map[name]string{}
	for _, e := range entries {
		know[name{e.Kind, e.Key}] = string(e.Value)
	}
	for i := int(from); i < len(l); i++ {
		x.w.Apply(offsets, topic.Offset(i), l[i:i+1])
		know[name{l[i].Kind, l[i].Key}] = string(l[i].Value)
	}
	x.w.Loaded(offsets, topic.Offset(len(l)))
	maps.DeleteFunc(know, func(_ name, v string) bool { return v == "" })
	return know, from
}

func TestRun_WritesWithinASecondAndNothingWhenIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		ctx, stop := context.WithCancel(t.Context())
		over := make(chan error)
		go func() { over <- x.w.Run(ctx) }()
		x.load(nil)
		x.w.Apply(offsets, 0, []Entry{group("g", "generation 1"), offset("g/t/0", "5")})
		time.Sleep(time.Second + time.Millisecond)
		x.wantStored(metadata.CopyGroup, offsets, map[string]string{"g": "2 generation 1"})
		x.wantStored(metadata.CopyOffset, offsets, map[string]string{"g/t/0": "2 5"})

		x.faulty.takePuts()
		for i := range topic.Offset(100) {
			x.w.Apply(offsets, 2+i, []Entry{offset("g/t/0", fmt.Sprint(6+i))})
		}
		time.Sleep(time.Second)
		x.wantStored(metadata.CopyOffset, offsets, map[string]string{"g/t/0": "102 105"})
		if puts := x.faulty.takePuts(); puts != 1 {
			t.Errorf("%d calls for a hundred commits of one offset, want 1", puts)
		}
		time.Sleep(time.Minute)
		if puts := x.faulty.takePuts(); puts != 0 {
			t.Errorf("%d calls in an idle minute, want none", puts)
		}
		stop()
		if err := <-over; err != nil {
			t.Error(err)
		}
	})
}

func TestRun_ARedisThatHangsKeepsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		ctx, stop := context.WithCancel(t.Context())
		over := make(chan error)
		go func() { over <- x.w.Run(ctx) }()
		x.load(nil)
		x.faulty.set(false, true)
		began := time.Now()
		for i := range topic.Offset(10_000) {
			x.w.Apply(offsets, i, []Entry{offset(fmt.Sprint("g/t/", i%50), fmt.Sprint(i))})
			if i%1000 == 0 {
				time.Sleep(time.Second)
			}
		}
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("ten seconds took %v: a commit waited for Redis", took)
		}
		tab := x.w.table(offsets)
		tab.mu.Lock()
		n := len(tab.changed)
		tab.mu.Unlock()
		if n > 50 {
			t.Errorf("%d changes wait for 50 offsets", n)
		}
		if value(x.cfg.Dropped) == 0 {
			t.Error("no copy counted as dropped")
		}
		x.faulty.set(false, false)
		time.Sleep(giveUp + time.Second)
		if got := x.stored(metadata.CopyOffset, offsets); len(got) != 50 || got["g/t/49"] != "10000 9999" {
			t.Errorf("%d copies after the end, the last is %q; want 50, the newest", len(got), got["g/t/49"])
		}
		stop()
		<-over
	})
}

func TestWrite_DeletedGroupsBecomeTombstones(t *testing.T) {
	x := newWorld(t)
	x.load(nil)
	x.w.Apply(offsets, 0, []Entry{group("g", "1"), offset("g/t/0", "5"), group("h", "1")})
	x.mustWrite()
	x.w.Apply(offsets, 3, []Entry{offset("g/t/0", ""), group("g", "")})
	x.mustWrite()
	x.wantStored(metadata.CopyGroup, offsets, map[string]string{"g": "5 ", "h": "3 1"})
	x.wantStored(metadata.CopyOffset, offsets, map[string]string{"g/t/0": "5 "})
	if n := len(x.w.table(offsets).items); n != 1 {
		t.Errorf("%d groups and offsets in memory, want the one that lives", n)
	}
}

func TestWrite_ManyTombstonesAreSweptAway(t *testing.T) {
	x := newWorld(t)
	x.load(nil)
	at := topic.Offset(0)
	apply := func(e Entry) {
		x.w.Apply(offsets, at, []Entry{e})
		at++
	}
	for i := range spareDeleted + 2 {
		apply(group(fmt.Sprint(i), "1"))
	}
	apply(group("stays", "1"))
	x.mustWrite()
	for i := range spareDeleted + 2 {
		apply(group(fmt.Sprint(i), ""))
	}
	x.mustWrite()
	apply(group("stays", "2"))
	x.mustWrite()
	x.wantStored(metadata.CopyGroup, offsets, map[string]string{"stays": fmt.Sprintf("%d 2", at)})
}

func TestWrite_WhatIsDroppedFollowsLater(t *testing.T) {
	x := newWorld(t)
	x.load(nil)
	x.mustWrite()
	x.faulty.set(true, false)
	x.w.Apply(offsets, 0, []Entry{group("g", "1")})
	if err := x.write(); !errors.Is(err, errAway) {
		t.Fatalf("error %v, want that the store is away", err)
	}
	x.w.Apply(offsets, 1, []Entry{group("g", "2"), group("h", "1")})
	x.faulty.set(false, false)
	x.mustWrite()
	x.wantStored(metadata.CopyGroup, offsets, map[string]string{"g": "3 2", "h": "3 1"})
	if got := value(x.cfg.Dropped); got != 2 { // the group and the head
		t.Errorf("%v copies counted as dropped, want 2", got)
	}
}

func TestWrite_ANewEraGetsEverything(t *testing.T) {
	x := newWorld(t)
	x.load(nil)
	x.w.Apply(offsets, 0, []Entry{group("g", "1"), offset("g/t/0", "5"), group("gone", "1"), group("gone", "")})
	data := topic.Partition{Topic: topic.ID{2}}
	x.owner.states[data] = state{"state", 9}
	x.mustWrite()
	x.era(2)
	x.mustWrite()
	x.wantStored(metadata.CopyGroup, offsets, map[string]string{"g": "4 1"})
	x.wantStored(metadata.CopyOffset, offsets, map[string]string{"g/t/0": "4 5"})
	x.wantStored(metadata.CopyProducer, data, map[string]string{"": "9 state"})
	if know, from := x.load(log{group("g", "1"), offset("g/t/0", "5"), group("gone", "1"), group("gone", "")}); from != 4 || len(know) != 2 {
		t.Errorf("loaded %d of them from the log at %d, want 2 and 4", len(know), from)
	}
}

func TestApply_AGapEndsTheCopies(t *testing.T) {
	x := newWorld(t)
	x.load(nil)
	x.w.Apply(offsets, 0, []Entry{group("g", "1")})
	x.mustWrite()
	x.w.Apply(offsets, 2, []Entry{group("g", "3")})
	x.mustWrite()
	x.wantStored(metadata.CopyGroup, offsets, map[string]string{"g": "1 1"})
	l := log{group("g", "1"), group("h", "2"), group("g", "3")}
	if know, from := x.load(l); from != 1 || len(know) != 2 {
		t.Errorf("loaded %v from %d, want two groups from 1", know, from)
	}
	x.mustWrite()
	x.wantStored(metadata.CopyGroup, offsets, map[string]string{"g": "3 3", "h": "3 2"})
}

func TestUnload_LeavesTheCopiesToTheNext(t *testing.T) {
	x := newWorld(t)
	x.load(nil)
	x.w.Apply(offsets, 0, []Entry{group("g", "1")})
	x.mustWrite()
	x.w.Unload(offsets)
	x.w.Apply(offsets, 1, []Entry{group("g", "2")})
	x.mustWrite()
	x.wantStored(metadata.CopyGroup, offsets, map[string]string{"g": "1 1"})
}

// random makes a log of records about a few groups and offsets, some of them deletions, some of no known kind.
func random(r *rand.Rand, n int) log {
	var l log
	for range n {
		e := Entry{Kind: metadata.CopyKind(r.IntN(3)), Key: fmt.Sprint("k", r.IntN(20)), Value: fmt.Append(nil, r.IntN(1000))}
		if r.IntN(4) == 0 {
			e.Value = nil
		}
		if e.Kind == 0 {
			e = Entry{}
		}
		l = append(l, e)
	}
	return l
}

// without is what a log says to somebody without copies.
func without(l log) map[name]string {
	know := map[name]string{}
	for _, e := range l {
		know[name{e.Kind, e.Key}] = string(e.Value)
	}
	maps.DeleteFunc(know, func(_ name, v string) bool { return v == "" })
	return know
}

// mischief is something that befalls the copies of a log, which stand at `at`, before the next coordinator loads it.
type mischief struct {
	name  string
	do    func(x *world, r *rand.Rand, l log, at int)
	whole bool // all of the log must be read
}

var mischiefs = []mischief{
	{"none", func(*world, *rand.Rand, log, int) {}, false},
	{"went back", func(x *world, r *rand.Rand, l log, at int) {
		x.drop(metadata.CopyHead, metadata.CopyGroup, metadata.CopyOffset)
		x.restart()
		x.load(l[:r.IntN(at)+1])
		x.mustWrite()
	}, false},
	{"written while the log went on", func(x *world, r *rand.Rand, l log, at int) {
		x.w.Apply(offsets, topic.Offset(at), l[at:at+1])
		taken := x.w.table(offsets).take(x.pin)
		if n := len(taken.copies); n > 0 { // torn: the head is not written any more
			x.put(taken.copies[:n-1]...)
		}
	}, false},
	{"one went back", func(x *world, r *rand.Rand, _ log, at int) {
		x.change(r, func(c *metadata.Copy) { c.Value = append(c.Value[:0:0], "older"...) })
	}, true},
	{"one is corrupt", func(x *world, r *rand.Rand, _ log, _ int) {
		x.change(r, func(c *metadata.Copy) { c.Value[r.IntN(len(c.Value))] ^= 1 << r.IntN(8) })
	}, true},
	{"one is lost", func(x *world, r *rand.Rand, _ log, _ int) {
		x.change(r, func(c *metadata.Copy) { c.Value = nil })
	}, true},
	{"one is too much", func(x *world, _ *rand.Rand, _ log, at int) {
		x.put(metadata.Copy{Kind: metadata.CopyGroup, Partition: offsets, Key: "stranger", Position: topic.Offset(at), Value: []byte("1")})
	}, true},
	{"the head is corrupt", func(x *world, r *rand.Rand, _ log, at int) {
		x.head(at, func(b []byte) { b[r.IntN(len(b))] ^= 1 << r.IntN(8) })
	}, true},
	{"the head stands elsewhere", func(x *world, _ *rand.Rand, _ log, at int) { x.head(at+1, func([]byte) {}) }, true},
	{"the head is lost", func(x *world, _ *rand.Rand, _ log, _ int) { x.drop(metadata.CopyHead) }, true},
	{"ahead of the log", func(x *world, r *rand.Rand, l log, at int) {
		x.w.Apply(offsets, topic.Offset(at), append(slices.Clone(l[at:]), group("never", "counted")))
		x.mustWrite()
	}, true},
	{"another era", func(x *world, _ *rand.Rand, _ log, _ int) { x.era(2) }, true},
	{"an era that is not open any more", func(x *world, _ *rand.Rand, _ log, _ int) {
		old := x.pin
		x.era(2)
		x.pin = old
	}, true},
	{"another Redis", func(x *world, _ *rand.Rand, _ log, _ int) { x.pin.RunID = "another" }, true},
}

func (x *world) put(copies ...metadata.Copy) {
	x.Helper()
	if err := x.store.Put(x.Context(), x.pin, copies); err != nil {
		x.Fatal(err)
	}
}

func (x *world) drop(kinds ...metadata.CopyKind) {
	x.Helper()
	for _, kind := range kinds {
		if err := x.store.Drop(x.Context(), x.pin, kind, offsets); err != nil {
			x.Fatal(err)
		}
	}
}

// change changes one live copy.
func (x *world) change(r *rand.Rand, how func(*metadata.Copy)) {
	x.Helper()
	var live []metadata.Copy
	for _, kind := range []metadata.CopyKind{metadata.CopyGroup, metadata.CopyOffset} {
		all, err := x.store.All(x.Context(), x.pin, kind, offsets)
		if err != nil {
			x.Fatal(err)
		}
		for _, c := range all {
			if len(c.Value) > 0 {
				live = append(live, c)
			}
		}
	}
	c := live[r.IntN(len(live))]
	how(&c)
	x.put(c)
}

// head writes the head anew, at a position and with other bytes.
func (x *world) head(at int, how func([]byte)) {
	x.Helper()
	heads, err := x.store.Get(x.Context(), x.pin, metadata.CopyHead, offsets, []string{""})
	if err != nil || len(heads) != 1 {
		x.Fatalf("%d heads, error %v", len(heads), err)
	}
	heads[0].Position = topic.Offset(at)
	how(heads[0].Value)
	x.put(heads[0])
}

func TestLoad_WhateverBefellTheCopiesTheResultIsThatOfTheLog(t *testing.T) {
	for _, m := range mischiefs {
		t.Run(m.name, func(t *testing.T) {
			for seed := range uint64(40) {
				r := rand.New(rand.NewPCG(seed, 1))
				l := random(r, 200)
				at := 30 + r.IntN(len(l)-31)
				x := newWorld(t)
				x.load(l[:at/2])
				x.mustWrite()
				x.w.Apply(offsets, topic.Offset(at/2), l[at/2:at])
				x.mustWrite()
				m.do(x, r, l, at)
				x.restart()
				know, from := x.load(l)
				if diff := cmp.Diff(without(l), know, cmp.AllowUnexported(name{})); diff != "" {
					t.Fatalf("seed %d: loaded from %d (-want +got):\n%s", seed, from, diff)
				}
				if m.whole && from != 0 {
					t.Fatalf("seed %d: copies at %d were used", seed, from)
				}
				if m.name == "none" && from != topic.Offset(at) {
					t.Fatalf("seed %d: read from %d, the copies stand at %d", seed, from, at)
				}
				again := without(l)
				if x.write() == nil { // it keeps them on: the next one needs nothing of the log
					x.restart()
					know, from = x.load(l)
					if diff := cmp.Diff(again, know, cmp.AllowUnexported(name{})); diff != "" || from != topic.Offset(len(l)) {
						t.Fatalf("seed %d: the next one read from %d of %d (-want +got):\n%s", seed, from, len(l), diff)
					}
				}
			}
		})
	}
}

func TestProducers_AreWrittenOnceTheOwnerTookThemIn(t *testing.T) {
	x := newWorld(t)
	p := topic.Partition{Topic: topic.ID{2}}
	x.owner.states[p] = state{"before", 10}
	x.w.Touched(p, 15) // the slot counts, the owner is just about to take it in
	x.mustWrite()
	x.wantStored(metadata.CopyProducer, p, map[string]string{"": "10 before"})
	x.owner.states[p] = state{"after", 15}
	x.mustWrite()
	x.wantStored(metadata.CopyProducer, p, map[string]string{"": "15 after"})
	x.faulty.takePuts()
	x.mustWrite()
	if puts := x.faulty.takePuts(); puts != 0 {
		t.Errorf("%d calls though nothing changed", puts)
	}
}

func TestProducers_OfAllTouchedPartitionsShareCalls(t *testing.T) {
	x := newWorld(t)
	for i := range int32(3 * partsAtOnce) {
		p := topic.Partition{Topic: topic.ID{2}, Index: i}
		x.owner.states[p] = state{"s", 1}
		x.w.Touched(p, 1)
	}
	x.mustWrite()
	if puts := x.faulty.takePuts(); puts != 3 {
		t.Errorf("%d calls, want 3", puts)
	}
}

func TestProducers_WhatIsDroppedFollowsLater(t *testing.T) {
	x := newWorld(t)
	p := topic.Partition{Topic: topic.ID{2}}
	x.owner.states[p] = state{"s", 3}
	x.faulty.set(true, false)
	x.w.Touched(p, 3)
	if err := x.write(); !errors.Is(err, errAway) {
		t.Fatalf("error %v, want that the store is away", err)
	}
	x.faulty.set(false, false)
	x.mustWrite()
	x.wantStored(metadata.CopyProducer, p, map[string]string{"": "3 s"})
}

func TestProducers_OfADeletedTopicGo(t *testing.T) {
	x := newWorld(t)
	p := topic.Partition{Topic: topic.ID{2}}
	x.owner.states[p] = state{"s", 3}
	x.mustWrite()
	delete(x.owner.states, p)
	x.w.Deleted(p.Topic, 1)
	x.mustWrite()
	x.wantStored(metadata.CopyProducer, p, map[string]string{})
}

func TestProducers_AStateTooLargeIsDropped(t *testing.T) {
	x := newWorld(t)
	p := topic.Partition{Topic: topic.ID{2}}
	x.owner.states[p] = state{string(make([]byte, maxState+1)), 3}
	x.w.Touched(p, 3)
	x.mustWrite()
	x.wantStored(metadata.CopyProducer, p, map[string]string{})
	if value(x.cfg.Dropped) != 1 {
		t.Error("it is not counted as dropped")
	}
}

func TestFill_BoundsACall(t *testing.T) {
	large := metadata.Copy{Value: make([]byte, bytesAtOnce+1)}
	small := metadata.Copy{Value: make([]byte, 10)}
	for _, c := range []struct {
		copies []metadata.Copy
		want   int
	}{
		{[]metadata.Copy{large, small}, 1},
		{[]metadata.Copy{small, large}, 1},
		{slices.Repeat([]metadata.Copy{small}, atOnce+5), atOnce},
		{slices.Repeat([]metadata.Copy{small}, 5), 5},
	} {
		if got := fill(c.copies); got != c.want {
			t.Errorf("fill of %d copies gives %d, want %d", len(c.copies), got, c.want)
		}
	}
}

func FuzzReadHead(f *testing.F) {
	f.Add(head{position: 7, live: 3, digest: 1 << 63}.append(nil), int64(7))
	f.Add([]byte{}, int64(0))
	f.Fuzz(func(t *testing.T, b []byte, position int64) {
		h, err := readHead(metadata.Copy{Position: topic.Offset(position), Value: b})
		if err == nil && string(h.append(nil)) != string(b) {
			t.Errorf("%x was read as %+v", b, h)
		}
	})
}
