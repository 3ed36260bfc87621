package ingest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/sequence"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
	"github.com/odradek/odradek/wal"
)

// What Append and Wait answer, wrapped. Errors of recordbatch and sequence pass through as they are.
var (
	ErrNotOwner      = errors.New("partition is not owned by this journal")
	ErrFenced        = errors.New("journal is over") // retriable: look the owner up again
	ErrTooLarge      = errors.New("batch larger than max.message.bytes")
	ErrTransactional = errors.New("transactional batch outside a transaction")
	ErrTimestamp     = errors.New("timestamp outside the topic's bounds")
	ErrNoKey         = errors.New("record without a key in a topic that is compacted by key")
	ErrManyBatches   = errors.New("several batches of an idempotent producer for one partition in one request")
	ErrAhead         = errors.New("log start above the high watermark")
)

// Config holds what a journal is tuned by.
type Config struct {
	Journal       topic.JournalID
	FlushInterval time.Duration // one PUT token comes this often
	FlushBytes    int           // a buffer of this size is frozen at once; at most MaxBatchBytes
	MemoryBytes   int64         // what Memory holds at most: a batch larger than that waits for all of it; 0 = no end
	Codec         segment.Codec // for runs of uncompressed batches
}

// Limits are the settings of a topic that decide what is admitted.
type Limits struct {
	MaxBatchBytes int           // max.message.bytes
	LogAppendTime bool          // message.timestamp.type
	Before, After time.Duration // message.timestamp.before|after.max.ms; 0 = no bound
	Keyed         bool          // cleanup.policy names compact: a record without a key would go with the next cleaning
}

// Memory bounds the bytes that wait for their slot to count. Acquire blocks until there is room or ctx ends.
type Memory interface {
	Acquire(ctx context.Context, n int64) error
	Release(n int64)
}

// Tail is told of every segment that counts, in slot order and before anyone is acked: it makes the records visible
// (index, high watermark, cache) and hands the segment on to the copy of the index. It must not block. The slices
// in the segment are never changed any more.
type Tail interface {
	Counted(Segment)
}

// Segment is a slot that counts.
type Segment struct {
	Footer segment.Footer
	Runs   []segment.Run // the batches of Footer.Extents, in the same order
	Queued time.Duration // from its first batch until it was frozen
	Counts time.Duration // from there until it counted
}

// Journal takes batches for the partitions that one journal owns. All methods may be called concurrently.
type Journal struct {
	cfg    Config
	slots  *slotlog.Writer
	wal    *wal.WAL // nil: none, acks=1 waits like acks=all
	memory Memory
	tail   Tail
	budget budget // Run only

	kick chan struct{} // wakes Run; capacity 1

	mu         sync.Mutex // guards all below
	partitions map[topic.Partition]*partition
	open       *buffer                      // takes batches; never nil
	full       []*buffer                    // reached FlushBytes, waiting for a slot; in order
	frozen     []*buffer                    // have a slot that does not count yet; in slot order
	released   map[topic.Partition]*release // under the newest epoch that the journal had
	closing    bool                         // nothing more is admitted
	recent     recent                       // of the slots since the last summary
	acked      int                          // bytes of the slot that counted last
	putTime    time.Duration                // that it took from its freeze on
	err        error                        // why the journal is over
}

// New makes the journal's state, owning nothing yet.
func New(cfg Config, slots *slotlog.Writer, w *wal.WAL, memory Memory, tail Tail) *Journal {
	cfg.FlushBytes = min(cfg.FlushBytes, MaxBatchBytes)
	return &Journal{
		cfg:        cfg,
		slots:      slots,
		wal:        w,
		memory:     memory,
		tail:       tail,
		budget:     newBudget(cfg.FlushInterval, cfg.FlushBytes),
		kick:       make(chan struct{}, 1),
		partitions: make(map[topic.Partition]*partition),
		open:       newBuffer(),
		released:   make(map[topic.Partition]*release),
	}
}

