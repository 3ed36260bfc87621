package control

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/odradek/odradek/topic"
)

// A snapshot, its header's and trailer's numbers big endian:
//
//	0        8         10                    end-4    end
//	| magic  | version | body                | CRC32C |
//	|ODRSTATE| uint16  |                     | uint32 |
//
// The body has the fields of State in the order of encodeSnapshot, made of the same primitives as a record's;
// docs/format/control-state.md has the table. A journal is named by its place among the snapshot's journals, and
// what follows from other fields (names, who owns what, counts) is not written. The CRC32C (Castagnoli) covers all
// before it.
const (
	snapshotMagic   = "ODRSTATE"
	snapshotVersion = 1
	snapshotHeader  = len(snapshotMagic) + 2
	snapshotTrailer = 4
)

// AppendSnapshot appends all of the state to b, for Restore. The same state gives the same bytes, however it was
// reached: by records or by Restore and the records after it.
func (s *State) AppendSnapshot(b []byte) []byte {
	start := len(b)
	w := &snapshotWriter{writer: writer{b: append(b, snapshotMagic...)}, place: make(map[topic.JournalID]uint64, s.journals.size)}
	w.b = binary.BigEndian.AppendUint16(w.b, snapshotVersion)
	s.encodeSnapshot(w)
	return binary.BigEndian.AppendUint32(w.b, crc32.Checksum(w.b[start:], castagnoli))
}

// snapshotWriter is a writer that knows the place of each journal among the snapshot's.
type snapshotWriter struct {
	writer
	place map[topic.JournalID]uint64
}

func (w *snapshotWriter) journal(id topic.JournalID) { w.uint(w.place[id]) }

func (s *State) encodeSnapshot(w *snapshotWriter) {
	w.slot(s.next)
	w.string(s.clusterID)
	w.uint(uint64(s.format))
	w.uint(uint64(s.features.size))
	for name, level := range s.features.all() {
		w.string(name)
		w.uint(uint64(level))
	}
	w.config(s.config)
	w.uint(s.configVersion)
	w.uint(uint64(s.nextNodeID))
	w.uint(uint64(s.nextProducerID))
	w.uint(uint64(s.journals.size))
	for id, j := range s.journals.all() {
		w.place[id] = uint64(len(w.place))
		j.encodeSnapshot(w)
	}
	w.uint(uint64(s.topics.size))
	for _, t := range s.topics.all() {
		t.encodeSnapshot(w)
	}
	w.uint(uint64(s.deleted.size))
	for id := range s.deleted.all() {
		w.id(id)
	}
	w.uint(uint64(len(s.eras)))
	for _, era := range s.eras {
		w.string(era.RunID)
		w.string(era.ReplicationID)
		w.slot(era.Checkpoint)
	}
	w.uint(uint64(len(s.checkpoints)))
	var before CheckpointInfo
	for _, c := range s.checkpoints {
		c.encodeSnapshot(w, before)
		before = c
	}
	w.slot(s.swept)
	s.encodeCompactions(w)
	w.uint(uint64(s.pins.size))
	for _, p := range s.pins.all() {
		p.encodeSnapshot(w)
	}
	w.slot(s.born)
	w.id(s.fork)
	w.bool(s.ended)
}

// encodeCompactions writes the objects, then the partitions in stretches of one topic each.
func (s *State) encodeCompactions(w *snapshotWriter) {
	place := make(map[topic.Object]uint64, s.objects.size)
	w.uint(uint64(s.objects.size))
	var planned topic.Slot
	for o, info := range s.objects.all() {
		place[o] = uint64(len(place))
		w.slot(o.Planned - planned)
		w.id(o.ID)
		w.uint(uint64(info.Size))
		planned = o.Planned
	}
	list := make([]compactedPartition, 0, s.compactions.size)
	for p, c := range s.compactions.all() {
		list = append(list, compactedPartition{p, c})
	}
	w.uint(uint64(countTopics(list)))
	var before topic.Run
	for parts := range byTopic(list) {
		w.id(parts[0].Partition.Topic)
		w.uint(uint64(len(parts)))
		index := int32(-1)
		for _, part := range parts {
			w.uint(uint64(part.Partition.Index - index - 1))
			before = part.Compaction.encodeSnapshot(w, place, before)
			index = part.Partition.Index
		}
	}
}

