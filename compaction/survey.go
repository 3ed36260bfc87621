package compaction

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/odradek/odradek/checkpoint"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/index"
	"github.com/odradek/odradek/topic"
)

// survey is what the newest verified checkpoint says of extents that lie in slots: inputs of compaction, and what keeps
// TRIM from going on. Its rows are read once; what is swapped in later is left out as it is asked for.
type survey struct {
	id      control.CheckpointID
	owners  map[topic.JournalID]bool         // whose partitions' extents are kept
	starts  map[topic.Partition]topic.Offset // log starts above 0
	extents map[topic.Partition][]index.Entry
	beyond  map[topic.JournalID]topic.Slot // first slots of extents that are not kept; as of when the rows were read
	cut     bool                           // extents of owners' partitions were left out, for want of memory
	read    uint64                         // progress of all groups when the rows were read
}

// surveyed gives the survey of a checkpoint for at least the partitions of owners, read unless it is at hand. The caller
// works.
func (c *Compactor) surveyed(ctx context.Context, s *control.State, info control.CheckpointInfo, owners map[topic.JournalID]bool) (*survey, error) {
	if v := c.survey; v != nil && v.id == info.ID {
		missing := false
		for j := range owners {
			missing = missing || !v.owners[j]
		}
		if !missing {
			return v, nil
		}
	}
	h, err := c.head(ctx, info)
	if err != nil {
		return nil, err
	}
	c.survey = nil // one of both is in memory
	v := &survey{
		id: info.ID, owners: owners, starts: make(map[topic.Partition]topic.Offset),
		extents: make(map[topic.Partition][]index.Entry), beyond: make(map[topic.JournalID]topic.Slot), read: c.progress(),
	}
	for _, p := range h.Partitions {
		if p.Start > 0 {
			v.starts[p.Partition] = p.Start
		}
	}
	most, count := math.MaxInt, 0 // extents of one partition; of all
	err = h.Rows(ctx, c.store, func(r checkpoint.Row) error {
		owner, ok := s.Owner(r.Partition)
		if !ok {
			return nil // deleted since
		}
		entries := above(r.Entries, max(s.Compaction(r.Partition).End, v.starts[r.Partition]))
		if !owners[owner.Journal] {
			v.leave(entries)
			return nil
		}
		if len(entries) == 0 {
			return nil
		}
		kept := v.cap(entries, most)
		v.extents[r.Partition] = slices.Clip(kept)
		for count += len(kept); count > c.cfg.MostExtents && most > 1; {
			longest := 0
			for _, all := range v.extents {
				longest = max(longest, len(all))
			}
			most, count = max(1, min(most, longest)/2), 0
			for p, all := range v.extents {
				v.extents[p] = slices.Clone(v.cap(all, most))
				count += len(v.extents[p])
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("survey checkpoint at %d: %w", info.Control, err)
	}
	c.survey = v
	return v, nil
}

// above gives the extents that do not lie wholly below an offset.
func above(entries []index.Entry, offset topic.Offset) []index.Entry {
	for len(entries) > 0 && entries[0].Next <= offset {
		entries = entries[1:]
	}
	return entries
}

// cap gives the first extents, at most so many.
func (v *survey) cap(entries []index.Entry, most int) []index.Entry {
	if len(entries) <= most {
		return entries
	}
	v.cut = true
	v.leave(entries[most:])
	return entries[:most]
}

// leave notes where extents lie that are not kept.
func (v *survey) leave(entries []index.Entry) {
	for _, e := range entries {
		note(v.beyond, e)
	}
}

// note remembers the first slot of each journal.
func note(first map[topic.JournalID]topic.Slot, e index.Entry) {
	if have, ok := first[e.Journal]; !ok || e.Slot < have {
		first[e.Journal] = e.Slot
	}
}

// source gives what slots hold of a partition now.
func (v *survey) source(s *control.State, p topic.Partition) source {
	out := source{partition: p, start: v.starts[p], held: s.Compaction(p)}
	out.extents = above(v.extents[p], max(out.held.End, out.start))
	return out
}

// needed gives the first slot of each journal that holds an extent which lives on nowhere else.
func (v *survey) needed(s *control.State) map[topic.JournalID]topic.Slot {
	first := maps.Clone(v.beyond)
	for p := range v.extents {
		if s.TopicDeleted(p.Topic) {
			continue
		}
		for _, e := range v.source(s, p).extents {
			note(first, e)
		}
	}
	return first
}

// sources gives what slots hold of the partitions that a journal owns, those without extents left out.
func (v *survey) sources(s *control.State, owner topic.JournalID) []source {
	var out []source
	for p := range v.extents {
		if a, ok := s.Owner(p); !ok || a.Journal != owner {
			continue
		}
		if src := v.source(s, p); len(src.extents) > 0 {
			out = append(out, src)
		}
	}
	slices.SortFunc(out, func(a, b source) int { return comparePartitions(a.partition, b.partition) })
	return out
}

// heldBy gives the runs of the partitions that a journal owns, or of all partitions, by topic id and index.
func (v *survey) heldBy(s *control.State, owner topic.JournalID) []held {
	var out []held
	for p, c := range s.Compactions() {
		if len(c.Runs) == 0 {
			continue
		}
		if a, ok := s.Owner(p); owner.IsZero() || ok && a.Journal == owner {
			out = append(out, held{p, max(v.starts[p], c.Start), c.Runs})
		}
	}
	return out
}
