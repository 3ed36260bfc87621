package moves

import (
	"fmt"

	"github.com/odradek/odradek/test/model/explore"
)

// reach is how far a run goes.
type reach struct {
	crossed               bool // each partition starts in a journal of its own; else both in the first
	records, moves, seals uint8
}

func (b reach) String() string {
	where := "one journal"
	if b.crossed {
		where = "a journal each"
	}
	return fmt.Sprintf("2 partitions in %s, %d agents, %d records each, %d moves, %d seals", where, agents, b.records, b.moves, b.seals)
}

func model(b reach, r Rules, off string) explore.Case {
	first := State{Records: b.records, Moves: b.moves, Seals: b.seals}
	m := explore.Model[State]{Name: "moves", Bound: b.String(), Off: off, Next: r.next, Wrong: wrong}
	for p := range uint8(partitions) {
		owner := uint8(0)
		if b.crossed {
			owner = p
		}
		first.Control.Epoch[p][0].Journal, first.Control.Newest[p] = owner, 1
		for i := range first.Own {
			first.Own[i][p].Read = 1
		}
		first.Own[owner][p].Epoch = 1
	}
	if b.crossed {
		m.Alike = []func(State) State{func(s State) State { return swapped(s, 0, 1, true) }}
	} else {
		m.Alike = []func(State) State{
			func(s State) State { return swapped(s, 1, 2, false) },
			func(s State) State { return swapped(s, 0, 0, true) },
			func(s State) State { return swapped(s, 1, 2, true) },
		}
	}
	m.First = first
	return m.Case()
}

// Cases lists the runs: the whole protocol, then each rule off.
func Cases(size explore.Size) []explore.Case {
	whole := map[explore.Size][]reach{
		explore.Tiny:  {{false, 1, 1, 1}, {true, 2, 2, 0}},
		explore.Short: {{true, 1, 2, 1}},
		explore.Long:  {{true, 1, 2, 1}, {false, 1, 2, 1}, {false, 2, 1, 1}, {false, 1, 1, 2}},
	}[size]
	var cases []explore.Case
	for _, b := range whole {
		cases = append(cases, model(b, Rules{}, ""))
	}
	return append(cases,
		model(reach{false, 2, 1, 1}, Rules{assignUncounted: true}, "M1: ASSIGN is appended when RELEASE has landed, before it counts"),
		model(reach{false, 2, 1, 1}, Rules{assignFrozen: true}, "M1: ASSIGN is appended when RELEASE is frozen"),
		model(reach{false, 2, 1, 0}, Rules{releaseCounted: true}, "M1: RELEASE carries the state of what counts, without what is in flight"),
		model(reach{false, 2, 1, 1}, Rules{writesOn: true}, "P5: the owner appends to a partition after its RELEASE"),
		model(reach{false, 2, 1, 1}, Rules{assignBlind: true}, "S3: ASSIGN does not name the epoch that it replaces"),
		model(reach{false, 1, 1, 1}, Rules{assignSealed: true}, "S3: ASSIGN to a sealed journal holds"),
		model(reach{false, 1, 1, 1}, Rules{sealedBlind: true}, "S3: JOURNAL_SEALED holds whatever the journal owns by then"),
		model(reach{false, 2, 1, 1}, Rules{staleState: true}, "F5: a copy of producer state is taken without the log above it"),
		model(reach{false, 2, 2, 0}, Rules{keptState: true}, "F5: a partition that comes back finds the state that it left behind"),
		model(reach{false, 2, 2, 1}, Rules{baseOfExtents: true}, "F4: base is the newest extent's end, whatever the assignment says"),
		model(reach{false, 1, 0, 1}, Rules{baseOfAssign: true}, "F4: base is the assignment's, whatever the sealed journal holds"),
		model(reach{false, 1, 0, 1}, Rules{noState: true}, "I8: the owner does not look at sequences"),
	)
}
