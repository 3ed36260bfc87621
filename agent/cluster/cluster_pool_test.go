package cluster

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/metadata/embedded"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/memory"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

// pool is several agents' engines on one bucket and one Redis, in one process.
type pool struct {
	*testing.T
	store *memory.Store
	redis metadata.Store // what new links lead to
	lease time.Duration
}

func newPool(t *testing.T, redis metadata.Store) *pool {
	return &pool{T: t, store: memory.New(), redis: redis, lease: 5 * time.Second}
}

// member is one agent of a pool.
type member struct {
	*owner
	link   *link
	bucket *gate
	stuck  atomic.Pointer[func() time.Duration] // Config.Stuck, nil: never
	fenced chan error                           // what Follow returned
	kill   func()                               // ends its goroutines, as SIGKILL does
}

// join boots an agent and starts its goroutines.
func (p *pool) join() *member {
	p.Helper()
	m := p.boot()
	p.start(m)
	return m
}

func (p *pool) boot() *member {
	p.Helper()
	m := &member{link: newLink(p.redis), bucket: newGate(p.store)}
	cfg := Config{Window: 4, Lease: p.lease, Stuck: func() time.Duration {
		if stuck := m.stuck.Load(); stuck != nil {
			return (*stuck)()
		}
		return 0
	}}
	o, err := bootOnce(p.Context(), p.T, cfg, m.bucket, m.link, nobody)
	if err != nil {
		p.Fatal(err)
	}
	m.owner = o
	return m
}

func (p *pool) start(m *member) {
	var stops []func()
	stop, fenced := m.running(p.T, m.Follow)
	m.fenced = fenced
	stops = append(stops, stop)
	for _, run := range []func(context.Context) error{m.Index, m.Watch, m.Mirror} {
		stop, _ := m.running(p.T, run)
		stops = append(stops, stop)
	}
	m.kill = func() {
		m.link.open(true) // what hangs ends
		m.bucket.open(true)
		for _, stop := range stops {
			stop()
		}
	}
	p.Cleanup(m.kill)
}

// pause stops all that a member does with the world, until resumed.
func (m *member) pause()  { m.link.open(false); m.bucket.open(false) }
func (m *member) resume() { m.link.open(true); m.bucket.open(true) }

// write makes a slot of a member count; the log of each partition is checked by its offsets.
func (p *pool) write(m *member, partitions ...topic.Partition) {
	p.Helper()
	for _, x := range partitions {
		if a, ok := m.State().Owner(x); ok && a.Journal == m.Journal() && m.next[x] < a.Base {
			m.next[x] = a.Base
		}
	}
	m.owner.write(p.T, p.store, partitions...)
}

// state gives the control state of the bucket, as a newcomer reads it.
func (p *pool) state() *Engine {
	p.Helper()
	e := New(Config{}, p.store, embedded.Open())
	p.Cleanup(e.Stop)
	if err := e.readAll(p.Context()); err != nil {
		p.Fatal(err)
	}
	return e
}

func (p *pool) openOnes() []topic.JournalID {
	var ids []topic.JournalID
	for _, j := range p.state().State().OpenJournals() {
		ids = append(ids, j.ID)
	}
	return ids
}

func (p *pool) eras() int { return len(p.state().State().Eras()) }

// settled waits until ready, at most so long.
func (p *pool) settled(what string, most time.Duration, ready func() bool) time.Duration {
	p.Helper()
	began := time.Now()
	for !ready() {
		if time.Since(began) > most {
			p.Fatalf("%s: not within %v", what, most)
		}
		time.Sleep(20 * time.Millisecond)
	}
	return time.Since(began)
}

// together says whether all members keep the era, and its number is n.
func together(n uint64, members ...*member) func() bool {
	return func() bool {
		for _, m := range members {
			if m.Era() != n || m.Behind() > 0 {
				return false
			}
		}
		return true
	}
}

// partitionsOf gives partitions of a new topic that a member owns, and all of them.
func (p *pool) topic(by *member, name string, n int32) []topic.Partition {
	p.Helper()
	ps := by.topicOf(p.T, name, n)
	return ps
}

func (p *pool) ownedBy(m *member, ps []topic.Partition) []topic.Partition {
	p.Helper()
	s := p.state().State()
	var out []topic.Partition
	for _, x := range ps {
		if a, ok := s.Owner(x); ok && a.Journal == m.Journal() {
			out = append(out, x)
		}
	}
	return out
}

