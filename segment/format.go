package segment

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/odradek/odradek/sequence"
	"github.com/odradek/odradek/topic"
)

// A payload, version 1. Integers are big endian; the footer's are varints as of encoding/binary.
//
//	+--------+----------+----------+-----+----------+--------+------+
//	| header | extent 0 | extent 1 | ... | extent n | footer | tail |
//	+--------+----------+----------+-----+----------+--------+------+
//	 8 bytes                                                  24 bytes
//
// It is read from its end: the tail gives the footer, the footer gives the extents. Extents lie one behind the other
// without a gap, so that their lengths are all that the footer needs to say where they are.
//
//	header   0 "ODRSEG"              6 version uint16
//
//	tail     0 payload length uint64, header and tail included
//	         8 footer length uint32  12 version uint32
//	        16 CRC32C uint32 of the footer and the 16 bytes before this field
//	        20 "ODRS"
//
// An extent is a block table and its blocks. The footer holds the table's checksum and the table holds each block's:
// whoever has the footer can verify any single block.
//
//	extent   0 block count uint32    4 zero uint32
//	         8 block 0               32 block 1 ...  the blocks' bytes
//
//	block    0 codec uint8           1 flags uint8   2 zero uint16
//	         4 stored length uint32  8 raw length uint32
//	        12 CRC32C uint32 of the stored bytes
//	        16 first offset int64 of the batch that the block begins with, or in
//
// The raw bytes of all blocks of an extent, put together, are its record batches as the partition's consumers get
// them (I5). Blocks begin with a batch; only an uncompressed batch of more than 128 KiB is split, and its later pieces
// have flag 1. Batches that their producer compressed lie in blocks of codec none, uncompressed ones are packed.
const (
	Version = 1

	headerSize     = 8
	headerMagic    = "ODRSEG"
	TailSize       = 24
	tailMagic      = "ODRS"
	tableHeader    = 8
	tableEntry     = 24
	flagContinued  = 1
	packedBlockRaw = 128 << 10 // a packed block holds at most this much
	plainBlockRaw  = 256 << 10 // a block of codec none holds at most this much, or one larger batch
)

// Caps. A slot is one PUT of at most 64 MiB (S2), of which 4 KiB are kept for the slot's envelope.
const (
	MaxPayload = 64<<20 - 4<<10
	MaxExtents = 2000
	MaxFooter  = 16 << 20
	MaxRaw     = 128 << 20 // of one extent, unpacked
	MaxRecent  = SummaryEvery - 1

	// SummaryEvery is how often a footer repeats what the ones before it said: slots 63, 127 and so on carry a Summary.
	SummaryEvery = 64
	// MaxRecentBytes is the most that a Summary's Recent takes in the footer. Build leaves out one that takes more.
	MaxRecentBytes = 1 << 20
)

// What is wrong with bytes that were read, or asked of Build. Errors wrap one of these.
var (
	// ErrCorrupt says that bytes are not what was written: the error names the place and both values.
	ErrCorrupt = errors.New("segment corrupt")
	// ErrVersion says that the payload was written by a newer Odradek.
	ErrVersion = errors.New("segment version unknown")
	// ErrTooLarge says that a payload would pass one of the caps.
	ErrTooLarge = errors.New("segment too large")
	// ErrInvalid says that Build was given runs that are no contiguous rows of batches.
	ErrInvalid = errors.New("segment runs invalid")
)

// ShortError says that the bytes given do not hold all that is to be read.
type ShortError struct {
	Need int64 // bytes: from the payload's end for a footer, from the extent's start for a table
}

func (e *ShortError) Error() string { return fmt.Sprintf("segment: %d bytes needed", e.Need) }

// Extent is one partition's run of record batches in a payload.
type Extent struct {
	Partition    topic.Partition
	Epoch        topic.Epoch
	Base, Next   topic.Offset // its records: [Base, Next), not empty
	Position     uint32       // of its block table in the object
	Length       uint32       // table and blocks as stored
	RawLength    uint32       // its record batches
	CRC32C       uint32       // of its block table
	MaxTimestamp int64        // the newest of its batches, ms since 1970
}

// LogStart says that a partition begins at Start from this slot on.
type LogStart struct {
	Partition topic.Partition
	Start     topic.Offset
}

// Release gives a partition away: its owner appends nothing behind End under Epoch (I3).
type Release struct {
	Partition     topic.Partition
	Epoch         topic.Epoch
	End           topic.Offset
	ProducerState []byte // sequence.State as of all slots up to this one
}

