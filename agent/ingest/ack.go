package ingest

import (
	"slices"

	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/topic"
)

// Counted is told by the journal's writer that every slot below end counts: it is data in the bucket and no slot below
// it is missing (I2). It is called from one goroutine, in order.
//
// This is where a record becomes part of the log. For each slot, oldest first:
//
//  1. Producer state takes its batches in: duplicates are now answered from what counts (I8).
//  2. The tail makes the records visible: index entry and high watermark together, never before the slot
//     counts (I4, I6), and the copy of the index in Redis follows from there, off this path.
//  3. Its waiters are answered: acks=all means exactly this (P4). A producer that was acked finds its records visible.
//  4. The WAL's room and the memory are free again: the bucket has the bytes.
//
// If the process dies before 3, the producer was not answered and the slot counts all the same; its retry is found by its sequence.
func (j *Journal) Counted(end topic.Slot) {
	for _, b := range j.counted(end) {
		j.tail.Counted(b.segment())
		b.settle(nil)
		if j.wal != nil && b.walEnd != 0 {
			j.wal.Release(b.walEnd)
		}
		j.memory.Release(b.memory)
		b.object.Release()
	}
	j.wake() // fewer slots in flight: the next buffer may be due
}

// counted takes the buffers below end off the frozen ones and advances the partitions they touch.
func (j *Journal) counted(end topic.Slot) []*buffer {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := 0
	for n < len(j.frozen) && j.frozen[n].slot < end {
		n++
	}
	done := slices.Clone(j.frozen[:n])
	j.frozen = slices.Delete(j.frozen, 0, n)
	for _, b := range done {
		for _, d := range b.producers {
			if s := j.partitions[d.Partition]; s != nil {
				s.producers.Apply(d)
			}
		}
		for _, r := range b.order {
			s := j.partitions[r.Partition]
			if s == nil {
				continue // its topic was deleted meanwhile
			}
			s.counted = r.Next
			s.pending = slices.DeleteFunc(s.pending, func(p pendingRun) bool { return p.buf == b })
		}
	}
	return done
}

// segment describes a frozen buffer to the tail.
func (b *buffer) segment() Segment {
	s := Segment{Footer: b.object.Footer, Runs: make([]segment.Run, len(b.order))}
	for i, r := range b.order {
		s.Runs[i] = *r
	}
	return s
}
