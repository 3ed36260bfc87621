package check

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/odradek/odradek/test/chaos/history"
)

// records checks what is in the log against what producers were told, and that no offset ever held two values.
func (b *book) records() {
	for _, name := range slices.Sorted(maps.Keys(b.in.Final)) {
		for p, records := range b.in.Final[name] {
			for _, rec := range records {
				b.saw(p, rec, "in the end on "+name)
			}
		}
	}
	for p, records := range b.in.ReadBack {
		for _, rec := range records {
			b.saw(p, rec, "before the deletion")
		}
	}
	for _, e := range b.in.Events {
		switch {
		case e.Kind == history.Read:
			b.r.Read += len(e.Records)
			who := fmt.Sprintf("by %s at %s", e.Client, when(e))
			if e.Agent != "" {
				who += " on " + e.Agent
			}
			for _, rec := range e.Records {
				b.saw(e.Partition, rec, who)
			}
		case e.Kind == history.Produced:
			b.r.Sent++
			if e.Outcome == history.OK {
				b.acked(e)
			}
		}
	}
	b.doubled()
}

// saw notes that somebody saw a record: rules "changed" and "invented".
func (b *book) saw(p history.Partition, rec history.Record, who string) {
	here := place{p, rec.Offset}
	if first, ok := b.values[here]; ok {
		if first != rec.Value {
			b.r.violate("changed", "%s is %q %s, and was %q %s", at(p, rec.Offset), rec.Value, who, first, b.seen[here])
		}
		return
	}
	b.values[here], b.seen[here] = rec.Value, who
	v, err := history.ParseValue(rec.Value)
	switch _, sent := b.sent[rec.Value]; {
	case err != nil:
		b.r.violate("invented", "%s: %v (%s)", at(p, rec.Offset), err, who)
	case !sent:
		b.r.violate("invented", "%s is %q, which nobody sent (%s)", at(p, rec.Offset), rec.Value, who)
	case v.Partition != p:
		b.r.violate("invented", "%s is %q, which was sent elsewhere (%s)", at(p, rec.Offset), rec.Value, who)
	}
}

// acked checks one ack: rule "lost".
func (b *book) acked(e history.Event) {
	b.r.Acked++
	if _, known := b.log[e.Partition]; !known {
		return // nobody looked: before a deletion that is well, else rule "agents" says so
	}
	there := "nothing"
	if rec, ok := b.record(e.Partition, e.Offset); ok {
		if rec.Value == e.Value {
			return
		}
		there = fmt.Sprintf("%q", rec.Value)
	} else if b.faded(e) {
		b.r.Faded++
		return
	}
	text := fmt.Sprintf("%q, acked (acks=%d) at %s as %s: there is %s, the log ends at %d", e.Value, e.Acks, when(e),
		at(e.Partition, e.Offset), there, b.end(e.Partition))
	if e.Acks == 1 && b.excused(e) {
		b.r.LostByTakeover = append(b.r.LostByTakeover, text)
		return
	}
	if e.Acks == -1 {
		b.r.Lost++
	}
	b.r.violate("lost", "%s", text)
}

// zombieTime is how long an agent may go on answering acks=1 after its journal was sealed: it meets the seal with its next
// PUT or when it reads the control log, whichever comes first, and both may hang while it is cut off.
const zombieTime = 30 * time.Second

// excused reports whether a takeover may have cost a record that was acked with acks=1: an epoch that began by a seal,
// at or below the record's offset, and was not long known when the record was sent.
func (b *book) excused(e history.Event) bool {
	for _, t := range b.in.Takeovers {
		if t.Partition != e.Partition || t.Base > e.Offset {
			continue
		}
		known := false
		for _, led := range b.led[e.Partition] {
			if led.Epoch >= t.Epoch && led.End < e.Start-zombieTime {
				known = true
				break
			}
		}
		if !known {
			return true
		}
	}
	return false
}

// doubled finds values at two offsets.
func (b *book) doubled() {
	for _, p := range b.parts {
		first := make(map[string]int64)
		for _, rec := range b.log[p] {
			other, twice := first[rec.Value]
			if !twice {
				first[rec.Value] = rec.Offset
				continue
			}
			if e, sent := b.sent[rec.Value]; sent && e.Acks == 1 {
				b.r.DoubledWithout++
				continue
			}
			b.r.Doubled++
			b.r.violate("doubled", "%q is at %s and at %d", rec.Value, at(p, rec.Offset), other)
		}
	}
}

// order checks that the numbers of each producer grow: rule "disorder". Of a producer that is not idempotent only acked
// records at the offset they were acked at say anything: what it repeats may land late. Of idempotent ones, records
// whose outcome is unknown may have been given up.
func (b *book) order() {
	for _, p := range b.parts {
		newest := make(map[string]int64)
		for _, rec := range b.log[p] {
			e, sent := b.sent[rec.Value]
			if !sent || e.Outcome != history.OK || e.Offset != rec.Offset {
				continue
			}
			v, err := history.ParseValue(rec.Value)
			if err != nil {
				continue
			}
			if last, ok := newest[v.Client]; ok && v.Number <= last {
				b.r.Disordered++
				b.r.violate("disorder", "%s is number %d of %s, behind its number %d", at(p, rec.Offset), v.Number, v.Client, last)
			}
			newest[v.Client] = v.Number
		}
	}
}

// consumers checks that none passed an offset by: rule "skipped". A consumer of a group may begin where another ended,
// so all members are taken together.
func (b *book) consumers() {
	type reader struct {
		name string
		p    history.Partition
	}
	groups := make(map[reader]map[int64]bool)
	next := make(map[reader]int64)
	for _, e := range b.in.Events {
		if e.Kind != history.Read || e.Agent != "" || len(e.Records) == 0 {
			continue
		}
		if e.Group != "" {
			k := reader{e.Group, e.Partition}
			if groups[k] == nil {
				groups[k] = make(map[int64]bool)
			}
			for _, rec := range e.Records {
				groups[k][rec.Offset] = true
			}
			continue
		}
		k := reader{e.Client, e.Partition}
		for _, rec := range e.Records {
			if rec.Offset != next[k] && !b.passed(e, next[k], rec.Offset) {
				b.r.violate("skipped", "%s was handed %s at %s, after %d", e.Client, at(e.Partition, rec.Offset), when(e), next[k]-1)
			}
			next[k] = rec.Offset + 1
		}
	}
	for k, offsets := range groups {
		highest := slices.Max(slices.Collect(maps.Keys(offsets)))
		for o := range highest {
			if !offsets[o] {
				b.r.violate("skipped", "group %s read %s and never %d", k.name, at(k.p, highest), o)
				break
			}
		}
	}
}
