package cluster

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/odradek/odradek/checkpoint"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/sequence"
	"github.com/odradek/odradek/topic"
)

// past remembers producer state of partitions as of some offset, so that not all of a partition's footers have to be read
// when it is gained: what the boot found in the log, what partitions were gained with, and what a checkpoint holds that was
// read since because footers are gone. Safe for concurrent use.
type past struct {
	reading chan struct{} // held by the one who reads a checkpoint; capacity 1

	mu     sync.Mutex // guards all below
	states map[topic.Partition]stand
	head   *checkpoint.Head     // whose producers are in states, the newest one that was read; nil: the boot's
	newest control.CheckpointID // the newest one when it was read: of an unfit one that is not tried again
}

// stand is producer state at an offset.
type stand struct {
	at       topic.Offset
	snapshot []byte // as sequence encodes it: smaller than a State, and nobody changes it
}

func (p *past) init() {
	p.reading, p.states = make(chan struct{}, 1), make(map[topic.Partition]stand)
}

// keep remembers what a boot found.
func (p *past) keep(h History) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for of, at := range h.Stands {
		s := stand{at: at}
		if known := h.Producers[of]; known != nil {
			s.snapshot = known.AppendSnapshot(nil)
		}
		p.states[of] = s
	}
}

// set remembers what a partition was gained with.
func (p *past) set(of topic.Partition, at topic.Offset, producers *sequence.State) {
	s := stand{at: at}
	if producers.Len() > 0 {
		s.snapshot = producers.AppendSnapshot(nil)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.states[of] = s
}

// merge remembers what a checkpoint holds, where that is newer than what is known. head is nil if none can be used.
func (p *past) merge(newest control.CheckpointID, head *checkpoint.Head, producers map[topic.Partition][]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.newest = newest
	if head == nil {
		return
	}
	for _, at := range head.Partitions {
		if p.states[at.Partition].at < at.End {
			p.states[at.Partition] = stand{at.End, producers[at.Partition]}
		}
	}
	p.head = head
}

// get gives what is remembered of a partition: nothing at 0 if nothing is.
func (p *past) get(of topic.Partition) stand {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.states[of]
}

// base is the checkpoint that was merged last, nil if none was.
func (p *past) base() *checkpoint.Head {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.head
}

// has says whether what can be used of the newest checkpoint, that one, was merged.
func (p *past) has(newest control.CheckpointID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.newest == newest
}

// forget drops the partitions for which gone is true.
func (p *past) forget(gone func(topic.ID) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.DeleteFunc(p.states, func(of topic.Partition, _ stand) bool { return gone(of.Topic) })
}

// recall reads the producers of the newest verified checkpoint into what is remembered, unless they are: one reading
// serves all partitions that are being gained. It needs the memory of all producer states. A checkpoint that cannot be used
// is passed over for the one before; without any, nothing changes.
func (e *Engine) recall(ctx context.Context) error {
	p := &e.past
	select {
	case p.reading <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-p.reading }()
	s := e.State()
	newest, ok := s.NewestCheckpoint()
	if !ok || p.has(newest.ID) {
		return nil
	}
	for _, c := range slices.Backward(s.Checkpoints()) {
		if !c.Verified {
			continue
		}
		if e.mirror.base != nil && e.mirror.base.ID == c.ID {
			break // the boot kept more
		}
		head, producers, err := e.producersIn(ctx, c)
		if err == nil {
			p.merge(newest.ID, head, producers)
			return nil
		}
		if !unfitCheckpoint(err) {
			return err
		}
		e.dismiss(ctx, c.Control, c.ID, err)
	}
	p.merge(newest.ID, nil, nil)
	return nil
}

// producersIn reads the head of a checkpoint, and its producer states.
func (e *Engine) producersIn(ctx context.Context, c control.CheckpointInfo) (*checkpoint.Head, map[topic.Partition][]byte, error) {
	head, _, err := e.readHead(ctx, c.Control, c.ID)
	if err != nil {
		return nil, nil, err
	}
	if err := agrees(head, c); err != nil {
		return nil, nil, err
	}
	producers := make(map[topic.Partition][]byte)
	err = head.ProducerStates(ctx, e.store, func(of topic.Partition, state []byte) error {
		producers[of] = slices.Clone(state)
		return nil
	})
	return head, producers, err
}
