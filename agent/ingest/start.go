package ingest

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/topic"
)

// HighWatermark as a log start that is asked for stands for the partition's high watermark.
const HighWatermark topic.Offset = -1

// Raised is what became of a log start that was asked for.
type Raised struct {
	Start  topic.Offset // the log start, not below what was asked for; it counts
	Proved bool         // a slot that was frozen after the call says so: the journal was not sealed then (O1)
	Err    error
}

// Raise moves log starts up, each to an offset of its partition that counts, or to HighWatermark, and returns when the slots
// that say so count (G3): records below are gone for ever then. All that is asked for at once goes into one slot, along with
// the records that wait; one that is there already, or higher, is answered at once. A ctx that ends takes nothing back.
// Errors, each its partition's own: ErrNotOwner, ErrFenced, ErrAhead.
func (j *Journal) Raise(ctx context.Context, to []segment.LogStart) []Raised {
	out, bufs := j.raise(to)
	for i, b := range bufs {
		if b == nil {
			continue
		}
		select {
		case <-b.done:
			out[i].Err = b.err
		case <-ctx.Done():
			out[i].Err = context.Cause(ctx)
		}
	}
	return out
}

// raise puts log starts into the open buffer and names the buffer that each answer waits for, nil for none.
func (j *Journal) raise(to []segment.LogStart) ([]Raised, []*buffer) {
	out, bufs := make([]Raised, len(to)), make([]*buffer, len(to))
	defer j.wake()
	j.mu.Lock()
	defer j.mu.Unlock()
	now := time.Now()
	for i, l := range to {
		s := j.partitions[l.Partition]
		switch {
		case j.err != nil:
			out[i].Err = j.err
			continue
		case s == nil || j.refuses(s):
			out[i].Err = ErrNotOwner // P5: nothing goes into a slot behind the RELEASE's
			continue
		case l.Start == HighWatermark:
			l.Start = s.counted
		case l.Start > s.counted || l.Start < 0: // I4: only what counts can be deleted
			out[i].Err = fmt.Errorf("%s: %d, high watermark is %d: %w", l.Partition, l.Start, s.counted, ErrAhead)
			continue
		}
		out[i].Start = max(s.start, l.Start)
		if l.Start <= s.start {
			continue
		}
		if l.Start > s.raised {
			j.enterStart(now, l, s)
		}
		bufs[i] = s.raising // slots count in order: the newest says no less than what is asked for
		out[i].Proved = !s.raising.frozen
	}
	return out, bufs
}

// enterStart puts a log start into the open buffer, where it takes the place of a lower one. The lock is held.
func (j *Journal) enterStart(now time.Time, l segment.LogStart, s *partition) {
	if _, known := j.open.starts[l.Partition]; !known && len(j.open.starts)+len(j.open.releases) >= maxExtents {
		j.close()
	}
	b := j.open
	b.enter(now)
	b.setStart(l)
	b.lazy = false
	s.raised, s.raising = l.Start, b
}

// setStart puts a log start into the buffer's footer, where it takes the place of a lower one.
func (b *buffer) setStart(l segment.LogStart) {
	if b.starts == nil {
		b.starts = make(map[topic.Partition]topic.Offset)
	}
	b.starts[l.Partition] = l.Start
}

// logStarts lists the log starts of a buffer as its footer does.
func (b *buffer) logStarts() []segment.LogStart {
	if len(b.starts) == 0 {
		return nil
	}
	out := make([]segment.LogStart, 0, len(b.starts))
	for p, start := range b.starts {
		out = append(out, segment.LogStart{Partition: p, Start: start})
	}
	slices.SortFunc(out, func(a, b segment.LogStart) int {
		return cmp.Or(bytes.Compare(a.Partition.Topic[:], b.Partition.Topic[:]), cmp.Compare(a.Partition.Index, b.Partition.Index))
	})
	return out
}
