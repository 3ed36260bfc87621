package recordbatch

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/odradek/odradek/topic"
)

// bitDeleteHorizon says that a batch's base timestamp is its delete horizon (KIP-534).
const bitDeleteHorizon = 0x40

// DeleteHorizon is the time, in ms since 1970, at which key compaction may drop the tombstones of a batch, or the
// transaction marker in it. ok is false for a batch in which no compaction has found any. The horizon stands in place of
// the base timestamp; timestamps of records count from there, so that readers need not know (KIP-534).
func (i Info) DeleteHorizon() (ms int64, ok bool) {
	return i.BaseTimestamp, i.Attributes&bitDeleteHorizon != 0
}

// CheckStored is Check for a batch out of a log that key compaction may have passed: of the batch's offsets not all need
// to have a record, and none if it is a header alone. Errors: as Check's.
func CheckStored(b []byte) (Info, error) {
	info, err := whole(b)
	if err != nil {
		return info, err
	}
	if have, want := crc32.Checksum(b[atAttributes:info.Size], castagnoli), info.CRC; have != want {
		return info, fmt.Errorf("%w: crc %08x, want %08x", ErrCRC, have, want)
	}
	if info.Count < 0 || info.LastOffsetDelta < 0 || int64(info.Count) > int64(info.LastOffsetDelta)+1 {
		return info, fmt.Errorf("%w: %d records, last offset delta %d", ErrCount, info.Count, info.LastOffsetDelta)
	}
	if info.Count == 0 && info.Size != HeaderSize {
		return info, fmt.Errorf("%w: no record in %d bytes", ErrCount, info.Size-HeaderSize)
	}
	if info.Codec() > Zstd {
		return info, fmt.Errorf("%w: codec %d", ErrAttributes, info.Codec())
	}
	return info, nil
}

