package check

import (
	"slices"
	"time"

	"github.com/odradek/odradek/test/chaos/history"
)

// begins is where a log began at most while a call was under way: the lowest that anybody was told who asked after it. 0 for
// topics that lose nothing.
func (b *book) begins(e history.Event) int64 {
	if _, fades := b.in.Fading[e.Topic]; !fades {
		return 0
	}
	low := b.begin[e.Partition]
	for _, s := range b.starts[e.Partition] {
		if s.Start > e.End {
			low = min(low, s.Offset)
		}
	}
	return low
}

// faded reports whether a record that was acked may be gone by the end: the log starts above it, or there is a newer one
// of its key.
func (b *book) faded(e history.Event) bool {
	f, fades := b.in.Fading[e.Topic]
	if !fades {
		return false
	}
	if e.Offset < b.begin[e.Partition] {
		return true
	}
	newest, ok := b.newest[e.Partition][history.Key(e.Value)]
	return f.ByKey && ok && newest > e.Offset
}

// passed reports whether a consumer may go on at an offset above the next one: the log starts there by then, or what lies
// between may have a newer record of its key, as rule "lost" checks.
func (b *book) passed(e history.Event, next, to int64) bool {
	f, fades := b.in.Fading[e.Topic]
	return fades && to > next && (f.ByKey || to <= b.begins(e))
}

// starting checks rules "start", that no log start goes back, and "early", that none is above what the topic's settings, or
// who cuts it, let go.
func (b *book) starting() {
	asked := make(map[history.Partition][]history.Event)
	sent := make(map[history.Partition][]history.Event)
	for _, e := range b.in.Events {
		if _, fades := b.in.Fading[e.Topic]; !fades {
			continue
		}
		switch e.Kind {
		case history.Cut:
			asked[e.Partition] = append(asked[e.Partition], e)
		case history.Produced:
			sent[e.Partition] = append(sent[e.Partition], e)
		}
	}
	parts := make([]history.Partition, 0, len(b.starts))
	for p := range b.starts {
		parts = append(parts, p)
	}
	slices.SortFunc(parts, comparePartitions)
	for _, p := range parts {
		b.startsOf(p, asked[p], sent[p])
	}
}

func (b *book) startsOf(p history.Partition, asked, sent []history.Event) {
	known := new(bound)
	for _, e := range b.starts[p] {
		known.steps = append(known.steps, step{e.End, e.Offset, "told to " + e.Client})
	}
	known.sort()
	judged := int64(-1)
	for _, e := range b.starts[p] {
		if last, ok := known.before(e.Start); ok && e.Offset < last.end {
			b.r.violate("start", "%s was told that %s/%d begins at %d, at %s; %d was known at %s (%s)", e.Client, p.Topic, p.Index, e.Offset,
				when(*e), last.end, seconds(last.known), last.why)
		}
		if e.Offset > judged { // who was told the same later was told it no earlier
			judged = e.Offset
			b.early(*e, asked, sent)
		}
	}
}

const (
	clockSlack    = 2 * time.Second // between the clocks of a record and of who drops it
	batchOverhead = 200             // bytes that a record adds to its partition besides its value, at most
)

// early judges one log start that was told.
func (b *book) early(e history.Event, asked, sent []history.Event) {
	f := b.in.Fading[e.Topic]
	cut := int64(0)
	for _, c := range asked {
		if f.Cut && c.Start < e.End {
			cut = max(cut, c.From)
		}
	}
	if e.Offset <= cut {
		return
	}
	left, young := int64(0), history.Event{Start: -1}
	for _, s := range sent {
		switch {
		case s.Start > e.End:
		case s.Outcome != history.OK || s.Offset >= e.Offset:
			left += int64(len(history.Body(s.Value)) + batchOverhead)
		case s.Start > young.Start:
			young = s
		}
	}
	byAge := f.Age > 0 && young.Start+f.Age <= e.End+clockSlack
	bySize := f.Bytes > 0 && left >= f.Bytes
	if !byAge && !bySize {
		b.r.violate("early", "%s was told that %s/%d begins at %d, at %s: %d bytes are left at most, the newest record below was sent at %s, and nobody cut it above %d",
			e.Client, e.Topic, e.Index, e.Offset, when(e), left, seconds(young.Start), cut)
	}
}
