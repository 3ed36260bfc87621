package placement

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/odradek/odradek/topic"
)

func journals(rng *rand.Rand, n int) []topic.JournalID {
	list := make([]topic.JournalID, n)
	for i := range list {
		for b := range list[i] {
			list[i][b] = byte(rng.Uint32())
		}
	}
	return list
}

func partition(i int) topic.Partition {
	return topic.Partition{Topic: topic.ID{1, 2, byte(i >> 8)}, Index: int32(i & 0xff)}
}

func TestOwner_NobodyToAsk(t *testing.T) {
	if owner, ok := Owner(partition(0), nil); ok {
		t.Fatalf("owner %s of no candidates", owner)
	}
	if owners := Owners(topic.ID{1}, 0, 4, nil); owners != nil {
		t.Fatalf("owners %v of no candidates", owners)
	}
}

func TestOwner_OrderOfCandidatesDoesNotMatter(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	candidates := journals(rng, 7)
	for i := range 200 {
		want, _ := Owner(partition(i), candidates)
		rng.Shuffle(len(candidates), func(a, b int) { candidates[a], candidates[b] = candidates[b], candidates[a] })
		if got, _ := Owner(partition(i), candidates); got != want {
			t.Fatalf("partition %d: %s after a shuffle, %s before", i, got, want)
		}
	}
}

func TestOwner_LoadIsSpread(t *testing.T) {
	candidates := journals(rand.New(rand.NewPCG(2, 2)), 10)
	load := map[topic.JournalID]int{}
	const n = 20_000
	for i := range n {
		owner, _ := Owner(partition(i), candidates)
		load[owner]++
	}
	for _, c := range candidates {
		if got, fair := load[c], n/len(candidates); got < fair*85/100 || got > fair*115/100 {
			t.Errorf("journal %s owns %d, a fair share is %d", c, got, fair)
		}
	}
}

func TestOwner_OnlyTheShareOfTheLeaverMoves(t *testing.T) {
	candidates := journals(rand.New(rand.NewPCG(3, 3)), 8)
	gone := candidates[3]
	left := slices.Delete(slices.Clone(candidates), 3, 4)
	for i := range 2_000 {
		before, _ := Owner(partition(i), candidates)
		after, _ := Owner(partition(i), left)
		if before != gone && after != before {
			t.Fatalf("partition %d moved from %s, which stayed", i, before)
		}
	}
}

func TestOwners_AgreesWithOwner(t *testing.T) {
	candidates := journals(rand.New(rand.NewPCG(4, 4)), 5)
	for i, got := range Owners(topic.ID{9}, 10, 20, candidates) {
		if want, _ := Owner(topic.Partition{Topic: topic.ID{9}, Index: int32(10 + i)}, candidates); got != want {
			t.Fatalf("partition %d: %s, want %s", 10+i, got, want)
		}
	}
}

func TestRank_EveryOtherCandidateOnce(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	candidates := journals(rng, 6)
	dead := candidates[2]
	first := map[topic.JournalID]bool{}
	ranked := Rank(dead, candidates)
	if len(ranked) != 5 || slices.Contains(ranked, dead) {
		t.Fatalf("ranked %v, want the 5 that live", ranked)
	}
	for _, c := range ranked {
		first[c] = true
	}
	if len(first) != 5 {
		t.Fatalf("ranked %v names one twice", ranked)
	}
	rng.Shuffle(len(candidates), func(a, b int) { candidates[a], candidates[b] = candidates[b], candidates[a] })
	if again := Rank(dead, candidates); !slices.Equal(again, ranked) {
		t.Fatalf("rank %v after a shuffle, %v before", again, ranked)
	}
}

func TestRank_DeadJournalsHaveDifferentHeirs(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 6))
	candidates := journals(rng, 5)
	heirs := map[topic.JournalID]int{}
	for _, dead := range journals(rng, 500) {
		heirs[Rank(dead, candidates)[0]]++
	}
	for _, c := range candidates {
		if heirs[c] < 60 {
			t.Errorf("journal %s is first for %d of 500 dead ones", c, heirs[c])
		}
	}
}

// The scores are part of the protocol between builds: whoever changes them makes agents disagree.
func TestOwner_Golden(t *testing.T) {
	candidates := []topic.JournalID{{1}, {2}, {3}, {4}}
	var got []byte
	for i := range 16 {
		owner, _ := Owner(topic.Partition{Topic: topic.ID{0xab}, Index: int32(i)}, candidates)
		got = append(got, '0'+owner[0])
	}
	if want := "4231324421141113"; string(got) != want {
		t.Fatalf("owners %s, want %s", got, want)
	}
}