// PartitionEnd is where a partition stands: the next offset to be written, and the epoch of its owner.
type PartitionEnd struct {
	Partition topic.Partition
	Epoch     topic.Epoch
	Next      topic.Offset
}

// SlotExtents repeats what an earlier footer said: all that whoever reads the log from its beginning needs of it.
type SlotExtents struct {
	Slot      topic.Slot
	Extents   []Extent
	Producers []sequence.Delta
	LogStarts []LogStart
}

// Repeated gives what a later Summary repeats of the footer.
func (f *Footer) Repeated() SlotExtents {
	return SlotExtents{Slot: f.Slot, Extents: f.Extents, Producers: f.Producers, LogStarts: f.LogStarts}
}

// Summary lets a reader skip 63 footers: every 64th slot carries one.
type Summary struct {
	Ends   []PartitionEnd // of all partitions of the journal, this slot included
	Recent []SlotExtents  // of all 63 slots before this one, rising; none if they take more than MaxRecentBytes
}

// Footer says what a payload holds.
type Footer struct {
	Journal   topic.JournalID
	Slot      topic.Slot
	CreatedMs int64            // when it was frozen, ms since 1970 by the agent's clock
	Extents   []Extent         // in the order of their bytes, a partition once
	Producers []sequence.Delta // of the batches in Extents, rising per partition: producer state is made of these alone (I8)
	LogStarts []LogStart
	Releases  []Release
	Summary   *Summary // nil but every 64th slot
}

