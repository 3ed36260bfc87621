package checkpoint

import (
	"context"
	"math/bits"
	"slices"

	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/topic"
)

// limits are the caps of parts and shards. A row that alone is longer than one part is cut, if it is of extents.
type limits struct {
	rows           int // extents in a part
	producers      int // bytes of producer states in a part, or one longer one
	shardRows      int // extents per shard, on average, from which on there are twice as many shards
	shardProducers int // and bytes of producer states
	stale          int // extents of deleted topics, before log starts and in runs that a shard is not rewritten for
}

// caps are those that every agent must have: what Compose makes depends on them.
var caps = limits{rows: 128 << 10, producers: 4 << 20, shardRows: 512 << 10, shardProducers: 16 << 20, stale: 4 << 10}

// News is what a checkpoint holds beyond the one before.
type News struct {
	// Extents are those that the checkpoint before does not have, by partition; each begins where the one before ends.
	Extents []Row
	// Producers are those of all partitions that have any, by partition.
	Producers []Row
}

// Compose makes the parts of h, which is whole but for Shards, Parts and the Extents of its Partitions, from those of the
// checkpoint before, nil if there is none, and from what is new. It reads the parts that it puts together with new ones,
// hands each part that must be written to take, which gives back its name with size and checksum, and names those that
// stay. What it makes of the same arguments is the same everywhere (G1).
//
// Extents are kept as in a log-structured merge: what is new is joined with the newest parts of its shard that are less
// than twice as large, up to the cap of a part, and parts of that size stay as they are. A shard is written anew when
// there are twice as many shards, or when over half of it is not needed any more.
func Compose(ctx context.Context, store objectstore.Store, before, h *Head, news News, take func(Part) (PartRef, error)) error {
	return compose(ctx, store, before, h, news, take, caps)
}

func compose(ctx context.Context, store objectstore.Store, before, h *Head, news News, take func(Part) (PartRef, error), l limits) error {
	if before == nil {
		before = &Head{Shards: 1}
	}
	c := composer{limits: l, ctx: ctx, store: store, before: before, h: h, take: take}
	h.Shards, h.Parts = c.count(news), nil
	if err := c.extents(news.Extents); err != nil {
		return err
	}
	return c.states(news.Producers)
}

type composer struct {
	limits
	ctx       context.Context // of one call of Compose
	store     objectstore.Store
	before, h *Head
	take      func(Part) (PartRef, error)
}

// count counts the extents of h's partitions and gives the number of shards.
func (c *composer) count(news News) int {
	fresh := make(map[topic.Partition]int, len(news.Extents))
	for _, row := range news.Extents {
		fresh[row.Partition] = len(row.Entries)
	}
	rows, producers := 0, 0
	for i := range c.h.Partitions {
		p := &c.h.Partitions[i]
		p.Extents = fresh[p.Partition]
		if old, ok := c.before.Partition(p.Partition); ok {
			p.Extents += left(old, p.From)
		}
		rows += p.Extents
	}
	for _, row := range news.Producers {
		producers += len(row.Producers)
	}
	n := c.before.Shards
	for n < mostShards && (rows > n*c.shardRows || producers > n*c.shardProducers) {
		n *= 2
	}
	return n
}

// left is about how many extents of a partition are left when its rows begin at from.
func left(p Partition, from topic.Offset) int {
	switch {
	case from <= p.From:
		return p.Extents
	case from >= p.End:
		return 0
	}
	hi, lo := bits.Mul64(uint64(p.Extents), uint64(p.End-from))
	n, _ := bits.Div64(hi, lo, uint64(p.End-p.From)) // Extents * part of the whole: it fits
	return int(n)
}

// extents makes the parts of the index.
func (c *composer) extents(fresh []Row) error {
	shards := c.before.Shards
	dealt := make([][]Row, shards)
	for _, row := range fresh {
		if len(row.Entries) > 0 {
			s := shardOf(row.Partition, shards)
			dealt[s] = append(dealt[s], row)
		}
	}
	needed := make([]int, shards)
	for _, p := range c.h.Partitions {
		needed[shardOf(p.Partition, shards)] += p.Extents
	}
	refs, partitions := c.before.byShard(), shardsOf(c.before.Partitions, shards)
	made := make([][]PartRef, c.h.Shards)
	for s := range shards {
		old := slices.DeleteFunc(refs[s], func(p PartRef) bool { return p.Kind != Extents })
		stored := sumRows(old) + countEntries(dealt[s])
		var err error
		switch {
		case c.h.Shards > shards || stored > 2*needed[s]+c.stale:
			err = c.rewrite(old, partitions[s], dealt[s], made)
		case len(dealt[s]) == 0:
			made[s] = old
		default:
			made[s], err = c.grow(s, old, dealt[s])
		}
		if err != nil {
			return err
		}
	}
	c.h.Parts = slices.Concat(made...)
	return nil
}

