package placement

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/odradek/odradek/topic"
)

// pool is a cluster: who owns which partitions, where, of which weight, and who drains.
type pool struct {
	journals []topic.JournalID
	owns     map[topic.JournalID][]topic.Partition
	draining map[topic.JournalID]bool
	zone     map[topic.JournalID]string // none: all are of one
	weight   map[topic.JournalID]int    // none: all weigh the same
}

func newPool(rng *rand.Rand, n int) *pool {
	return &pool{journals: journals(rng, n), owns: map[topic.JournalID][]topic.Partition{}, draining: map[topic.JournalID]bool{}}
}

func (p *pool) loads() []Load {
	list := make([]Load, len(p.journals))
	for i, j := range p.journals {
		list[i] = Load{Journal: j, Zone: p.zone[j], Weight: p.weight[j], Partitions: len(p.owns[j]), Draining: p.draining[j]}
	}
	return list
}

// copy makes a pool of the same journals whose partitions move by themselves.
func (p *pool) copy() *pool {
	c := *p
	c.journals, c.owns = slices.Clone(p.journals), map[topic.JournalID][]topic.Partition{}
	for j, ps := range p.owns {
		c.owns[j] = slices.Clone(ps)
	}
	return &c
}

// count tells how many partitions of a topic a journal owns.
func (p *pool) count(j topic.JournalID, id topic.ID) int {
	n := 0
	for _, q := range p.owns[j] {
		if q.Topic == id {
			n++
		}
	}
	return n
}

// settle carries all moves out until there are none, and returns how many they were.
func (p *pool) settle(t *testing.T) int {
	t.Helper()
	moved := 0
	for range 8 {
		moves := p.balance()
		if len(moves) == 0 {
			return moved
		}
		p.apply(t, moves...)
		moved += len(moves)
	}
	t.Fatalf("not at rest after 8 rounds and %d moves: %d more", moved, len(p.balance()))
	return 0
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

// surplus is how many partitions are above the shares: no fewer can move.
func (p *pool) surplus() int {
	m := membersOf(p.loads())
	if m.weight == 0 {
		return 0
	}
	totals, above := m.loads(), 0
	for i, q := range m.quotas(totals) {
		above += max(0, totals[i]-q)
	}
	return above
}

func (m *members) loads() []int {
	totals := make([]int, len(m.list))
	for i := range m.list {
		totals[i] = m.list[i].Partitions
	}
	return totals
}

// checkEven wants each journal to own its share, rounded down or up, and at most about a fifth more or less than its share
// of each topic, or one; and so each zone.
func (p *pool) checkEven(t *testing.T) {
	t.Helper()
	if n := p.surplus(); n > 0 {
		t.Fatalf("%d partitions are above the shares", n)
	}
	m := membersOf(p.loads())
	rows := map[topic.ID]*row{}
	for i := range m.list {
		for _, q := range p.owns[m.list[i].Journal] {
			if rows[q.Topic] == nil {
				rows[q.Topic] = m.newRow(q.Topic)
			}
			rows[q.Topic].add(m, i, 1)
		}
	}
	near := func(who string, n, of int, weight int64) {
		share := float64(of) * float64(weight) / float64(m.weight)
		if slack := max(1, share/5); float64(n) < share-slack || float64(n) > share+slack {
			t.Fatalf("%s owns %d of the %d partitions of a topic, its share is %.1f", who, n, of, share)
		}
	}
	for _, r := range rows {
		for i, n := range r.has {
			near("a journal", n, r.n, m.list[i].weight)
		}
		for z, n := range r.zones {
			near("a zone", n, r.n, m.zones[z])
		}
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
	if rng.IntN(2) == 0 {
		p.zone = map[topic.JournalID]string{}
		for _, j := range p.journals {
			p.zone[j] = fmt.Sprint(rng.IntN(3))
		}
	}
	if rng.IntN(2) == 0 {
		p.weight = map[topic.JournalID]int{}
		for _, j := range p.journals {
			p.weight[j] = []int{100, 100, 200, 50, 30, 0}[rng.IntN(6)]
		}
	}
	return p
}

func TestBalance_EvenAndThenAtRest(t *testing.T) {
	moved, enough := 0, 0
	for seed := range uint64(100) {
		p := anyPool(rand.New(rand.NewPCG(seed, 1)))
		if enough += p.surplus(); membersOf(p.loads()).weight == 0 {
			if moves := p.balance(); moves != nil {
				t.Fatalf("seed %d: all drain, and %d moves", seed, len(moves))
			}
			continue
		}
		moved += p.settle(t)
		p.checkEven(t)
	}
	if moved > enough*21/20 { // what even topics take
		t.Errorf("%d moves in all where %d are enough for even totals", moved, enough)
	}
}

// Owners work off the moves at their own pace and never ask each other: what is left to do does not depend on what was
// done, but for other partitions of other topics once a topic became even.
func TestBalance_DoneMovesLeaveTheOthersAsTheyWere(t *testing.T) {
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 2))
		p := anyPool(rng)
		moves, was := p.plan()
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
			now, uneven := p.plan()
			for id := range uneven {
				if !was[id] {
					t.Fatalf("seed %d: topic %s became uneven", seed, id)
				}
			}
			compare := slices.Clone(now)
			if len(uneven) < len(was) {
				isEven := func(m Move) bool { return !uneven[m.Partition.Topic] }
				left, compare = slices.DeleteFunc(left, isEven), slices.DeleteFunc(compare, isEven)
			}
			if !slices.Equal(compare, left) {
				t.Fatalf("seed %d: %d of the moves done, then %d moves, want the %d others", seed, len(done), len(compare), len(left))
			}
			moves, was = now, uneven
		}
	}
}

