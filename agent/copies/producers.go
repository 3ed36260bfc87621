package copies

import (
	"context"
	"sync"

	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/topic"
)

// producerHeads notes whose producer state Redis lacks.
type producerHeads struct {
	producers Producers

	mu      sync.Mutex                       // guards all below
	touched map[topic.Partition]topic.Offset // the state is wanted that stands there or above; a partition at most once
	known   map[topic.Partition]struct{}     // those that may have a copy in the era
	gone    []topic.Partition                // of deleted topics: their copies go
	stands  metadata.Pin                     // the era that known is about
}

// Touched notes that producers wrote to a partition below next, in a slot that counts. It does not block.
func (w *Writer) Touched(p topic.Partition, next topic.Offset) {
	h := &w.heads
	h.mu.Lock()
	defer h.mu.Unlock()
	h.touched[p] = max(h.touched[p], next)
}

// Deleted notes that a topic of so many partitions is gone. It does not block.
func (w *Writer) Deleted(id topic.ID, partitions int32) {
	h := &w.heads
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range partitions {
		p := topic.Partition{Topic: id, Index: i}
		delete(h.touched, p)
		if _, ok := h.known[p]; ok {
			delete(h.known, p)
			h.gone = append(h.gone, p)
		}
	}
}

// writeProducers writes the states that were touched, some of them if there are many.
func (w *Writer) writeProducers(ctx context.Context, pin metadata.Pin) error {
	h := &w.heads
	h.enter(pin)
	for p, ok := h.firstGone(); ok; p, ok = h.firstGone() {
		if err := w.drop(ctx, pin, metadata.CopyProducer, p); err != nil {
			return err
		}
		h.dropped()
	}
	copies, skipped := h.take()
	w.cfg.Dropped.Add(float64(skipped))
	for len(copies) > 0 {
		n := min(fill(copies), partsAtOnce)
		if err := w.put(ctx, pin, copies[:n]); err != nil {
			w.cfg.Dropped.Add(float64(len(copies)))
			for _, c := range copies {
				w.Touched(c.Partition, c.Position)
			}
			return err
		}
		copies = copies[n:]
	}
	return nil
}

// enter touches everything when the era is another one.
func (h *producerHeads) enter(pin metadata.Pin) {
	h.mu.Lock()
	same := h.stands == pin
	h.mu.Unlock()
	if same {
		return
	}
	all := h.producers.Producing()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range all {
		h.touched[p] = max(h.touched[p], 0)
	}
	h.stands, h.gone = pin, nil
	clear(h.known)
}

func (h *producerHeads) firstGone() (topic.Partition, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.gone) == 0 {
		return topic.Partition{}, false
	}
	return h.gone[0], true
}

func (h *producerHeads) dropped() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.gone = h.gone[1:]
}

// take gives the states of some touched partitions, and how many were too large to copy.
func (h *producerHeads) take() (copies []metadata.Copy, skipped int) {
	for p, wanted := range h.some() {
		state, counted, ok := h.producers.ProducerState(p)
		switch {
		case !ok:
			continue // deleted meanwhile, or the journal is over
		case counted < wanted:
			h.again(p, wanted) // the slot counts and the owner is just about to take it in
		case len(state) > maxState:
			skipped++
			continue
		}
		copies = append(copies, metadata.Copy{Kind: metadata.CopyProducer, Partition: p, Position: counted, Value: state})
	}
	return copies, skipped
}

func (h *producerHeads) some() map[topic.Partition]topic.Offset {
	h.mu.Lock()
	defer h.mu.Unlock()
	some := make(map[topic.Partition]topic.Offset)
	for p, wanted := range h.touched {
		if len(some) == maxParts {
			break
		}
		some[p] = wanted
		delete(h.touched, p)
		h.known[p] = struct{}{} // before it is written: a deletion from now on finds it
	}
	return some
}

func (h *producerHeads) again(p topic.Partition, wanted topic.Offset) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.touched[p] = max(h.touched[p], wanted)
}
