package checkpoint

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/odradek/odradek/index"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/topic"
)

const partReads = 4 // parts asked for at once: one of extents takes some 12 MB of memory

// Rows reads all parts and gives fn the row of each partition that has extents or producers, each once, in no order that
// a caller may rely on. A row's extents follow each other without a gap and hold [From, End) of its partition, as
// Head.Partition gives them; the first may begin before From if that is the log start. A row is the caller's. It needs the memory of one shard and
// some parts. Errors: fn's; ErrMissing, ErrCorrupt, ErrVersion; the store's.
func (h *Head) Rows(ctx context.Context, store objectstore.Store, fn func(Row) error) error {
	parts := h.byShard()
	var order []PartRef
	for _, refs := range parts {
		order = append(order, refs...)
	}
	a := readAhead(ctx, store, order)
	defer a.stop()
	for shard, partitions := range shardsOf(h.Partitions, h.Shards) {
		rows, err := h.shard(a, parts[shard], partitions)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if err := fn(row); err != nil {
				return err
			}
		}
	}
	return nil
}

// ProducerStates reads the parts that hold producers and gives fn each partition's, as Row.Producers.
func (h *Head) ProducerStates(ctx context.Context, store objectstore.Store, fn func(topic.Partition, []byte) error) error {
	var parts []PartRef
	for _, p := range h.Parts {
		if p.Kind == Producers {
			parts = append(parts, p)
		}
	}
	a := readAhead(ctx, store, parts)
	defer a.stop()
	for range parts {
		rows, err := a.next()
		if err != nil {
			return err
		}
		for _, row := range rows {
			if err := fn(row.Partition, row.Producers); err != nil {
				return err
			}
		}
	}
	return nil
}

// byShard lists the parts of each shard, extents first.
func (h *Head) byShard() [][]PartRef {
	parts := make([][]PartRef, h.Shards)
	for _, p := range h.Parts {
		parts[p.Shard] = append(parts[p.Shard], p)
	}
	return parts
}

// shardOf gives the shard of a partition: that of one half as many shards, or that and half the number. It is fixed for
// ever.
func shardOf(p topic.Partition, shards int) int {
	x := binary.BigEndian.Uint64(p.Topic[:8]) ^ binary.BigEndian.Uint64(p.Topic[8:])*0x9e3779b97f4a7c15 ^ uint64(uint32(p.Index))<<17
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9 // the finalizer of splitmix64
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return int((x ^ x>>31) & uint64(shards-1))
}

// shardsOf deals partitions to shards; the order stays.
func shardsOf(partitions []Partition, shards int) [][]Partition {
	dealt := make([][]Partition, shards)
	for _, p := range partitions {
		s := shardOf(p.Partition, shards)
		dealt[s] = append(dealt[s], p)
	}
	return dealt
}

// shard takes the parts of one shard from a and joins them to the rows of its partitions, in their order.
func (h *Head) shard(a *ahead, refs []PartRef, partitions []Partition) ([]Row, error) {
	joined := make(map[topic.Partition]*Row)
	for range refs {
		rows, err := a.next()
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			have := joined[row.Partition]
			if have == nil {
				joined[row.Partition] = &row
				continue
			}
			have.Entries = append(have.Entries, row.Entries...)
			have.Producers = append(have.Producers, row.Producers...) // a partition's are in one part: one of both is empty
		}
	}
	rows := make([]Row, 0, len(joined))
	for _, p := range partitions {
		row := joined[p.Partition]
		if row == nil {
			row = &Row{Partition: p.Partition}
		}
		if err := row.fit(p); err != nil {
			return nil, fmt.Errorf("%s: %w", h.Name(), err)
		}
		if len(row.Entries)+len(row.Producers) > 0 {
			rows = append(rows, *row)
		}
	}
	return rows, nil
}

// fit drops what lies before the log start or in runs, and asks that the rest be all of the partition (I6). No extent
// lies in runs in part.
func (r *Row) fit(p Partition) error {
	r.Entries = since(r.Entries, p.From)
	at := p.From
	for i, e := range r.Entries {
		if e.Base != at && (i > 0 || e.Base > at || p.From > p.Start) {
			return fmt.Errorf("%w: %s has an extent at [%d,%d) where one from %d on belongs", ErrCorrupt, p.Partition, e.Base, e.Next, at)
		}
		at = e.Next
	}
	if at != p.End {
		return fmt.Errorf("%w: rows of %s end at %d, want %d", ErrCorrupt, p.Partition, at, p.End)
	}
	return nil
}

// since gives the extents that do not lie wholly before start.
func since(entries []index.Entry, start topic.Offset) []index.Entry {
	for len(entries) > 0 && entries[0].Next <= start {
		entries = entries[1:]
	}
	return entries
}

// ahead reads parts in a given order, a bounded number ahead. It belongs to one goroutine.
type ahead struct {
	ctx     context.Context // of one call of Rows or the like, which makes and stops it
	cancel  context.CancelFunc
	store   objectstore.Store
	refs    []PartRef // not asked for yet
	running []chan partRead
}

type partRead struct {
	rows []Row
	err  error
}

func readAhead(ctx context.Context, store objectstore.Store, refs []PartRef) *ahead {
	a := &ahead{store: store, refs: refs}
	a.ctx, a.cancel = context.WithCancel(ctx)
	return a
}

// next gives the rows of the next part.
func (a *ahead) next() ([]Row, error) {
	for len(a.running) < partReads && len(a.refs) > 0 {
		ref, c := a.refs[0], make(chan partRead, 1)
		a.refs, a.running = a.refs[1:], append(a.running, c)
		go func() {
			rows, err := readPart(a.ctx, a.store, ref)
			c <- partRead{rows, err}
		}()
	}
	r := <-a.running[0]
	a.running = a.running[1:]
	return r.rows, r.err
}

// stop ends the reading and waits for it.
func (a *ahead) stop() {
	a.cancel()
	for _, c := range a.running {
		<-c
	}
}
