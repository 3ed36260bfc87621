package segment

import (
	"errors"
	"fmt"

	"github.com/odradek/odradek/recordbatch"
)

// VerifyObject reads a whole compacted object and checks all that can be checked without knowing more: header, footer,
// tables, every block, every batch, and that extents and batches say the same. It gives the footer, and all errors found,
// joined. each, if it is not nil, is told each of the batches of extents that are in order, with its extent.
func VerifyObject(object []byte, each func(Extent, recordbatch.Info)) (ObjectFooter, error) {
	f, err := ReadObjectFooter(object, int64(len(object)))
	if err != nil {
		return ObjectFooter{}, err
	}
	var all []error
	if have, want := object[:headerSize], appendVersion([]byte(objectHeaderMagic)); string(have) != string(want) {
		all = append(all, fmt.Errorf("%w: header %x, want %x", ErrCorrupt, have, want))
	}
	for _, r := range f.Runs {
		extents, err := r.extents(object)
		if err != nil {
			all = append(all, err)
		}
		for _, e := range extents {
			raw, err := ReadExtent(e, object[e.Position:e.Position+e.Length])
			if err == nil {
				err = CheckKept(e, raw)
			}
			if err == nil && each != nil {
				err = eachHeader(raw, func(info recordbatch.Info) { each(e, info) })
			}
			if err != nil {
				all = append(all, fmt.Errorf("run of partition %s: %w", r.Partition, err))
			}
		}
	}
	return f, errors.Join(all...)
}

// extents reads the run's table from the whole object, whose footer was read.
func (r PartitionRun) extents(object []byte) ([]Extent, error) {
	at := r.Run.Position + r.Run.Length
	return ReadRunTable(r.Partition, r.Run, object[at:at+r.Run.Table])
}

// CheckKept checks the batches of an extent of a compacted object, as ReadExtent gives them: as CheckBatches does, but
// that batches, and records in them, may be missing between Base and Next. Errors: ErrCorrupt, or why recordbatch refuses.
func CheckKept(e Extent, raw []byte) error {
	if len(raw) == 0 {
		return fmt.Errorf("%w: no batch", ErrCorrupt)
	}
	next, newest := e.Base, int64(-1)
	for at := 0; at < len(raw); {
		info, err := checkKept(raw[at:])
		if err != nil {
			return fmt.Errorf("batch at byte %d: %w", at, err)
		}
		if info.BaseOffset < next || info.Next() > e.Next || info.LeaderEpoch != e.Epoch {
			return fmt.Errorf("%w: batch [%d,%d) of epoch %d, want one in [%d,%d) of epoch %d",
				ErrCorrupt, info.BaseOffset, info.Next(), info.LeaderEpoch, next, e.Next, e.Epoch)
		}
		next, newest, at = info.Next(), max(newest, info.MaxTimestamp), at+info.Size
	}
	if newest != e.MaxTimestamp {
		return fmt.Errorf("%w: newest timestamp %d, want %d", ErrCorrupt, newest, e.MaxTimestamp)
	}
	return nil
}

// DescribeObject lists the parts of a whole compacted object in their order. It verifies the footer and the tables, not the
// blocks. Errors: as ReadObjectFooter's, ReadRunTable's and ReadTable's; the rows up to there come with it.
func DescribeObject(object []byte) ([]Row, error) {
	size := int64(len(object))
	f, err := ReadObjectFooter(object, size)
	if err != nil {
		return nil, err
	}
	rows := []Row{{Length: headerSize, What: "header", Extent: -1}}
	end, number := int64(headerSize), 0
	for _, r := range f.Runs {
		extents, err := r.extents(object)
		if err != nil {
			return rows, err
		}
		for _, e := range extents {
			if rows, err = describeExtent(rows, number, e, object[e.Position:e.Position+e.Length]); err != nil {
				return rows, err
			}
			number++
		}
		if end = int64(r.Run.Position) + r.Run.Size(); r.Run.Table > 0 {
			rows = append(rows, Row{
				Position: end - int64(r.Run.Table), Length: int64(r.Run.Table), What: "run table", Extent: number - 1,
				Partition: r.Partition, Base: r.Run.Base, Next: r.Run.Next, Raw: int64(r.Run.RawLength),
			})
		}
	}
	return append(rows,
		Row{Position: end, Length: size - TailSize - end, What: "footer", Extent: -1},
		Row{Position: size - TailSize, Length: TailSize, What: "tail", Extent: -1}), nil
}
