package compaction

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/odradek/odradek/checkpoint"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/index"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/sequence"
	"github.com/odradek/odradek/topic"
)

// mostWaiting is how many slots behind one that waits are kept in memory per journal, so that a footer is read once.
const mostWaiting = segment.SummaryEvery

// cut is a checkpoint in the making: what the slots up to somewhere make of the one before. It belongs to one goroutine.
type cut struct {
	log   Log
	state *control.State // it stands at

	partitions map[topic.Partition]checkpoint.Partition
	extents    map[topic.Partition][]index.Entry // that are new
	snapshots  map[topic.Partition][]byte        // of producers, as the checkpoint before has them
	producers  map[topic.Partition]*sequence.State
	journals   []*reach
	base       *checkpoint.Head
	taken      int // extents
	most       int // of them
}

// reach is how far the cut goes in a journal.
type reach struct {
	id      topic.JournalID
	next    topic.Slot            // the first that is not in it
	limit   topic.Slot            // not behind this one
	waiting []segment.SlotExtents // from next on; the first of them waits for another journal, or for a later checkpoint
}

// newCut begins a cut at base, nil for an empty one, for a checkpoint that stands where state does. It reads the
// producers.
func newCut(ctx context.Context, store objectstore.Store, log Log, state *control.State, base *checkpoint.Head) (*cut, error) {
	c := &cut{
		log: log, state: state, base: base,
		partitions: make(map[topic.Partition]checkpoint.Partition), extents: make(map[topic.Partition][]index.Entry),
		snapshots: make(map[topic.Partition][]byte), producers: make(map[topic.Partition]*sequence.State),
	}
	if base == nil {
		return c, nil
	}
	for _, p := range base.Partitions {
		if !state.TopicDeleted(p.Partition.Topic) {
			c.partitions[p.Partition] = p
		}
	}
	return c, base.ProducerStates(ctx, store, func(p topic.Partition, b []byte) error {
		if state.TopicDeleted(p.Topic) {
			return nil
		}
		if _, err := sequence.Restore(b); err != nil {
			return fmt.Errorf("%s: producers of %s: %w: %w", base.Name(), p, checkpoint.ErrCorrupt, err)
		}
		c.snapshots[p] = b
		return nil
	})
}

// advance takes slots of all journals, of each those below what limit gives, until nothing moves or there are most
// extents.
func (c *cut) advance(ctx context.Context, most int, limit func(*control.Journal) topic.Slot) error {
	c.most = most
	journals := slices.SortedFunc(c.state.Journals(), func(a, b *control.Journal) int {
		return cmp.Or(cmp.Compare(a.Opened, b.Opened), bytes.Compare(a.ID[:], b.ID[:])) // those before come first
	})
	for _, j := range journals {
		r := &reach{id: j.ID, limit: limit(j)}
		if c.base != nil {
			r.next = c.base.Next(j.ID)
		}
		if r.next < j.Trim {
			return fmt.Errorf("slots %d to %d of journal %s are trimmed: %w", r.next, j.Trim, j.ID, checkpoint.ErrMissing)
		}
		c.journals = append(c.journals, r)
	}
	for moved := true; moved && !c.full(); {
		moved = false
		for _, r := range c.journals {
			before := r.next
			if err := c.step(ctx, r); err != nil {
				return err
			}
			moved = moved || r.next > before
		}
	}
	return nil
}

// perSlot is how many extents a thousand of the slots taken have.
func (c *cut) perSlot() int64 {
	slots := int64(0)
	for _, r := range c.journals {
		slots += int64(r.next)
		if c.base != nil {
			slots -= int64(c.base.Next(r.id))
		}
	}
	return 1000 * int64(c.taken) / max(slots, 1)
}

func (c *cut) full() bool { return c.taken >= c.most }

// errEnough ends a reading of slots.
var errEnough = errors.New("enough slots were read")

