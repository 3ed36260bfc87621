package placement

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/odradek/odradek/topic"
)

// Load is a journal as placement sees it. More that tells one from another, such as a weight of its zone, would be
// a field here.
type Load struct {
	Journal    topic.JournalID
	Partitions int  // that it owns
	Draining   bool // is to own none
}

// Move says that a partition should go from its owner's journal to another.
type Move struct {
	Partition topic.Partition
	From, To  topic.JournalID
}

// Balance lists the moves after which the journals own the same number of partitions, give or take one, and those
// that drain none: as few moves as that takes, none if it is so already. It looks at the given journals alone,
// which should be those that live, for nobody but its owner gives a partition away; without one that does not drain
// nothing moves. owned lists a journal's partitions in any order and is asked only about those that give some.
//
// Each owner carries out those moves that are From its own journal, at any pace. That needs no word between them:
// whichever of the moves are done, Balance then answers exactly the others. They are listed by the journal that
// gives, and those of one journal mixed, so that the first few of them go to different takers.
func Balance(loads []Load, owned func(topic.JournalID) []topic.Partition) []Move {
	loads = slices.Clone(loads)
	slices.SortFunc(loads, func(a, b Load) int { return bytes.Compare(a.Journal[:], b.Journal[:]) })
	shares := quotas(loads)
	if shares == nil {
		return nil
	}
	var given []gift
	salt := membership(loads)
	for i, l := range loads {
		if surplus := l.Partitions - shares[i]; surplus > 0 {
			given = append(given, give(l.Journal, owned(l.Journal), surplus, salt)...)
		}
	}
	if len(given) == 0 {
		return nil
	}
	// Takers are served one after the other from the gifts in an order that each gift has of its own. So a gift that
	// arrived and the want that it filled leave the others' as they were.
	slices.SortFunc(given, func(a, b gift) int {
		return cmp.Or(cmp.Compare(a.place, b.place), comparePartitions(a.partition, b.partition))
	})
	moves := make([]Move, 0, len(given))
	for i, l := range loads {
		for range min(max(0, shares[i]-l.Partitions), len(given)) {
			moves = append(moves, Move{given[0].partition, given[0].from, l.Journal})
			given = given[1:]
		}
	}
	slices.SortFunc(moves, func(a, b Move) int {
		return cmp.Or(bytes.Compare(a.From[:], b.From[:]), cmp.Compare(partitionHash(a.Partition), partitionHash(b.Partition)),
			comparePartitions(a.Partition, b.Partition))
	})
	return moves
}

// quotas tells how many partitions each of the journals, sorted by id, should own; nil if none may own any. What
// does not divide stays with journals that have one more already, else goes to others, the least ids first: a
// partition that moves where it should changes nobody's quota.
func quotas(loads []Load) []int {
	total, takers := 0, 0
	for _, l := range loads {
		total += l.Partitions
		if !l.Draining {
			takers++
		}
	}
	if takers == 0 {
		return nil
	}
	even, extra := total/takers, total%takers
	shares := make([]int, len(loads))
	for _, over := range []bool{true, false} {
		for i, l := range loads {
			if l.Draining || (l.Partitions > even) != over {
				continue
			}
			shares[i] = even
			if extra > 0 {
				shares[i]++
				extra--
			}
		}
	}
	return shares
}

// gift is a partition that its owner has too many of.
type gift struct {
	partition topic.Partition
	from      topic.JournalID
	place     uint64
}

// give picks n of a journal's partitions: those that come first on a ring that begins anywhere, but at the same
// place while the same journals could take them. So it is not always the same partitions that wander.
func give(from topic.JournalID, owned []topic.Partition, n int, salt uint64) []gift {
	begin := score(salt, from)
	gifts := make([]gift, 0, len(owned))
	for _, p := range owned {
		gifts = append(gifts, gift{p, from, scatter(p) - begin})
	}
	slices.SortFunc(gifts, func(a, b gift) int {
		return cmp.Or(cmp.Compare(a.place, b.place), comparePartitions(a.partition, b.partition))
	})
	return gifts[:min(n, len(gifts))]
}

// membership is a number of the journals that may own partitions, whatever they own.
func membership(loads []Load) uint64 {
	salt := uint64(0)
	for _, l := range loads {
		if !l.Draining {
			salt ^= journalHash(l.Journal)
		}
	}
	return salt
}

// scatter places the partitions of a topic on a ring so that every arc holds nearly its fair share of each topic:
// from one index to the next it goes on by the golden ratio of the ring (Weyl 1916).
func scatter(p topic.Partition) uint64 {
	return topicHash(p.Topic) + uint64(uint32(p.Index))*0x9e3779b97f4a7c15
}

func comparePartitions(a, b topic.Partition) int {
	return cmp.Or(bytes.Compare(a.Topic[:], b.Topic[:]), cmp.Compare(a.Index, b.Index))
}
