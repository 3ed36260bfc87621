package api

import (
	"encoding/binary"
	"fmt"
)

// Limits of decoding. A decoded array takes many times its bytes on the wire: a topic of two bytes in a Metadata
// request becomes a struct of 48. So a request is walked by its shape first, which allocates nothing, finds every
// lying length, and gives an upper bound of what kmsg will allocate.
const (
	maxDecode  = 64 << 20  // upper bound of one request's decoded arrays; above it ErrAmplified
	freeDecode = 256 << 10 // below it decoded arrays are not charged to the memory that frames share

	structCost = 128 // bytes one decoded element of an array of structs takes at most
	tagCost    = 128 // bytes one unknown tagged field takes at most in kmsg's map
	stringCost = 16  // a string's header; its bytes are a copy
)

// kind is how a field is written.
type kind uint8

const (
	fixed          kind = iota // size bytes
	text                       // string
	nullText                   // nullable string
	blob                       // nullable bytes
	structs                    // array of structs
	fixedArray                 // array of values of size bytes
	textArray                  // array of strings
	optionalStruct             // int8 presence, then a struct
)

// field is one field of a request in the versions [from, to].
type field struct {
	kind     kind
	size     int
	from, to int16
	fields   []field
}

// walker reads a request without decoding it. Its errors wrap ErrMalformed.
type walker struct {
	b        []byte
	version  int16
	flexible bool
	cost     int64
}

// measure walks body by its shape. It returns an upper bound of the memory that decoding it takes beside the frame.
func measure(shape []field, body []byte, version int16, flexible bool) (int64, error) {
	w := walker{b: body, version: version, flexible: flexible}
	if err := w.walk(shape); err != nil {
		return 0, err
	}
	return w.cost, nil
}

func (w *walker) walk(fields []field) error {
	for i := range fields {
		f := &fields[i]
		if w.version < f.from || w.version > f.to {
			continue
		}
		if err := w.field(f); err != nil {
			return err
		}
	}
	if !w.flexible {
		return nil
	}
	return w.tags()
}

func (w *walker) field(f *field) error {
	var err error
	switch f.kind {
	case fixed:
		_, err = w.take(f.size)
	case text, nullText:
		var s []byte
		s, err = w.string(f.kind == nullText)
		w.cost += stringCost + int64(len(s))
	case blob:
		err = w.bytes()
	case optionalStruct:
		var presence []byte
		if presence, err = w.take(1); err == nil && int8(presence[0]) >= 0 {
			w.cost += structCost
			err = w.walk(f.fields)
		}
	default:
		err = w.array(f)
	}
	if err == nil && w.cost > maxDecode {
		return fmt.Errorf("%w: over %d bytes", ErrAmplified, maxDecode)
	}
	return err
}

func (w *walker) array(f *field) error {
	n, err := w.arrayLen()
	if err != nil || n <= 0 {
		return err
	}
	if n > len(w.b) {
		return fmt.Errorf("%w: array of %d elements in %d bytes", ErrMalformed, n, len(w.b))
	}
	switch f.kind {
	case fixedArray:
		w.cost += int64(n) * int64(f.size)
		_, err = w.take(n * f.size)
		return err
	case textArray:
		for range n {
			s, err := w.string(false)
			if err != nil {
				return err
			}
			w.cost += stringCost + int64(len(s))
		}
		return nil
	}
	if w.cost += int64(n) * structCost; w.cost > maxDecode {
		return fmt.Errorf("%w: over %d bytes", ErrAmplified, maxDecode)
	}
	for range n {
		if err := w.walk(f.fields); err != nil {
			return err
		}
	}
	return nil
}

// tags skips the tagged fields at the end of a struct in flexible versions.
func (w *walker) tags() error {
	n, err := w.uvarint()
	if err != nil {
		return err
	}
	if int64(n) > int64(len(w.b)/2) {
		return fmt.Errorf("%w: %d tags in %d bytes", ErrMalformed, n, len(w.b))
	}
	if w.cost += int64(n) * tagCost; w.cost > maxDecode {
		return fmt.Errorf("%w: over %d bytes", ErrAmplified, maxDecode)
	}
	for range n {
		if _, err := w.uvarint(); err != nil {
			return err
		}
		size, err := w.uvarint()
		if err != nil {
			return err
		}
		if _, err := w.take(int(size)); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) take(n int) ([]byte, error) {
	if n < 0 || n > len(w.b) {
		return nil, fmt.Errorf("%w: %d bytes where %d are left", ErrMalformed, n, len(w.b))
	}
	b := w.b[:n]
	w.b = w.b[n:]
	return b, nil
}

func (w *walker) uvarint() (uint32, error) {
	v, n := binary.Uvarint(w.b)
	if n <= 0 || n > 5 || v > 1<<32-1 {
		return 0, fmt.Errorf("%w: bad varint", ErrMalformed)
	}
	w.b = w.b[n:]
	return uint32(v), nil
}

// length reads a compact length, or one of size bytes; -1 is null.
func (w *walker) length(size int) (int, error) {
	if w.flexible {
		n, err := w.uvarint()
		return int(n) - 1, err
	}
	b, err := w.take(size)
	if err != nil {
		return 0, err
	}
	n := int(int16(binary.BigEndian.Uint16(b)))
	if size == 4 {
		n = int(int32(binary.BigEndian.Uint32(b)))
	}
	if n < -1 {
		return 0, fmt.Errorf("%w: length %d", ErrMalformed, n)
	}
	return n, nil
}

func (w *walker) arrayLen() (int, error) { return w.length(4) }

func (w *walker) string(nullable bool) ([]byte, error) {
	n, err := w.length(2)
	if err != nil {
		return nil, err
	}
	if n < 0 && nullable {
		return nil, nil
	}
	return w.take(n)
}

func (w *walker) bytes() error {
	n, err := w.length(4)
	if err != nil || n < 0 {
		return err
	}
	_, err = w.take(n)
	return err
}
