package mirror

import (
	"fmt"

	"github.com/odradek/odradek/test/model/explore"
)

// reach is how far a run goes.
type reach struct{ records, seals, faults, answers uint8 }

func (b reach) String() string {
	return fmt.Sprintf("%d readers, %d journals, %d records, %d epochs, %d seals, %d faults, %d fetches", readers, journals, b.records, epochs, b.seals, b.faults, b.answers)
}

func model(b reach, r Rules, off string) explore.Case {
	first := State{Newest: 1, Faults: b.faults, Answers: b.answers, Records: b.records, Seals: b.seals}
	first.Redis = Redis{Era: 1, Open: true}
	return explore.Model[State]{
		Name: "mirror", Bound: b.String(), Off: off,
		First: first, Next: r.next, Wrong: wrong, Tidy: r.tidy,
		Goal: current, Lost: "an agent's memory can no longer come to hold all that counts",
	}.Case()
}

// Cases lists the runs: the whole protocol, then each rule off.
func Cases(size explore.Size) []explore.Case {
	whole := map[explore.Size][]reach{
		explore.Tiny:  {{records: 1, seals: 1, answers: 1}},
		explore.Short: {{records: 1, seals: 1, faults: 1, answers: 2}},
		explore.Long:  {{records: 1, seals: 1, faults: 1, answers: 2}, {records: 2, seals: 1, answers: 1}},
	}[size]
	two, one := reach{records: 2, seals: 1, answers: 1}, reach{records: 1, answers: 2}
	var cases []explore.Case
	for _, b := range whole {
		cases = append(cases, model(b, Rules{}, ""))
	}
	return append(cases,
		model(two, Rules{gapsVisible: true}, "C1: what lies behind a gap in an agent's index is visible"),
		model(two, Rules{readsOpen: true}, "I2: an open journal is read from the bucket, whatever is missing below"),
		model(two, Rules{readsBeyond: true}, "I2: a sealed journal is read from the bucket beyond its seal"),
		model(one, Rules{unsynced: true}, "C1: a fetch at a non-owner is answered from memory as it stands"),
		model(one, Rules{joinsOlder: true}, "C1: a fetch joins a read of Redis that began before it came"),
		model(one, Rules{ownLeftOut: true}, "C1: a fetch does not wait for what Redis has of the agent's own journal"),
		model(reach{records: 1, faults: 1, answers: 2}, Rules{closedEra: true}, "R4: an era that is not open yet is read"),
		model(one, Rules{showsAhead: true}, "I7: a non-owner shows what it knows but the open era does not hold"),
		model(reach{records: 2}, Rules{cursorIsTail: true}, "P6: a reader takes the newest slot of a journal, without a cursor"),
	)
}
