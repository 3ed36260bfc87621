package sequence

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/odradek/odradek/topic"
)

// ErrSnapshot says that bytes are no snapshot of a State.
var ErrSnapshot = errors.New("producer state snapshot malformed")

const (
	snapshotVersion = 1
	producerMinSize = 4 // id, epoch, seen, count
)

// AppendSnapshot appends the state's encoding to b. Equal states have equal encodings. What holds it has a checksum;
// it has none of its own.
//
//	version 1 | producer count uvarint | producers by rising id:
//	  id uvarint, epoch varint, newest timestamp varint, batch count uvarint (0 to 5), batches oldest first:
//	    first sequence uvarint, base offset uvarint, record count uvarint, timestamp varint
func (s *State) AppendSnapshot(b []byte) []byte {
	b = append(b, snapshotVersion)
	b = binary.AppendUvarint(b, uint64(len(s.producers)))
	for _, id := range s.ids() {
		p := s.producers[id]
		b = binary.AppendUvarint(b, uint64(id))
		b = binary.AppendVarint(b, int64(p.epoch))
		b = binary.AppendVarint(b, p.seen)
		b = binary.AppendUvarint(b, uint64(p.n))
		for _, t := range p.batches[:p.n] {
			b = binary.AppendUvarint(b, uint64(t.first))
			b = binary.AppendUvarint(b, uint64(t.base))
			b = binary.AppendUvarint(b, uint64(t.next-t.base))
			b = binary.AppendVarint(b, t.timestamp)
		}
	}
	return b
}

// Restore reads what AppendSnapshot wrote. An empty b is the empty State. Error: ErrSnapshot.
func Restore(b []byte) (State, error) {
	var s State
	if len(b) == 0 {
		return s, nil
	}
	if b[0] != snapshotVersion {
		return s, fmt.Errorf("%w: version %d, want %d", ErrSnapshot, b[0], snapshotVersion)
	}
	r := reader{b: b[1:]}
	count := r.uvarint(uint64(len(r.b) / producerMinSize))
	s.producers = make(map[int64]*producer, count)
	last := int64(-1)
	for range count {
		id := int64(r.uvarint(math.MaxInt64))
		p := r.producer()
		if r.bad || id <= last {
			return State{}, fmt.Errorf("%w: producer %d of %d at %d bytes before the end", ErrSnapshot, len(s.producers), count, len(r.b))
		}
		s.producers[id], last = p, id
	}
	if r.bad || len(r.b) > 0 {
		return State{}, fmt.Errorf("%w: %d bytes behind the last producer", ErrSnapshot, len(r.b))
	}
	return s, nil
}

// reader takes numbers from the front of b; after one that is missing or out of range, bad is set.
type reader struct {
	b   []byte
	bad bool
}

// uvarint takes a number of at most limit.
func (r *reader) uvarint(limit uint64) uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > limit || r.bad {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 || r.bad {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) producer() *producer {
	epoch := r.varint()
	if epoch < noEpoch || epoch > math.MaxInt16 {
		r.bad = true
	}
	p := &producer{epoch: int16(epoch), seen: r.varint(), n: int8(r.uvarint(Remembered))}
	for i := range p.n {
		first := int32(r.uvarint(math.MaxInt32))
		base := topic.Offset(r.uvarint(math.MaxInt64))
		next := base + topic.Offset(r.uvarint(math.MaxInt32))
		if next <= base {
			r.bad = true
		}
		p.batches[i] = batch{first: first, last: lastSequence(first, base, next), base: base, next: next, timestamp: r.varint()}
	}
	return p
}
