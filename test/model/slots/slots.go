package slots

import "github.com/odradek/odradek/test/model/explore"

const (
	agents  = 3 // agent i writes journal i, which is open from the start
	slots   = 3 // of a journal; one more for its seal
	window  = 2 // K
	offsets = 4
	epochs  = 4
)

// Body is what stands in a slot.
type Body uint8

const (
	Nothing Body = iota
	First        // the body that the journal's agent froze for the slot
	Second       // another body for the same slot, which S1 forbids
	Seal
)

// Ref names a record: 1 + (journal, slot, body). Zero is none.
type Ref uint8

func ref(journal, slot uint8, b Body) Ref { return Ref(1 + (journal*slots+slot)*2 + uint8(b-First)) }

// Role is what an agent is about.
type Role uint8

const (
	Waits  Role = iota // its journal owns nothing
	Owns               // the partition, and admits records
	Leaves             // admits nothing more
	Gone               // fenced, or has sealed its own journal
)

// Agent is what one agent knows.
type Agent struct {
	Role   Role
	Owned  bool        // it has read that it owns the partition
	Base   uint8       // of its assignment
	Frozen uint8       // slots
	Second [slots]bool // a second body was sent to the slot
	Landed [slots]bool // it knows so
	Take   Takeover
}

// Takeover is one under way, of another's journal or of the agent's own.
type Takeover struct {
	Victim uint8 // 1 + journal; 0 = none
	Sealed bool  // the seal stands
	At     uint8 // the slot that it looks at next
	Named  uint8 // epoch that the record will end; 0 = the journal owned nothing
}

// Assignment is one epoch of the partition.
type Assignment struct{ Journal, Base uint8 }

// State is a bucket, its agents, and what clients were told.
type State struct {
	Slot   [agents][slots + 1]Body
	Epoch  [epochs]Assignment // control state: epoch e is Epoch[e-1]
	Newest uint8
	Sealed [agents]bool // control state

	Agents  [agents]Agent
	Records uint8 // yet to be produced

	Told [offsets]Ref // records acked, and so visible to consumers
	End  uint8        // highest log end that a client was told
}

// Rules says what a run goes without: true switches a rule off.
type Rules struct {
	overwrites   bool // Create succeeds where an object is
	sealDeleted  bool // I1: a seal is deleted while a zombie may live
	existsIsMine bool // S1: exists is taken for the own body
	secondBody   bool // S1: a time-out frees the number, and one nonce serves the whole process
	ackAboveHole bool // P4
	noSeal       bool // F2: the journal is taken over as it is
	hintTrusted  bool // F2: sealing starts where Redis says
	noStepBack   bool // F2: sealing starts above the slot that is there
	notJudged    bool // S3: JOURNAL_SEALED holds whatever became of what it was decided on
	leavesEarly  bool // an agent that ends seals its next slot while others are in flight
	endUnproved  bool // O1
}

// counted tells how many slots of a journal count, by the bucket (I2).
func (s *State) counted(journal uint8) (n uint8) {
	for s.Slot[journal][n] == First || s.Slot[journal][n] == Second {
		n++
	}
	return n
}

// known is D+1 at the agent: what it knows to have landed without a hole.
func (a *Agent) known() (n uint8) {
	for n < a.Frozen && a.Landed[n] {
		n++
	}
	return n
}

func (s *State) owner() uint8 { return s.Epoch[s.Newest-1].Journal }

// named is the epoch that JOURNAL_SEALED has to name for the journal.
func (s *State) named(journal uint8) uint8 {
	if s.owner() == journal {
		return s.Newest
	}
	return 0
}

func (r Rules) next(s *State, to *explore.Steps[State]) {
	for i := range uint8(agents) {
		a := &s.Agents[i]
		r.land(s, i, to)
		if a.Role != Gone {
			r.own(s, i, to)
			r.leave(s, i, to)
			r.begin(s, i, to)
		}
		if a.Take.Victim != 0 {
			r.seal(s, i, to)
		}
		if r.sealDeleted && s.Slot[i][s.counted(i)] == Seal {
			t := *s
			t.Slot[i][s.counted(i)] = Nothing
			to.Step(&t, "the seal of journal %d is deleted", i)
		}
	}
}

