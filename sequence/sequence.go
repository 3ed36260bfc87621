package sequence

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/odradek/odradek/topic"
)

// Why a batch is refused. Errors wrap one of these and name what came and what was expected.
var (
	// ErrOutOfOrderSequence says that the batch's first sequence does not follow the last one known.
	ErrOutOfOrderSequence = errors.New("out of order sequence")
	// ErrInvalidProducerEpoch says that a newer producer epoch has written here.
	ErrInvalidProducerEpoch = errors.New("producer epoch is stale")
)

const (
	// NoSequence is the FirstSequence of batches that carry a producer id without sequences: transaction markers, and
	// offsets that a coordinator writes within a transaction.
	NoSequence = -1
	// Remembered is the number of batches per producer in which a duplicate is found.
	Remembered = 5

	noEpoch = -1
)

// Delta is one batch as it concerns producer state. The batch's last sequence follows from its first one and its
// number of records.
type Delta struct {
	Partition     topic.Partition
	ProducerID    int64
	ProducerEpoch int16
	FirstSequence int32        // or NoSequence
	Base, Next    topic.Offset // the batch's records: [Base, Next), not empty
	Timestamp     int64        // the batch's maximum timestamp, ms since 1970
}

// LastSequence is the sequence of the batch's last record.
func (d Delta) LastSequence() int32 {
	return lastSequence(d.FirstSequence, d.Base, d.Next)
}

func lastSequence(first int32, base, next topic.Offset) int32 {
	if first < 0 {
		return NoSequence
	}
	return int32((int64(first) + int64(next-base) - 1) & math.MaxInt32)
}

// Verdict is what Check found about a batch that may be written or was.
type Verdict struct {
	Duplicate  bool         // the batch was written before; the rest says where
	Base, Next topic.Offset // of the first writing
	Timestamp  int64        // of the first writing
}

// State is the producers of one partition. The zero State knows none.
type State struct {
	producers map[int64]*producer
}

// producer is one producer id's state.
type producer struct {
	epoch   int16             // the newest seen
	n       int8              // batches in use
	seen    int64             // timestamp of the newest batch
	batches [Remembered]batch // [0, n), oldest first, all of the newest epoch
}

// batch is one remembered batch.
type batch struct {
	first, last int32
	base, next  topic.Offset
	timestamp   int64
}

// Len is the number of producer ids known.
func (s *State) Len() int { return len(s.producers) }

// Check says whether the batch d may be written next (a Verdict that is no Duplicate), was written already (Duplicate),
// or is refused: ErrOutOfOrderSequence, ErrInvalidProducerEpoch. Of d it reads producer, epoch, first sequence and
// Next-Base, the number of records; it changes nothing.
func (s *State) Check(d Delta) (Verdict, error) {
	p := s.producers[d.ProducerID]
	if p == nil {
		return Verdict{}, nil
	}
	if d.ProducerEpoch < p.epoch {
		return Verdict{}, fmt.Errorf("%w: producer %d has epoch %d, newest is %d",
			ErrInvalidProducerEpoch, d.ProducerID, d.ProducerEpoch, p.epoch)
	}
	if d.FirstSequence == NoSequence {
		return Verdict{}, nil
	}
	want := int32(0)
	if d.ProducerEpoch == p.epoch {
		last := d.LastSequence()
		for _, b := range p.batches[:p.n] {
			if b.first == d.FirstSequence && b.last == last {
				return Verdict{Duplicate: true, Base: b.base, Next: b.next, Timestamp: b.timestamp}, nil
			}
		}
		want = p.nextSequence()
	}
	if d.FirstSequence != want {
		return Verdict{}, fmt.Errorf("%w: producer %d epoch %d sent %d, want %d",
			ErrOutOfOrderSequence, d.ProducerID, d.ProducerEpoch, d.FirstSequence, want)
	}
	return Verdict{}, nil
}

// nextSequence is the sequence expected under the newest epoch.
func (p *producer) nextSequence() int32 {
	if p.n == 0 {
		return 0
	}
	return int32((int64(p.batches[p.n-1].last) + 1) & math.MaxInt32)
}

// Apply takes in a batch that is part of the log. It does not judge: what is in the log was accepted.
func (s *State) Apply(d Delta) {
	p := s.producers[d.ProducerID]
	if p == nil {
		if s.producers == nil {
			s.producers = make(map[int64]*producer)
		}
		p = &producer{epoch: noEpoch}
		s.producers[d.ProducerID] = p
	}
	if p.epoch != d.ProducerEpoch {
		*p = producer{epoch: d.ProducerEpoch}
	}
	p.seen = d.Timestamp
	if d.FirstSequence == NoSequence {
		return
	}
	if p.n == Remembered {
		copy(p.batches[:], p.batches[1:])
		p.n--
	}
	p.batches[p.n] = batch{first: d.FirstSequence, last: d.LastSequence(), base: d.Base, next: d.Next, timestamp: d.Timestamp}
	p.n++
}

// Clone makes an independent copy.
func (s *State) Clone() State {
	c := State{producers: make(map[int64]*producer, len(s.producers))}
	for id, p := range s.producers {
		twin := *p
		c.producers[id] = &twin
	}
	return c
}

// Expire forgets the producers whose newest batch is at least unused old at the time nowMs, and gives their number.
// A batch's time is its maximum timestamp, as in Kafka (producer.id.expiration.ms).
func (s *State) Expire(nowMs int64, unused time.Duration) int {
	before := len(s.producers)
	maps.DeleteFunc(s.producers, func(_ int64, p *producer) bool { return nowMs-p.seen >= unused.Milliseconds() })
	return before - len(s.producers)
}

// ids gives the producer ids in order.
func (s *State) ids() []int64 { return slices.Sorted(maps.Keys(s.producers)) }

// Recent gives those of the deltas that a State still rests on after all of them: of each producer in each partition the
// last five with sequences and the last one without, in the same order. It works in place. A footer need not list more.
func Recent(deltas []Delta) []Delta {
	type key struct {
		partition topic.Partition
		producer  int64
		sequenced bool
	}
	seen := make(map[key]int)
	keep := len(deltas)
	for i := len(deltas) - 1; i >= 0; i-- {
		k := key{deltas[i].Partition, deltas[i].ProducerID, deltas[i].FirstSequence != NoSequence}
		if seen[k]++; seen[k] == 1 || (k.sequenced && seen[k] <= Remembered) {
			keep--
			deltas[keep] = deltas[i]
		}
	}
	return deltas[keep:]
}
