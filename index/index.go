package index

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"sort"

	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/topic"
)

// Why an extent or a log start is refused. Nothing has changed then.
var (
	// ErrGap says that an extent begins behind the partition's end.
	ErrGap = errors.New("extent leaves a gap")
	// ErrOverlap says that an extent begins before the partition's end and is none of those known.
	ErrOverlap = errors.New("extent overlaps")
	// ErrStart says that a log start lies behind the partition's end.
	ErrStart = errors.New("log start behind the end")
)

// Entry is an extent and the object that holds it: a journal's slot, or a compacted object.
type Entry struct {
	Journal      topic.JournalID
	Slot         topic.Slot
	Object       topic.Object // of an extent that lies in a compacted object, which no Index holds; zero: Journal and Slot say which
	Epoch        topic.Epoch
	Base, Next   topic.Offset // [Base, Next)
	Position     uint32       // in the object
	Length       uint32       // as stored
	RawLength    uint32
	CRC32C       uint32 // of the extent's block table
	MaxTimestamp int64  // ms since 1970
}

// NewEntry makes the Entry of an extent in a slot.
func NewEntry(journal topic.JournalID, slot topic.Slot, e segment.Extent) Entry {
	return Entry{
		Journal: journal, Slot: slot, Epoch: e.Epoch, Base: e.Base, Next: e.Next, Position: e.Position,
		Length: e.Length, RawLength: e.RawLength, CRC32C: e.CRC32C, MaxTimestamp: e.MaxTimestamp,
	}
}

// NewRunEntry makes the Entry of an extent in a compacted object.
func NewRunEntry(o topic.Object, e segment.Extent) Entry {
	n := NewEntry(topic.JournalID{}, 0, e)
	n.Object = o
	return n
}

// Extent gives back what NewEntry or NewRunEntry was given.
func (e Entry) Extent(p topic.Partition) segment.Extent {
	return segment.Extent{
		Partition: p, Epoch: e.Epoch, Base: e.Base, Next: e.Next, Position: e.Position,
		Length: e.Length, RawLength: e.RawLength, CRC32C: e.CRC32C, MaxTimestamp: e.MaxTimestamp,
	}
}

// Index is the rows of all partitions.
type Index struct {
	rows     map[topic.Partition]*row
	aside    map[topic.Partition][]Entry      // behind a gap, by Base, without overlap; never empty
	starts   map[topic.Partition]topic.Offset // log starts that lie behind the end still
	journals []topic.JournalID                // by the number that entries hold
	numbers  map[topic.JournalID]uint32       // the other way
}

// New makes an empty Index.
func New() *Index {
	return &Index{
		rows: make(map[topic.Partition]*row), aside: make(map[topic.Partition][]Entry),
		starts: make(map[topic.Partition]topic.Offset), numbers: make(map[topic.JournalID]uint32),
	}
}

// Add puts an extent behind the partition's end; a partition not known begins at 0. An extent that is there already, or
// wholly before the log start or the end of what is compacted, is no error. Errors: ErrGap, ErrOverlap.
func (x *Index) Add(p topic.Partition, e Entry) error {
	r := x.rows[p]
	known, err := x.judge(p, r, e)
	if known || err != nil {
		return err
	}
	x.append(p, e)
	return nil
}

// append puts e at the partition's end, where it begins.
func (x *Index) append(p topic.Partition, e Entry) {
	r := x.rows[p]
	if r == nil {
		r = &row{}
		x.rows[p] = r
	}
	r.append(e, x.number(e.Journal))
	x.settle(p)
}

// AddSegment adds the extents of one footer: all of them or, with an error, none. Those that are there already are no
// error. Errors: as Add's.
func (x *Index) AddSegment(f *segment.Footer) error {
	for i := range f.Extents {
		e := &f.Extents[i]
		if _, err := x.judge(e.Partition, x.rows[e.Partition], NewEntry(f.Journal, f.Slot, *e)); err != nil {
			return fmt.Errorf("extent %d of slot %d of journal %s: %w", i, f.Slot, f.Journal, err)
		}
	}
	for i := range f.Extents {
		if err := x.Add(f.Extents[i].Partition, NewEntry(f.Journal, f.Slot, f.Extents[i])); err != nil {
			return fmt.Errorf("extent %d of slot %d of journal %s: %w", i, f.Slot, f.Journal, err)
		}
	}
	return nil
}

