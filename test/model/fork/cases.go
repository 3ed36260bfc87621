package fork

import (
	"fmt"

	"github.com/odradek/odradek/test/model/explore"
)

func model(r Rules, off string) explore.Case {
	whole := View{Live: slots}
	return explore.Model[State]{
		Name: "fork", Bound: fmt.Sprintf("%d records, one compaction in parent and fork, a fork of the fork", records), Off: off,
		First: State{Exists: slots, Parent: whole, Checkpoint: whole}, Next: r.next, Wrong: wrong, Tidy: tidy,
		Goal: clean, Lost: "I9: an object stays that no log holds anything of",
	}.Case()
}

// Cases lists the runs: the whole protocol, then each rule off.
func Cases(explore.Size) []explore.Case {
	return []explore.Case{
		cutModel(false, ""),
		model(Rules{}, ""),
		cutModel(true, "G6: D is taken as it was read, whatever lies below it of a transaction"),
		model(Rules{neverVoid: true}, "G6: FORK counts whatever lies between n and its number"),
		model(Rules{anyD: true}, "G6: a D may be older than the newest checkpoint at n"),
		model(Rules{unborn: true}, "G7: a fork is born before FORK counts in the parent"),
		model(Rules{noTombstone: true}, "G7: a fork that is never born keeps what it named"),
		model(Rules{unpinsEarly: true}, "G8: UNPIN comes before the fork's MANIFEST counts"),
		model(Rules{unpinsLive: true}, "G8: UNPIN asks the fork's control state, not its checkpoints, era and forks"),
		model(Rules{neverUnpins: true}, "G8: UNPIN never comes"),
		model(Rules{noEnd: true}, "G8: a fork's prefix is deleted without END"),
		model(Rules{ignoresPins: true}, "G8: deletion of a topic in the parent deletes what a fork names"),
		model(Rules{dropsUnnamed: true}, "G2: what lies below the log start goes without a MANIFEST"),
	}
}
