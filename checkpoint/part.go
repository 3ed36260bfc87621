package checkpoint

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/odradek/odradek/index"
	"github.com/odradek/odradek/topic"
)

// Row is what a checkpoint, or one part of it, holds of a partition.
type Row struct {
	Partition topic.Partition
	Entries   []index.Entry // in offset order, each beginning where the one before ends
	Producers []byte        // as sequence.State.AppendSnapshot writes it; empty if there are none
}

const (
	extentSize   = 12     // least bytes of an extent: eight numbers and a checksum
	producerSize = 2      // of a row: index and length, or more
	topicSize    = 16 + 1 // of a topic
)

// partID names a body.
func partID(body []byte) PartID {
	sum := sha256.Sum256(body)
	return PartID(sum[:16])
}

// encodePart encodes rows, which are in order of their partitions, none empty:
//
//	kind uint8 = 1 | journals: count, each id 16 bytes |
//	topics: count, each (id 16 bytes | rows: count, each (index - index before - 1 | base | extents: count)) |
//	of all extents, in the order of the rows, one field of all after the other:
//	  journal's place in the list | slot - slot before, signed | epoch - epoch before, signed | next - base |
//	  position | length | raw length - length, signed | max timestamp - the one before, signed | CRC32C uint32
//
//	kind uint8 = 2 | topics: count, each (id 16 bytes | rows: count, each (index - index before - 1 | length, bytes))
//
// "Before" is the extent before in the part, whatever its row; 0 at the first.
func encodePart(k PartKind, rows []Row) []byte {
	w := partWriter{b: []byte{byte(k)}, journals: make(map[topic.JournalID]uint64)}
	if k == Extents {
		w.journalTable(rows)
	}
	w.number(uint64(countRowTopics(rows)))
	for list := rows; len(list) > 0; {
		n := rowsOf(list)
		id := list[0].Partition.Topic
		w.b = append(w.b, id[:]...)
		w.number(uint64(n))
		last := int32(-1)
		for _, row := range list[:n] {
			w.number(uint64(row.Partition.Index - last - 1))
			last = row.Partition.Index
			if k == Producers {
				w.number(uint64(len(row.Producers)))
				w.b = append(w.b, row.Producers...)
				continue
			}
			w.number(uint64(row.Entries[0].Base))
			w.number(uint64(len(row.Entries)))
		}
		list = list[n:]
	}
	if k == Extents {
		w.extents(rows)
	}
	return w.b
}

// rowsOf is how many rows at the front of list are of one topic.
func rowsOf(list []Row) int {
	n := 1
	for n < len(list) && list[n].Partition.Topic == list[0].Partition.Topic {
		n++
	}
	return n
}

func countRowTopics(list []Row) int {
	n := 0
	for ; len(list) > 0; n++ {
		list = list[rowsOf(list):]
	}
	return n
}

type partWriter struct {
	b        []byte
	journals map[topic.JournalID]uint64
}

func (w *partWriter) number(v uint64) { w.b = binary.AppendUvarint(w.b, v) }
func (w *partWriter) signed(v int64)  { w.b = binary.AppendVarint(w.b, v) }

// journalTable lists the journals that extents name, as they come.
func (w *partWriter) journalTable(rows []Row) {
	var ids []byte
	for i := range rows {
		for _, e := range rows[i].Entries {
			if _, ok := w.journals[e.Journal]; !ok {
				w.journals[e.Journal] = uint64(len(w.journals))
				ids = append(ids, e.Journal[:]...)
			}
		}
	}
	w.number(uint64(len(w.journals)))
	w.b = append(w.b, ids...)
}

// extents writes the fields one after the other: neighbours are alike, which is what packing lives on.
func (w *partWriter) extents(rows []Row) {
	var before index.Entry
	columns := []func(e *index.Entry){
		func(e *index.Entry) { w.number(w.journals[e.Journal]) },
		func(e *index.Entry) { w.signed(int64(e.Slot - before.Slot)) },
		func(e *index.Entry) { w.signed(int64(e.Epoch) - int64(before.Epoch)) },
		func(e *index.Entry) { w.number(uint64(e.Next - e.Base)) },
		func(e *index.Entry) { w.number(uint64(e.Position)) },
		func(e *index.Entry) { w.number(uint64(e.Length)) },
		func(e *index.Entry) { w.signed(int64(e.RawLength) - int64(e.Length)) },
		func(e *index.Entry) { w.signed(e.MaxTimestamp - before.MaxTimestamp) },
		func(e *index.Entry) { w.b = binary.BigEndian.AppendUint32(w.b, e.CRC32C) },
	}
	for _, column := range columns {
		before = index.Entry{}
		for i := range rows {
			for n := range rows[i].Entries {
				column(&rows[i].Entries[n])
				before = rows[i].Entries[n]
			}
		}
	}
}