// gate holds back what passes it while it is closed.
type gate struct {
	objectstore.Store
	mu     sync.Mutex
	closed chan struct{} // nil while open
	down   bool          // nothing is there
}

func newGate(s objectstore.Store) *gate { return &gate{Store: s} }

func (g *gate) open(open bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case open && g.closed != nil:
		close(g.closed)
		g.closed = nil
	case !open && g.closed == nil:
		g.closed = make(chan struct{})
	}
}

func (g *gate) cut(down bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.down = down
}

func (g *gate) pass(ctx context.Context) error {
	g.mu.Lock()
	closed, down := g.closed, g.down
	g.mu.Unlock()
	if down {
		return errors.New("connection refused")
	}
	if closed != nil { // a stopped process meets no time-out either, until it goes on
		<-closed
	}
	return nil
}

func (g *gate) Create(ctx context.Context, key string, body objectstore.Body) error {
	if err := g.pass(ctx); err != nil {
		return err
	}
	return g.Store.Create(ctx, key, body)
}

func (g *gate) Get(ctx context.Context, key string) ([]byte, error) {
	if err := g.pass(ctx); err != nil {
		return nil, err
	}
	return g.Store.Get(ctx, key)
}

func (g *gate) GetRange(ctx context.Context, key string, from, n int64) ([]byte, error) {
	if err := g.pass(ctx); err != nil {
		return nil, err
	}
	return g.Store.GetRange(ctx, key, from, n)
}

func (g *gate) Head(ctx context.Context, key string) (objectstore.Info, error) {
	if err := g.pass(ctx); err != nil {
		return objectstore.Info{}, err
	}
	return g.Store.Head(ctx, key)
}

// link is one agent's way to a Redis: it may be cut, hang, and lead to another one.
type link struct {
	gate
	to   metadata.Store
	full atomic.Bool // it takes no heartbeats
}

func newLink(to metadata.Store) *link { return &link{to: to} }

// lead makes the link lead to another Redis, as after a failover.
func (l *link) lead(to metadata.Store) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.to = to
}

