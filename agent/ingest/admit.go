package ingest

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/sequence"
	"github.com/odradek/odradek/topic"
	"github.com/odradek/odradek/trace"
	"github.com/odradek/odradek/wal"
)

// PartitionBatch is what one produce request brings for one partition.
type PartitionBatch struct {
	Partition topic.Partition
	Records   []byte      // one or more record batches; the journal owns the slice from now on and patches it
	Lazy      bool        // may wait a second for its slot (T2)
	Internal  bool        // written by the agent itself: control batches are allowed
	Epoch     topic.Epoch // of what is Internal: admitted under this one or not at all
	Frame     int         // bytes of the frame that Records is a part of, which it keeps alive; 0 if it is none

	replayed bool // was admitted by an earlier journal: nothing is judged or stamped again
}

// checked is a PartitionBatch that passed all that can be said without the journal's lock.
type checked struct {
	batches []recordbatch.Info
	err     error
	memory  int64     // acquired, until a buffer takes it over
	room    *wal.Room // in the WAL, until the entry is appended
}

// Append admits the batches of one request in order and returns one Pending for each. It blocks only until there is
// memory and room in the WAL: that is what slows producers down. Calls that must keep their order are made one
// after the other; the waiting is done later, in Wait.
func (j *Journal) Append(ctx context.Context, acks Acks, batches []PartitionBatch) []Pending {
	ctx, span := trace.Start(ctx, "append", trace.Internal)
	defer span.End(nil)
	span.Number("odradek.partitions", int64(len(batches)))
	pre := make([]checked, len(batches))
	kept, frame := 0, 0
	for i, b := range batches {
		if pre[i] = check(b); pre[i].err == nil {
			pre[i].err = j.judge(b, pre[i].batches)
		}
		if pre[i].err == nil {
			kept += len(b.Records)
		}
		frame = max(frame, b.Frame)
	}
	span.Number("odradek.bytes", int64(kept))
	out := make([]Pending, len(batches))
	for i, b := range batches {
		if pre[i].err == nil && kept < frame/2 {
			b.Records = bytes.Clone(b.Records) // a few bytes would keep a large frame alive while they are cached
		}
		out[i] = j.append(ctx, acks, b, &pre[i])
	}
	return out
}

// append waits for memory and room for one PartitionBatch and admits it. A request holds nothing while it waits but
// what it has admitted, which will count and be free again: two can never wait for each other.
func (j *Journal) append(ctx context.Context, acks Acks, b PartitionBatch, c *checked) Pending {
	if c.err != nil {
		return Refused(c.err)
	}
	if err := c.reserve(ctx, j, len(b.Records)+walHeader); err != nil {
		return Refused(err)
	}
	defer c.cancel(j.memory)
	defer j.wake()
	j.mu.Lock()
	defer j.mu.Unlock()
	p := j.admit(time.Now(), acks, b, c)
	if p.buf != nil {
		p.buf.trace(trace.From(ctx))
	}
	return p
}

func (c *checked) reserve(ctx context.Context, j *Journal, n int) error {
	size := int64(n)
	if j.cfg.MemoryBytes > 0 {
		size = min(size, j.cfg.MemoryBytes)
	}
	if err := j.memory.Acquire(ctx, size); err != nil {
		return fmt.Errorf("wait for memory: %w", err)
	}
	c.memory = size
	if j.wal == nil {
		return nil
	}
	room, err := j.wal.Reserve(ctx, n)
	if err != nil && ctx.Err() != nil {
		c.cancel(j.memory)
		return fmt.Errorf("wait for the WAL: %w", err)
	}
	c.room = room // nil with a WAL that is closed or too small: acks=1 waits for the bucket
	return nil
}

// cancel gives back what was reserved and not used.
func (c *checked) cancel(m Memory) {
	if c.memory > 0 {
		m.Release(c.memory)
		c.memory = 0
	}
	if c.room != nil {
		c.room.Cancel()
		c.room = nil
	}
}

// check walks the batches of a PartitionBatch: sizes, CRC, counts, attributes. A client's batch with half a producer
// is refused: a footer that names it could not be read back.
func check(b PartitionBatch) checked {
	var c checked
	if len(b.Records) > MaxBatchBytes {
		c.err = fmt.Errorf("%d bytes for one partition, at most %d: %w", len(b.Records), MaxBatchBytes, ErrTooLarge)
		return c
	}
	c.err = recordbatch.Each(b.Records, MaxBatchBytes, func(_ []byte, info recordbatch.Info) error {
		if info.IsTransactional() {
			return ErrTransactional
		}
		if len(c.batches) == maxBatches {
			return fmt.Errorf("more than %d batches for one partition: %w", maxBatches, ErrTooLarge)
		}
		c.batches = append(c.batches, info)
		if b.Internal {
			return nil
		}
		return info.CheckClient()
	})
	return c
}