// decodePart reads what encodePart wrote. Producers are parts of body.
func decodePart(body []byte) (PartKind, []Row, error) {
	r := reader{b: body}
	var k PartKind
	if b := r.take(1); len(b) == 1 {
		k = PartKind(b[0])
	}
	var journals []topic.JournalID
	switch k {
	case Extents:
		journals = make([]topic.JournalID, r.count(len(topic.JournalID{})))
		for i := range journals {
			journals[i] = r.id()
		}
	case Producers:
	default:
		r.fail("%s", k)
	}
	rows, counts := r.rows(k)
	if k == Extents {
		r.extents(rows, counts, journals)
	}
	if err := r.end(); err != nil {
		return k, nil, err
	}
	return k, rows, nil
}

// rows reads the rows; those of extents get an Entry that holds their base, and counts says how many they have.
func (r *reader) rows(k PartKind) (rows []Row, counts []int) {
	var before topic.ID
	for i := range r.count(topicSize) {
		id := topic.ID(r.id())
		if i > 0 && bytes.Compare(before[:], id[:]) >= 0 {
			r.fail("topic %s behind %s", id, before)
		}
		before = id
		n := r.count(producerSize)
		if n == 0 {
			r.fail("topic %s without rows", id)
		}
		last := int32(-1)
		for range n {
			row := Row{Partition: topic.Partition{Topic: id, Index: r.index(last)}}
			last = row.Partition.Index
			if k == Producers {
				row.Producers = r.take(r.uint(math.MaxUint64))
			} else {
				row.Entries = []index.Entry{{Base: r.offset()}}
				counts = append(counts, r.count(1))
			}
			if r.err != nil {
				return nil, nil
			}
			rows = append(rows, row)
		}
	}
	return rows, counts
}

func (r *reader) extents(rows []Row, counts []int, journals []topic.JournalID) {
	total := 0
	for i, n := range counts {
		if total += n; n == 0 || total > len(r.b)/extentSize {
			r.fail("row %d has %d extents, %d bytes are left", i, n, len(r.b))
			return
		}
	}
	entries := make([]index.Entry, total)
	var before index.Entry
	columns := []func(e *index.Entry){
		func(e *index.Entry) {
			if n := r.uint(uint64(len(journals))); n < uint64(len(journals)) {
				e.Journal = journals[n]
			} else {
				r.fail("journal %d of %d", n, len(journals))
			}
		},
		func(e *index.Entry) { e.Slot = before.Slot + topic.Slot(r.int()) },
		func(e *index.Entry) {
			n := int64(before.Epoch) + r.int()
			if n < 0 || n > math.MaxInt32 {
				r.fail("epoch %d", n)
			}
			e.Epoch = topic.Epoch(n)
		},
		func(e *index.Entry) { e.Next = topic.Offset(r.uint(math.MaxInt64)) }, // a length until the bases are known
		func(e *index.Entry) { e.Position = uint32(r.uint(math.MaxUint32)) },
		func(e *index.Entry) { e.Length = uint32(r.uint(math.MaxUint32)) },
		func(e *index.Entry) {
			n := int64(e.Length) + r.int()
			if n < 0 || n > math.MaxUint32 {
				r.fail("raw length %d", n)
			}
			e.RawLength = uint32(n)
		},
		func(e *index.Entry) { e.MaxTimestamp = before.MaxTimestamp + r.int() },
		func(e *index.Entry) { e.CRC32C = r.uint32() },
	}
	for _, column := range columns {
		before = index.Entry{}
		for i := range entries {
			column(&entries[i])
			before = entries[i]
		}
		if r.err != nil {
			return
		}
	}
	for i, n := range counts {
		base := rows[i].Entries[0].Base
		rows[i].Entries, entries = entries[:n:n], entries[n:]
		for x := range rows[i].Entries {
			e := &rows[i].Entries[x]
			if e.Next == 0 || e.Next > math.MaxInt64-base {
				r.fail("extent %d of %s holds %d records from %d on", x, rows[i].Partition, e.Next, base)
				return
			}
			e.Base, e.Next = base, base+e.Next
			base = e.Next
		}
	}
}

// check asks that a body be what a head says of a part.
func (p PartRef) check(k PartKind, rows []Row) error {
	n := len(rows)
	if k == Extents {
		n = 0
		for i := range rows {
			n += len(rows[i].Entries)
		}
	}
	if k != p.Kind || n != p.Rows {
		return fmt.Errorf("%w: %d rows of %s, want %d of %s", ErrCorrupt, n, k, p.Rows, p.Kind)
	}
	return nil
}
