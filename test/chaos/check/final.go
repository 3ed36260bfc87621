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
		b.contiguous(p, log)
		for _, name := range slices.Sorted(maps.Keys(b.in.Final)) {
			b.served(name, p, log)
		}
		if b.in.Stored == nil {
			continue
		}
		if end, ok := b.in.Stored[p]; !ok || end != b.end(p) {
			b.r.violate("bucket", "%s/%d ends at %d in the bucket, and consumers saw records up to %d", p.Topic, p.Index, end, b.end(p))
		}
		if _, fades := b.in.Fading[p.Topic]; fades && b.in.Begin[p] != b.begin[p] {
			b.r.violate("bucket", "%s/%d begins at %d in the bucket, and clients were told %d", p.Topic, p.Index, b.in.Begin[p], b.begin[p])
		}
		if b.in.Bucket != nil {
			b.holds(p, log)
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

// index checks rule "redis": it holds what the bucket gives.
func (b *book) index() {
	if b.in.Index == nil {
		return
	}
	for _, d := range b.in.Index.Differs {
		b.r.violate("redis", "%s", d)
	}
	if ends := b.in.Index.Ends; ends < len(b.in.Stored) {
		b.r.violate("redis", "the ends of %d partitions were compared, the bucket has %d", ends, len(b.in.Stored))
	}
}

// contiguous checks that a log has every offset from its beginning on. What is compacted by key may have holes, but its end.
func (b *book) contiguous(p history.Partition, log []history.Record) {
	want := b.begin[p]
	for _, rec := range log {
		if rec.Offset < want || rec.Offset > want && !b.in.Fading[p.Topic].ByKey {
			b.r.violate("agents", "%s/%d: where %d comes next there is %d", p.Topic, p.Index, want, rec.Offset)
			return
		}
		want = rec.Offset + 1
	}
}

// served compares one agent's listing with the longest.
func (b *book) served(name string, p history.Partition, log []history.Record) {
	got, ok := b.in.Final[name][p]
	if !ok {
		b.r.violate("agents", "%s does not serve %s/%d, which has %d records", name, p.Topic, p.Index, len(log))
		return
	}
	if b.in.Fading[p.Topic].ByKey { // cleaned while one agent after the other was asked
		b.newestServed(name, p, got)
		return
	}
	if len(got) < len(log) {
		b.r.violate("agents", "%s serves %d records of %s/%d, others %d", name, len(got), p.Topic, p.Index, len(log))
	}
}

// newestServed checks that an agent serves the newest record of each key, and nothing at two places or out of order.
func (b *book) newestServed(name string, p history.Partition, got []history.Record) {
	served := make(map[int64]bool)
	next := b.begin[p]
	for _, rec := range got {
		if rec.Offset < next {
			b.r.violate("agents", "%s serves %s after %d", name, at(p, rec.Offset), next-1)
			return
		}
		served[rec.Offset], next = true, rec.Offset+1
	}
	for _, key := range slices.Sorted(maps.Keys(b.newest[p])) {
		if offset := b.newest[p][key]; !served[offset] {
			b.r.violate("agents", "%s does not serve %s, the newest of key %s", name, at(p, offset), key)
		}
	}
}

// holds compares what the bucket holds of a log, record by record, with what agents served. A topic that is compacted by
// key may have been cleaned since: what is left is as it was served, and the newest of each key is there.
func (b *book) holds(p history.Partition, log []history.Record) {
	got, byKey := b.in.Bucket[p], b.in.Fading[p.Topic].ByKey
	held := make(map[int64]bool, len(got))
	for _, rec := range got {
		switch served, ok := b.record(p, rec.Offset); {
		case held[rec.Offset]:
			b.r.violate("bucket", "%s lies in the bucket twice", at(p, rec.Offset))
		case !ok:
			b.r.violate("bucket", "%s lies in the bucket, %q, and nobody serves it", at(p, rec.Offset), rec.Value)
		case served != rec:
			b.r.violate("bucket", "%s is %q of epoch %d in the bucket, agents served %q of epoch %d", at(p, rec.Offset), rec.Value, rec.Epoch, served.Value, served.Epoch)
		}
		held[rec.Offset] = true
	}
	for _, rec := range log {
		if held[rec.Offset] || rec.Offset < b.in.Begin[p] || byKey && b.newest[p][history.Key(rec.Value)] != rec.Offset {
			continue
		}
		b.r.violate("bucket", "%s, %q, is not in the bucket, agents served it", at(p, rec.Offset), rec.Value)
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
