package metadatatest

import (
	"math"

	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/topic"
)

const (
	indexed  = metadata.Indexed
	repeated = metadata.Repeated
	behind   = metadata.Behind
	closed   = metadata.Closed
	conflict = metadata.Conflict
)

var indexStories = []story{
	{"SlotsInOrderBecomeVisible", func(b *bench) {
		pin := b.opened()
		first, second, empty := segment(1, 0, 0, 0, 5, 1, 0, 2), segment(1, 1, 0, 5, 9), segment(1, 2)
		b.index(pin, many(first, second, empty), indexed, indexed, indexed)
		b.wantEnds(pin, 9, 2, 0, 0)
		b.wantLog(pin, 1, 0, first, second, empty)
		b.wantLog(pin, 1, 1, second, empty)
		b.wantLog(pin, 1, 3)
		b.wantLog(pin, 2, 0)
		b.wantLog(pin, 9, 0)
	}},
	{"RepeatIsRepeatedAndChangesNothing", func(b *bench) {
		pin := b.opened()
		s := segment(1, 0, 0, 0, 5)
		b.index(pin, many(s), indexed)
		b.index(pin, many(s), repeated)
		b.index(pin, many(s, segment(1, 1, 0, 5, 6)), repeated, indexed)
		b.wantEnds(pin, 6)
		b.wantLog(pin, 1, 0, s, segment(1, 1, 0, 5, 6))
	}},
	{"BaseBelowEndIsConflict", func(b *bench) {
		pin := b.opened()
		b.index(pin, many(segment(1, 0, 0, 0, 5)), indexed)
		b.index(pin, many(segment(2, 0, 1, 0, 4, 0, 4, 8, 2, 0, 1)), conflict)
		b.wantEnds(pin, 5, 0, 0)
		b.wantLog(pin, 2, 0)
	}},
	{"BaseAboveEndIsBehind", func(b *bench) {
		pin := b.opened()
		b.index(pin, many(segment(2, 0, 1, 0, 4, 0, 5, 8)), behind)
		b.wantEnds(pin, 0, 0)
		b.index(pin, many(segment(1, 0, 0, 0, 5)), indexed)
		b.index(pin, many(segment(2, 0, 1, 0, 4, 0, 5, 8)), indexed)
		b.wantEnds(pin, 8, 4)
	}},
	{"ConflictWinsOverBehind", func(b *bench) {
		pin := b.opened()
		b.index(pin, many(segment(1, 0, 0, 0, 5)), indexed)
		b.index(pin, many(segment(2, 0, 1, 7, 9, 0, 4, 8)), conflict)
		b.index(pin, many(segment(2, 0, 0, 4, 8, 1, 7, 9)), conflict)
	}},
	{"SlotAboveNextIsBehind", func(b *bench) {
		pin := b.opened()
		b.index(pin, many(segment(1, 1, 0, 0, 5)), behind)
		b.wantEnds(pin, 0)
	}},
	{"StopsAtTheFirstThatFails", func(b *bench) {
		pin := b.opened()
		b.index(pin, many(segment(1, 0, 0, 0, 5), segment(1, 1, 0, 6, 7), segment(1, 2, 1, 0, 1)), indexed, behind)
		b.wantEnds(pin, 5, 0)
		b.wantLog(pin, 1, 0, segment(1, 0, 0, 0, 5))
	}},
	{"SealClosesTheJournalFromItsSlotOn", func(b *bench) {
		pin := b.opened()
		b.apply(pin, 2, metadata.JournalSealed{Journal: journal(1), Seal: 1})
		b.index(pin, many(segment(1, 1, 0, 0, 5)), closed)
		b.index(pin, many(segment(1, 0, 0, 0, 5), segment(1, 1, 0, 5, 6)), indexed, closed)
		b.index(pin, many(segment(1, 0, 0, 0, 5)), repeated)
		b.wantEnds(pin, 5)
	}},
	{"UnknownJournalIsBehindWhileRecordsAreMissingElseClosed", func(b *bench) {
		pin := b.opened()
		b.indexAt(pin, 2, many(segment(7, 0)), behind)
		b.indexAt(pin, 1, many(segment(7, 0)), closed)
		b.apply(pin, 2, metadata.JournalOpened{Journal: journal(7)})
		b.indexAt(pin, 2, many(segment(7, 0)), indexed)
	}},
	{"UnknownPartitionIsBehindWhileRecordsAreMissing", func(b *bench) {
		pin := b.opened()
		b.indexAt(pin, 2, many(segment(1, 0, 0, 0, 5, 8, 0, 3)), behind)
		b.wantEnds(pin, 0)
		b.apply(pin, 2, metadata.PartitionAdded{Partition: partition(8)})
		b.indexAt(pin, 2, many(segment(1, 0, 0, 0, 5, 8, 0, 3)), indexed)
	}},
	{"DroppedPartitionIsSkipped", func(b *bench) {
		pin := b.opened()
		b.apply(pin, 2, metadata.PartitionDropped{Partition: partition(0)})
		b.indexAt(pin, 2, many(segment(1, 0, 0, 17, 20, 1, 0, 3), segment(1, 1, 0, 1, 2)), indexed, indexed)
		ends, err := b.store.Ends(b.Context(), pin, []topic.Partition{partition(0), partition(1)})
		b.must("ends", err)
		b.same("ends", ends, []metadata.End{{}, {Known: true, Next: 3}})
	}},
	{"LogStartsOnlyRise", func(b *bench) {
		pin := b.opened()
		starts := func(slot topic.Slot, to ...topic.Offset) metadata.Segment {
			s := segment(1, slot)
			for n, start := range to {
				s.LogStarts = append(s.LogStarts, metadata.LogStart{Partition: partition(int32(n)), Start: start})
			}
			return s
		}
		b.index(pin, many(segment(1, 0, 0, 0, 500, 1, 0, 500), starts(1, 9, 10), starts(2, 100, 8)), indexed, indexed, indexed)
		b.wantLog(pin, 1, 1, starts(1, 9, 10), starts(2, 100, 8))
		ends, err := b.store.Ends(b.Context(), pin, []topic.Partition{partition(0), partition(1)})
		b.must("ends", err)
		b.same("ends", ends, []metadata.End{{Known: true, Start: 100, Next: 500}, {Known: true, Start: 10, Next: 500}})
	}},
	{"LargeNumbersKeepEveryBit", func(b *bench) {
		pin := b.pin(1)
		b.must("begin", b.store.Begin(b.Context(), pin))
		high := topic.Offset(math.MaxInt64 - 10)
		b.must("load", b.store.Load(b.Context(), pin, []metadata.Effect{
			metadata.JournalOpened{Journal: journal(1), First: 1 << 53},
			metadata.PartitionAdded{Partition: partition(0), Start: high - 1, Next: high},
		}))
		b.must("loaded", b.store.Loaded(b.Context(), pin, 0))
		b.must("re-attach", b.store.Reattach(b.Context(), pin, journal(1), 1<<53))
		b.must("open", b.store.Open(b.Context(), pin, 0, nil))
		b.indexAt(pin, 0, many(segment(1, 1<<53, 0, int64(high)+1, int64(high)+2)), behind)
		b.indexAt(pin, 0, many(segment(1, 1<<53, 0, int64(high)-1, int64(high)+2)), conflict)
		b.indexAt(pin, 0, many(segment(1, 1<<53+1)), behind)
		b.indexAt(pin, 0, many(segment(1, 1<<53, 0, int64(high), int64(high)+2)), indexed)
		b.wantEnds(pin, high+2)
		b.wantLog(pin, 1, 1<<53, segment(1, 1<<53, 0, int64(high), int64(high)+2))
		b.wantLog(pin, 1, 5, segment(1, 1<<53, 0, int64(high), int64(high)+2))
	}},
	{"SegmentsOfManyJournalsAreReadAtOnce", func(b *bench) {
		pin := b.opened()
		b.index(pin, many(segment(1, 0, 0, 0, 1), segment(1, 1, 0, 1, 2), segment(1, 2, 0, 2, 3)), indexed, indexed, indexed)
		b.index(pin, many(segment(2, 0, 1, 0, 1)), indexed)
		got, err := b.store.Segments(b.Context(), pin, []metadata.Cursor{{Journal: journal(2)}, {Journal: journal(9)}, {Journal: journal(1), From: 1}}, 1)
		b.must("segments", err)
		b.same("segments", got, many(segment(2, 0, 1, 0, 1), segment(1, 1, 0, 1, 2)))
		got, err = b.store.Segments(b.Context(), pin, nil, 1)
		b.must("segments of nothing", err)
		b.same("segments of nothing", len(got), 0)
	}},
	{"DroppedSegmentsAreNotThereButTheNewest", func(b *bench) {
		pin := b.opened()
		var all []metadata.Segment
		for n := range topic.Slot(6) {
			all = append(all, segment(1, n, 0, int64(n), int64(n)+1))
			b.index(pin, all[n:], indexed)
		}
		b.index(pin, many(segment(2, 0, 1, 0, 1)), indexed)
		b.apply(pin, 2, metadata.SegmentsDropped{Journal: journal(1), Below: 4}, metadata.SegmentsDropped{Journal: journal(9), Below: 4})
		b.wantLog(pin, 1, 0, all[4:]...)
		b.wantLog(pin, 1, 3, all[4:]...)
		b.wantLog(pin, 1, 5, all[5:]...)
		b.wantLog(pin, 2, 0, segment(2, 0, 1, 0, 1))
		b.wantEnds(pin, 6, 1)
		got, err := b.store.Segments(b.Context(), pin, []metadata.Cursor{{Journal: journal(1)}, {Journal: journal(2)}}, 1)
		b.must("segments", err)
		b.same("one segment each", got, many(all[4], segment(2, 0, 1, 0, 1)))

		b.apply(pin, 3, metadata.SegmentsDropped{Journal: journal(1), Below: 2}) // below what was dropped
		b.wantLog(pin, 1, 0, all[4:]...)
		b.apply(pin, 4, metadata.SegmentsDropped{Journal: journal(1), Below: 6}) // all of it
		b.wantLog(pin, 1, 0, all[5])
		b.wantLog(pin, 1, 6)
		b.indexAt(pin, 4, many(all[5]), repeated)
		b.apply(pin, 5, metadata.SegmentsDropped{Journal: journal(1), Below: 8}) // and more than is indexed yet
		for n := topic.Slot(6); n < 10; n++ {
			all = append(all, segment(1, n, 0, int64(n), int64(n)+1))
			b.indexAt(pin, 5, all[n:], indexed)
			b.wantLog(pin, 1, 0, all[min(n, 8):]...)
		}
		b.wantEnds(pin, 10, 1)
	}},
	{"DroppedSegmentsOfAnEraThatIsLoadedAboveThem", func(b *bench) {
		pin := b.pin(1)
		b.must("begin", b.store.Begin(b.Context(), pin))
		b.must("load", b.store.Load(b.Context(), pin, []metadata.Effect{
			metadata.JournalOpened{Journal: journal(1), First: 5}, metadata.PartitionAdded{Partition: partition(0), Next: 7},
		}))
		b.must("loaded", b.store.Loaded(b.Context(), pin, 0))
		b.must("re-attach", b.store.Reattach(b.Context(), pin, journal(1), 5))
		b.apply(pin, 1, metadata.SegmentsDropped{Journal: journal(1), Below: 3}) // while it is built
		b.must("open", b.store.Open(b.Context(), pin, 1, nil))
		b.wantLog(pin, 1, 0)
		b.index(pin, many(segment(1, 5, 0, 7, 8), segment(1, 6, 0, 8, 9)), indexed, indexed)
		b.wantLog(pin, 1, 0, segment(1, 5, 0, 7, 8), segment(1, 6, 0, 8, 9))
		b.apply(pin, 2, metadata.SegmentsDropped{Journal: journal(1), Below: 6})
		b.wantLog(pin, 1, 0, segment(1, 6, 0, 8, 9))
	}},
	{"FullSegmentFits", func(b *bench) {
		pin := b.opened()
		effects, s := []metadata.Effect(nil), metadata.Segment{Journal: journal(1)}
		var partitions []topic.Partition
		for n := range int32(metadata.MaxExtents) {
			p := partition(100 + n)
			partitions = append(partitions, p)
			effects = append(effects, metadata.PartitionAdded{Partition: p})
			s.Extents = append(s.Extents, metadata.Extent{Partition: p, Next: topic.Offset(n + 1), MaxTimestamp: -1})
			s.LogStarts = append(s.LogStarts, metadata.LogStart{Partition: p, Start: topic.Offset(n)})
		}
		b.apply(pin, 2, effects...)
		b.indexAt(pin, 2, many(s), indexed)
		b.wantLog(pin, 1, 0, s)
		ends, err := b.store.Ends(b.Context(), pin, append(partitions, partitions...))
		b.must("ends", err)
		for n, end := range ends {
			n %= len(partitions)
			if want := (metadata.End{Known: true, Start: topic.Offset(n), Next: topic.Offset(n + 1)}); end != want {
				b.Fatalf("end %d: %+v, want %+v", n, end, want)
			}
		}
	}},
	{"UnfitSegmentsAreRefusedBeforeAnyIsIndexed", func(b *bench) {
		pin := b.opened()
		for _, unfit := range []metadata.Segment{
			segment(1, 1, 0, 5, 5), segment(1, 1, 0, 5, 6, 0, 6, 7), segment(1, 1, 0, -1, 7),
			{Journal: journal(1), Slot: 1, Extents: make([]metadata.Extent, metadata.MaxExtents+1)},
		} {
			_, err := b.store.Index(b.Context(), pin, 1, many(segment(1, 0, 0, 0, 5), unfit))
			b.wantErr("unfit segment", err, metadata.ErrSegment)
		}
		b.wantEnds(pin, 0)
	}},
}

