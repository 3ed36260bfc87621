package agent

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/odradek/odradek/agent/cluster"
	"github.com/odradek/odradek/agent/fetch"
	"github.com/odradek/odradek/agent/ingest"
	"github.com/odradek/odradek/agent/settings"
	"github.com/odradek/odradek/metadata/embedded"
	"github.com/odradek/odradek/objectstore/faulty"
	"github.com/odradek/odradek/objectstore/memory"
	"github.com/odradek/odradek/objectstore/meter"
	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/topic"
	"github.com/odradek/odradek/wal"
)

var (
	oneSeed = flag.Uint64("lives.seed", 0, "tell the story of this seed alone, and log")
	seeds   = flag.Uint64("lives.seeds", 100, "how many seeds")
)

func TestMain(m *testing.M) {
	flag.Parse()
	if *oneSeed == 0 {
		slog.SetDefault(slog.New(slog.DiscardHandler))
	}
	os.Exit(m.Run())
}

// Agents live and die on one bucket that fails at random. Whatever happens, a record that was acked is in the log once,
// at its acked offset; a producer's records are there in its order and at most once; what a reader saw stays as it was.
func TestLives_AckedRecordsAreThereOnce(t *testing.T) {
	if *oneSeed != 0 {
		story(t, *oneSeed)
		return
	}
	const workers = 8 // what takes time is files, not processors
	for worker := range uint64(workers) {
		t.Run(fmt.Sprintf("worker %d", worker), func(t *testing.T) {
			t.Parallel()
			for seed := 1 + worker; seed <= *seeds && !t.Failed(); seed += workers {
				if story(t, seed); t.Failed() {
					t.Logf("again: go test ./agent -run Lives -lives.seed=%d", seed)
				}
			}
		})
	}
}

// world is all that outlives an agent: the bucket, the disks, the clients and what they were told.
type world struct {
	t        *testing.T
	seed     uint64
	rand     *rand.Rand
	bucket   *memory.Store
	zombies  bool // agents are replaced while they live, by others with disks of their own: acks=all only
	topic    topic.ID
	clients  []*client
	produced int // names the records

	mu    sync.Mutex
	seen  map[spot]string // by readers
	acked map[spot]string // by producers, which may be told twice
}

// spot is where a record is.
type spot struct {
	partition int32
	offset    topic.Offset
}

const partitions = 3

func story(t *testing.T, seed uint64) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{
			t: t, seed: seed, rand: rand.New(rand.NewPCG(seed, 7)), bucket: memory.New(), zombies: seed%3 == 0,
			seen: make(map[spot]string), acked: make(map[spot]string),
		}
		disk := t.TempDir()
		first := w.life(disk, nil)
		id, err := first.cluster.CreateTopic(t.Context(), cluster.NewTopic{Name: "t", Partitions: partitions})
		if err != nil {
			t.Fatal(err)
		}
		w.topic = id
		for i := range 4 {
			w.clients = append(w.clients, &client{w: w, id: int64(100 + i), partition: int32(i % partitions), idempotent: i != 3})
		}
		now := first
		for range 2 + w.rand.IntN(4) {
			now.work(time.Duration(w.rand.IntN(2500)) * time.Millisecond)
			if w.zombies {
				old := now
				now = w.life(t.TempDir(), w.faults())
				old.stray() // it does not know yet
				defer old.kill()
				continue
			}
			now.kill()
			now = w.life(disk, w.faults())
		}
		now.store.SetScript(nil)
		now.store.Mend()
		now.work(2 * time.Second)
		now.settle()
		now.kill()
		if w.zombies {
			disk = t.TempDir()
		}
		w.verify(w.life(disk, nil))
	})
}

