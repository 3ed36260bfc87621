package cluster

import (
	"maps"
	"sync"

	"github.com/odradek/odradek/sequence"
	"github.com/odradek/odradek/topic"
)

// past remembers producer state of partitions as of some offset, so that not all of a partition's footers have to be read
// when it is gained: what the boot found in the log, and what partitions were gained with. Safe for concurrent use.
type past struct {
	mu     sync.Mutex // guards states
	states map[topic.Partition]stand
}

// stand is producer state at an offset.
type stand struct {
	at       topic.Offset
	snapshot []byte // as sequence encodes it: smaller than a State, and nobody changes it
}

func (p *past) init() { p.states = make(map[topic.Partition]stand) }

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

// get gives what is remembered of a partition: nothing at 0 if nothing is.
func (p *past) get(of topic.Partition) stand {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.states[of]
}

// forget drops the partitions for which gone is true.
func (p *past) forget(gone func(topic.ID) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.DeleteFunc(p.states, func(of topic.Partition, _ stand) bool { return gone(of.Topic) })
}
