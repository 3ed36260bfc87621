package trim

import (
	"fmt"

	"github.com/odradek/odradek/test/model/explore"
)

const (
	slots  = 4
	window = 2 // K
)

// Output is what a compactor has put and not yet named.
type Output uint8

const (
	None Output = iota
	Put
	Swept
)

// State is all there is.
type State struct {
	Frozen  uint8
	Landed  [slots]bool     // the agent's PUT was created
	Deleted uint8           // slots below are gone
	Seals   [slots + 1]bool // seals that stand, wherever
	Acked   uint8           // slots

	Redis      uint8 // the copy of the index holds the slots below
	Checkpoint uint8 // it has read the slots below
	Holds      uint8 // and its index names the slots below
	Output     Output
	Planned    uint8 // the output holds the slots below
	Manifest   uint8 // control state: slots below live on in the output
	Trim       uint8 // control state
	Floor      bool  // control state: SWEEP; what was planned before it is void

	Takes  bool // a takeover
	At     uint8
	Saw    uint8 // TRIM that it read
	Found  bool  // a seal, at At
	Closed uint8 // control state: 1 + slot of the seal
}

// Rules says what a run goes without: true switches a rule off.
type Rules struct {
	sealsBelow     bool // F2: sealing starts at slot 0, whatever TRIM says
	trimUnnamed    bool // S3: JOURNAL_SEALED does not name the TRIM that the sealer saw
	deletesFirst   bool // G2: inputs are deleted before TRIM is in the control log
	trimsAbove     bool // G2: TRIM goes above the newest checkpoint
	fromRedis      bool // G1: a checkpoint is a copy of Redis
	sweepsByAge    bool // G5: an output that nothing names is deleted without SWEEP
	plansUncounted bool // I2: an output is made of slots above a hole
}

// counted tells how many slots count: those that live on in the output, then data without a hole (I2).
func (s *State) counted() uint8 {
	n := s.Trim
	for n < s.Frozen && s.Landed[n] && n >= s.Deleted && !s.Seals[n] {
		n++
	}
	return n
}

func (r Rules) next(s *State, to *explore.Steps[State]) {
	r.write(s, to)
	r.compact(s, to)
	if s.Closed == 0 {
		r.takeOver(s, to)
	}
}

// write is P3, P4 and P6.
func (r Rules) write(s *State, to *explore.Steps[State]) {
	if s.Frozen < slots && s.Frozen-s.Acked < window {
		t := *s
		t.Frozen++
		to.Step(&t, "slot %d is frozen", s.Frozen)
	}
	for k := range s.Frozen {
		if !s.Landed[k] && !s.Seals[k] {
			t := *s
			t.Landed[k] = true
			to.Step(&t, "slot %d lands", k)
		}
	}
	if s.Acked < s.Frozen && s.Landed[s.Acked] {
		t := *s
		t.Acked++
		to.Step(&t, "slot %d is acked", s.Acked)
	}
	if s.Redis < s.counted() {
		t := *s
		t.Redis++
		to.Step(&t, "slot %d is indexed", s.Redis)
	}
	if s.Redis > 0 {
		t := *s
		t.Redis--
		to.Step(&t, "Redis forgets slot %d", t.Redis)
	}
}

// compact is G1, G2 and G5.
func (r Rules) compact(s *State, to *explore.Steps[State]) {
	counted := s.counted()
	if counted > s.Checkpoint {
		t := *s
		t.Checkpoint, t.Holds = counted, counted
		if r.fromRedis {
			t.Holds = s.Redis
		}
		to.Step(&t, "a checkpoint counts, at slot %d", counted)
	}
	plan := counted
	if r.plansUncounted {
		plan = s.Frozen
	}
	if s.Output == None && plan > 0 {
		t := *s
		t.Output, t.Planned = Put, plan
		to.Step(&t, "an output of the slots below %d is put", plan)
	}
	if s.Output != None && s.Manifest == 0 && !s.Floor { // the compactor may be slow, and not see what was swept
		t := *s
		t.Manifest = s.Planned
		to.Step(&t, "MANIFEST of the slots below %d", s.Planned)
		t = *s
		t.Floor = true
		to.Step(&t, "SWEEP")
	}
	if s.Output == Put && s.Manifest == 0 && (s.Floor || r.sweepsByAge) {
		t := *s
		t.Output = Swept
		to.Step(&t, "the sweep deletes the output, which nothing names")
	}
	limit := s.Checkpoint
	if r.trimsAbove {
		limit = counted
	}
	if s.Manifest > s.Trim && s.Manifest <= limit {
		t := *s
		t.Trim = s.Manifest
		to.Step(&t, "TRIM to slot %d", s.Manifest)
	}
	below := s.Trim
	if r.deletesFirst {
		below = s.Manifest
	}
	if s.Deleted < below {
		t := *s
		t.Deleted++
		t.Seals[s.Deleted] = false
		to.Step(&t, "slot %d is deleted", s.Deleted)
	}
}