// judge says what is wrong with batches that no memory needs to be found for.
func (j *Journal) judge(b PartitionBatch, batches []recordbatch.Info) error {
	keyed, err := func() (bool, error) {
		j.mu.Lock()
		defer j.mu.Unlock()
		s, err := j.allowed(time.Now(), b.Partition, batches)
		return err == nil && s.limits.Keyed, err
	}()
	if err != nil || !keyed || b.Internal || b.replayed { // what is in the WAL was acked
		return err
	}
	return checkKeys(b.Records, batches)
}

// mostUnpacked is what is unpacked of a batch to see its keys: what takes more is kept by key compaction, too.
const mostUnpacked = 16 << 20

// unpacking is held by those who have a batch unpacked, so that memory is bounded.
var unpacking = make(chan struct{}, 2)

// checkKeys refuses records without a key. What cannot be read passes: key compaction keeps it whole.
func checkKeys(b []byte, batches []recordbatch.Info) error {
	for _, info := range batches {
		if info.Codec() != recordbatch.None {
			unpacking <- struct{}{}
		}
		u, err := recordbatch.Unpack(b[:info.Size], mostUnpacked)
		keys := true
		if err == nil {
			u.Records(func(_ int, r recordbatch.Raw) bool {
				keys = r.Key != nil
				return keys
			})
		}
		if info.Codec() != recordbatch.None {
			<-unpacking
		}
		if !keys {
			return ErrNoKey
		}
		b = b[info.Size:]
	}
	return nil
}

