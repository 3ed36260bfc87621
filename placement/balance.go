package placement

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/odradek/odradek/topic"
)

// Load is a journal as placement sees it.
type Load struct {
	Journal    topic.JournalID
	Zone       string
	Weight     int  // its share in proportion to others'; with 0 it is to own none, unless all that stay have 0
	Partitions int  // that it owns; Balance counts them itself
	Draining   bool // is to own none
}

// Move says that a partition should go from its owner's journal to another.
type Move struct {
	Partition topic.Partition
	From, To  topic.JournalID
}

// Balance lists moves that even out what journals own; it is empty at rest. It looks at the given journals alone, which
// should be those that live, for nobody but its owner gives a partition away; without one that may take, nothing moves.
// owned lists a journal's partitions, in any order. There are three kinds of moves:
//
//   - A topic of which a journal or a zone has clearly too many or too few (see band) is brought to the nearest
//     distribution in which none has, whatever journals own in all.
//   - Partitions of the other topics go from journals that will own more than their share in all to those that will own
//     less, as far as that makes no topic uneven. So those that drain are emptied.
//   - Where there is nothing of either kind, what is still at those that are to own none goes to others with room for it
//     in its topic.
//
// Each owner carries out those moves that are From its own journal, at any pace, and needs no word with others: whichever
// of the moves are done, Balance lists the others as before, until a topic has become even; from then on its partitions,
// too, may be chosen for the second kind, in place of others. It ends: a move of the third kind leaves less where nothing
// is to be, one of the first makes a topic more even, one of the second leaves fewer partitions above the shares; and none
// undoes what one of a kind before it in this order did. Moves are listed by the journal that gives, and those of one
// journal mixed, so that the first few of them go to different takers.
func Balance(loads []Load, owned func(topic.JournalID) []topic.Partition) []Move {
	b := newBalance(membersOf(loads), owned)
	if b.weight == 0 {
		return nil
	}
	b.evenTopics()
	b.evenTotals()
	if len(b.moves) == 0 {
		b.empty()
	}
	for i := range b.moves {
		b.moves[i].place = partitionHash(b.moves[i].partition)
	}
	slices.SortFunc(b.moves, func(x, y placed) int {
		return cmp.Or(cmp.Compare(x.from, y.from), compareGifts(x.gift, y.gift))
	})
	var moves []Move
	for _, m := range b.moves {
		moves = append(moves, Move{m.partition, b.list[m.from].Journal, b.list[m.to].Journal})
	}
	return moves
}

// balance is one Balance under way.
type balance struct {
	*members
	owned  [][]topic.Partition // by member
	rows   map[topic.ID]*row   // as they are; of topics that are even, as they will be
	uneven map[topic.ID]*row   // topics that are brought back into their band: as they will be
	totals []int               // by member, what it owns once those are
	moves  []placed
}

// placed is a gift that found its taker.
type placed struct {
	gift
	to int // member
}

func newBalance(m *members, owned func(topic.JournalID) []topic.Partition) *balance {
	b := &balance{members: m, rows: make(map[topic.ID]*row), uneven: make(map[topic.ID]*row), totals: make([]int, len(m.list))}
	if m.weight == 0 {
		return b
	}
	b.owned = make([][]topic.Partition, len(m.list))
	var last *row
	for i := range m.list {
		b.owned[i] = owned(m.list[i].Journal)
		for _, p := range b.owned[i] {
			if last == nil || last.topic != p.Topic {
				if last = b.rows[p.Topic]; last == nil {
					last = m.newRow(p.Topic)
					b.rows[p.Topic] = last
				}
			}
			last.add(m, i, 1)
		}
	}
	for id, r := range b.rows {
		will := r
		if band := m.band(r.n); !r.within(band) {
			will = m.nearest(r, band)
			b.uneven[id] = will
		}
		for i, n := range will.has {
			b.totals[i] += n
		}
	}
	return b
}

// gift is a partition that its owner may give.
type gift struct {
	partition topic.Partition
	from      int    // member
	place     uint64 // by which gifts are ordered
}

// gifts lists partitions of members on a ring that begins anywhere for each of them, but at the same place while the same
// journals could take them. So it is not always the same partitions that wander.
func (b *balance) gifts(of func(member int, id topic.ID) bool) []gift {
	var list []gift
	salt := b.salt()
	for i := range b.list {
		begin := score(salt, b.list[i].Journal)
		for _, p := range b.owned[i] {
			if of(i, p.Topic) {
				list = append(list, gift{p, i, scatter(p) - begin})
			}
		}
	}
	slices.SortFunc(list, compareGifts)
	return list
}

