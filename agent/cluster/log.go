package cluster

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/odradek/odradek/checkpoint"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/sequence"
	"github.com/odradek/odradek/topic"
)

// ended is a journal whose slots [Trim, end) count.
type ended struct {
	journal *control.Journal
	end     topic.Slot
}

// inOrder lists journals as they were opened.
func inOrder(js []ended) []ended {
	slices.SortFunc(js, func(a, b ended) int { return cmp.Compare(a.journal.Opened, b.journal.Opened) })
	return js
}

// History is what the log says of the partitions.
type History struct {
	Ends map[topic.Partition]topic.Offset // where the last extent that was read ends
	// Stands is where the part that was read without a gap ends: Ends, unless a journal that lies between is still open.
	Stands    map[topic.Partition]topic.Offset
	Producers map[topic.Partition]*sequence.State // at Stands
}

// fold reads the journals, tells log of every slot, and gathers what the footers say. It begins with what a checkpoint
// holds, whose head it gives, nil if there is none: of a journal only the slots from its Next on are read then. Partitions
// move between journals back and forth, so that what orders extents and producers is each partition's offsets and nothing
// else (I3, I8). Extents of deleted topics are passed over.
//
// What lies in compacted objects log is told of first: it is known then where the slots that held it are read.
func (e *Engine) fold(ctx context.Context, s *control.State, js []ended, log Log) (History, *checkpoint.Head, error) {
	for p, c := range s.Compactions() {
		log.SetRuns(p, c.Start, c.End, c.Runs)
	}
	f, base, err := e.restored(ctx, s, log)
	if err != nil {
		return History{}, nil, err
	}
	for _, j := range inOrder(js) {
		f.read[j.journal.ID] = true
		err := e.slots(ctx, j.journal.ID, nextIn(base, j.journal.ID), j.end, func(x segment.SlotExtents) error {
			x = present(s, x)
			if err := f.take(s, j.journal.ID, x); err != nil {
				return err
			}
			return log.Add(j.journal.ID, x)
		})
		if err != nil {
			return History{}, nil, err
		}
	}
	return f.history, base, f.check(s)
}

// nextIn gives the first slot of a journal that a checkpoint does not hold: 0 without a checkpoint.
func nextIn(base *checkpoint.Head, j topic.JournalID) topic.Slot {
	if base == nil {
		return 0
	}
	return base.Next(j)
}

// present gives what a slot says of partitions whose topic is not deleted, producers aside. One that s does not know may be
// created by a record behind s: its records count.
func present(s *control.State, x segment.SlotExtents) segment.SlotExtents {
	x.Extents = except(x.Extents, func(e segment.Extent) bool { return s.TopicDeleted(e.Partition.Topic) })
	x.LogStarts = except(x.LogStarts, func(l segment.LogStart) bool { return s.TopicDeleted(l.Partition.Topic) })
	return x
}

// except leaves those out for which gone is true; list itself is not changed.
func except[E any](list []E, gone func(E) bool) []E {
	if !slices.ContainsFunc(list, gone) {
		return list
	}
	return slices.DeleteFunc(slices.Clone(list), gone)
}

// folding makes a History from slots that come in the order of each journal.
type folding struct {
	history History
	read    map[topic.JournalID]bool     // journals that are read whole
	aside   map[topic.Partition][]*piece // behind a gap, by base, without overlap; never empty
}

// piece is what an extent behind a gap says of its partition.
type piece struct {
	base, next topic.Offset
	deltas     []sequence.Delta
	journal    topic.JournalID
	slot       topic.Slot
}

func newFolding() *folding {
	return &folding{
		history: History{
			Ends: make(map[topic.Partition]topic.Offset), Stands: make(map[topic.Partition]topic.Offset),
			Producers: make(map[topic.Partition]*sequence.State),
		},
		read:  make(map[topic.JournalID]bool),
		aside: make(map[topic.Partition][]*piece),
	}
}

// take takes a slot in, whose extents are all of topics that are there.
func (f *folding) take(s *control.State, journal topic.JournalID, x segment.SlotExtents) error {
	h := &f.history
	var late map[topic.Partition]*piece // of this slot, behind a gap
	var closed []topic.Partition
	for _, e := range x.Extents {
		p := e.Partition
		i, err := f.place(p, e.Base, e.Next)
		if err != nil {
			return fmt.Errorf("slot %d of journal %s: %w", x.Slot, journal, err)
		}
		h.Ends[p] = max(h.Ends[p], e.Next)
		switch {
		case e.Base > h.Stands[p]:
			if late == nil {
				late = make(map[topic.Partition]*piece)
			}
			late[p] = &piece{base: e.Base, next: e.Next, journal: journal, slot: x.Slot}
			f.aside[p] = slices.Insert(f.aside[p], i, late[p])
		default:
			h.Stands[p] = e.Next
			if len(f.aside[p]) > 0 {
				closed = append(closed, p)
			}
		}
	}
	for _, d := range x.Producers {
		switch l := late[d.Partition]; {
		case s.TopicDeleted(d.Partition.Topic):
		case l != nil:
			l.deltas = append(l.deltas, d)
		default:
			h.apply(d)
		}
	}
	for _, p := range closed {
		f.close(p)
	}
	return nil
}

// place says where among the pieces aside an extent belongs. Error: segment.ErrCorrupt if others hold its offsets (I5).
func (f *folding) place(p topic.Partition, base, next topic.Offset) (int, error) {
	kept := f.aside[p]
	i, _ := slices.BinarySearchFunc(kept, base, func(k *piece, base topic.Offset) int { return cmp.Compare(k.base, base) })
	stands := f.history.Stands[p]
	switch {
	case base < stands:
		return 0, fmt.Errorf("%s begins at %d, its end is %d: %w", p, base, stands, segment.ErrCorrupt)
	case i < len(kept) && kept[i].base < next:
		return 0, fmt.Errorf("%s at [%d,%d), slot %d of journal %s begins at %d: %w", p, base, next, kept[i].slot, kept[i].journal, kept[i].base, segment.ErrCorrupt)
	case i > 0 && kept[i-1].next > base:
		return 0, fmt.Errorf("%s at [%d,%d), slot %d of journal %s ends at %d: %w", p, base, next, kept[i-1].slot, kept[i-1].journal, kept[i-1].next, segment.ErrCorrupt)
	}
	return i, nil
}

// close takes in the pieces whose gap is closed.
func (f *folding) close(p topic.Partition) {
	h, kept := &f.history, f.aside[p]
	for len(kept) > 0 && kept[0].base == h.Stands[p] {
		for _, d := range kept[0].deltas {
			h.apply(d)
		}
		h.Stands[p], kept = kept[0].next, kept[1:]
	}
	if len(kept) == 0 {
		delete(f.aside, p)
		return
	}
	f.aside[p] = kept
}

func (h *History) apply(d sequence.Delta) {
	p := h.Producers[d.Partition]
	if p == nil {
		p = new(sequence.State)
		h.Producers[d.Partition] = p
	}
	p.Apply(d)
}

// check asks that each gap that is left belongs to a journal that was not read: one of another agent that goes on (I3).
func (f *folding) check(s *control.State) error {
	for p, kept := range f.aside {
		from, to := f.history.Stands[p], kept[0].base
		for _, a := range s.Assignments(p) {
			if f.read[a.Journal] && a.Base < to && (a.End == control.EndOpen || a.End > from) {
				return fmt.Errorf("slot %d of journal %s: %s begins at %d, its end is %d, journal %s wrote between: %w",
					kept[0].slot, kept[0].journal, p, to, from, a.Journal, segment.ErrCorrupt)
			}
		}
	}
	return nil
}
