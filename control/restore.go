package control

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"

	"github.com/odradek/odradek/topic"
)

// Restore gives the state that AppendSnapshot wrote. It copies what it keeps: b may be reused afterwards. It takes
// only what AppendSnapshot writes, so that every state it gives can be applied to. Errors are ErrCorrupt and, for
// what a newer build wrote, ErrUnknownRecord; no input makes it panic or allocate far beyond the size of b.
func Restore(b []byte) (*State, error) {
	body, err := snapshotBody(b)
	if err != nil {
		return nil, fmt.Errorf("control snapshot: %w", err)
	}
	r := &snapshotReader{reader: reader{b: body}, nodes: map[int32]struct{}{}}
	s := r.state()
	if r.err == nil && len(r.b) > 0 {
		r.fail("%d bytes behind the state", len(r.b))
	}
	// What is out of order, there twice or longer than need be is found here.
	if r.err == nil && !bytes.Equal(s.AppendSnapshot(make([]byte, 0, len(b))), b) {
		r.fail("another encoding of the same state")
	}
	if r.err != nil {
		return nil, fmt.Errorf("control snapshot: %w", r.err)
	}
	return s, nil
}

func snapshotBody(b []byte) ([]byte, error) {
	if len(b) < snapshotHeader+snapshotTrailer {
		return nil, fmt.Errorf("%w: %d bytes", ErrCorrupt, len(b))
	}
	if magic := b[:len(snapshotMagic)]; string(magic) != snapshotMagic {
		return nil, fmt.Errorf("%w: magic %q, want %q", ErrCorrupt, magic, snapshotMagic)
	}
	end := len(b) - snapshotTrailer
	if got, want := crc32.Checksum(b[:end], castagnoli), binary.BigEndian.Uint32(b[end:]); got != want {
		return nil, fmt.Errorf("%w: crc %08x, want %08x", ErrCorrupt, got, want)
	}
	if v := binary.BigEndian.Uint16(b[len(snapshotMagic):]); v != snapshotVersion {
		return nil, fmt.Errorf("%w: version %d, this build reads %d", ErrUnknownRecord, v, snapshotVersion)
	}
	return b[snapshotHeader:end], nil
}

// snapshotReader is a reader that has the snapshot's journals by their place.
type snapshotReader struct {
	reader
	journals []topic.JournalID
	nodes    map[int32]struct{} // node ids of open journals
}

func (r *snapshotReader) journal() topic.JournalID { return r.tableEntry(r.journals) }

func (r *snapshotReader) state() *State {
	s := New()
	s.next = r.slot()
	s.clusterID = r.string()
	s.format = uint32(r.uint(math.MaxUint32))
	for range r.each(2) {
		name, level := r.string(), uint32(r.uint(math.MaxUint32))
		if level == 0 || name == FeatureFormat {
			r.fail("feature %q of level %d", name, level)
		}
		s.features = s.features.put(name, level)
	}
	s.config = r.config()
	s.configVersion = r.uint(math.MaxUint64)
	s.nextNodeID = r.int32()
	s.nextProducerID = r.int64()
	if s.nextNodeID == 0 {
		r.fail("next node id is 0")
	}
	for range r.each(26) {
		r.addJournal(s)
	}
	for range r.each(22) {
		r.addTopic(s)
	}
	for range r.each(16) {
		id := topic.ID(r.id())
		if s.topics.has(id) {
			r.fail("topic %s is there and deleted", id)
		}
		s.deleted = s.deleted.put(id, struct{}{})
	}
	for range r.each(3) {
		era := Era{int32(len(s.eras)) + 1, r.string(), r.string(), r.slot()}
		s.eras = append(s.eras, era)
		s.eraOf = s.eraOf.put(era.identity(), era.Number)
	}
	for range r.each(21) {
		r.addCheckpoint(s)
	}
	if era, _ := s.NewestEra(); era.Checkpoint != 0 && !s.checkpointCounts(era.Checkpoint) {
		r.fail("era %d names the checkpoint at %d, which is not kept", era.Number, era.Checkpoint)
	}
	s.swept = r.slot()
	if s.swept > 0 && s.swept >= s.next {
		r.fail("swept below %d, next is %d", s.swept, s.next)
	}
	r.addCompactions(s)
	r.addPins(s)
	return s
}