// plan lists the moves of the first two kinds, and the topics that are clearly uneven.
func (p *pool) plan() ([]Move, map[topic.ID]bool) {
	uneven := map[topic.ID]bool{}
	b := newBalance(membersOf(p.loads()), func(j topic.JournalID) []topic.Partition { return p.owns[j] })
	if b.weight == 0 {
		return nil, uneven
	}
	for id := range b.uneven {
		uneven[id] = true
	}
	b.evenTopics()
	if b.evenTotals(); len(b.moves) == 0 {
		return nil, uneven
	}
	return p.balance(), uneven
}

// Each owner decides on what it has read of the control log, which holds its own moves and not always others'. It comes to
// rest nevertheless, without more moves than one would make who sees all: a few more where a topic became even and not
// all knew yet.
func TestBalance_StaleViewsComeToRest(t *testing.T) {
	moved, alone := 0, 0
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 3))
		truth := anyPool(rng)
		alone += truth.copy().settle(t)
		var log []Move
		views, read := map[topic.JournalID]*pool{}, map[topic.JournalID]int{}
		for _, j := range truth.journals {
			views[j] = truth.copy()
		}
		for idle := 0; idle < 1000; idle++ {
			j := truth.journals[rng.IntN(len(truth.journals))]
			v := views[j]
			if rng.IntN(2) == 0 {
				n := min(len(log), read[j]+rng.IntN(300))
				v.apply(t, log[read[j]:n]...)
				read[j] = n
			}
			mine := slices.DeleteFunc(v.balance(), func(m Move) bool { return m.From != j })
			if len(mine) == 0 {
				continue
			}
			idle = 0
			// To append it must have read everything; what it appends was decided before.
			v.apply(t, log[read[j]:]...)
			mine = mine[:1+rng.IntN(len(mine))]
			log = append(log, mine...)
			v.apply(t, mine...)
			read[j] = len(log)
			if len(log) > 20_000 {
				t.Fatalf("seed %d: %d moves and no rest", seed, len(log))
			}
		}
		truth.apply(t, log...)
		if moves := truth.balance(); len(moves) > 0 {
			t.Fatalf("seed %d: %d moves left and nobody who makes them", seed, len(moves))
		}
		if moved += len(log); membersOf(truth.loads()).weight > 0 {
			truth.checkEven(t)
		}
	}
	if moved > alone*51/50 {
		t.Errorf("%d moves, %d by somebody who sees all", moved, alone)
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
			for i, j := range Spread(fresh, p.loads(), p.count) {
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
				for i, j := range Spread(p.owns[dead], p.loads(), p.count) {
					p.owns[j] = append(p.owns[j], p.owns[dead][i])
				}
				delete(p.owns, dead)
			}
		}
		p.settle(t)
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
	p.settle(t)
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
		j := Spread([]topic.Partition{q}, p.loads(), nil)[0]
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
	loads := []Load{{Journal: topic.JournalID{1}, Partitions: 8}, {Journal: topic.JournalID{2}, Partitions: 8, Draining: true}, {Journal: topic.JournalID{3}}, {Journal: topic.JournalID{4}}}
	got := ""
	for _, m := range Balance(loads, func(j topic.JournalID) []topic.Partition { return owns[j] }) {
		got += fmt.Sprintf("%d:%d-%d ", m.Partition.Index, m.From[0], m.To[0])
	}
	if want := "0:1-3 8:1-3 7:2-3 5:2-3 3:2-4 13:2-4 15:2-3 1:2-4 11:2-4 9:2-4 "; got != want {
		t.Fatalf("moves %q, want %q", got, want)
	}
}

func BenchmarkBalance(b *testing.B) {
	bench := func(name string, partitions, perTopic, agents, owners, want int) {
		p := newPool(rand.New(rand.NewPCG(7, 7)), agents)
		p.zone = map[topic.JournalID]string{}
		for i, j := range p.journals {
			p.zone[j] = fmt.Sprint(i % 3)
		}
		for i := range partitions {
			j := p.journals[i%owners]
			n := i / perTopic
			p.owns[j] = append(p.owns[j], topic.Partition{Topic: topic.ID{1, byte(n >> 8), byte(n)}, Index: int32(i % perTopic)})
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if n := len(p.balance()); n != want {
					b.Fatalf("%d moves", n)
				}
			}
		})
	}
	bench("at-rest/10k-12", 10_000, 120, 12, 12, 0)
	bench("one-has-all/10k-12", 10_000, 120, 12, 1, 9000)
	bench("one-has-all/10k-12-of-topics-of-1", 10_000, 1, 12, 1, 9166)
	bench("one-joins-49/100k", 100_000, 256, 50, 49, 1953)
}
