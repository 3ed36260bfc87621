package control

import (
	"iter"
	"slices"

	"github.com/odradek/odradek/topic"
)

// Next is the control number that Apply takes next.
func (s *State) Next() topic.Slot { return s.next }

// ClusterID is empty before GENESIS.
func (s *State) ClusterID() string { return s.clusterID }

// Feature gives a feature's level, 0 for one that was never set.
func (s *State) Feature(name string) uint32 {
	if name == FeatureFormat {
		return s.format
	}
	level, _ := s.features.get(name)
	return level
}

// Features lists the features that have a level, by name, FeatureFormat aside.
func (s *State) Features() iter.Seq2[string, uint32] { return s.features.all() }

// Config gives the cluster's settings, which must not be changed, and the version that a ClusterConfig names.
func (s *State) Config() (topic.Config, uint64) { return s.config, s.configVersion }

// TopicByName finds a topic by its exact name.
func (s *State) TopicByName(name string) (*Topic, bool) {
	id, _ := s.names.get(topic.FoldName(name))
	t, ok := s.topics.get(id)
	if !ok || t.Name != name {
		return nil, false
	}
	return t, true
}

// TopicCollidingWith finds the topic that keeps a topic of that name from being created: the one of that name, or
// one that differs from it only in '.' and '_'.
func (s *State) TopicCollidingWith(name string) (*Topic, bool) {
	id, ok := s.names.get(topic.FoldName(name))
	if !ok {
		return nil, false
	}
	return s.topics.get(id)
}

// TopicByID finds a topic by its id.
func (s *State) TopicByID(id topic.ID) (*Topic, bool) { return s.topics.get(id) }

// TopicDeleted reports whether the id was a topic's that is deleted.
func (s *State) TopicDeleted(id topic.ID) bool { return s.deleted.has(id) }

// Topics walks all topics by name ('.' sorts as '_').
func (s *State) Topics() iter.Seq[*Topic] {
	return func(yield func(*Topic) bool) {
		for _, id := range s.names.all() {
			if t, _ := s.topics.get(id); !yield(t) {
				return
			}
		}
	}
}

// TopicCount and PartitionCount tell how many there are.
func (s *State) TopicCount() int     { return s.topics.size }
func (s *State) PartitionCount() int { return s.partitions }

// Journal finds a journal, open or sealed.
func (s *State) Journal(id topic.JournalID) (*Journal, bool) { return s.journals.get(id) }

// Journals walks all journals, sealed ones too, by id.
func (s *State) Journals() iter.Seq[*Journal] {
	return func(yield func(*Journal) bool) {
		for _, j := range s.journals.all() {
			if !yield(j) {
				return
			}
		}
	}
}

// OpenJournals lists the journals that are not sealed, by id.
func (s *State) OpenJournals() []*Journal {
	open := make([]*Journal, 0, s.open.size)
	for id := range s.open.all() {
		j, _ := s.journals.get(id)
		open = append(open, j)
	}
	return open
}

// OpenJournalOf finds the open journal of a node id.
func (s *State) OpenJournalOf(nodeID int32) (*Journal, bool) {
	for id := range s.open.all() {
		if j, _ := s.journals.get(id); j.NodeID == nodeID {
			return j, true
		}
	}
	return nil, false
}

// NextNodeID is above every node id ever given: what NodeID 0 will get.
func (s *State) NextNodeID() int32 { return s.nextNodeID }

// NextProducerID is the first producer id not given away: what the next ProducerIDs must begin with.
func (s *State) NextProducerID() int64 { return s.nextProducerID }

// NewestEra gives the era with the highest number, if there is one.
func (s *State) NewestEra() (Era, bool) {
	if len(s.eras) == 0 {
		return Era{}, false
	}
	return s.eras[len(s.eras)-1], true
}

// Eras lists all eras in order.
func (s *State) Eras() []Era { return slices.Clip(s.eras) }
