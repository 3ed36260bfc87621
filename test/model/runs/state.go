package runs

import "slices"

const (
	records    = 2 // of one partition, one in a slot
	outputs    = 3 // that compactors may make
	compactors = 2
)

// Set is one of objects: bit i is output i. Slots stand above; when they may go is in package trim.
type Set uint8

const slots Set = (1<<records - 1) << outputs // all of them

func output(i uint8) Set { return 1 << i }
func slot(k uint8) Set   { return 1 << (outputs + k) }

// Number is one of the control log. Only their order matters: tidy gives them even ones, so that there is room between.
type Number uint8

// Checkpoint is what matters of one: what its control state and its rows name, the outputs that were swapped in by then,
// the last SWEEP, the log start.
type Checkpoint struct {
	Names Set
	Once  Set
	Swept Number
	Start uint8
}

// Step is how far a compactor got.
type Step uint8

const (
	Idle    Step = iota
	Planned      // it reads its inputs
	Put          // its output is there
)

// Compactor is one under way. It may crash at any time: then it never goes on.
type Compactor struct {
	Step     Step
	Output   uint8
	At       Number // control number of the state that it planned on
	From, To uint8
	Inputs   [records]Set // what holds each record of [From, To): a run's output, or its slot
	Base     uint8        // log start of the newest verified checkpoint: records below are left out
	Drops    bool         // key compaction: record 0 goes, since record 1 has the same key
}

// State is all there is.
type State struct {
	Exists Set
	Holds  [outputs][records]bool // what is in an output
	Made   [outputs]Number        // control number that it was planned at, which is in its key

	Now     Number        // newest control number
	Runs    [records]Set  // control state: the output that holds a record, none
	End     uint8         // control state, C: records below are in runs, or below the log start
	Swept   Number        // control state
	Once    Set           // outputs that were ever swapped in
	Deleted bool          // control state: the topic
	Kept    [2]Checkpoint // the two newest verified ones, the newest last
	Written bool          // and one that is not verified yet:
	Newest  Checkpoint    // which stands
	At      Number        // at this number
	Start   uint8         // log start, which counts
	Planned uint8         // outputs
	Dropped bool          // key compaction dropped record 0
	Work    [compactors]Compactor

	Plan [records]Set // of a reader: where it thinks that the records are

	Outputs                     uint8 // how far the run goes
	Reads, Starts, Drops, Topic bool  // there is a reader, log starts, key compaction, TOPIC_DELETE
}

// Rules says what a run goes without: true switches a rule off.
type Rules struct {
	blind        bool // S3: MANIFEST holds whatever its inputs are by then
	offsetsOnly  bool // S3: MANIFEST names offsets, not the objects that it was made of
	deletedTopic bool // S3: MANIFEST holds though the topic is deleted
	deletesFirst bool // G2: inputs go when the output is there, before MANIFEST
	namesSwept   bool // G5: MANIFEST holds though its output was planned before SWEEP
	sweepsByAge  bool // G5: what nothing names is deleted without SWEEP
	sweepsNow    bool // G5: what neither the state nor a checkpoint that is kept names goes, planned before the newest SWEEP
	onceNow      bool // I9: what was swapped in and out again goes, whatever the oldest checkpoint kept knows of it
	keptUnasked  bool // I9: what the control state does not name goes, whatever checkpoints name
	unnamedDrop  bool // G2: what lies below the log start goes without a MANIFEST
	skipsGone    bool // C2: a reader passes over an object that is gone
	rowsStand    bool // a checkpoint's rows stand, though runs hold the records by now
}

// named is what the control state and rows that agree with it name, by log start.
func (s *State) named(start uint8) (names Set) {
	for k := start; k < records && !s.Deleted; k++ {
		names |= s.place(k)
	}
	for _, run := range s.Runs {
		names |= run
	}
	return names
}

// place is where a record is.
func (s *State) place(k uint8) Set {
	if k < s.End {
		return s.Runs[k]
	}
	return slot(k)
}

// gives tells whether an object that is there holds a record.
func (s *State) gives(o Set, k uint8) bool {
	for i := range uint8(outputs) {
		if o == output(i) {
			return s.Holds[i][k]
		}
	}
	return o == slot(k)
}

// tidy forgets what can matter no more, and numbers the control log anew.
func tidy(s *State) {
	for i := range s.Work {
		if s.Work[i].Step == Idle {
			s.Work[i] = Compactor{}
		}
	}
	if !s.Written {
		s.Newest, s.At = Checkpoint{}, 0
	}
	var used []*Number
	used = append(used, &s.Now, &s.Swept, &s.Kept[0].Swept, &s.Kept[1].Swept)
	if s.Written {
		used = append(used, &s.Newest.Swept, &s.At)
	}
	for i := range s.Work {
		if s.Work[i].Step != Idle {
			used = append(used, &s.Work[i].At)
		}
	}
	for i := range uint8(outputs) {
		under := false // way
		for _, w := range s.Work {
			under = under || w.Step != Idle && w.Output == i
		}
		switch {
		case s.Exists&output(i) != 0 || i < s.Planned && under:
			used = append(used, &s.Made[i])
		default:
			s.Made[i], s.Holds[i] = 0, [records]bool{}
			for _, once := range []*Set{&s.Once, &s.Kept[0].Once, &s.Kept[1].Once, &s.Newest.Once} {
				*once &^= output(i)
			}
		}
	}
	slices.SortFunc(used, func(a, b *Number) int { return int(*a) - int(*b) })
	next, last := Number(0), *used[0]
	for _, n := range used {
		if *n != last {
			next, last = next+2, *n
		}
		*n = next
	}
}

func wrong(s *State) string {
	if s.Deleted && s.Runs != [records]Set{} {
		return "S3: a deleted topic has runs again, for ever"
	}
	names := s.named(s.Start)
	if names&^s.Exists != 0 {
		return "I6, I9: the log names an object that is gone"
	}
	for k := s.Start; k < records && !s.Deleted; k++ {
		dropped := k == 0 && s.Dropped
		switch gives := s.gives(s.place(k), k); {
		case gives && dropped:
			return "I5: a record that key compaction dropped comes back"
		case !gives && !dropped:
			return "I4, I5: a record is in no object that the log names"
		}
	}
	for _, c := range s.Kept {
		if c.Names&^s.Exists != 0 {
			return "I9: a checkpoint that is kept names an object that is gone"
		}
	}
	return ""
}

// clean tells whether nothing is left that nobody needs.
func clean(s *State) bool { return s.Exists&^slots&^s.named(s.Start) == 0 }
