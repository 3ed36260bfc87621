package checkpoint

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/klauspost/compress/s2"
)

// An object of a checkpoint, version 1. Integers are big endian; those of the bodies are varints as of encoding/binary.
//
//	offset  size  field
//	     0     8  magic "ODRCHECK"
//	     8     1  version
//	     9     1  kind: 1 head, 2 part
//	    10     1  codec: 0 none, 1 s2
//	    11     1  zero
//	    12     4  length of the body before packing
//	    16     8  length of the whole object
//	    24     n  the body, packed
//	  24+n     4  CRC32C of every byte before this field
const (
	Version = 1

	headerSize = 24
	crcSize    = 4
	magic      = "ODRCHECK"
	codecNone  = 0
	codecS2    = 1

	// maxBody is the longest body before packing, mostRatio how many times longer than packed it is at most: what would
	// shrink further is stored as it is, so that an object that lies about its length costs no memory.
	maxBody   = 1 << 30
	mostRatio = 64
)

// kind says what an object is.
type kind uint8

const (
	kindHead kind = 1
	kindPart kind = 2
)

func (k kind) String() string {
	switch k {
	case kindHead:
		return "head"
	case kindPart:
		return "part"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// What is wrong with objects that were read. Errors wrap one of these and name the key.
var (
	// ErrCorrupt says that bytes are not what was written, or that a part is not the one that the head means.
	ErrCorrupt = errors.New("checkpoint corrupt")
	// ErrVersion says that a newer Odradek wrote the object.
	ErrVersion = errors.New("checkpoint version unknown")
	// ErrMissing says that there is no object under a key that a checkpoint has.
	ErrMissing = errors.New("checkpoint object missing")
	// ErrTooLarge says that a body is longer than can be written.
	ErrTooLarge = errors.New("checkpoint too large")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// pack makes an object of a body.
func pack(k kind, body []byte) ([]byte, error) {
	if len(body) > maxBody {
		return nil, fmt.Errorf("%w: %s of %d bytes, at most %d", ErrTooLarge, k, len(body), maxBody)
	}
	object := make([]byte, headerSize, headerSize+s2.MaxEncodedLen(len(body))+crcSize)
	packed := s2.Encode(object[headerSize:cap(object)], body)
	codec := byte(codecS2)
	if len(packed) >= len(body) || len(body) > mostRatio*len(packed) {
		packed, codec = body, codecNone
	}
	copy(object, magic)
	object[8], object[9], object[10] = Version, byte(k), codec
	binary.BigEndian.PutUint32(object[12:], uint32(len(body)))
	binary.BigEndian.PutUint64(object[16:], uint64(headerSize+len(packed)+crcSize))
	object = append(object, packed...) // onto itself, where s2 packed it in place
	return binary.BigEndian.AppendUint32(object, crc32.Checksum(object, castagnoli)), nil
}

// crcOf gives the CRC32C that ends an object.
func crcOf(object []byte) uint32 { return binary.BigEndian.Uint32(object[len(object)-crcSize:]) }

// unpack checks a whole object and gives its body.
func unpack(k kind, object []byte) ([]byte, error) {
	if len(object) < headerSize+crcSize {
		return nil, fmt.Errorf("%w: %d bytes, the least is %d", ErrCorrupt, len(object), headerSize+crcSize)
	}
	if string(object[:8]) != magic {
		return nil, fmt.Errorf("%w: magic %x, want %x", ErrCorrupt, object[:8], magic)
	}
	if have := binary.BigEndian.Uint64(object[16:]); have != uint64(len(object)) {
		return nil, fmt.Errorf("%w: %d bytes, header says %d", ErrCorrupt, len(object), have)
	}
	if have, want := crc32.Checksum(object[:len(object)-crcSize], castagnoli), crcOf(object); have != want {
		return nil, fmt.Errorf("%w: crc %08x, want %08x", ErrCorrupt, have, want)
	}
	if v := object[8]; v != Version {
		return nil, fmt.Errorf("%w: %d, this build reads %d", ErrVersion, v, Version)
	}
	if have := kind(object[9]); have != k || object[11] != 0 {
		return nil, fmt.Errorf("%w: a %s, flags %x, where a %s belongs", ErrCorrupt, have, object[11], k)
	}
	packed := object[headerSize : len(object)-crcSize]
	want := int64(binary.BigEndian.Uint32(object[12:]))
	switch codec := object[10]; {
	case codec == codecNone && want == int64(len(packed)):
		return packed, nil
	case codec != codecS2:
		return nil, fmt.Errorf("%w: codec %d, %d bytes of %d", ErrCorrupt, codec, len(packed), want)
	}
	if n, err := s2.DecodedLen(packed); err != nil || int64(n) != want || want > maxBody || want > mostRatio*int64(len(packed)) {
		return nil, fmt.Errorf("%w: %d packed bytes unpack to %d, header says %d", ErrCorrupt, len(packed), n, want)
	}
	body, err := s2.Decode(nil, packed)
	if err != nil {
		return nil, fmt.Errorf("%w: body: %w", ErrCorrupt, err)
	}
	return body, nil
}
