package placement

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/odradek/odradek/topic"
)

// pool is a cluster: who owns which partitions, and who drains.
type pool struct {
	journals []topic.JournalID
	owns     map[topic.JournalID][]topic.Partition
	draining map[topic.JournalID]bool
}

func newPool(rng *rand.Rand, n int) *pool {
	return &pool{journals: journals(rng, n), owns: map[topic.JournalID][]topic.Partition{}, draining: map[topic.JournalID]bool{}}
}

func (p *pool) loads() []Load {
	list := make([]Load, len(p.journals))
	for i, j := range p.journals {
		list[i] = Load{Journal: j, Partitions: len(p.owns[j]), Draining: p.draining[j]}
	}
	return list
}

func (p *pool) balance() []Move {
	return Balance(p.loads(), func(j topic.JournalID) []topic.Partition { return p.owns[j] })
}

// apply fails the test unless From owns the partition and To takes any.
func (p *pool) apply(t *testing.T, moves ...Move) {
	t.Helper()
	for _, m := range moves {
		i := slices.Index(p.owns[m.From], m.Partition)
		if i < 0 || p.draining[m.To] || !slices.Contains(p.journals, m.To) {
			t.Fatalf("move %v: From owns it: %v, To drains: %v", m, i >= 0, p.draining[m.To])
		}
		p.owns[m.From] = slices.Delete(p.owns[m.From], i, i+1)
		p.owns[m.To] = append(p.owns[m.To], m.Partition)
	}
}

// surplus is how many partitions are above what each journal should own at most: no fewer can move.
func (p *pool) surplus() int {
	total, takers := 0, 0
	for _, l := range p.loads() {
		total += l.Partitions
		if !l.Draining {
			takers++
		}
	}
	if takers == 0 {
		return 0
	}
	above, below, even := 0, 0, total/takers
	for _, l := range p.loads() {
		switch {
		case l.Draining:
			above += l.Partitions
		default:
			above += max(0, l.Partitions-even-min(1, total%takers))
			below += max(0, even-l.Partitions)
		}
	}
	return max(above, below)
}

// checkEven wants all that do not drain to own the same, give or take one, and the others nothing.
func (p *pool) checkEven(t *testing.T) {
	t.Helper()
	low, high := 1<<30, 0
	for _, l := range p.loads() {
		if l.Draining {
			if l.Partitions > 0 {
				t.Fatalf("draining journal %s is left with %d", l.Journal, l.Partitions)
			}
			continue
		}
		low, high = min(low, l.Partitions), max(high, l.Partitions)
	}
	if high > low+1 {
		t.Fatalf("journals own from %d to %d partitions", low, high)
	}
}

// anyPool draws a cluster that is out of balance: partitions of topics of all sizes, thrown at a few of the
// journals, some of which drain.
func anyPool(rng *rand.Rand) *pool {
	p := newPool(rng, 1+rng.IntN(8))
	owners := 1 + rng.IntN(len(p.journals))
	for left := 20 + rng.IntN(1980); left > 0; {
		id, n := topic.ID{byte(rng.Uint32()), byte(rng.Uint32()), byte(rng.Uint32())}, 1+rng.IntN(min(left, 60))
		left -= n
		for i := range n {
			j := p.journals[rng.IntN(owners)]
			p.owns[j] = append(p.owns[j], topic.Partition{Topic: id, Index: int32(i)})
		}
	}
	for _, j := range p.journals {
		p.draining[j] = rng.IntN(5) == 0
	}
	return p
}

func TestBalance_EvenWithTheFewestMovesAndThenAtRest(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		p := anyPool(rng)
		moves := p.balance()
		if want := p.surplus(); len(moves) != want {
			t.Fatalf("seed %d: %d moves where %d are enough", seed, len(moves), want)
		}
		if !slices.Contains(slices.Collect(maps.Values(p.draining)), false) || len(moves) == 0 {
			continue
		}
		p.apply(t, moves...)
		p.checkEven(t)
		if again := p.balance(); len(again) > 0 {
			t.Fatalf("seed %d: balanced, and yet %d moves", seed, len(again))
		}
	}
}

// Owners work off the moves at their own pace and never ask each other: what is left to do must not depend on what
// was done.
func TestBalance_DoneMovesLeaveTheOthersAsTheyWere(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 2))
		p := anyPool(rng)
		moves := p.balance()
		for len(moves) > 0 {
			var done, left []Move
			for _, m := range moves {
				if rng.IntN(3) == 0 {
					done = append(done, m)
				} else {
					left = append(left, m)
				}
			}
			p.apply(t, done...)
			rng.Shuffle(len(p.journals), func(a, b int) { p.journals[a], p.journals[b] = p.journals[b], p.journals[a] })
			if moves = p.balance(); !slices.Equal(moves, left) {
				t.Fatalf("seed %d: %d of the moves done, then %d moves, want the %d others", seed, len(done), len(moves), len(left))
			}
		}
	}
}

