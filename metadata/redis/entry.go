package redis

import (
	"encoding/binary"
	"fmt"

	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/topic"
)

// An entry is one segment as it lies in the log of its journal. Numbers are varints (unsigned LEB128 as encoding/binary;
// "zigzag" marks the signed ones), so that an extent takes about 25 bytes, and 16 more where its topic is not that of
// the extent before it.
//
//	| version 1 (1 byte) | slot | number of extents | extents | number of log starts | log starts |
//
//	extent:    | same topic as before (1 byte, 0 or 1) | topic id (16 bytes) if 0 | partition | epoch | base | next - base |
//	           | position | length | raw length | CRC32C (4 bytes, little endian) | max timestamp (zigzag) |
//	log start: | topic id (16 bytes) | partition | start |
const entryVersion = 1

// appendEntry appends the entry of a segment to b.
func appendEntry(b []byte, s metadata.Segment) []byte {
	b = append(b, entryVersion)
	b = binary.AppendUvarint(b, uint64(s.Slot))
	b = binary.AppendUvarint(b, uint64(len(s.Extents)))
	var last topic.ID
	for i, x := range s.Extents {
		if i > 0 && x.Partition.Topic == last {
			b = append(b, 1)
		} else {
			b = append(append(b, 0), x.Partition.Topic[:]...)
			last = x.Partition.Topic
		}
		b = binary.AppendUvarint(b, uint64(uint32(x.Partition.Index)))
		b = binary.AppendUvarint(b, uint64(uint32(x.Epoch)))
		b = binary.AppendUvarint(b, uint64(x.Base))
		b = binary.AppendUvarint(b, uint64(x.Next-x.Base))
		b = binary.AppendUvarint(b, uint64(x.Position))
		b = binary.AppendUvarint(b, uint64(x.Length))
		b = binary.AppendUvarint(b, uint64(x.RawLength))
		b = binary.LittleEndian.AppendUint32(b, x.CRC32C)
		b = binary.AppendVarint(b, x.MaxTimestamp)
	}
	b = binary.AppendUvarint(b, uint64(len(s.LogStarts)))
	for _, start := range s.LogStarts {
		b = append(b, start.Partition.Topic[:]...)
		b = binary.AppendUvarint(b, uint64(uint32(start.Partition.Index)))
		b = binary.AppendUvarint(b, uint64(start.Start))
	}
	return b
}

// readEntry reads the entry of a journal's segment. It allocates no more than the entry's own size bears out.
// metadata.ErrUnreadable: it is not what appendEntry writes.
func readEntry(journal topic.JournalID, b []byte) (metadata.Segment, error) {
	r := reader{b: b}
	if version := r.byte(); version != entryVersion {
		return metadata.Segment{}, fmt.Errorf("%w of journal %s: version %d, want %d", metadata.ErrUnreadable, journal, version, entryVersion)
	}
	s := metadata.Segment{Journal: journal, Slot: topic.Slot(r.uvarint())}
	var last topic.ID
	if n := r.count(14); n > 0 {
		s.Extents = make([]metadata.Extent, n)
	}
	for i := range s.Extents {
		x := &s.Extents[i]
		if r.byte() == 0 {
			copy(last[:], r.take(len(last)))
		}
		x.Partition = topic.Partition{Topic: last, Index: int32(r.uint32())}
		x.Epoch = topic.Epoch(r.uint32())
		x.Base = topic.Offset(r.uvarint())
		x.Next = x.Base + topic.Offset(r.uvarint())
		x.Position, x.Length, x.RawLength = r.uint32(), r.uint32(), r.uint32()
		if crc := r.take(4); crc != nil {
			x.CRC32C = binary.LittleEndian.Uint32(crc)
		}
		x.MaxTimestamp = r.varint()
	}
	if n := r.count(18); n > 0 {
		s.LogStarts = make([]metadata.LogStart, n)
	}
	for i := range s.LogStarts {
		start := &s.LogStarts[i]
		copy(start.Partition.Topic[:], r.take(len(last)))
		start.Partition.Index = int32(r.uint32())
		start.Start = topic.Offset(r.uvarint())
	}
	if r.bad || len(r.b) != 0 {
		return metadata.Segment{}, fmt.Errorf("%w of journal %s: %d bytes", metadata.ErrUnreadable, journal, len(b))
	}
	return s, nil
}

// reader takes numbers off b; after the first that is not there it is bad and gives zeros.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if r.bad || len(r.b) < n {
		r.bad = true
		return nil
	}
	taken := r.b[:n]
	r.b = r.b[n:]
	return taken
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if r.bad || n <= 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if r.bad || n <= 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) uint32() uint32 {
	v := r.uvarint()
	r.bad = r.bad || v > 1<<32-1
	return uint32(v)
}

// count reads how many things of at least size bytes follow; more than there is room for is bad.
func (r *reader) count(size int) int {
	n := r.uvarint()
	if r.bad || n > uint64(len(r.b)/size) {
		r.bad = true
		return 0
	}
	return int(n)
}
