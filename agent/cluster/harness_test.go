package cluster

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/index"
	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/sequence"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/test/servers"
	"github.com/odradek/odradek/topic"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	os.Exit(servers.Main(m))
}

// ledger is a Log that checks that extents meet, in whatever order they come.
type ledger struct {
	mu    sync.Mutex
	index *index.Index
}

func newLedger() *ledger { return &ledger{index: index.New()} }

func (l *ledger) Add(j topic.JournalID, slot segment.SlotExtents) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, x := range slot.Extents {
		if _, err := l.index.Insert(x.Partition, index.NewEntry(j, slot.Slot, x)); err != nil {
			return err
		}
	}
	for _, s := range slot.LogStarts {
		l.index.Raise(s.Partition, s.Start)
	}
	return nil
}

func (l *ledger) Bounds(p topic.Partition) (start, end topic.Offset) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.index.Start(p), l.index.End(p)
}

func (l *ledger) Extents(p topic.Partition, from, to topic.Offset) []index.Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []index.Entry
	for x := range l.index.From(p, from) {
		if x.Base < to {
			out = append(out, x)
		}
	}
	return out
}

func (l *ledger) Restore(p topic.Partition, start topic.Offset, entries []index.Entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	first := start
	if len(entries) > 0 {
		first = min(first, entries[0].Base)
	}
	if first > l.index.End(p) {
		l.index.Begin(p, first)
	}
	for _, x := range entries {
		if _, err := l.index.Insert(p, x); err != nil {
			return err
		}
	}
	return l.index.SetStart(p, start)
}

func (l *ledger) SetRuns(p topic.Partition, start, end topic.Offset, runs []topic.Run) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.index.SetRuns(p, start, end, runs)
}

// owner is an engine that has booted, and the slots it writes.
type owner struct {
	*Engine
	opened Opened
	slot   topic.Slot
	next   map[topic.Partition]topic.Offset
	recent []segment.SlotExtents // since the last summary
	gone   topic.Partition       // released: summaries leave it out
}

func nobody(topic.JournalID) bool { return false }

// alone is the configuration of an agent with the index in memory.
func alone() Config { return Config{Alone: true, Window: 4, Lease: 5 * time.Second} }

// bootOnce starts an engine and opens its journal.
func bootOnce(ctx context.Context, t *testing.T, cfg Config, store objectstore.Store, meta metadata.Store, mine func(topic.JournalID) bool) (*owner, error) {
	t.Helper()
	e := New(cfg, store, meta)
	t.Cleanup(e.Stop)
	if err := e.Start(ctx); err != nil {
		return nil, err
	}
	opened, err := e.Boot(ctx, NewJournalID(), mine, newLedger())
	if err != nil {
		return nil, err
	}
	o := &owner{Engine: e, opened: opened, next: make(map[topic.Partition]topic.Offset)}
	for _, a := range e.State().PartitionsOf(e.Journal()) {
		o.next[a.Partition] = a.Base
	}
	return o, nil
}