func (r *snapshotReader) addJournal(s *State) {
	j := &Journal{ID: r.id(), NodeID: r.int32(), Endpoints: r.endpoints(), Zone: r.string(), Weight: int(r.int32()),
		K: int(r.int32()), Build: r.string(), Format: uint32(r.uint(math.MaxUint32)), Opened: r.slot(), Trim: r.slot(),
		owns: newTree[topic.ID, []int32](compareTopics)}
	flags := r.uint(flagSealed | flagDraining)
	j.Sealed, j.Draining = flags&flagSealed != 0, flags&flagDraining != 0
	if j.Sealed {
		j.SealedAt, j.SealSlot = r.slot(), r.slot()
	} else {
		if _, ok := r.nodes[j.NodeID]; ok {
			r.fail("node id %d of two open journals", j.NodeID)
		}
		r.nodes[j.NodeID] = struct{}{}
		s.open = s.open.put(j.ID, struct{}{})
	}
	if j.NodeID == 0 || j.NodeID >= s.nextNodeID {
		r.fail("journal %s has node id %d, next is %d", j.ID, j.NodeID, s.nextNodeID)
	}
	s.journals = s.journals.put(j.ID, j)
	r.journals = append(r.journals, j.ID)
}

func (r *snapshotReader) addTopic(s *State) {
	t := &Topic{ID: r.id(), Name: r.string(), Internal: r.bool(), Config: r.config(), ConfigVersion: r.uint(math.MaxUint64),
		Created: r.slot()}
	if s.topics.has(t.ID) || s.names.has(topic.FoldName(t.Name)) {
		r.fail("topic %q %s twice", t.Name, t.ID)
	}
	gained := map[topic.JournalID][]int32{}
	for i := range r.each(4) {
		p := r.partition()
		if why := s.judgeOpen(p.journal); r.err == nil && why != "" {
			r.fail("partition %d of topic %q: %s", i, t.Name, why)
		}
		t.parts = append(t.parts, p)
		gained[p.journal] = append(gained[p.journal], int32(i))
	}
	if r.err != nil {
		return
	}
	s.partitions += len(t.parts)
	s.names = s.names.put(topic.FoldName(t.Name), t.ID)
	s.topics = s.topics.put(t.ID, t)
	s.gain(t.ID, gained)
}

func (r *snapshotReader) partition() partition {
	p := partition{journal: r.journal(), epoch: topic.Epoch(r.int32())}
	if p.epoch > 0 {
		from := r.uint(math.MaxUint32)
		p.moved = from&1 != 0
		if from >>= 1; from < uint64(len(r.journals)) {
			p.from = r.journals[from]
		} else {
			r.fail("journal %d of %d", from, len(r.journals))
		}
		if p.moved {
			p.released = r.slot()
		}
	}
	p.base = topic.Offset(r.int64())
	before := topic.Epoch(-1)
	for range r.each(3) {
		o := span{journal: r.journal(), base: p.base}
		o.epoch = before + topic.Epoch(r.uint(uint64(p.epoch))) // below before if it overflows
		o.end = p.base + topic.Offset(r.uint(uint64(math.MaxInt64-p.base)))
		if o.end == o.base || o.epoch <= before || o.epoch >= p.epoch {
			r.fail("epoch %d of [%d,%d) after %d, newest is %d", o.epoch, o.base, o.end, before, p.epoch)
		}
		p.past = append(p.past, o)
		before, p.base = o.epoch, o.end
	}
	return p
}

