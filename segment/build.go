package segment

import (
	"fmt"
	"hash/crc32"
	"sync"

	"github.com/klauspost/compress/s2"

	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/topic"
)

// Run is what one partition puts into a segment: whole batches with their final offsets, one behind the other.
type Run struct {
	Partition  topic.Partition
	Epoch      topic.Epoch
	Base, Next topic.Offset // [Base, Next) is what Batches hold
	Batches    [][]byte     // one or more batches each, which passed recordbatch.Check; the Object references them until Release
}

// Object is a payload ready to be stored.
type Object struct {
	Parts  [][]byte // the payload's bytes, in order; batches that are not packed are the caller's own slices
	Size   int64    // sum of the lengths of Parts
	CRC32C uint32   // of all bytes of Parts
	Footer Footer   // with its Extents
	memory arena
}

// Release gives the Object's buffers back. Parts must not be used afterwards; Footer may.
func (o *Object) Release() {
	o.memory.release()
	o.Parts = nil
}

// Build makes a payload of runs, each partition at most once. f says all but the Extents, which Build adds. Batches
// that their producer compressed are referenced as they are; the others are packed with codec where that saves a
// sixteenth, and referenced otherwise. Errors: ErrInvalid for runs that are not what their fields say, ErrTooLarge.
func Build(f Footer, runs []Run, codec Codec) (*Object, error) {
	if len(runs) > MaxExtents {
		return nil, fmt.Errorf("%w: %d extents, at most %d", ErrTooLarge, len(runs), MaxExtents)
	}
	o := &Object{}
	w := writer{object: o, codec: codec}
	err := w.write(f, runs)
	w.free()
	if err != nil {
		o.Release()
		return nil, err
	}
	return o, nil
}

// writer is the state of one Build, and of an ObjectWriter's extent.
type writer struct {
	object  *Object
	codec   Codec
	start   int64                 // where in the object it begins
	holes   bool                  // whether offsets may lack batches
	scratch *[packedBlockRaw]byte // where batches of one block meet before they are packed; nil until needed
	blocks  []Block               // of the extent being written
	open    openBlock
}

// openBlock is the block that batches are added to.
type openBlock struct {
	pieces    []span
	raw       int
	first     topic.Offset
	pack      bool
	continued bool
	crc       uint32 // of the pieces, if they are not to be packed
}

var scratchPool = sync.Pool{New: func() any { return new([packedBlockRaw]byte) }}

func (w *writer) free() {
	if w.scratch != nil {
		scratchPool.Put(w.scratch)
		w.scratch = nil
	}
}

func (w *writer) write(f Footer, runs []Run) error {
	w.whole(appendVersion([]byte(headerMagic)))
	f.Extents = make([]Extent, 0, len(runs))
	for i := range runs {
		e, err := w.extent(&runs[i])
		if err != nil {
			return fmt.Errorf("run %d of partition %s: %w", i, runs[i].Partition, err)
		}
		f.Extents = append(f.Extents, e)
	}
	if f.Summary != nil { // what is left out of it is left out of the Object's
		s := *f.Summary
		f.Summary = &s
	}
	footer, err := appendFooter(nil, &f)
	if err != nil {
		return err
	}
	size := w.object.Size + int64(len(footer)) + TailSize
	if size > MaxPayload || len(footer) > MaxFooter {
		return fmt.Errorf("%w: %d bytes with a footer of %d", ErrTooLarge, size, len(footer))
	}
	w.whole(appendTail(footer, size, tailMagic))
	w.object.Footer = f
	return nil
}

func (w *writer) part(b []byte) {
	w.object.Parts = append(w.object.Parts, b)
	w.object.Size += int64(len(b))
}

// whole adds a part whose bytes are in no block.
func (w *writer) whole(b []byte) {
	w.part(b)
	w.object.CRC32C = crc32.Update(w.object.CRC32C, castagnoli, b)
}

// extent writes the blocks of run and then, into the part kept free before them, their table.
func (w *writer) extent(run *Run) (Extent, error) {
	position, table := w.object.Size, len(w.object.Parts)
	w.object.Parts = append(w.object.Parts, nil)
	w.blocks = w.blocks[:0]
	newest, raw, err := w.batches(run)
	if err != nil {
		return Extent{}, err
	}
	n := tableHeader + len(w.blocks)*tableEntry
	t := w.object.memory.take(w.object.memory.room(n)[:n])
	putTable(t, w.blocks)
	w.object.Parts[table] = t
	w.object.Size += int64(n)
	w.object.CRC32C = crc32.Update(w.object.CRC32C, castagnoli, t)
	for _, b := range w.blocks {
		w.object.CRC32C = joinCRC(w.object.CRC32C, b.CRC32C, int64(b.Stored))
	}
	if size := w.object.Size - w.start; size > MaxPayload || raw > MaxRaw {
		return Extent{}, fmt.Errorf("%w: %d bytes so far, %d of them raw in this run", ErrTooLarge, size, raw)
	}
	return Extent{
		Partition: run.Partition, Epoch: run.Epoch, Base: run.Base, Next: run.Next,
		Position: uint32(position), Length: uint32(w.object.Size - position), RawLength: uint32(raw),
		CRC32C: crc32.Checksum(t, castagnoli), MaxTimestamp: newest,
	}, nil
}

