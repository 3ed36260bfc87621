package metadata

import (
	"fmt"

	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/topic"
)

// Segment is one slot of a journal as the index holds it. A slot with neither extents nor log starts is indexed as well,
// since slots are indexed without a gap.
type Segment struct {
	Journal   topic.JournalID
	Slot      topic.Slot
	Extents   []Extent   // a partition occurs at most once; at most MaxExtents
	LogStarts []LogStart // log starts that this slot moves
}

// MaxExtents is how many extents and how many log starts one segment may have.
const MaxExtents = 2000

// Extent is one partition's contiguous run of record batches in a segment, holding the offsets [Base, Next), as the
// segment's footer lists it.
type Extent = segment.Extent

// LogStart moves a partition's log start up to Start; one that is there already or higher stays.
type LogStart = segment.LogStart

// Outcome is what became of one segment in Index.
type Outcome uint8

const (
	Indexed  Outcome = iota + 1 // it is visible now
	Repeated                    // it was indexed before
	Behind                      // the index lacks what comes before: apply control records, re-attach, index the slots and journals before, then again
	Closed                      // the journal is sealed at or below this slot, or not of this era
	Conflict                    // the index holds other extents at these offsets: read the control log; still owner = recovery
)

func (o Outcome) String() string {
	switch o {
	case Indexed:
		return "indexed"
	case Repeated:
		return "repeated"
	case Behind:
		return "behind"
	case Closed:
		return "closed"
	case Conflict:
		return "conflict"
	}
	return fmt.Sprintf("outcome %d", uint8(o))
}

// Cursor is a place in one journal to read on from.
type Cursor struct {
	Journal topic.JournalID
	From    topic.Slot // first slot wanted
}

// End is what the index knows of a partition: offsets [Start, Next).
type End struct {
	Known       bool // false: not added yet, or dropped
	Start, Next topic.Offset
}

// Effect is what a control record means for the index: one of JournalOpened, JournalSealed, PartitionAdded,
// PartitionDropped, LogStartMoved and SegmentsDropped. A record with another meaning has no effect here.
type Effect interface{ effect() }

// JournalOpened lets the index take the journal's slots from First on: 0, or what a checkpoint names.
type JournalOpened struct {
	Journal topic.JournalID
	First   topic.Slot
}

// JournalSealed says that the journal ends before slot Seal. It may still be indexed up to there.
type JournalSealed struct {
	Journal topic.JournalID
	Seal    topic.Slot
}

// PartitionAdded starts a partition at [Start, Next): both 0, or what a checkpoint names. One that is there stays as it
// is.
type PartitionAdded struct {
	Partition   topic.Partition
	Start, Next topic.Offset
}

// PartitionDropped ends a partition of a deleted topic. Extents of it are skipped from now on.
type PartitionDropped struct{ Partition topic.Partition }

// LogStartMoved moves a partition's log start up to Start; one that is there already or higher stays.
type LogStartMoved struct {
	Partition topic.Partition
	Start     topic.Offset
}

// SegmentsDropped says that the segments of a journal below slot Below are not asked for any more: who needs them reads
// a checkpoint and the bucket. Of the segments that are there the newest one stays, so that a reader who asks from below
// finds out that some are missing; next, ends and log starts stay as they are. Nothing happens if the journal is unknown,
// or more was dropped before.
type SegmentsDropped struct {
	Journal topic.JournalID
	Below   topic.Slot
}

func (JournalOpened) effect()    {}
func (JournalSealed) effect()    {}
func (PartitionAdded) effect()   {}
func (PartitionDropped) effect() {}
func (LogStartMoved) effect()    {}
func (SegmentsDropped) effect()  {}

// EraStatus is what a store holds of one era, at one moment.
type EraStatus struct {
	RunID, ReplicationID string // of the store that answers
	OpenEra              uint64 // the era that is open there, 0 if none; of use only if OpenPinned
	OpenPinned           bool   // the open era was opened for this identity
	Number               uint64 // the era asked for; all below is about it
	Begun, Loaded        bool
	Applied              topic.Slot
	Progress             uint64
	Journals             map[topic.JournalID]JournalStatus
}

// Open says whether the era asked for is open and for this identity.
func (s EraStatus) Open() bool { return s.OpenPinned && s.Number != 0 && s.OpenEra == s.Number }

// JournalStatus is what an era holds of one journal.
type JournalStatus struct {
	Opened   bool       // JournalOpened was applied or loaded
	Next     topic.Slot // next slot to index, if Opened
	Sealed   bool
	Seal     topic.Slot // if Sealed
	Attached bool       // it re-attached while the era was built
	Counted  topic.Slot // what it named then, if Attached
}

// Expected is one journal of the control state, as the opener of an era has read it.
type Expected struct {
	Journal topic.JournalID
	Sealed  bool
	Seal    topic.Slot // if Sealed
}

// Kinds is a set of kinds of news.
type Kinds uint8

const (
	KindControl Kinds = 1 << iota // a control record was appended
	KindIndex                     // something was indexed or applied
	KindCopies                    // a copy was stored

	AllKinds = KindControl | KindIndex | KindCopies
)

// CopyKind says what a copy is of. The numbers are part of the key names in Redis.
type CopyKind uint8

const (
	CopyGroup    CopyKind = iota + 1 // a group's members, generation and assignment; key: group id
	CopyOffset                       // a committed offset; key: group id, topic and partition as the coordinator writes them
	CopyProducer                     // the producer state of a partition, as sequence encodes it; key: empty
	CopyHead                         // what the copies of groups and offsets of a partition sum up to; key: empty
)

// Copy is one live copy.
type Copy struct {
	Kind      CopyKind
	Partition topic.Partition // whose log it was made from
	Key       string
	Position  topic.Offset // applied up to here: one above the last offset that is in it
	Value     []byte       // empty: deleted at Position
}