// allowed finds the partition if it is ours and its topic's settings let the batches in. The lock is held.
func (j *Journal) allowed(now time.Time, p topic.Partition, batches []recordbatch.Info) (*partition, error) {
	if j.err != nil {
		return nil, j.err
	}
	s := j.partitions[p]
	if s == nil {
		return nil, ErrNotOwner
	}
	for _, info := range batches {
		if err := s.limits.allow(info, now); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// admit gives the batches their offsets and puts them into the open buffer and the WAL, or refuses them all. The lock
// is held: this is the one place where the order of a partition's records is made.
func (j *Journal) admit(now time.Time, acks Acks, b PartitionBatch, c *checked) Pending {
	s, err := j.allowed(now, b.Partition, c.batches)
	if err != nil {
		return Refused(err)
	}
	if b.Internal && !b.replayed && b.Epoch != s.epoch {
		return Refused(ErrNotOwner) // the partition went and came back while this waited for memory
	}
	v, err := s.sequenced(b.Partition, c.batches)
	if j.refuses(s) && (err != nil || !v.Duplicate) {
		// The end is decided: the batch belongs to the next owner, who judges its sequence, too. What was admitted before
		// that is known here only, and its repeat joins it.
		return Refused(ErrNotOwner)
	}
	if err != nil {
		return Refused(err)
	}
	if v.Duplicate {
		return j.duplicate(s, acks, v)
	}
	return j.place(now, acks, b, c, s)
}

func (l Limits) allow(info recordbatch.Info, now time.Time) error {
	if l.MaxBatchBytes > 0 && info.Size > l.MaxBatchBytes {
		return fmt.Errorf("%d bytes, at most %d: %w", info.Size, l.MaxBatchBytes, ErrTooLarge)
	}
	if l.LogAppendTime {
		return nil
	}
	ms := now.UnixMilli()
	if l.After > 0 && info.MaxTimestamp > ms+l.After.Milliseconds() {
		return fmt.Errorf("%d is after %d + %v: %w", info.MaxTimestamp, ms, l.After, ErrTimestamp)
	}
	if l.Before > 0 && info.BaseTimestamp < ms-l.Before.Milliseconds() && info.BaseTimestamp >= 0 {
		return fmt.Errorf("%d is before %d - %v: %w", info.BaseTimestamp, ms, l.Before, ErrTimestamp)
	}
	return nil
}

// delta is what a batch changes in producer state when it is placed at base.
func delta(p topic.Partition, info recordbatch.Info, base topic.Offset) sequence.Delta {
	return sequence.Delta{
		Partition: p, ProducerID: info.ProducerID, ProducerEpoch: info.ProducerEpoch, FirstSequence: info.BaseSequence,
		Base: base, Next: base + topic.Offset(info.Count), Timestamp: info.MaxTimestamp,
	}
}

// sequenced checks an idempotent producer's batch against the admitted producer state. Such a producer sends one batch
// per partition and request; every other batch passes.
func (s *partition) sequenced(p topic.Partition, batches []recordbatch.Info) (sequence.Verdict, error) {
	for _, info := range batches {
		if !info.HasProducer() {
			continue
		}
		if len(batches) > 1 {
			return sequence.Verdict{}, ErrManyBatches
		}
		return s.admitted.Check(delta(p, info, s.next))
	}
	return sequence.Verdict{}, nil
}

// duplicate answers a batch that was admitted before: from state when it counts, else it joins its slot's waiters.
func (j *Journal) duplicate(s *partition, acks Acks, v sequence.Verdict) Pending {
	p := Pending{journal: j, acks: acks, result: Result{Base: v.Base, AppendTime: -1, LogStart: s.start}}
	if s.limits.LogAppendTime {
		p.result.AppendTime = v.Timestamp
	}
	if v.Base < s.counted {
		return p // it counts: state answers (I8)
	}
	for _, r := range s.pending {
		if v.Base < r.next {
			p.buf = r.buf
			break
		}
	}
	return p
}

// place assigns offsets and appends to buffer and WAL.
func (j *Journal) place(now time.Time, acks Acks, b PartitionBatch, c *checked, s *partition) Pending {
	out := Pending{journal: j, acks: acks, result: Result{Base: s.next, AppendTime: -1, LogStart: s.start}}
	buf := j.buffer(now, len(b.Records), len(c.batches))
	base := s.next
	rest := b.Records
	for _, info := range c.batches {
		batch := rest[:info.Size:info.Size]
		rest = rest[info.Size:]
		recordbatch.Patch(batch, s.next, s.epoch)
		if s.limits.LogAppendTime && !b.replayed {
			info.MaxTimestamp = now.UnixMilli()
			out.result.AppendTime = info.MaxTimestamp
			recordbatch.StampLogAppendTime(batch, info.MaxTimestamp)
		}
		if info.HasProducer() {
			d := delta(b.Partition, info, s.next)
			s.admitted.Apply(d)
			buf.producers = append(buf.producers, d)
		}
		s.next += topic.Offset(info.Count)
	}
	buf.add(b.Partition, s.epoch, base, s.next, b.Records, len(c.batches))
	buf.lazy = buf.lazy && b.Lazy
	buf.memory += c.memory
	c.memory = 0
	if n := len(s.pending); n > 0 && s.pending[n-1].buf == buf {
		s.pending[n-1].next = s.next
	} else {
		s.pending = append(s.pending, pendingRun{next: s.next, buf: buf})
	}
	out.buf = buf
	out.wal = s.log(b, base, c.room)
	if out.wal != 0 {
		buf.walEnd = out.wal
	}
	if s.unlogged > s.counted {
		out.wal = 0 // a replay would stop at the gap: acks=1 waits for the bucket
	}
	return out
}

// buffer gives the open buffer, after closing it when n more bytes in so many batches would be too many.
func (j *Journal) buffer(now time.Time, n, batches int) *buffer {
	if !j.open.fits(n, batches, j.cfg.FlushBytes) {
		j.close()
	}
	j.open.enter(now)
	return j.open
}

// close lets nothing more into the open buffer and begins another. The lock is held.
func (j *Journal) close() {
	j.full = append(j.full, j.open)
	j.open = newBuffer()
}

// walHeader precedes the batches in a WAL entry: topic id 16, partition 4, epoch 4, base offset 8, big endian.
const walHeader = 32

// log puts placed batches into the WAL (P2) and gives the entry's position, or 0 if the WAL did not take it.
func (s *partition) log(b PartitionBatch, base topic.Offset, room *wal.Room) wal.Position {
	if room != nil {
		h := make([]byte, walHeader)
		copy(h, b.Partition.Topic[:])
		binary.BigEndian.PutUint32(h[16:], uint32(b.Partition.Index))
		binary.BigEndian.PutUint32(h[20:], uint32(s.epoch))
		binary.BigEndian.PutUint64(h[24:], uint64(base))
		if pos, err := room.Append(h, b.Records); err == nil {
			return pos
		}
	}
	s.unlogged = s.next
	return 0
}
