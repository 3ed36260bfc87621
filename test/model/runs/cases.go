package runs

import (
	"fmt"

	"github.com/odradek/odradek/test/model/explore"
)

// reach is how far a run goes.
type reach struct {
	outputs                     uint8
	reads, starts, drops, topic bool
}

func (b reach) String() string {
	what := fmt.Sprintf("%d records, %d compactors, %d outputs", records, compactors, b.outputs)
	for _, one := range []struct {
		is   bool
		name string
	}{{b.starts, "log starts"}, {b.drops, "key compaction"}, {b.topic, "TOPIC_DELETE"}, {b.reads, "a reader"}} {
		if one.is {
			what += ", " + one.name
		}
	}
	return what
}

func model(b reach, r Rules, off string) explore.Case {
	first := State{Exists: slots, Outputs: b.outputs, Reads: b.reads, Starts: b.starts, Drops: b.drops, Topic: b.topic}
	for i := range first.Kept {
		first.Kept[i].Names = first.Exists
	}
	return explore.Model[State]{
		Name: "runs", Bound: b.String(), Off: off, First: first, Next: r.next, Wrong: wrong, Tidy: tidy,
		Goal: clean, Lost: "I9: no way leads to a bucket that holds only what is needed",
		Alike: []func(State) State{func(s State) State { s.Work[0], s.Work[1] = s.Work[1], s.Work[0]; return s }},
	}.Case()
}

// Cases lists the runs: the whole protocol, then each rule off.
func Cases(size explore.Size) []explore.Case {
	keys, starts, topic := reach{outputs: 2, drops: true, reads: true}, reach{outputs: 2, starts: true}, reach{outputs: 2, topic: true}
	three := reach{outputs: 3, drops: true}
	whole := map[explore.Size][]reach{
		explore.Tiny:  {keys, topic},
		explore.Short: {keys, topic, starts, {outputs: 3}},
		explore.Long:  {{outputs: 2, starts: true, drops: true, topic: true}, three},
	}[size]
	var cases []explore.Case
	for _, b := range whole {
		cases = append(cases, model(b, Rules{}, ""))
	}
	return append(cases,
		model(three, Rules{blind: true}, "S3: MANIFEST holds whatever its inputs are by then"),
		model(three, Rules{offsetsOnly: true}, "S3: MANIFEST names offsets, not the objects that it was made of"),
		model(topic, Rules{deletedTopic: true}, "S3: MANIFEST holds though the topic is deleted"),
		model(keys, Rules{deletesFirst: true}, "G2: inputs go when the output is there, before MANIFEST"),
		model(starts, Rules{unnamedDrop: true}, "G2: what lies below the log start goes without a MANIFEST"),
		model(starts, Rules{namesSwept: true}, "G5: MANIFEST holds though its output was planned before SWEEP"),
		model(starts, Rules{sweepsByAge: true}, "G5: what nothing names is deleted without SWEEP"),
		model(keys, Rules{sweepsNow: true}, "G5: what the newest state and the kept checkpoints do not name goes, planned before the newest SWEEP"),
		model(keys, Rules{onceNow: true}, "I9: what was swapped in and out again goes, whatever the oldest checkpoint kept knows of it"),
		model(keys, Rules{keptUnasked: true}, "I9: what the control state does not name goes, whatever checkpoints name"),
		model(keys, Rules{skipsGone: true}, "C2: a reader passes over an object that is gone"),
		model(keys, Rules{rowsStand: true}, "C1: a checkpoint's rows stand where runs hold the records by now"),
	)
}
