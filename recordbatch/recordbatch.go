package recordbatch

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"

	"github.com/odradek/odradek/topic"
)

const (
	// HeaderSize is the size of a batch without records.
	HeaderSize = 61
	// CRCStart is where the bytes begin that a batch's CRC covers. Those before are the broker's to patch.
	CRCStart = atAttributes
)

// Where the fields of a batch are. The CRC covers everything from atAttributes on.
const (
	atBaseOffset    = 0
	atLength        = 8 // of all that follows the length field
	atLeaderEpoch   = 12
	atMagic         = 16
	atCRC           = 17
	atAttributes    = 21
	atLastDelta     = 23
	atBaseTimestamp = 27
	atMaxTimestamp  = 35
	atProducerID    = 43
	atProducerEpoch = 51
	atBaseSequence  = 53
	atCount         = 57

	lengthEnd = atLength + 4
	magic     = 2
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Codec is how the records of a batch are compressed.
type Codec int8

// The codecs of Kafka, by number.
const (
	None Codec = iota
	Gzip
	Snappy
	LZ4
	Zstd
)

func (c Codec) String() string {
	switch c {
	case None:
		return "none"
	case Gzip:
		return "gzip"
	case Snappy:
		return "snappy"
	case LZ4:
		return "lz4"
	case Zstd:
		return "zstd"
	}
	return fmt.Sprintf("codec(%d)", int8(c))
}

// Bits of Info.Attributes.
const (
	codecMask              = 0x07
	bitLogAppendTime       = 0x08
	bitTransactional       = 0x10
	bitControl             = 0x20
	noProducer             = -1
	noSequence             = -1
	noTimestamp      int64 = -1
)

// Info is a batch's header.
type Info struct {
	BaseOffset      topic.Offset
	Size            int // of the whole batch with its header
	LeaderEpoch     topic.Epoch
	CRC             uint32 // as the batch says: CRC32C of its bytes [CRCStart, Size)
	Attributes      int16
	LastOffsetDelta int32
	Count           int32
	BaseTimestamp   int64 // ms since 1970
	MaxTimestamp    int64 // ms since 1970, -1 if none
	ProducerID      int64 // -1 if none
	ProducerEpoch   int16
	BaseSequence    int32
}

// Codec is how the records are compressed.
func (i Info) Codec() Codec { return Codec(i.Attributes & codecMask) }

// IsTransactional reports whether the batch belongs to a transaction.
func (i Info) IsTransactional() bool { return i.Attributes&bitTransactional != 0 }

// IsControl reports whether the batch holds a transaction marker.
func (i Info) IsControl() bool { return i.Attributes&bitControl != 0 }

// LogAppendTime reports whether all records carry MaxTimestamp, the time at which the broker took them.
func (i Info) LogAppendTime() bool { return i.Attributes&bitLogAppendTime != 0 }

// HasProducer reports whether the batch carries a producer id.
func (i Info) HasProducer() bool { return i.ProducerID > noProducer }

// Next is the offset behind the batch's last record: the batch covers [BaseOffset, Next).
func (i Info) Next() topic.Offset { return i.BaseOffset + topic.Offset(i.LastOffsetDelta) + 1 }

// LastSequence is the sequence of the last record, or -1 if there are none. Sequences wrap from 2^31-1 to 0.
func (i Info) LastSequence() int32 {
	if i.BaseSequence < 0 {
		return noSequence
	}
	return int32((int64(i.BaseSequence) + int64(i.LastOffsetDelta)) & math.MaxInt32)
}

// CheckClient says what is wrong with a batch that came from a client and not from a broker: ErrControl, ErrSequence,
// ErrBaseOffset.
func (i Info) CheckClient() error {
	if i.IsControl() {
		return ErrControl
	}
	if i.HasProducer() && (i.BaseSequence < 0 || i.ProducerEpoch < 0) {
		return fmt.Errorf("%w: producer %d epoch %d sequence %d", ErrSequence, i.ProducerID, i.ProducerEpoch, i.BaseSequence)
	}
	if i.BaseOffset != 0 {
		return fmt.Errorf("%w: %d", ErrBaseOffset, i.BaseOffset)
	}
	return nil
}

// Read gives the header of the first batch in b, of which b may hold the header only. It checks the format and that the
// declared size is possible, nothing else. Errors: ErrTruncated, ErrMagic.
func Read(b []byte) (Info, error) {
	if len(b) > atMagic && b[atMagic] != magic {
		return Info{}, fmt.Errorf("%w: magic %d", ErrMagic, int8(b[atMagic]))
	}
	if len(b) < HeaderSize {
		return Info{}, fmt.Errorf("%w: %d bytes, a header has %d", ErrTruncated, len(b), HeaderSize)
	}
	h := (*[HeaderSize]byte)(b)
	length := int32(binary.BigEndian.Uint32(h[atLength:]))
	if length < HeaderSize-lengthEnd {
		return Info{}, fmt.Errorf("%w: declared length %d, a header alone has %d", ErrTruncated, length, HeaderSize-lengthEnd)
	}
	return Info{
		BaseOffset:      topic.Offset(binary.BigEndian.Uint64(h[atBaseOffset:])),
		Size:            lengthEnd + int(length),
		LeaderEpoch:     topic.Epoch(binary.BigEndian.Uint32(h[atLeaderEpoch:])),
		CRC:             binary.BigEndian.Uint32(h[atCRC:]),
		Attributes:      int16(binary.BigEndian.Uint16(h[atAttributes:])),
		LastOffsetDelta: int32(binary.BigEndian.Uint32(h[atLastDelta:])),
		Count:           int32(binary.BigEndian.Uint32(h[atCount:])),
		BaseTimestamp:   int64(binary.BigEndian.Uint64(h[atBaseTimestamp:])),
		MaxTimestamp:    int64(binary.BigEndian.Uint64(h[atMaxTimestamp:])),
		ProducerID:      int64(binary.BigEndian.Uint64(h[atProducerID:])),
		ProducerEpoch:   int16(binary.BigEndian.Uint16(h[atProducerEpoch:])),
		BaseSequence:    int32(binary.BigEndian.Uint32(h[atBaseSequence:])),
	}, nil
}

// Check reads the header of the first batch in b and verifies the batch whole: its declared length is there, the format
// is v2, the CRC32C matches, record count and last offset delta agree and are positive, the codec exists. Records are
// not looked at. It is one pass over the bytes and allocates nothing unless it fails. Errors: ErrTruncated, ErrMagic,
// ErrCRC, ErrCount, ErrAttributes; the Info is valid with the last three of them.
func Check(b []byte) (Info, error) {
	info, err := Read(b)
	if err != nil {
		return info, err
	}
	if info.Size > len(b) {
		return info, fmt.Errorf("%w: declared size %d, have %d", ErrTruncated, info.Size, len(b))
	}
	if have, want := crc32.Checksum(b[atAttributes:info.Size], castagnoli), info.CRC; have != want {
		return info, fmt.Errorf("%w: crc %08x, want %08x", ErrCRC, have, want)
	}
	if info.Count <= 0 || int64(info.Count) != int64(info.LastOffsetDelta)+1 {
		return info, fmt.Errorf("%w: %d records, last offset delta %d", ErrCount, info.Count, info.LastOffsetDelta)
	}
	if info.Codec() > Zstd {
		return info, fmt.Errorf("%w: codec %d", ErrAttributes, info.Codec())
	}
	return info, nil
}

// Each checks the batches that make up b, one behind the other, and calls fn for each. It refuses bytes left over
// (ErrTruncated), a batch of more than maxSize bytes (ErrTooLarge) and what Check refuses, naming the batch's number
// and position. It stops at the first error, fn's own included. An empty b is ErrTruncated. fn may patch the batch.
func Each(b []byte, maxSize int, fn func(batch []byte, info Info) error) error {
	if len(b) == 0 {
		return fmt.Errorf("%w: no batch", ErrTruncated)
	}
	for n, at := 0, 0; at < len(b); n++ {
		info, err := checkSized(b[at:], maxSize)
		if err != nil {
			return fmt.Errorf("batch %d at byte %d: %w", n, at, err)
		}
		if err := fn(b[at:at+info.Size:at+info.Size], info); err != nil {
			return err
		}
		at += info.Size
	}
	return nil
}

func checkSized(b []byte, maxSize int) (Info, error) {
	info, err := Read(b)
	if err != nil {
		return info, err
	}
	if info.Size > maxSize {
		return info, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, info.Size, maxSize)
	}
	return Check(b)
}

// Patch writes what the broker decides into the first batch of b, which must have passed Check or Read: its base offset
// and the partition's epoch. The CRC covers neither.
func Patch(b []byte, base topic.Offset, epoch topic.Epoch) {
	binary.BigEndian.PutUint64(b[atBaseOffset:], uint64(base))
	binary.BigEndian.PutUint32(b[atLeaderEpoch:], uint32(epoch))
}

// StampLogAppendTime gives all records of the batch b, which must be whole, the time ms: it sets the timestamp type
// and the maximum timestamp and computes the CRC again.
func StampLogAppendTime(b []byte, ms int64) {
	b[atAttributes+1] |= bitLogAppendTime
	binary.BigEndian.PutUint64(b[atMaxTimestamp:], uint64(ms))
	putCRC(b)
}

// putCRC computes the CRC of the batch that is all of b or its first part.
func putCRC(b []byte) {
	size := lengthEnd + int(binary.BigEndian.Uint32(b[atLength:]))
	binary.BigEndian.PutUint32(b[atCRC:], crc32.Checksum(b[atAttributes:size], castagnoli))
}
