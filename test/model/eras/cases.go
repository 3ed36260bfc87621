package eras

import (
	"fmt"

	"github.com/odradek/odradek/test/model/explore"
)

// reach is how far a run goes.
type reach struct {
	agents, faults, moves, checkpoints uint8
	quiet                              bool // no PUT lands any more
	flushed                            bool // a record was shown to a client, then Redis lost everything
	unwatched                          bool // no client is watched, which makes fewer states
}

func (b reach) String() string {
	who := fmt.Sprintf("%d agents", b.agents)
	if b.agents == agents {
		who += ", one joins later"
	}
	if b.flushed {
		who += ", a record, Redis flushed, no more records"
	}
	if b.unwatched {
		who += ", no client"
	}
	return fmt.Sprintf("%s, %d slots a journal, %d faults, %d moves, %d checkpoints", who, slots, b.faults, b.moves, b.checkpoints)
}

func model(b reach, r Rules, off string) explore.Case {
	first := State{Newest: 1, Era: 1, Runs: 1, Identity: [eras]uint8{1}, Faults: b.faults, Moves: b.moves, Checkpoints: b.checkpoints}
	for i := range first.Agents {
		first.Agents[i].Era = 1
	}
	first.Agents[0].Role, first.Agents[0].Epoch = Owner, 1
	first.Agents[agents-1].Role = Unborn
	for i := b.agents; i < agents; i++ {
		first.Agents[i], first.Journals[i].Seal = Agent{Role: Dead}, 1
	}
	first.Checkpoint.Applied, first.From[0].Applied = 1, 1
	first.Main = Redis{Run: 1, Pin: 1, Open: 1}
	first.Main.Eras[0] = Keys{Loaded: true, Applied: 1, Known: [agents]bool{true, true}}
	if !b.quiet {
		first.Puts = agents * slots
	}
	if b.flushed {
		first.Journals[0].Landed[0], first.Acked[0] = true, ref(0, 0)
		first.Answer = Answer{Agent: 1, Era: 1, High: 1}
		first.Main = Redis{Run: 1}
	}
	if b.unwatched {
		first.Answer = Answer{Agent: nobody}
	}
	first.Replica = first.Main
	return explore.Model[State]{
		Name: "eras", Bound: b.String(), Off: off, First: first, Next: r.next, Wrong: wrong, Tidy: tidy,
		Goal: whole, Lost: "R1-R4: no way leads to an open index that holds all that counts",
	}.Case()
}

// Cases lists the runs: the whole protocol, then each rule off.
func Cases(size explore.Size) []explore.Case {
	whole := map[explore.Size][]reach{
		explore.Tiny:  {{agents: 2, faults: 1}},
		explore.Short: {{agents: 2, faults: 1, moves: 1}, {agents: 2, faults: 1, checkpoints: 1}, {agents: 3, faults: 1}},
		explore.Long:  {{agents: 2, faults: 1, moves: 1}, {agents: 2, faults: 1, checkpoints: 1}, {agents: 3, faults: 1}, {agents: 2, faults: 2, unwatched: true}},
	}[size]
	var cases []explore.Case
	for _, b := range whole {
		cases = append(cases, model(b, Rules{}, ""))
	}
	one := reach{agents: 2, faults: 1}
	move := reach{agents: 2, faults: 1, moves: 1}
	flushed := reach{agents: 2, faults: 1, quiet: true, flushed: true}
	return append(cases,
		model(one, Rules{ackAboveHole: true}, "P4: a slot that landed is acked above a hole"),
		model(one, Rules{anyOrder: true}, "P6: slots are indexed in any order"),
		model(move, Rules{movesBase: true}, "P6: an extent that does not fit is put at the end"),
		model(move, Rules{unpinned: true}, "P6, C1: scripts do not look at the identity that the era was opened with"),
		model(reach{agents: 2, faults: 1, moves: 1, unwatched: true}, Rules{ownersOnly: true}, "F1: journals that own nothing any more are never sealed"),
		model(reach{agents: 3}, Rules{missingIsDeath: true}, "F1: a journal that the era does not know is taken for dead"),
		model(one, Rules{leaseRunsOut: true}, "R1: the ERA after a failover comes later than a lease"),
		model(one, Rules{otherIsAway: true}, "R2: a Redis that was never named is taken for one that is away"),
		model(one, Rules{sideAgain: true}, "R2: an ERA may name an identity that an older ERA named"),
		model(flushed, Rules{silentForever: true}, "R2: a recoverer that stands still is never replaced"),
		model(reach{agents: 2, faults: 1, checkpoints: 1}, Rules{ownStart: true}, "R3: each starts at the newest checkpoint that he knows, loaded or not"),
		model(flushed, Rules{leavesHalf: true}, "R3: nobody indexes what a journal lacks whose agent re-attached and died"),
		model(one, Rules{openEarly: true}, "R4: the era opens before all have re-attached or are sealed"),
		model(one, Rules{openUnindexed: true}, "R4: the era opens when all have re-attached, before they have indexed"),
		model(flushed, Rules{ownMemory: true}, "R4: the opening trusts the recoverer's memory of who re-attached"),
		model(reach{agents: 2, moves: 1}, Rules{forgetsShown: true}, "I7: an agent forgets the high watermark that it showed"),
		model(one, Rules{redisSaysRange: true}, "O2: OFFSET_OUT_OF_RANGE is answered from the index"),
	)
}