// evenTopics moves partitions of the topics that are clearly uneven. Takers are served one after the other from the gifts
// in an order that each gift has of its own. So a gift that arrived and the want that it filled leave the others' as they
// were.
func (b *balance) evenTopics() {
	if len(b.uneven) == 0 {
		return
	}
	given, want := make(map[topic.ID][]int), make(map[topic.ID][]int)
	for id, will := range b.uneven {
		give, take := make([]int, len(b.list)), make([]int, len(b.list))
		for i, n := range b.rows[id].has {
			give[i], take[i] = max(0, n-will.has[i]), max(0, will.has[i]-n)
		}
		given[id], want[id] = give, take
	}
	for _, g := range b.gifts(func(_ int, id topic.ID) bool { return b.uneven[id] != nil }) {
		give, take := given[g.partition.Topic], want[g.partition.Topic]
		if give[g.from] > 0 {
			give[g.from]--
			to := slices.IndexFunc(take, func(n int) bool { return n > 0 })
			take[to]--
			b.moves = append(b.moves, placed{g, to})
		}
	}
}

// evenTotals moves partitions of even topics. What it may do is bounded by numbers alone, each of which a move that is
// done lowers as it did when it was chosen; and it chooses from what is allowed in an order that each pair of a gift and
// a taker has of its own. So what was chosen is chosen again, and what was turned down is turned down again.
func (b *balance) evenTotals() {
	quotas := b.quotas(b.totals)
	over, under := make([]int, len(b.list)), make([]int, len(b.list))
	out, in := make([]int, len(b.zones)), make([]int, len(b.zones)) // what zones may give to and take from others
	some := false
	for i, n := range b.totals {
		over[i], under[i] = max(0, n-quotas[i]), max(0, quotas[i]-n)
		some = some || over[i] > 0
		if z := b.list[i].zone; z >= 0 {
			out[z] += n - quotas[i]
			in[z] += quotas[i] - n
		}
	}
	if !some {
		return
	}
	allowed := func(r *row, band *band, from, to int) bool {
		a, z := b.list[from].zone, b.list[to].zone
		if under[to] == 0 || r.has[to] >= band.high[to] {
			return false
		}
		return a == z || in[z] > 0 && r.zones[z] < band.zoneHigh[z] && (a < 0 || out[a] > 0 && r.zones[a] > band.zoneLow[a])
	}
	for _, g := range b.gifts(func(i int, id topic.ID) bool { return over[i] > 0 && b.uneven[id] == nil }) {
		r := b.rows[g.partition.Topic]
		band := b.band(r.n)
		if over[g.from] == 0 || r.has[g.from] <= band.low[g.from] {
			continue
		}
		to := b.first(g, func(to int) bool { return allowed(r, band, g.from, to) })
		if to < 0 {
			continue
		}
		over[g.from]--
		under[to]--
		if a, z := b.list[g.from].zone, b.list[to].zone; a != z {
			in[z]--
			if a >= 0 {
				out[a]--
			}
		}
		b.shift(r, g, to)
	}
}

// empty moves what is left at those that are to own none, since all who could take it without more of its topic than even
// own their share in all.
func (b *balance) empty() {
	for _, g := range b.gifts(func(i int, _ topic.ID) bool { return b.list[i].weight == 0 }) {
		r := b.rows[g.partition.Topic]
		band := b.band(r.n)
		b.shift(r, g, b.first(g, func(to int) bool { // there is one: what this one has is missing at another
			z := b.list[to].zone
			return r.has[to] < band.high[to] && r.zones[z] < band.zoneHigh[z]
		}))
	}
}

func (b *balance) shift(r *row, g gift, to int) {
	r.add(b.members, g.from, -1)
	r.add(b.members, to, 1)
	b.moves = append(b.moves, placed{g, to})
}

// first finds the taker that bids most for a gift, -1 if none may take it.
func (b *balance) first(g gift, may func(member int) bool) int {
	item, best, most := partitionHash(g.partition), -1, uint64(0)
	for i := range b.list {
		if b.list[i].weight == 0 || i == g.from || !may(i) {
			continue
		}
		if bid := mix(item ^ b.list[i].hash); best < 0 || bid >= most { // the list is by id
			best, most = i, bid
		}
	}
	return best
}

// scatter places the partitions of a topic on a ring so that every arc holds nearly its fair share of each topic:
// from one index to the next it goes on by the golden ratio of the ring (Weyl 1916).
func scatter(p topic.Partition) uint64 {
	return topicHash(p.Topic) + uint64(uint32(p.Index))*0x9e3779b97f4a7c15
}

func compareGifts(a, b gift) int {
	if a.place != b.place {
		return cmp.Compare(a.place, b.place)
	}
	return comparePartitions(a.partition, b.partition)
}

func comparePartitions(a, b topic.Partition) int {
	return cmp.Or(bytes.Compare(a.Topic[:], b.Topic[:]), cmp.Compare(a.Index, b.Index))
}
