package segment

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/odradek/odradek/topic"
)

// Tables and the footer of a compacted object, version 1. Numbers are uvarints; signed ones are zigzag varints. A list is a
// count and that many elements.
//
// The table of a run that begins at base, with its first extent's place known:
//
//	list of
//	  next - base | length | raw length | CRC32C uint32 | epoch - the one before, signed |
//	  max timestamp - the one before, signed
//
// where each extent begins at the next of the one before, and the one before the first has zero in all fields. The footer:
//
//	planned | id 16 bytes | topics: list of 16 bytes |
//	runs: list of
//	  topic's place in the list | index | level, 128 more if it was cleaned, 64 more if records were erased | base |
//	  next - base | if it was cleaned: next - cleaned | if records were erased: how many | length | table length, 0 = no extents |
//	  and unless there are none: CRC32C uint32 of the table | raw length | max timestamp, signed

// What is set in the level of a run that key compaction was at, and of one that records were erased from.
const (
	cleanedRun = 2 * (topic.MaxLevel + 1)
	erasedRun  = topic.MaxLevel + 1
)

// Least sizes of list elements, as in a segment's footer.
const (
	minTableExtent = 1 + 1 + 1 + 4 + 1 + 1
	minRun         = 7
)

// appendRunTable writes the table of a run's extents, which tile it from base on.
func appendRunTable(b []byte, base topic.Offset, extents []Extent) []byte {
	b = binary.AppendUvarint(b, uint64(len(extents)))
	before := Extent{Next: base}
	for i := range extents {
		e := &extents[i]
		b = binary.AppendUvarint(b, uint64(e.Next-before.Next))
		b = binary.AppendUvarint(b, uint64(e.Length))
		b = binary.AppendUvarint(b, uint64(e.RawLength))
		b = binary.BigEndian.AppendUint32(b, e.CRC32C)
		b = binary.AppendVarint(b, int64(e.Epoch)-int64(before.Epoch))
		b = binary.AppendVarint(b, e.MaxTimestamp-before.MaxTimestamp)
		before = *e
	}
	return b
}

// ReadRunTable reads the extents of a run of p from its table, which lies behind them in the object:
// [Position+Length, Position+Length+Table). It verifies the table against the run: its checksum, that the extents tile
// [Base, Next), and that together they have what the run says. A run of Length 0 has no table and no extents.
// Error: ErrCorrupt, naming the run and both values.
func ReadRunTable(p topic.Partition, r topic.Run, table []byte) ([]Extent, error) {
	extents, err := readRunTable(p, r, table)
	if err != nil {
		return nil, fmt.Errorf("run %s %s: %w", p, r, err)
	}
	return extents, nil
}

func readRunTable(p topic.Partition, r topic.Run, table []byte) ([]Extent, error) {
	// Bytes that were visible once never read differently: the control state says what the table is (I5).
	if len(table) != int(r.Table) || checksum(table) != r.CRC32C {
		return nil, fmt.Errorf("%w: table of %d bytes with crc %08x, want %d with %08x",
			ErrCorrupt, len(table), checksum(table), r.Table, r.CRC32C)
	}
	if r.Base < 0 || r.Next <= r.Base || int64(r.Position)+r.Size() > MaxObject || (r.Length == 0) != (r.Table == 0) {
		return nil, fmt.Errorf("%w: no run is like that", ErrCorrupt)
	}
	if r.Length == 0 {
		return nil, nil
	}
	rd := footerReader{b: table}
	extents := rd.runExtents(p, r)
	var raw uint64
	next, newest, end := r.Base, int64(-1), uint64(r.Position)
	for i := range extents {
		next, newest, end = extents[i].Next, max(newest, extents[i].MaxTimestamp), end+uint64(extents[i].Length)
		raw += uint64(extents[i].RawLength)
	}
	switch {
	case rd.bad != "":
		return nil, fmt.Errorf("%w: table byte %d: %s", ErrCorrupt, len(table)-len(rd.b), rd.bad)
	case len(rd.b) > 0:
		return nil, fmt.Errorf("%w: %d bytes behind the table's last extent", ErrCorrupt, len(rd.b))
	case next != r.Next || end != uint64(r.Position)+uint64(r.Length):
		return nil, fmt.Errorf("%w: extents reach offset %d at byte %d", ErrCorrupt, next, end)
	case raw != r.RawLength || newest != r.MaxTimestamp:
		return nil, fmt.Errorf("%w: extents of %d raw bytes, newest %d; want %d, newest %d", ErrCorrupt, raw, newest, r.RawLength, r.MaxTimestamp)
	}
	return extents, nil
}

// runExtents takes a table's extents; each lies inside the run's bytes and offsets.
func (r *footerReader) runExtents(p topic.Partition, run topic.Run) []Extent {
	before := Extent{Next: run.Base}
	position, end := uint64(run.Position), uint64(run.Position)+uint64(run.Length)
	return list(r, "extent count", minTableExtent, math.MaxInt32, func() Extent {
		e := Extent{Partition: p, Base: before.Next, Position: uint32(position)}
		if e.Next = r.behind("extent next", e.Base); e.Next > run.Next {
			r.fail("extent next")
		}
		e.Length = uint32(r.number("extent length", min(end-position, MaxPayload)))
		e.RawLength = uint32(r.number("extent raw length", MaxRaw))
		if e.Length < smallestSize || e.RawLength == 0 {
			r.fail("extent length")
		}
		if crc := r.bytes("extent crc", 4); crc != nil {
			e.CRC32C = binary.BigEndian.Uint32(crc)
		}
		epoch := r.signed("extent epoch")
		if epoch < -int64(before.Epoch) || epoch > math.MaxInt32-int64(before.Epoch) {
			r.fail("extent epoch")
		}
		e.Epoch = before.Epoch + topic.Epoch(epoch)
		e.MaxTimestamp = before.MaxTimestamp + r.signed("extent timestamp")
		position += uint64(e.Length)
		before = e
		return e
	})
}

