package cluster

import (
	"cmp"
	"context"
	"fmt"
	"slices"

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

// History is what the log says of the partitions: where they end, and their producers.
type History struct {
	Ends      map[topic.Partition]topic.Offset
	Producers map[topic.Partition]*sequence.State
}

// fold reads the journals in order, tells log of every slot, and gathers what the footers say. Extents of deleted
// topics are passed over.
func (e *Engine) fold(ctx context.Context, s *control.State, js []ended, log Log) (History, error) {
	h := History{Ends: make(map[topic.Partition]topic.Offset), Producers: make(map[topic.Partition]*sequence.State)}
	for _, j := range inOrder(js) {
		err := e.slots(ctx, j.journal.ID, j.journal.Trim, j.end, func(x segment.SlotExtents) error {
			return h.take(s, j.journal.ID, x, log)
		})
		if err != nil {
			return History{}, err
		}
	}
	return h, nil
}

func (h *History) take(s *control.State, journal topic.JournalID, f segment.SlotExtents, log Log) error {
	extents := slices.DeleteFunc(slices.Clone(f.Extents), func(x segment.Extent) bool {
		_, known := s.TopicByID(x.Partition.Topic)
		return !known
	})
	for _, x := range extents {
		if end := h.Ends[x.Partition]; x.Base != end { // I3: each extent begins where the one before ended
			return fmt.Errorf("slot %d of journal %s: %s begins at %d, its end is %d: %w",
				f.Slot, journal, x.Partition, x.Base, end, segment.ErrCorrupt)
		}
		h.Ends[x.Partition] = x.Next
	}
	for _, d := range f.Producers {
		if _, known := s.TopicByID(d.Partition.Topic); !known {
			continue
		}
		p := h.Producers[d.Partition]
		if p == nil {
			p = new(sequence.State)
			h.Producers[d.Partition] = p
		}
		p.Apply(d)
	}
	return log.Add(journal, f.Slot, extents)
}
