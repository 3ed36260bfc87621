package placement

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/odradek/odradek/topic"
)

// Owner picks the journal that should own a partition: the candidate with the highest score, whatever order they
// come in. It is false only without candidates.
func Owner(p topic.Partition, candidates []topic.JournalID) (topic.JournalID, bool) {
	if len(candidates) == 0 {
		return topic.JournalID{}, false
	}
	item := partitionHash(p)
	best := candidates[0]
	for _, c := range candidates[1:] {
		if outbids(item, c, best) {
			best = c
		}
	}
	return best, true
}

// outbids reports whether a's score for an item is above b's; of equal scores the greater id's counts as higher.
func outbids(item uint64, a, b topic.JournalID) bool {
	sa, sb := score(item, a), score(item, b)
	return sa > sb || sa == sb && bytes.Compare(a[:], b[:]) > 0
}

// Owners picks the owners of the partitions [from, from+count) of one topic: Owner of each. It is nil without
// candidates.
func Owners(id topic.ID, from, count int32, candidates []topic.JournalID) []topic.JournalID {
	if len(candidates) == 0 {
		return nil
	}
	owners := make([]topic.JournalID, 0, count)
	for i := range count {
		owner, _ := Owner(topic.Partition{Topic: id, Index: from + i}, candidates)
		owners = append(owners, owner)
	}
	return owners
}

// Rank orders candidates by who should take over a dead journal first; the dead one is left out. The places in
// the answer are the ranks by which takers wait, 0 being at once.
func Rank(dead topic.JournalID, candidates []topic.JournalID) []topic.JournalID {
	item := journalHash(dead)
	ranked := make([]topic.JournalID, 0, len(candidates))
	for _, c := range candidates {
		if c != dead {
			ranked = append(ranked, c)
		}
	}
	slices.SortFunc(ranked, func(a, b topic.JournalID) int {
		switch sa, sb := score(item, a), score(item, b); {
		case sa > sb:
			return -1
		case sa < sb:
			return 1
		}
		return bytes.Compare(b[:], a[:])
	})
	return ranked
}

// score is what a candidate bids for an item: two rounds of mixing over both, fixed for ever, since agents of
// different builds must agree.
func score(item uint64, candidate topic.JournalID) uint64 { return mix(item ^ journalHash(candidate)) }

func partitionHash(p topic.Partition) uint64 {
	return mix(topicHash(p.Topic) ^ uint64(uint32(p.Index)))
}

func topicHash(t topic.ID) uint64 {
	return mix(mix(binary.BigEndian.Uint64(t[:8])) ^ binary.BigEndian.Uint64(t[8:]))
}

func journalHash(j topic.JournalID) uint64 {
	return mix(mix(binary.BigEndian.Uint64(j[:8])) ^ binary.BigEndian.Uint64(j[8:]))
}

// mix is the finalizer of splitmix64 (Steele, Lea, Flood 2014): a bijection in which every input bit moves about
// half of the output bits.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