// faults makes a script: calls are slow, refused, lose their answers or arrive late.
func (w *world) faults() faulty.Script {
	r := rand.New(rand.NewPCG(w.seed, w.rand.Uint64()))
	badness := r.Float64() * 0.1
	slow := time.Duration(r.IntN(300)) * time.Millisecond
	return func(c faulty.Call) faulty.Fault {
		f := faulty.Fault{Delay: time.Duration(r.Int64N(int64(slow + time.Millisecond)))}
		if r.Float64() > badness {
			return f
		}
		switch r.IntN(4) {
		case 0:
			f.Before = faulty.ErrRefused
		case 1:
			f.After = faulty.ErrLost
		case 2:
			f.Late = true
		case 3:
			f.Delay += 5 * time.Second
		}
		return f
	}
}

// living is one life of an agent.
type living struct {
	*session
	w     *world
	store *faulty.Store
	kill  func() // nothing is drained, and what is in the network arrives or not
}

// life starts an agent on a disk, again until it has booted.
func (w *world) life(disk string, script faulty.Script) *living {
	w.t.Helper()
	store := faulty.New(w.bucket, script)
	var l *living
	var err error
	for range 100 {
		if l, err = w.boot(disk, store); err == nil {
			return l
		}
		slog.Info("not booted", "error", err)
		time.Sleep(time.Second)
	}
	w.t.Fatalf("seed %d: no boot succeeds: %v", w.seed, err)
	return nil
}

func (w *world) boot(dir string, store *faulty.Store) (*living, error) {
	set := settings.Defaults()
	set.Memory, set.WALSize, set.Flush.SlotsInFlight = 64<<20, 16<<20, 4
	set.Flush.Interval, set.Flush.Size = 50*time.Millisecond, 4<<10
	registry := prometheus.NewRegistry()
	metered, err := meter.New(store, registry, meter.Free)
	if err != nil {
		w.t.Fatal(err)
	}
	disk, err := wal.OpenDirectory(dir, unsynced{})
	if err != nil {
		w.t.Fatal(err)
	}
	a := &agent{
		settings: set, registry: registry, store: metered, meta: embedded.Open(), disk: disk,
		opened: make(map[topic.JournalID]bool), pending: semaphore.NewWeighted(divide(set.Memory).pending),
	}
	a.metrics = newMetrics(registry, a)
	s := a.newSession()
	ctx, cancel := context.WithCancel(context.Background())
	_, rings, err := s.boot(ctx)
	if err != nil {
		cancel()
		s.cluster.Stop()
		_ = disk.Close()
		return nil, err
	}
	g, core := errgroup.WithContext(ctx)
	s.life = core
	g.Go(func() error { return s.runWAL(core) })
	g.Go(func() error { return s.slots.Run(core, s.ingest.Counted) })
	g.Go(func() error { return s.ingest.Run(core) })
	g.Go(func() error { return s.cluster.Follow(core) })
	g.Go(func() error { return s.cluster.Index(core) })
	l := &living{session: s, w: w, store: store}
	l.kill = sync.OnceFunc(func() {
		cancel()
		_ = g.Wait()
		s.fetch.Close()
		s.cluster.Stop()
		_ = s.wal.Close()
		_ = disk.Close()
		if w.rand.IntN(2) == 0 {
			store.Land(context.Background())
		} else {
			time.AfterFunc(time.Duration(w.rand.IntN(5000))*time.Millisecond, func() { store.Land(context.Background()) })
		}
	})
	if err := s.replay(core, rings); err != nil {
		l.kill()
		return nil, err
	}
	return l, nil
}

// work lets all clients produce, and a reader read, for a while; the bucket may be away for a part of it.
func (l *living) work(d time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	var wg sync.WaitGroup
	for _, c := range l.w.clients {
		r := rand.New(rand.NewPCG(l.w.seed, l.w.rand.Uint64()))
		wg.Go(func() { c.produce(ctx, l, r) })
	}
	for p := range int32(partitions) {
		wg.Go(func() { l.read(ctx, p) })
	}
	if l.w.rand.IntN(3) == 0 {
		cut, mend := time.Duration(l.w.rand.Int64N(int64(d)+1)), time.Duration(l.w.rand.Int64N(int64(d)+1))
		wg.Go(func() {
			time.Sleep(cut)
			l.store.Cut()
			time.Sleep(mend)
			l.store.Mend()
		})
	}
	wg.Wait()
}