// judge says whether e is known already or may be appended to r, which is nil for a partition not known.
func (x *Index) judge(p topic.Partition, r *row, e Entry) (known bool, err error) {
	var start, end topic.Offset
	if r != nil {
		start, end = r.first(), r.end
	}
	switch {
	case e.Next <= e.Base || e.Base > end:
		return false, fmt.Errorf("%w: %s at [%d,%d), end is %d", ErrGap, p, e.Base, e.Next, end)
	case e.Base == end:
		return false, nil
	case e.Next <= start:
		return true, nil
	}
	if have, ok := x.Find(p, max(e.Base, start)); ok && have == e {
		return true, nil
	}
	return false, fmt.Errorf("%w: %s at [%d,%d) of slot %d of journal %s, end is %d", ErrOverlap, p, e.Base, e.Next, e.Slot, e.Journal, end)
}

func (x *Index) number(j topic.JournalID) uint32 {
	n, ok := x.numbers[j]
	if !ok {
		n = uint32(len(x.journals))
		x.journals = append(x.journals, j)
		x.numbers[j] = n
	}
	return n
}

// Find gives the extent that holds offset; false if offset is not in [Start, End), or lies in a run.
func (x *Index) Find(p topic.Partition, offset topic.Offset) (Entry, bool) {
	r := x.rows[p]
	if r == nil || offset < r.first() || offset >= r.end {
		return Entry{}, false
	}
	return x.entry(r, r.find(offset)), true
}

// From yields the extents from the one that holds offset to the last; from the first if offset is before it.
func (x *Index) From(p topic.Partition, offset topic.Offset) iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		r := x.rows[p]
		if r == nil || max(offset, r.first()) >= r.end {
			return
		}
		for i := r.find(max(offset, r.first())); i < len(r.extents); i++ {
			if !yield(x.entry(r, i)) {
				return
			}
		}
	}
}

// FindByTime yields, in offset order, the extents that may hold a record with a timestamp >= ms: the first one nearly
// always does, unless those records lie before the log start.
func (x *Index) FindByTime(p topic.Partition, ms int64) iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		r := x.rows[p]
		if r == nil {
			return
		}
		for i := r.firstSince(ms); i < len(r.extents); i++ {
			if r.extents[i].timestamp >= ms && !yield(x.entry(r, i)) {
				return
			}
		}
	}
}

// Newest gives the first of the extents that hold the newest timestamp; false if there is none.
func (x *Index) Newest(p topic.Partition) (Entry, bool) {
	r := x.rows[p]
	if r == nil || len(r.extents) == 0 {
		return Entry{}, false
	}
	return x.entry(r, r.firstSince(r.extents[len(r.extents)-1].newest)), true
}

// Start is the log start: the least offset that can be read. 0 for a partition not known.
func (x *Index) Start(p topic.Partition) topic.Offset {
	if r := x.rows[p]; r != nil {
		return r.start
	}
	return 0
}

// End is the offset behind the last extent, or the last run. 0 for a partition not known.
func (x *Index) End(p topic.Partition) topic.Offset {
	if r := x.rows[p]; r != nil {
		return r.end
	}
	return 0
}

// SetStart raises the log start and forgets the extents wholly before it; a lower one changes nothing. Only a partition
// that never had an extent may begin behind its end: then both are start. Error: ErrStart.
func (x *Index) SetStart(p topic.Partition, start topic.Offset) error {
	r := x.rows[p]
	if r == nil {
		x.rows[p] = &row{start: start, end: start}
		x.close(p)
		x.settle(p)
		return nil
	}
	if start > r.end {
		return fmt.Errorf("%w: %s start %d, end is %d", ErrStart, p, start, r.end)
	}
	if start > r.start {
		r.cut(start)
	}
	return nil
}

// Raise is SetStart for log starts that come in any order with extents, as those of two journals do between which a
// partition moved: one that lies behind the end takes effect up to there, and the rest of it as the end rises.
func (x *Index) Raise(p topic.Partition, start topic.Offset) {
	if start > max(x.Start(p), x.starts[p]) {
		x.starts[p] = start
		x.settle(p)
	}
}

// settle gives a log start that lies behind the end the effect that it may have by now.
func (x *Index) settle(p topic.Partition) {
	start, ok := x.starts[p]
	if !ok {
		return
	}
	r := x.rows[p]
	if r == nil {
		return
	}
	if start <= r.end {
		delete(x.starts, p)
	}
	if to := min(start, r.end); to > r.start {
		r.cut(to)
	}
}

