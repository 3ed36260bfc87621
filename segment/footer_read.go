package segment

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/odradek/odradek/sequence"
	"github.com/odradek/odradek/topic"
)

// Least sizes of list elements: a count that the rest of the footer cannot hold is refused before it allocates.
const (
	minExtent    = 1 + 2 + 1 + 1 + 1 + 1 + 1 + 4 + 1
	minProducer  = 7
	minLogStart  = 3
	minRelease   = 5
	minEnd       = 4
	minSlot      = 4
	smallestSize = tableHeader + tableEntry + 1 // of an extent
)

// ReadFooter reads the footer from tail, the last bytes of a payload of payloadSize bytes; 64 KiB of it are enough for
// nearly every payload. Errors: *ShortError if tail does not reach back to the footer's start, ErrCorrupt, ErrVersion.
func ReadFooter(tail []byte, payloadSize int64) (Footer, error) {
	b, err := openTail(tail, payloadSize, tailMagic, MaxPayload)
	if err != nil {
		return Footer{}, err
	}
	return parseFooter(b, payloadSize-TailSize-int64(len(b)))
}

// parseFooter reads the footer b that begins at start in its payload.
func parseFooter(b []byte, start int64) (Footer, error) {
	r := footerReader{b: b}
	f := r.footer()
	end := int64(headerSize)
	if n := len(f.Extents); n > 0 {
		end = int64(f.Extents[n-1].Position) + int64(f.Extents[n-1].Length)
	}
	switch {
	case r.bad != "":
		return Footer{}, fmt.Errorf("%w: footer byte %d: %s", ErrCorrupt, len(b)-len(r.b), r.bad)
	case len(r.b) > 0:
		return Footer{}, fmt.Errorf("%w: %d bytes behind the footer's last field", ErrCorrupt, len(r.b))
	case end != start:
		return Footer{}, fmt.Errorf("%w: extents end at %d, footer begins at %d", ErrCorrupt, end, start)
	}
	return f, nil
}

// footerReader takes fields from the front of b. After one that is missing or impossible, bad says which, b stays where
// it was, and all further fields are zero.
type footerReader struct {
	b       []byte
	bad     string
	created int64
	topics  []byte
}

func (r *footerReader) fail(what string) {
	if r.bad == "" {
		r.bad = what
	}
}

