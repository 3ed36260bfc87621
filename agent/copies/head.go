package copies

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/topic"
)

// errUnfit says that the copies of a partition do not fit together.
var errUnfit = errors.New("copies do not fit together")

const (
	headVersion = 1
	headSize    = 1 + 8 + 8 + 8 + 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// head is what the copies of groups and offsets of a partition sum up to.
//
//	version 1 | position u64 | live copies u64 | digest u64 | CRC32C of all before it u32; big endian
type head struct {
	position topic.Offset // the copies are what the log below says
	live     uint64       // copies that are no tombstones
	digest   uint64       // sum of the digests of these, modulo 2^64
}

func (h head) append(b []byte) []byte {
	b = append(b, headVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(h.position))
	b = binary.BigEndian.AppendUint64(b, h.live)
	b = binary.BigEndian.AppendUint64(b, h.digest)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[len(b)-headSize+4:], castagnoli))
}

func readHead(c metadata.Copy) (head, error) {
	b := c.Value
	if len(b) != headSize || b[0] != headVersion {
		return head{}, fmt.Errorf("%w: head of %d bytes, want %d of version %d", errUnfit, len(b), headSize, headVersion)
	}
	if have, want := crc32.Checksum(b[:headSize-4], castagnoli), binary.BigEndian.Uint32(b[headSize-4:]); have != want {
		return head{}, fmt.Errorf("%w: head: crc %08x, want %08x", errUnfit, have, want)
	}
	h := head{
		position: topic.Offset(binary.BigEndian.Uint64(b[1:])),
		live:     binary.BigEndian.Uint64(b[9:]),
		digest:   binary.BigEndian.Uint64(b[17:]),
	}
	if h.position != c.Position || h.position < 0 {
		return head{}, fmt.Errorf("%w: head of %d stands at %d", errUnfit, h.position, c.Position)
	}
	return h, nil
}

// digestOf is one copy's part of the digest: the first 8 bytes of SHA-256 over kind, length of the key (u32), key and
// value.
func digestOf(n name, value []byte) uint64 {
	b := make([]byte, 0, 5+len(n.key)+len(value))
	b = append(b, byte(n.kind))
	b = binary.BigEndian.AppendUint32(b, uint32(len(n.key)))
	b = append(b, n.key...)
	b = append(b, value...)
	sum := sha256.Sum256(b)
	return binary.BigEndian.Uint64(sum[:])
}
