package moves

import "github.com/odradek/odradek/test/model/explore"

const (
	agents     = 3 // agent i writes journal i, which is open from the start
	partitions = 2
	slots      = 3 // of a journal
	window     = 2 // K
	epochs     = 4 // of a partition
)

// Kind is what a slot holds.
type Kind uint8

const (
	Nothing Kind = iota
	Record       // one extent of one record
	Release
)

// Entry is the content of a slot.
type Entry struct {
	Kind      Kind
	Partition uint8
	Epoch     uint8
	Offset    uint8 // of the record; of a RELEASE the partition's end
	Sequence  uint8 // of the record; of a RELEASE the next one, its producer state
}

// Journal is one in the bucket.
type Journal struct {
	Entry  [slots]Entry // as frozen
	Frozen uint8
	Landed [slots]bool
	Seal   uint8 // 1 + its slot; 0 = none
}

// Own is what an agent knows of a partition.
type Own struct {
	Read     uint8 // newest epoch that it has read of
	Epoch    uint8 // at which it owns the partition; 0 = it does not
	Next     uint8 // offset to assign
	Sequence uint8 // next one it admits
	Released bool  // RELEASE is frozen
}

// Assignment is one epoch of a partition.
type Assignment struct {
	Journal, Base uint8
	Released      uint8 // 1 + slot of the RELEASE that it names; 0 = it came with JOURNAL_SEALED
}

// Control is the control state.
type Control struct {
	Epoch  [partitions][epochs]Assignment // epoch e is Epoch[p][e-1]
	Newest [partitions]uint8
	Sealed [agents]bool
}

// Plan is a JOURNAL_SEALED that somebody is about to append: the epochs that it ends, 0 where it does not name the
// partition.
type Plan struct {
	Made  bool
	Named [partitions]uint8
}

// State is all there is.
type State struct {
	Journals [agents]Journal
	Control  Control
	Plans    [agents]Plan
	Own      [agents][partitions]Own
	Acked    [partitions]uint8 // records that the producer was acked; the next one is its oldest request
	Moves    uint8             // RELEASEs yet to come
	Seals    uint8             // takeovers yet to come
	Records  uint8             // of each partition
}

// Rules says what a run goes without: true switches a rule off.
type Rules struct {
	assignUncounted bool // M1: ASSIGN is appended when RELEASE has landed, before it counts
	assignFrozen    bool // M1: ASSIGN is appended when RELEASE is frozen
	writesOn        bool // P5: the owner appends after RELEASE
	releaseCounted  bool // M1: RELEASE carries the state of what counts, without what is in flight
	assignBlind     bool // S3: ASSIGN does not name the epoch that it replaces
	assignSealed    bool // S3: ASSIGN to a sealed journal holds
	sealedBlind     bool // S3: JOURNAL_SEALED holds whatever the journal owns by then
	staleState      bool // F5: a copy of the producer state is taken as it is, without the log above it
	keptState       bool // F5: a partition that comes back finds the state that it left behind
	baseOfExtents   bool // F4: base = end of the newest extent in the sealed journal, whatever the assignment says
	baseOfAssign    bool // F4: base = the assignment's, whatever the sealed journal holds
	noState         bool // I8: the owner does not look at sequences
}

// counted tells how many slots of the journal count (I2).
func (j *Journal) counted() (n uint8) {
	for n < j.Frozen && j.Landed[n] {
		n++
	}
	return n
}

func (r Rules) next(s *State, to *explore.Steps[State]) {
	for i := range uint8(agents) {
		r.land(s, i, to)
		for p := range uint8(partitions) {
			r.read(s, i, p, to)
			if s.Own[i][p].Epoch != 0 {
				r.produce(s, i, p, to)
				r.move(s, i, p, to)
			}
		}
		r.takeOver(s, i, to)
	}
}

// freeze puts an entry into the journal's next slot, if fewer than K are in flight.
func (s *State) freeze(i uint8, e Entry) bool {
	j := &s.Journals[i]
	if j.Frozen == slots || j.Frozen-j.counted() >= window {
		return false
	}
	j.Entry[j.Frozen] = e
	j.Frozen++
	return true
}

// land delivers PUTs in any order and at any time. Behind a seal they are garbage, and not told of.
func (r Rules) land(s *State, i uint8, to *explore.Steps[State]) {
	j := &s.Journals[i]
	for k := range j.Frozen {
		if !j.Landed[k] && (j.Seal == 0 || k+1 < j.Seal || k+1 > j.Seal && r.assignUncounted) {
			t := *s
			t.Journals[i].Landed[k] = true
			to.Step(&t, "slot %d/%d lands", i, k)
		}
	}
}