// appendObjectFooter encodes f behind b.
func appendObjectFooter(b []byte, f *ObjectFooter) []byte {
	w := footerWriter{topics: make(map[topic.ID]uint64)}
	w.number(uint64(len(f.Runs)))
	for i := range f.Runs {
		r := &f.Runs[i].Run
		w.partition(f.Runs[i].Partition)
		level := uint64(r.Level)
		if r.Cleaned > 0 {
			level |= cleanedRun
		}
		if r.Erased > 0 {
			level |= erasedRun
		}
		w.number(level)
		w.number(uint64(r.Base))
		w.number(uint64(r.Next - r.Base))
		if r.Cleaned > 0 {
			w.number(uint64(r.Next - r.Cleaned))
		}
		if r.Erased > 0 {
			w.number(r.Erased)
		}
		w.number(uint64(r.Length))
		w.number(uint64(r.Table))
		if r.Table > 0 {
			w.b = binary.BigEndian.AppendUint32(w.b, r.CRC32C)
			w.number(r.RawLength)
			w.signed(r.MaxTimestamp)
		}
	}
	b = binary.AppendUvarint(b, uint64(f.Object.Planned))
	b = append(b, f.Object.ID[:]...)
	b = binary.AppendUvarint(b, uint64(len(w.topics)))
	return append(append(b, w.names...), w.b...)
}

// ReadObjectFooter reads the footer of a compacted object of size bytes from tail, its last bytes; 64 KiB of it are enough
// for a thousand runs. Errors: *ShortError if tail does not reach back to the footer's start, ErrCorrupt, ErrVersion.
func ReadObjectFooter(tail []byte, size int64) (ObjectFooter, error) {
	b, err := openTail(tail, size, objectTailMagic, MaxObject)
	if err != nil {
		return ObjectFooter{}, err
	}
	return parseObjectFooter(b, size-TailSize-int64(len(b)))
}

// parseObjectFooter reads the footer b that begins at start in its object.
func parseObjectFooter(b []byte, start int64) (ObjectFooter, error) {
	r := footerReader{b: b}
	f := r.objectFooter()
	end := int64(headerSize)
	if n := len(f.Runs); n > 0 {
		end = int64(f.Runs[n-1].Run.Position) + f.Runs[n-1].Run.Size()
	}
	switch {
	case r.bad != "":
		return ObjectFooter{}, fmt.Errorf("%w: footer byte %d: %s", ErrCorrupt, len(b)-len(r.b), r.bad)
	case len(r.b) > 0:
		return ObjectFooter{}, fmt.Errorf("%w: %d bytes behind the footer's last field", ErrCorrupt, len(r.b))
	case end != start:
		return ObjectFooter{}, fmt.Errorf("%w: runs end at %d, footer begins at %d", ErrCorrupt, end, start)
	}
	return f, nil
}

func (r *footerReader) objectFooter() ObjectFooter {
	var f ObjectFooter
	f.Object.Planned = topic.Slot(r.number("planned", math.MaxUint64))
	copy(f.Object.ID[:], r.bytes("object id", uint64(len(f.Object.ID))))
	r.topics = r.bytes("topics", uint64(r.count("topic count", len(topic.ID{}), math.MaxInt32)*len(topic.ID{})))
	position := uint64(headerSize)
	var before topic.Partition
	f.Runs = list(r, "run count", minRun, math.MaxInt32, func() PartitionRun {
		p := PartitionRun{Partition: r.partition(), Run: r.run(f.Object, position)}
		if position > headerSize && compare(before, p.Partition) >= 0 {
			r.fail("partitions that do not rise")
		}
		before, position = p.Partition, position+uint64(p.Run.Size())
		return p
	})
	return f
}

// run takes the run that begins at position.
func (r *footerReader) run(o topic.Object, position uint64) topic.Run {
	run := topic.Run{Object: o, Position: uint32(position), MaxTimestamp: -1}
	level := r.number("run level", math.MaxUint8)
	run.Level = uint8(level &^ (cleanedRun | erasedRun))
	run.Base = r.offset("run base")
	run.Next = r.behind("run next", run.Base)
	if level&cleanedRun != 0 {
		run.Cleaned = run.Next - topic.Offset(r.number("run cleaned", uint64(max(0, run.Next-run.Base-1))))
	}
	if level&erasedRun != 0 {
		if run.Erased = r.number("run erased", uint64(max(0, run.Next-run.Base))); run.Erased == 0 {
			r.fail("run erased")
		}
	}
	run.Length = uint32(r.number("run length", MaxObject-position))
	run.Table = uint32(r.number("run table", MaxObject-position-uint64(run.Length)))
	if (run.Length == 0) != (run.Table == 0) {
		r.fail("run table")
	}
	if run.Table == 0 {
		return run
	}
	if crc := r.bytes("run crc", 4); crc != nil {
		run.CRC32C = binary.BigEndian.Uint32(crc)
	}
	run.RawLength = r.number("run raw length", math.MaxInt64)
	run.MaxTimestamp = r.signed("run timestamp")
	return run
}
