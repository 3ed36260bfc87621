package chaos

import "slices"

// What passes: one name for each arrow of the protocol, see docs/design.md, section 4.
const (
	Slot          = "slot"           // a slot of the journal (P3, P4)
	GroupCommit   = "group-commit"   // a slot that holds records of __consumer_offsets (T1, T2)
	Release       = "release"        // a slot that gives partitions away (M1)
	Seal          = "seal"           // a seal, of a journal of its own or of another's (F2, B3)
	JournalOpen   = "journal-open"   // control records: B4
	JournalSealed = "journal-sealed" // F4
	Assign        = "assign"         // M1
	Era           = "era"            // R2
	Topic         = "topic"          // topics, partitions, deletions (S3)
	Register      = "register"       // in Redis: a journal starts to beat (B4)
	Index         = "index"          // slots into the index (P6)
	Apply         = "apply"          // control records into the index (P6)
	Begin         = "era-begin"      // the recoverer's steps (R3, R4)
	Loaded        = "era-loaded"
	Reattach      = "reattach"
	Open          = "era-open"
	PutCopies     = "put-copies" // live copies of groups and producers (T1)
	GetCopies     = "get-copies" // what a new owner loads (F5)
	WALWrite      = "wal-write"  // on the disk (P2)
	WALSync       = "wal-sync"
)

// What passes in an agent that compacts, trims, deletes and makes checkpoints.
const (
	Compacted  = "compacted"       // an object of runs (G2)
	Manifest   = "manifest"        // control records: what is swapped in
	Clean      = "clean"           // the same, of runs that were cleaned by key
	Trim       = "trim"            // which slots live on in runs
	Sweep      = "sweep"           // what never will be swapped in (G5)
	Ledger     = "ledger"          // what is about to be deleted
	Delete     = "delete"          // an object that nothing names (I9)
	Forget     = "forget"          // a seal or control number that nothing needs (G4)
	Part       = "checkpoint-part" // G1
	Head       = "checkpoint-head"
	Checkpoint = "checkpoint" // control records
	Verified   = "verified"
)

// passing is everything that passes, in the order of the constants: first what moves records and partitions, then what
// compaction does.
var (
	passing = []string{
		Slot, GroupCommit, Release, Seal, JournalOpen, JournalSealed, Assign, Era, Topic, Register, Index, Apply, Begin, Loaded, Reattach, Open,
		PutCopies, GetCopies, WALWrite, WALSync,
	}
	compacting = []string{Compacted, Manifest, Clean, Trim, Sweep, Ledger, Delete, Forget, Part, Head, Checkpoint, Verified}
)

// Before and After name the two points of what passes: before the call is made, and after it took effect and before its
// caller hears of it.
func Before(what string) string { return "before " + what }

// After is the other point.
func After(what string) string { return "after " + what }

// Points are all points at which a process may be ended.
func Points() []string { return slices.Concat(Protocol(), Compaction()) }

// Protocol are the points on the way of records, partitions and eras.
func Protocol() []string { return around(passing) }

// Compaction are the points in what looks after the bucket.
func Compaction() []string { return around(compacting) }

func around(all []string) []string {
	var out []string
	for _, what := range all {
		out = append(out, Before(what), After(what))
	}
	return out
}

func known(point string) bool { return slices.Contains(Points(), point) }