// produce is P1, P4 and I8: a new batch is appended, one that counts is acked, as often as it is sent.
func (r Rules) produce(s *State, i, p uint8, to *explore.Steps[State]) {
	own := &s.Own[i][p]
	if own.Released && !r.writesOn {
		return // NOT_LEADER_OR_FOLLOWER from the freeze of RELEASE on
	}
	for n := range min(s.Acked[p]+2, s.Records) { // the producer's two newest requests, and old ones that come late
		if n != own.Sequence && !r.noState {
			continue
		}
		t := *s
		if t.freeze(i, Entry{Record, p, own.Epoch, own.Next, n}) {
			t.Own[i][p].Next++
			t.Own[i][p].Sequence = n + 1
			to.Step(&t, "agent %d takes record %d of partition %d, offset %d, epoch %d, slot %d",
				i, n, p, own.Next, own.Epoch, s.Journals[i].Frozen)
		}
	}
	if s.Acked[p]+s.uncounted(i, p, own.Epoch) < own.Sequence {
		t := *s
		t.Acked[p]++
		to.Step(&t, "agent %d acks record %d of partition %d", i, s.Acked[p], p)
	}
}

// uncounted tells how many records of a partition are in flight under an epoch.
func (s *State) uncounted(i, p, epoch uint8) (n uint8) {
	j := &s.Journals[i]
	for k := j.counted(); k < j.Frozen; k++ {
		if e := j.Entry[k]; e.Kind == Record && e.Partition == p && e.Epoch == epoch {
			n++
		}
	}
	return n
}

// move is M1: RELEASE in the next slot, ASSIGN when it counts.
func (r Rules) move(s *State, i, p uint8, to *explore.Steps[State]) {
	own, j := &s.Own[i][p], &s.Journals[i]
	if !own.Released {
		state := own.Sequence
		if r.releaseCounted {
			state -= s.uncounted(i, p, own.Epoch)
		}
		t := *s
		if s.Moves > 0 && t.freeze(i, Entry{Release, p, own.Epoch, own.Next, state}) {
			t.Moves--
			t.Own[i][p].Released = true
			to.Step(&t, "agent %d freezes RELEASE of partition %d in slot %d, end %d", i, p, j.Frozen, own.Next)
		}
		return
	}
	slot := uint8(0)
	for j.Entry[slot] != (Entry{Release, p, own.Epoch, j.Entry[slot].Offset, j.Entry[slot].Sequence}) {
		slot++
	}
	counts := slot < j.counted() || r.assignUncounted && j.Landed[slot] || r.assignFrozen
	newest := s.Control.Newest[p]
	if !counts || newest == epochs || newest != own.Epoch && !r.assignBlind {
		return // void: another record has ended the epoch
	}
	for target := range uint8(agents) {
		if s.Control.Sealed[target] && !r.assignSealed {
			continue
		}
		t := *s
		t.Control.Epoch[p][newest] = Assignment{target, j.Entry[slot].Offset, 1 + slot}
		t.Control.Newest[p]++
		to.Step(&t, "agent %d appends ASSIGN of partition %d to journal %d, epoch %d, base %d",
			i, p, target, newest+1, j.Entry[slot].Offset)
	}
}

// read is F5: the agent reads the control log up to some epoch, and owns the partition if that is its own.
func (r Rules) read(s *State, i, p uint8, to *explore.Steps[State]) {
	own := &s.Own[i][p]
	for e := own.Read + 1; e <= s.Control.Newest[p]; e++ {
		a := s.Control.Epoch[p][e-1]
		t := *s
		now := &t.Own[i][p]
		if a.Journal != i {
			*now = Own{Read: e, Sequence: now.Sequence}
			if !r.keptState {
				now.Sequence = 0
			}
			to.Step(&t, "agent %d reads that partition %d went to journal %d at epoch %d", i, p, a.Journal, e)
			continue
		}
		*now = Own{Read: e, Epoch: e, Next: a.Base, Sequence: r.load(s, p, e, own.Sequence)}
		to.Step(&t, "agent %d reads that it owns partition %d at epoch %d from offset %d, next sequence %d", i, p, e, a.Base, now.Sequence)
	}
}

// load gives the producer state at the base of an epoch: what the RELEASE says that ended the one before, or the log.
func (r Rules) load(s *State, p, e, kept uint8) uint8 {
	a := s.Control.Epoch[p][e-1]
	base := a.Base
	switch before := s.Control.Epoch[p][max(e, 2)-2]; {
	case r.keptState && kept > 0:
		return kept
	case r.staleState:
		base = before.Base
	case a.Released != 0:
		return s.Journals[before.Journal].Entry[a.Released-1].Sequence
	}
	log, _ := s.log(p)
	next := uint8(0)
	for o := range min(base, uint8(len(log))) {
		next = log[o].Sequence + 1
	}
	return next
}