// Drop forgets the partition, and what is kept aside of it.
func (x *Index) Drop(p topic.Partition) {
	delete(x.rows, p)
	delete(x.aside, p)
	delete(x.starts, p)
}

// Partitions yields the partitions known, in no order.
func (x *Index) Partitions() iter.Seq[topic.Partition] {
	return func(yield func(topic.Partition) bool) {
		for p := range x.rows {
			if !yield(p) {
				return
			}
		}
	}
}

// Len is the number of extents of a partition, runs not counted.
func (x *Index) Len(p topic.Partition) int {
	if r := x.rows[p]; r != nil {
		return len(r.extents)
	}
	return 0
}

// Above counts the extents in slots that lie at or above what next gives for their journals, if of no partition's extents
// one below lies behind one above. It takes a step for each of those, and one for each partition.
func (x *Index) Above(next func(topic.JournalID) topic.Slot) (n int) {
	from := make([]topic.Slot, len(x.journals))
	for i, j := range x.journals {
		from[i] = next(j)
	}
	for _, r := range x.rows {
		for i := len(r.extents) - 1; i >= 0 && r.extents[i].slot >= from[r.extents[i].journal]; i-- {
			n++
		}
	}
	return n
}

func (x *Index) entry(r *row, i int) Entry {
	e := &r.extents[i]
	next := r.end
	if i+1 < len(r.extents) {
		next = r.extents[i+1].base
	}
	return Entry{
		Journal: x.journals[e.journal], Slot: e.slot, Epoch: e.epoch, Base: e.base, Next: next, Position: e.position,
		Length: e.length, RawLength: e.rawLength, CRC32C: e.crc, MaxTimestamp: e.timestamp,
	}
}

// row is the extents of one partition.
type row struct {
	start, end topic.Offset // start <= end; no extent lies wholly before start
	compacted  topic.Offset // where runs end; compacted <= end, and no extent lies wholly before it
	runs       []topic.Run  // in offset order, shared; those wholly before start are passed over
	extents    []extent     // each begins where the one before ends; the last ends at end
	gone       int          // extents cut off whose memory the slice still holds
}

// first is the least offset that an extent is asked for.
func (r *row) first() topic.Offset { return max(r.start, r.compacted) }

// extent is an Entry in 56 bytes: its next is the following one's base.
type extent struct {
	base      topic.Offset
	slot      topic.Slot
	timestamp int64 // the newest of its own
	newest    int64 // the newest of its own and of all before: rises along the row, so that a search by time is binary
	epoch     topic.Epoch
	journal   uint32 // into Index.journals
	position  uint32
	length    uint32
	rawLength uint32
	crc       uint32
}

func (r *row) append(e Entry, journal uint32) {
	newest := e.MaxTimestamp
	if n := len(r.extents); n > 0 {
		newest = max(newest, r.extents[n-1].newest)
	}
	if len(r.extents) == cap(r.extents) {
		r.gone = 0 // append moves the row
	}
	r.extents = append(r.extents, extent{
		base: e.Base, slot: e.Slot, timestamp: e.MaxTimestamp, newest: newest, epoch: e.Epoch, journal: journal,
		position: e.Position, length: e.Length, rawLength: e.RawLength, crc: e.CRC32C,
	})
	r.end = e.Next
}

// find gives the number of the extent that holds offset, which lies in [first(), end).
func (r *row) find(offset topic.Offset) int {
	return sort.Search(len(r.extents), func(i int) bool { return r.extents[i].base > offset }) - 1
}

// firstSince gives the number of the first extent with a timestamp >= ms, or the number of extents.
func (r *row) firstSince(ms int64) int {
	return sort.Search(len(r.extents), func(i int) bool { return r.extents[i].newest >= ms })
}

// cut raises the log start.
func (r *row) cut(start topic.Offset) {
	r.start = start
	r.trim()
}

// trim lets go of the extents wholly before first(). The running maxima are made anew as far as they came from extents
// that are gone.
func (r *row) trim() {
	first := len(r.extents)
	if at := r.first(); at < r.end {
		first = r.find(at)
	}
	r.extents = r.extents[first:]
	if r.gone += first; r.gone > len(r.extents) {
		r.extents, r.gone = slices.Clone(r.extents), 0
	}
	for i := range r.extents {
		newest := r.extents[i].timestamp
		if i > 0 {
			newest = max(newest, r.extents[i-1].newest)
		}
		if newest == r.extents[i].newest {
			break
		}
		r.extents[i].newest = newest
	}
}