func TestBalance_ManyTopicsChangeAndItStaysEven(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	p := newPool(rng, 5)
	for round := range 100 {
		switch rng.IntN(4) {
		case 0: // a topic comes
			id := topic.ID{byte(round), 7}
			var fresh []topic.Partition
			for i := range 1 + rng.IntN(40) {
				fresh = append(fresh, topic.Partition{Topic: id, Index: int32(i)})
			}
			for i, j := range Spread(fresh, p.loads()) {
				p.owns[j] = append(p.owns[j], fresh[i])
			}
		case 1: // a topic goes
			id := topic.ID{byte(rng.IntN(round + 1)), 7}
			for j := range p.owns {
				p.owns[j] = slices.DeleteFunc(p.owns[j], func(q topic.Partition) bool { return q.Topic == id })
			}
		case 2: // an agent starts
			p.journals = append(p.journals, journals(rng, 1)...)
		case 3: // an agent dies, and its partitions go to the others
			if len(p.journals) > 1 {
				dead := p.journals[rng.IntN(len(p.journals))]
				p.journals = slices.DeleteFunc(p.journals, func(j topic.JournalID) bool { return j == dead })
				for i, j := range Spread(p.owns[dead], p.loads()) {
					p.owns[j] = append(p.owns[j], p.owns[dead][i])
				}
				delete(p.owns, dead)
			}
		}
		p.apply(t, p.balance()...)
		p.checkEven(t)
	}
}

func TestBalance_TopicsAreSpreadToo(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	p := newPool(rng, 4)
	first := p.journals[0]
	for n := range 20 {
		for i := range 60 {
			p.owns[first] = append(p.owns[first], topic.Partition{Topic: topic.ID{byte(n)}, Index: int32(i)})
		}
	}
	p.apply(t, p.balance()...)
	for _, j := range p.journals {
		of := map[topic.ID]int{}
		for _, q := range p.owns[j] {
			of[q.Topic]++
		}
		for id, n := range of {
			if n < 12 || n > 18 {
				t.Errorf("journal %s owns %d of the 60 partitions of topic %s, a fair share is 15", j, n, id)
			}
		}
		if len(of) != 20 {
			t.Errorf("journal %s owns partitions of %d topics of 20", j, len(of))
		}
	}
}

// An agent that starts, leaves and starts again must not make the same partitions wander every time.
func TestBalance_NotAlwaysTheSameWander(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	p := newPool(rng, 3)
	for i := range 300 {
		q := partition(i)
		j := Spread([]topic.Partition{q}, p.loads())[0]
		p.owns[j] = append(p.owns[j], q)
	}
	wandered := map[topic.Partition]int{}
	for range 12 {
		guest := journals(rng, 1)[0]
		p.journals = append(p.journals, guest)
		moves := p.balance()
		p.apply(t, moves...)
		for _, m := range moves {
			wandered[m.Partition]++
		}
		p.draining[guest] = true
		p.apply(t, p.balance()...)
		p.journals = p.journals[:3]
	}
	for q, n := range wandered {
		if n > 9 {
			t.Errorf("partition %s went to %d of 12 guests", q, n)
		}
	}
}

func TestBalance_NobodyToGiveTo(t *testing.T) {
	p := newPool(rand.New(rand.NewPCG(6, 6)), 2)
	if moves := p.balance(); moves != nil {
		t.Fatalf("moves %v of nothing", moves)
	}
	p.owns[p.journals[0]] = []topic.Partition{partition(1), partition(2), partition(3)}
	p.draining[p.journals[0]], p.draining[p.journals[1]] = true, true
	if moves := p.balance(); moves != nil {
		t.Fatalf("moves %v although all drain", moves)
	}
	if moves := Balance(nil, nil); moves != nil {
		t.Fatalf("moves %v without journals", moves)
	}
}

// Agents of different builds must agree: whoever changes the answer makes them move partitions to and fro.
func TestBalance_Golden(t *testing.T) {
	owns := map[topic.JournalID][]topic.Partition{}
	for i := range 16 {
		j := topic.JournalID{byte(1 + i%2)}
		owns[j] = append(owns[j], topic.Partition{Topic: topic.ID{0xab}, Index: int32(i)})
	}
	loads := []Load{{topic.JournalID{1}, 8, false}, {topic.JournalID{2}, 8, true}, {Journal: topic.JournalID{3}}, {Journal: topic.JournalID{4}}}
	got := ""
	for _, m := range Balance(loads, func(j topic.JournalID) []topic.Partition { return owns[j] }) {
		got += fmt.Sprintf("%d:%d-%d ", m.Partition.Index, m.From[0], m.To[0])
	}
	if want := "0:1-3 8:1-3 7:2-3 5:2-3 3:2-4 13:2-4 15:2-3 1:2-4 11:2-4 9:2-4 "; got != want {
		t.Fatalf("moves %q, want %q", got, want)
	}
}

func BenchmarkBalance(b *testing.B) {
	rng := rand.New(rand.NewPCG(7, 7))
	p := newPool(rng, 50)
	for i := range 100_000 {
		q := topic.Partition{Topic: topic.ID{byte(i >> 16), byte(i >> 8)}, Index: int32(i & 0xff)}
		j := p.journals[i%49]
		p.owns[j] = append(p.owns[j], q)
	}
	b.Run("one-joins-49/100k", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if len(p.balance()) != 2000 {
				b.Fatal("moves")
			}
		}
	})
}