// At says whether the footer belongs where it was found. The object that holds slot k of a journal was made for that slot
// and no other; one that a copy or a restore put elsewhere is refused here and never counts (I2). Error: ErrCorrupt.
func (f *Footer) At(journal topic.JournalID, slot topic.Slot) error {
	if f.Journal != journal || f.Slot != slot {
		return fmt.Errorf("%w: footer of slot %d of journal %s, want slot %d of %s", ErrCorrupt, f.Slot, f.Journal, slot, journal)
	}
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// appendVersion makes a header of its magic.
func appendVersion(magic []byte) []byte { return binary.BigEndian.AppendUint16(magic, Version) }

// appendTail closes a payload or object of size bytes, tail included, whose footer is all of b.
func appendTail(b []byte, size int64, magic string) []byte {
	n := len(b)
	b = binary.BigEndian.AppendUint64(b, uint64(size))
	b = binary.BigEndian.AppendUint32(b, uint32(n))
	b = binary.BigEndian.AppendUint32(b, Version)
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	return append(b, magic...)
}

// openTail gives the footer's bytes from end, the last bytes of a payload of size bytes, at most limit.
func openTail(end []byte, size int64, magic string, limit int64) ([]byte, error) {
	if size > limit || size < headerSize+TailSize {
		return nil, fmt.Errorf("%w: payload of %d bytes", ErrCorrupt, size)
	}
	if len(end) < TailSize {
		return nil, &ShortError{Need: TailSize}
	}
	t := end[len(end)-TailSize:]
	if have := string(t[20:]); have != magic {
		return nil, fmt.Errorf("%w: tail magic %q, want %q", ErrCorrupt, have, magic)
	}
	if v := binary.BigEndian.Uint32(t[12:]); v != Version {
		return nil, fmt.Errorf("%w: %d, this build reads %d", ErrVersion, v, Version)
	}
	// A cut or padded object is told by its length before anything in it is believed.
	if have := binary.BigEndian.Uint64(t); have != uint64(size) {
		return nil, fmt.Errorf("%w: tail says %d bytes, payload has %d", ErrCorrupt, have, size)
	}
	n := int64(binary.BigEndian.Uint32(t[8:]))
	if n > MaxFooter || n > size-headerSize-TailSize {
		return nil, fmt.Errorf("%w: footer of %d bytes in a payload of %d", ErrCorrupt, n, size)
	}
	if n+TailSize > int64(len(end)) {
		return nil, &ShortError{Need: n + TailSize}
	}
	covered := end[int64(len(end))-TailSize-n : len(end)-8]
	if have, want := crc32.Checksum(covered, castagnoli), binary.BigEndian.Uint32(t[16:]); have != want {
		return nil, fmt.Errorf("%w: footer crc %08x, want %08x", ErrCorrupt, have, want)
	}
	return covered[:n:n], nil
}

// Block is a part of an extent that can be read and verified by itself.
type Block struct {
	Codec     Codec
	Continued bool         // begins inside the batch that the block before began
	Position  uint32       // in the object
	Stored    uint32       // bytes in the object
	Raw       uint32       // bytes unpacked
	CRC32C    uint32       // of the stored bytes
	First     topic.Offset // base offset of the batch it begins with, or in
}

// putTable writes the table of blocks into t, which has tableHeader + len(blocks)*tableEntry bytes.
func putTable(t []byte, blocks []Block) {
	binary.BigEndian.PutUint64(t, uint64(len(blocks))<<32)
	for i, b := range blocks {
		e := t[tableHeader+i*tableEntry:]
		e[0], e[1], e[2], e[3] = byte(b.Codec), 0, 0, 0
		if b.Continued {
			e[1] = flagContinued
		}
		binary.BigEndian.PutUint32(e[4:], b.Stored)
		binary.BigEndian.PutUint32(e[8:], b.Raw)
		binary.BigEndian.PutUint32(e[12:], b.CRC32C)
		binary.BigEndian.PutUint64(e[16:], uint64(b.First))
	}
}

// ReadTable reads the blocks of e from prefix, the first bytes of e as stored. It verifies the table against e's
// checksum, and that the blocks fill e exactly. Errors: *ShortError if prefix ends before the table does, ErrCorrupt.
func ReadTable(e Extent, prefix []byte) ([]Block, error) {
	if len(prefix) < tableHeader {
		return nil, &ShortError{Need: tableHeader}
	}
	count := int64(binary.BigEndian.Uint32(prefix))
	size := tableHeader + count*tableEntry
	if count == 0 || size+count > int64(e.Length) {
		return nil, fmt.Errorf("%w: %d blocks in an extent of %d bytes", ErrCorrupt, count, e.Length)
	}
	if size > int64(len(prefix)) {
		return nil, &ShortError{Need: size}
	}
	// From here on the table is what the footer was written with, and each block is what the table says: bytes that were
	// visible once never read differently (I5).
	if have := crc32.Checksum(prefix[:size], castagnoli); have != e.CRC32C {
		return nil, fmt.Errorf("%w: block table crc %08x, want %08x", ErrCorrupt, have, e.CRC32C)
	}
	blocks := make([]Block, count)
	at, raw := size, int64(0)
	for i := range blocks {
		b := &blocks[i]
		if err := b.parse(prefix[tableHeader+i*tableEntry:]); err != nil {
			return nil, fmt.Errorf("block %d: %w", i, err)
		}
		b.Position = e.Position + uint32(at)
		at += int64(b.Stored)
		raw += int64(b.Raw)
		if b.First < e.Base || b.First >= e.Next || (i > 0 && b.First < blocks[i-1].First) {
			return nil, fmt.Errorf("%w: block %d at offset %d of extent [%d,%d)", ErrCorrupt, i, b.First, e.Base, e.Next)
		}
	}
	if at != int64(e.Length) || raw != int64(e.RawLength) {
		return nil, fmt.Errorf("%w: blocks fill %d bytes, raw %d; want %d, raw %d", ErrCorrupt, at, raw, e.Length, e.RawLength)
	}
	return blocks, nil
}

// parse reads a table entry, all but the position.
func (b *Block) parse(e []byte) error {
	*b = Block{
		Codec:     Codec(e[0]),
		Continued: e[1]&flagContinued != 0,
		Stored:    binary.BigEndian.Uint32(e[4:]),
		Raw:       binary.BigEndian.Uint32(e[8:]),
		CRC32C:    binary.BigEndian.Uint32(e[12:]),
		First:     topic.Offset(binary.BigEndian.Uint64(e[16:])),
	}
	switch {
	case b.Codec > Zstd || e[1] > flagContinued || e[2] != 0 || e[3] != 0:
		return fmt.Errorf("%w: codec %d, flags %x", ErrCorrupt, b.Codec, e[1:4])
	case b.Stored == 0 || b.Raw == 0 || b.Stored > MaxPayload || b.Raw > MaxRaw:
		return fmt.Errorf("%w: %d bytes, raw %d", ErrCorrupt, b.Stored, b.Raw)
	case b.Codec == None && b.Stored != b.Raw:
		return fmt.Errorf("%w: %d bytes unpacked, stored as %d", ErrCorrupt, b.Raw, b.Stored)
	case b.Codec != None && b.Raw > packedBlockRaw:
		return fmt.Errorf("%w: packed block of %d bytes, at most %d", ErrCorrupt, b.Raw, packedBlockRaw)
	}
	return nil
}
