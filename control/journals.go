package control

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/odradek/odradek/topic"
)

// Endpoint is one address at which an agent is reached. Names are the agents' business; "kafka" is what clients
// are told.
type Endpoint struct {
	Name string
	Host string
	Port int32
}

func (e Endpoint) String() string {
	if strings.Contains(e.Host, ":") {
		return fmt.Sprintf("%s=[%s]:%d", e.Name, e.Host, e.Port)
	}
	return fmt.Sprintf("%s=%s:%d", e.Name, e.Host, e.Port)
}

// Journal is one journal of a State; like it, it never changes.
type Journal struct {
	ID        topic.JournalID
	NodeID    int32 // Kafka's node id of the agent that writes it
	Endpoints []Endpoint
	Zone      string
	Weight    int        // share of partitions in proportion to others'
	K         int        // most slots in flight
	Build     string     // of the agent, for people
	Format    uint32     // highest level of FeatureFormat that the build reads
	Opened    topic.Slot // control number of its JOURNAL_OPEN

	Sealed   bool
	SealedAt topic.Slot // control number, if sealed
	SealSlot topic.Slot // the journal's slot that holds the seal, if sealed
	Trim     topic.Slot // slots below live on in manifests

	Draining bool // gets no partitions, and gives its own away

	owns  tree[topic.ID, []int32] // partitions by topic, indexes ascending; empty once sealed
	count int                     // partitions in owns
}

// Endpoint gives the endpoint of that name.
func (j *Journal) Endpoint(name string) (Endpoint, bool) {
	i := slices.IndexFunc(j.Endpoints, func(e Endpoint) bool { return e.Name == name })
	if i < 0 {
		return Endpoint{}, false
	}
	return j.Endpoints[i], true
}

// JournalOpen opens a journal and seals those before it on the same disk in one step: if one of Predecessors is
// void, all of it is. It holds if the id was never given, no other open journal has the node id, and the build
// reads the cluster's format.
//
// NodeID 0 asks for the next one that no journal ever had. Any other is taken as asked, the one of a predecessor
// as well, which is how an agent keeps its own.
type JournalOpen struct {
	ID           topic.JournalID
	NodeID       int32
	Endpoints    []Endpoint
	Zone         string
	Weight       int
	K            int
	Build        string
	Format       uint32
	Predecessors []JournalSealed
}

func (JournalOpen) Type() Type { return TypeJournalOpen }

func (r JournalOpen) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s node %s", r.ID, nodeName(r.NodeID))
	for _, e := range r.Endpoints {
		fmt.Fprintf(&b, " %s", e)
	}
	fmt.Fprintf(&b, " zone %q weight %d k %d build %q format %d", r.Zone, r.Weight, r.K, r.Build, r.Format)
	for _, p := range r.Predecessors {
		fmt.Fprintf(&b, ", sealing %s", p)
	}
	return b.String()
}

func nodeName(id int32) string {
	if id == 0 {
		return "auto"
	}
	return fmt.Sprint(id)
}

func (r JournalOpen) encode(w *writer) {
	w.id(r.ID)
	w.uint(uint64(r.NodeID))
	w.endpoints(r.Endpoints)
	w.string(r.Zone)
	w.uint(uint64(r.Weight))
	w.uint(uint64(r.K))
	w.string(r.Build)
	w.uint(uint64(r.Format))
	w.uint(uint64(len(r.Predecessors)))
	for _, p := range r.Predecessors {
		p.encode(w)
	}
}

func decodeJournalOpen(r *reader) Record {
	open := JournalOpen{ID: r.id(), NodeID: r.int32(), Endpoints: r.endpoints()}
	open.Zone, open.Weight, open.K, open.Build = r.string(), int(r.int32()), int(r.int32()), r.string()
	open.Format = uint32(r.uint(math.MaxUint32))
	for range r.each(20) {
		open.Predecessors = append(open.Predecessors, decodeJournalSealed(r).(JournalSealed))
	}
	return open
}