// rewrite writes a shard of the checkpoint before anew, as one shard or several.
func (c *composer) rewrite(old []PartRef, partitions []Partition, fresh []Row, made [][]PartRef) error {
	a := readAhead(c.ctx, c.store, old)
	defer a.stop()
	rows, err := c.before.shard(a, old, partitions)
	if err != nil {
		return err
	}
	rows = c.join(rows, fresh)
	dealt := make(map[int][]Row)
	for _, row := range rows {
		s := shardOf(row.Partition, c.h.Shards)
		dealt[s] = append(dealt[s], row)
		i, _ := c.h.find(row.Partition)
		c.h.Partitions[i].Extents = len(row.Entries)
	}
	for s := range made {
		if len(dealt[s]) == 0 {
			continue
		}
		if made[s], err = c.write(s, dealt[s]); err != nil {
			return err
		}
	}
	return nil
}

// grow puts new rows behind the parts of a shard, joined with those at its end that are not much larger.
func (c *composer) grow(shard int, old []PartRef, fresh []Row) ([]PartRef, error) {
	rows, n := fresh, countEntries(fresh)
	for len(old) > 0 {
		last := old[len(old)-1]
		if last.Rows >= 2*n || last.Rows+n > c.rows {
			break
		}
		before, err := readPart(c.ctx, c.store, last)
		if err != nil {
			return nil, err
		}
		rows, n, old = c.join(before, rows), last.Rows+n, old[:len(old)-1]
	}
	made, err := c.write(shard, rows)
	return append(slices.Clip(old), made...), err
}

// join puts fresh behind rows, partition by partition; both are in order. What h does not need is left out.
func (c *composer) join(rows, fresh []Row) []Row {
	joined := make([]Row, 0, len(rows)+len(fresh))
	for len(rows) > 0 || len(fresh) > 0 {
		var row Row
		order := 0
		if len(rows) > 0 && len(fresh) > 0 {
			order = compare(rows[0].Partition, fresh[0].Partition)
		}
		switch {
		case len(fresh) == 0 || len(rows) > 0 && order < 0:
			row, rows = rows[0], rows[1:]
		case len(rows) == 0 || order > 0:
			row, fresh = fresh[0], fresh[1:]
		default:
			row = Row{Partition: rows[0].Partition, Entries: slices.Concat(rows[0].Entries, fresh[0].Entries)}
			rows, fresh = rows[1:], fresh[1:]
		}
		p, ok := c.h.Partition(row.Partition)
		row.Entries = since(row.Entries, p.From)
		if ok && len(row.Entries) > 0 {
			joined = append(joined, row)
		}
	}
	return joined
}

// write hands rows over as parts of as many extents as one may hold.
func (c *composer) write(shard int, rows []Row) ([]PartRef, error) {
	var made []PartRef
	var part []Row
	n := 0
	for i, row := range rows {
		for len(row.Entries) > 0 {
			some := row.Entries[:min(len(row.Entries), c.rows-n)]
			part = append(part, Row{Partition: row.Partition, Entries: some})
			row.Entries, n = row.Entries[len(some):], n+len(some)
			if n < c.rows && (len(row.Entries) > 0 || i < len(rows)-1) {
				continue
			}
			ref, err := c.hand(Extents, shard, encodePart(Extents, part), n)
			if err != nil {
				return nil, err
			}
			made, part, n = append(made, ref), nil, 0
		}
	}
	return made, nil
}

// states makes the parts of producer states. One that would hold what one of the checkpoint before holds is that one.
func (c *composer) states(rows []Row) error {
	have := make(map[PartID]PartRef)
	for _, p := range c.before.Parts {
		have[p.ID] = p
	}
	dealt := make([][]Row, c.h.Shards)
	for _, row := range rows {
		if _, ok := c.h.Partition(row.Partition); ok && len(row.Producers) > 0 {
			s := shardOf(row.Partition, c.h.Shards)
			dealt[s] = append(dealt[s], Row{Partition: row.Partition, Producers: row.Producers})
		}
	}
	for s, rows := range dealt {
		for len(rows) > 0 {
			n, size := 0, 0
			for n < len(rows) && (n == 0 || size+len(rows[n].Producers) <= c.limits.producers) {
				size += len(rows[n].Producers)
				n++
			}
			body := encodePart(Producers, rows[:n])
			ref, ok := have[partID(body)]
			ref.Shard = s
			if !ok {
				var err error
				if ref, err = c.hand(Producers, s, body, n); err != nil {
					return err
				}
			}
			c.h.Parts = append(c.h.Parts, ref)
			rows = rows[n:]
		}
	}
	return nil
}

func (c *composer) hand(k PartKind, shard int, body []byte, rows int) (PartRef, error) {
	return c.take(Part{Body: body, PartRef: PartRef{
		Kind: k, Shard: shard, Planned: c.h.Control, ID: partID(body), Raw: int64(len(body)), Rows: rows,
	}})
}

func sumRows(refs []PartRef) int {
	n := 0
	for _, p := range refs {
		n += p.Rows
	}
	return n
}

func countEntries(rows []Row) int {
	n := 0
	for i := range rows {
		n += len(rows[i].Entries)
	}
	return n
}
