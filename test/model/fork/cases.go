package fork

import (
	"fmt"

	"github.com/odradek/odradek/test/model/explore"
)

// reach is how far a run goes.
type reach struct{ compacts, forks, starts bool }

func (b reach) String() string {
	what := fmt.Sprintf("%d records", records)
	for _, one := range []struct {
		is   bool
		name string
	}{{b.compacts, "a compaction in the parent"}, {b.starts, "log starts"}, {b.forks, "a fork of the fork"}} {
		if one.is {
			what += ", " + one.name
		}
	}
	return what
}

func model(b reach, r Rules, off string) explore.Case {
	whole := View{Live: slots}
	first := State{Exists: slots, Parent: whole, Checkpoint: whole, HadGrandchild: !b.forks, Starts: b.starts}
	if !b.compacts {
		first.Step = Over
	}
	return explore.Model[State]{
		Name: "fork", Bound: b.String(), Off: off, First: first, Next: r.next, Wrong: wrong, Tidy: tidy,
		Goal: clean, Lost: "I9: an object stays that no log holds anything of",
	}.Case()
}

// Cases lists the runs: the whole protocol, then each rule off.
func Cases(size explore.Size) []explore.Case {
	all, few := reach{compacts: true, forks: true, starts: true}, reach{}
	compacts := reach{compacts: true, starts: true}
	cases := []explore.Case{cutModel(false, ""), model(compacts, Rules{}, "")}
	if size > explore.Tiny {
		cases = append(cases, model(all, Rules{}, ""))
	}
	return append(cases,
		cutModel(true, "G6: D is taken as it was read, whatever lies below it of a transaction"),
		model(compacts, Rules{neverVoid: true}, "G6: FORK counts whatever lies between n and its number"),
		model(compacts, Rules{anyD: true}, "G6: a D may be older than the newest checkpoint at n"),
		model(few, Rules{unborn: true}, "G7: a fork is born before FORK counts in the parent"),
		model(few, Rules{noTombstone: true}, "G7: a fork that is never born keeps what it named"),
		model(compacts, Rules{unpinsEarly: true}, "G8: UNPIN comes before the fork's MANIFEST counts"),
		model(all, Rules{unpinsLive: true}, "G8: UNPIN asks the fork's control state, not its checkpoints, era and forks"),
		model(few, Rules{neverUnpins: true}, "G8: UNPIN never comes"),
		model(few, Rules{noEnd: true}, "G8: a fork's prefix is deleted without END"),
		model(compacts, Rules{ignoresPins: true}, "G8: deletion of a topic in the parent deletes what a fork names"),
		model(compacts, Rules{dropsUnnamed: true}, "G2: what lies below the log start goes without a MANIFEST"),
	)
}
