package retention

import (
	"context"
	"iter"
	"math"
	"time"

	"github.com/odradek/odradek/topic"
)

// Policy is what a topic's settings say about old records. A negative number is no bound.
type Policy struct {
	Ms    int64 // retention.ms
	Bytes int64 // retention.bytes
}

// Bounded says whether anything can ever go.
func (p Policy) Bounded() bool { return p.Ms >= 0 || p.Bytes >= 0 }

// Partition is one whose old records may go.
type Partition struct {
	topic.Partition
	Policy Policy
}

// Unit is what of a partition goes as one.
type Unit struct {
	Next         topic.Offset // behind its last record
	Bytes        int64        // of its record batches, as their producers sent them
	MaxTimestamp int64        // ms since 1970; negative: none of its batches has a time
	Key          string       // of the object that holds it
}

// plan is what of one partition is to go.
type plan struct {
	partition Partition
	to        topic.Offset // the log start that drops it
	units     int
	bytes     int64
	all       int64 // what the partition holds; known only if it was counted
	aged      int64 // of bytes, what goes by time
}

// look decides about one partition: units are all that it holds, oldest first. Without a time nothing goes by age. counted
// has all of them counted even where settings do not need it.
//
// As in Kafka a unit goes by age if it is older than retention.ms, and by size if retention.bytes are left without it; the
// first that stays ends it. The newest unit goes by age like any other: it takes nothing more, so that what Kafka does to its
// active segment, to roll it first, is done already.
func (e *Engine) look(ctx context.Context, p Partition, now time.Time, counted bool, units iter.Seq[Unit]) (plan, error) {
	out := plan{partition: p}
	if counted || p.Policy.Bytes >= 0 {
		for u := range units {
			out.all += u.Bytes
		}
	}
	byAge, bySize := !now.IsZero() && p.Policy.Ms >= 0, p.Policy.Bytes >= 0
	left := out.all
	for u := range units {
		if byAge {
			old, err := e.old(ctx, u, p.Policy.Ms, now)
			if err != nil {
				return out, err
			}
			byAge = old
		}
		bySize = bySize && left-u.Bytes >= p.Policy.Bytes
		if !byAge && !bySize {
			break
		}
		left -= u.Bytes
		out.to, out.units, out.bytes = u.Next, out.units+1, out.bytes+u.Bytes
		if byAge {
			out.aged += u.Bytes
		}
	}
	return out, nil
}

// old says whether all of a unit is older than that. One without a time is as old as its object, as a log file is in Kafka.
func (e *Engine) old(ctx context.Context, u Unit, ms int64, now time.Time) (bool, error) {
	newest := u.MaxTimestamp
	if newest < 0 {
		written, err := e.records.Written(ctx, u)
		if err != nil {
			return false, err
		}
		newest = written.UnixMilli()
	}
	if newest > math.MaxInt64-ms {
		return false, nil
	}
	return newest+ms < now.UnixMilli(), nil
}
