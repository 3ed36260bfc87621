package checkpoint

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/topic"
)

// Head is a checkpoint but for its rows, which are in the parts. It does not change once it is read or composed.
type Head struct {
	ID       control.CheckpointID
	Control  topic.Slot // it stands at this control number: that and all before it are applied
	Previous topic.Slot // control number of the checkpoint that it was computed from; 0: none
	State    []byte     // control state after Control, as control.State.AppendSnapshot writes it

	Journals   []Journal   // those of which a slot is in the checkpoint, by id
	Partitions []Partition // those where something was written, by topic id and index
	Shards     int         // a power of two
	Parts      []PartRef   // by kind and shard; extents of one shard from the oldest to the newest
}

// Journal says how far the checkpoint goes in a journal.
type Journal struct {
	ID   topic.JournalID
	Next topic.Slot // the first slot that is not in it; above 0
}

// Partition says where a partition stands in the checkpoint.
type Partition struct {
	Partition  topic.Partition
	Start, End topic.Offset // log start and end; End is above 0
	From       topic.Offset // its rows hold [From, End): what lies in [Start, From) is in runs of compacted objects
	// Extents is about how many extents its parts hold: exactly, unless the log start rose since they were written.
	Extents int
}

// PartKind says what a part holds.
type PartKind uint8

const (
	Extents   PartKind = 1 // of the index
	Producers PartKind = 2 // producer states
)

func (k PartKind) String() string {
	switch k {
	case Extents:
		return "extents"
	case Producers:
		return "producers"
	}
	return fmt.Sprintf("part kind %d", uint8(k))
}

// PartRef names a part and says what it must be.
type PartRef struct {
	Kind    PartKind
	Shard   int
	Planned topic.Slot // control number of the checkpoint that it was first written for
	ID      PartID
	Size    int64  // of the object
	CRC32C  uint32 // that ends the object
	Raw     int64  // of the body before packing
	Rows    int    // extents or producer states in it
}

// Key is where the part is, Twin where it is a second time.
func (p PartRef) Key() string  { return PartKey(p.Planned, p.ID) }
func (p PartRef) Twin() string { return TwinKey(p.Planned, p.ID) }

// Keys are both.
func (p PartRef) Keys() []string { return []string{p.Key(), p.Twin()} }

// Name names the checkpoint.
func (h *Head) Name() Name { return Name{h.Control, h.ID} }

// Restore gives the control state after Control.
func (h *Head) Restore() (*control.State, error) {
	s, err := control.Restore(h.State)
	if err != nil {
		return nil, fmt.Errorf("%s: control state: %w: %w", h.Name(), ErrCorrupt, err)
	}
	if s.Next() != h.Control+1 {
		return nil, fmt.Errorf("%s: control state stands before %d, want %d: %w", h.Name(), s.Next(), h.Control+1, ErrCorrupt)
	}
	return s, nil
}

// Next gives the first slot of a journal that is not in the checkpoint: 0 if it holds none of it.
func (h *Head) Next(j topic.JournalID) topic.Slot {
	i, ok := slices.BinarySearchFunc(h.Journals, j, func(a Journal, j topic.JournalID) int { return bytes.Compare(a.ID[:], j[:]) })
	if !ok {
		return 0
	}
	return h.Journals[i].Next
}

func (h *Head) find(p topic.Partition) (int, bool) {
	return slices.BinarySearchFunc(h.Partitions, p, func(a Partition, p topic.Partition) int { return compare(a.Partition, p) })
}

// Partition gives where a partition stands; false where nothing was written.
func (h *Head) Partition(p topic.Partition) (Partition, bool) {
	i, ok := h.find(p)
	if !ok {
		return Partition{Partition: p}, false
	}
	return h.Partitions[i], true
}

// End gives the offset behind a partition's last extent: 0 where nothing was written.
func (h *Head) End(p topic.Partition) topic.Offset { at, _ := h.Partition(p); return at.End }

// Start gives a partition's log start: 0 where nothing was written.
func (h *Head) Start(p topic.Partition) topic.Offset { at, _ := h.Partition(p); return at.Start }

func compare(a, b topic.Partition) int {
	return cmp.Or(bytes.Compare(a.Topic[:], b.Topic[:]), cmp.Compare(a.Index, b.Index))
}

const (
	mostShards    = 1 << 16
	journalSize   = 17             // least bytes of a journal
	partitionSize = 5              // of a partition
	partRefSize   = 1 + 5 + 16 + 4 // of a part: kind, five numbers, id, crc
)

