package api

import (
	"context"
	"time"

	"github.com/odradek/odradek/sequence"
	"github.com/odradek/odradek/topic"
)

// Engines are the parts of an agent that requests are answered from. All are safe for concurrent use. Errors are
// mapped to Kafka's codes by errors.go, so an engine answers with its own sentinels.
type Engines struct {
	Log          Log
	Reader       Reader
	Offsets      Offsets
	Starts       Starts
	Cluster      Cluster
	Admin        Admin
	Coordinators Coordinators
	Groups       Groups
	Moves        Moves
	Holdings     Holdings
}

// Log admits record batches: agent/ingest.
type Log interface {
	// Append checks and admits batches in the order of the slice and of the calls, and returns one Pending for each.
	// It takes the records over. It blocks only for memory; a refused batch says so in its Pending.
	Append(ctx context.Context, acks int8, batches []PartitionBatch) []Pending
}

// PartitionBatch is what one request appends to one partition.
type PartitionBatch struct {
	Partition topic.Partition
	Records   []byte // one or more v2 record batches
	Frame     int    // bytes of the frame that Records is a part of
}

// Pending is an admitted or refused batch.
type Pending interface {
	// Wait blocks until the batch is as durable as its acks ask, was refused, or ctx ends. The end of ctx does not
	// take the batch back.
	Wait(ctx context.Context) (Appended, error)
}

// Appended is where a batch went.
type Appended struct {
	Base          topic.Offset
	LogAppendTime int64 // milliseconds, -1 when the partition keeps the producer's time
	LogStart      topic.Offset
}

// Reader reads records: agent/fetch. Partitions of other agents are read only for clients of this agent's own zone.
type Reader interface {
	// Read answers every part, in the order of the request. It waits up to MaxWait until MinBytes can be answered, a
	// part fails or is better asked of another agent. When ctx ends it answers with what there is.
	Read(ctx context.Context, r ReadRequest) []ReadResult
}

// ReadRequest is one fetch of several partitions.
type ReadRequest struct {
	MaxWait  time.Duration
	MinBytes int
	MaxBytes int // of all parts together; the first whole batch may exceed it
	Parts    []ReadPart
	Rack     string // zone of the client (KIP-392), empty when it does not say
	// Room waits for memory for up to want bytes of records and gives how many may be read; the first whole batch may
	// exceed it. It is called before any is read, and not while waiting for records; nil for no bound.
	Room func(ctx context.Context, want int) (int, error)
}

// ReadPart asks for one partition's records from Offset on.
type ReadPart struct {
	Partition topic.Partition
	Offset    topic.Offset
	MaxBytes  int
}

// ReadResult is the answer for one part. The slices of Records are read only and hold whole batches together.
type ReadResult struct {
	Records                             [][]byte
	HighWatermark, LastStable, LogStart topic.Offset
	Preferred                           int32 // node id of an agent of the client's zone to read from instead; 0: none
	Err                                 error
}

// Offsets finds offsets by time and epoch. The answers of an owner rest on a proof made after the call (O1).
type Offsets interface {
	// Lookup answers every query, in order.
	Lookup(ctx context.Context, queries []OffsetQuery) []OffsetFound
	// EpochEnds answers, for each query, the largest epoch not above the asked one and its end.
	EpochEnds(ctx context.Context, queries []EpochQuery) []EpochEnd
}

// OffsetKind says what a query looks for.
type OffsetKind int8

// The kinds of OffsetQuery.
const (
	OffsetEarliest     OffsetKind = iota // log start
	OffsetLatest                         // high watermark
	OffsetByTime                         // the first record at or after Time
	OffsetMaxTimestamp                   // the record with the largest timestamp
)

// OffsetQuery asks for one offset of one partition.
type OffsetQuery struct {
	Partition     topic.Partition
	Kind          OffsetKind
	Time          int64 // milliseconds, for OffsetByTime
	ReadCommitted bool
}

// OffsetFound answers an OffsetQuery. Offset is -1 when no record fits.
type OffsetFound struct {
	Offset topic.Offset
	Time   int64 // of the record found, -1 when the query was not about time
	Epoch  topic.Epoch
	Err    error
}

// EpochQuery asks where an epoch of a partition ends.
type EpochQuery struct {
	Partition topic.Partition
	Epoch     topic.Epoch
}

// EpochEnd answers an EpochQuery: Epoch and End are -1 when every known epoch is above the asked one.
type EpochEnd struct {
	Epoch topic.Epoch
	End   topic.Offset
	Err   error
}

// Starts moves log starts up: agent/ingest.
type Starts interface {
	// Raise answers every part, in order, when the log start counts. It is the owner who answers (O1).
	Raise(ctx context.Context, to []LogStart) []Raised
}

