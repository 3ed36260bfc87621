package slotlog

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"

	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/trace"
)

// TrailerSize is the length of the trailer that ends every object of a slotted log:
//
//	offset  size  field
//	     0     8  magic "ODRSLOT1"
//	     8     1  kind: 1 data, 2 seal
//	     9     7  zero
//	    16    16  nonce, drawn when the body was frozen
//	    32     8  length of the whole object, big endian
//	    40     4  zero
//	    44     4  CRC32C of every byte of the object before this field, big endian
const TrailerSize = 48

const (
	magic    = "ODRSLOT1"
	reserved = "\x00\x00\x00\x00\x00\x00\x00" // what the zero fields hold
)

// MaxSlotBytes is the largest body of a slot: one PUT (rule S2).
const MaxSlotBytes = 64 << 20

// Kind says what a slot's object is.
type Kind uint8

// Data carries a payload and may count; a Seal closes the log.
const (
	Data Kind = 1
	Seal Kind = 2
)

func (k Kind) String() string {
	switch k {
	case Data:
		return "data"
	case Seal:
		return "seal"
	}
	return "kind " + strconv.Itoa(int(k))
}

// Nonce names one frozen body. It is drawn anew for every body, not per process, so that two bodies of one writer
// can never be taken for each other.
type Nonce [16]byte

// NewNonce draws a nonce.
func NewNonce() Nonce {
	var n Nonce
	rand.Read(n[:]) // never fails: crypto/rand ends the process instead
	return n
}

// Digest names a body (S1): all three equal means the same bytes.
type Digest struct {
	Nonce  Nonce
	Length int64
	CRC32C uint32
}

// ErrCorrupt says that an object is not a whole body of a slotted log.
var ErrCorrupt = errors.New("corrupt slot object")

// Envelope is an object of a slotted log, opened and checked.
type Envelope struct {
	Kind    Kind
	Digest  Digest
	Payload []byte // what was given to Freeze; positions in it are positions in the object
}

// Frozen is a body whose bytes are fixed for one slot.
type Frozen struct {
	Digest Digest
	Kind   Kind
	Body   objectstore.Body
	Span   trace.Span // of the slot; nothing unless it is recorded
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Freeze fixes the bytes of a body: the payload's parts, which must not change from now on, and a trailer.
func Freeze(kind Kind, payload ...[]byte) Frozen {
	return FreezeBody(kind, objectstore.NewBody(payload...))
}

// FreezeBody is Freeze for a payload whose size and CRC32C are known already: none of its bytes is read again. A store
// that checks what it gets refuses the body if they are wrong.
func FreezeBody(kind Kind, body objectstore.Body) Frozen {
	nonce := NewNonce() // S1: it names these bytes and no others
	body.Size += TrailerSize

	t := make([]byte, TrailerSize)
	copy(t, magic)
	t[8] = byte(kind)
	copy(t[16:], nonce[:])
	binary.BigEndian.PutUint64(t[32:], uint64(body.Size))
	crc := crc32.Update(body.CRC32C, castagnoli, t[:44])
	binary.BigEndian.PutUint32(t[44:], crc)

	body.CRC32C = crc32.Update(crc, castagnoli, t[44:])
	body.Parts = append(body.Parts[:len(body.Parts):len(body.Parts)], t)
	body.Meta = map[string]string{
		"odradek-nonce":  hex.EncodeToString(nonce[:]),
		"odradek-length": strconv.FormatInt(body.Size, 10),
		"odradek-crc32c": fmt.Sprintf("%08x", crc),
	}
	return Frozen{Kind: kind, Body: body, Digest: Digest{Nonce: nonce, Length: body.Size, CRC32C: crc}}
}

// Open checks a whole object and gives its payload, which is a part of object.
func Open(object []byte) (Envelope, error) {
	kind, d, err := ReadTrailer(object)
	if err != nil {
		return Envelope{}, err
	}
	if d.Length != int64(len(object)) {
		return Envelope{}, fmt.Errorf("%w: %d bytes, trailer says %d", ErrCorrupt, len(object), d.Length)
	}
	if crc := crc32.Checksum(object[:len(object)-4], castagnoli); crc != d.CRC32C {
		return Envelope{}, fmt.Errorf("%w: crc %08x, want %08x", ErrCorrupt, crc, d.CRC32C)
	}
	return Envelope{Kind: kind, Digest: d, Payload: object[: len(object)-TrailerSize : len(object)-TrailerSize]}, nil
}

// ReadTrailer reads the trailer at the end of tail, the last bytes of an object. It checks its shape, not the CRC.
func ReadTrailer(tail []byte) (Kind, Digest, error) {
	if len(tail) < TrailerSize {
		return 0, Digest{}, fmt.Errorf("%w: %d bytes, a trailer has %d", ErrCorrupt, len(tail), TrailerSize)
	}
	t := tail[len(tail)-TrailerSize:]
	if v, ok := strings.CutPrefix(string(t[:8]), magic[:7]); ok && v != magic[7:] {
		return 0, Digest{}, fmt.Errorf("%w: trailer of version %s, this build reads %s", ErrCorrupt, v, magic[7:])
	}
	if string(t[:8]) != magic {
		return 0, Digest{}, fmt.Errorf("%w: magic %x, want %x", ErrCorrupt, t[:8], magic)
	}
	kind := Kind(t[8])
	if kind != Data && kind != Seal {
		return 0, Digest{}, fmt.Errorf("%w: unknown %s", ErrCorrupt, kind)
	}
	if string(t[9:16]) != reserved || string(t[40:44]) != reserved[:4] {
		return 0, Digest{}, fmt.Errorf("%w: reserved bytes %x %x, want zero", ErrCorrupt, t[9:16], t[40:44])
	}
	d := Digest{
		Nonce:  Nonce(t[16:32]),
		Length: int64(binary.BigEndian.Uint64(t[32:])),
		CRC32C: binary.BigEndian.Uint32(t[44:]),
	}
	if d.Length < TrailerSize || d.Length > MaxSlotBytes {
		return 0, Digest{}, fmt.Errorf("%w: length %d", ErrCorrupt, d.Length)
	}
	return kind, d, nil
}