// number takes a uvarint of at most limit.
func (r *footerReader) number(what string, limit uint64) uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > limit {
		r.fail(what)
	}
	if r.bad != "" {
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *footerReader) signed(what string) int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail(what)
	}
	if r.bad != "" {
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *footerReader) bytes(what string, n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.fail(what)
	}
	if r.bad != "" {
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

// count takes the length of a list of at most limit elements, each of at least minSize bytes.
func (r *footerReader) count(what string, minSize, limit int) int {
	return int(r.number(what, uint64(min(limit, len(r.b)/minSize))))
}

func (r *footerReader) offset(what string) topic.Offset {
	return topic.Offset(r.number(what, math.MaxInt64))
}

func (r *footerReader) epoch() topic.Epoch {
	return topic.Epoch(r.number("partition epoch", math.MaxInt32))
}

// behind takes a distance of at least 1 and gives the offset that far behind base.
func (r *footerReader) behind(what string, base topic.Offset) topic.Offset {
	n := r.number(what, uint64(math.MaxInt64-base))
	if n == 0 {
		r.fail(what)
	}
	return base + topic.Offset(n)
}

func (r *footerReader) partition() topic.Partition {
	var p topic.Partition
	n := r.number("topic", uint64(len(r.topics)/len(p.Topic)))
	at := int(n) * len(p.Topic)
	p.Index = int32(r.number("partition", math.MaxInt32))
	if at == len(r.topics) {
		r.fail("topic")
	}
	if r.bad == "" {
		copy(p.Topic[:], r.topics[at:])
	}
	return p
}

func (r *footerReader) footer() Footer {
	var f Footer
	copy(f.Journal[:], r.bytes("journal", uint64(len(f.Journal))))
	f.Slot = topic.Slot(r.number("slot", math.MaxUint64))
	f.CreatedMs = r.signed("creation time")
	r.created = f.CreatedMs
	r.topics = r.bytes("topics", uint64(r.count("topic count", len(topic.ID{}), math.MaxInt32)*len(topic.ID{})))
	f.Extents = r.extents()
	r.once(f.Extents)
	f.Producers = r.producers(f.Extents)
	f.LogStarts = r.logStarts()
	f.Releases = list(r, "release count", minRelease, math.MaxInt32, r.release)
	r.number("open transactions", 0)
	r.number("closed transactions", 0)
	if r.number("summary flag", 1) == 1 {
		f.Summary = r.summary()
	}
	return f
}

// list takes a count and that many elements; an empty list is nil.
func list[T any](r *footerReader, what string, minSize, limit int, element func() T) []T {
	n := r.count(what, minSize, limit)
	if n == 0 {
		return nil
	}
	all := make([]T, 0, n)
	for range n {
		all = append(all, element())
		if r.bad != "" {
			return nil
		}
	}
	return all
}

func (r *footerReader) extents() []Extent {
	position := uint64(headerSize)
	extents := list(r, "extent count", minExtent, MaxExtents, func() Extent {
		r.number("extent location", 0)
		e := Extent{Partition: r.partition(), Epoch: r.epoch(), Base: r.offset("extent base"), Position: uint32(position)}
		e.Next = r.behind("extent next", e.Base)
		e.Length = uint32(r.number("extent length", MaxPayload-position))
		e.RawLength = uint32(r.number("extent raw length", MaxRaw))
		if e.Length < smallestSize || e.RawLength == 0 {
			r.fail("extent length")
		}
		if crc := r.bytes("extent crc", 4); crc != nil {
			e.CRC32C = binary.BigEndian.Uint32(crc)
		}
		e.MaxTimestamp = r.created + r.signed("extent timestamp")
		position += uint64(e.Length)
		return e
	})
	return extents
}

// once makes sure that no partition has two extents.
func (r *footerReader) once(extents []Extent) {
	seen := make(map[topic.Partition]struct{}, len(extents))
	for i := range extents {
		seen[extents[i].Partition] = struct{}{}
	}
	if len(seen) != len(extents) {
		r.fail("partition with two extents")
	}
}

func (r *footerReader) producers(extents []Extent) []sequence.Delta {
	return list(r, "producer count", minProducer, math.MaxInt32, func() sequence.Delta {
		n := r.number("producer's extent", math.MaxInt32)
		if n >= uint64(len(extents)) {
			r.fail("producer's extent")
			return sequence.Delta{}
		}
		e := &extents[n]
		d := sequence.Delta{Partition: e.Partition, ProducerID: int64(r.number("producer id", math.MaxInt64))}
		epoch, first := r.signed("producer epoch"), r.signed("sequence")
		if epoch < -1 || epoch > math.MaxInt16 || first < sequence.NoSequence || first > math.MaxInt32 {
			r.fail("producer epoch or sequence")
		}
		d.ProducerEpoch, d.FirstSequence = int16(epoch), int32(first)
		d.Base = e.Base + topic.Offset(r.number("producer base", uint64(e.Next-e.Base)))
		if d.Next = r.behind("producer next", d.Base); d.Next > e.Next {
			r.fail("producer next")
		}
		d.Timestamp = r.created + r.signed("producer timestamp")
		return d
	})
}

func (r *footerReader) release() Release {
	e := Release{Partition: r.partition(), Epoch: r.epoch(), End: r.offset("release end")}
	state := r.bytes("producer state", r.number("producer state length", MaxFooter))
	e.ProducerState = append([]byte(nil), state...)
	return e
}

func (r *footerReader) summary() *Summary {
	var s Summary
	s.Ends = list(r, "end count", minEnd, math.MaxInt32, func() PartitionEnd {
		return PartitionEnd{Partition: r.partition(), Epoch: r.epoch(), Next: r.offset("partition end")}
	})
	s.Recent = list(r, "recent slot count", minSlot, MaxRecent, func() SlotExtents {
		e := SlotExtents{Slot: topic.Slot(r.number("recent slot", math.MaxUint64)), Extents: r.extents()}
		r.once(e.Extents)
		e.Producers = r.producers(e.Extents)
		e.LogStarts = r.logStarts()
		return e
	})
	return &s
}

func (r *footerReader) logStarts() []LogStart {
	return list(r, "log start count", minLogStart, math.MaxInt32, func() LogStart {
		return LogStart{Partition: r.partition(), Start: r.offset("log start")}
	})
}
