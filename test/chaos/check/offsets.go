package check

import (
	"cmp"
	"slices"
	"time"

	"github.com/odradek/odradek/test/chaos/history"
)

// ends checks rules "end" and "out of range".
func (b *book) ends() {
	for _, e := range b.in.Events {
		if b.gone(e) {
			continue
		}
		known, ok := b.bounds[e.Partition].before(e.Start)
		if !ok {
			continue
		}
		switch {
		case e.Kind == history.Ended && e.Outcome == history.OK && e.Offset < known.end:
			b.r.violate("end", "%s was told that %s/%d ends at %d, at %s; %d was known at %s (%s)", e.Client, e.Topic, e.Index, e.Offset,
				when(e), known.end, seconds(known.known), known.why)
		case e.Kind == history.OutOfRange && e.From <= known.end && e.From >= b.begins(e):
			b.r.violate("out of range", "%s at %s, at %s: %s; the end was at least %d at %s (%s)", e.Client, at(e.Partition, e.From),
				when(e), e.Error, known.end, seconds(known.known), known.why)
		}
	}
}

// watermarks checks rule "watermark".
func (b *book) watermarks() {
	type screen struct {
		agent string
		life  int
		p     history.Partition
	}
	shown := make(map[screen]*bound)
	for _, e := range b.in.Events {
		if e.Kind != history.Shown || b.gone(e) {
			continue
		}
		if e.Offset < e.From {
			b.r.violate("watermark", "%s showed %d of %s/%d at %s, for a fetch at %d", e.Agent, e.Offset, e.Topic, e.Index, when(e), e.From)
		}
		k := screen{e.Agent, e.Life, e.Partition}
		if shown[k] == nil {
			shown[k] = new(bound)
		}
		if last, ok := shown[k].before(e.Start); ok && e.Offset < last.end {
			b.r.violate("watermark", "%s showed %d of %s/%d at %s, and %d before, at %s", e.Agent, e.Offset, e.Topic, e.Index, when(e),
				last.end, seconds(last.known))
		}
		shown[k].push(step{known: e.End, end: e.Offset})
	}
}

// push adds a step. Events come nearly in the order of their ends.
func (bd *bound) push(s step) {
	i := len(bd.steps)
	for i > 0 && bd.steps[i-1].known > s.known {
		i--
	}
	if i > 0 && bd.steps[i-1].end > s.end {
		s.end, s.why = bd.steps[i-1].end, bd.steps[i-1].why
	}
	bd.steps = slices.Insert(bd.steps, i, s)
	for i++; i < len(bd.steps); i++ {
		bd.steps[i].end = max(bd.steps[i].end, s.end)
	}
}

// offset is what a group committed.
type offset struct {
	end   time.Duration
	value int64
}

// commits checks rule "committed". A commit whose outcome nobody knows may land at any later time, so an old value is
// excused if such a commit carried it.
func (b *book) commits() {
	type key struct {
		group string
		p     history.Partition
	}
	acked, looked := make(map[key][]offset), make(map[key][]history.Event)
	type carried struct {
		key
		value int64
	}
	mine, open := make(map[carried]time.Duration), make(map[carried]time.Duration) // when the first commit of a value began
	first := func(of map[carried]time.Duration, c carried, start time.Duration) {
		if known, ok := of[c]; !ok || start < known {
			of[c] = start
		}
	}
	for _, e := range b.in.Events {
		k := key{e.Group, e.Partition}
		switch {
		case e.Kind == history.Committed && e.Outcome == history.OK:
			acked[k] = append(acked[k], offset{e.End, e.Offset})
			first(mine, carried{k, e.Offset}, e.Start)
		case e.Kind == history.Committed && e.Outcome == history.Unknown:
			first(open, carried{k, e.Offset}, e.Start)
		case e.Kind == history.Looked && e.Outcome == history.OK && !b.gone(e):
			looked[k] = append(looked[k], e)
		}
	}
	for k, answers := range looked {
		known := new(bound)
		for _, c := range acked[k] {
			known.steps = append(known.steps, step{c.end, c.value, "committed"})
		}
		for _, e := range answers {
			known.steps = append(known.steps, step{e.End, e.Offset, "told to " + e.Client})
		}
		known.sort()
		for _, e := range answers {
			began, late := open[carried{k, e.Offset}]
			late = late && began < e.End
			if last, ok := known.before(e.Start); ok && e.Offset < last.end {
				if late {
					b.r.Excused++
					continue
				}
				b.r.violate("committed", "group %s, %s/%d: %s was told %d at %s; %d was known at %s (%s)", k.group, k.p.Topic, k.p.Index,
					e.Client, e.Offset, when(e), last.end, seconds(last.known), last.why)
			}
			began, committed := mine[carried{k, e.Offset}]
			if e.Offset >= 0 && !late && (!committed || began >= e.End) {
				b.r.violate("committed", "group %s, %s/%d: %s was told %d at %s, which nobody committed", k.group, k.p.Topic, k.p.Index,
					e.Client, e.Offset, when(e))
			}
		}
	}
}

// sort orders the steps by time and makes their ends grow.
func (bd *bound) sort() {
	slices.SortStableFunc(bd.steps, func(x, y step) int { return cmp.Compare(x.known, y.known) })
	for i := 1; i < len(bd.steps); i++ {
		if last := bd.steps[i-1]; bd.steps[i].end < last.end {
			bd.steps[i].end, bd.steps[i].why = last.end, last.why
		}
	}
}
