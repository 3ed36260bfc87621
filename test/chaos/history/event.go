package history

import (
	"math"
	"time"
)

// Kind says what an Event tells of.
type Kind string

// The kinds. Fields that are not named are empty; all have Client, Start and End, and all but the last three a partition.
const (
	Produced   Kind = "produce"    // one record: Value, Acks, Outcome; if OK, Offset
	Read       Kind = "read"       // records that a consumer was handed: Records, Group or Agent if one was asked
	Ended      Kind = "end"        // ListOffsets, latest: Offset
	Started    Kind = "start"      // ListOffsets, earliest: Offset
	Cut        Kind = "cut"        // DeleteRecords below From: Outcome; if OK, Offset is where the log starts
	Shown      Kind = "watermark"  // a Fetch asked of one agent: Agent, Life, From, Offset is the high watermark
	Committed  Kind = "commit"     // OffsetCommit: Group, Offset, Outcome
	Looked     Kind = "committed"  // OffsetFetch: Group, Offset, -1 for none
	OutOfRange Kind = "outofrange" // a Fetch at From was refused with OFFSET_OUT_OF_RANGE, or a client tells of lost data
	Led        Kind = "leader"     // Metadata: Agent leads under Epoch; only changes
	Deleted    Kind = "delete"     // DeleteTopics of Topic: Outcome
	Fault      Kind = "fault"      // Value says which and where
	Recovered  Kind = "recovered"  // Value says from what
)

// Outcome is how a call ended.
type Outcome string

// What was not answered, or with an error, may have been done or not.
const (
	OK      Outcome = "ok"
	Unknown Outcome = "unknown"
	Refused Outcome = "refused" // certainly not done
)

// Never is the end of a call whose end nobody saw.
const Never = time.Duration(math.MaxInt64)

// Partition is a partition by the name of its topic.
type Partition struct {
	Topic string `json:"t,omitempty"`
	Index int32  `json:"p"`
}

// Record is a record as somebody read it.
type Record struct {
	Offset int64  `json:"o"`
	Value  string `json:"v"`
	Epoch  int32  `json:"e"` // partition epoch of its batch
}

// Event is one call, or one answer of many. Start and End count from the beginning of the log.
type Event struct {
	Kind   Kind          `json:"kind"`
	Client string        `json:"client,omitempty"`
	Start  time.Duration `json:"start"`
	End    time.Duration `json:"end"`
	Partition
	Offset  int64    `json:"offset,omitempty"`
	From    int64    `json:"from,omitempty"`
	Value   string   `json:"value,omitempty"`
	Acks    int      `json:"acks,omitempty"` // -1 for all
	Outcome Outcome  `json:"outcome,omitempty"`
	Error   string   `json:"error,omitempty"`
	Group   string   `json:"group,omitempty"`
	Agent   string   `json:"agent,omitempty"`
	Life    int      `json:"life,omitempty"` // of that agent's process
	Epoch   int32    `json:"epoch,omitempty"`
	Records []Record `json:"records,omitempty"`
}