func (r JournalOpen) judge(s *State) string {
	switch {
	case r.ID.IsZero():
		return "journal without id"
	case s.journals.has(r.ID):
		return fmt.Sprintf("journal %s was opened before", r.ID)
	case r.K < 1:
		return fmt.Sprintf("k is %d", r.K)
	case r.Format < s.format:
		return fmt.Sprintf("build reads format %d, cluster has %d", r.Format, s.format)
	}
	sealing := map[topic.JournalID]bool{}
	for _, p := range r.Predecessors {
		if sealing[p.Journal] {
			return fmt.Sprintf("journal %s sealed twice", p.Journal)
		}
		sealing[p.Journal] = true
	}
	for _, p := range r.Predecessors {
		why := p.judgeWith(s, func(to topic.JournalID) string {
			switch {
			case to == r.ID:
				return ""
			case sealing[to]:
				return fmt.Sprintf("journal %s is sealed in the same record", to)
			}
			return s.judgeOpen(to)
		})
		if why != "" {
			return fmt.Sprintf("predecessor %s: %s", p.Journal, why)
		}
	}
	return r.judgeNodeID(s, sealing)
}

func (r JournalOpen) judgeNodeID(s *State, sealing map[topic.JournalID]bool) string {
	switch {
	case r.NodeID == 0 && s.nextNodeID == math.MaxInt32:
		return "no node id left"
	case r.NodeID < 0 || r.NodeID == math.MaxInt32:
		return fmt.Sprintf("node id %d", r.NodeID)
	}
	for id := range s.open.all() {
		if j, _ := s.journals.get(id); j.NodeID == r.NodeID && !sealing[id] {
			return fmt.Sprintf("node id %d is in use by journal %s", r.NodeID, id)
		}
	}
	return ""
}

func (r JournalOpen) apply(s *State) {
	j := &Journal{ID: r.ID, NodeID: r.NodeID, Endpoints: r.Endpoints, Zone: r.Zone, Weight: r.Weight, K: r.K, Build: r.Build,
		Format: r.Format, Opened: s.next, owns: newTree[topic.ID, []int32](compareTopics)}
	if j.NodeID == 0 {
		j.NodeID = s.nextNodeID
	}
	s.nextNodeID = max(s.nextNodeID, j.NodeID+1)
	s.journals = s.journals.put(j.ID, j)
	s.open = s.open.put(j.ID, struct{}{})
	for _, p := range r.Predecessors {
		p.apply(s)
	}
}

// judgeOpen says why nothing can be assigned to the journal.
func (s *State) judgeOpen(id topic.JournalID) string {
	j, ok := s.journals.get(id)
	switch {
	case !ok:
		return fmt.Sprintf("no journal %s", id)
	case j.Sealed:
		return fmt.Sprintf("journal %s is sealed", id)
	}
	return ""
}

// editJournal gives a copy of a journal that is there, to be changed and put back.
func (s *State) editJournal(id topic.JournalID) *Journal {
	j, _ := s.journals.get(id)
	edited := *j
	return &edited
}

// gain adds partitions of one topic to the journals that own them now; indexes are ascending.
func (s *State) gain(id topic.ID, gained map[topic.JournalID][]int32) {
	for journal, indexes := range gained {
		j := s.editJournal(journal)
		had, _ := j.owns.get(id)
		all := slices.Concat(had, indexes)
		slices.Sort(all)
		j.owns = j.owns.put(id, all)
		j.count += len(indexes)
		s.journals = s.journals.put(journal, j)
	}
}

// lose takes one partition from the journal that owns it.
func (s *State) lose(journal topic.JournalID, p topic.Partition) {
	j := s.editJournal(journal)
	had, _ := j.owns.get(p.Topic)
	i, _ := slices.BinarySearch(had, p.Index)
	if left := slices.Concat(had[:i], had[i+1:]); len(left) > 0 {
		j.owns = j.owns.put(p.Topic, left)
	} else {
		j.owns = j.owns.drop(p.Topic)
	}
	j.count--
	s.journals = s.journals.put(journal, j)
}

// loseTopic takes all partitions of a topic from a journal.
func (s *State) loseTopic(journal topic.JournalID, id topic.ID) {
	j := s.editJournal(journal)
	had, _ := j.owns.get(id)
	j.count -= len(had)
	j.owns = j.owns.drop(id)
	s.journals = s.journals.put(journal, j)
}
