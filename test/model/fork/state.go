package fork

const (
	records = 2 // of one partition, one in a slot
	starts  = 1 // how far the log start goes
	objects = 4
)

// Set is one of objects: the two slots, the output of the parent's compactor, that of the fork.
type Set uint8

const (
	outputA Set = 1 << (records + iota)
	outputF
	slots Set = 1<<records - 1
)

var names = [objects]string{"slot 0", "slot 1", "the output", "the fork's output"}

// View is what a control log, and the log starts in a journal, say.
type View struct {
	Live        Set // objects that hold the log
	Start, Trim uint8
}

// Step is how far the compactor got.
type Step uint8

const (
	Idle Step = iota
	Planned
	Put
	Over // or crashed
)

// Birth is how far the fork got.
type Birth uint8

const (
	Unborn  Birth = iota
	Asked         // the forker is at work
	Pinned        // FORK counts in the parent
	Born          // its control/0 is there
	Aborted       // a tombstone took control/0
	Ended         // deleted: END is the last record of its control log
	Lost          // its prefix was deleted without END
)

// State is all there is.
type State struct {
	Exists     Set
	Parent     View
	Checkpoint View // that is kept
	Swept      Set  // outputs that were planned before the last SWEEP
	Doomed     Set  // deletions decided and not yet carried out
	Deleted    bool // the topic
	Step       Step // of the parent's compactor
	Inputs     Set
	Covers     uint8 // records that its output holds, a bit each

	Birth      Birth
	HasD, HasN bool  // the forker has read D; the control log up to n
	ReadStart  uint8 // log start at D
	Read       View  // at n
	CheckAtN   uint8 // log start in the newest checkpoint at n
	Dirty      bool  // MANIFEST, TRIM, SWEEP or a topic deletion since n

	Pins           Set // named by FORK, not given back
	Fork           View
	ForkCheckpoint Set
	ForkIndex      Set  // of its open era
	Grandchild     Set  // pins in the fork's control log, of a fork of it
	HadGrandchild  bool // or the run has none

	Starts bool // the run has log starts
}

// Rules says what a run goes without: true switches a rule off.
type Rules struct {
	neverVoid    bool // G6: FORK counts whatever lies between n and its number
	anyD         bool // G6: a D may be older than the newest checkpoint at n
	noTombstone  bool // G7: a fork that is never born keeps its pins
	unpinsEarly  bool // G8: UNPIN before the fork's MANIFEST counts
	unpinsLive   bool // G8: UNPIN asks the fork's control state alone, not its checkpoints, era and forks
	neverUnpins  bool // G8
	noEnd        bool // G8: a fork's prefix is deleted without END
	ignoresPins  bool // G8: deleting the topic in the parent deletes what forks name
	dropsUnnamed bool // G2: outputs below the log start go without a MANIFEST
	unborn       bool // G7: the fork is born before FORK counts in the parent
}

// covers tells which records some objects hold, a bit each.
func (s *State) covers(o Set) (bits uint8) {
	bits = uint8(o & slots)
	if o&outputA != 0 {
		bits |= s.Covers
	}
	if o&outputF != 0 {
		bits |= uint8(slots)
	}
	return bits
}

// dead tells whether all of some records lie below a log start.
func dead(bits, start uint8) bool { return bits>>start == 0 }

// named is I9 in the parent.
func (r Rules) named(s *State) Set {
	n := s.Parent.Live | s.Checkpoint.Live
	if r.dropsUnnamed && dead(s.covers(outputA), s.Parent.Start) && dead(s.covers(outputA), s.Checkpoint.Start) {
		n &^= outputA
	}
	if !r.ignoresPins || !s.Deleted {
		n |= s.Pins
	}
	if s.Birth == Born {
		n |= (s.Fork.Live | s.ForkCheckpoint | s.ForkIndex) & outputF
	}
	return n | s.Grandchild&outputF
}

// whole tells whether every record from the log start on is in an object that is there.
func (s *State) whole(v View) bool {
	return (s.covers(v.Live&s.Exists)|(1<<v.Start-1))&uint8(slots) == uint8(slots)
}

// tidy forgets what can matter no more.
func tidy(s *State) {
	if s.Step == Over || s.Step == Idle {
		s.Inputs = 0
	}
	if s.Exists&outputA == 0 && s.Step != Put {
		s.Covers = 0
	}
	if s.Birth != Asked && s.Birth != Pinned {
		s.HasD, s.HasN, s.ReadStart, s.CheckAtN, s.Dirty, s.Read = false, false, 0, 0, false, View{}
	}
}

func wrong(s *State) string {
	switch {
	case !s.Deleted && !s.whole(s.Parent):
		return "I9: a record of the parent is gone"
	case s.Birth == Pinned && !s.whole(View{Live: s.Read.Live, Start: s.ReadStart}):
		return "G6: FORK counts, and what it names lacks a record"
	case s.Birth == Born && !s.whole(s.Fork):
		return "I9: a record of the fork is gone"
	case s.Birth == Born && s.ForkCheckpoint&^s.Exists != 0:
		return "I9: an object that the fork's checkpoint names is gone"
	case s.Birth == Born && s.ForkIndex&^s.Exists != 0:
		return "I6, I9: an object that the fork's open era names is gone"
	case s.Grandchild&^s.Exists != 0:
		return "I9: an object that a fork of the fork names is gone"
	}
	return ""
}

// clean tells whether every object holds records of a log that somebody can read.
func clean(s *State) bool {
	var live Set
	if !s.Deleted {
		live = s.Parent.Live
	}
	if s.Birth == Born {
		live |= s.Fork.Live
	}
	if s.Birth == Born || s.Birth == Ended {
		live |= s.Grandchild
	}
	return s.Exists&^live == 0
}
