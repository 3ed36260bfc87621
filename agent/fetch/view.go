package fetch

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/odradek/odradek/index"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/topic"

	"github.com/odradek/odradek/agent/cache"
)

// ErrOutOfRange says that an offset lies outside [log start, high watermark] as this agent sees them.
var ErrOutOfRange = errors.New("offset out of range")

// ErrUnknownPartition says that the partition's topic was deleted.
var ErrUnknownPartition = errors.New("partition unknown to this agent")

// ErrStorage says that records that count could not be read from the bucket, or not as they were written (C2). Reading
// again may help; nothing was skipped.
var ErrStorage = errors.New("records cannot be read from the bucket")

// Config bounds the engine's memory.
type Config struct {
	TailBytes    int64 // batches of slots that counted here a moment ago
	CatchUpBytes int64 // what was read from the bucket: half as stored, and tables of runs, half unpacked
	// Refresh reads the control log to its end, when an object is not there that should be: what it held may lie in another
	// by now. Nil: there is nothing to read.
	Refresh func(ctx context.Context) error
}

// unpackBytes bounds what is being unpacked; an extent that is larger by itself waits for all of it.
func (c Config) unpackBytes() int64 { return max(c.CatchUpBytes/2, maxChunk) }

// getBytes bounds the bytes of GETs under way; one that is larger by itself waits for all of it.
func (c Config) getBytes() int64 { return max(c.CatchUpBytes/2, 4*maxChunk) }

// tableBytes is kept for tables of runs.
func (c Config) tableBytes() int64 { return c.CatchUpBytes / 16 }

// Engine holds the index in memory and the caches. All methods may be called concurrently.
type Engine struct {
	store      objectstore.Store
	cfg        Config
	chunkBytes uint32
	tail       *cache.Cache[extentKey, []([]byte)]
	spans      *spans
	tables     *cache.Cache[extentKey, []segment.Extent] // of runs, by where they begin
	paths      *cache.Cache[path, int64]                 // how much was read at once up to there
	asked      *cache.Cache[objectKey, int64]            // bytes of extents that were asked for of a slot
	passed     *cache.Cache[topic.Partition, objectKey]  // the slot that a partition was read in last
	hollow     *cache.Cache[extentKey, topic.Offset]     // of runs, by where they begin: there is no record from this offset on
	extents    *cache.Cache[extentKey, []([]byte)]
	gets       chan struct{}       // holds one for each GET under way
	flight     *semaphore.Weighted // bytes of GETs under way
	searches   chan struct{}       // holds one for each search for a time under way
	unpack     *semaphore.Weighted // bytes of extents that are being put together and unpacked

	mu      sync.RWMutex // guards all below; never held across I/O
	index   *index.Index
	deleted map[topic.ID]struct{}          // topics whose extents are passed over
	waiting map[topic.Partition]*list.List // of *waiter, in the order in which they came
}

// extentKey names an extent's stored bytes.
type extentKey struct {
	object   objectKey
	position uint32
}

// waiter is a Read that waits for records of any of its partitions.
type waiter struct {
	woken chan struct{} // capacity 1
}

// New makes an engine that sees nothing yet.
func New(store objectstore.Store, cfg Config) *Engine {
	return &Engine{
		store:      store,
		cfg:        cfg,
		chunkBytes: chunkBytes(cfg.CatchUpBytes / 2),
		searches:   make(chan struct{}, maxSearches),
		unpack:     semaphore.NewWeighted(cfg.unpackBytes()),
		tail:       cache.New[extentKey, [][]byte](cfg.TailBytes),
		spans:      newSpans(cfg.CatchUpBytes/2 - cfg.tableBytes()),
		tables:     cache.New[extentKey, []segment.Extent](cfg.tableBytes()),
		paths:      cache.New[path, int64](maxPaths),
		asked:      cache.New[objectKey, int64](mostAsked),
		passed:     cache.New[topic.Partition, objectKey](mostPassed),
		hollow:     cache.New[extentKey, topic.Offset](maxPaths),
		gets:       make(chan struct{}, maxGets),
		flight:     semaphore.NewWeighted(cfg.getBytes()),
		extents:    cache.New[extentKey, [][]byte](cfg.CatchUpBytes / 2),
		index:      index.New(),
		deleted:    make(map[topic.ID]struct{}),
		waiting:    make(map[topic.Partition]*list.List),
	}
}

// Close ends what is being read for those who have left, and waits for it. Nothing is read from the bucket any more.
func (e *Engine) Close() {
	e.extents.Close() // a load of these waits for one of those
	e.tables.Close()
	e.spans.flights.Close()
}

