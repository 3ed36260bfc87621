package control

import (
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/odradek/odradek/topic"
)

// Reassigned moves one partition of a sealed journal on: OldEpoch ends and OldEpoch+1 begins at Base.
type Reassigned struct {
	Partition topic.Partition
	OldEpoch  topic.Epoch
	ToJournal topic.JournalID
	Base      topic.Offset
}

// JournalSealed says that a journal's slot SealSlot holds a seal, and gives all its partitions away. It holds if
// the journal is not known as sealed, its TRIM is still the one that the sealer saw, Parts names exactly the
// partitions that it owns at their epochs, in order of topic id and index, and their new journals are open.
type JournalSealed struct {
	Journal  topic.JournalID
	SealSlot topic.Slot
	Trim     topic.Slot
	Parts    []Reassigned
}

func (JournalSealed) Type() Type { return TypeJournalSealed }

func (r JournalSealed) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s at slot %d trim %d", r.Journal, r.SealSlot, r.Trim)
	for _, p := range r.Parts {
		fmt.Fprintf(&b, " %s epoch %d->%d base %d to %s", p.Partition, p.OldEpoch, p.OldEpoch+1, p.Base, p.ToJournal)
	}
	return b.String()
}

// encode writes the parts in runs of one topic each.
func (r JournalSealed) encode(w *writer) {
	w.id(r.Journal)
	w.slot(r.SealSlot)
	w.slot(r.Trim)
	table := newJournalTable(nil)
	for _, p := range r.Parts {
		table.add(p.ToJournal)
	}
	table.encode(w)
	w.uint(uint64(countTopics(r.Parts)))
	for run := range byTopic(r.Parts) {
		w.id(run[0].Partition.Topic)
		w.uint(uint64(len(run)))
		for _, p := range run {
			w.uint(uint64(p.Partition.Index))
			w.uint(uint64(p.OldEpoch))
			w.uint(uint64(p.Base))
			w.uint(table.place[p.ToJournal])
		}
	}
}

func decodeJournalSealed(r *reader) Record {
	rec := JournalSealed{Journal: r.id(), SealSlot: r.slot(), Trim: r.slot()}
	table := r.journalTable()
	for range r.each(17) {
		id := topic.ID(r.id())
		for range r.each(4) {
			p := topic.Partition{Topic: id, Index: r.int32()}
			rec.Parts = append(rec.Parts, Reassigned{p, topic.Epoch(r.int32()), topic.JournalID{}, topic.Offset(r.int64())})
			rec.Parts[len(rec.Parts)-1].ToJournal = r.tableEntry(table)
		}
	}
	return rec
}

func (r JournalSealed) judge(s *State) string { return r.judgeWith(s, s.judgeOpen) }

// judgeWith is judge with the caller's word on which journals may take partitions.
func (r JournalSealed) judgeWith(s *State, judgeTarget func(topic.JournalID) string) string {
	if why := s.judgeOpen(r.Journal); why != "" {
		return why
	}
	j, _ := s.journals.get(r.Journal)
	switch {
	case j.Trim != r.Trim:
		return fmt.Sprintf("trim is %d, not %d", j.Trim, r.Trim)
	case r.SealSlot < r.Trim:
		return fmt.Sprintf("seal at slot %d below trim %d", r.SealSlot, r.Trim)
	case len(r.Parts) != j.count:
		return fmt.Sprintf("journal owns %d partitions, record names %d", j.count, len(r.Parts))
	}
	for i, part := range r.Parts {
		if i > 0 && comparePartitions(r.Parts[i-1].Partition, part.Partition) >= 0 {
			return fmt.Sprintf("partition %s out of order", part.Partition)
		}
		p, ok := s.partition(part.Partition)
		if !ok || p.journal != r.Journal {
			return fmt.Sprintf("journal does not own %s", part.Partition)
		}
		if why := p.judgeReassign(part.OldEpoch, part.Base); why != "" {
			return fmt.Sprintf("partition %s: %s", part.Partition, why)
		}
		if part.ToJournal == r.Journal {
			return fmt.Sprintf("partition %s stays with the sealed journal", part.Partition)
		}
		if why := judgeTarget(part.ToJournal); why != "" {
			return why
		}
	}
	return ""
}

func (r JournalSealed) apply(s *State) {
	j := s.editJournal(r.Journal)
	j.Sealed, j.SealSlot, j.SealedAt = true, r.SealSlot, s.next
	j.owns, j.count = newTree[topic.ID, []int32](compareTopics), 0
	s.journals = s.journals.put(j.ID, j)
	s.open = s.open.drop(j.ID)
	for run := range byTopic(r.Parts) {
		t := s.editTopic(run[0].Partition.Topic)
		t.parts = slices.Clone(t.parts)
		gained := map[topic.JournalID][]int32{}
		for _, p := range run {
			at := &t.parts[p.Partition.Index]
			*at = at.reassigned(p.ToJournal, p.Base)
			gained[p.ToJournal] = append(gained[p.ToJournal], p.Partition.Index)
		}
		s.topics = s.topics.put(t.ID, t)
		s.gain(t.ID, gained)
	}
}

// ofPartition is a part of a record that is about one partition.
type ofPartition interface{ partition() topic.Partition }

func (p Reassigned) partition() topic.Partition { return p.Partition }

// byTopic cuts parts where the topic changes.
func byTopic[P ofPartition](parts []P) iter.Seq[[]P] {
	return func(yield func([]P) bool) {
		for len(parts) > 0 {
			n := 1
			for n < len(parts) && parts[n].partition().Topic == parts[0].partition().Topic {
				n++
			}
			if !yield(parts[:n]) {
				return
			}
			parts = parts[n:]
		}
	}
}

func countTopics[P ofPartition](parts []P) int {
	n := 0
	for range byTopic(parts) {
		n++
	}
	return n
}
