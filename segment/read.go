package segment

import (
	"fmt"
	"hash/crc32"
	"sort"

	"github.com/odradek/odradek/topic"
)

// ReadExtent gives the record batches of e, byte for byte as they were put in, from stored, the bytes of e in the
// object: [Position, Position+Length). Every byte is verified. If no block is packed the result is part of stored;
// otherwise the caller owns it. Error: ErrCorrupt, naming the block and both values.
func ReadExtent(e Extent, stored []byte) ([]byte, error) {
	raw, err := readExtent(e, stored)
	if err != nil {
		return nil, fmt.Errorf("extent %s [%d,%d) at byte %d: %w", e.Partition, e.Base, e.Next, e.Position, err)
	}
	return raw, nil
}

func readExtent(e Extent, stored []byte) ([]byte, error) {
	if len(stored) != int(e.Length) {
		return nil, fmt.Errorf("%w: %d bytes, want %d", ErrCorrupt, len(stored), e.Length)
	}
	blocks, err := ReadTable(e, stored)
	if err != nil {
		return nil, err
	}
	return Unpack(blocks, stored[blocks[0].Position-e.Position:])
}

// From gives those of an extent's blocks that a reader of offset needs: from the block with which the batch that holds
// offset begins, to the last. It is empty if blocks is.
func From(blocks []Block, offset topic.Offset) []Block {
	n := sort.Search(len(blocks), func(i int) bool { return blocks[i].First > offset })
	for n--; n > 0 && blocks[n].Continued; {
		n--
	}
	return blocks[max(n, 0):]
}

// Unpack gives the raw bytes of blocks, neighbours in their extent, from stored, which begins with the first block's
// bytes and has all of them. Checksums are verified. If no block is packed the result is part of stored; otherwise the
// caller owns it. Error: ErrCorrupt, naming the block and both values.
func Unpack(blocks []Block, stored []byte) ([]byte, error) {
	rawSize, at, packed := 0, 0, false
	for i, b := range blocks {
		end := at + int(b.Stored)
		if end > len(stored) {
			return nil, fmt.Errorf("%w: block %d at byte %d has %d bytes, want %d", ErrCorrupt, i, b.Position, len(stored)-at, b.Stored)
		}
		if have := crc32.Checksum(stored[at:end], castagnoli); have != b.CRC32C {
			return nil, fmt.Errorf("%w: block %d at byte %d: crc %08x, want %08x", ErrCorrupt, i, b.Position, have, b.CRC32C)
		}
		rawSize += int(b.Raw)
		packed = packed || b.Codec != None
		at = end
	}
	if !packed {
		return stored[:at:at], nil
	}
	if rawSize > MaxRaw {
		return nil, fmt.Errorf("%w: blocks of %d raw bytes, at most %d", ErrCorrupt, rawSize, MaxRaw)
	}
	raw := make([]byte, rawSize)
	to := raw
	for i, b := range blocks {
		if err := b.Codec.unpack(to[:b.Raw:b.Raw], stored[:b.Stored]); err != nil {
			return nil, fmt.Errorf("block %d at byte %d: %w", i, b.Position, err)
		}
		to, stored = to[b.Raw:], stored[b.Stored:]
	}
	return raw, nil
}
