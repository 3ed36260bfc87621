package segment

import (
	"fmt"

	"github.com/odradek/odradek/topic"
)

// Row is one part of a payload, for people. Rows follow one another in the payload without a gap.
type Row struct {
	Position, Length int64
	What             string          // "header", "table", "block", "run table", "footer", "tail"
	Extent           int             // number of the extent that a table or block belongs to, else -1
	Partition        topic.Partition // of that extent
	Base, Next       topic.Offset    // of a table: the extent's; of a block: [its first batch, the next block's first)
	Codec            Codec           // of a block
	Continued        bool            // a block that begins inside a batch
	Raw              int64           // of a table: the extent unpacked; of a block: the block unpacked
}

// Ratio is stored bytes by raw bytes, 1 where nothing is packed.
func (r Row) Ratio() float64 {
	if r.What != "block" || r.Raw == 0 {
		return 1
	}
	return float64(r.Length) / float64(r.Raw)
}

// Describe lists the parts of a whole payload in their order. It verifies the footer and the tables, not the blocks.
// Errors: as ReadFooter's and ReadTable's; the rows up to there come with it.
func Describe(payload []byte) ([]Row, error) {
	size := int64(len(payload))
	f, err := ReadFooter(payload, size)
	if err != nil {
		return nil, err
	}
	rows := []Row{{Length: headerSize, What: "header", Extent: -1}}
	end := int64(headerSize)
	for i, e := range f.Extents {
		if rows, err = describeExtent(rows, i, e, payload[e.Position:e.Position+e.Length]); err != nil {
			return rows, err
		}
		end = int64(e.Position) + int64(e.Length)
	}
	return append(rows,
		Row{Position: end, Length: size - TailSize - end, What: "footer", Extent: -1},
		Row{Position: size - TailSize, Length: TailSize, What: "tail", Extent: -1}), nil
}

// describeExtent adds the table and the blocks of extent number i.
func describeExtent(rows []Row, i int, e Extent, stored []byte) ([]Row, error) {
	blocks, err := ReadTable(e, stored)
	if err != nil {
		return rows, fmt.Errorf("extent %d: %w", i, err)
	}
	rows = append(rows, Row{
		Position: int64(e.Position), Length: int64(blocks[0].Position - e.Position), What: "table", Extent: i,
		Partition: e.Partition, Base: e.Base, Next: e.Next, Raw: int64(e.RawLength),
	})
	for n, b := range blocks {
		next := e.Next
		if n+1 < len(blocks) {
			next = blocks[n+1].First
		}
		rows = append(rows, Row{
			Position: int64(b.Position), Length: int64(b.Stored), What: "block", Extent: i, Partition: e.Partition,
			Base: b.First, Next: next, Codec: b.Codec, Continued: b.Continued, Raw: int64(b.Raw),
		})
	}
	return rows, nil
}
