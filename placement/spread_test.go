package placement

import (
	"fmt"
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

// Each zone and each journal gets its share of each topic, rounded down or up, and in all as much as its weight says.
func TestSpread_SharesGoByZoneAndWeight(t *testing.T) {
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 5))
		p := newPool(rng, 2+rng.IntN(8))
		p.zone, p.weight = map[topic.JournalID]string{}, map[topic.JournalID]int{}
		for _, j := range p.journals {
			p.zone[j], p.weight[j] = fmt.Sprint(rng.IntN(3)), []int{100, 100, 50, 200, 0}[rng.IntN(5)]
		}
		m := membersOf(p.loads())
		all := 0
		for n := range 40 {
			parts := make([]topic.Partition, 1+rng.IntN(40))
			for i := range parts {
				parts[i] = topic.Partition{Topic: topic.ID{9, byte(n)}, Index: int32(i)}
			}
			all += len(parts)
			got, zones := map[topic.JournalID]int{}, make([]int, len(m.zones))
			for i, j := range Spread(parts, p.loads(), p.count) {
				p.owns[j] = append(p.owns[j], parts[i])
				got[j]++
			}
			for i := range m.list {
				one := &m.list[i]
				if one.zone >= 0 {
					zones[one.zone] += got[one.Journal]
				}
				if share := int64(len(parts)) * one.weight; got[one.Journal] < int(share/m.weight) || got[one.Journal] > int((share+m.weight-1)/m.weight) {
					t.Fatalf("seed %d: journal %s of weight %d of %d got %d of %d partitions", seed, one.Journal, one.weight, m.weight, got[one.Journal], len(parts))
				}
			}
			for z, n := range zones {
				if share := int64(len(parts)) * m.zones[z]; n < int(share/m.weight) || n > int((share+m.weight-1)/m.weight) {
					t.Fatalf("seed %d: a zone of weight %d of %d got %d of %d partitions", seed, m.zones[z], m.weight, n, len(parts))
				}
			}
		}
		for i := range m.list {
			share := float64(all) * float64(m.list[i].weight) / float64(m.weight)
			if n := float64(len(p.owns[m.list[i].Journal])); n < 0.9*share-2 || n > 1.1*share+2 {
				t.Fatalf("seed %d: journal %s owns %v, its share is %.1f", seed, m.list[i].Journal, n, share)
			}
		}
	}
}

// A zone is lost, one agent after the other: what it owned goes to all agents of the other zones.
func TestSpread_ALostZoneGoesToAllOthers(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 6))
	p := newPool(rng, 9)
	p.zone = map[topic.JournalID]string{}
	for i, j := range p.journals {
		p.zone[j] = fmt.Sprint(i % 3)
	}
	for n := range 30 {
		parts := make([]topic.Partition, 18)
		for i := range parts {
			parts[i] = topic.Partition{Topic: topic.ID{8, byte(n)}, Index: int32(i)}
		}
		for i, j := range Spread(parts, p.loads(), p.count) {
			p.owns[j] = append(p.owns[j], parts[i])
		}
	}
	p.checkEven(t)
	for _, dead := range slices.Clone(p.journals) {
		if p.zone[dead] != "0" {
			continue
		}
		p.journals = slices.DeleteFunc(p.journals, func(j topic.JournalID) bool { return j == dead })
		lost := p.owns[dead]
		for i, j := range Spread(lost, p.loads(), p.count) {
			p.owns[j] = append(p.owns[j], lost[i])
		}
		delete(p.owns, dead)
		if n := p.settle(t); n > 2 {
			t.Fatalf("%d moves after a takeover of %d partitions", n, len(lost))
		}
		p.checkEven(t)
	}
}
