package replay

import (
	"fmt"

	"github.com/odradek/odradek/test/model/explore"
)

const (
	lives   = 3 // processes on this disk, one after the other; life i writes journal i
	slots   = 3
	window  = 2
	foreign = lives // the journal of another agent
)

// Extent is what a slot holds: records [First, Next) at offsets from Offset on.
type Extent struct{ Offset, First, Next uint8 }

// Journal is one in the bucket.
type Journal struct {
	Extent [slots]Extent
	Frozen uint8
	Landed [slots]bool
	Seal   uint8 // 1 + its slot; 0 = none
}

// Assignment is one epoch of the partition.
type Assignment struct{ Journal, Base uint8 }

// Phase is how far a process got.
type Phase uint8

const (
	Boots Phase = iota
	Seals       // it has read the control log, and is about to seal and to take over
	Runs
	Fenced // or its WAL is in quarantine
)

// State is all there is.
type State struct {
	Journals [lives]Journal
	Control  [lives + 1]Assignment
	Newest   uint8

	Life    uint8
	Phase   Phase
	Read    uint8 // epoch that the process saw when it booted
	WAL     uint8 // records in it, all acked; it holds [Cut, WAL)
	Cut     uint8
	Next    uint8 // record to freeze
	Offset  uint8 // to assign
	Records uint8 // to come
}

// Rules says what a run goes without: true switches a rule off.
type Rules struct {
	unsealed   bool // B3: the old journal is taken over as it is
	blind      bool // S3, B3: the own record holds though another took over
	replaysAll bool // B3: all that the WAL holds is appended, also what counts
	cutsLanded bool // P2: a WAL is reused when a slot landed, whatever is missing below
}

func (j *Journal) counted() (n uint8) {
	for n < j.Frozen && j.Landed[n] {
		n++
	}
	return n
}

// end is where the records of a journal end that count.
func (j *Journal) end(base uint8) uint8 {
	for k := range j.counted() {
		base += j.Extent[k].Next - j.Extent[k].First
	}
	return base
}

func (s *State) newest() Assignment { return s.Control[s.Newest-1] }

func (r Rules) next(s *State, to *explore.Steps[State]) {
	for i := range s.Journals { // PUTs land in any order, those of the dead too
		j := &s.Journals[i]
		for k := range j.Frozen {
			if !j.Landed[k] && j.Seal != k+1 {
				t := *s
				t.Journals[i].Landed[k] = true
				to.Step(&t, "slot %d/%d lands", i, k)
			}
		}
	}
	switch s.Phase {
	case Boots, Seals:
		r.boot(s, to)
	case Runs:
		r.run(s, to)
	}
	if s.Life+1 < lives && s.Phase != Boots {
		t := *s
		t.Phase, t.Read, t.Next, t.Offset = Boots, 0, 0, 0
		if s.Phase != Seals {
			t.Life++ // its journal was opened
		}
		to.Step(&t, "the process is killed and starts again")
	}
	r.takeOver(s, to)
}

// boot is B3.
func (r Rules) boot(s *State, to *explore.Steps[State]) {
	t := *s
	if s.Phase == Boots {
		t.Phase, t.Read = Seals, s.Newest
		if s.newest().Journal == foreign {
			t.Phase = Fenced
			to.Step(&t, "boot: another agent owns the partition; the WAL is put aside")
			return
		}
		to.Step(&t, "boot: the control log is read up to epoch %d", s.Newest)
		return
	}
	old := s.Control[s.Read-1]
	j := &s.Journals[old.Journal]
	if j.Seal == 0 && !r.unsealed {
		t.Journals[old.Journal].Seal = 1 + j.counted()
		to.Step(&t, "boot: journal %d is sealed at slot %d", old.Journal, j.counted())
		return
	}
	if s.Newest != s.Read && !r.blind {
		t.Phase = Fenced
		to.Step(&t, "boot: JOURNAL_OPEN is void, another agent owns the partition; the WAL is put aside")
		return
	}
	end := j.end(old.Base)
	t.Phase, t.Offset, t.Next = Runs, end, end
	if r.replaysAll {
		t.Next = s.Cut
	}
	t.Control[s.Newest], t.Newest = Assignment{s.Life, end}, s.Newest+1
	to.Step(&t, "boot: JOURNAL_OPEN of journal %d, epoch %d, base %d", s.Life, t.Newest, end)
}

