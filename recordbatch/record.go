package recordbatch

import (
	"encoding/binary"
	"fmt"
	"iter"

	"github.com/odradek/odradek/topic"
)

// Header is a record's header. A nil value is Kafka's null.
type Header struct {
	Key   string
	Value []byte
}

// Record is one record. Nil key or value is Kafka's null, which differs from empty. Key, Value and header values belong
// to the batch's bytes, or to the buffer they were unpacked to.
type Record struct {
	Offset     topic.Offset
	Timestamp  int64 // ms since 1970
	Key, Value []byte
	Headers    []Header
}

// Records yields the records of the first batch in b, unpacking it to at most maxRaw bytes. It ends with the first
// error, which comes with a zero Record. Errors: ErrTruncated, ErrMagic, ErrAttributes, ErrTooLarge, ErrRecord. The
// CRC is not checked again.
func Records(b []byte, maxRaw int) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		info, err := whole(b)
		if err != nil {
			yield(Record{}, err)
			return
		}
		body := b[HeaderSize:info.Size:info.Size]
		if codec := info.Codec(); codec != None {
			if body, err = Decompress(codec, body, maxRaw); err != nil {
				yield(Record{}, err)
				return
			}
		}
		for n := range info.Count {
			record, rest, err := readRecord(info, body)
			if err != nil {
				yield(Record{}, fmt.Errorf("record %d of %d: %w", n, info.Count, err))
				return
			}
			if !yield(record, nil) {
				return
			}
			body = rest
		}
		if len(body) > 0 {
			yield(Record{}, fmt.Errorf("%w: %d bytes behind the last record", ErrRecord, len(body)))
		}
	}
}

// readRecord reads the first record of body and gives what is behind it.
//
//	length varint | attributes int8 | timestamp delta varlong | offset delta varint |
//	key length varint, key | value length varint, value | header count varint, headers
func readRecord(info Info, body []byte) (Record, []byte, error) {
	d := decoder{b: body}
	size := d.varint()
	if d.bad || size < 0 || size > int64(len(d.b)) {
		return Record{}, nil, fmt.Errorf("%w: length %d of %d bytes left", ErrRecord, size, len(body))
	}
	rest := d.b[size:]
	d.b = d.b[:size:size]
	d.take(1) // attributes: unused
	timestamp := info.BaseTimestamp + d.varint()
	if info.LogAppendTime() {
		timestamp = info.MaxTimestamp
	}
	r := Record{Timestamp: timestamp, Offset: info.BaseOffset + topic.Offset(d.varint())}
	r.Key = d.bytes()
	r.Value = d.bytes()
	r.Headers = d.headers()
	if d.bad || len(d.b) > 0 {
		return Record{}, nil, fmt.Errorf("%w: fields do not fill its %d bytes", ErrRecord, size)
	}
	return r, rest, nil
}

// decoder takes fields from the front of b. After a field that is not there, bad is set and all others are zero.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 || d.bad {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) take(n int64) []byte {
	if d.bad || n < 0 || n > int64(len(d.b)) {
		d.bad, d.b = true, nil
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}

// bytes takes a length and as many bytes; length -1 is nil.
func (d *decoder) bytes() []byte {
	n := d.varint()
	if n == -1 {
		return nil
	}
	return d.take(n)
}

func (d *decoder) headers() []Header {
	n := d.varint()
	// A header has at least two length bytes: a count that could not be there must not allocate.
	if n < 0 || n > int64(len(d.b)/2) {
		d.bad = true
	}
	if d.bad || n == 0 {
		return nil
	}
	hs := make([]Header, 0, n)
	for range n {
		key := d.bytes()
		if key == nil {
			d.bad = true
		}
		hs = append(hs, Header{Key: string(key), Value: d.bytes()})
		if d.bad {
			return nil
		}
	}
	return hs
}