// takeOver is F2 and F4.
func (r Rules) takeOver(s *State, to *explore.Steps[State]) {
	t := *s
	switch {
	case !s.Takes:
		t.Takes, t.Saw, t.At = true, s.Trim, s.Trim
		if r.sealsBelow {
			t.At = 0
		}
		to.Step(&t, "a takeover begins at slot %d", t.At)
	case s.Found && s.Trim != s.Saw && !r.trimUnnamed:
		t.Takes, t.Found, t.Saw, t.At = false, false, 0, 0
		to.Step(&t, "JOURNAL_SEALED is void: TRIM is %d, not %d", s.Trim, s.Saw)
	case s.Found:
		t.Closed = 1 + s.At
		to.Step(&t, "JOURNAL_SEALED: the journal ends at slot %d", s.At)
	case s.Seals[s.At]:
		t.Found = true
		to.Step(&t, "the takeover finds the seal in slot %d", s.At)
	case s.At < s.Frozen && s.Landed[s.At] && s.At >= s.Deleted:
		t.At++
		to.Step(&t, "the takeover finds data in slot %d", s.At)
	default:
		t.Seals[s.At], t.Found = true, true
		to.Step(&t, "the takeover seals slot %d", s.At)
	}
}

// wrong asks what a recovery would find that began now.
func wrong(s *State) string {
	if s.Closed != 0 && s.Closed-1 < s.Acked {
		return "I4: the journal was closed below an acked record"
	}
	sequence := s.Checkpoint
	for k := range s.Acked {
		output := k < s.Manifest && s.Output == Put
		object := k >= s.Deleted && s.Landed[k]
		named := k < s.Holds || k >= s.Checkpoint && k >= s.Trim
		if !output && !(object && named) {
			return "I4, I9: an acked record is in no index that can be built, or its object is gone"
		}
		if object && k >= s.Checkpoint && k >= s.Trim {
			sequence = max(sequence, k+1)
		}
	}
	if sequence < s.Acked {
		return "I8: the producer state that can be built is older than the log"
	}
	if s.Manifest > s.counted() {
		return "I6: a manifest names what does not count"
	}
	return ""
}

func model(r Rules, off string) explore.Case {
	return explore.Model[State]{
		Name: "trim", Off: off, Next: r.next, Wrong: wrong,
		Bound: fmt.Sprintf("one journal of %d slots, %d in flight, one compaction, one takeover", slots, window),
	}.Case()
}

// Cases lists the runs: the whole protocol, then each rule off.
func Cases(explore.Size) []explore.Case {
	return []explore.Case{
		model(Rules{}, ""),
		model(Rules{sealsBelow: true}, "F2: sealing starts at slot 0, whatever TRIM says"),
		model(Rules{trimUnnamed: true}, "S3: JOURNAL_SEALED does not name the TRIM that the sealer saw"),
		model(Rules{deletesFirst: true}, "G2: inputs are deleted before TRIM is in the control log"),
		model(Rules{trimsAbove: true}, "G2: TRIM goes above the newest checkpoint"),
		model(Rules{fromRedis: true}, "G1: a checkpoint is a copy of what Redis holds"),
		model(Rules{sweepsByAge: true}, "G5: an output that nothing names is deleted without SWEEP"),
		model(Rules{plansUncounted: true}, "I2: an output is made of slots above a hole"),
	}
}
