package control

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/odradek/odradek/topic"
)

// Manifest swaps a compacted object in: from its number on, what its parts replace is to be read from Output, and the
// index follows (G2). It holds if every part fits what is current: whoever planned on runs that another manifest
// replaced since loses, and its output is garbage. A part of a topic that is not there any more is passed over; a
// manifest of such parts only is void. The output must have been planned below the own number and not below what was
// swept (G5), and must not be known.
type Manifest struct {
	Output topic.Object   // zero: none, all parts say that nothing is left
	Size   int64          // of the output; 0 without one
	Parts  []ManifestPart // by topic id and index, no partition twice
}

// ManifestPart replaces what one partition has in [From, To): the runs that lie there, and from C(p) on extents of
// slots, which can never change (I5). [From, To) begins where a run begins, or at C(p), and ends where a run ends, or
// above C(p); it never cuts a run. Where Run does not begin at From the log start has passed what lay before; without
// a Run it has passed all of it, and then no older run may remain.
type ManifestPart struct {
	Partition topic.Partition
	From, To  topic.Offset
	Replaces  []topic.Object // of the current runs in [From, To), in order
	Run       *topic.Run     // in Output, From <= Base, Next == To; nil: nothing is left
}

func (Manifest) Type() Type { return TypeManifest }

func (r Manifest) String() string {
	var b strings.Builder
	if r.Output.IsZero() {
		b.WriteString("without output")
	} else {
		fmt.Fprintf(&b, "output %s of %d bytes", r.Output, r.Size)
	}
	for _, p := range r.Parts {
		fmt.Fprintf(&b, ", %s [%d,%d)", p.Partition, p.From, p.To)
		if p.Run != nil {
			fmt.Fprintf(&b, " as [%d,%d) level %d at [%d,%d)", p.Run.Base, p.Run.Next, p.Run.Level, p.Run.Position,
				int64(p.Run.Position)+p.Run.Size())
			if p.Run.Cleaned > 0 {
				fmt.Fprintf(&b, " cleaned up to %d", p.Run.Cleaned)
			}
			if p.Run.Erased > 0 {
				fmt.Fprintf(&b, " with %d erased", p.Run.Erased)
			}
		} else {
			b.WriteString(" gone")
		}
		for i, o := range p.Replaces {
			b.WriteString(word(i == 0, " for") + " " + o.String())
		}
	}
	return b.String()
}

func (p ManifestPart) partition() topic.Partition { return p.Partition }

// encode writes the parts in stretches of one topic each, and names each replaced object once.
func (r Manifest) encode(w *writer) {
	w.object(r.Output)
	w.uint(uint64(r.Size))
	table := newObjectTable()
	for _, p := range r.Parts {
		for _, o := range p.Replaces {
			table.add(o)
		}
	}
	table.encode(w)
	w.uint(uint64(countTopics(r.Parts)))
	before := topic.Run{Object: r.Output}
	for parts := range byTopic(r.Parts) {
		w.id(parts[0].Partition.Topic)
		w.uint(uint64(len(parts)))
		for _, p := range parts {
			w.uint(uint64(p.Partition.Index))
			w.uint(uint64(p.From))
			w.uint(uint64(p.To - p.From))
			w.uint(uint64(len(p.Replaces)))
			for _, o := range p.Replaces {
				w.uint(table.place[o])
			}
			before = p.encodeRun(w, before)
		}
	}
}

// What a part says of its run: there is none, it follows, or it is not one of the output's, which no reader takes.
const (
	runGone = iota
	runFollows
	runAstray
)

func (p ManifestPart) encodeRun(w *writer, before topic.Run) topic.Run {
	switch {
	case p.Run == nil:
		w.uint(runGone)
		return before
	case p.Run.Object != before.Object || p.Run.Next != p.To:
		w.uint(runAstray)
		return before
	}
	w.uint(runFollows)
	w.uint(uint64(p.Run.Base - p.From))
	w.uint(uint64(int64(p.Run.Position) - end(before)))
	w.run(*p.Run, before)
	return *p.Run
}

// end tells where a run's bytes end in its object.
func end(r topic.Run) int64 { return int64(r.Position) + r.Size() }

