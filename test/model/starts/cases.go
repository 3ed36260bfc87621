package starts

import (
	"fmt"

	"github.com/odradek/odradek/test/model/explore"
)

// reach is how far a run goes.
type reach struct{ epochs, starts, records uint8 }

func (b reach) String() string {
	return fmt.Sprintf("%d agents, %d more epochs, %d log starts, %d epochs that write", journals, b.epochs, b.starts, b.records)
}

func model(b reach, r Rules, off string) explore.Case {
	return explore.Model[State]{
		Name: "starts", Bound: b.String(), Off: off,
		First: State{Serves: true, Epochs: b.epochs, Starts: b.starts, Records: b.records},
		Next:  r.next, Wrong: wrong,
		Goal: served, Lost: "a partition can no longer be gained",
	}.Case()
}

// Cases lists the runs: the whole protocol, then each rule off.
func Cases(size explore.Size) []explore.Case {
	whole := map[explore.Size]reach{
		explore.Tiny:  {epochs: 3, starts: 1, records: 1},
		explore.Short: {epochs: 3, starts: 2, records: 1},
		explore.Long:  {epochs: 5, starts: 2, records: 2},
	}[size]
	b := reach{epochs: 3, starts: 1, records: 1}
	return []explore.Case{
		model(whole, Rules{}, ""),
		model(b, Rules{unrepeated: true}, "M1: RELEASE does not repeat the log start"),
		model(b, Rules{unread: true}, "F5: the slot of a RELEASE is not waited for"),
		model(b, Rules{onlyFrom: true}, "F5: after a seal only the sealed journal is read"),
		model(b, Rules{onlyListed: true}, "F5: epochs that wrote no record are forgotten, with their log starts"),
		model(b, Rules{onlyMirrored: true}, "F5: after a seal what was read of open journals is enough"),
	}
}
