package verify

import (
	"fmt"

	"github.com/odradek/odradek/topic"
)

// Report is what Run found. Its JSON form is what `odradek verify --json` prints.
type Report struct {
	ClusterID string        `json:"cluster_id"`
	Fast      bool          `json:"fast"` // only footers were read
	Control   ControlReport `json:"control"`
	Topics    []TopicReport `json:"topics"`   // by name
	Journals  []JournalInfo `json:"journals"` // as they were opened
	Eras      []EraReport   `json:"eras"`
	Totals    Totals        `json:"totals"`
	// Checkpoints are those that the control log keeps, oldest first.
	Checkpoints []CheckpointReport `json:"checkpoints"`
	Compacted   CompactedReport    `json:"compacted"`
	Accounts    []Account          `json:"accounts"`        // of every object that was listed, by class; the last is all of them
	Index       *IndexReport       `json:"index,omitempty"` // if one was asked
	Garbage     []Garbage          `json:"garbage"`         // objects that do not count and are no defect; capped as Findings are
	Notes       []string           `json:"notes"`           // what is worth knowing and no defect; capped too
	Findings    []Finding          `json:"findings"`        // defects, as they were met
	Unlisted    map[string]int     `json:"unlisted,omitempty"`
}

// Clean reports whether nothing is wrong.
func (r *Report) Clean() bool { return len(r.Findings) == 0 }

// ControlReport is the control log.
type ControlReport struct {
	From            topic.Slot `json:"from,omitempty"` // those below it were not read: a checkpoint stands for them (G4)
	Numbers         int        `json:"numbers"`        // objects [From, From+Numbers)
	Records         int        `json:"records"`
	Bytes           int64      `json:"bytes"`
	Void            []Void     `json:"void"`
	Format          uint32     `json:"format"`
	NextNodeID      int32      `json:"next_node_id"`
	NextProducerID  int64      `json:"next_producer_id"`
	DeletedTopics   int        `json:"deleted_topics"`
	ProducerIDsHeld int        `json:"producer_id_blocks"`
}

// Void is a control record that means nothing, for every reader alike.
type Void struct {
	Number topic.Slot `json:"number"`
	Record string     `json:"record"`
	Why    string     `json:"why"`
}

// TopicReport is a topic that exists.
type TopicReport struct {
	Name       string            `json:"name"`
	ID         string            `json:"id"`
	Internal   bool              `json:"internal"`
	Partitions []PartitionReport `json:"partitions"`
}

// PartitionReport is a partition and what is stored of it.
type PartitionReport struct {
	Index     int32        `json:"index"`
	Epoch     topic.Epoch  `json:"epoch"`
	Journal   string       `json:"journal"` // its owner's
	Start     topic.Offset `json:"start"`
	End       topic.Offset `json:"end"`
	Compacted topic.Offset `json:"compacted"` // up to here it is in runs, from here on in slots
	Runs      int          `json:"runs"`
	Records   int64        `json:"records"`   // offsets that runs cover, and extents behind them
	Stored    int64        `json:"stored"`    // bytes in the bucket, each record's once
	Raw       int64        `json:"raw"`       // bytes of its batches
	Producers int          `json:"producers"` // idempotent ones known at its end
}

// States of a journal.
const (
	StateOpen       = "open"        // its agent may be running: the tail is open
	StateSealed     = "sealed"      // sealed, and the control log says where
	StateSealedOnly = "seal placed" // sealed in the bucket, and the control log does not say so yet
)

// JournalInfo is a journal.
type JournalInfo struct {
	ID       string     `json:"id"`
	NodeID   int32      `json:"node_id"`
	Opened   topic.Slot `json:"opened"` // control number
	State    string     `json:"state"`
	Trim     topic.Slot `json:"trim"`  // slots below it are not needed, and were not read
	End      topic.Slot `json:"end"`   // slots below it count
	Slots    int        `json:"slots"` // data slots read
	Bytes    int64      `json:"bytes"` // of their objects
	Garbage  int        `json:"garbage"`
	SealedBy string     `json:"sealed_by,omitempty"` // what the sealer wrote into the seal
}

// EraReport is one life of the Redis contents.
type EraReport struct {
	Number        int32  `json:"number"`
	RunID         string `json:"run_id"`
	ReplicationID string `json:"replication_id"`
}

// CheckpointReport is a checkpoint whose head could be read. One that is verified was compared with the log.
type CheckpointReport struct {
	Control    topic.Slot `json:"control"` // it stands at this number
	ID         string     `json:"id"`
	Verified   bool       `json:"verified"`
	Journals   int        `json:"journals"`
	Partitions int        `json:"partitions"`
	Parts      int        `json:"parts"`
	Bytes      int64      `json:"bytes"`       // of its objects; others may share parts
	SlotsSince topic.Slot `json:"slots_since"` // that count and are not in it
}