type compactedPartition struct {
	topic.Partition
	Compaction
}

func (c compactedPartition) partition() topic.Partition { return c.Partition }

// encodeSnapshot leaves out what follows: the last run ends where compaction does.
func (c Compaction) encodeSnapshot(w *snapshotWriter, place map[topic.Object]uint64, before topic.Run) topic.Run {
	w.uint(uint64(c.Start))
	w.uint(uint64(len(c.Runs)))
	if len(c.Runs) == 0 {
		w.uint(uint64(c.End))
	}
	var next topic.Offset
	for _, r := range c.Runs {
		w.uint(place[r.Object])
		w.uint(uint64(r.Base - next))
		w.uint(uint64(r.Next - r.Base))
		w.uint(uint64(r.Position))
		w.run(r, before)
		next, before = r.Next, r
	}
	return before
}

// Flags of a journal in a snapshot.
const (
	flagSealed = 1 << iota
	flagDraining
)

func (j *Journal) encodeSnapshot(w *snapshotWriter) {
	w.id(j.ID)
	w.uint(uint64(j.NodeID))
	w.endpoints(j.Endpoints)
	w.string(j.Zone)
	w.uint(uint64(j.Weight))
	w.uint(uint64(j.K))
	w.string(j.Build)
	w.uint(uint64(j.Format))
	w.slot(j.Opened)
	w.slot(j.Trim)
	var flags uint64
	if j.Sealed {
		flags |= flagSealed
	}
	if j.Draining {
		flags |= flagDraining
	}
	w.uint(flags)
	if j.Sealed {
		w.slot(j.SealedAt)
		w.slot(j.SealSlot)
	}
}

func (t *Topic) encodeSnapshot(w *snapshotWriter) {
	w.id(t.ID)
	w.string(t.Name)
	w.bool(t.Internal)
	w.config(t.Config)
	w.uint(t.ConfigVersion)
	w.slot(t.Created)
	w.uint(uint64(len(t.parts)))
	for _, p := range t.parts {
		p.encodeSnapshot(w)
	}
}

// encodeSnapshot leaves out what I3 says: an assignment begins where the one before it that wrote something ends.
func (p partition) encodeSnapshot(w *snapshotWriter) {
	w.journal(p.journal)
	w.uint(uint64(p.epoch))
	if p.epoch > 0 {
		from := w.place[p.from] << 1
		if p.moved {
			w.uint(from | 1)
			w.slot(p.released)
		} else {
			w.uint(from)
		}
	}
	first := p.base
	if len(p.past) > 0 {
		first = p.past[0].base
	}
	w.uint(uint64(first))
	w.uint(uint64(len(p.past)))
	before := topic.Epoch(-1)
	for _, o := range p.past {
		w.journal(o.journal)
		w.uint(uint64(o.epoch - before))
		w.uint(uint64(o.end - o.base))
		before = o.epoch
	}
}

// encodeSnapshot writes of the journals only those that got further than in the checkpoint before.
func (c CheckpointInfo) encodeSnapshot(w *snapshotWriter, before CheckpointInfo) {
	w.slot(c.Control)
	w.id(c.ID)
	w.slot(c.Previous)
	w.slot(c.At)
	w.bool(c.Verified)
	if c.Verified {
		w.id(c.By)
	}
	further := 0
	for id, next := range c.journals.all() {
		if next != before.Next(id) {
			further++
		}
	}
	w.uint(uint64(further))
	for id, next := range c.journals.all() {
		if next != before.Next(id) {
			w.journal(id)
			w.slot(next)
		}
	}
}
