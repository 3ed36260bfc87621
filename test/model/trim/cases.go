package trim

import (
	"fmt"

	"github.com/odradek/odradek/test/model/explore"
)

// reach is how far a run goes.
type reach struct {
	starts, takes bool
	eras          uint8
}

func (b reach) String() string {
	what := fmt.Sprintf("one journal of %d slots, %d in flight", slots, window)
	if b.starts {
		what += ", log starts"
	}
	if b.takes {
		what += ", takeovers"
	}
	return fmt.Sprintf("%s, %d eras lost", what, b.eras)
}

func model(b reach, r Rules, off string) explore.Case {
	return explore.Model[State]{
		Name: "trim", Bound: b.String(), Off: off, Next: r.next, Wrong: wrong, Tidy: r.tidy,
		First: State{Starting: b.starts, Taking: b.takes, Eras: b.eras},
		Goal:  clean, Lost: "I9: no way leads to a bucket that holds only what is needed",
	}.Case()
}

// Cases lists the runs: the whole protocol, then each rule off.
func Cases(size explore.Size) []explore.Case {
	takes, starts, era := reach{takes: true}, reach{starts: true, takes: true}, reach{eras: 1}
	whole := map[explore.Size][]reach{
		explore.Tiny:  {{starts: true}, takes},
		explore.Short: {starts, {starts: true, eras: 1}},
		explore.Long:  {starts, {starts: true, eras: 2}, {takes: true, eras: 1}},
	}[size]
	var cases []explore.Case
	for _, b := range whole {
		cases = append(cases, model(b, Rules{}, ""))
	}
	return append(cases,
		model(takes, Rules{sealsBelow: true}, "F2: sealing starts at slot 0, whatever TRIM says"),
		model(takes, Rules{trimUnnamed: true}, "S3: JOURNAL_SEALED does not name the TRIM that the sealer saw"),
		model(takes, Rules{plansUncounted: true}, "I2: a run is made of slots above a hole"),
		model(takes, Rules{mirrorSkips: true}, "I2: who finds slots gone goes on behind them"),
		model(takes, Rules{gainedByRuns: true}, "F5: a partition is gained when runs reach its base, whatever was read of it"),
		model(takes, Rules{startsBelow: true}, "G1: one goes on from a checkpoint below TRIM"),
		model(era, Rules{fromRedis: true}, "G1: a checkpoint is a copy of what Redis holds"),
		model(era, Rules{aheadOfIndex: true}, "G1: a checkpoint holds slots that the index lacks"),
		model(era, Rules{unverified: true}, "G1: a checkpoint counts before it is verified"),
		model(era, Rules{sharedPart: true}, "G1: one damaged part is named by both checkpoints that are kept"),
		model(era, Rules{trimsAbove: true}, "G2: TRIM goes up to the newest verified checkpoint"),
		model(era, Rules{trimsBare: true}, "G2: TRIM passes a slot that is in no run"),
		model(starts, Rules{startUncounted: true}, "G3: a log start frees slots before it counts"),
		model(era, Rules{deletesFirst: true}, "I9: slots go when they live on in runs, before TRIM"),
		model(era, Rules{deletesAtTrim: true}, "I9: slots below TRIM go, whatever the checkpoints name"),
		model(era, Rules{heldForever: true}, "I9: the checkpoint that an open era was built from holds its slots"),
		model(era, Rules{deletesUnder: true}, "R3: slots go that an era being built still needs"),
		model(era, Rules{eraBelow: true}, "R2: an ERA names a checkpoint below TRIM"),
	)
}
