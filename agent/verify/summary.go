package verify

import (
	"context"
	"slices"

	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

// takeSummary checks what a footer repeats, and remembers what the next one has to repeat of it.
func (w *walk) takeSummary(ctx context.Context, j *journal, key string, f *segment.Footer) error {
	due := f.Slot%segment.SummaryEvery == segment.SummaryEvery-1
	switch {
	case f.Summary == nil && due:
		w.note("%s: no summary, which is left out where the object would be too large", key)
	case f.Summary != nil && !due:
		w.find(key, "footer with a summary, only every %dth has one", segment.SummaryEvery)
	case f.Summary != nil:
		w.checkRecent(j, key, f)
		if err := w.checkEnds(ctx, j, key, f.Summary.Ends); err != nil {
			return err
		}
	}
	if due {
		clear(j.recent)
	} else {
		j.recent[f.Slot] = f.Repeated()
	}
	return nil
}

// checkRecent checks that a summary repeats each slot since the last one, or none at all where that would be too much.
func (w *walk) checkRecent(j *journal, key string, f *segment.Footer) {
	recent := f.Summary.Recent
	first := f.Slot + 1 - segment.SummaryEvery
	if len(recent) == 0 {
		w.note("%s: its summary leaves out the slots before", key)
		return
	}
	for slot := max(first, j.Trim); slot < f.Slot; slot++ {
		i := slices.IndexFunc(recent, func(r segment.SlotExtents) bool { return r.Slot == slot })
		if i < 0 {
			w.find(key, "summary does not repeat slot %d", slot)
			continue
		}
		was, ok := j.recent[slot]
		if !ok {
			continue // lost, and told already
		}
		original := slotlog.JournalKey(j.ID, slot)
		switch said := recent[i]; {
		case !slices.Equal(said.Extents, was.Extents):
			w.find(key, "summary repeats other extents of slot %d than %s has: %s", slot, original, firstDifference(said.Extents, was.Extents))
		case !slices.Equal(said.Producers, was.Producers):
			w.find(key, "summary repeats other producers of slot %d than %s has: %s", slot, original, firstDifference(said.Producers, was.Producers))
		case !slices.Equal(said.LogStarts, was.LogStarts):
			w.find(key, "summary repeats other log starts of slot %d than %s has: %s", slot, original, firstDifference(said.LogStarts, was.LogStarts))
		}
	}
	for _, r := range recent {
		if r.Slot < first || r.Slot >= f.Slot {
			w.find(key, "summary repeats slot %d, which is not one of [%d,%d)", r.Slot, first, f.Slot)
		}
	}
}

// firstDifference tells where two lists part.
func firstDifference[T comparable](said, was []T) string {
	for i := range max(len(said), len(was)) {
		switch {
		case i >= len(said):
			return sprint("element %d is missing, want %+v", i, was[i])
		case i >= len(was):
			return sprint("element %d is %+v, want none", i, said[i])
		case said[i] != was[i]:
			return sprint("element %d is %+v, want %+v", i, said[i], was[i])
		}
	}
	return "none"
}

// checkEnds checks that a summary says of each partition of the journal where it stands.
func (w *walk) checkEnds(ctx context.Context, j *journal, key string, ends []segment.PartitionEnd) error {
	if !w.whole || j.lost > 0 {
		return nil
	}
	said := make(map[topic.Partition]bool, len(ends))
	for _, e := range ends {
		said[e.Partition] = true
		if err := w.checkEnd(ctx, j, key, e); err != nil {
			return err
		}
	}
	for p, r := range j.own {
		if _, exists := w.now.TopicByID(p.Topic); exists && !said[p] && !r.released {
			w.find(key, "summary has no end of %s, its extents end at %d", w.parts[p].name, r.next)
		}
	}
	return nil
}

func (w *walk) checkEnd(ctx context.Context, j *journal, key string, e segment.PartitionEnd) error {
	s, a, what, err := w.where(ctx, e.Partition, e.Epoch)
	if err != nil {
		return err
	}
	if s == nil {
		if what != "" {
			w.find(key, "summary: %s", what)
		}
		return nil
	}
	want := a.Base
	if what != "" { // nothing was ever written under this epoch, so that it began where the next one with records did
		if want, what = s.baseAbove(e.Epoch); what != "" {
			w.find(key, "summary: %s", what)
			return nil
		}
	} else if a.Journal != j.ID {
		w.find(key, "summary: epoch %d of %s is assigned to journal %s", e.Epoch, s.name, a.Journal)
		return nil
	}
	if r := s.runs[e.Epoch]; r != nil {
		want = r.next
	} else if j.trimmed() && e.Next > want {
		s.trimmed = append(s.trimmed, trace{want, e.Next, key})
		return nil
	}
	if e.Next != want {
		w.find(key, "summary says that %s ends at %d under epoch %d, its extents end at %d", s.name, e.Next, e.Epoch, want)
	}
	return nil
}

// baseAbove gives the base of the first assignment above an epoch.
func (s *partition) baseAbove(epoch topic.Epoch) (topic.Offset, string) {
	for _, a := range s.assignments {
		if a.Epoch > epoch {
			return a.Base, ""
		}
	}
	return 0, sprint("%s has no epoch %d, by the control log", s.name, epoch)
}
