package ingest

import (
	"time"

	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/topic"
)

// Counted is told by the journal's writer that every slot below end counts: it is data in the bucket and no slot below
// it is missing (I2). It is called from one goroutine, in order.
//
// This is where a record becomes part of the log, durable for ever. For each slot, oldest first:
//
//  1. The tail makes its records visible: index entry and high watermark together, never before the slot
//     counts (I4, I6). The copy of the index in Redis follows from there, off this path.
//  2. Producer state takes its batches in: from now on a duplicate is answered at once, by what counts (I8). Until
//     here it joined the waiters of this slot.
//  3. The waiters are answered: acks=all means exactly this (P4). Whoever was acked finds the records visible.
//  4. The WAL's room and the memory are free again: the bucket has the bytes (P2).
//
// A crash between any two of these loses nothing: the slot counts, the next boot reads its footer, and a producer that
// was not answered repeats its batch and is found by its sequence.
func (j *Journal) Counted(end topic.Slot) {
	for _, b := range j.below(end) {
		j.tail.Counted(b.segment()) // I4: visible, because its slot counts
		if !j.settled(b) {
			return // the journal ended meanwhile: its waiters were told that they cannot know
		}
		b.settle(nil) // I4: the ack of acks=all
		if j.wal != nil && b.walEnd != 0 {
			j.wal.Release(b.walEnd) // buffers count in the order of the WAL: all entries up to here are in slots that count
		}
		j.memory.Release(b.memory)
		b.object.Release()
	}
	j.wake() // fewer slots in flight: the next buffer may be due
}

// below lists the frozen buffers whose slots lie below end.
func (j *Journal) below(end topic.Slot) []*buffer {
	j.mu.Lock()
	defer j.mu.Unlock()
	var count []*buffer
	for _, b := range j.frozen {
		if b.slot < end {
			count = append(count, b)
		}
	}
	return count
}

// settled takes the oldest frozen buffer, b, off the list and advances the partitions it touches. It is false when the
// journal ended before: then fail has settled b.
func (j *Journal) settled(b *buffer) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.frozen) == 0 || j.frozen[0] != b {
		return false
	}
	j.frozen[0] = nil
	j.frozen = j.frozen[1:]
	j.acked, j.putTime = b.bytes, time.Since(b.frozenAt)
	for _, d := range b.producers {
		if s := j.partitions[d.Partition]; s != nil {
			s.producers.Apply(d) // I8: a function of the footers, in slot order
		}
	}
	for _, r := range b.order {
		s := j.partitions[r.Partition]
		if s == nil || s.epoch != r.Epoch {
			continue // its topic was deleted meanwhile
		}
		s.counted = r.Next
		for len(s.pending) > 0 && s.pending[0].buf == b {
			s.pending = s.pending[1:]
		}
	}
	for p, start := range b.starts {
		if s := j.partitions[p]; s != nil {
			s.start = max(s.start, start) // G3: it counts, and was made visible before
		}
	}
	return true
}

// segment describes a frozen buffer to the tail.
func (b *buffer) segment() Segment {
	s := Segment{Footer: b.object.Footer, Runs: make([]segment.Run, len(b.order)), Counts: time.Since(b.frozenAt)}
	if !b.first.IsZero() {
		s.Queued = b.frozenAt.Sub(b.first)
	}
	for i, r := range b.order {
		s.Runs[i] = *r
	}
	return s
}
