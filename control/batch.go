package control

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// What Decode and Restore answer, to be told apart by errors.Is.
var (
	// ErrUnknownRecord says that a newer build wrote the batch: a type, a version or a format level this one does
	// not know. The reader must stop, for it can no longer compute control state.
	ErrUnknownRecord = errors.New("record unknown to this build")
	// ErrCorrupt says that the bytes are not what Encode or AppendSnapshot writes.
	ErrCorrupt = errors.New("control records corrupt")
)

// A batch, all numbers big endian:
//
//	0        8        12                                   end-4      end
//	| magic  | count  | record 0 | record 1 | ... | record | CRC32C   |
//	|ODRCTRL1| uint32 |                                    | uint32   |
//
//	record:  0      2         4        8
//	         | type | version | length | body, length bytes |
//	         |uint16| uint16  | uint32 |
//
// The CRC32C (Castagnoli) covers all before it.
const (
	batchMagic   = "ODRCTRL1"
	batchHeader  = len(batchMagic) + 4
	recordHeader = 8
	batchTrailer = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Encode writes a batch of at least one record. The same records give the same bytes. A value that Decode would
// not read, such as a negative offset or an endless string, is an error here: once in the log it would stop every
// agent for ever.
func Encode(records []Record) ([]byte, error) {
	if len(records) == 0 {
		return nil, errors.New("control batch without records")
	}
	w := &writer{b: append(make([]byte, 0, 256), batchMagic...)}
	w.b = binary.BigEndian.AppendUint32(w.b, uint32(len(records)))
	for _, rec := range records {
		w.b = binary.BigEndian.AppendUint16(w.b, uint16(rec.Type()))
		w.b = binary.BigEndian.AppendUint16(w.b, uint16(len(kinds[rec.Type()].decode)))
		start := len(w.b)
		w.b = append(w.b, 0, 0, 0, 0)
		rec.encode(w)
		binary.BigEndian.PutUint32(w.b[start:], uint32(len(w.b)-start-4))
	}
	payload := binary.BigEndian.AppendUint32(w.b, crc32.Checksum(w.b, castagnoli))
	if _, err := Decode(payload); err != nil {
		return nil, fmt.Errorf("encode control batch: %w", err)
	}
	return payload, nil
}

// Decode reads a batch whole or not at all. Records copy what they keep: payload may be reused afterwards.
// Errors are ErrCorrupt and ErrUnknownRecord; no input makes it panic or allocate far beyond the payload's size.
func Decode(payload []byte) ([]Record, error) {
	if len(payload) < batchHeader+batchTrailer {
		return nil, fmt.Errorf("%w: %d bytes", ErrCorrupt, len(payload))
	}
	known := len(batchMagic) - 1 // what is behind it is the version; every version has its checksum at the end
	if have := payload[:len(batchMagic)]; string(have[:known]) != batchMagic[:known] {
		return nil, fmt.Errorf("%w: magic %q, want %q", ErrCorrupt, have, batchMagic)
	}
	end := len(payload) - batchTrailer
	if got, want := crc32.Checksum(payload[:end], castagnoli), binary.BigEndian.Uint32(payload[end:]); got != want {
		return nil, fmt.Errorf("%w: crc %08x, want %08x", ErrCorrupt, got, want)
	}
	if v := payload[known]; v != batchMagic[known] {
		return nil, fmt.Errorf("%w: batch of version %c, this build reads %c", ErrUnknownRecord, v, batchMagic[known])
	}
	count := binary.BigEndian.Uint32(payload[len(batchMagic):])
	rest := payload[batchHeader:end]
	if count == 0 || uint64(count) > uint64(len(rest)/recordHeader) {
		return nil, fmt.Errorf("%w: %d records in %d bytes", ErrCorrupt, count, len(rest))
	}
	records := make([]Record, 0, min(count, 64))
	for i := range count {
		rec, tail, err := decodeRecord(rest)
		if err != nil {
			return nil, fmt.Errorf("record %d: %w", i, err)
		}
		records, rest = append(records, rec), tail
	}
	if len(rest) != 0 {
		return nil, fmt.Errorf("%w: %d bytes behind the last record", ErrCorrupt, len(rest))
	}
	return records, nil
}

// decodeRecord reads the record that b begins with and returns what follows it.
func decodeRecord(b []byte) (Record, []byte, error) {
	if len(b) < recordHeader {
		return nil, nil, fmt.Errorf("%w: %d bytes where a record header is due", ErrCorrupt, len(b))
	}
	typ, version := Type(binary.BigEndian.Uint16(b)), binary.BigEndian.Uint16(b[2:])
	length := uint64(binary.BigEndian.Uint32(b[4:]))
	b = b[recordHeader:]
	if length > uint64(len(b)) {
		return nil, nil, fmt.Errorf("%w: %s of %d bytes where %d are left", ErrCorrupt, typ, length, len(b))
	}
	k, ok := kindOf(typ)
	if !ok || version == 0 || int(version) > len(k.decode) {
		if !ok {
			return nil, nil, fmt.Errorf("%w: type %d (%s) version %d", ErrUnknownRecord, typ, typ, version)
		}
		return nil, nil, fmt.Errorf("%w: type %d (%s) version %d, this build reads %d", ErrUnknownRecord, typ, typ, version, len(k.decode))
	}
	r := &reader{b: b[:length]}
	rec := k.decode[version-1](r)
	if r.err == nil && len(r.b) > 0 {
		r.fail("%d bytes behind the body", len(r.b))
	}
	if r.err != nil {
		return nil, nil, fmt.Errorf("%s: %w", typ, r.err)
	}
	return rec, b[length:], nil
}
