package compaction

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/odradek/odradek/topic"
)

func TestMeasureKeys_WhatMayBeCleaned(t *testing.T) {
	pieces := []KeyPiece{
		{Next: 100, Bytes: 1000, FirstTimestamp: 10, MaxTimestamp: 20},
		{Next: 200, Bytes: 2000, FirstTimestamp: 30, MaxTimestamp: 60},
		{Next: 300, Bytes: 4000, FirstTimestamp: 25, MaxTimestamp: 40},
		{Next: 400, Bytes: 8000, FirstTimestamp: 70, MaxTimestamp: 90},
	}
	for _, c := range []struct {
		name         string
		cleaned, end topic.Offset
		minLag       int64
		want         KeyLog
	}{
		{"all of it", 0, 400, 0, KeyLog{Upto: 400, DirtyBytes: 15000, FirstDirty: 10}},
		{"behind the cleaned point", 100, 400, 0, KeyLog{Cleaned: 100, Upto: 400, CleanBytes: 1000, DirtyBytes: 14000, FirstDirty: 25}},
		{"nothing dirty", 400, 400, 0, KeyLog{Cleaned: 400, Upto: 400, CleanBytes: 15000, FirstDirty: math.MaxInt64}},
		{"up to what may still change", 100, 399, 0, KeyLog{Cleaned: 100, Upto: 300, CleanBytes: 1000, DirtyBytes: 6000, FirstDirty: 25}},
		{"a young piece ends it, though an older one follows", 0, 400, 50, KeyLog{Upto: 100, DirtyBytes: 1000, FirstDirty: 10}},
		{"all young", 100, 400, 1000, KeyLog{Cleaned: 100, Upto: 100, CleanBytes: 1000, FirstDirty: 25}},
		{"the cleaned point inside a piece", 150, 400, 0, KeyLog{Cleaned: 150, Upto: 400, CleanBytes: 1000, DirtyBytes: 14000, FirstDirty: 25}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.want.Limits.MinLag = c.minLag
			if diff := cmp.Diff(c.want, MeasureKeys(topic.Partition{}, pieces, c.cleaned, c.end, c.want.Limits, 100)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPlanKeys_DirtiestFirst(t *testing.T) {
	log := func(index int32, clean, dirty, first int64, limits KeyLimits) KeyLog {
		return KeyLog{Partition: topic.Partition{Index: index}, CleanBytes: clean, DirtyBytes: dirty, FirstDirty: first, Limits: limits}
	}
	const now = 1_000_000
	half := KeyLimits{MinDirtyRatio: 0.5, MaxLag: math.MaxInt64} // Kafka's defaults
	logs := []KeyLog{
		log(0, 100, 100, 0, half), // not above the ratio
		log(1, 100, 101, 0, half), // above
		log(2, 0, 1, 0, half),     // never cleaned
		log(3, 0, 0, 0, half),     // empty
		log(4, 1000, 1, 1000, KeyLimits{MinDirtyRatio: 0.5, MaxLag: 5000}), // too old
		log(5, 1000, 0, 1000, KeyLimits{MinDirtyRatio: 0.5, MaxLag: 5000}), // too old, but it may not be cleaned
		log(6, 1000, 1, now-5000, KeyLimits{MinDirtyRatio: 0.5, MaxLag: 5000}),
		log(7, 1000, 500, math.MaxInt64, KeyLimits{MinDirtyRatio: 0.2, MaxLag: 5000}),
		log(8, 1000, 1, math.MaxInt64, KeyLimits{MinDirtyRatio: 0}),
	}
	var got []int32
	for _, l := range PlanKeys(logs, now) {
		got = append(got, l.Partition.Index)
	}
	if diff := cmp.Diff([]int32{2, 1, 7, 4, 8}, got); diff != "" {
		t.Error(diff)
	}
}
