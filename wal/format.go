package wal

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
)

// The format, version 1. All integers are big endian, all checksums CRC32C (Castagnoli).
//
// A ring is a directory of files of one fixed size, each numbered by its name, and a file of marks. A file
// is written from start to end, over and over; each time it stands for the next *sequence* of the ring's address
// space, and a byte's *position* is sequence * FileBytes + offset in the file. Positions only grow.
//
//	file    | header, 4 KiB, never rewritten | entry | entry | ... | zeros, or stale bytes of an earlier use |
//
//	header  0       8         12      16         32           40        48      60    64        4096
//	        | magic | version | index | identity | file bytes | made ms | zeros | crc | zeros ... |
//
//	entry   0            4             8        12      16         24         32         40       48
//	        | header crc | payload crc | length | zeros | position | previous | released | synced | payload | zeros to 8
//
//	marks   two slots of 4 KiB, written in turn:
//	        0       8      24         32         36
//	        | magic | ident | released | crc      |
//
// The header crc covers bytes 4..48 and is seeded with the crc of the identity; the payload crc is seeded with the
// crc of identity and position. Previous is the end of the entry before: equal to position, except for the
// first entry of a file. [released, synced) was on stable storage when the entry was written; what lies
// below released counts in the bucket.
const (
	fileMagic   = "ODRWALF1"
	markMagic   = "ODRWALM1"
	fileVersion = 1

	pageBytes       = 4096
	fileHeaderUsed  = 64
	fileHeaderBytes = pageBytes // entries begin on a page of their own
	entryHeader     = 48
	entryAlign      = 8
	markUsed        = 36
	marksBytes      = 2 * pageBytes
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Identity tells one ring from another: the id of the journal whose batches it holds.
type Identity [16]byte

// String gives 32 hexadecimal digits, the name of the ring's directory.
func (id Identity) String() string { return hex.EncodeToString(id[:]) }

func parseIdentity(s string) (Identity, bool) {
	var id Identity
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(id) {
		return id, false
	}
	return Identity(b), true
}

func (id Identity) seed() uint32 { return crc32.Checksum(id[:], castagnoli) }

// Position is a place in the ring's address space. Append returns the end of the entry appended; zero is the
// place before all entries.
type Position uint64

// fileHead is the decoded header of a file of the ring.
type fileHead struct {
	identity  Identity
	index     uint32
	fileBytes int64
	madeMs    int64 // Unix time, for people and for the order of rings
}

func (h fileHead) encode() []byte {
	b := make([]byte, fileHeaderBytes)
	copy(b, fileMagic)
	binary.BigEndian.PutUint32(b[8:], fileVersion)
	binary.BigEndian.PutUint32(b[12:], h.index)
	copy(b[16:], h.identity[:])
	binary.BigEndian.PutUint64(b[32:], uint64(h.fileBytes))
	binary.BigEndian.PutUint64(b[40:], uint64(h.madeMs))
	binary.BigEndian.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli))
	return b
}

// decodeFileHead reads a header of fileHeaderUsed bytes.
func decodeFileHead(b []byte) (fileHead, error) {
	if string(b[:8]) != fileMagic {
		return fileHead{}, fmt.Errorf("magic %q, want %q", b[:8], fileMagic)
	}
	if got, want := crc32.Checksum(b[:60], castagnoli), binary.BigEndian.Uint32(b[60:]); got != want {
		return fileHead{}, fmt.Errorf("header crc %08x, want %08x", got, want)
	}
	if v := binary.BigEndian.Uint32(b[8:]); v != fileVersion {
		return fileHead{}, fmt.Errorf("%w: %d, this build reads %d", ErrVersion, v, fileVersion)
	}
	h := fileHead{
		identity:  Identity(b[16:32]),
		index:     binary.BigEndian.Uint32(b[12:]),
		fileBytes: int64(binary.BigEndian.Uint64(b[32:])),
		madeMs:    int64(binary.BigEndian.Uint64(b[40:])),
	}
	if h.fileBytes < minFileBytes || h.fileBytes > maxFileBytes {
		return fileHead{}, fmt.Errorf("file size %d, want %d to %d", h.fileBytes, minFileBytes, maxFileBytes)
	}
	return h, nil
}

// entryHead is the decoded header of an entry.
type entryHead struct {
	payloadCRC uint32
	length     uint32
	position   Position // where the entry starts
	previous   Position // end of the entry before; previous <= position
	released   Position // released <= position
	synced     Position // synced <= position
}

// end returns where the entry ends, padding included.
func (h entryHead) end() Position { return h.position + Position(entrySize(int(h.length))) }

// entrySize returns the bytes that an entry of n payload bytes takes.
func entrySize(n int) int64 {
	return (entryHeader + int64(n) + entryAlign - 1) &^ (entryAlign - 1)
}

// put writes the header into b, which has entryHeader bytes.
func (h entryHead) put(b []byte, seed uint32) {
	binary.BigEndian.PutUint32(b[4:], h.payloadCRC)
	binary.BigEndian.PutUint32(b[8:], h.length)
	binary.BigEndian.PutUint32(b[12:], 0)
	binary.BigEndian.PutUint64(b[16:], uint64(h.position))
	binary.BigEndian.PutUint64(b[24:], uint64(h.previous))
	binary.BigEndian.PutUint64(b[32:], uint64(h.released))
	binary.BigEndian.PutUint64(b[40:], uint64(h.synced))
	binary.BigEndian.PutUint32(b, crc32.Update(seed, castagnoli, b[4:entryHeader]))
}

// getEntryHead reads the header in b if it is one of this ring, at this offset of a file of fileBytes bytes.
func getEntryHead(b []byte, seed uint32, offset, fileBytes int64) (entryHead, bool) {
	h := entryHead{position: Position(binary.BigEndian.Uint64(b[16:]))}
	if h.position == 0 || h.position%Position(fileBytes) != Position(offset) {
		return h, false
	}
	if crc32.Update(seed, castagnoli, b[4:entryHeader]) != binary.BigEndian.Uint32(b) {
		return h, false
	}
	h.payloadCRC = binary.BigEndian.Uint32(b[4:])
	h.length = binary.BigEndian.Uint32(b[8:])
	h.previous = Position(binary.BigEndian.Uint64(b[24:]))
	h.released = Position(binary.BigEndian.Uint64(b[32:]))
	h.synced = Position(binary.BigEndian.Uint64(b[40:]))
	sane := h.previous <= h.position && h.released <= h.position && h.synced <= h.position &&
		entrySize(int(h.length)) <= fileBytes-offset
	return h, sane
}

// payloadSeed is what an entry's payload crc starts from.
func payloadSeed(seed uint32, p Position) uint32 {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(p))
	return crc32.Update(seed, castagnoli, b[:])
}

func encodeMark(id Identity, released Position) []byte {
	b := make([]byte, pageBytes)
	copy(b, markMagic)
	copy(b[8:], id[:])
	binary.BigEndian.PutUint64(b[24:], uint64(released))
	binary.BigEndian.PutUint32(b[32:], crc32.Checksum(b[:32], castagnoli))
	return b
}

// decodeMark reads a mark of markUsed bytes.
func decodeMark(b []byte, id Identity) (released Position, ok bool) {
	ok = string(b[:8]) == markMagic && Identity(b[8:24]) == id &&
		binary.BigEndian.Uint32(b[32:]) == crc32.Checksum(b[:32], castagnoli)
	return Position(binary.BigEndian.Uint64(b[24:])), ok
}