// there gives the store, or why it cannot be reached.
func (l *link) there(ctx context.Context) (metadata.Store, error) {
	if l.pass(ctx) != nil {
		return nil, metadata.ErrUnavailable
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.to, nil
}

// ask does one call without an answer.
func (l *link) ask(ctx context.Context, call func(metadata.Store) error) error {
	s, err := l.there(ctx)
	if err != nil {
		return err
	}
	return call(s)
}

// asked does one call with an answer.
func asked[T any](ctx context.Context, l *link, call func(metadata.Store) (T, error)) (T, error) {
	s, err := l.there(ctx)
	if err != nil {
		var none T
		return none, err
	}
	return call(s)
}

func (l *link) Close() error { return nil }

func (l *link) Index(ctx context.Context, p metadata.Pin, n topic.Slot, s []metadata.Segment) ([]metadata.Outcome, error) {
	return asked(ctx, l, func(m metadata.Store) ([]metadata.Outcome, error) { return m.Index(ctx, p, n, s) })
}

func (l *link) Segments(ctx context.Context, p metadata.Pin, from []metadata.Cursor, limit int) ([]metadata.Segment, error) {
	return asked(ctx, l, func(m metadata.Store) ([]metadata.Segment, error) { return m.Segments(ctx, p, from, limit) })
}

func (l *link) Ends(ctx context.Context, p metadata.Pin, ps []topic.Partition) ([]metadata.End, error) {
	return asked(ctx, l, func(m metadata.Store) ([]metadata.End, error) { return m.Ends(ctx, p, ps) })
}

func (l *link) Apply(ctx context.Context, p metadata.Pin, first topic.Slot, effects [][]metadata.Effect) (topic.Slot, error) {
	return asked(ctx, l, func(m metadata.Store) (topic.Slot, error) { return m.Apply(ctx, p, first, effects) })
}

func (l *link) Applied(ctx context.Context, p metadata.Pin) (topic.Slot, error) {
	return asked(ctx, l, func(m metadata.Store) (topic.Slot, error) { return m.Applied(ctx, p) })
}

func (l *link) Identity(ctx context.Context) (run, replication string, err error) {
	err = l.ask(ctx, func(m metadata.Store) (err error) {
		run, replication, err = m.Identity(ctx)
		return err
	})
	return run, replication, err
}

func (l *link) Current(ctx context.Context, era uint64) (metadata.EraStatus, error) {
	return asked(ctx, l, func(m metadata.Store) (metadata.EraStatus, error) { return m.Current(ctx, era) })
}

func (l *link) Reattach(ctx context.Context, p metadata.Pin, j topic.JournalID, counted topic.Slot) error {
	return l.ask(ctx, func(m metadata.Store) error { return m.Reattach(ctx, p, j, counted) })
}

func (l *link) Begin(ctx context.Context, p metadata.Pin) error {
	return l.ask(ctx, func(m metadata.Store) error { return m.Begin(ctx, p) })
}

func (l *link) Load(ctx context.Context, p metadata.Pin, effects []metadata.Effect) error {
	return l.ask(ctx, func(m metadata.Store) error { return m.Load(ctx, p, effects) })
}

func (l *link) Loaded(ctx context.Context, p metadata.Pin, applied topic.Slot) error {
	return l.ask(ctx, func(m metadata.Store) error { return m.Loaded(ctx, p, applied) })
}

func (l *link) Progress(ctx context.Context, p metadata.Pin) error {
	return l.ask(ctx, func(m metadata.Store) error { return m.Progress(ctx, p) })
}

func (l *link) Open(ctx context.Context, p metadata.Pin, n topic.Slot, expected []metadata.Expected) error {
	return l.ask(ctx, func(m metadata.Store) error { return m.Open(ctx, p, n, expected) })
}

func (l *link) Sweep(ctx context.Context, p metadata.Pin, limit int) (bool, error) {
	return asked(ctx, l, func(m metadata.Store) (bool, error) { return m.Sweep(ctx, p, limit) })
}

func (l *link) Register(ctx context.Context, p metadata.Pin, j topic.JournalID, info string) error {
	return l.ask(ctx, func(m metadata.Store) error { return m.Register(ctx, p, j, info) })
}

func (l *link) Beat(ctx context.Context, p metadata.Pin, j topic.JournalID) error {
	if l.full.Load() {
		return metadata.ErrUnavailable
	}
	return l.ask(ctx, func(m metadata.Store) error { return m.Beat(ctx, p, j) })
}

func (l *link) Counters(ctx context.Context, p metadata.Pin) (map[topic.JournalID]uint64, error) {
	return asked(ctx, l, func(m metadata.Store) (map[topic.JournalID]uint64, error) { return m.Counters(ctx, p) })
}

func (l *link) Remove(ctx context.Context, p metadata.Pin, js []topic.JournalID) error {
	return l.ask(ctx, func(m metadata.Store) error { return m.Remove(ctx, p, js) })
}

func (l *link) Ring(ctx context.Context, k metadata.Kinds) error {
	return l.ask(ctx, func(m metadata.Store) error { return m.Ring(ctx, k) })
}

func (l *link) Listen(ctx context.Context, heard func(metadata.Kinds)) error {
	s, err := l.there(ctx)
	if err != nil {
		return err
	}
	return s.Listen(ctx, heard)
}

func (l *link) Put(ctx context.Context, p metadata.Pin, c []metadata.Copy) error {
	return l.ask(ctx, func(m metadata.Store) error { return m.Put(ctx, p, c) })
}

func (l *link) Get(ctx context.Context, p metadata.Pin, kind metadata.CopyKind, partition topic.Partition, keys []string) ([]metadata.Copy, error) {
	return asked(ctx, l, func(m metadata.Store) ([]metadata.Copy, error) { return m.Get(ctx, p, kind, partition, keys) })
}

func (l *link) All(ctx context.Context, p metadata.Pin, kind metadata.CopyKind, partition topic.Partition) ([]metadata.Copy, error) {
	return asked(ctx, l, func(m metadata.Store) ([]metadata.Copy, error) { return m.All(ctx, p, kind, partition) })
}

func (l *link) Drop(ctx context.Context, p metadata.Pin, kind metadata.CopyKind, partition topic.Partition) error {
	return l.ask(ctx, func(m metadata.Store) error { return m.Drop(ctx, p, kind, partition) })
}

// sealOf gives the slot of a journal's seal, which every reader of the control log agrees on.
func (p *pool) sealOf(j topic.JournalID) topic.Slot {
	p.Helper()
	journal, ok := p.state().State().Journal(j)
	if !ok || !journal.Sealed {
		p.Fatalf("journal %s is not sealed", j)
	}
	if _, err := slotlog.Read(p.Context(), p.store, slotlog.JournalKey(j, journal.SealSlot)); err != nil {
		p.Fatal(err)
	}
	return journal.SealSlot
}