// IndexReport is the copy of the index in Redis, as far as it was compared with the bucket. Where it differs are
// findings of the Report.
type IndexReport struct {
	NotChecked    string     `json:"not_checked,omitempty"` // why nothing, or not all, was compared
	Era           uint64     `json:"era"`                   // open there, 0 if none is
	RunID         string     `json:"run_id"`
	ReplicationID string     `json:"replication_id"`
	Applied       topic.Slot `json:"applied"`      // control number
	Slots         int        `json:"slots"`        // compared with footers that count
	Ends          int        `json:"ends"`         // of partitions, compared
	SlotsBehind   topic.Slot `json:"slots_behind"` // that count and are not indexed
	Lag           []string   `json:"lag"`          // what the index does not hold yet, which is no defect
}

// CompactedReport is the compacted objects whose runs are current.
type CompactedReport struct {
	Objects int   `json:"objects"`
	Bytes   int64 `json:"bytes"` // of the objects
	Live    int64 `json:"live"`  // of them in current runs
	Runs    int   `json:"runs"`
	Records int64 `json:"records"` // offsets that the runs cover
	Holes   int64 `json:"holes"`   // of them without a record, for key compaction dropped it; 0 when only footers were read
	Batches int64 `json:"batches"` // 0 when only footers were read
	Same    int   `json:"same"`    // extents that slots still hold as well, and that are the same in their run
}

// Classes of objects.
const (
	ClassControl     = "control log"
	ClassSlots       = "slots"                        // from TRIM on, seals too
	ClassCompacted   = "compacted"                    // with current runs
	ClassCheckpoints = "checkpoints"                  // of those that are kept
	ClassPinned      = "kept for snapshots and forks" // what the cluster itself does not need any more
	ClassGrace       = "in grace"                     // not needed any more, not deleted yet: slots below TRIM, compacted objects whose runs were replaced
	ClassOrphans     = "orphans"                      // no one names them, as Garbage says
	ClassLedgers     = "ledgers"
	ClassOther       = "other" // not of a cluster
	classAll         = "all"
)

var classes = []string{ClassControl, ClassSlots, ClassCompacted, ClassCheckpoints, ClassPinned, ClassGrace, ClassOrphans, ClassLedgers, ClassOther}

// Account is how much the bucket listed of one class of objects.
type Account struct {
	Class   string `json:"class"`
	Objects int    `json:"objects"`
	Bytes   int64  `json:"bytes"`
}

func (a *Account) add(size int64) {
	a.Objects++
	a.Bytes += size
}

// account puts an object that was listed into a class.
func (w *walk) account(class string, size int64) {
	a := w.accounts[class]
	if a == nil {
		a = &Account{Class: class}
		w.accounts[class] = a
	}
	a.add(size)
}

// closeAccounts puts the accounts into the report.
func (w *walk) closeAccounts() {
	for _, class := range classes {
		if a := w.accounts[class]; a != nil {
			w.report.Accounts = append(w.report.Accounts, *a)
		}
	}
	w.listed.all.Class = classAll
	w.report.Accounts = append(w.report.Accounts, w.listed.all)
}

// Totals adds up what counts.
type Totals struct {
	Slots     int     `json:"slots"`
	Bytes     int64   `json:"bytes"`  // of the objects of these slots
	Stored    int64   `json:"stored"` // of the extents in them, as stored
	Raw       int64   `json:"raw"`    // of the extents in them, unpacked
	Records   int64   `json:"records"`
	Batches   int64   `json:"batches"`  // 0 when only footers were read
	Deleted   int64   `json:"deleted"`  // stored bytes of deleted topics, included above
	Replaced  int64   `json:"replaced"` // stored bytes of extents that runs have taken the place of, included above
	Ratio     float64 `json:"ratio"`    // Stored by Raw; 1 when there is nothing
	Garbage   int     `json:"garbage"`
	GarbageBy int64   `json:"garbage_bytes"`
}

// Garbage is an object that does not count, for a reason that is no defect.
type Garbage struct {
	Key  string `json:"key"`
	Size int64  `json:"size"`
	Why  string `json:"why"`
}

// Finding is a defect: the object it shows in, and what is wrong there, with both values.
type Finding struct {
	Object string `json:"object"`
	What   string `json:"what"`
}

func (f Finding) String() string { return f.Object + ": " + f.What }

// find notes a defect.
func (w *walk) find(object, format string, args ...any) {
	if len(w.report.Findings) >= w.opt.MaxFindings {
		w.unlisted("findings")
		return
	}
	w.report.Findings = append(w.report.Findings, Finding{Object: object, What: oneLine(fmt.Sprintf(format, args...))})
}

// note notes what is no defect.
func (w *walk) note(format string, args ...any) {
	if len(w.report.Notes) >= w.opt.MaxFindings {
		w.unlisted("notes")
		return
	}
	w.report.Notes = append(w.report.Notes, oneLine(fmt.Sprintf(format, args...)))
}

// discard notes an object that does not count.
func (w *walk) discard(key string, size int64, why string) {
	w.account(ClassOrphans, size)
	w.report.Totals.Garbage++
	w.report.Totals.GarbageBy += size
	if len(w.report.Garbage) >= w.opt.MaxFindings {
		w.unlisted("garbage")
		return
	}
	w.report.Garbage = append(w.report.Garbage, Garbage{Key: key, Size: size, Why: why})
}

func (w *walk) unlisted(what string) {
	if w.report.Unlisted == nil {
		w.report.Unlisted = make(map[string]int)
	}
	w.report.Unlisted[what]++
}