// own is P3 and O1: an owner freezes slots and answers what the log's end is.
func (r Rules) own(s *State, i uint8, to *explore.Steps[State]) {
	a := &s.Agents[i]
	d := a.known()
	if a.Role == Waits {
		for e := range s.Newest {
			if s.Epoch[e].Journal == i {
				t := *s
				t.Agents[i].Role, t.Agents[i].Owned, t.Agents[i].Base = Owns, true, s.Epoch[e].Base
				to.Step(&t, "agent %d reads that it owns the partition at epoch %d from offset %d", i, e+1, s.Epoch[e].Base)
			}
		}
		return
	}
	if a.Role == Owns && s.Records > 0 && a.Frozen < slots && a.Frozen-d < window {
		t := *s
		t.Agents[i].Frozen++
		t.Records--
		to.Step(&t, "agent %d freezes slot %d, offset %d", i, a.Frozen, a.Base+a.Frozen)
	}
	proved := s.Slot[i][d] == Nothing
	if a.Owned && (proved || r.endUnproved) { // O1: a HEAD of the first slot not known as landed
		end := a.Base + d
		if end < s.End {
			to.Broken("I7: the log end that a client is told went back")
		}
		if end > s.End {
			t := *s
			t.End = end
			to.Step(&t, "agent %d tells a client that the log ends at %d", i, end)
		}
	}
}

// land delivers PUTs, in any order and at any time, and their answers to an agent that is still there (S1).
func (r Rules) land(s *State, i uint8, to *explore.Steps[State]) {
	a := &s.Agents[i]
	alive := a.Role != Gone
	for k := range a.Frozen {
		there := s.Slot[i][k]
		for b := First; b <= Second; b++ {
			if b == Second && !a.Second[k] {
				continue
			}
			if there == Nothing || r.overwrites && there != b {
				t := *s
				t.Slot[i][k] = b
				to.Step(&t, "PUT %d/%d lands, the answer is lost", i, k)
				if alive && !a.Landed[k] {
					r.learn(&t, i, k, b)
					to.Step(&t, "PUT %d/%d lands", i, k)
				}
			}
		}
		if !alive || a.Landed[k] {
			continue
		}
		mine, sent := there == First, First
		if a.Second[k] {
			mine, sent = there == First || there == Second, Second // the nonce is the same
		}
		t := *s
		switch {
		case mine || there == Seal && r.existsIsMine:
			r.learn(&t, i, k, sent)
			to.Step(&t, "PUT %d/%d is sent again: exists, and counts as agent %d's own", i, k, i)
		case there == Seal:
			t.Agents[i].Role = Gone
			to.Step(&t, "agent %d meets a seal in slot %d and is fenced", i, k)
		case r.secondBody && !a.Second[k]:
			t.Agents[i].Second[k] = true
			to.Step(&t, "PUT %d/%d times out; agent %d sends another body to that slot", i, k, i)
		}
	}
}

// learn notes that a slot landed, and acks what counts by that (P4, I4).
func (r Rules) learn(s *State, i, k uint8, b Body) {
	a := &s.Agents[i]
	a.Landed[k] = true
	for n := range a.Frozen {
		counts := n < a.known() || r.ackAboveHole && n == k
		if o := a.Base + n; counts && s.Told[o] == 0 {
			s.Told[o] = ref(i, n, First)
			if a.Second[n] {
				s.Told[o] = ref(i, n, Second)
			}
		}
	}
}

// leave is the clean end: admit nothing, wait until all counts, seal the own journal, give the partition away.
func (r Rules) leave(s *State, i uint8, to *explore.Steps[State]) {
	a := &s.Agents[i]
	if a.Take.Victim != 0 {
		return
	}
	if a.Role != Leaves {
		t := *s
		t.Agents[i].Role = Leaves
		to.Step(&t, "agent %d is to end: it admits nothing more", i)
		return
	}
	if a.known() < a.Frozen && !r.leavesEarly {
		return
	}
	switch t := *s; s.Slot[i][a.Frozen] {
	case Nothing:
		t.Slot[i][a.Frozen] = Seal
		t.Agents[i].Take = Takeover{Victim: 1 + i, Sealed: true, Named: s.named(i)}
		t.Agents[i].Role = Gone
		to.Step(&t, "agent %d seals its own journal at slot %d", i, a.Frozen)
	case Seal:
		t.Agents[i].Take = Takeover{Victim: 1 + i, Sealed: true, Named: s.named(i)}
		t.Agents[i].Role = Gone
		to.Step(&t, "agent %d finds its own journal sealed at slot %d", i, a.Frozen)
	}
}