// takeOver is F2-F4 for journal v by anybody, its own agent at a clean end too.
func (r Rules) takeOver(s *State, v uint8, to *explore.Steps[State]) {
	j := &s.Journals[v]
	if s.Control.Sealed[v] {
		return
	}
	if j.Seal == 0 {
		if s.Seals > 0 {
			t := *s
			t.Seals--
			t.Journals[v].Seal = 1 + j.counted()
			to.Step(&t, "journal %d is sealed at slot %d", v, j.counted())
		}
		return
	}
	plan := Plan{Made: true}
	for p := range uint8(partitions) {
		if e := s.Control.Newest[p]; s.Control.Epoch[p][e-1].Journal == v {
			plan.Named[p] = e
		}
	}
	if s.Plans[v] != plan {
		if !s.Plans[v].Made || !r.sealedBlind {
			t := *s
			t.Plans[v] = plan
			to.Step(&t, "somebody plans JOURNAL_SEALED of journal %d, ending epochs %v", v, plan.Named)
		}
		if !r.sealedBlind {
			return // void: the journal owns something else by now
		}
	}
	if !s.Plans[v].Made {
		return
	}
	for a := range uint8(agents) {
		for b := range uint8(agents) { // each partition has a target of its own
			r.giveAway(s, v, [partitions]uint8{a, b}, to)
		}
	}
}

// giveAway appends JOURNAL_SEALED: every partition of the journal goes to its target.
func (r Rules) giveAway(s *State, v uint8, targets [partitions]uint8, to *explore.Steps[State]) {
	t := *s
	t.Control.Sealed[v], t.Plans[v] = true, Plan{}
	var bases [partitions]uint8
	for p, target := range targets {
		epoch, newest := s.Plans[v].Named[p], s.Control.Newest[p]
		if epoch == 0 {
			if target != 0 {
				return // one of the ways to give nothing is enough
			}
			continue
		}
		if target == v || s.Control.Sealed[target] || newest == epochs {
			return
		}
		bases[p] = r.end(s, v, uint8(p), s.Control.Epoch[p][epoch-1].Base)
		t.Control.Epoch[p][newest] = Assignment{Journal: target, Base: bases[p]}
		t.Control.Newest[p]++
	}
	to.Step(&t, "JOURNAL_SEALED of journal %d is appended; epochs %v end; targets %v, bases %v", v, s.Plans[v].Named, targets, bases)
}

// end is where a partition ends in a sealed journal.
func (r Rules) end(s *State, v, p, base uint8) uint8 {
	j, extent := &s.Journals[v], uint8(0)
	for k := range j.counted() {
		if e := j.Entry[k]; e.Kind == Record && e.Partition == p {
			extent = e.Offset + 1
		}
	}
	switch {
	case r.baseOfExtents:
		return extent
	case r.baseOfAssign:
		return base
	}
	return max(base, extent)
}

// log is a partition as the bucket alone tells it, and whether each epoch begins where the one before it ended (I3).
func (s *State) log(p uint8) (log []Entry, bases bool) {
	var room [partitions * agents * slots]Entry
	log = room[:0]
	for e := uint8(1); e <= s.Control.Newest[p]; e++ {
		a := s.Control.Epoch[p][e-1]
		if int(a.Base) != len(log) {
			return log, false
		}
		j := &s.Journals[a.Journal]
		for k := range j.counted() {
			if x := j.Entry[k]; x.Kind == Record && x.Partition == p && x.Epoch == e {
				log = append(log, x)
			}
		}
	}
	return log, true
}

func wrong(s *State) string {
	for p := range uint8(partitions) {
		log, bases := s.log(p)
		if !bases {
			return "I3: an epoch does not begin where the one before it ended"
		}
		for o, e := range log {
			if int(e.Sequence) != o {
				return "I8: a record is in the log twice, or out of order"
			}
		}
		if len(log) < int(s.Acked[p]) {
			return "I4: an acked record is not in the log"
		}
		if s.Control.Sealed[s.Control.Epoch[p][s.Control.Newest[p]-1].Journal] {
			return "I3: a partition belongs to a sealed journal, and no record will give it away"
		}
	}
	return ""
}

// swapped renames agents, and the partitions with them if they are to cross.
func swapped(s State, a, b uint8, crossed bool) State {
	name := func(j *uint8) {
		switch *j {
		case a:
			*j = b
		case b:
			*j = a
		}
	}
	s.Journals[a], s.Journals[b] = s.Journals[b], s.Journals[a]
	s.Own[a], s.Own[b] = s.Own[b], s.Own[a]
	s.Plans[a], s.Plans[b] = s.Plans[b], s.Plans[a]
	c := &s.Control
	c.Sealed[a], c.Sealed[b] = c.Sealed[b], c.Sealed[a]
	for p := range c.Epoch {
		for e := range c.Newest[p] {
			name(&c.Epoch[p][e].Journal)
		}
	}
	if !crossed {
		return s
	}
	for i := range s.Own {
		s.Own[i][0], s.Own[i][1] = s.Own[i][1], s.Own[i][0]
		s.Plans[i].Named[0], s.Plans[i].Named[1] = s.Plans[i].Named[1], s.Plans[i].Named[0]
		for k := range s.Journals[i].Frozen {
			s.Journals[i].Entry[k].Partition ^= 1
		}
	}
	c.Epoch[0], c.Epoch[1] = c.Epoch[1], c.Epoch[0]
	c.Newest[0], c.Newest[1] = c.Newest[1], c.Newest[0]
	s.Acked[0], s.Acked[1] = s.Acked[1], s.Acked[0]
	return s
}
