package check

import (
	"cmp"
	"slices"
	"time"

	"github.com/odradek/odradek/test/chaos/history"
)

// place is an offset of a partition.
type place struct {
	history.Partition
	offset int64
}

// book is a history, opened at the pages that the rules need.
type book struct {
	in Input
	r  *Result

	deleted map[string]time.Duration  // topics, with the beginning of the first attempt
	sent    map[string]*history.Event // Produced, by value
	led     map[history.Partition][]*history.Event
	log     map[history.Partition][]history.Record
	values  map[place]string // what was seen first at an offset
	seen    map[place]string // and by whom, for messages
	bounds  map[history.Partition]*bound
	parts   []history.Partition // of log, in order

	starts map[history.Partition][]*history.Event // Started, and Cut with a log start, by their ends
	begin  map[history.Partition]int64            // the highest that was told
	newest map[history.Partition]map[string]int64 // offset of the last record of each key in log, of topics compacted by key
}

// newBook opens a history. What the log of a partition is, is what the agents served in the end; if they differ, the
// longest, and rule "agents" tells of the others.
func newBook(in Input, r *Result) *book {
	b := &book{
		in: in, r: r, deleted: make(map[string]time.Duration), sent: make(map[string]*history.Event),
		led: make(map[history.Partition][]*history.Event), log: make(map[history.Partition][]history.Record), values: make(map[place]string), seen: make(map[place]string),
		bounds: make(map[history.Partition]*bound), starts: make(map[history.Partition][]*history.Event),
		begin: make(map[history.Partition]int64), newest: make(map[history.Partition]map[string]int64),
	}
	for i := range in.Events {
		e := &in.Events[i]
		switch e.Kind {
		case history.Produced:
			b.sent[e.Value] = e
		case history.Started, history.Cut:
			if e.Outcome == history.OK {
				b.starts[e.Partition] = append(b.starts[e.Partition], e)
				b.begin[e.Partition] = max(b.begin[e.Partition], e.Offset)
			}
		case history.Led:
			b.led[e.Partition] = append(b.led[e.Partition], e)
		case history.Deleted:
			if first, ok := b.deleted[e.Topic]; !ok || e.Start < first {
				b.deleted[e.Topic] = e.Start
			}
		}
	}
	for p, records := range in.ReadBack {
		b.log[p] = records
	}
	for _, listing := range in.Final {
		for p, records := range listing {
			if _, gone := b.deleted[p.Topic]; !gone && len(records) >= len(b.log[p]) {
				b.log[p] = records
			}
		}
	}
	for p, log := range b.log {
		b.parts = append(b.parts, p)
		if !b.in.Fading[p.Topic].ByKey {
			continue
		}
		b.newest[p] = make(map[string]int64)
		for _, rec := range log {
			b.newest[p][history.Key(rec.Value)] = rec.Offset
		}
	}
	slices.SortFunc(b.parts, comparePartitions)
	for _, all := range b.starts {
		slices.SortStableFunc(all, func(x, y *history.Event) int { return cmp.Compare(x.End, y.End) })
	}
	b.collectBounds()
	return b
}

func comparePartitions(x, y history.Partition) int {
	return cmp.Or(cmp.Compare(x.Topic, y.Topic), cmp.Compare(x.Index, y.Index))
}

// record gives what is at an offset of a log.
func (b *book) record(p history.Partition, offset int64) (history.Record, bool) {
	i, found := slices.BinarySearchFunc(b.log[p], offset, func(r history.Record, o int64) int { return cmp.Compare(r.Offset, o) })
	if !found {
		return history.Record{}, false
	}
	return b.log[p][i], true
}

// end is where a log ends.
func (b *book) end(p history.Partition) int64 {
	if log := b.log[p]; len(log) > 0 {
		return log[len(log)-1].Offset + 1
	}
	return b.begin[p]
}

// gone reports whether a call may have met the deletion of its topic.
func (b *book) gone(e history.Event) bool {
	from, ok := b.deleted[e.Topic]
	return ok && e.End >= from
}

// bound is how long a partition was known to be, over time: whoever asks after calls[i] ended must find at least ends[i].
type bound struct {
	steps []step
}

type step struct {
	known time.Duration // from then on
	end   int64
	why   string
}

// collectBounds gathers what acks, reads and ends say of how long partitions are at least.
func (b *book) collectBounds() {
	add := func(e history.Event, end int64, why string) {
		if e.End == history.Never || b.gone(e) {
			return
		}
		if b.bounds[e.Partition] == nil {
			b.bounds[e.Partition] = new(bound)
		}
		b.bounds[e.Partition].steps = append(b.bounds[e.Partition].steps, step{e.End, end, why})
	}
	for _, e := range b.in.Events {
		switch {
		case e.Kind == history.Produced && e.Outcome == history.OK && e.Acks == -1:
			add(e, e.Offset+1, "acked to "+e.Client)
		case e.Kind == history.Read && len(e.Records) > 0:
			add(e, e.Records[len(e.Records)-1].Offset+1, "read by "+e.Client)
		case e.Kind == history.Ended && e.Outcome == history.OK:
			add(e, e.Offset, "told to "+e.Client)
		}
	}
	for _, bd := range b.bounds {
		slices.SortStableFunc(bd.steps, func(x, y step) int { return cmp.Compare(x.known, y.known) })
		for i := 1; i < len(bd.steps); i++ {
			if bd.steps[i].end < bd.steps[i-1].end {
				last := bd.steps[i-1]
				last.known = bd.steps[i].known
				bd.steps[i] = last
			}
		}
	}
}

// before is what was known when a call began; calls that ended in that very moment do not count.
func (bd *bound) before(start time.Duration) (step, bool) {
	if bd == nil {
		return step{}, false
	}
	i, _ := slices.BinarySearchFunc(bd.steps, start, func(s step, t time.Duration) int { return cmp.Compare(s.known, t) })
	if i == 0 {
		return step{}, false
	}
	return bd.steps[i-1], true
}
