package control

import (
	"encoding/binary"
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"

	"github.com/odradek/odradek/topic"
)

// maxString bounds every string of a record, in bytes.
const maxString = 1 << 16

// writer appends the primitives of a record's body to a slice.
type writer struct{ b []byte }

func (w *writer) id(id [16]byte)    { w.b = append(w.b, id[:]...) }
func (w *writer) uint(v uint64)     { w.b = binary.AppendUvarint(w.b, v) }
func (w *writer) string(s string)   { w.uint(uint64(len(s))); w.b = append(w.b, s...) }
func (w *writer) int(v int64)       { w.b = binary.AppendVarint(w.b, v) }
func (w *writer) slot(s topic.Slot) { w.uint(uint64(s)) }
func (w *writer) crc(v uint32)      { w.b = binary.BigEndian.AppendUint32(w.b, v) }

func (w *writer) object(o topic.Object) {
	w.slot(o.Planned)
	w.id(o.ID)
}

// What is set in the level of a run that key compaction was at, and of one that records were erased from.
const (
	cleanedRun = 2 * (topic.MaxLevel + 1)
	erasedRun  = topic.MaxLevel + 1
)

// run writes what a manifest and a snapshot say alike of a run; before is the one written before it.
func (w *writer) run(r, before topic.Run) {
	level := uint64(r.Level)
	if r.Cleaned > 0 {
		level |= cleanedRun
	}
	if r.Erased > 0 {
		level |= erasedRun
	}
	w.uint(level)
	if r.Cleaned > 0 {
		w.uint(uint64(r.Next - r.Cleaned))
	}
	if r.Erased > 0 {
		w.uint(r.Erased)
	}
	w.uint(uint64(r.Length))
	w.uint(uint64(r.Table))
	w.crc(r.CRC32C)
	w.uint(r.RawLength)
	w.int(r.MaxTimestamp - before.MaxTimestamp)
}

func (w *writer) bool(v bool) {
	if v {
		w.b = append(w.b, 1)
	} else {
		w.b = append(w.b, 0)
	}
}

// config writes name and value pairs, sorted by name.
func (w *writer) config(c topic.Config) {
	w.uint(uint64(len(c)))
	for _, name := range slices.Sorted(maps.Keys(c)) {
		w.string(name)
		w.string(c[name])
	}
}

func (w *writer) names(names []string) {
	w.uint(uint64(len(names)))
	for _, name := range names {
		w.string(name)
	}
}

func (w *writer) endpoints(list []Endpoint) {
	w.uint(uint64(len(list)))
	for _, e := range list {
		w.string(e.Name)
		w.string(e.Host)
		w.uint(uint64(e.Port))
	}
}

func (w *writer) journals(ids []topic.JournalID) {
	table := newJournalTable(ids)
	table.encode(w)
	w.uint(uint64(len(ids)))
	for _, id := range ids {
		w.uint(table.place[id])
	}
}

// reader takes the primitives of a record's body off a slice. The first fault sticks: from then on everything
// reads as zero. Memory grows with the bytes that are there, whatever counts and lengths say.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: "+format, append([]any{ErrCorrupt}, args...)...)
	}
	r.b = nil
}

func (r *reader) take(n int) []byte {
	if n > len(r.b) {
		r.fail("%d bytes where %d are needed", len(r.b), n)
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) id() (id [16]byte) { copy(id[:], r.take(16)); return id }

// uint reads a number that must not be above limit.
func (r *reader) uint(limit uint64) uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail("number cut or too long")
		return 0
	}
	if v > limit {
		r.fail("number %d above %d", v, limit)
		return 0
	}
	r.b = r.b[n:]
	return v
}