// step takes what can be taken of a journal now.
func (c *cut) step(ctx context.Context, r *reach) error {
	for len(r.waiting) > 0 && !c.full() {
		took, err := c.take(r.id, r.waiting[0])
		if err != nil {
			return err
		}
		if !took {
			return nil
		}
		r.waiting = r.waiting[1:]
		r.next++
	}
	if c.full() || r.next >= r.limit {
		return nil
	}
	at := r.next
	err := c.log.Slots(ctx, r.id, r.next, r.limit, func(x segment.SlotExtents) error {
		if x.Slot != at {
			return fmt.Errorf("journal %s: slot %d where %d belongs: %w", r.id, x.Slot, at, segment.ErrCorrupt)
		}
		at++
		if len(r.waiting) == 0 {
			took, err := c.take(r.id, x)
			if err != nil {
				return err
			}
			if took {
				r.next++
				if c.full() {
					return errEnough
				}
				return nil
			}
		}
		r.waiting = append(r.waiting, x)
		if len(r.waiting) >= mostWaiting {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// take takes a slot in if it fits: every extent of a topic that is not deleted is of a partition and an epoch that the
// state knows, and begins exactly where the partition ends, as P6's script asks; log starts lie within. An extent that
// begins before the end contradicts the log (I5).
func (c *cut) take(j topic.JournalID, x segment.SlotExtents) (bool, error) {
	var own map[topic.Partition]topic.Offset // ends that the slot's own extents make, if it moves log starts
	if len(x.LogStarts) > 0 {
		own = make(map[topic.Partition]topic.Offset)
	}
	for _, e := range x.Extents {
		if c.state.TopicDeleted(e.Partition.Topic) {
			continue
		}
		end := c.partitions[e.Partition].End
		owner, known := c.state.Owner(e.Partition)
		switch {
		case !known || e.Epoch > owner.Epoch || e.Base > end:
			return false, nil
		case e.Base < end:
			return false, fmt.Errorf("slot %d of journal %s: %s begins at %d, its end is %d: %w", x.Slot, j, e.Partition, e.Base, end, segment.ErrCorrupt)
		}
		if own != nil {
			own[e.Partition] = e.Next
		}
	}
	for _, l := range x.LogStarts {
		if end := max(c.partitions[l.Partition].End, own[l.Partition]); !c.state.TopicDeleted(l.Partition.Topic) && l.Start > end {
			return false, nil
		}
	}
	c.apply(j, x)
	return true, nil
}

// apply takes in a slot that fits.
func (c *cut) apply(j topic.JournalID, x segment.SlotExtents) {
	for _, e := range x.Extents {
		if c.state.TopicDeleted(e.Partition.Topic) {
			continue
		}
		p := c.partitions[e.Partition]
		p.Partition, p.End = e.Partition, e.Next
		c.partitions[e.Partition] = p
		c.extents[e.Partition] = append(c.extents[e.Partition], index.NewEntry(j, x.Slot, e))
		c.taken++
	}
	for _, l := range x.LogStarts {
		if p, ok := c.partitions[l.Partition]; ok && l.Start > p.Start {
			p.Start = l.Start
			c.partitions[l.Partition] = p
		}
	}
	for _, d := range x.Producers {
		if !c.state.TopicDeleted(d.Partition.Topic) {
			c.producer(d.Partition).Apply(d)
		}
	}
}

// producer gives a partition's producer state, as the slots up to here make it (I8).
func (c *cut) producer(p topic.Partition) *sequence.State {
	s := c.producers[p]
	if s == nil {
		s = new(sequence.State)
		if b, ok := c.snapshots[p]; ok {
			if restored, err := sequence.Restore(b); err == nil { // newCut looked at all of them
				*s = restored
			}
		}
		c.producers[p] = s
	}
	return s
}

// head gives the head of a checkpoint at this cut, but for what Compose fills in.
func (c *cut) head(id control.CheckpointID) *checkpoint.Head {
	h := &checkpoint.Head{ID: id, Control: c.state.Next() - 1, State: c.state.AppendSnapshot(nil)}
	if c.base != nil {
		h.Previous = c.base.Control
	}
	for _, r := range c.journals {
		if r.next > 0 {
			h.Journals = append(h.Journals, checkpoint.Journal{ID: r.id, Next: r.next})
		}
	}
	slices.SortFunc(h.Journals, func(a, b checkpoint.Journal) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	for _, p := range slices.SortedFunc(maps.Keys(c.partitions), comparePartitions) {
		h.Partitions = append(h.Partitions, c.standing(p))
	}
	return h
}

// standing says where a partition stands: its rows go on from where its runs end, as the checkpoint's own control state
// knows them, and the log start is where manifests say at least.
func (c *cut) standing(of topic.Partition) checkpoint.Partition {
	p, compacted := c.partitions[of], c.state.Compaction(of)
	p.Start = min(max(p.Start, compacted.Start), p.End)
	p.From = min(max(p.Start, compacted.End), p.End)
	return p
}

// news gives what the checkpoint holds beyond its base.
func (c *cut) news() checkpoint.News {
	var n checkpoint.News
	for _, p := range slices.SortedFunc(maps.Keys(c.extents), comparePartitions) {
		entries, from := c.extents[p], c.standing(p).From
		for len(entries) > 0 && entries[0].Next <= from { // computed from an older one than the manifests were
			entries = entries[1:]
		}
		if len(entries) > 0 {
			n.Extents = append(n.Extents, checkpoint.Row{Partition: p, Entries: entries})
		}
	}
	for p, s := range c.producers {
		if s.Len() > 0 {
			c.snapshots[p] = s.AppendSnapshot(nil)
		}
	}
	for _, p := range slices.SortedFunc(maps.Keys(c.snapshots), comparePartitions) {
		n.Producers = append(n.Producers, checkpoint.Row{Partition: p, Producers: c.snapshots[p]})
	}
	return n
}

func comparePartitions(a, b topic.Partition) int {
	return cmp.Or(bytes.Compare(a.Topic[:], b.Topic[:]), cmp.Compare(a.Index, b.Index))
}
