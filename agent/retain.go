package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/odradek/odradek/agent/cluster"
	"github.com/odradek/odradek/agent/ingest"
	"github.com/odradek/odradek/agent/retention"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

// unitsAtOnce is how much of a partition is taken from the index at a time.
const unitsAtOnce = 1024

// witnesses are the clocks that say what is old: this machine's, the bucket's and Redis'; with the index in memory there are
// two.
func (s *session) witnesses() []retention.Witness { return s.agent.clocks(s.pooled()) }

// newRetention makes what drops old records.
func (s *session) newRetention() *retention.Engine {
	a := s.agent
	elapsed := a.elapsed
	if elapsed == nil {
		elapsed = cluster.Boottime
	}
	mark := retentionMark(filepath.Join(a.settings.DataDir, "retention-stopped"))
	return retention.New(&retained{s}, mark, retention.Config{Witnesses: s.witnesses(), Elapsed: elapsed, Log: slog.Default()})
}

// retain drops old records once what earlier WALs held is appended.
func (s *session) retain(ctx context.Context) error {
	select {
	case <-s.replayed:
		return s.retention.Run(ctx)
	case <-ctx.Done():
		return nil
	}
}

// retained is what this agent owns as retention's Records.
type retained struct{ s *session }

// Partitions implements retention.Records: all that this agent owns, but for internal topics and those that are not to lose
// records; none while an era is built (R4).
func (r *retained) Partitions() []retention.Partition {
	if _, open := r.s.openEra(); r.s.pooled() && !open {
		return nil
	}
	state := r.s.cluster.State()
	policies := make(map[topic.ID]retention.Policy)
	var out []retention.Partition
	for _, a := range state.PartitionsOf(r.s.journal) {
		policy, known := policies[a.Partition.Topic]
		if !known {
			policy = retention.Policy{Ms: -1, Bytes: -1}
			if t, ok := state.TopicByID(a.Partition.Topic); ok && !t.Internal {
				if v := r.s.values(state, t); v.Deletes() {
					policy = retention.Policy{Ms: v.RetentionMs(), Bytes: v.RetentionBytes()}
				}
			}
			policies[a.Partition.Topic] = policy
		}
		if policy.Bounded() && r.s.owned(a.Partition) == nil {
			out = append(out, retention.Partition{Partition: a.Partition, Policy: policy})
		}
	}
	return out
}

// Units implements retention.Records.
func (r *retained) Units(p topic.Partition) iter.Seq[retention.Unit] {
	return func(yield func(retention.Unit) bool) {
		from, end := r.s.fetch.Bounds(p)
		for from < end {
			runs, extents := r.s.fetch.Held(p, from, unitsAtOnce)
			if len(runs)+len(extents) == 0 {
				return // it was deleted meanwhile
			}
			for _, x := range runs {
				from = x.Next
				if !yield(retention.Unit{Next: x.Next, Bytes: int64(x.RawLength), MaxTimestamp: x.MaxTimestamp, Key: x.Object.Key()}) {
					return
				}
			}
			for _, x := range extents {
				from = x.Next
				if !yield(retention.Unit{
					Next: x.Next, Bytes: int64(x.RawLength), MaxTimestamp: x.MaxTimestamp, Key: slotlog.JournalKey(x.Journal, x.Slot),
				}) {
					return
				}
			}
		}
	}
}

// Written implements retention.Records.
func (r *retained) Written(ctx context.Context, u retention.Unit) (time.Time, error) {
	info, err := r.s.agent.store.For(objectstore.ReasonRetention).Head(ctx, u.Key)
	return info.Modified, err
}

// Raise implements retention.Records.
func (r *retained) Raise(ctx context.Context, to []segment.LogStart) []error {
	out := make([]error, len(to))
	for i, done := range r.s.ingest.Raise(ctx, to) {
		out[i] = done.Err
		if errors.Is(done.Err, ingest.ErrNotOwner) || errors.Is(done.Err, ingest.ErrFenced) {
			out[i] = fmt.Errorf("%w: %w", retention.ErrElsewhere, done.Err)
		}
	}
	return out
}

// Interval implements retention.Records.
func (r *retained) Interval() time.Duration {
	ms := r.s.clusterValues(r.s.cluster.State()).Int64("log.retention.check.interval.ms")
	return milliseconds(ms)
}

// retentionMark is a file that says that retention by age is stopped, until somebody deletes it.
type retentionMark string

func (m retentionMark) String() string { return string(m) }

// Set implements retention.Mark.
func (m retentionMark) Set(why string) error {
	text := fmt.Sprintf("%s: %s.\nNo records are dropped by age until this file is deleted.\n", time.Now().UTC().Format(time.RFC3339), why)
	return os.WriteFile(string(m), []byte(text), 0o600)
}

// There implements retention.Mark.
func (m retentionMark) There() (bool, error) {
	_, err := os.Lstat(string(m))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Clear implements retention.Mark.
func (m retentionMark) Clear() error {
	if err := os.Remove(string(m)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// registerRetention registers what is told of old records. The function is called at each scrape.
func registerRetention(r prometheus.Registerer, did func() retention.Stats) {
	counter := func(name, help string, value func(retention.Stats) int64) {
		r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: "odradek", Name: "retention_" + name, Help: help},
			func() float64 { return float64(value(did())) }))
	}
	gauge := func(name, help string, value func(retention.Stats) float64) {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "odradek", Name: "retention_" + name, Help: help},
			func() float64 { return value(did()) }))
	}
	one := func(b bool) float64 {
		if b {
			return 1
		}
		return 0
	}
	counter("passes_total", "Passes over the partitions of this agent's journal that looked for old records.",
		func(s retention.Stats) int64 { return s.Passes })
	counter("raised_total", "Log starts that were raised because records were too old or too many.", func(s retention.Stats) int64 { return s.Raised })
	counter("dropped_units_total", "Extents and runs that log starts were raised past.", func(s retention.Stats) int64 { return s.Units })
	counter("dropped_bytes_total", "Bytes of record batches that log starts were raised past.", func(s retention.Stats) int64 { return s.Bytes })
	counter("failed_total", "Partitions whose old records could not be looked at or dropped; the next pass tries again.",
		func(s retention.Stats) int64 { return s.Failed })
	gauge("last_pass_timestamp_seconds", "When the last pass ended; 0 before the first.", func(s retention.Stats) float64 { return float64(s.LastEnded) })
	gauge("timeless", "1 while no two of the clocks of machine, bucket and Redis agree: nothing is dropped by age.",
		func(s retention.Stats) float64 { return one(s.Timeless) })
	gauge("stopped", "1 after the clock jumped and much would have been dropped: nothing is dropped by age until a person deletes retention-stopped in the data directory.",
		func(s retention.Stats) float64 { return one(s.Stopped) })
}