// stray lets an agent that was replaced take records of its own clients: whatever it acks must be in the log.
func (l *living) stray() {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	r := rand.New(rand.NewPCG(l.w.seed, l.w.rand.Uint64()))
	stray := &client{w: l.w, partition: 0}
	stray.produce(ctx, l, r)
}

// settle makes the clients repeat what they do not know yet.
func (l *living) settle() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, c := range l.w.clients {
		if c.unknown != nil && c.idempotent {
			c.send(ctx, l)
		}
	}
	if err := l.ingest.Flush(ctx); err != nil {
		l.w.t.Errorf("seed %d: flush: %v", l.w.seed, err)
	}
}

// client is a producer. An idempotent one repeats what it was not told the end of, under the same sequence.
type client struct {
	w          *world
	id         int64
	partition  int32
	idempotent bool
	sequence   int32
	acks       ingest.Acks
	unknown    []string // the batch that is not answered
	sent       []string // all its records, in its order
}

func (c *client) produce(ctx context.Context, l *living, r *rand.Rand) {
	for ctx.Err() == nil {
		if c.unknown == nil {
			c.w.mu.Lock()
			for range 1 + r.IntN(3) {
				c.w.produced++
				c.unknown = append(c.unknown, fmt.Sprintf("%d-%d-%0*d", c.id, c.w.produced, r.IntN(2000), 0))
			}
			c.w.mu.Unlock()
			c.sent = append(c.sent, c.unknown...)
			c.acks = ingest.AcksAll
			if !c.w.zombies && r.IntN(2) == 0 {
				c.acks = ingest.AcksOne
			}
		}
		if !c.send(ctx, l) && !c.idempotent {
			c.unknown = nil // nobody will know
		}
		time.Sleep(time.Duration(r.IntN(100)) * time.Millisecond)
	}
}

// send sends what is unknown and says whether it was acked.
func (c *client) send(ctx context.Context, l *living) bool {
	d := recordbatch.Draft{}
	for _, v := range c.unknown {
		d.Records = append(d.Records, recordbatch.Record{Timestamp: 1, Value: []byte(v)})
	}
	if c.idempotent {
		d.Producer = &recordbatch.Producer{ID: c.id, Sequence: c.sequence}
	}
	p := topic.Partition{Topic: c.w.topic, Index: c.partition}
	pending := l.ingest.Append(ctx, c.acks, []ingest.PartitionBatch{{Partition: p, Records: recordbatch.Build(d)}})[0]
	r, err := pending.Wait(ctx)
	if err != nil {
		return false
	}
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	for i, v := range c.unknown {
		at := spot{c.partition, r.Base + topic.Offset(i)}
		if other, ok := c.w.acked[at]; ok && other != v {
			c.w.t.Errorf("seed %d: %v was acked for %q and %q", c.w.seed, at, other, v)
		}
		c.w.acked[at] = v
	}
	c.sequence += int32(len(c.unknown))
	c.unknown = nil
	return true
}

// read reads a partition to its end and on, as consumers do.
func (l *living) read(ctx context.Context, partition int32) {
	p := topic.Partition{Topic: l.w.topic, Index: partition}
	for offset := topic.Offset(0); ctx.Err() == nil; {
		r := l.fetch.Read(ctx, fetch.Request{
			MaxWait: time.Second, MinBytes: 1, MaxBytes: 1 << 20, Parts: []fetch.Part{{Partition: p, Offset: offset, MaxBytes: 1 << 20}},
		})[0]
		if errors.Is(r.Err, fetch.ErrOutOfRange) {
			l.w.t.Errorf("seed %d: offset %d of partition %d is out of [%d, %d]", l.w.seed, offset, partition, r.LogStart, r.HighWatermark)
			return
		}
		if r.Err != nil {
			time.Sleep(100 * time.Millisecond)
			continue
		}
		for _, row := range r.Records {
			offset = l.w.note(partition, row)
		}
	}
}

