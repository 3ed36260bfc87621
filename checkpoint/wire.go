package checkpoint

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/odradek/odradek/topic"
)

// reader takes primitives off the front of a body. The first fault sticks: from then on everything reads as zero. Memory
// grows with the bytes that are there, whatever counts and lengths say.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: "+format, append([]any{ErrCorrupt}, args...)...)
	}
	r.b = nil
}

// take gives the next n bytes, a part of the body.
func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.fail("%d bytes where %d are needed", len(r.b), n)
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) id() (id [16]byte) { copy(id[:], r.take(16)); return id }

// uint reads a number of at most limit.
func (r *reader) uint(limit uint64) uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail("number cut or too long")
		return 0
	}
	if v > limit {
		r.fail("number %d above %d", v, limit)
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) int() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail("number cut or too long")
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) uint32() uint32 {
	b := r.take(4)
	if len(b) < 4 {
		return 0
	}
	return binary.BigEndian.Uint32(b)
}

func (r *reader) slot() topic.Slot     { return topic.Slot(r.uint(math.MaxUint64)) }
func (r *reader) offset() topic.Offset { return topic.Offset(r.uint(math.MaxInt64)) }

// behind reads how far an offset lies behind from.
func (r *reader) behind(from topic.Offset) topic.Offset {
	return from + topic.Offset(r.uint(uint64(math.MaxInt64-from)))
}

// count reads how many elements of at least size bytes follow, more than can be there being a fault.
func (r *reader) count(size int) int { return int(r.uint(uint64(len(r.b) / size))) }

// index reads a partition's index that follows last, -1 before the first: the distance less one.
func (r *reader) index(last int32) int32 {
	if last == math.MaxInt32 {
		r.fail("index behind %d", last)
		return last
	}
	return last + 1 + int32(r.uint(uint64(math.MaxInt32-1-int64(last))))
}

// end asks that nothing be left.
func (r *reader) end() error {
	if r.err == nil && len(r.b) > 0 {
		r.fail("%d bytes behind the end", len(r.b))
	}
	return r.err
}
