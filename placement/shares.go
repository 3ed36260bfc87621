package placement

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/odradek/odradek/topic"
)

// members are the journals that placement looks at, by id, with what each may take. It is fixed for one set of loads,
// whatever they own.
type members struct {
	list   []member
	zones  []int64 // weight of each zone, of those that may take
	weight int64   // of all that may take
	bands  map[int]*band
}

type member struct {
	Load
	weight int64 // 0: is to own none
	zone   int   // index in members.zones; -1 if it is to own none
	hash   uint64
}

// membersOf sorts and weighs the journals. Where nobody that stays weighs anything, all that stay weigh the same.
func membersOf(loads []Load) *members {
	m := &members{bands: make(map[int]*band)}
	for _, l := range loads {
		n := member{Load: l, zone: -1, hash: journalHash(l.Journal)}
		if !l.Draining {
			n.weight = int64(max(l.Weight, 0))
		}
		m.list = append(m.list, n)
		m.weight += n.weight
	}
	slices.SortFunc(m.list, func(a, b member) int { return bytes.Compare(a.Journal[:], b.Journal[:]) })
	for i := range m.list {
		if n := &m.list[i]; m.weight == 0 && !n.Draining {
			n.weight = 1
		}
	}
	m.weight = 0
	zones := make(map[string]int)
	for i := range m.list {
		n := &m.list[i]
		if n.weight == 0 {
			continue
		}
		z, ok := zones[n.Zone]
		if !ok {
			z = len(m.zones)
			zones[n.Zone] = z
			m.zones = append(m.zones, 0)
		}
		n.zone = z
		m.zones[z] += n.weight
		m.weight += n.weight
	}
	return m
}

// salt is a number of the journals that may own partitions, whatever they own.
func (m *members) salt() uint64 {
	salt := uint64(0)
	for _, n := range m.list {
		if n.weight > 0 {
			salt ^= n.hash
		}
	}
	return salt
}

// quotas tells how many partitions each member should own of those that all own together: its share by weight, rounded.
// What does not divide stays with those that have one more already, else goes to others, the largest remainders first,
// then the least ids: a partition that moves where it should changes nobody's quota.
func (m *members) quotas(totals []int) []int {
	all := int64(0)
	for _, t := range totals {
		all += int64(t)
	}
	quotas, left := make([]int, len(m.list)), all
	var takers []int
	for i, n := range m.list {
		if n.weight > 0 {
			quotas[i] = int(all * n.weight / m.weight)
			left -= int64(quotas[i])
			takers = append(takers, i)
		}
	}
	slices.SortStableFunc(takers, func(a, b int) int {
		if overA, overB := totals[a] > quotas[a], totals[b] > quotas[b]; overA != overB {
			if overA {
				return -1
			}
			return 1
		}
		return cmp.Compare(all*m.list[b].weight%m.weight, all*m.list[a].weight%m.weight)
	})
	for _, i := range takers[:left] {
		quotas[i]++
	}
	return quotas
}

// band says how many of a topic's partitions members and zones may own without being evened out: their shares, give or
// take a fifth, but at least one. Members that are to own none may keep what they have.
type band struct {
	low, high         []int
	zoneLow, zoneHigh []int
}

// band gives the band for topics of n partitions.
func (m *members) band(n int) *band {
	b := m.bands[n]
	if b == nil {
		b = &band{}
		for _, one := range m.list {
			low, high := 0, n
			if one.weight > 0 {
				low, high = around(n, one.weight, m.weight)
			}
			b.low, b.high = append(b.low, low), append(b.high, high)
		}
		for _, w := range m.zones {
			low, high := around(n, w, m.weight)
			b.zoneLow, b.zoneHigh = append(b.zoneLow, low), append(b.zoneHigh, high)
		}
		m.bands[n] = b
	}
	return b
}

func around(n int, weight, all int64) (low, high int) {
	share5 := 5 * int64(n) * weight // five times the share, in parts of all
	slack5 := max(5*all, share5/5)
	return int((max(0, share5-slack5) + 5*all - 1) / (5 * all)), int((share5 + slack5) / (5 * all))
}

// row is who owns how many of a topic's partitions.
type row struct {
	topic topic.ID
	n     int
	has   []int // by member
	zones []int // by zone
}

func (m *members) newRow(id topic.ID) *row {
	return &row{topic: id, has: make([]int, len(m.list)), zones: make([]int, len(m.zones))}
}

// add counts n more partitions, or fewer, for a member.
func (r *row) add(m *members, i, n int) {
	r.n += n
	r.has[i] += n
	if z := m.list[i].zone; z >= 0 {
		r.zones[z] += n
	}
}

func (r *row) within(b *band) bool {
	for i, n := range r.has {
		if n < b.low[i] || n > b.high[i] {
			return false
		}
	}
	for z, n := range r.zones {
		if n < b.zoneLow[z] || n > b.zoneHigh[z] {
			return false
		}
	}
	return true
}

// nearest gives the row within the band that is reached from r with the fewest moves. Of several it is the one whose
// zones, then whose members have the most even shares; what is left to choose, rendezvous hashing chooses. That order
// does not depend on r, so from every row on the way to the nearest one the nearest is the same: it was as near as any
// other before, and each move brought it as much nearer as a move can.
func (m *members) nearest(r *row, b *band) *row {
	out, item := m.newRow(r.topic), topicHash(r.topic)
	for i := range m.list {
		if m.list[i].weight > 0 {
			out.add(m, i, b.low[i])
		}
	}
	raise := func(zone int) {
		best := -1
		for i := range m.list {
			switch one := &m.list[i]; {
			case zone >= 0 && one.zone != zone,
				one.zone >= 0 && (out.has[i] >= b.high[i] || out.zones[one.zone] >= b.zoneHigh[one.zone]):
			case best < 0 || m.sooner(r, out, item, i, best):
				best = i
			}
		}
		out.add(m, best, 1)
	}
	for z := range m.zones {
		for out.zones[z] < b.zoneLow[z] {
			raise(z)
		}
	}
	for out.n < r.n {
		raise(-1)
	}
	return out
}

// sooner says whether member a is given one more partition of a topic before b is.
func (m *members) sooner(r, out *row, item uint64, a, b int) bool {
	if keepA, keepB := out.has[a] < r.has[a], out.has[b] < r.has[b]; keepA != keepB {
		return keepA
	}
	one, other := &m.list[a], &m.list[b]
	if one.weight == 0 || other.weight == 0 {
		return one.weight > other.weight
	}
	if c := fraction(out.zones[one.zone], m.zones[one.zone], out.zones[other.zone], m.zones[other.zone]); c != 0 {
		return c < 0
	}
	if c := fraction(out.has[a], one.weight, out.has[b], other.weight); c != 0 {
		return c < 0
	}
	return outbids(item, one.Journal, other.Journal)
}

// fraction compares what two have in proportion to their weights, were each given one more (Webster 1832).
func fraction(a int, weightA int64, b int, weightB int64) int {
	return cmp.Compare((2*int64(a)+1)*weightB, (2*int64(b)+1)*weightA)
}
