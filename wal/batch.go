package wal

import "hash/crc32"

// batch is what one WriteAt writes: the entries of a range of positions in one file.
type batch struct {
	seed    uint32
	start   Position
	end     Position
	parts   [][]byte
	scratch []byte // headers, paddings and small payloads; parts point into it, so that it never grows
	open    bool   // the last of parts is the end of scratch and may be extended
}

func newBatch(seed uint32) *batch {
	return &batch{seed: seed, parts: make([][]byte, 0, batchVectors), scratch: make([]byte, 0, scratchBytes)}
}

func (b *batch) reset(start Position) {
	b.start, b.end = start, start
	clear(b.parts)
	b.parts, b.scratch, b.open = b.parts[:0], b.scratch[:0], false
}

// hasRoom reports whether the entry may join. An empty batch takes any entry.
func (b *batch) hasRoom(e entry) bool {
	if b.end == b.start {
		return true
	}
	return len(b.parts)+len(e.parts)+2 < batchVectors &&
		len(b.scratch)+entryHeader+copyBelow+entryAlign+pageBytes <= scratchBytes &&
		int64(b.end-b.start)+entrySize(e.length) <= batchBytes
}

// add appends the entry with its header and padding.
func (b *batch) add(e entry, released, synced Position) {
	h := entryHead{
		payloadCRC: payloadSeed(b.seed, e.start),
		length:     uint32(e.length),
		position:   e.start,
		previous:   e.previous,
		released:   released,
		synced:     synced,
	}
	for _, p := range e.parts {
		h.payloadCRC = crc32.Update(h.payloadCRC, castagnoli, p)
	}
	h.put(b.extend(entryHeader), b.seed)
	for _, p := range e.parts {
		if e.length < copyBelow {
			copy(b.extend(len(p)), p)
		} else if len(p) > 0 {
			b.parts = append(b.parts, p)
			b.open = false
		}
	}
	clear(b.extend(int(entrySize(e.length)) - entryHeader - e.length))
	b.end = e.end()
}

// extend returns n more bytes of scratch, to be written after what is there already.
func (b *batch) extend(n int) []byte {
	from := len(b.scratch)
	b.scratch = b.scratch[:from+n]
	more := b.scratch[from : from+n : from+n]
	switch last := len(b.parts) - 1; {
	case n == 0:
	case b.open:
		b.parts[last] = b.scratch[from-len(b.parts[last]) : from+n]
	default:
		b.parts = append(b.parts, more)
		b.open = true
	}
	return more
}

// vectors returns what to write: the entries, and zeros up to the next page, so that the kernel never has to read
// a page of the file's earlier use before it changes a part of it.
func (b *batch) vectors() [][]byte {
	clear(b.extend(int(-b.end & (pageBytes - 1))))
	return b.parts
}