// HighWatermark as a LogStart's Start stands for the high watermark.
const HighWatermark topic.Offset = -1

// LogStart asks that a partition begin at Start: what lies below is deleted.
type LogStart struct {
	Partition topic.Partition
	Start     topic.Offset
}

// Raised answers a LogStart: where the partition begins now. ingest.ErrAhead when it does not reach that far.
type Raised struct {
	Start topic.Offset
	Err   error
}

// Cluster shows the control state: agent/cluster.
type Cluster interface {
	// State is one consistent picture. It is cheap and is taken anew for each request.
	State() State
	// NodeID is this agent's node id.
	NodeID() int32
	// CatchUp reads the control log to its end, as of some moment after the call.
	CatchUp(ctx context.Context) error
}

// State is one consistent picture of the control state; it does not change.
type State interface {
	Info() ClusterInfo
	// Agents lists the agents whose journals are open, by node id. Node ids begin at 1.
	Agents() []Agent
	// Topics lists all topics by name.
	Topics() []Topic
	TopicByName(name string) (Topic, bool)
	TopicByID(id topic.ID) (Topic, bool)
	// Owner tells who owns a partition; false when there is no such partition.
	Owner(p topic.Partition) (Owner, bool)
	// Readers gives the node ids of the agents that clients of other zones than the owner's read a partition from
	// (KIP-392), one for each zone.
	Readers(p topic.Partition) []int32
}

// ClusterInfo is what concerns the whole cluster.
type ClusterInfo struct {
	ID      string
	Configs topic.Config // set by AlterConfigs on the cluster-wide broker; nil when none is set
	Next    int64        // the control number that the state stands at
}

// Agent is a running agent as clients reach it.
type Agent struct {
	NodeID int32
	Host   string
	Port   int32
	Zone   string // empty when unknown
}

// Topic is a topic. Configs is shared and read only.
type Topic struct {
	ID         topic.ID
	Name       string
	Internal   bool
	Partitions int32
	Configs    topic.Config
}

// Owner is a partition's owner: Kafka's leader and leader epoch. NodeID is -1 while no running agent owns it.
type Owner struct {
	NodeID int32
	Epoch  topic.Epoch
}

// Admin changes the control state. Every call returns when the change is in the control log and applied here.
type Admin interface {
	CreateTopics(ctx context.Context, topics []NewTopic) []CreatedTopic
	DeleteTopics(ctx context.Context, ids []topic.ID) []error
	CreatePartitions(ctx context.Context, topics []MorePartitions) []error
	AlterTopicConfigs(ctx context.Context, changes []ConfigChange) []error
	// AlterClusterConfigs changes the cluster-wide defaults; the Topic of the change is not read.
	AlterClusterConfigs(ctx context.Context, change ConfigChange) error
	// AllocateProducerID gives a producer id that nobody had before.
	AllocateProducerID(ctx context.Context) (int64, error)
}

// NewTopic is a topic to create; its name and configs were checked.
type NewTopic struct {
	Name       string
	Partitions int32
	Configs    topic.Config
}

// CreatedTopic answers a NewTopic. cluster.ErrTopicExists when the name is taken.
type CreatedTopic struct {
	ID  topic.ID
	Err error
}

// MorePartitions raises a topic's partitions from Have to Total; void when it has another number of them by then.
type MorePartitions struct {
	Topic       topic.ID
	Have, Total int32
}

// ConfigChange sets and deletes configs of a topic.
type ConfigChange struct {
	Topic  topic.ID
	Set    topic.Config
	Delete []string
}

// Moves gives partitions to other agents.
type Moves interface {
	// Move asks the owners of partitions to give them away. It returns when the control log holds what was asked, or an
	// error for each; the owners act later.
	Move(ctx context.Context, moves []Move) []error
	// UnderWay lists what was asked for and is not done, by topic id and index.
	UnderWay() []Move
}

// Move gives a partition, owned by From, to the agent To.
type Move struct {
	Partition topic.Partition
	From, To  int32 // node ids
}

// Holdings tells what this agent owns, for people who look.
type Holdings interface {
	// Size gives the bytes of the bucket that hold a partition; false when another agent owns it.
	Size(p topic.Partition) (int64, bool)
	// Producers lists a partition's producers by id, as of everything that counts.
	Producers(p topic.Partition) ([]sequence.Producer, error)
}

// Coordinators tells which agent coordinates a group.
type Coordinators interface {
	// Coordinator names the agent that coordinates the group. Where groups are kept is made ready by the call;
	// ErrCoordinatorNotAvailable when that needs more time.
	Coordinator(ctx context.Context, group string) (Agent, error)
}