func decodeManifest(r *reader) Record {
	rec := Manifest{Output: r.object(), Size: r.int64()}
	table := r.objectTable()
	before := topic.Run{Object: rec.Output}
	for range r.each(21) {
		id := topic.ID(r.id())
		for range r.each(5) {
			p := ManifestPart{Partition: topic.Partition{Topic: id, Index: r.int32()}, From: topic.Offset(r.int64())}
			p.To = p.From + topic.Offset(r.uint(uint64(math.MaxInt64-p.From)))
			for range r.each(1) {
				p.Replaces = append(p.Replaces, r.objectEntry(table))
			}
			if p.To == p.From {
				r.fail("partition %s: nothing at %d", p.Partition, p.From)
			}
			if r.uint(runFollows) == runFollows {
				before = r.manifestRun(p, before)
				run := before
				p.Run = &run
			}
			rec.Parts = append(rec.Parts, p)
		}
	}
	if got := before != (topic.Run{Object: rec.Output}); got == rec.Output.IsZero() || (rec.Size > 0) != got || end(before) > rec.Size {
		r.fail("output %s of %d bytes, runs up to %d", rec.Output, rec.Size, end(before))
	}
	return rec
}

func (r *reader) manifestRun(p ManifestPart, before topic.Run) topic.Run {
	run := topic.Run{Object: before.Object, Base: p.From + topic.Offset(r.uint(uint64(p.To-p.From-1))), Next: p.To}
	run.Position = uint32(end(before)) + uint32(r.uint(uint64(max(0, math.MaxUint32-end(before)))))
	r.run(&run, before)
	return run
}

func (r Manifest) judge(s *State) string {
	switch {
	case len(r.Parts) == 0:
		return "manifest without parts"
	case r.Output.IsZero():
	case r.Output.Planned >= s.next:
		return fmt.Sprintf("output planned at %d, which is not applied yet", r.Output.Planned)
	case r.Output.Planned < s.swept:
		return fmt.Sprintf("output planned at %d, swept below %d", r.Output.Planned, s.swept)
	case s.objects.has(r.Output):
		return fmt.Sprintf("output %s was swapped in before", r.Output)
	}
	fits := false
	for i, p := range r.Parts {
		if i > 0 && comparePartitions(r.Parts[i-1].Partition, p.Partition) >= 0 {
			return fmt.Sprintf("partition %s out of order", p.Partition)
		}
		t, ok := s.topics.get(p.Partition.Topic)
		if !ok {
			continue
		}
		if p.Partition.Index >= t.Partitions() {
			return fmt.Sprintf("no partition %s", p.Partition)
		}
		if why := p.judge(s.Compaction(p.Partition)); why != "" {
			return fmt.Sprintf("partition %s: %s", p.Partition, why)
		}
		fits = true
	}
	if !fits {
		return "no topic of the parts is there"
	}
	return ""
}

// judge says why a part does not fit what compaction has made of its partition so far.
func (p ManifestPart) judge(c Compaction) string {
	first, last := c.overlapping(p.From, p.To)
	current := c.Runs[first:last]
	begin := c.End
	if len(current) > 0 {
		begin = current[0].Base
	}
	switch {
	case p.From != begin:
		return fmt.Sprintf("from %d, current is %d", p.From, begin)
	case p.To <= c.End && (len(current) == 0 || p.To != current[len(current)-1].Next):
		return fmt.Sprintf("to %d, which is within a run", p.To)
	case len(current) != len(p.Replaces):
		return fmt.Sprintf("%d runs in [%d,%d), not %d", len(current), p.From, p.To, len(p.Replaces))
	case p.Run == nil && first > 0:
		return fmt.Sprintf("nothing left below %d, but the run before stays", p.To)
	}
	for i, r := range current {
		if r.Object != p.Replaces[i] {
			return fmt.Sprintf("[%d,%d) is in %s, not %s", r.Base, r.Next, r.Object, p.Replaces[i])
		}
	}
	return ""
}

func (r Manifest) apply(s *State) {
	for _, p := range r.Parts {
		if !s.topics.has(p.Partition.Topic) {
			continue
		}
		c := s.Compaction(p.Partition)
		first, last := c.overlapping(p.From, p.To)
		var swapped []topic.Run
		passed := p.To // the log start is at least here
		if p.Run != nil {
			swapped, passed = []topic.Run{*p.Run}, p.Run.Base
			s.holdRun(*p.Run, r.Size)
		}
		for _, old := range c.Runs[first:last] {
			s.dropRun(old)
		}
		if passed > p.From {
			c.Start = max(c.Start, passed)
		}
		c.End = max(c.End, p.To)
		c.Runs = slices.Concat(c.Runs[:first], swapped, c.Runs[last:])
		s.compactions = s.compactions.put(p.Partition, c)
	}
}
