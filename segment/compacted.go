package segment

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"

	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/topic"
)

// A compacted object, version 1: what compaction makes of many slots, few partitions and much of each. Integers are big
// endian; tables and the footer are varints as of encoding/binary.
//
//	+--------+----------+-----+----------+-----------+-----+--------+------+
//	| header | extent 0 | ... | extent n | its table | ... | footer | tail |
//	+--------+----------+-----+----------+-----------+-----+--------+------+
//	 8 bytes |<---------- a run ---------------------->|              24 bytes
//
//	header   0 "ODRCMP"              6 version uint16
//
//	tail     0 object length uint64, header and tail included
//	         8 footer length uint32  12 version uint32
//	        16 CRC32C uint32 of the footer and the 16 bytes before this field
//	        20 "ODRC"
//
// A run is one partition's part: its extents, which are byte for byte those of a segment (see above), and a table of
// them. The control state holds each run's place and its table's checksum, the table holds each extent's, and so on down
// to the blocks: whoever has the control state can verify any byte of the object without the footer. That is for who finds
// an object that no manifest names, and for people.
//
// Batches of a run rise and need not be contiguous: key compaction and erasing leave holes. The extents of a run do tile it; a hole
// belongs to the extent before it, or to the first.
const (
	// MaxObject is the most that a compacted object has. Positions in it are 32 bits.
	MaxObject = 1 << 30
	// ObjectExtentRaw is the size at which an extent of a compacted object ends, unpacked. One batch may be more.
	ObjectExtentRaw = 1 << 20

	objectHeaderMagic = "ODRCMP"
	objectTailMagic   = "ODRC"
)

// PartitionRun is a run of a compacted object and the partition that it is of.
type PartitionRun struct {
	Partition topic.Partition
	Run       topic.Run
}

// ObjectFooter says what a compacted object holds.
type ObjectFooter struct {
	Object topic.Object
	Runs   []PartitionRun // in the order of their bytes, by rising partition
}

// At says whether the footer belongs where it was found. Error: ErrCorrupt.
func (f *ObjectFooter) At(o topic.Object) error {
	if f.Object != o {
		return fmt.Errorf("%w: footer of object %s, want %s", ErrCorrupt, f.Object.Key(), o.Key())
	}
	return nil
}

// ObjectWriter makes a compacted object: for each run Begin, Append any number of times, End; then Close. Beside what is
// returned it holds one extent in memory. After an error it makes nothing more. For one goroutine.
type ObjectWriter struct {
	object topic.Object
	emit   func(part []byte) error
	codec  Codec
	size   int64 // emitted
	runs   []PartitionRun
	err    error // the first

	open      bool // between Begin and End
	partition topic.Partition
	run       topic.Run
	extents   []Extent
	raw       []byte       // batches of the extent that is being filled
	epoch     topic.Epoch  // theirs
	base      topic.Offset // where that extent begins
	next      topic.Offset // behind the last batch, or base
}

// NewObjectWriter makes a writer that emits the bytes of object o in order. emit must not keep what it is given, and what it
// is given need not be all of a part of the format. Batches that their producer did not compress are packed with codec.
func NewObjectWriter(o topic.Object, emit func(part []byte) error, codec Codec) *ObjectWriter {
	return &ObjectWriter{object: o, emit: emit, codec: codec}
}

// Size is how many bytes were emitted so far.
func (w *ObjectWriter) Size() int64 { return w.size }

// Begin opens the run of a partition that begins at base. Partitions rise (topic id, index). Error: ErrInvalid.
func (w *ObjectWriter) Begin(p topic.Partition, base topic.Offset, level uint8) error {
	if w.err != nil {
		return w.err
	}
	if w.open || base < 0 || level > topic.MaxLevel {
		return w.fail(fmt.Errorf("%w: run of %s begins at %d, another open: %t", ErrInvalid, p, base, w.open))
	}
	if n := len(w.runs); n > 0 && compare(w.runs[n-1].Partition, p) >= 0 {
		return w.fail(fmt.Errorf("%w: partition %s behind %s", ErrInvalid, p, w.runs[n-1].Partition))
	}
	if w.size == 0 {
		if err := w.write(appendVersion([]byte(objectHeaderMagic))); err != nil {
			return err
		}
	}
	w.open, w.partition, w.extents, w.base, w.next = true, p, w.extents[:0], base, base
	w.run = topic.Run{Object: w.object, Base: base, Level: level, Position: uint32(w.size), MaxTimestamp: -1}
	return nil
}

// Cleaned says that key compaction looked at the records of the open run below an offset, which End asks to lie in it.
func (w *ObjectWriter) Cleaned(below topic.Offset) {
	if w.open {
		w.run.Cleaned = below
	}
}

// Erased says how many records of the open run's offsets were erased, now or before; End asks that it has so many offsets.
func (w *ObjectWriter) Erased(records uint64) {
	if w.open {
		w.run.Erased = records
	}
}

// Base is where the open run begins.
func (w *ObjectWriter) Base() topic.Offset { return w.run.Base }

