package placement

import (
	"github.com/odradek/odradek/topic"
)

// Spread picks owners for partitions that have none, new ones or those of a dead journal: the answer's i-th is the
// journal of the i-th. Each topic's share is the same for all journals, give or take one; what does not divide goes
// to the journals that own least, and among those to the one with the highest score. Those that drain get something
// only if all do. loads should be those that live; it is nil without any.
func Spread(partitions []topic.Partition, loads []Load) []topic.JournalID {
	takers := takers(loads)
	if len(takers) == 0 {
		return nil
	}
	owners := make([]topic.JournalID, len(partitions))
	given := map[topic.ID][]int{} // by topic, how many each of the takers got of it
	for i, p := range partitions {
		had := given[p.Topic]
		if had == nil {
			had = make([]int, len(takers))
			given[p.Topic] = had
		}
		best := pick(p, takers, had)
		had[best]++
		takers[best].Partitions++
		owners[i] = takers[best].Journal
	}
	return owners
}

// pick finds the taker that got least of the partition's topic, of those the one that owns least, of those the one
// with the highest score.
func pick(p topic.Partition, takers []Load, had []int) int {
	item := partitionHash(p)
	best := 0
	for i, t := range takers[1:] {
		i++
		b := takers[best]
		switch {
		case had[i] != had[best]:
			if had[i] < had[best] {
				best = i
			}
		case t.Partitions != b.Partitions:
			if t.Partitions < b.Partitions {
				best = i
			}
		case outbids(item, t.Journal, b.Journal):
			best = i
		}
	}
	return best
}

// takers copies the loads of journals that may get partitions.
func takers(loads []Load) []Load {
	list := make([]Load, 0, len(loads))
	for _, l := range loads {
		if !l.Draining {
			list = append(list, l)
		}
	}
	if len(list) == 0 {
		list = append(list, loads...)
	}
	return list
}
