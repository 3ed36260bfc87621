package control

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/odradek/odradek/topic"
)

// Topic is one topic of a State; like it, it never changes.
type Topic struct {
	ID            topic.ID
	Name          string
	Internal      bool
	Config        topic.Config // settings given explicitly; not to be changed
	ConfigVersion uint64       // counts TOPIC_CONFIGs that held
	Created       topic.Slot   // control number

	parts []partition // by index
}

// Partitions tells how many partitions the topic has; their indexes are [0, Partitions).
func (t *Topic) Partitions() int32 { return int32(len(t.parts)) }

// TopicCreate makes a topic and assigns its partitions, Journals[i] being the first owner of partition i, at
// epoch 0 and offset 0. It holds if neither name nor id were ever given (the name: not now) and the journals are open.
type TopicCreate struct {
	ID       topic.ID
	Name     string
	Internal bool
	Config   topic.Config
	Journals []topic.JournalID
}

func (TopicCreate) Type() Type { return TypeTopicCreate }

func (r TopicCreate) String() string {
	return fmt.Sprintf("%q id %s%s%s%s", r.Name, r.ID, word(r.Internal, " internal"), describeConfig(r.Config),
		describeOwners(0, r.Journals))
}

func (r TopicCreate) encode(w *writer) {
	w.id(r.ID)
	w.string(r.Name)
	w.bool(r.Internal)
	w.config(r.Config)
	w.journals(r.Journals)
}

func decodeTopicCreate(r *reader) Record {
	return TopicCreate{ID: r.id(), Name: r.string(), Internal: r.bool(), Config: r.config(), Journals: r.journals()}
}

func (r TopicCreate) judge(s *State) string {
	switch {
	case r.ID.IsZero() || r.Name == "" || len(r.Journals) == 0:
		return "topic without id, name or partitions"
	case s.topics.has(r.ID) || s.deleted.has(r.ID):
		return fmt.Sprintf("topic id %s was given before", r.ID)
	}
	if id, ok := s.names.get(topic.FoldName(r.Name)); ok {
		other, _ := s.topics.get(id)
		return fmt.Sprintf("topic %q exists", other.Name)
	}
	return s.judgeOwners(r.Journals)
}

func (r TopicCreate) apply(s *State) {
	t := &Topic{ID: r.ID, Name: r.Name, Internal: r.Internal, Config: r.Config, Created: s.next}
	s.names = s.names.put(topic.FoldName(t.Name), t.ID)
	s.addPartitions(t, r.Journals)
}

// PartitionsAdd gives a topic more partitions, Journals[i] owning partition From+i at epoch 0 and offset 0. It
// holds if the topic has From partitions and the journals are open.
type PartitionsAdd struct {
	Topic    topic.ID
	From     int32
	Journals []topic.JournalID
}

func (PartitionsAdd) Type() Type { return TypePartitionsAdd }

func (r PartitionsAdd) String() string {
	return fmt.Sprintf("topic %s%s", r.Topic, describeOwners(r.From, r.Journals))
}

func (r PartitionsAdd) encode(w *writer) {
	w.id(r.Topic)
	w.uint(uint64(r.From))
	w.journals(r.Journals)
}

func decodePartitionsAdd(r *reader) Record {
	return PartitionsAdd{Topic: r.id(), From: r.int32(), Journals: r.journals()}
}

func (r PartitionsAdd) judge(s *State) string {
	t, ok := s.topics.get(r.Topic)
	switch {
	case !ok:
		return fmt.Sprintf("no topic %s", r.Topic)
	case t.Partitions() != r.From:
		return fmt.Sprintf("topic has %d partitions, not %d", t.Partitions(), r.From)
	case len(r.Journals) == 0 || len(r.Journals) > math.MaxInt32-int(r.From):
		return fmt.Sprintf("%d partitions to add", len(r.Journals))
	}
	return s.judgeOwners(r.Journals)
}

func (r PartitionsAdd) apply(s *State) { s.addPartitions(s.editTopic(r.Topic), r.Journals) }

// judgeOwners says which of the journals is not open.
func (s *State) judgeOwners(journals []topic.JournalID) string {
	var last topic.JournalID
	for _, id := range journals {
		if id == last && !id.IsZero() {
			continue
		}
		if why := s.judgeOpen(id); why != "" {
			return why
		}
		last = id
	}
	return ""
}