// EachStored is Each for batches out of a log that key compaction may have passed.
func EachStored(b []byte, maxSize int, fn func(batch []byte, info Info) error) error {
	if len(b) == 0 {
		return fmt.Errorf("%w: no batch", ErrTruncated)
	}
	for n, at := 0, 0; at < len(b); n++ {
		info, err := CheckStored(b[at:])
		if err == nil && info.Size > maxSize {
			err = fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, info.Size, maxSize)
		}
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

// Unpacked is a batch whose records have been unpacked and found well-formed, to be looked at without being decoded
// whole, and to be written again without some of them.
type Unpacked struct {
	Info   Info
	header []byte // of the batch
	body   []byte // its records
}

// Raw is a record as Unpacked shows it. Its slices belong to the batch's bytes or to the buffer that was unpacked to.
type Raw struct {
	Offset    topic.Offset
	Timestamp int64  // ms since 1970
	Key       []byte // nil: none
	Tombstone bool   // it has no value

	attributes  byte
	offsetDelta int64
	rest        []byte // key, value and headers, as they stand in the batch
}

// Unpack unpacks the first batch in b, to at most maxRaw bytes, and checks its records: as many as the header says, fields
// that fill them, offsets that rise and lie within the batch. Errors: ErrTruncated, ErrMagic, ErrAttributes, ErrTooLarge,
// ErrRecord. The CRC is not checked again.
func Unpack(b []byte, maxRaw int) (Unpacked, error) {
	info, err := whole(b)
	if err != nil {
		return Unpacked{}, err
	}
	u := Unpacked{Info: info, header: b[:HeaderSize:HeaderSize], body: b[HeaderSize:info.Size:info.Size]}
	switch {
	case info.Codec() == None && len(u.body) > maxRaw:
		return Unpacked{}, fmt.Errorf("%w: %d bytes of records, at most %d", ErrTooLarge, len(u.body), maxRaw)
	case info.Codec() != None:
		if u.body, err = Decompress(info.Codec(), u.body, maxRaw); err != nil {
			return Unpacked{}, err
		}
	}
	return u, u.check()
}

func (u *Unpacked) check() error {
	last, left := int64(-1), u.body
	for n := range u.Info.Count {
		r, rest, err := u.read(left)
		if err != nil {
			return fmt.Errorf("record %d of %d: %w", n, u.Info.Count, err)
		}
		if r.offsetDelta <= last || r.offsetDelta > int64(u.Info.LastOffsetDelta) {
			return fmt.Errorf("%w: record %d of %d has offset delta %d behind %d, the batch ends at %d",
				ErrRecord, n, u.Info.Count, r.offsetDelta, last, u.Info.LastOffsetDelta)
		}
		last, left = r.offsetDelta, rest
	}
	if len(left) > 0 {
		return fmt.Errorf("%w: %d bytes behind the last record", ErrRecord, len(left))
	}
	return nil
}

// read reads the record at the front of body, as readRecord does, but allocates nothing.
func (u *Unpacked) read(body []byte) (Raw, []byte, error) {
	d := decoder{b: body}
	size := d.varint()
	if d.bad || size < 1 || size > int64(len(d.b)) {
		return Raw{}, nil, fmt.Errorf("%w: length %d of %d bytes left", ErrRecord, size, len(body))
	}
	rest := d.b[size:]
	d.b = d.b[:size:size]
	r := Raw{attributes: d.b[0], Timestamp: u.Info.MaxTimestamp}
	d.take(1)
	if delta := d.varint(); !u.Info.LogAppendTime() {
		r.Timestamp = u.Info.BaseTimestamp + delta
	}
	r.offsetDelta = d.varint()
	r.Offset = u.Info.BaseOffset + topic.Offset(r.offsetDelta)
	r.rest = d.b
	r.Key = d.bytes()
	r.Tombstone = d.bytes() == nil
	d.skipHeaders()
	if d.bad || len(d.b) > 0 {
		return Raw{}, nil, fmt.Errorf("%w: fields do not fill its %d bytes", ErrRecord, size)
	}
	return r, rest, nil
}

func (d *decoder) skipHeaders() {
	n := d.varint()
	if n < 0 || n > int64(len(d.b)/2) { // a header has at least two length bytes
		d.bad = true
	}
	for ; n > 0 && !d.bad; n-- {
		if d.bytes() == nil {
			d.bad = true
		}
		d.bytes()
	}
}

// Records yields the records with their number in the batch, from 0 on.
func (u *Unpacked) Records(yield func(n int, r Raw) bool) {
	left := u.body
	for n := range int(u.Info.Count) {
		r, rest, err := u.read(left)
		if err != nil {
			panic(err) // check has seen them all
		}
		if !yield(n, r) {
			return
		}
		left = rest
	}
}

// Rewrite is how a batch is written again.
type Rewrite struct {
	Keep    func(n int) bool // by the record's number in the batch; at least one is kept
	Horizon int64            // the delete horizon that the batch gets, if Delete
	Delete  bool             // it gets one; a horizon that it has stays otherwise
	Scratch []byte           // used for the records before they are packed, and given back by AppendKept
}

// AppendKept writes the batch behind dst with those records only that are kept, as Kafka's cleaner does: base offset, last
// offset delta, leader epoch, producer, sequence, codec, timestamp type and the kept records' offsets and timestamps stay.
// The base timestamp is the delete horizon if there is one and that of the first record otherwise, the maximum timestamp
// that of the records kept. It gives dst with the batch, and the scratch memory to use for the next one.
func (u *Unpacked) AppendKept(dst []byte, w Rewrite) (batch, scratch []byte) {
	base, horizon := u.Info.DeleteHorizon()
	if w.Delete {
		base, horizon = w.Horizon, true
	}
	records, count, newest := w.Scratch[:0], 0, noTimestamp
	u.Records(func(n int, r Raw) bool {
		if !w.Keep(n) {
			return true
		}
		if count == 0 && !horizon {
			base = r.Timestamp
		}
		count++
		newest = max(newest, r.Timestamp)
		delta := r.Timestamp - base
		records = binary.AppendVarint(records, int64(1+varintSize(delta)+varintSize(r.offsetDelta)+len(r.rest)))
		records = append(records, r.attributes)
		records = binary.AppendVarint(records, delta)
		records = binary.AppendVarint(records, r.offsetDelta)
		records = append(records, r.rest...)
		return true
	})
	if u.Info.LogAppendTime() {
		newest = u.Info.MaxTimestamp
	}
	at := len(dst)
	dst, err := Compress(append(dst, u.header...), u.Info.Codec(), records)
	if err != nil {
		panic(err) // Unpack knew the codec
	}
	attributes := uint16(u.Info.Attributes) & (codecMask | bitLogAppendTime | bitTransactional | bitControl)
	if horizon {
		attributes |= bitDeleteHorizon
	}
	finish(dst[at:], attributes, base, newest, count)
	return dst, records
}

// AppendEmpty writes the batch that begins b, of which it needs the header only, behind dst without its records: what is
// left then is its offsets, producer and last sequence, and its newest timestamp. b must have passed Check or Read.
func AppendEmpty(dst, b []byte) []byte {
	at := len(dst)
	dst = append(dst, b[:HeaderSize]...)
	attributes := binary.BigEndian.Uint16(b[atAttributes:]) & (bitLogAppendTime | bitTransactional | bitControl)
	finish(dst[at:], attributes, noTimestamp, int64(binary.BigEndian.Uint64(b[atMaxTimestamp:])), 0)
	return dst
}

// finish writes the fields that change when a batch is written again into b, which is all of it, and the CRC.
func finish(b []byte, attributes uint16, base, newest int64, count int) {
	binary.BigEndian.PutUint32(b[atLength:], uint32(len(b)-lengthEnd))
	binary.BigEndian.PutUint16(b[atAttributes:], attributes)
	binary.BigEndian.PutUint64(b[atBaseTimestamp:], uint64(base))
	binary.BigEndian.PutUint64(b[atMaxTimestamp:], uint64(newest))
	binary.BigEndian.PutUint32(b[atCount:], uint32(count))
	putCRC(b)
}