// partition is what the owner knows of one partition.
type partition struct {
	epoch     topic.Epoch
	next      topic.Offset   // next to assign; next >= counted
	counted   topic.Offset   // every offset below counts
	start     topic.Offset   // log start, as far as it counts; start <= counted
	raised    topic.Offset   // the highest log start that was asked for; what is above start is in raising
	raising   *buffer        // the newest that moves the log start
	admitted  sequence.State // with what does not count yet
	producers sequence.State // counted: I8, a function of the log
	unlogged  topic.Offset   // some offset below is not in the WAL: acks=1 waits for the bucket until it counts
	limits    Limits
	leaving   bool         // its RELEASE is in a buffer: nothing new is admitted
	pending   []pendingRun // admitted runs that do not count yet, in offset order
}

type pendingRun struct {
	next topic.Offset
	buf  *buffer
}

// Ownership says what a journal takes a partition over with.
type Ownership struct {
	Partition topic.Partition
	Epoch     topic.Epoch
	Base      topic.Offset   // first offset of this epoch: the end of the one before (I3)
	Start     topic.Offset   // log start at Base
	Producers sequence.State // at Base; the journal's from now on
	Limits    Limits
}

// Own begins to take batches for a partition. Its ASSIGN must have been applied and its state loaded (F5). An epoch that the
// journal had already, or gave away, is not begun again.
func (j *Journal) Own(o Ownership) {
	j.mu.Lock()
	defer j.mu.Unlock()
	s, r := j.partitions[o.Partition], j.released[o.Partition]
	if s != nil && s.epoch >= o.Epoch || r != nil && r.Epoch >= o.Epoch {
		return // I5, P5: offsets under it are given out already
	}
	if j.open.runs[o.Partition] != nil { // a segment holds one epoch of a partition
		j.close()
	}
	delete(j.released, o.Partition)
	j.partitions[o.Partition] = &partition{
		epoch: o.Epoch, next: o.Base, counted: o.Base, start: o.Start, raised: o.Start,
		admitted: o.Producers.Clone(), producers: o.Producers, limits: o.Limits,
	}
}

// SetLimits changes what is admitted to a topic's partitions from now on.
func (j *Journal) SetLimits(id topic.ID, l Limits) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for p, s := range j.partitions {
		if p.Topic == id {
			s.limits = l
		}
	}
}

// Disown stops taking batches for a deleted topic. What was admitted goes on to its slot.
func (j *Journal) Disown(id topic.ID) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for p := range j.partitions {
		if p.Topic == id {
			delete(j.partitions, p)
		}
	}
	for p := range j.released {
		if p.Topic == id {
			delete(j.released, p)
		}
	}
}

// Owns says under which epoch the journal takes batches for a partition, and the offset the next record will get. It does
// not own what it is about to give away.
func (j *Journal) Owns(p topic.Partition) (epoch topic.Epoch, next topic.Offset, ok bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := j.partitions[p]
	if s == nil || j.err != nil || j.refuses(s) {
		return 0, 0, false
	}
	return s.epoch, s.next, true
}

// refuses says whether nothing new is admitted to a partition of the journal. The lock is held.
func (j *Journal) refuses(s *partition) bool { return j.closing || s.leaving }

// fail ends the journal: every waiter gets the error, and nothing admitted so far is known to be part of the log (P5).
func (j *Journal) fail(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err != nil {
		return
	}
	j.err = fmt.Errorf("%w: %w", ErrFenced, err)
	for _, b := range slices.Concat(j.frozen, j.full, []*buffer{j.open}) {
		b.settle(j.err)
		j.memory.Release(b.memory)
	}
	j.frozen, j.full, j.open = nil, nil, newBuffer()
	clear(j.partitions)
}

func (j *Journal) wake() {
	select {
	case j.kick <- struct{}{}:
	default:
	}
}
