package control

import (
	"fmt"

	"github.com/odradek/odradek/topic"
)

// Drain says whether a journal is to be emptied: it gets no partitions any more and its agent moves those that it
// has to others, a few at a time. It holds if the journal is open and not already as the record wants it.
type Drain struct {
	Journal topic.JournalID
	On      bool
}

func (Drain) Type() Type { return TypeDrain }

func (r Drain) String() string {
	if r.On {
		return r.Journal.String() + " on"
	}
	return r.Journal.String() + " off"
}

func (r Drain) encode(w *writer) {
	w.id(r.Journal)
	w.bool(r.On)
}

func decodeDrain(r *reader) Record { return Drain{Journal: r.id(), On: r.bool()} }

func (r Drain) judge(s *State) string {
	if why := s.judgeOpen(r.Journal); why != "" {
		return why
	}
	switch j, _ := s.journals.get(r.Journal); {
	case j.Draining == r.On && r.On:
		return fmt.Sprintf("journal %s is draining already", r.Journal)
	case j.Draining == r.On:
		return fmt.Sprintf("journal %s is not draining", r.Journal)
	}
	return ""
}

func (r Drain) apply(s *State) {
	j := s.editJournal(r.Journal)
	j.Draining = r.On
	s.journals = s.journals.put(j.ID, j)
}

// Move asks the owner of a partition under Epoch to move it to another journal. It changes no state: the owner acts
// when it applies it, by a RELEASE and an ASSIGN. It holds if Epoch is the newest and the journal is open and not
// the owner.
type Move struct {
	Partition topic.Partition
	Epoch     topic.Epoch
	ToJournal topic.JournalID
}

func (Move) Type() Type { return TypeMove }

func (r Move) String() string {
	return fmt.Sprintf("%s epoch %d to %s", r.Partition, r.Epoch, r.ToJournal)
}

func (r Move) encode(w *writer) {
	w.id(r.Partition.Topic)
	w.uint(uint64(r.Partition.Index))
	w.uint(uint64(r.Epoch))
	w.id(r.ToJournal)
}

func decodeMove(r *reader) Record {
	p := topic.Partition{Topic: r.id(), Index: r.int32()}
	return Move{p, topic.Epoch(r.int32()), r.id()}
}

func (r Move) judge(s *State) string {
	p, ok := s.partition(r.Partition)
	switch {
	case !ok:
		return fmt.Sprintf("no partition %s", r.Partition)
	case p.epoch != r.Epoch:
		return fmt.Sprintf("epoch is %d, not %d", p.epoch, r.Epoch)
	case p.journal == r.ToJournal:
		return fmt.Sprintf("journal %s is the owner", r.ToJournal)
	}
	return s.judgeOpen(r.ToJournal)
}

func (Move) apply(*State) {}
