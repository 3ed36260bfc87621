package control

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/odradek/odradek/topic"
)

// What Apply answers, to be told apart by errors.Is.
var (
	// ErrOutOfTurn says that the batch is not the one that follows what the state has applied.
	ErrOutOfTurn = errors.New("control number out of turn")
	// ErrNoGenesis says that control/0 does not begin with GENESIS: this is not a cluster's control log.
	ErrNoGenesis = errors.New("control log does not begin with GENESIS")
)

// State is what the records of the control log have made of the cluster. It never changes; see the package
// comment. The zero State is not usable: New gives the empty one.
type State struct {
	next      topic.Slot // control number that Apply takes next
	clusterID string
	format    uint32 // feature level of the control log's own format

	features       tree[string, uint32]
	config         topic.Config
	configVersion  uint64 // counts CLUSTER_CONFIGs that held
	topics         tree[topic.ID, *Topic]
	names          tree[string, topic.ID] // by topic.FoldName
	deleted        tree[topic.ID, struct{}]
	journals       tree[topic.JournalID, *Journal]
	open           tree[topic.JournalID, struct{}] // the journals that are not sealed
	nextNodeID     int32                           // above every node id ever given
	nextProducerID int64                           // below it all are given away
	eras           []Era                           // by number, the first is 1
	eraOf          tree[string, int32]             // identity -> number of the newest era that named it
	checkpoints    []CheckpointInfo                // by Control, those that are kept; never appended to in place
	partitions     int

	compactions tree[topic.Partition, Compaction] // of the partitions that ever were compacted
	objects     tree[topic.Object, ObjectInfo]    // that have current runs
	swept       topic.Slot                        // of the last SWEEP

	pins  tree[PinID, *Pin] // snapshots and forks
	born  topic.Slot        // control number of FORKED; 0: this cluster is no fork
	fork  PinID             // its FORK in the parent
	ended bool              // an END held: nothing holds any more
}

// New gives the state before control/0.
func New() *State {
	return &State{
		features:   newTree[string, uint32](strings.Compare),
		topics:     newTree[topic.ID, *Topic](compareTopics),
		names:      newTree[string, topic.ID](strings.Compare),
		deleted:    newTree[topic.ID, struct{}](compareTopics),
		journals:   newTree[topic.JournalID, *Journal](compareJournals),
		open:       newTree[topic.JournalID, struct{}](compareJournals),
		eraOf:      newTree[string, int32](strings.Compare),
		nextNodeID: 1,

		compactions: newTree[topic.Partition, Compaction](comparePartitions),
		objects:     newTree[topic.Object, ObjectInfo](topic.Object.Compare),

		pins: newTree[PinID, *Pin](comparePins),
	}
}

// Outcome says what became of one record.
type Outcome struct {
	Void bool
	Why  string // why it is void; empty when it holds
}

// Apply takes the batch of control number n, which must be Next, and returns the state after it and one Outcome
// per record; s stays as it is. Each record is judged on what the ones before it left. The error is ErrOutOfTurn,
// ErrNoGenesis, or ErrUnknownRecord for a cluster of a newer format; there is no new state then.
func (s *State) Apply(n topic.Slot, records []Record) (*State, []Outcome, error) {
	if n != s.next {
		return nil, nil, fmt.Errorf("%w: %d, want %d", ErrOutOfTurn, n, s.next)
	}
	if n == 0 {
		if err := checkGenesis(records); err != nil {
			return nil, nil, err
		}
	}
	t := *s
	outcomes := make([]Outcome, len(records))
	for i, rec := range records {
		outcomes[i] = t.Judge(rec)
		if !outcomes[i].Void {
			rec.apply(&t)
		}
	}
	t.next++
	return &t, outcomes, nil
}

// Judge tells what would become of a record that is applied next.
func (s *State) Judge(r Record) Outcome {
	if s.ended {
		return Outcome{Void: true, Why: "the cluster was ended"}
	}
	why := r.judge(s)
	return Outcome{Void: why != "", Why: why}
}

func compareTopics(a, b topic.ID) int          { return bytes.Compare(a[:], b[:]) }
func compareJournals(a, b topic.JournalID) int { return bytes.Compare(a[:], b[:]) }

func comparePartitions(a, b topic.Partition) int {
	return cmp.Or(compareTopics(a.Topic, b.Topic), cmp.Compare(a.Index, b.Index))
}
