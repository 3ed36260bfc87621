package cluster

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/odradek/odradek/index"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/sequence"
	"github.com/odradek/odradek/topic"
)

// passExtents bounds the extents that one pass over the footers looks for: they and what the footers say of them are in
// memory together.
const passExtents = 200_000

// want is a partition whose producers a pass over the footers brings from one offset to another.
type want struct {
	partition topic.Partition
	from, to  topic.Offset
	extents   []index.Entry // of [from, to), in offset order; set by the pass
	deltas    []sequence.Delta

	done chan error    // capacity 1: what came of it
	lead chan struct{} // capacity 1: this one's asker makes the next pass
}

// passes lets partitions that are gained at the same time share one reading of the footers, for they lie in the same slots:
// each partition by itself would read all of them again. Safe for concurrent use.
type passes struct {
	mu      sync.Mutex // guards all below
	running bool
	queue   []*want
}

// errAbandoned says that whoever made a pass went away in the middle of it.
var errAbandoned = errors.New("pass over the footers abandoned")

// pass takes into s, the producer state of a partition at from, what the footers say of [from, to), whose extents the index
// in memory has.
func (e *Engine) pass(ctx context.Context, p topic.Partition, s *sequence.State, from, to topic.Offset) error {
	for {
		w := &want{partition: p, from: from, to: to, done: make(chan error, 1), lead: make(chan struct{}, 1)}
		err := e.enlist(ctx, w)
		if errors.Is(err, errAbandoned) && ctx.Err() == nil {
			continue
		}
		if err != nil {
			return err
		}
		for _, d := range w.deltas {
			s.Apply(d)
		}
		return nil
	}
}

// enlist puts a want into the queue and waits for its pass, or makes it.
func (e *Engine) enlist(ctx context.Context, w *want) error {
	q := &e.reader.passes
	q.mu.Lock()
	q.queue = append(q.queue, w)
	if !q.running {
		q.running = true
		w.lead <- struct{}{}
	}
	q.mu.Unlock()
	for {
		select {
		case err := <-w.done:
			return err
		case <-w.lead:
			e.lead(ctx)
		case <-ctx.Done():
			q.leave(w)
			return context.Cause(ctx)
		}
	}
}

// leave takes a want out of the queue; if it was to lead, the next one does.
func (q *passes) leave(w *want) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.queue = slices.DeleteFunc(q.queue, func(x *want) bool { return x == w })
	select {
	case <-w.lead:
		q.next()
	default:
	}
}

// next lets the first in the queue make the next pass. The lock is held.
func (q *passes) next() {
	if q.running = len(q.queue) > 0; q.running {
		q.queue[0].lead <- struct{}{}
	}
}

// lead makes one pass for as many of those that wait as it has room for.
func (e *Engine) lead(ctx context.Context) {
	q := &e.reader.passes
	some := e.gather(q)
	err := e.readPass(ctx, some)
	if err != nil && ctx.Err() != nil {
		err = errAbandoned
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, w := range some {
		w.done <- err
	}
	q.next()
}

// gather takes wants off the queue with their extents, at least one, and each partition once: an assignment that is over may
// wait beside a newer one.
func (e *Engine) gather(q *passes) []*want {
	var some []*want
	taken := make(map[topic.Partition]bool)
	for n := 0; n < passExtents; {
		q.mu.Lock()
		if len(q.queue) == 0 || taken[q.queue[0].partition] {
			q.mu.Unlock()
			break
		}
		w := q.queue[0]
		q.queue = q.queue[1:]
		q.mu.Unlock()
		taken[w.partition] = true
		w.extents = e.log.Extents(w.partition, w.from, w.to)
		if len(w.extents) == 0 || w.extents[0].Base > w.from { // compacted meanwhile, or before the log start: the next try knows
			w.done <- fmt.Errorf("%s from %d on lies in no slot any more: %w", w.partition, w.from, errUnreached)
			continue
		}
		n += len(w.extents)
		some = append(some, w)
	}
	return some
}

// readPass reads the footers of all slots that hold extents of wants, each once, and gives each want its deltas in offset order.
func (e *Engine) readPass(ctx context.Context, wants []*want) error {
	of := make(map[topic.Partition]*want, len(wants))
	slots := make(map[at]bool)
	for _, w := range wants {
		of[w.partition] = w
		for _, x := range w.extents {
			slots[at{x.Journal, x.Slot}] = true
		}
	}
	inOrder := make([]index.Entry, 0, len(slots))
	for s := range slots {
		inOrder = append(inOrder, index.Entry{Journal: s.journal, Slot: s.slot})
	}
	slices.SortFunc(inOrder, func(a, b index.Entry) int {
		return cmp.Or(bytes.Compare(a.Journal[:], b.Journal[:]), cmp.Compare(a.Slot, b.Slot))
	})
	err := e.readParts(ctx, e.stretches(inOrder), func(j topic.JournalID, x segment.SlotExtents) {
		for _, d := range x.Producers {
			if w := of[d.Partition]; w != nil && w.holds(j, x.Slot, d) {
				w.deltas = append(w.deltas, d)
			}
		}
	})
	if err != nil {
		return err
	}
	for _, w := range wants {
		slices.SortFunc(w.deltas, func(a, b sequence.Delta) int { return cmp.Compare(a.Base, b.Base) })
	}
	return nil
}

// holds says whether a delta in a slot is of an extent that is wanted.
func (w *want) holds(j topic.JournalID, slot topic.Slot, d sequence.Delta) bool {
	if d.Base < w.from || d.Next > w.to {
		return false
	}
	i, found := slices.BinarySearchFunc(w.extents, d.Base, func(x index.Entry, base topic.Offset) int { return cmp.Compare(x.Base, base) })
	if !found {
		i--
	}
	return i >= 0 && w.extents[i].Journal == j && w.extents[i].Slot == slot && d.Next <= w.extents[i].Next
}
