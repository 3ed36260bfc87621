package starts

import "github.com/odradek/odradek/test/model/explore"

const (
	journals = 3 // journal i is agent i's
	slots    = 4 // of a journal
)

// Journal is one in the bucket.
type Journal struct {
	Start  [slots]uint8 // the log start that each slot says, 0 = none
	Next   uint8
	Sealed bool
}

// State is all there is.
type State struct {
	Journals [journals]Journal
	Read     [journals][journals]uint8 // by agent and journal: every slot below is in its memory

	// The newest assignment.
	Owner    uint8
	From     uint8           // who had it before
	Moved    bool            // by a RELEASE
	Released uint8           // slot of From that holds the RELEASE
	Wrote    bool            // records, under it
	Serves   bool            // the owner has gained it
	Ends     [journals]uint8 // where journals ended when it was made

	Listed    [journals]bool // had the partition under an epoch that is over and wrote records
	Forgotten bool           // an epoch that is over wrote none
	Newest    uint8          // the log start that counts

	Epochs, Starts, Records uint8 // yet to come
}

// Rules says what a run goes without: true switches a rule off.
type Rules struct {
	unrepeated   bool // a RELEASE does not repeat the log start
	unread       bool // after a RELEASE the slot that holds it is not waited for
	onlyFrom     bool // after a seal only the sealed journal is read
	onlyListed   bool // after a seal only journals that wrote records are read
	onlyMirrored bool // after a seal what was read of open journals before is enough
}

func (r Rules) next(s *State, to *explore.Steps[State]) {
	if s.Serves {
		r.own(s, to)
	} else {
		r.gain(s, to)
	}
	if s.Epochs > 0 && !s.Journals[s.Owner].Sealed {
		for target := range uint8(journals) {
			if target != s.Owner && !s.Journals[target].Sealed {
				t := *s
				t.Journals[s.Owner].Sealed = true
				t.assign(target)
				to.Fault(&t, "journal %d is sealed, the partition is agent %d's", s.Owner, target)
			}
		}
	}
	for i := range uint8(journals) {
		for j := range uint8(journals) {
			if i != j && s.Read[i][j] < s.Journals[j].Next {
				t := *s
				t.Read[i][j]++
				to.Step(&t, "agent %d reads slot %d of journal %d", i, s.Read[i][j], j)
			}
		}
	}
}

// own is what an owner does: records, log starts, a planned move.
func (r Rules) own(s *State, to *explore.Steps[State]) {
	i := s.Owner
	if s.Journals[i].Next == slots {
		return
	}
	if s.Records > 0 && !s.Wrote {
		t := *s
		t.write(0)
		t.Wrote, t.Records = true, s.Records-1
		to.Step(&t, "agent %d writes records", i)
	}
	if s.Starts > 0 {
		t := *s
		t.Newest++
		t.write(t.Newest)
		t.Starts--
		to.Step(&t, "agent %d sets the log start to %d", i, t.Newest)
	}
	if s.Epochs == 0 {
		return
	}
	for target := range uint8(journals) {
		if target != i && !s.Journals[target].Sealed {
			t := *s
			repeats := s.known(i)
			if r.unrepeated {
				repeats = 0
			}
			slot := s.Journals[i].Next
			t.write(repeats)
			t.assign(target)
			t.Moved, t.Released = true, slot
			to.Step(&t, "agent %d releases the partition in slot %d, it is agent %d's", i, slot, target)
		}
	}
}

func (s *State) write(start uint8) {
	j := &s.Journals[s.Owner]
	j.Start[j.Next] = start
	j.Next++
}

// assign begins the next epoch.
func (s *State) assign(target uint8) {
	if s.Wrote {
		s.Listed[s.Owner] = true
	} else {
		s.Forgotten = true
	}
	s.From, s.Owner = s.Owner, target
	s.Moved, s.Released, s.Wrote, s.Serves = false, 0, false, false
	for i := range s.Journals {
		s.Ends[i] = s.Journals[i].Next
	}
	s.Epochs--
}

// gain is F5.
func (r Rules) gain(s *State, to *explore.Steps[State]) {
	i := s.Owner
	if s.Journals[i].Sealed || !r.told(s) {
		return
	}
	t := *s
	t.Serves = true
	to.Step(&t, "agent %d serves the partition, log start %d", i, s.known(i))
}

// told tells whether the owner has read what may hold the log start.
func (r Rules) told(s *State) bool {
	read := &s.Read[s.Owner]
	if s.Moved {
		return r.unread || read[s.From] > s.Released
	}
	for j := range uint8(journals) {
		var needed bool
		switch {
		case j == s.Owner:
			continue
		case r.onlyFrom:
			needed = j == s.From
		case r.onlyListed:
			needed = j == s.From || s.Listed[j]
		default:
			needed = j == s.From || s.Listed[j] || s.Forgotten
		}
		if r.onlyMirrored && !s.Journals[j].Sealed {
			needed = false
		}
		if needed && read[j] < s.Ends[j] {
			return false
		}
	}
	return true
}

// known is the log start in an agent's memory.
func (s *State) known(i uint8) (start uint8) {
	for j := range uint8(journals) {
		below := s.Read[i][j]
		if i == j {
			below = s.Journals[j].Next
		}
		for _, said := range s.Journals[j].Start[:below] {
			start = max(start, said)
		}
	}
	return start
}

func wrong(s *State) string {
	if s.Serves && s.known(s.Owner) < s.Newest {
		return "G3: an owner serves a partition from below its log start"
	}
	return ""
}

// served tells whether the partition is served, or nobody is left to serve it.
func served(s *State) bool { return s.Serves || s.Journals[s.Owner].Sealed }