// addPartitions appends partitions to t, which nobody else sees yet, and puts it into s.
func (s *State) addPartitions(t *Topic, journals []topic.JournalID) {
	from := t.Partitions()
	t.parts = slices.Grow(slices.Clip(t.parts), len(journals))
	gained := map[topic.JournalID][]int32{}
	for i, id := range journals {
		t.parts = append(t.parts, partition{journal: id})
		gained[id] = append(gained[id], from+int32(i))
	}
	s.partitions += len(journals)
	s.topics = s.topics.put(t.ID, t)
	s.gain(t.ID, gained)
}

// TopicDelete ends a topic with all its partitions; its id is remembered. It holds if the topic exists.
type TopicDelete struct {
	ID topic.ID
}

func (TopicDelete) Type() Type { return TypeTopicDelete }

func (r TopicDelete) String() string { return "topic " + r.ID.String() }

func (r TopicDelete) encode(w *writer) { w.id(r.ID) }

func decodeTopicDelete(r *reader) Record { return TopicDelete{ID: r.id()} }

func (r TopicDelete) judge(s *State) string {
	if !s.topics.has(r.ID) {
		return fmt.Sprintf("no topic %s", r.ID)
	}
	return ""
}

func (r TopicDelete) apply(s *State) {
	t, _ := s.topics.get(r.ID)
	owners := map[topic.JournalID]struct{}{}
	for _, p := range t.parts {
		owners[p.journal] = struct{}{}
	}
	for id := range owners {
		s.loseTopic(id, t.ID)
	}
	s.dropCompactions(t)
	s.partitions -= len(t.parts)
	s.topics = s.topics.drop(t.ID)
	s.names = s.names.drop(topic.FoldName(t.Name))
	s.deleted = s.deleted.put(t.ID, struct{}{})
}

// TopicConfig changes settings of a topic. It holds if the topic exists and no setting of it changed since
// Version, the ConfigVersion it was decided on. Deletions come first.
type TopicConfig struct {
	Topic   topic.ID
	Version uint64
	Set     topic.Config
	Delete  []string
}

func (TopicConfig) Type() Type { return TypeTopicConfig }

func (r TopicConfig) String() string {
	return fmt.Sprintf("topic %s on version %d%s", r.Topic, r.Version, describeChange(r.Set, r.Delete))
}

func (r TopicConfig) encode(w *writer) {
	w.id(r.Topic)
	w.uint(r.Version)
	w.config(r.Set)
	w.names(r.Delete)
}

func decodeTopicConfig(r *reader) Record {
	return TopicConfig{Topic: r.id(), Version: r.uint(math.MaxUint64), Set: r.config(), Delete: r.names()}
}

func (r TopicConfig) judge(s *State) string {
	t, ok := s.topics.get(r.Topic)
	if !ok {
		return fmt.Sprintf("no topic %s", r.Topic)
	}
	if t.ConfigVersion != r.Version {
		return fmt.Sprintf("version is %d, not %d", t.ConfigVersion, r.Version)
	}
	return ""
}

func (r TopicConfig) apply(s *State) {
	t := s.editTopic(r.Topic)
	t.Config = changed(t.Config, r.Set, r.Delete)
	t.ConfigVersion++
	s.topics = s.topics.put(t.ID, t)
}

// editTopic gives a copy of a topic that is there, to be changed and put back; its partitions are still shared.
func (s *State) editTopic(id topic.ID) *Topic {
	t, _ := s.topics.get(id)
	edited := *t
	return &edited
}

func word(yes bool, text string) string {
	if yes {
		return text
	}
	return ""
}

// describeOwners lists runs of partitions with one owner, the first partition being from.
func describeOwners(from int32, journals []topic.JournalID) string {
	var b strings.Builder
	for i := 0; i < len(journals); {
		j := i + 1
		for j < len(journals) && journals[j] == journals[i] {
			j++
		}
		fmt.Fprintf(&b, " [%d,%d)->%s", int(from)+i, int(from)+j, journals[i])
		i = j
	}
	return b.String()
}
