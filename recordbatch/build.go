package recordbatch

import (
	"encoding/binary"
	"math"

	"github.com/odradek/odradek/topic"
)

// Producer is the idempotent producer that a batch comes from.
type Producer struct {
	ID       int64
	Epoch    int16
	Sequence int32 // of the batch's first record
}

// Draft is what Build makes a batch of.
type Draft struct {
	Base          topic.Offset
	Epoch         topic.Epoch
	Producer      *Producer // nil: none
	Transactional bool
	Control       bool
	Records       []Record // at least one; their Offset fields are not used
}

// Build makes an uncompressed batch; its records get the offsets Base, Base+1 and so on. The first record's timestamp is
// the batch's base timestamp. The caller owns the slice.
func Build(d Draft) []byte {
	b := make([]byte, HeaderSize, HeaderSize+sizeHint(d.Records))
	base := noTimestamp
	if len(d.Records) > 0 {
		base = d.Records[0].Timestamp
	}
	newest := base
	for i, r := range d.Records {
		b = appendRecord(b, r, int64(i), r.Timestamp-base)
		newest = max(newest, r.Timestamp)
	}
	return seal(b, d, None, base, newest)
}

// seal fills in the header in front of the records, which may be compressed, and computes the CRC.
func seal(b []byte, d Draft, codec Codec, base, newest int64) []byte {
	attributes := uint16(codec)
	if d.Transactional {
		attributes |= bitTransactional
	}
	if d.Control {
		attributes |= bitControl
	}
	p := Producer{ID: noProducer, Epoch: -1, Sequence: noSequence}
	if d.Producer != nil {
		p = *d.Producer
	}
	binary.BigEndian.PutUint32(b[atLength:], uint32(len(b)-lengthEnd))
	b[atMagic] = magic
	binary.BigEndian.PutUint16(b[atAttributes:], attributes)
	binary.BigEndian.PutUint32(b[atLastDelta:], uint32(len(d.Records)-1))
	binary.BigEndian.PutUint64(b[atBaseTimestamp:], uint64(base))
	binary.BigEndian.PutUint64(b[atMaxTimestamp:], uint64(newest))
	binary.BigEndian.PutUint64(b[atProducerID:], uint64(p.ID))
	binary.BigEndian.PutUint16(b[atProducerEpoch:], uint16(p.Epoch))
	binary.BigEndian.PutUint32(b[atBaseSequence:], uint32(p.Sequence))
	binary.BigEndian.PutUint32(b[atCount:], uint32(len(d.Records)))
	Patch(b, d.Base, d.Epoch)
	putCRC(b)
	return b
}

func sizeHint(records []Record) int {
	n := 0
	for i := range records {
		r := &records[i]
		n += recordSize(r, math.MaxInt32, math.MaxInt32) + binary.MaxVarintLen32
	}
	return n
}

// recordSize is the size of a record without its length field.
func recordSize(r *Record, offsetDelta, timeDelta int64) int {
	n := 1 + varintSize(timeDelta) + varintSize(offsetDelta) + bytesSize(r.Key) + bytesSize(r.Value) + varintSize(int64(len(r.Headers)))
	for _, h := range r.Headers {
		n += varintSize(int64(len(h.Key))) + len(h.Key) + bytesSize(h.Value)
	}
	return n
}

func appendRecord(b []byte, r Record, offsetDelta, timeDelta int64) []byte {
	b = binary.AppendVarint(b, int64(recordSize(&r, offsetDelta, timeDelta)))
	b = append(b, 0)
	b = binary.AppendVarint(b, timeDelta)
	b = binary.AppendVarint(b, offsetDelta)
	b = appendBytes(b, r.Key)
	b = appendBytes(b, r.Value)
	b = binary.AppendVarint(b, int64(len(r.Headers)))
	for _, h := range r.Headers {
		b = binary.AppendVarint(b, int64(len(h.Key)))
		b = append(b, h.Key...)
		b = appendBytes(b, h.Value)
	}
	return b
}

func appendBytes(b, v []byte) []byte {
	if v == nil {
		return binary.AppendVarint(b, -1)
	}
	return append(binary.AppendVarint(b, int64(len(v))), v...)
}

func bytesSize(v []byte) int {
	if v == nil {
		return 1
	}
	return varintSize(int64(len(v))) + len(v)
}

func varintSize(v int64) int {
	n := 1
	for u := uint64(v)<<1 ^ uint64(v>>63); u >= 0x80; u >>= 7 {
		n++
	}
	return n
}