// run is P2-P5: every record goes through the WAL, slots hold any number of them.
func (r Rules) run(s *State, to *explore.Steps[State]) {
	j := &s.Journals[s.Life]
	if s.Records > 0 {
		t := *s
		t.Records--
		t.WAL++
		to.Step(&t, "record %d is in the WAL, and acked", s.WAL)
	}
	for next := s.Next + 1; next <= s.WAL && j.Frozen < slots && j.Frozen-j.counted() < window; next++ {
		t := *s
		u := &t.Journals[s.Life]
		u.Extent[j.Frozen] = Extent{s.Offset, s.Next, next}
		u.Frozen++
		t.Offset += next - s.Next
		t.Next = next
		to.Step(&t, "slot %d/%d is frozen with records [%d, %d) at offset %d", s.Life, j.Frozen, s.Next, next, s.Offset)
	}
	for k := range j.Frozen {
		counts := k < j.counted() || r.cutsLanded && j.Landed[k]
		if counts && j.Extent[k].Next > s.Cut {
			t := *s
			t.Cut = j.Extent[k].Next
			to.Step(&t, "the WAL is cut below record %d", t.Cut)
		}
	}
	if j.Seal != 0 && j.Frozen >= j.Seal {
		t := *s
		t.Phase = Fenced
		to.Step(&t, "the process meets a seal in slot %d and is fenced", j.Seal-1)
	}
}

// takeOver is another agent that thinks this one dead.
func (r Rules) takeOver(s *State, to *explore.Steps[State]) {
	owner := s.newest()
	if owner.Journal == foreign {
		return
	}
	t := *s
	j := &s.Journals[owner.Journal]
	if j.Seal == 0 {
		t.Journals[owner.Journal].Seal = 1 + j.counted()
		to.Step(&t, "another agent seals journal %d at slot %d", owner.Journal, j.counted())
	} else if s.Newest < uint8(len(s.Control)) {
		t.Control[s.Newest], t.Newest = Assignment{foreign, j.end(owner.Base)}, s.Newest+1
		to.Step(&t, "JOURNAL_SEALED of journal %d: another agent owns the partition at epoch %d", owner.Journal, t.Newest)
	}
}

func wrong(s *State) string {
	at := uint8(0)
	for e := range s.Newest {
		a := s.Control[e]
		if a.Base != at {
			return "I3: an epoch does not begin where the one before it ended"
		}
		if a.Journal == foreign {
			if e+1 < s.Newest {
				return "I3: a partition is taken from an owner whose records are not known"
			}
			break // above it are records of others
		}
		j := &s.Journals[a.Journal]
		for k := range j.counted() {
			x := j.Extent[k]
			if x.Offset != at || x.First != at {
				return "I5: a record is in the log twice, or not at the offset that it had"
			}
			at = x.Next
		}
	}
	if s.Cut > at {
		return "I4: an acked record is neither in the log nor in a WAL"
	}
	return ""
}

func model(records uint8, r Rules, off string) explore.Case {
	first := State{Newest: 1, Phase: Runs, Records: records} // life 0 owns the partition from offset 0
	return explore.Model[State]{
		Name: "replay", Off: off, First: first, Next: r.next, Wrong: wrong,
		Bound: fmt.Sprintf("%d processes on one disk, %d slots a journal, %d records, one foreign takeover", lives, slots, records),
	}.Case()
}

// Cases lists the runs: the whole protocol, then each rule off.
func Cases(size explore.Size) []explore.Case {
	records := map[explore.Size]uint8{explore.Tiny: 2, explore.Short: 3, explore.Long: 4}[size]
	return []explore.Case{
		model(records, Rules{}, ""),
		model(2, Rules{unsealed: true}, "B3: a journal of this disk is taken over without a seal"),
		model(2, Rules{blind: true}, "B3: the WAL is replayed though another agent took over"),
		model(2, Rules{replaysAll: true}, "B3: all that the WAL holds is appended, also what counts"),
		model(2, Rules{cutsLanded: true}, "P2: WAL room is free when a slot landed, before it counts"),
	}
}
