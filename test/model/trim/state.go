package trim

const (
	slots  = 3
	window = 2 // K
)

// Checkpoint is one that holds what the slots below Next make, in the bucket. The zero value is the beginning of the log.
type Checkpoint struct {
	Next    uint8
	Rows    uint8 // its index names slots from here on: those below live on in runs, or lie below the log start
	Trim    uint8 // TRIM in its control state
	Wrong   bool  // it does not hold what it says, and its checksums are right
	Damaged bool
}

// Take is how far a takeover got.
type Take uint8

const (
	NoTake  Take = iota
	Sealing      // at At
	Sealed       // the seal is in At
	Reading      // the slots below the seal, at Read
)

// State is all there is.
type State struct {
	Frozen  uint8
	Starts  [slots]bool     // what is frozen there is no record: it says that all records below are deleted
	Landed  [slots]bool     // the agent's PUT was created
	Deleted uint8           // slots below are gone
	Seals   [slots + 1]bool // seals that stand, wherever
	Acked   uint8           // slots

	Runs    uint8         // control state, C: slots below live on in runs
	Trim    uint8         // control state
	Kept    [2]Checkpoint // the two newest verified ones, the newest last
	Written bool          // and one that is not verified yet:
	Newest  Checkpoint
	Doomed  uint8 // what a collector decided to delete before Redis was lost: the slots below

	Starting, Taking bool  // how far the run goes: there are log starts, takeovers
	Eras             uint8 // that may yet come

	Base    Checkpoint // the newest ERA names it
	Builds  bool       // that era is not open yet
	Indexed uint8      // slots that the era's index holds, or Base does

	Take    Take
	At      uint8
	Saw     uint8 // TRIM that the taker read
	Read    uint8
	Skipped bool  // the taker passed over a slot that is gone
	Closed  uint8 // control state: 1 + slot of the seal

	Cursor uint8 // of the heir, who goes on with the partition: it has the producers of the slots below
	Lost   bool  // but for some that it passed over
	Owns   bool
}

// Rules says what a run goes without: true switches a rule off.
type Rules struct {
	sealsBelow     bool // F2: sealing starts at slot 0, whatever TRIM says
	trimUnnamed    bool // S3: JOURNAL_SEALED does not name the TRIM that the sealer saw
	deletesFirst   bool // G2: slots go when they live on in runs, before TRIM is in the control log
	trimsAbove     bool // G2: TRIM goes up to the newest verified checkpoint
	trimsBare      bool // G2: TRIM passes a slot that is in no run
	deletesAtTrim  bool // I9: slots below TRIM go, whatever the checkpoints name
	deletesUnder   bool // R3: slots go that an era being built still needs
	heldForever    bool // R3: an open era holds the checkpoint that it was built from, and all its slots
	eraBelow       bool // R2: an ERA names a checkpoint below TRIM
	unverified     bool // G1: a checkpoint counts before it is verified
	fromRedis      bool // G1: a checkpoint is a copy of Redis
	sharedPart     bool // G1: one damaged part is named by both checkpoints that are kept
	aheadOfIndex   bool // G1: a checkpoint holds slots that the open era lacks
	startsBelow    bool // G1: one goes on from a checkpoint below TRIM
	plansUncounted bool // I2: a run is made of slots above a hole
	startUncounted bool // G3: a log start frees slots before it counts
	gainedByRuns   bool // F5: a partition is gained when runs reach its end, whatever was read of it
	mirrorSkips    bool // I2: a reader goes on behind slots that are gone
}

// there tells whether a slot's object is there.
func (s *State) there(k uint8) bool { return k < s.Frozen && s.Landed[k] && k >= s.Deleted }

// counted tells how many slots count: those below TRIM, then data without a hole (I2).
func (s *State) counted() uint8 {
	n := s.Trim
	for s.there(n) && !s.Seals[n] {
		n++
	}
	return n
}

// start is the log start that the slots below n make: records in slots below it are deleted.
func (s *State) start(n uint8) uint8 {
	for n > 0 {
		if n--; s.Starts[n] {
			return n
		}
	}
	return 0
}

// whole gives the newest checkpoint that can be read: one of the two at least (G1).
func (s *State) whole() Checkpoint {
	if s.Kept[1].Damaged {
		return s.Kept[0]
	}
	return s.Kept[1]
}

// needed is the oldest checkpoint that somebody may go on from.
func (r Rules) needed(s *State) Checkpoint {
	if s.Base.Next < s.Kept[0].Next && (s.Builds && !r.deletesUnder || r.heldForever && s.Base.Next > 0) {
		return s.Base
	}
	return s.Kept[0]
}

// tidy forgets what can matter no more.
func (r Rules) tidy(s *State) {
	if s.Closed != 0 {
		s.Take = NoTake
	}
	if s.Take == NoTake {
		s.At, s.Saw, s.Read, s.Skipped = 0, 0, 0, false
	}
	if s.Take != Reading {
		s.Read = 0
	}
	if !s.Written {
		s.Newest = Checkpoint{}
	}
	if s.Owns {
		s.Cursor = 0
	}
	if s.Doomed <= s.Deleted {
		s.Doomed = 0
	}
	if s.Eras == 0 && !s.Builds && !r.heldForever {
		s.Base = Checkpoint{}
	}
}

// wrong asks what somebody would find who began now.
func wrong(s *State) string {
	counted, start := s.counted(), s.start(s.counted())
	if s.Closed != 0 && s.Closed-1 < s.Acked {
		return "I4: the journal was closed below an acked record"
	}
	if s.Runs > counted {
		return "I6: a run holds what does not count"
	}
	for k := start; k < s.Acked; k++ {
		if k >= s.Runs && !s.Starts[k] && !s.there(k) {
			return "I4, I9: an acked record is in no run, and its slot is gone"
		}
	}
	for _, c := range s.Kept {
		for k := c.Rows; k < c.Next && !c.Damaged; k++ {
			if !s.Starts[k] && k < s.Deleted {
				return "I9: a checkpoint that is kept names a slot that is gone"
			}
		}
	}
	c := s.whole()
	switch {
	case c.Damaged && s.Trim > 0:
		return "G1: no checkpoint can be read, and nobody knows the producers below TRIM"
	case c.Wrong:
		return "I6: a checkpoint that counts does not hold what it says"
	case c.Next < s.Trim:
		return "I8: TRIM is above every checkpoint that can be read: nobody knows the producers below it"
	}
	for k := c.Next; k < s.Acked; k++ {
		if !s.there(k) {
			return "I8: a slot above the newest checkpoint that can be read is gone"
		}
	}
	for k := s.Indexed; k < counted; k++ {
		if !s.there(k) {
			return "R3: the newest era's index can never hold a slot that is gone"
		}
	}
	if s.Owns && s.Lost {
		return "I8: the producer state of an owner is older than the log"
	}
	return ""
}

// clean tells whether nothing is kept that nobody needs, and the index is there.
func clean(s *State) bool {
	return !s.Builds && s.Indexed >= s.counted() && s.Deleted == s.counted()
}
