package ingest

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/faulty"
	"github.com/odradek/odradek/objectstore/memory"
	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/sequence"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
	"github.com/odradek/odradek/wal"
)

// The tests cut the bucket for long: what is logged then would drown what failed.
func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	os.Exit(m.Run())
}

var (
	testJournal = topic.JournalID{0xbb, 1}
	orders      = topic.Partition{Topic: topic.ID{1}, Index: 0}
	payments    = topic.Partition{Topic: topic.ID{2}, Index: 3}
)

// setup says what a test's journal is like; the zero value is what most want.
type setup struct {
	script     faulty.Script
	wal        bool
	window     int
	memory     int64
	flushBytes int
	interval   time.Duration
	own        []Ownership // nil: orders and payments, empty
}

// bench is a journal under test, with all that it stands on.
type bench struct {
	*Journal
	store  *faulty.Store
	slots  *slotlog.Writer
	wal    *wal.WAL
	walEnd context.CancelFunc
	tail   recorder
	stop   func() // as a crash does: nothing is drained
}

// recorder is a Tail.
type recorder struct {
	mu       sync.Mutex
	segments []Segment
}

func (r *recorder) Counted(s Segment) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.segments = append(r.segments, s)
}

func (r *recorder) footers() []segment.Footer {
	r.mu.Lock()
	defer r.mu.Unlock()
	var fs []segment.Footer
	for _, s := range r.segments {
		fs = append(fs, s.Footer)
	}
	return fs
}

// start runs a journal in the test's bubble.
func start(t testing.TB, s setup) *bench {
	t.Helper()
	if s.window == 0 {
		s.window = 4
	}
	if s.memory == 0 {
		s.memory = 256 << 20
	}
	if s.flushBytes == 0 {
		s.flushBytes = 1 << 20
	}
	if s.interval == 0 {
		s.interval = 250 * time.Millisecond
	}
	b := &bench{store: faulty.New(memory.New(), s.script)}
	ctx, cancel := context.WithCancel(context.Background())
	walCtx, endWAL := context.WithCancel(context.Background())
	b.walEnd = endWAL
	var running sync.WaitGroup
	if s.wal {
		b.wal = openWAL(t)
		running.Go(func() { _ = b.wal.Run(walCtx) })
	}
	b.slots = slotlog.NewWriter(b.store, testJournal, s.window)
	b.Journal = New(Config{
		Journal: testJournal, FlushInterval: s.interval, FlushBytes: s.flushBytes, MemoryBytes: s.memory,
	}, b.slots, b.wal, semaphore.NewWeighted(s.memory), &b.tail)
	if s.own == nil {
		s.own = []Ownership{{Partition: orders}, {Partition: payments}}
	}
	for _, o := range s.own {
		b.Own(o)
	}
	running.Go(func() { _ = b.slots.Run(ctx, b.Counted) })
	running.Go(func() { _ = b.Run(ctx) })
	b.stop = func() { cancel(); endWAL(); running.Wait() }
	t.Cleanup(b.stop)
	return b
}

func openWAL(t testing.TB) *wal.WAL {
	t.Helper()
	d, err := wal.OpenDirectory(t.TempDir(), wal.OSDisk{})
	if err != nil {
		t.Fatal(err)
	}
	w, err := d.Open(wal.Config{Identity: wal.Identity(testJournal), FileBytes: 1 << 20, MaxBytes: 4 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close(); _ = d.Close() })
	return w
}

// batch makes a batch with one record for each value, timed ms, 2 ms, ...
func batch(values ...string) []byte {
	return recordbatch.Build(recordbatch.Draft{Records: records(values)})
}

// idempotent is batch by a producer, with the sequence of its first record.
func idempotent(id int64, epoch int16, sequence int32, values ...string) []byte {
	return recordbatch.Build(recordbatch.Draft{
		Producer: &recordbatch.Producer{ID: id, Epoch: epoch, Sequence: sequence}, Records: records(values),
	})
}

func records(values []string) []recordbatch.Record {
	var rs []recordbatch.Record
	for i, v := range values {
		rs = append(rs, recordbatch.Record{Timestamp: int64(i + 1), Value: []byte(v)})
	}
	return rs
}

// send appends one batch.
func (b *bench) send(t *testing.T, acks Acks, p topic.Partition, batch []byte) Pending {
	t.Helper()
	return b.Append(t.Context(), acks, []PartitionBatch{{Partition: p, Records: batch}})[0]
}

// acked waits for a batch and gives its offset.
func acked(t *testing.T, p Pending) topic.Offset {
	t.Helper()
	r, err := p.Wait(t.Context())
	if err != nil {
		t.Fatalf("not acked: %v", err)
	}
	return r.Base
}

// waits says whether a Pending is not answered at this moment.
func waits(p Pending) bool {
	answered := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	go func() { _, _ = p.Wait(ctx); close(answered) }()
	synctest.Wait()
	select {
	case <-answered:
		cancel()
		return false
	default:
		cancel()
		<-answered
		return true
	}
}

// puts counts the PUTs so far.
func (b *bench) puts() int {
	n := 0
	for _, c := range b.store.Calls() {
		if c.Kind == objectstore.KindCreate {
			n++
		}
	}
	return n
}

// log reads the records of a partition as the bucket has them, and their offsets.
func (b *bench) log(t *testing.T, p topic.Partition) (values []string, offsets []topic.Offset) {
	t.Helper()
	for slot := range b.slots.End() {
		e, err := slotlog.Read(t.Context(), b.store, slotlog.JournalKey(testJournal, slot))
		if err != nil {
			t.Fatal(err)
		}
		f, err := segment.Verify(e.Payload)
		if err != nil {
			t.Fatalf("slot %d: %v", slot, err)
		}
		for _, x := range f.Extents {
			if x.Partition != p {
				continue
			}
			raw, err := segment.ReadExtent(x, e.Payload[x.Position:x.Position+x.Length])
			if err != nil {
				t.Fatal(err)
			}
			v, o := unpack(t, raw)
			values, offsets = append(values, v...), append(offsets, o...)
		}
	}
	return values, offsets
}

func unpack(t *testing.T, row []byte) (values []string, offsets []topic.Offset) {
	t.Helper()
	err := recordbatch.Each(row, 1<<30, func(batch []byte, _ recordbatch.Info) error {
		for r, err := range recordbatch.Records(batch, 1<<30) {
			if err != nil {
				return err
			}
			values, offsets = append(values, string(r.Value)), append(offsets, r.Offset)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return values, offsets
}

// producersOf makes producer state from footers, as a boot does (I8).
func producersOf(fs []segment.Footer, p topic.Partition) sequence.State {
	var s sequence.State
	for _, f := range fs {
		for _, d := range f.Producers {
			if d.Partition == p {
				s.Apply(d)
			}
		}
	}
	return s
}
