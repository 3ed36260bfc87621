package placement

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/odradek/odradek/topic"
)

func TestSpread_EachTopicAndAllTogetherAreEven(t *testing.T) {
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 1))
		p := newPool(rng, 1+rng.IntN(8))
		total := 0
		for total < 20+int(seed)*20 {
			id, n := topic.ID{byte(rng.Uint32()), byte(total >> 8), byte(total)}, 1+rng.IntN(30)
			var fresh []topic.Partition
			for i := range n {
				fresh = append(fresh, topic.Partition{Topic: id, Index: int32(i)})
			}
			total += n
			got := map[topic.JournalID]int{}
			for i, j := range Spread(fresh, p.loads(), nil) {
				p.owns[j] = append(p.owns[j], fresh[i])
				got[j]++
			}
			for _, j := range p.journals {
				if even := n / len(p.journals); got[j] < even || got[j] > even+1 {
					t.Fatalf("seed %d: journal %s got %d of %d partitions, %d journals", seed, j, got[j], n, len(p.journals))
				}
			}
			p.checkEven(t)
		}
	}
}

func TestSpread_TheDeadsPartitionsGoToAllAlike(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	p := anyPool(rng)
	clear(p.draining)
	p.settle(t)
	dead := p.journals[0]
	p.journals = p.journals[1:]
	parts := slices.Clone(p.owns[dead])
	slices.SortFunc(parts, comparePartitions)
	for i, j := range Spread(parts, p.loads(), p.count) {
		p.owns[j] = append(p.owns[j], parts[i])
	}
	p.settle(t)
	p.checkEven(t)
}

func TestSpread_DrainingGetsNothingUnlessAllDrain(t *testing.T) {
	p := newPool(rand.New(rand.NewPCG(3, 3)), 3)
	parts := []topic.Partition{partition(0), partition(1), partition(2), partition(3)}
	p.draining[p.journals[1]] = true
	if owners := Spread(parts, p.loads(), nil); slices.Contains(owners, p.journals[1]) || len(owners) != len(parts) {
		t.Fatalf("owners %v, and %s drains", owners, p.journals[1])
	}
	for _, j := range p.journals {
		p.draining[j] = true
	}
	if owners := Spread(parts, p.loads(), nil); len(owners) != len(parts) {
		t.Fatalf("owners %v when all drain", owners)
	}
	if owners := Spread(parts, nil, nil); owners != nil {
		t.Fatalf("owners %v of nobody", owners)
	}
}

func TestSpread_LoadsAreNotChangedAndTheirOrderDoesNotMatter(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	p := newPool(rng, 6)
	parts := make([]topic.Partition, 50)
	for i := range parts {
		parts[i] = partition(i)
	}
	loads := p.loads()
	want := Spread(parts, loads, nil)
	if !slices.Equal(loads, p.loads()) {
		t.Fatalf("loads changed to %v", loads)
	}
	for range 20 {
		rng.Shuffle(len(loads), func(a, b int) { loads[a], loads[b] = loads[b], loads[a] })
		if got := Spread(parts, loads, nil); !slices.Equal(got, want) {
			t.Fatalf("owners %v after a shuffle, %v before", got, want)
		}
	}
}
