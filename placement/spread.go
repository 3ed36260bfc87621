package placement

import (
	"slices"

	"github.com/odradek/odradek/topic"
)

// Spread picks owners for partitions that have none, new ones or those of a dead journal: the answer's i-th is the
// journal of the i-th. owned says how many partitions of a topic a journal owns already, and may be nil.
//
// Of each topic's partitions, those owned already among them, each zone and in it each journal gets its share by weight
// as far as that divides; the rest goes to the journals that own least in all in proportion to their weight, and among
// those to the one with the highest score, but not two of it to one before each has one. Those that drain or weigh
// nothing get something only if all do. loads should be those that live; it is nil without any.
func Spread(partitions []topic.Partition, loads []Load, owned func(topic.JournalID, topic.ID) int) []topic.JournalID {
	if len(loads) == 0 {
		return nil
	}
	m := membersOf(loads)
	if m.weight == 0 { // all drain
		loads = slices.Clone(loads)
		for i := range loads {
			loads[i].Draining = false
		}
		m = membersOf(loads)
	}
	rows := make(map[topic.ID]*row)
	for _, p := range partitions {
		r := rows[p.Topic]
		if r == nil {
			r = m.newRow(p.Topic)
			if owned != nil {
				for i := range m.list {
					r.add(m, i, owned(m.list[i].Journal, p.Topic))
				}
			}
			rows[p.Topic] = r
		}
		r.n++ // one more to be shared
	}
	owners := make([]topic.JournalID, len(partitions))
	for i, p := range partitions {
		r := rows[p.Topic]
		best := m.pick(r, partitionHash(p))
		r.add(m, best, 1)
		r.n-- // it was counted before
		m.list[best].Partitions++
		owners[i] = m.list[best].Journal
	}
	return owners
}

// pick finds the member to get one more partition of a topic.
func (m *members) pick(r *row, item uint64) int {
	best := -1
	for i := range m.list {
		if m.list[i].weight > 0 && (best < 0 || m.poorer(r, item, i, best)) {
			best = i
		}
	}
	return best
}

// poorer says whether one more partition of a topic should rather go to member a than to b.
func (m *members) poorer(r *row, item uint64, a, b int) bool {
	one, other := &m.list[a], &m.list[b]
	if x, y := m.need(r, r.zones[one.zone], m.zones[one.zone]), m.need(r, r.zones[other.zone], m.zones[other.zone]); x != y {
		return x > y
	}
	if x, y := m.need(r, r.has[a], one.weight), m.need(r, r.has[b], other.weight); x != y {
		return x > y
	}
	if c := fraction(one.Partitions, one.weight, other.Partitions, other.weight); c != 0 {
		return c < 0
	}
	return outbids(item, one.Journal, other.Journal)
}

// need is 2 for who has less than its share of a topic rounded down, 1 for who would have it rounded up, else 0.
func (m *members) need(r *row, has int, weight int64) int {
	share := int64(r.n) * weight
	switch all := m.weight; {
	case int64(has) < share/all:
		return 2
	case int64(has) < (share+all-1)/all:
		return 1
	}
	return 0
}
