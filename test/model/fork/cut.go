package fork

import "github.com/odradek/odradek/test/model/explore"

const journals = 3 // journal 0 is the coordinator's and holds PREPARE, the others a marker each

// Cut is all there is while a forker reads D of one journal after the other, and a transaction goes on.
type Cut struct {
	Prepared bool           // to commit; it counts in journal 0
	Markers  [journals]bool // they count
	Read     [journals]bool // D was read
	Has      [journals]bool // PREPARE or the marker lies below the D that was read
	Forked   bool
	Decided  uint8           // in the fork: 1 commit, 2 abort
	Ends     [journals]uint8 // by which marker
}

// cutNext lists what can happen. Open: the D that were read are taken as they are.
func cutNext(open bool) func(s *Cut, to *explore.Steps[Cut]) {
	return func(s *Cut, to *explore.Steps[Cut]) {
		if s.Forked {
			s.after(to)
			return
		}
		if t := *s; !s.Prepared {
			t.Prepared = true
			to.Step(&t, "PREPARE to commit counts")
		}
		all := true
		for j := range s.Read {
			all = all && s.Read[j]
			if t := *s; j > 0 && s.Prepared && !s.Markers[j] {
				t.Markers[j] = true
				to.Step(&t, "the marker in journal %d counts", j)
			}
			if t := *s; !s.Read[j] {
				t.Read[j], t.Has[j] = true, j == 0 && s.Prepared || s.Markers[j]
				to.Step(&t, "the forker reads D of journal %d", j)
			}
		}
		if t := *s; all {
			t.Forked = true
			t.Has[0] = s.Has[0] || !open && (s.Has[1] || s.Has[2]) // each marker names the slot of its PREPARE
			if t.Has[0] {
				t.Decided = 1
			}
			for j := 1; j < journals; j++ {
				if s.Has[j] {
					t.Ends[j] = 1
				}
			}
			to.Step(&t, "FORK counts, the fork is born")
		}
	}
}

// after is the fork's coordinator: PREPARE in the cut is decided, without one the transaction times out.
func (s *Cut) after(to *explore.Steps[Cut]) {
	t := *s
	if s.Decided == 0 {
		t.Decided = 2
		to.Step(&t, "the fork's coordinator aborts the transaction, which it finds open")
		return
	}
	for j := 1; j < journals; j++ {
		if t := *s; s.Ends[j] == 0 {
			t.Ends[j] = s.Decided
			to.Step(&t, "the fork's marker in journal %d counts", j)
		}
	}
}

func cutWrong(s *Cut) string {
	if s.Ends[1] != 0 && s.Ends[2] != 0 && s.Ends[1] != s.Ends[2] {
		return "I10: a transaction is half committed, half aborted in the fork"
	}
	return ""
}

func cutDone(s *Cut) bool { return s.Forked && s.Ends[1] != 0 && s.Ends[2] != 0 }

func cutModel(open bool, off string) explore.Case {
	return explore.Model[Cut]{
		Name: "fork", Bound: "a transaction over 3 journals, D read one after the other", Off: off,
		Next: cutNext(open), Wrong: cutWrong, Goal: cutDone, Lost: "I10: a transaction stays open in the fork",
	}.Case()
}