// note notes what a reader saw and gives the offset behind it.
func (w *world) note(partition int32, row []byte) (next topic.Offset) {
	w.mu.Lock()
	defer w.mu.Unlock()
	err := recordbatch.Each(row, 1<<20, func(b []byte, info recordbatch.Info) error {
		next = info.Next()
		for r, err := range recordbatch.Records(b, 1<<20) {
			if err != nil {
				return err
			}
			at := spot{partition, r.Offset}
			if before, ok := w.seen[at]; ok && before != string(r.Value) {
				w.t.Errorf("seed %d: %v was %q and is %q", w.seed, at, before, r.Value)
			}
			w.seen[at] = string(r.Value)
		}
		return nil
	})
	if err != nil {
		w.t.Errorf("seed %d: %v", w.seed, err)
	}
	return next
}

// verify reads the whole log with an agent that knows nothing but the bucket, and compares.
func (w *world) verify(l *living) {
	defer l.kill()
	times := make(map[string]int)
	for p := range int32(partitions) {
		part := topic.Partition{Topic: w.topic, Index: p}
		start, end := l.fetch.Bounds(part)
		next := start
		for next < end {
			r := l.fetch.Read(context.Background(), fetch.Request{
				MaxBytes: 1 << 20, Parts: []fetch.Part{{Partition: part, Offset: next, MaxBytes: 1 << 20}},
			})[0]
			if r.Err != nil || len(r.Records) == 0 {
				w.t.Fatalf("seed %d: read %s at %d: %d rows, %v", w.seed, part, next, len(r.Records), r.Err)
			}
			for _, row := range r.Records {
				next = w.note(p, row)
			}
		}
		for o := range end {
			times[w.seen[spot{p, o}]]++
		}
		for at := range w.seen {
			if at.partition == p && at.offset >= end {
				w.t.Errorf("seed %d: %v was seen, the log ends at %d", w.seed, at, end)
			}
		}
	}
	for at, v := range w.acked {
		if w.seen[at] != v || times[v] != 1 {
			w.t.Errorf("seed %d: %v acked as %.12q is %.12q, there %d times", w.seed, at, v, w.seen[at], times[v])
		}
	}
	for _, c := range w.clients {
		w.inOrder(c, times)
	}
	if len(w.acked) == 0 {
		w.t.Errorf("seed %d: nothing was acked", w.seed)
	}
}

// inOrder checks that the log has a client's records in its order and at most once each.
func (w *world) inOrder(c *client, times map[string]int) {
	place := make(map[string]topic.Offset)
	for at, v := range w.seen {
		if at.partition == c.partition {
			place[v] = at.offset
		}
	}
	var offsets []topic.Offset
	for _, v := range c.sent {
		if times[v] > 1 {
			w.t.Errorf("seed %d: %.12q is there %d times", w.seed, v, times[v])
		}
		if o, ok := place[v]; ok {
			offsets = append(offsets, o)
		}
	}
	if !slices.IsSorted(offsets) {
		w.t.Errorf("seed %d: records of client %d are out of order: %v", w.seed, c.id, offsets)
	}
	if c.idempotent && len(offsets) != len(c.sent) {
		w.t.Errorf("seed %d: client %d sent %d records until they were acked, %d are there", w.seed, c.id, len(c.sent), len(offsets))
	}
}

// unsynced is a disk that survives a process and no power loss: what the stories need, and much faster.
type unsynced struct{ wal.OSDisk }

func (d unsynced) Create(path string, size int64) (wal.File, error) {
	f, err := d.OSDisk.Create(path, size)
	return noSync{f}, err
}

func (unsynced) SyncDir(string) error { return nil }

type noSync struct{ wal.File }

func (noSync) Sync() error { return nil }
