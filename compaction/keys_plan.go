package compaction

import (
	"cmp"
	"math"
	"slices"

	"github.com/odradek/odradek/topic"
)

// KeyPiece is a stretch of a partition's log that lies there as one: an extent or a run.
type KeyPiece struct {
	Next           topic.Offset
	Bytes          int64 // of its records as produced
	FirstTimestamp int64 // of its first batch, ms since 1970; MaxTimestamp where that is not known; <= 0: none
	MaxTimestamp   int64
}

// KeyLimits are the settings of a topic that say when it is cleaned.
type KeyLimits struct {
	MinDirtyRatio float64 // min.cleanable.dirty.ratio
	MinLag        int64   // min.compaction.lag.ms
	MaxLag        int64   // max.compaction.lag.ms
}

// KeyLog is what decides whether a partition is cleaned.
type KeyLog struct {
	Partition  topic.Partition
	Cleaned    topic.Offset // up to here every key has one record
	Upto       topic.Offset // up to here it may be cleaned; Upto >= Cleaned
	CleanBytes int64        // below Cleaned
	DirtyBytes int64        // from Cleaned to Upto
	FirstDirty int64        // the earliest timestamp known behind Cleaned, ms since 1970; math.MaxInt64: none
	Limits     KeyLimits
}

// MeasureKeys makes a KeyLog of a partition's pieces, in offset order from the log start on. cleaned is the cleaned point;
// end is where records end that may be looked at: the high watermark, or the last stable offset, or where what may still
// change begins. As in Apache Kafka, the first dirty piece with a record younger than min.compaction.lag.ms ends what may
// be cleaned, and a piece that reaches beyond end is not cleaned in part.
func MeasureKeys(p topic.Partition, pieces []KeyPiece, cleaned, end topic.Offset, limits KeyLimits, now int64) KeyLog {
	l := KeyLog{Partition: p, Cleaned: cleaned, Upto: cleaned, FirstDirty: math.MaxInt64, Limits: limits}
	open := true
	for _, piece := range pieces {
		if piece.Next <= cleaned {
			l.CleanBytes += piece.Bytes
			continue
		}
		if piece.FirstTimestamp > 0 {
			l.FirstDirty = min(l.FirstDirty, piece.FirstTimestamp)
		}
		young := limits.MinLag > 0 && piece.MaxTimestamp > now-limits.MinLag
		if open = open && !young && piece.Next <= end; open {
			l.Upto = piece.Next
			l.DirtyBytes += piece.Bytes
		}
	}
	return l
}

// DirtyRatio is the dirty part of what would be read to clean the partition.
func (l *KeyLog) DirtyRatio() float64 {
	if l.DirtyBytes <= 0 {
		return 0
	}
	return float64(l.DirtyBytes) / (float64(l.DirtyBytes) + float64(l.CleanBytes))
}

// Due reports whether the partition is to be cleaned: its dirty ratio is above min.cleanable.dirty.ratio, or a dirty
// record is older than max.compaction.lag.ms and there is something to clean.
func (l *KeyLog) Due(now int64) bool {
	if l.DirtyBytes <= 0 {
		return false
	}
	return l.DirtyRatio() > l.Limits.MinDirtyRatio || l.FirstDirty < now-max(l.Limits.MaxLag, 0)
}

// PlanKeys gives the partitions that are due, the dirtiest first.
func PlanKeys(logs []KeyLog, now int64) []KeyLog {
	var due []KeyLog
	for _, l := range logs {
		if l.Due(now) {
			due = append(due, l)
		}
	}
	slices.SortStableFunc(due, func(a, b KeyLog) int { return cmp.Compare(b.DirtyRatio(), a.DirtyRatio()) })
	return due
}