func (r *snapshotReader) addCheckpoint(s *State) {
	c := CheckpointInfo{Control: r.slot(), ID: r.id(), Previous: r.slot(), At: r.slot(), Verified: r.bool(),
		journals: newCheckpointJournals()}
	if c.Verified {
		c.By = r.id()
	}
	if n := len(s.checkpoints); n == maxCheckpoints {
		r.fail("more than %d checkpoints", n)
	} else if n > 0 {
		before := s.checkpoints[n-1]
		if c.Control <= before.Control || !before.Verified {
			r.fail("checkpoint at %d follows the one at %d", c.Control, before.Control)
		}
		c.journals = before.journals
	}
	for range r.each(2) {
		id, next := r.journal(), r.slot()
		if had, _ := c.journals.get(id); next <= had {
			r.fail("checkpoint at %d: journal %s up to %d after %d", c.Control, id, next, had)
		}
		c.journals = c.journals.put(id, next)
	}
	s.checkpoints = append(s.checkpoints, c)
}

func (r *snapshotReader) addCompactions(s *State) {
	var objects []restoredObject
	var planned topic.Slot
	for range r.each(18) {
		o := restoredObject{Object: topic.Object{Planned: planned + r.slot(), ID: r.id()}, info: ObjectInfo{Size: r.int64()}}
		if o.Planned >= s.next || o.IsZero() {
			r.fail("object %s, next is %d", o, s.next)
		}
		objects, planned = append(objects, o), o.Planned
	}
	var before topic.Run
	for range r.each(17) {
		id := topic.ID(r.id())
		t, ok := s.topics.get(id)
		if r.err == nil && !ok {
			r.fail("no topic %s that is compacted", id)
		}
		index := int64(-1)
		for range r.each(4) {
			index += 1 + int64(r.int32())
			if r.err != nil || index >= int64(t.Partitions()) {
				r.fail("no partition %d of topic %s that is compacted", index, id)
				return
			}
			var c Compaction
			c, before = r.compaction(objects, before)
			s.compactions = s.compactions.put(topic.Partition{Topic: id, Index: int32(index)}, c)
		}
	}
	for _, o := range objects {
		if o.info.Runs == 0 {
			r.fail("object %s has no run", o)
		}
		s.objects = s.objects.put(o.Object, o.info)
	}
}

// restoredObject is an object, and what its runs that were read add up to.
type restoredObject struct {
	topic.Object
	info ObjectInfo
}

// compaction reads a partition's runs, which meet where the log start may not have passed the gap.
func (r *snapshotReader) compaction(objects []restoredObject, before topic.Run) (Compaction, topic.Run) {
	c := Compaction{Start: topic.Offset(r.int64())}
	for range r.each(13) {
		i := r.uint(math.MaxInt32)
		if i >= uint64(len(objects)) {
			r.fail("object %d of %d", i, len(objects))
			return c, before
		}
		of := &objects[i]
		run := topic.Run{Object: of.Object}
		run.Base = c.End + topic.Offset(r.uint(uint64(math.MaxInt64-c.End)))
		run.Next = run.Base + topic.Offset(r.uint(uint64(math.MaxInt64-run.Base)))
		run.Position = uint32(r.uint(math.MaxUint32))
		r.run(&run, before)
		if run.Next == run.Base || run.Base > c.End && run.Base > c.Start || end(run) > of.info.Size {
			r.fail("run %s in %d bytes behind %d, start is %d", run, of.info.Size, c.End, c.Start)
		}
		if r.err != nil {
			return c, before
		}
		of.info.Runs++
		of.info.Live += run.Size()
		c.Runs, c.End, before = append(c.Runs, run), run.Next, run
	}
	if len(c.Runs) == 0 {
		c.End = topic.Offset(r.int64())
	}
	if c.End == 0 || c.Start > c.End {
		r.fail("compacted from %d to %d", c.Start, c.End)
	}
	return c, before
}
