package control

import (
	"fmt"
	"math"
	"slices"

	"github.com/odradek/odradek/topic"
)

// partition is one partition's newest assignment and those before it.
type partition struct {
	journal topic.JournalID
	epoch   topic.Epoch
	base    topic.Offset
	past    []span // by epoch; never appended to in place

	from     topic.JournalID // owner of the epoch before; none at epoch 0
	moved    bool            // the epoch before ended with a RELEASE, not with a seal
	released topic.Slot      // slot of from that holds the RELEASE, if moved
}

// span is an assignment that is over: its journal wrote [base, end) under epoch. Ones that wrote nothing are not
// kept; otherwise an agent that starts every day would weigh on each idle partition for ever.
type span struct {
	journal   topic.JournalID
	epoch     topic.Epoch
	base, end topic.Offset
}

// reassigned gives p after its next assignment; base is the end of the one before (I3).
func (p partition) reassigned(to topic.JournalID, base topic.Offset) partition {
	if base > p.base {
		p.past = append(slices.Clip(p.past), span{p.journal, p.epoch, p.base, base})
	}
	p.from, p.moved, p.released = p.journal, false, 0
	p.journal, p.epoch, p.base = to, p.epoch+1, base
	return p
}

// judgeReassign says why a partition cannot go from oldEpoch to the next one at base.
func (p partition) judgeReassign(oldEpoch topic.Epoch, base topic.Offset) string {
	switch {
	case p.epoch != oldEpoch:
		return fmt.Sprintf("epoch is %d, not %d", p.epoch, oldEpoch)
	case oldEpoch == math.MaxInt32:
		return "no epoch left"
	case base < p.base:
		return fmt.Sprintf("base %d below base %d of epoch %d", base, p.base, p.epoch)
	}
	return ""
}

// Assign gives a partition to another journal: its epoch OldEpoch, whose owner has RELEASEd it at Base in slot
// Released of its own journal, is followed by OldEpoch+1 from Base on. It holds if OldEpoch is still the newest and
// the journal is open.
type Assign struct {
	Partition topic.Partition
	OldEpoch  topic.Epoch
	ToJournal topic.JournalID
	Base      topic.Offset
	Released  topic.Slot
}

func (Assign) Type() Type { return TypeAssign }

func (r Assign) String() string {
	return fmt.Sprintf("%s epoch %d->%d base %d to %s released in slot %d", r.Partition, r.OldEpoch, r.OldEpoch+1,
		r.Base, r.ToJournal, r.Released)
}

func (r Assign) encode(w *writer) {
	w.id(r.Partition.Topic)
	w.uint(uint64(r.Partition.Index))
	w.uint(uint64(r.OldEpoch))
	w.id(r.ToJournal)
	w.uint(uint64(r.Base))
	w.slot(r.Released)
}

func decodeAssign(r *reader) Record {
	p := topic.Partition{Topic: r.id(), Index: r.int32()}
	return Assign{p, topic.Epoch(r.int32()), r.id(), topic.Offset(r.int64()), r.slot()}
}

func (r Assign) judge(s *State) string {
	p, ok := s.partition(r.Partition)
	if !ok {
		return fmt.Sprintf("no partition %s", r.Partition)
	}
	if why := p.judgeReassign(r.OldEpoch, r.Base); why != "" {
		return why
	}
	return s.judgeOpen(r.ToJournal)
}

func (r Assign) apply(s *State) {
	t := s.editTopic(r.Partition.Topic)
	t.parts = slices.Clone(t.parts)
	p := &t.parts[r.Partition.Index]
	s.lose(p.journal, r.Partition)
	*p = p.reassigned(r.ToJournal, r.Base)
	p.moved, p.released = true, r.Released
	s.topics = s.topics.put(t.ID, t)
	s.gain(t.ID, map[topic.JournalID][]int32{r.ToJournal: {r.Partition.Index}})
}

func (s *State) partition(p topic.Partition) (partition, bool) {
	t, ok := s.topics.get(p.Topic)
	if !ok || p.Index < 0 || p.Index >= t.Partitions() {
		return partition{}, false
	}
	return t.parts[p.Index], true
}