// Add makes the extents of a slot that counts visible, wakes who waits for them, and raises the log starts that the slot
// moves. Slots of different journals come in any order: an extent that begins behind its partition's end is kept aside,
// unseen, until the gap is closed (I2, I4), and a log start behind the end follows the end up; what is there already is
// passed over. An extent that overlaps others is an error and stays unseen; the rest of its slot does not suffer for it.
func (e *Engine) Add(journal topic.JournalID, slot segment.SlotExtents) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	var errs []error
	for i := range slot.Extents {
		x := &slot.Extents[i]
		if _, gone := e.deleted[x.Partition.Topic]; gone {
			continue
		}
		rose, err := e.index.Insert(x.Partition, index.NewEntry(journal, slot.Slot, *x))
		if err != nil {
			errs = append(errs, fmt.Errorf("slot %d of journal %s: %w", slot.Slot, journal, err))
			continue
		}
		if rose {
			e.notify(x.Partition)
		}
	}
	for _, l := range slot.LogStarts {
		if _, gone := e.deleted[l.Partition.Topic]; !gone {
			e.index.Raise(l.Partition, l.Start)
		}
	}
	return errors.Join(errs...)
}

// Restore begins a partition with what a checkpoint holds of it: its log start, and the extents that follow one another from
// there on, or from where its runs end; the first may begin before the log start. Runs may be told before or after: extents
// that lie behind some not told yet stay unseen until then. What is known already is passed over. Error: as Add's.
func (e *Engine) Restore(p topic.Partition, start topic.Offset, entries []index.Entry) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, gone := e.deleted[p.Topic]; gone {
		return nil
	}
	first := start
	if len(entries) > 0 {
		first = min(first, entries[0].Base)
	}
	before := e.index.End(p)
	if first > before {
		e.index.Begin(p, first) // all that is known lies below the log start
	}
	for _, x := range entries {
		if _, err := e.index.Insert(p, x); err != nil {
			return fmt.Errorf("restore: %w", err)
		}
	}
	e.index.Raise(p, start)
	if e.index.End(p) > before {
		e.notify(p)
	}
	return nil
}

// SetRuns says what of a partition lies in compacted objects, as control state has it: the log begins at start at least, and
// runs hold all of it up to end. They are read from now on in place of the slots' extents below end, which are the same
// bytes (I5); who waits is woken if the partition's end rose. runs are kept and must not change. What was said before and
// ended higher stays.
func (e *Engine) SetRuns(p topic.Partition, start, end topic.Offset, runs []topic.Run) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, gone := e.deleted[p.Topic]; gone {
		return
	}
	if e.index.SetRuns(p, start, end, runs) {
		e.notify(p)
	}
}

// AddTail is Add for a slot that this agent wrote, whose batches it still has in memory.
func (e *Engine) AddTail(journal topic.JournalID, slot segment.SlotExtents, runs []segment.Run) error {
	for i, r := range runs {
		size := int64(0)
		for _, b := range r.Batches {
			size += int64(len(b))
		}
		e.tail.Put(extentKey{objectKey{journal: journal, slot: slot.Slot}, slot.Extents[i].Position}, r.Batches, size)
	}
	return e.Add(journal, slot)
}

// Drop forgets a deleted topic. Slots that hold extents of it may still come to count; they stay unseen.
func (e *Engine) Drop(id topic.ID, partitions int32) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.deleted[id] = struct{}{}
	for i := range partitions {
		p := topic.Partition{Topic: id, Index: i}
		e.index.Drop(p)
		e.notify(p)
	}
}

// notify wakes who waits for a partition, who came first first. The lock is held.
func (e *Engine) notify(p topic.Partition) {
	queue := e.waiting[p]
	if queue == nil {
		return
	}
	for at := queue.Front(); at != nil; at = at.Next() {
		select {
		case at.Value.(*waiter).woken <- struct{}{}:
		default:
		}
	}
}

// Bounds gives a partition's log start and high watermark as this agent sees them; both are 0 when nothing was written.
func (e *Engine) Bounds(p topic.Partition) (start, end topic.Offset) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.index.Start(p), e.index.End(p)
}

// Extents lists the extents of a partition in slots that hold offsets of [from, to), as far as they are visible, in offset
// order. What is compacted is not among them.
func (e *Engine) Extents(p topic.Partition, from, to topic.Offset) []index.Entry {
	e.mu.RLock()
	defer e.mu.RUnlock()
	var out []index.Entry
	for x := range e.index.From(p, from) {
		if x.Base >= to {
			break
		}
		out = append(out, x)
	}
	return out
}

// wait registers w for the partitions of a request and returns what takes it away again.
func (e *Engine) wait(w *waiter, parts []Part) (leave func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	places := make([]*list.Element, len(parts))
	for i, p := range parts {
		queue := e.waiting[p.Partition]
		if queue == nil {
			queue = list.New()
			e.waiting[p.Partition] = queue
		}
		places[i] = queue.PushBack(w)
	}
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		for i, p := range parts {
			queue := e.waiting[p.Partition]
			if queue.Remove(places[i]); queue.Len() == 0 {
				delete(e.waiting, p.Partition)
			}
		}
	}
}