func boot(t *testing.T, store objectstore.Store, meta metadata.Store) *owner {
	t.Helper()
	o, err := bootOnce(t.Context(), t, alone(), store, meta, nobody)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// write makes one slot count: a batch of an idempotent producer for each partition, whose sequence is its offset.
func (o *owner) write(t *testing.T, store objectstore.Store, partitions ...topic.Partition) {
	t.Helper()
	f := segment.Footer{}
	var runs []segment.Run
	for _, p := range partitions {
		a, ok := o.State().Owner(p)
		if !ok || a.Journal != o.Journal() {
			t.Fatalf("%s is not owned", p)
		}
		base := o.next[p]
		runs = append(runs, segment.Run{Partition: p, Epoch: a.Epoch, Base: base, Next: base + 1, Batches: [][]byte{
			recordbatch.Build(recordbatch.Draft{Base: base, Epoch: a.Epoch, Records: []recordbatch.Record{{Timestamp: 1}}}),
		}})
		f.Producers = append(f.Producers, sequence.Delta{
			Partition: p, ProducerID: 5, FirstSequence: int32(base), Base: base, Next: base + 1,
		})
		o.next[p]++
	}
	o.count(t, store, f, runs)
}

// count makes one slot count, with a summary where one is due.
func (o *owner) count(t *testing.T, store objectstore.Store, f segment.Footer, runs []segment.Run) {
	t.Helper()
	f.Journal, f.Slot = o.Journal(), o.slot
	due := o.slot%segment.SummaryEvery == segment.SummaryEvery-1
	if due {
		f.Summary = &segment.Summary{Recent: o.recent}
		for _, a := range o.State().PartitionsOf(o.Journal()) {
			if a.Partition == o.gone {
				continue
			}
			f.Summary.Ends = append(f.Summary.Ends, segment.PartitionEnd{Partition: a.Partition, Epoch: a.Epoch, Next: o.next[a.Partition]})
		}
	}
	object, err := segment.Build(f, runs, segment.None)
	if err != nil {
		t.Fatal(err)
	}
	body := slotlog.Freeze(slotlog.Data, object.Parts...).Body
	if err := store.Create(t.Context(), slotlog.JournalKey(o.Journal(), o.slot), body); err != nil {
		t.Fatal(err)
	}
	if err := o.log.Add(o.Journal(), object.Footer.Repeated()); err != nil {
		t.Fatal(err)
	}
	o.Counted(object.Footer)
	if o.recent = append(o.recent, object.Footer.Repeated()); due {
		o.recent = nil
	}
	o.slot++
}

// topicOf makes a topic and gives its partitions.
func (e *Engine) topicOf(t *testing.T, name string, partitions int32) []topic.Partition {
	t.Helper()
	id, err := e.CreateTopic(t.Context(), NewTopic{Name: name, Partitions: partitions})
	if err != nil {
		t.Fatal(err)
	}
	var ps []topic.Partition
	for i := range partitions {
		ps = append(ps, topic.Partition{Topic: id, Index: i})
	}
	return ps
}

// redis is a metadata store that can be away, and be replaced by another one that knows nothing.
type redis struct {
	metadata.Store
	away atomic.Bool
}

func (r *redis) out() error {
	if r.away.Load() {
		return metadata.ErrUnavailable
	}
	return nil
}

func (r *redis) Identity(ctx context.Context) (string, string, error) {
	if err := r.out(); err != nil {
		return "", "", err
	}
	return r.Store.Identity(ctx)
}

func (r *redis) Current(ctx context.Context, era uint64) (metadata.EraStatus, error) {
	if err := r.out(); err != nil {
		return metadata.EraStatus{}, err
	}
	return r.Store.Current(ctx, era)
}

func (r *redis) Applied(ctx context.Context, pin metadata.Pin) (topic.Slot, error) {
	if err := r.out(); err != nil {
		return 0, err
	}
	return r.Store.Applied(ctx, pin)
}

func (r *redis) Index(ctx context.Context, pin metadata.Pin, n topic.Slot, s []metadata.Segment) ([]metadata.Outcome, error) {
	if err := r.out(); err != nil {
		return nil, err
	}
	return r.Store.Index(ctx, pin, n, s)
}

func (r *redis) Beat(ctx context.Context, pin metadata.Pin, j topic.JournalID) error {
	if err := r.out(); err != nil {
		return err
	}
	return r.Store.Beat(ctx, pin, j)
}

func (r *redis) Counters(ctx context.Context, pin metadata.Pin) (map[topic.JournalID]uint64, error) {
	if err := r.out(); err != nil {
		return nil, err
	}
	return r.Store.Counters(ctx, pin)
}

func (r *redis) Segments(ctx context.Context, pin metadata.Pin, from []metadata.Cursor, limit int) ([]metadata.Segment, error) {
	if err := r.out(); err != nil {
		return nil, err
	}
	return r.Store.Segments(ctx, pin, from, limit)
}

func (r *redis) Get(ctx context.Context, pin metadata.Pin, kind metadata.CopyKind, p topic.Partition, keys []string) ([]metadata.Copy, error) {
	if err := r.out(); err != nil {
		return nil, err
	}
	return r.Store.Get(ctx, pin, kind, p, keys)
}

// indexing runs an engine's Index until the test's end or stop.
func (e *Engine) running(t *testing.T, run func(context.Context) error) (stop func(), ended chan error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended = make(chan error, 1)
	done := make(chan struct{})
	go func() { defer close(done); ended <- run(ctx) }()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop, ended
}

// inStep checks that the open era of a store holds what the log holds.
func inStep(t *testing.T, meta metadata.Store, e *Engine, ends map[topic.Partition]topic.Offset) {
	t.Helper()
	newest, ok := e.State().NewestEra()
	if !ok {
		t.Fatal("no era was named")
	}
	var ps []topic.Partition
	for p := range ends {
		ps = append(ps, p)
	}
	got, err := meta.Ends(t.Context(), pinOf(newest), ps)
	if err != nil {
		t.Fatalf("era %d: %v", newest.Number, err)
	}
	for i, p := range ps {
		if !got[i].Known || got[i].Next != ends[p] {
			t.Errorf("the index has %s up to %+v, the log up to %d", p, got[i], ends[p])
		}
	}
}

// openOnes lists the open journals of the newest control state in the bucket.
func openOnes(t *testing.T, store objectstore.Store, meta metadata.Store) []*control.Journal {
	t.Helper()
	e := New(alone(), store, meta)
	t.Cleanup(e.Stop)
	if err := e.readAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	return e.State().OpenJournals()
}
