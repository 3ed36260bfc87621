package ingest

import (
	"context"
	"time"

	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/sequence"
	"github.com/odradek/odradek/topic"
	"github.com/odradek/odradek/trace"
	"github.com/odradek/odradek/wal"
)

// Acks says when a producer is answered (design: durability by acks).
type Acks int8

// The three values of Kafka's acks.
const (
	AcksAll  Acks = -1 // the slot counts in the bucket
	AcksNone Acks = 0  // never
	AcksOne  Acks = 1  // the WAL is fsynced
)

// buffer collects what will become one segment. Guarded by the journal's lock until it is frozen; settled once.
type buffer struct {
	slot      topic.Slot // once frozen
	frozen    bool
	frozenAt  time.Time
	object    *segment.Object // once built; its packed blocks are needed until the slot counts
	runs      map[topic.Partition]*segment.Run
	order     []*segment.Run // in order of first batch
	producers []sequence.Delta
	starts    map[topic.Partition]topic.Offset // log starts that the slot moves
	releases  []*release                       // of partitions whose last batches are here or in buffers before
	released  int                              // bytes of releases in the footer, at most
	bytes     int
	batches   int
	memory    int64 // to release when settled
	first     time.Time
	last      time.Time    // of the newest batch
	walEnd    wal.Position // newest entry of this buffer in the WAL
	lazy      bool         // holds nothing but what may wait (T2)
	urgent    bool         // overdraws the budget (T3)
	traced    []trace.Span // of those who brought something, as far as they are recorded; at most trace.MaxLinks
	span      trace.Span   // of the slot, once frozen; nothing if traced is empty
	done      chan struct{}
	err       error // valid once done is closed
}

func newBuffer() *buffer {
	return &buffer{runs: make(map[topic.Partition]*segment.Run), lazy: true, done: make(chan struct{})}
}

// settle tells all waiters how it ended. Each waiter gets the result of the slot that carried its bytes.
func (b *buffer) settle(err error) {
	b.err = err
	b.span.End(err)
	close(b.done)
	for _, r := range b.releases {
		r.settle(err)
	}
}

// trace notes that a span brought something. The journal's lock is held.
func (b *buffer) trace(s trace.Span) {
	n := len(b.traced)
	if s.On() && !b.frozen && n < trace.MaxLinks && (n == 0 || b.traced[n-1] != s) {
		b.traced = append(b.traced, s)
	}
}

// empty says whether there is nothing to store.
func (b *buffer) empty() bool { return b.bytes == 0 && len(b.releases) == 0 && len(b.starts) == 0 }

// add appends the admitted, patched bytes of n batches to the partition's run.
func (b *buffer) add(p topic.Partition, epoch topic.Epoch, base, next topic.Offset, batches []byte, n int) {
	r := b.runs[p]
	if r == nil {
		r = &segment.Run{Partition: p, Epoch: epoch, Base: base}
		b.runs[p] = r
		b.order = append(b.order, r)
	}
	r.Batches = append(r.Batches, batches)
	r.Next = next
	b.bytes += len(batches)
	b.batches += n
}

// enter notes that something comes in that waits for the budget.
func (b *buffer) enter(now time.Time) {
	if b.bytes == 0 && len(b.starts) == 0 {
		b.first = now
	}
	b.last = now
}

// fits says whether n more bytes in so many batches may join.
func (b *buffer) fits(n, batches, flushBytes int) bool {
	return b.bytes == 0 || b.bytes+n <= flushBytes && b.batches+batches <= maxBatches && len(b.order) < maxExtents
}

// fitsRelease says whether a RELEASE that takes n bytes of the footer may join. One that is larger than what a full buffer
// leaves has a buffer of its own.
func (b *buffer) fitsRelease(n int) bool {
	if n > sharedReleaseBytes {
		return b.empty()
	}
	return b.released+n <= sharedReleaseBytes && len(b.releases)+len(b.starts) < maxExtents // each may bring a log start
}

// Result is what an acked batch got.
type Result struct {
	Base       topic.Offset // of the first record
	AppendTime int64        // milliseconds, or -1 with CreateTime
	LogStart   topic.Offset
}

// Pending is an admitted or refused batch on its way to its ack.
type Pending struct {
	journal *Journal
	buf     *buffer // nil: it counts already, or was refused
	wal     wal.Position
	acks    Acks
	result  Result
	err     error
}

// Refused makes a Pending for a batch that was not admitted.
func Refused(err error) Pending { return Pending{err: err} }

// Wait blocks until the batch is as durable as its acks asked for, the journal is over, or ctx ends. A ctx that ends
// drops nothing: the batch goes on to its slot (P4).
func (p Pending) Wait(ctx context.Context) (Result, error) {
	if p.err != nil || p.buf == nil || p.acks == AcksNone {
		return p.result, p.err
	}
	if p.acks == AcksOne && p.journal.wal != nil && p.wal != 0 {
		span := trace.From(ctx).Child("wal fsync", trace.Internal)
		err := p.journal.wal.Synced(ctx, p.wal)
		span.End(err)
		if err == nil || ctx.Err() != nil {
			return p.result, err
		}
		// The WAL is closed for good: acks=1 waits for the bucket, like acks=all.
	}
	span := trace.From(ctx).Child("wait for slot", trace.Internal)
	select {
	case <-p.buf.done:
		span.Link(p.buf.span)
		span.End(p.buf.err)
		return p.result, p.buf.err
	case <-ctx.Done():
		span.End(context.Cause(ctx))
		return p.result, context.Cause(ctx)
	}
}
