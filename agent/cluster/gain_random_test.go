package cluster

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/metadata/embedded"
	"github.com/odradek/odradek/objectstore/memory"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/topic"
)

// dice throw what agents do: write, move partitions, die and come.
type dice struct {
	*rand.Rand
	t      *testing.T
	store  *memory.Store
	meta   *redis
	pin    metadata.Pin
	agents []*owner
	ps     []topic.Partition
	ends   map[topic.Partition]topic.Offset // what was written
}

// Whatever happens in whatever order: a partition is gained at its end with the producers of its log, nobody sees what was
// not written, and a boot from the bucket alone finds all of it.
func TestGained_RandomLivesOfAPool(t *testing.T) {
	for seed := range uint64(15) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			p := &dice{
				Rand: rand.New(rand.NewPCG(seed, 7)), t: t, store: memory.New(), meta: &redis{Store: embedded.Open()},
				ends: make(map[topic.Partition]topic.Offset),
			}
			for range 3 {
				p.agents = append(p.agents, join(t, p.store, p.meta))
			}
			p.learn()
			p.ps = p.agents[0].topicAt(t, "orders", 5)
			p.learn()
			p.pin = openEra(t, p.meta, p.agents...)
			for range 400 {
				p.step()
			}
			p.check()
		})
	}
}

// learn lets all agents read the control log.
func (p *dice) learn() {
	for _, o := range p.agents {
		if err := o.CatchUp(p.t.Context()); err != nil {
			p.t.Fatal(err)
		}
	}
}

func (p *dice) owner(of topic.Partition) *owner {
	a, _ := p.agents[0].State().Owner(of)
	return p.agents[slices.IndexFunc(p.agents, func(o *owner) bool { return o.Journal() == a.Journal })]
}

func (p *dice) step() {
	of, any := p.ps[p.IntN(len(p.ps))], p.agents[p.IntN(len(p.agents))]
	switch n := p.IntN(100); {
	case n < 55:
		p.owner(of).write(p.t, p.store, of)
		p.ends[of]++
	case n < 70:
		p.index(any)
	case n < 80:
		p.meta.away.Store(p.IntN(3) == 0)
		_ = any.SyncIndex(p.t.Context(), time.Now())
	case n < 95:
		if from := p.owner(of); from != any {
			from.give(p.t, p.store, any, of)
			p.learn()
			p.gain(any, of)
		}
	case n < 97 && len(p.agents) > 1:
		p.die(any)
	case n < 99 && len(p.agents) < 4:
		p.agents = append(p.agents, join(p.t, p.store, p.meta))
		p.learn()
	}
}

func (p *dice) gain(o *owner, of topic.Partition) {
	taken := o.gains(p.t, of)
	if o.next[of] != p.ends[of] || !isAt(&taken.Producers, of, p.ends[of]) {
		p.t.Fatalf("%s is gained at %d, its end is %d", of, o.next[of], p.ends[of])
	}
	if p.IntN(3) == 0 && !p.meta.away.Load() {
		c := metadata.Copy{Kind: metadata.CopyProducer, Partition: of, Position: p.ends[of], Value: taken.Producers.AppendSnapshot(nil)}
		if err := p.meta.Put(p.t.Context(), p.pin, []metadata.Copy{c}); err != nil {
			p.t.Fatal(err)
		}
	}
}

// die ends an agent; another takes over.
func (p *dice) die(o *owner) {
	p.agents = slices.DeleteFunc(p.agents, func(x *owner) bool { return x == o })
	heir := p.agents[p.IntN(len(p.agents))]
	owned := heir.State().PartitionsOf(o.Journal())
	o.sealedBy(p.t, p.store, heir)
	p.learn()
	for _, a := range owned {
		p.gain(heir, a.Partition)
	}
}

// index indexes as many of an agent's slots as Redis takes: those of another that come before may not be there yet.
func (p *dice) index(o *owner) {
	ctx := p.t.Context()
	p.meta.away.Store(false)
	s := o.State()
	applied, err := p.meta.Applied(ctx, p.pin)
	if err != nil {
		p.t.Fatal(err)
	}
	if effects, ok := o.effects.after(applied); ok && len(effects) > 0 {
		if _, err := p.meta.Apply(ctx, p.pin, applied+1, effects); err != nil {
			p.t.Fatal(err)
		}
	}
	status, err := p.meta.Current(ctx, p.pin.Era)
	if err != nil {
		p.t.Fatal(err)
	}
	for j := range s.Journals() {
		end := j.SealSlot
		if j.ID == o.Journal() {
			end = o.slot
		} else if !j.Sealed {
			continue
		}
		var segments []metadata.Segment
		if err := o.slots(ctx, j.ID, min(end, status.Journals[j.ID].Next), end, func(x segment.SlotExtents) error {
			segments = append(segments, segmentOf(j.ID, x))
			return nil
		}); err != nil {
			p.t.Fatal(err)
		}
		if outcomes, err := p.meta.Index(ctx, p.pin, s.Next()-1, segments); err != nil || slices.Contains(outcomes, metadata.Conflict) {
			p.t.Fatal(outcomes, err)
		}
	}
}

// check lets an agent boot that knows nothing, after all others, and looks at everything.
func (p *dice) check() {
	for _, o := range p.agents {
		for _, of := range p.ps {
			if seen := o.sees(of); seen > p.ends[of] {
				p.t.Errorf("%s is seen to %d, %d was written", of, seen, p.ends[of])
			}
		}
	}
	last := join(p.t, p.store, embedded.Open(), p.agents...)
	for _, of := range p.ps {
		h := last.opened.History
		a, _ := last.State().Owner(of)
		if h.Stands[of] != p.ends[of] || last.sees(of) != p.ends[of] || a.Base != p.ends[of] {
			p.t.Errorf("%s stands at %d, is seen to %d, base %d; want %d", of, h.Stands[of], last.sees(of), a.Base, p.ends[of])
		}
		if known, ok := last.Known(a); p.ends[of] > 0 && (!ok || !isAt(&known.Producers, of, p.ends[of])) {
			p.t.Errorf("the producers of %s are not those of its log", of)
		}
	}
}
