package check

import (
	"maps"
	"slices"

	"github.com/odradek/odradek/test/chaos/history"
)

// final checks rules "agents" and "bucket".
func (b *book) final() {
	if len(b.in.Final) == 0 {
		b.r.violate("agents", "nobody was asked in the end")
	}
	for _, p := range b.parts {
		if _, gone := b.deleted[p.Topic]; gone {
			continue
		}
		log := b.log[p]
		for i, rec := range log {
			if rec.Offset != int64(i) {
				b.r.violate("agents", "%s/%d: the record at place %d has offset %d", p.Topic, p.Index, i, rec.Offset)
				break
			}
		}
		for _, name := range slices.Sorted(maps.Keys(b.in.Final)) {
			b.served(name, p, log)
		}
		if b.in.Stored == nil {
			continue
		}
		if end, ok := b.in.Stored[p]; !ok || end != int64(len(log)) {
			b.r.violate("bucket", "%s/%d ends at %d in the bucket, and consumers saw %d records", p.Topic, p.Index, end, len(log))
		}
	}
	for p, acked := range b.unread() {
		b.r.violate("agents", "nobody serves %s/%d, where %d records were acked", p.Topic, p.Index, acked)
	}
	for p := range b.in.Stored {
		if _, gone := b.deleted[p.Topic]; b.log[p] == nil && !gone && b.in.Stored[p] > 0 {
			b.r.violate("bucket", "%s/%d has %d records in the bucket, and nobody serves it", p.Topic, p.Index, b.in.Stored[p])
		}
	}
	for _, f := range b.in.Findings {
		b.r.violate("bucket", "verify: %s", f)
	}
}

// served compares one agent's listing with the longest.
func (b *book) served(name string, p history.Partition, log []history.Record) {
	got, ok := b.in.Final[name][p]
	if !ok {
		b.r.violate("agents", "%s does not serve %s/%d, which has %d records", name, p.Topic, p.Index, len(log))
		return
	}
	if len(got) < len(log) {
		b.r.violate("agents", "%s serves %d records of %s/%d, others %d", name, len(got), p.Topic, p.Index, len(log))
	}
}

// unread counts what was acked on partitions that exist and that no agent served.
func (b *book) unread() map[history.Partition]int {
	out := make(map[history.Partition]int)
	for _, e := range b.in.Events {
		if _, gone := b.deleted[e.Topic]; e.Kind != history.Produced || e.Outcome != history.OK || gone {
			continue
		}
		if _, known := b.log[e.Partition]; !known {
			out[e.Partition]++
		}
	}
	return out
}