// Append adds whole batches with rising offsets to the open run. They are verified, CRC and all: once compaction is through,
// these are the only ones (I5). batches are the caller's again on return. Errors: ErrInvalid, ErrTooLarge, and emit's.
func (w *ObjectWriter) Append(batches []byte) error {
	for len(batches) > 0 && w.err == nil {
		info, err := checkKept(batches)
		switch {
		case err != nil:
			return w.fail(fmt.Errorf("%w: partition %s behind offset %d: %w", ErrInvalid, w.partition, w.next, err))
		case !w.open || info.BaseOffset < w.next:
			return w.fail(fmt.Errorf("%w: batch at offset %d of partition %s, which is at %d, open: %t",
				ErrInvalid, info.BaseOffset, w.partition, w.next, w.open))
		}
		if len(w.raw) > 0 && (info.LeaderEpoch != w.epoch || len(w.raw)+info.Size > ObjectExtentRaw) {
			if err := w.flush(info.BaseOffset); err != nil {
				return err
			}
		}
		if need := len(w.raw) + info.Size; need > cap(w.raw) {
			w.raw = append(make([]byte, 0, max(need, min(4*need, ObjectExtentRaw))), w.raw...)
		}
		w.epoch, w.next = info.LeaderEpoch, info.Next()
		w.raw = append(w.raw, batches[:info.Size]...)
		batches = batches[info.Size:]
	}
	return w.err
}

// End closes the run, which reaches to next, and gives it as a manifest names it. A run without batches has Length 0.
// Errors: ErrInvalid, ErrTooLarge, and emit's.
func (w *ObjectWriter) End(next topic.Offset) (topic.Run, error) {
	if w.err != nil {
		return topic.Run{}, w.err
	}
	if c := w.run.Cleaned; !w.open || next < w.next || next <= w.run.Base || c != 0 && (c <= w.run.Base || c > next) ||
		w.run.Erased > uint64(next-w.run.Base) {
		return topic.Run{}, w.fail(fmt.Errorf("%w: run of %s from %d cleaned up to %d, %d records erased, batches up to %d, ends at %d",
			ErrInvalid, w.partition, w.run.Base, w.run.Cleaned, w.run.Erased, w.next, next))
	}
	if len(w.raw) > 0 {
		if err := w.flush(next); err != nil {
			return topic.Run{}, err
		}
	}
	w.run.Next = next
	if table := appendRunTable(nil, w.run.Base, w.extents); len(w.extents) > 0 {
		w.run.Table, w.run.CRC32C = uint32(len(table)), checksum(table)
		if err := w.write(table); err != nil {
			return topic.Run{}, err
		}
	}
	w.open = false
	w.runs = append(w.runs, PartitionRun{w.partition, w.run})
	return w.run, nil
}

// Close ends the object and says how long it is. Errors: ErrInvalid for an object without runs or with an open one,
// ErrTooLarge, and emit's.
func (w *ObjectWriter) Close() (size int64, err error) {
	if w.err != nil {
		return 0, w.err
	}
	if w.open || len(w.runs) == 0 {
		return 0, w.fail(fmt.Errorf("%w: object of %d runs, one open: %t", ErrInvalid, len(w.runs), w.open))
	}
	footer := appendObjectFooter(nil, &ObjectFooter{Object: w.object, Runs: w.runs})
	if len(footer) > MaxFooter {
		return 0, w.fail(fmt.Errorf("%w: footer of %d bytes", ErrTooLarge, len(footer)))
	}
	if err := w.write(appendTail(footer, w.size+int64(len(footer))+TailSize, objectTailMagic)); err != nil {
		return 0, err
	}
	w.err = fmt.Errorf("%w: object is closed", ErrInvalid)
	return w.size, nil
}

// flush writes the batches that came as an extent up to next.
func (w *ObjectWriter) flush(next topic.Offset) error {
	o := &Object{Size: w.size} // so that positions are those in the object
	defer o.Release()
	b := writer{object: o, codec: w.codec, start: w.size, holes: true}
	defer b.free()
	e, err := b.extent(&Run{Partition: w.partition, Epoch: w.epoch, Base: w.base, Next: next, Batches: [][]byte{w.raw}})
	if err != nil {
		return w.fail(err)
	}
	for _, part := range o.Parts {
		if err := w.write(part); err != nil {
			return err
		}
	}
	w.extents = append(w.extents, e)
	w.run.Length += e.Length
	w.run.RawLength += uint64(e.RawLength)
	w.run.MaxTimestamp = max(w.run.MaxTimestamp, e.MaxTimestamp)
	if w.base, w.raw = next, w.raw[:0]; cap(w.raw) > 4*ObjectExtentRaw { // of one huge batch
		w.raw = nil
	}
	return nil
}

func (w *ObjectWriter) write(part []byte) error {
	if w.size+int64(len(part)) > MaxObject {
		return w.fail(fmt.Errorf("%w: object of more than %d bytes", ErrTooLarge, MaxObject))
	}
	if err := w.emit(part); err != nil {
		return w.fail(err)
	}
	w.size += int64(len(part))
	return nil
}

func (w *ObjectWriter) fail(err error) error {
	w.err = err
	return err
}

// checkKept checks the first batch in b as recordbatch.Check does, and lets pass one that has lost records to key
// compaction: it keeps the offsets that it had.
func checkKept(b []byte) (recordbatch.Info, error) {
	info, err := recordbatch.Check(b)
	if errors.Is(err, recordbatch.ErrCount) && info.Count >= 0 && info.LastOffsetDelta >= 0 &&
		int64(info.Count) <= int64(info.LastOffsetDelta) && info.Codec() <= recordbatch.Zstd {
		err = nil
	}
	if err == nil && info.Next() <= info.BaseOffset {
		err = fmt.Errorf("%w: batch [%d,%d)", recordbatch.ErrCount, info.BaseOffset, info.Next())
	}
	return info, err
}

func compare(a, b topic.Partition) int {
	return cmp.Or(bytes.Compare(a.Topic[:], b.Topic[:]), cmp.Compare(a.Index, b.Index))
}