// begin is F2: where to start with the seal. Redis may say anything; only what is there in the bucket is believed.
func (r Rules) begin(s *State, i uint8, to *explore.Steps[State]) {
	if s.Agents[i].Take.Victim != 0 || s.Agents[i].Role == Leaves {
		return
	}
	for v := range uint8(agents) {
		if v == i || s.Sealed[v] {
			continue
		}
		start := func(at uint8, sealed bool) {
			t := *s
			t.Agents[i].Take = Takeover{Victim: 1 + v, Sealed: sealed, At: at, Named: s.named(v)}
			to.Step(&t, "agent %d begins to take journal %d over at slot %d", i, v, at)
		}
		if r.noSeal {
			start(0, true)
			continue
		}
		start(0, false) // at TRIM
		for x := range uint8(slots) {
			there := s.Slot[v][x] != Nothing && s.Slot[v][x] != Seal
			switch {
			case r.hintTrusted || r.noStepBack && there:
				start(x+1, false)
			case there && x+1 > window:
				start(x+1-window, false) // K were in flight at most, so all below counts
			}
		}
	}
}

// seal goes up to the first free slot, seals it, and appends JOURNAL_SEALED (F2, F4, S3, S4).
func (r Rules) seal(s *State, i uint8, to *explore.Steps[State]) {
	k := s.Agents[i].Take
	v := k.Victim - 1
	if !k.Sealed {
		t := *s
		switch s.Slot[v][k.At] {
		case Nothing:
			t.Slot[v][k.At], t.Agents[i].Take.Sealed, t.Agents[i].Take.At = Seal, true, 0
			to.Step(&t, "agent %d seals journal %d at slot %d", i, v, k.At)
		case Seal:
			t.Agents[i].Take.Sealed, t.Agents[i].Take.At = true, 0
			to.Step(&t, "agent %d finds journal %d sealed at slot %d", i, v, k.At)
		default:
			t.Agents[i].Take.At++
			to.Step(&t, "agent %d finds data in slot %d of journal %d", i, k.At, v)
		}
		return
	}
	holds := !s.Sealed[v] && s.named(v) == k.Named
	if !holds && !r.notJudged {
		t := *s
		t.Agents[i].Take = Takeover{}
		if v == i && !s.Sealed[v] {
			t.Agents[i].Take = Takeover{Victim: k.Victim, Sealed: true, Named: s.named(v)}
		}
		to.Step(&t, "agent %d appends JOURNAL_SEALED of journal %d, which is void", i, v)
		return
	}
	for target := range uint8(agents) {
		if target == v || s.Sealed[target] || k.Named != 0 && s.Newest == epochs {
			continue
		}
		t := *s
		t.Agents[i].Take, t.Sealed[v] = Takeover{}, true
		if k.Named == 0 {
			to.Step(&t, "agent %d appends JOURNAL_SEALED of journal %d, which owned nothing", i, v)
			return
		}
		base := s.Epoch[k.Named-1].Base + s.counted(v)
		t.Epoch[s.Newest], t.Newest = Assignment{target, base}, s.Newest+1
		to.Step(&t, "agent %d appends JOURNAL_SEALED of journal %d: epoch %d goes to journal %d from offset %d", i, v, t.Newest, target, base)
	}
}

// truth is the log as the bucket alone tells it, and whether each epoch begins where the one before it ended (I3).
func (s *State) truth() (log [offsets]Ref, bases bool) {
	end := uint8(0)
	for e := range s.Newest {
		if s.Epoch[e].Base != end {
			return log, false
		}
		j := s.Epoch[e].Journal
		for k := uint8(0); k < s.counted(j) && end < offsets; k++ {
			log[end] = ref(j, k, s.Slot[j][k])
			end++
		}
	}
	return log, true
}

func wrong(s *State) string {
	log, bases := s.truth()
	for o, told := range s.Told {
		if told != 0 && told != log[o] && bases {
			return "I4, I5: what was acked and seen at an offset is not what the log holds there"
		}
	}
	if !bases {
		return "I3: an epoch does not begin where the one before it ended"
	}
	return ""
}

func model(records uint8, r Rules, off string) explore.Case {
	first := State{Newest: 1, Records: records} // epoch 1: journal 0 from offset 0
	first.Agents[0].Role, first.Agents[0].Owned = Owns, true
	return explore.Model[State]{
		Name: "slots", Bound: bound(records), Off: off,
		First: first, Next: r.next, Wrong: wrong,
	}.Case()
}