// batches puts the batches of run into blocks and gives their newest timestamp and their bytes. It verifies that they
// follow one another from run.Base to run.Next: a hole would be an offset that no reader finds (I5), unless holes are what
// the format allows.
func (w *writer) batches(run *Run) (newest int64, raw int, err error) {
	next := run.Base
	newest = -1
	for number, b := range run.Batches {
		for at := 0; at < len(b); {
			info, err := recordbatch.Read(b[at:])
			switch {
			case err != nil:
				return 0, 0, fmt.Errorf("%w: %w", ErrInvalid, err)
			case info.Size > len(b)-at:
				return 0, 0, fmt.Errorf("%w: batch of %d bytes, have %d", ErrInvalid, info.Size, len(b)-at)
			case info.BaseOffset < next || info.BaseOffset > next && !w.holes || info.LastOffsetDelta < 0:
				return 0, 0, fmt.Errorf("%w: batch [%d,%d), want base %d", ErrInvalid, info.BaseOffset, info.Next(), next)
			case info.LeaderEpoch != run.Epoch:
				return 0, 0, fmt.Errorf("%w: batch of epoch %d, want %d", ErrInvalid, info.LeaderEpoch, run.Epoch)
			}
			w.add(span{number: number, bytes: b, from: at, to: at + info.Size}, info)
			at += info.Size
			raw += info.Size
			next = info.Next()
			newest = max(newest, info.MaxTimestamp)
		}
	}
	w.close()
	if next > run.Next || next < run.Next && !w.holes || raw == 0 {
		return 0, 0, fmt.Errorf("%w: batches end at %d, want %d", ErrInvalid, next, run.Next)
	}
	return newest, raw, nil
}

// add puts the batch src.bytes[src.from:src.to] into the open block, or closes that and opens another.
func (w *writer) add(src span, info recordbatch.Info) {
	size := src.to - src.from
	pack := w.codec != None && info.Codec() == recordbatch.None
	limit := plainBlockRaw
	if pack {
		limit = packedBlockRaw
	}
	if w.open.raw > 0 && (w.open.pack != pack || w.open.raw+size > limit) {
		w.close()
	}
	if w.open.raw == 0 {
		w.open.pack, w.open.first = pack, info.BaseOffset
	}
	if !pack || size <= packedBlockRaw {
		w.open.append(src)
		if !pack {
			w.open.crc = addBatchCRC(w.open.crc, src.slice(), info)
		}
		return
	}
	for from := src.from; from < src.to; from += packedBlockRaw {
		w.open.pack, w.open.first, w.open.continued = true, info.BaseOffset, from > src.from
		w.open.append(span{number: src.number, bytes: src.bytes, from: from, to: min(src.to, from+packedBlockRaw)})
		w.close()
	}
}

// span is a part of one slice of Run.Batches.
type span struct {
	number   int // of the slice
	bytes    []byte
	from, to int
}

func (s span) slice() []byte { return s.bytes[s.from:s.to:s.to] }

// append adds a piece; neighbours within one slice become one piece.
func (o *openBlock) append(s span) {
	o.raw += s.to - s.from
	if n := len(o.pieces); n > 0 && o.pieces[n-1].number == s.number && o.pieces[n-1].to == s.from {
		o.pieces[n-1].to = s.to
		return
	}
	o.pieces = append(o.pieces, s)
}

// addBatchCRC extends a CRC by a batch. The batch's own CRC, verified when it came, covers nearly all of it; joining that
// spares a second pass over its bytes, and a byte that memory flips in between shows when the block is read (I5).
func addBatchCRC(crc uint32, batch []byte, info recordbatch.Info) uint32 {
	if len(batch) < joinFrom {
		return crc32.Update(crc, castagnoli, batch)
	}
	crc = crc32.Update(crc, castagnoli, batch[:recordbatch.CRCStart])
	return joinCRC(crc, info.CRC, int64(len(batch)-recordbatch.CRCStart))
}

// joinFrom is the batch size from which joining CRCs is cheaper than computing one.
const joinFrom = 8 << 10

// close writes the open block.
func (w *writer) close() {
	if w.open.raw == 0 {
		return
	}
	block := Block{
		Codec: None, Continued: w.open.continued, First: w.open.first,
		Raw: uint32(w.open.raw), Stored: uint32(w.open.raw), CRC32C: w.open.crc,
	}
	if packed := w.packed(); packed != nil {
		block.Codec, block.Stored = w.codec, uint32(len(packed))
		block.CRC32C = crc32.Checksum(packed, castagnoli)
		w.part(packed)
	} else {
		for _, p := range w.open.pieces {
			w.part(p.slice())
			if w.open.pack {
				block.CRC32C = crc32.Update(block.CRC32C, castagnoli, p.slice())
			}
		}
	}
	w.blocks = append(w.blocks, block)
	clear(w.open.pieces)
	w.open = openBlock{pieces: w.open.pieces[:0]}
}

// packed gives the open block packed, or nil if it is to stay as it is.
func (w *writer) packed() []byte {
	if !w.open.pack {
		return nil
	}
	raw := w.open.pieces[0].slice()
	if len(w.open.pieces) > 1 {
		raw = w.gather()
	}
	packed := w.codec.pack(w.object.memory.room(s2.MaxEncodedLen(len(raw))), raw)
	if len(packed) > len(raw)-len(raw)/16 {
		return nil
	}
	return w.object.memory.take(packed)
}

// gather copies the open block's pieces together.
func (w *writer) gather() []byte {
	if w.scratch == nil {
		w.scratch = scratchPool.Get().(*[packedBlockRaw]byte)
	}
	n := 0
	for _, p := range w.open.pieces {
		n += copy(w.scratch[n:], p.slice())
	}
	return w.scratch[:n]
}