var applyStories = []story{
	{"OnlyTheNextNumberApplies", func(b *bench) {
		pin := b.opened()
		for _, n := range []topic.Slot{3, 4, 100} {
			applied, err := b.store.Apply(b.Context(), pin, n, [][]metadata.Effect{{metadata.PartitionAdded{Partition: partition(7)}}})
			b.wantErr("apply out of turn", err, metadata.ErrOutOfTurn)
			b.same("applied", applied, topic.Slot(1))
		}
		ends, err := b.store.Ends(b.Context(), pin, []topic.Partition{partition(7)})
		b.must("ends", err)
		b.same("ends", ends, []metadata.End{{}})
		b.apply(pin, 2, metadata.PartitionAdded{Partition: partition(7)})
		applied, err := b.store.Applied(b.Context(), pin)
		b.must("applied", err)
		b.same("applied", applied, topic.Slot(2))
	}},
	{"RepeatIsOkAndChangesNothing", func(b *bench) {
		pin := b.opened()
		b.apply(pin, 2, metadata.PartitionDropped{Partition: partition(0)})
		b.apply(pin, 3, metadata.PartitionAdded{Partition: partition(9)})
		applied, err := b.store.Apply(b.Context(), pin, 1, [][]metadata.Effect{{metadata.PartitionAdded{Partition: partition(0)}}})
		b.must("apply again", err)
		b.same("applied", applied, topic.Slot(3))
		ends, err := b.store.Ends(b.Context(), pin, []topic.Partition{partition(0)})
		b.must("ends", err)
		b.same("ends", ends, []metadata.End{{}})
	}},
	{"ManyNumbersApplyWholeOrNotAtAll", func(b *bench) {
		pin := b.opened()
		batch := [][]metadata.Effect{nil, {metadata.PartitionAdded{Partition: partition(5)}}, nil, {metadata.JournalOpened{Journal: journal(5), First: 3}}}
		applied, err := b.store.Apply(b.Context(), pin, 2, batch)
		b.must("apply", err)
		b.same("applied", applied, topic.Slot(5))
		applied, err = b.store.Apply(b.Context(), pin, 4, [][]metadata.Effect{nil, nil, {metadata.PartitionDropped{Partition: partition(5)}}})
		b.wantErr("apply an overlapping batch", err, metadata.ErrOutOfTurn)
		b.same("applied", applied, topic.Slot(5))
		b.indexAt(pin, 5, many(segment(5, 3, 5, 0, 1)), indexed)
	}},
	{"EffectsMayRepeatInside", func(b *bench) {
		pin := b.opened()
		b.index(pin, many(segment(1, 0, 0, 0, 5)), indexed)
		b.apply(pin, 2, metadata.JournalOpened{Journal: journal(1)}, metadata.PartitionAdded{Partition: partition(0)},
			metadata.LogStartMoved{Partition: partition(0), Start: 3}, metadata.LogStartMoved{Partition: partition(0), Start: 2})
		b.wantEnds(pin, 5)
		ends, err := b.store.Ends(b.Context(), pin, []topic.Partition{partition(0)})
		b.must("ends", err)
		b.same("ends", ends, []metadata.End{{Known: true, Start: 3, Next: 5}})
	}},
}