// int reads a signed number.
func (r *reader) int() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail("number cut or too long")
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) crc() uint32 {
	if b := r.take(4); len(b) == 4 {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) object() topic.Object { return topic.Object{Planned: r.slot(), ID: r.id()} }

// run reads what writer.run wrote behind a run's base and next. No run is of level 0.
func (r *reader) run(run *topic.Run, before topic.Run) {
	level := r.uint(math.MaxUint8)
	if run.Level = uint8(level &^ (cleanedRun | erasedRun)); level&cleanedRun != 0 {
		run.Cleaned = run.Next - topic.Offset(r.uint(uint64(max(0, run.Next-run.Base-1))))
	}
	if level&erasedRun != 0 {
		if run.Erased = r.uint(uint64(max(0, run.Next-run.Base))); run.Erased == 0 {
			r.fail("run of which nothing was erased")
		}
	}
	run.Length, run.Table = uint32(r.uint(math.MaxUint32)), uint32(r.uint(math.MaxUint32))
	run.CRC32C, run.RawLength = r.crc(), r.uint(math.MaxUint64)
	run.MaxTimestamp = before.MaxTimestamp + r.int()
	if run.Level == 0 {
		r.fail("run of level 0")
	}
}

func (r *reader) int32() int32     { return int32(r.uint(math.MaxInt32)) }
func (r *reader) int64() int64     { return int64(r.uint(math.MaxInt64)) }
func (r *reader) slot() topic.Slot { return topic.Slot(r.uint(math.MaxUint64)) }
func (r *reader) string() string   { return string(r.take(int(r.uint(maxString)))) }

func (r *reader) bool() bool {
	b := r.take(1)
	if len(b) == 1 && b[0] > 1 {
		r.fail("flag is %d", b[0])
	}
	return len(b) == 1 && b[0] == 1
}

// each reads how many elements of at least size bytes follow, more than can be there being a fault, and yields
// once for each, up to the first fault.
func (r *reader) each(size int) iter.Seq[int] {
	return func(yield func(int) bool) {
		n := int(r.uint(uint64(len(r.b) / size)))
		for i := 0; i < n && r.err == nil && yield(i); i++ {
		}
	}
}

func (r *reader) config() topic.Config {
	var c topic.Config
	last := ""
	for i := range r.each(2) {
		name, value := r.string(), r.string()
		if i == 0 {
			c = topic.Config{}
		} else if name <= last {
			r.fail("setting %q after %q", name, last)
		}
		c[name], last = value, name
	}
	return c
}

func (r *reader) names() []string {
	var names []string
	for range r.each(1) {
		names = append(names, r.string())
	}
	return names
}

func (r *reader) endpoints() []Endpoint {
	var list []Endpoint
	for range r.each(3) {
		list = append(list, Endpoint{r.string(), r.string(), r.int32()})
	}
	return list
}

func (r *reader) journals() []topic.JournalID {
	table := r.journalTable()
	var ids []topic.JournalID
	for range r.each(1) {
		ids = append(ids, r.tableEntry(table))
	}
	return ids
}

// table names each journal or object of a record once, so that a partition costs a byte and not 16.
type table[T comparable] struct {
	list  []T
	place map[T]uint64
}

func newJournalTable(ids []topic.JournalID) journalTable {
	t := journalTable{table[topic.JournalID]{place: map[topic.JournalID]uint64{}}}
	for _, id := range ids {
		t.add(id)
	}
	return t
}

func (t *table[T]) add(v T) {
	if _, ok := t.place[v]; !ok {
		t.place[v] = uint64(len(t.list))
		t.list = append(t.list, v)
	}
}

type journalTable struct{ table[topic.JournalID] }

func (t *journalTable) encode(w *writer) {
	w.uint(uint64(len(t.list)))
	for _, id := range t.list {
		w.id(id)
	}
}

type objectTable struct{ table[topic.Object] }

func newObjectTable() objectTable {
	return objectTable{table[topic.Object]{place: map[topic.Object]uint64{}}}
}

func (t *objectTable) encode(w *writer) {
	w.uint(uint64(len(t.list)))
	for _, o := range t.list {
		w.object(o)
	}
}

func (r *reader) journalTable() []topic.JournalID {
	var ids []topic.JournalID
	for range r.each(16) {
		ids = append(ids, r.id())
	}
	return ids
}

func (r *reader) objectTable() []topic.Object {
	var list []topic.Object
	for range r.each(17) {
		list = append(list, r.object())
	}
	return list
}

func (r *reader) tableEntry(table []topic.JournalID) topic.JournalID {
	return entry(r, "journal", table)
}

func (r *reader) objectEntry(table []topic.Object) topic.Object { return entry(r, "object", table) }

// entry reads a place in a table.
func entry[T any](r *reader, noun string, table []T) (v T) {
	i := r.uint(math.MaxInt32)
	if r.err != nil {
		return v
	}
	if i >= uint64(len(table)) {
		r.fail("%s %d of a table of %d", noun, i, len(table))
		return v
	}
	return table[i]
}