// Body encodes the head before packing:
//
//	id 16 bytes | control | previous | state: length, bytes |
//	journals: count, each (id 16 bytes | next) |
//	topics: count, each (id 16 bytes | partitions: count, each (index - index before - 1 | start | end - start | from - start | extents)) |
//	shards | parts: count, each (kind uint8 | shard | planned | id 16 bytes | size | CRC32C uint32 | raw | rows)
func (h *Head) Body() []byte {
	b := make([]byte, 0, len(h.State)+64+20*len(h.Journals)+12*len(h.Partitions)+48*len(h.Parts))
	b = append(b, h.ID[:]...)
	b = binary.AppendUvarint(b, uint64(h.Control))
	b = binary.AppendUvarint(b, uint64(h.Previous))
	b = binary.AppendUvarint(b, uint64(len(h.State)))
	b = append(b, h.State...)
	b = binary.AppendUvarint(b, uint64(len(h.Journals)))
	for _, j := range h.Journals {
		b = append(b, j.ID[:]...)
		b = binary.AppendUvarint(b, uint64(j.Next))
	}
	b = binary.AppendUvarint(b, uint64(countTopics(h.Partitions)))
	for list := h.Partitions; len(list) > 0; {
		n := runOf(list)
		b = append(b, list[0].Partition.Topic[:]...)
		b = binary.AppendUvarint(b, uint64(n))
		last := int32(-1)
		for _, p := range list[:n] {
			b = binary.AppendUvarint(b, uint64(p.Partition.Index-last-1))
			b = binary.AppendUvarint(b, uint64(p.Start))
			b = binary.AppendUvarint(b, uint64(p.End-p.Start))
			b = binary.AppendUvarint(b, uint64(p.From-p.Start))
			b = binary.AppendUvarint(b, uint64(p.Extents))
			last = p.Partition.Index
		}
		list = list[n:]
	}
	b = binary.AppendUvarint(b, uint64(h.Shards))
	b = binary.AppendUvarint(b, uint64(len(h.Parts)))
	for _, p := range h.Parts {
		b = append(b, byte(p.Kind))
		b = binary.AppendUvarint(b, uint64(p.Shard))
		b = binary.AppendUvarint(b, uint64(p.Planned))
		b = append(b, p.ID[:]...)
		b = binary.AppendUvarint(b, uint64(p.Size))
		b = binary.BigEndian.AppendUint32(b, p.CRC32C)
		b = binary.AppendUvarint(b, uint64(p.Raw))
		b = binary.AppendUvarint(b, uint64(p.Rows))
	}
	return b
}

// runOf is how many partitions at the front of list are of one topic.
func runOf(list []Partition) int {
	n := 1
	for n < len(list) && list[n].Partition.Topic == list[0].Partition.Topic {
		n++
	}
	return n
}

func countTopics(list []Partition) int {
	n := 0
	for ; len(list) > 0; n++ {
		list = list[runOf(list):]
	}
	return n
}

// decodeHead reads what Body wrote. State is a part of body.
func decodeHead(body []byte) (*Head, error) {
	r := reader{b: body}
	h := &Head{ID: r.id(), Control: r.slot(), Previous: r.slot()}
	h.State = r.take(r.uint(math.MaxUint64))
	h.Journals = make([]Journal, 0, r.count(journalSize))
	for range cap(h.Journals) {
		h.Journals = append(h.Journals, r.journal(h.Journals))
	}
	var last topic.ID
	for i := range r.count(len(topic.ID{}) + 1 + partitionSize) {
		id := topic.ID(r.id())
		if i > 0 && bytes.Compare(last[:], id[:]) >= 0 {
			r.fail("topic %s behind %s", id, last)
		}
		last = id
		h.Partitions = r.partitions(h.Partitions, id)
		if r.err != nil {
			return nil, r.err
		}
	}
	h.Shards = int(r.uint(mostShards))
	if h.Shards < 1 || h.Shards&(h.Shards-1) != 0 {
		r.fail("%d shards", h.Shards)
	}
	h.Parts = make([]PartRef, 0, r.count(partRefSize))
	for range cap(h.Parts) {
		p := r.partRef()
		if n := len(h.Parts); p.Shard >= h.Shards || p.Planned > h.Control || n > 0 && compareRefs(h.Parts[n-1], p) > 0 {
			r.fail("part %d of shard %d of %d planned at %d", n, p.Shard, h.Shards, p.Planned)
		}
		h.Parts = append(h.Parts, p)
	}
	if h.Previous >= h.Control {
		r.fail("control number %d, computed from %d", h.Control, h.Previous)
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	return h, nil
}

// compareRefs orders parts as heads list them.
func compareRefs(a, b PartRef) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Shard, b.Shard))
}

func (r *reader) journal(before []Journal) Journal {
	j := Journal{r.id(), r.slot()}
	if n := len(before); j.Next == 0 || n > 0 && bytes.Compare(before[n-1].ID[:], j.ID[:]) >= 0 {
		r.fail("journal %s next %d at %d", j.ID, j.Next, n)
	}
	return j
}

func (r *reader) partitions(list []Partition, id topic.ID) []Partition {
	n := r.count(partitionSize)
	if n == 0 {
		r.fail("topic %s without partitions", id)
	}
	last := int32(-1)
	for range n {
		p := Partition{Partition: topic.Partition{Topic: id, Index: r.index(last)}}
		last = p.Partition.Index
		p.Start = r.offset()
		p.End = r.behind(p.Start)
		p.From = p.Start + topic.Offset(r.uint(uint64(p.End-p.Start)))
		p.Extents = int(r.uint(math.MaxInt32))
		if p.End == 0 {
			r.fail("partition %s is empty", p.Partition)
		}
		if r.err != nil {
			return nil
		}
		list = append(list, p)
	}
	return list
}

func (r *reader) partRef() PartRef {
	var p PartRef
	if b := r.take(1); len(b) == 1 {
		p.Kind = PartKind(b[0])
	}
	p.Shard, p.Planned, p.ID = int(r.uint(mostShards)), r.slot(), r.id()
	p.Size, p.CRC32C = int64(r.uint(math.MaxInt64)), r.uint32()
	p.Raw, p.Rows = int64(r.uint(maxBody)), int(r.uint(math.MaxInt32))
	if p.Kind != Extents && p.Kind != Producers {
		r.fail("%s", p.Kind)
	}
	return p
}
