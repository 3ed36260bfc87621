package control

import (
	"sort"

	"github.com/odradek/odradek/topic"
)

// Assignment says that a journal holds what was written to a partition under an epoch: [Base, End).
type Assignment struct {
	Partition topic.Partition
	Journal   topic.JournalID
	Epoch     topic.Epoch
	Base      topic.Offset
	End       topic.Offset // EndOpen while the epoch is the newest

	// How the newest epoch began; left empty for those before it.
	From     topic.JournalID // owner of the epoch before, also if it wrote nothing; none at epoch 0
	Moved    bool            // From gave the partition away by a RELEASE; otherwise its journal was sealed
	Released topic.Slot      // slot of From that holds the RELEASE, if Moved
}

// EndOpen stands for the end of an epoch that goes on.
const EndOpen topic.Offset = -1

// Owner gives a partition's newest assignment.
func (s *State) Owner(p topic.Partition) (Assignment, bool) {
	q, ok := s.partition(p)
	if !ok {
		return Assignment{}, false
	}
	return q.newest(p), true
}

// Owner gives the newest assignment of one of the topic's partitions, which must be in [0, Partitions).
func (t *Topic) Owner(index int32) Assignment {
	return t.parts[index].newest(topic.Partition{Topic: t.ID, Index: index})
}

// Assignments lists a partition's assignments by epoch, the newest last; of those before it only the ones under
// which something was written.
func (s *State) Assignments(p topic.Partition) []Assignment {
	q, ok := s.partition(p)
	if !ok {
		return nil
	}
	list := make([]Assignment, 0, len(q.past)+1)
	for _, o := range q.past {
		list = append(list, Assignment{Partition: p, Journal: o.journal, Epoch: o.epoch, Base: o.base, End: o.end})
	}
	return append(list, q.newest(p))
}

func (q partition) newest(p topic.Partition) Assignment {
	return Assignment{p, q.journal, q.epoch, q.base, EndOpen, q.from, q.moved, q.released}
}

// EpochEnd answers OffsetForLeaderEpoch (KIP-320): the newest epoch not above the one asked for under which
// something was written, and where it ended; EndOpen means at the log's end. An epoch below all that are known
// ends where the first known one begins. It is not ok for an epoch above the newest and an unknown partition.
func (s *State) EpochEnd(p topic.Partition, epoch topic.Epoch) (found topic.Epoch, end topic.Offset, ok bool) {
	q, ok := s.partition(p)
	switch {
	case !ok || epoch > q.epoch:
		return -1, EndOpen, false
	case epoch == q.epoch:
		return epoch, EndOpen, true
	}
	i := sort.Search(len(q.past), func(i int) bool { return q.past[i].epoch > epoch })
	switch {
	case i > 0:
		return q.past[i-1].epoch, q.past[i-1].end, true
	case len(q.past) > 0:
		return epoch, q.past[0].base, true
	}
	return epoch, q.base, true
}

// PartitionsOf lists what a journal owns, by topic id and index: the order that JournalSealed wants.
func (s *State) PartitionsOf(id topic.JournalID) []Assignment {
	j, ok := s.journals.get(id)
	if !ok {
		return nil
	}
	list := make([]Assignment, 0, j.count)
	for topicID, indexes := range j.owns.all() {
		t, _ := s.topics.get(topicID)
		for _, index := range indexes {
			list = append(list, t.Owner(index))
		}
	}
	return list
}

// Partitions tells how many partitions the journal owns; none once it is sealed.
func (j *Journal) Partitions() int { return j.count }

// Owned lists the partitions that the journal owns.
func (j *Journal) Owned() []topic.Partition {
	list := make([]topic.Partition, 0, j.count)
	for id, indexes := range j.owns.all() {
		for _, index := range indexes {
			list = append(list, topic.Partition{Topic: id, Index: index})
		}
	}
	return list
}

// PartitionsOf is how many partitions of a topic the journal owns.
func (j *Journal) PartitionsOf(id topic.ID) int {
	owned, _ := j.owns.get(id)
	return len(owned)
}
