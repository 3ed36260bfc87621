package agent

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/odradek/odradek/agent/settings"
	"github.com/odradek/odradek/compaction"
)

const (
	mostSweeps = 15 * time.Minute // between looks for garbage, however long its grace is
	mostTrims  = time.Minute      // between trims of one journal
	strayGrace = 24               // times the grace, until what was made and never used goes
	// stepsOfObject is how often each input of an object of level 2 is read, if all have the memory of a job together.
	stepsOfObject = 2
	largeHeap     = 1 << 30 // --memory from which on objects of level 2 get their full size: parts of 64 MiB are in memory
)

// compacting says when segments are compacted and garbage is deleted, by an agent's settings. What cfg says of that already
// stays, as in tests.
func compacting(cfg compaction.Config, set settings.Settings) compaction.Config {
	if cfg.Merge == (compaction.MergeConfig{}) {
		cfg.Merge = compaction.MergeConfig{
			Bytes: int64(set.Compaction.Size), Slots: set.Compaction.Slots, Interval: set.Compaction.Interval,
			Gather: set.Compaction.Gather, InputBytes: divide(set.Memory).merge,
		}
		cfg.Merge.ObjectBytes = stepsOfObject * cfg.Merge.InputBytes
		if set.Memory < largeHeap {
			cfg.Merge.ObjectBytes = int64(set.Memory) / 8
			cfg.Merge.RestBytes = cfg.Merge.ObjectBytes / 4
		}
	}
	if cfg.Garbage == (compaction.GarbageConfig{}) {
		cfg.Garbage = compaction.GarbageConfig{Trim: min(set.Compaction.Interval, mostTrims), Sweep: strayGrace * set.GCGrace, Age: set.GCAge}
	}
	if cfg.Grace == 0 {
		cfg.Grace = set.GCGrace
	}
	if cfg.Sweep == 0 {
		cfg.Sweep = min(max(set.GCGrace/4, time.Second), mostSweeps)
	}
	if cfg.Stagger == 0 {
		cfg.Stagger = min(time.Minute, set.Compaction.Interval, set.Checkpoint.Interval)
	}
	return cfg
}

// eraOpen says whether this agent works in the newest era that the control log names: while none is open nothing is
// compacted or deleted (R4).
func (s *session) eraOpen() bool {
	newest, ok := s.cluster.State().NewestEra()
	return ok && s.cluster.Era() == uint64(newest.Number)
}

// registerCompaction registers what is told of compaction and garbage. did is called at each scrape.
func registerCompaction(r prometheus.Registerer, did func() compaction.Stats) {
	counter := func(name, help string, labels prometheus.Labels, value func(compaction.Stats) int64) {
		r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: "odradek", Name: name, Help: help, ConstLabels: labels},
			func() float64 { return float64(value(did())) }))
	}
	for _, k := range []compaction.Kind{compaction.FromSlots, compaction.FromRuns, compaction.Drop, compaction.Rewrite, compaction.Keys} {
		counter("compaction_jobs_total", "Jobs of compaction that came to something: slots made into runs, runs into larger ones, "+
			"runs below the log start dropped, objects rewritten of which little was left, runs cleaned by key.", prometheus.Labels{"kind": k.String()},
			func(s compaction.Stats) int64 { return s.Jobs[k] })
	}
	counter("compaction_jobs_lost_total", "Jobs done in vain: another agent's came first.", nil, func(s compaction.Stats) int64 { return s.JobsLost })
	counter("compaction_jobs_failed_total", "Jobs that failed and are tried again.", nil, func(s compaction.Stats) int64 { return s.JobsFailed })
	counter("compaction_jobs_damaged_total", "Jobs that failed since what they were to read is damaged or missing. It stays as it is.", nil,
		func(s compaction.Stats) int64 { return s.JobsDamaged })
	counter("compaction_read_bytes_total", "Stored bytes that compaction read.", nil, func(s compaction.Stats) int64 { return s.Read })
	counter("compaction_written_bytes_total", "Bytes of compacted objects written.", nil, func(s compaction.Stats) int64 { return s.Written })
	counter("compaction_keys_records_total", "Records that key compaction went over.", nil, func(s compaction.Stats) int64 { return s.KeyRecords })
	counter("compaction_keys_dropped_total", "Records that went since their key has a newer one, or as tombstones.", nil,
		func(s compaction.Stats) int64 { return s.KeyDropped })
	counter("compaction_keys_tombstones_total", "Tombstones of those.", nil, func(s compaction.Stats) int64 { return s.KeyTombstones })
	counter("compaction_keys_unreadable_total", "Batches kept whole since their records are malformed, or too large unpacked.", nil,
		func(s compaction.Stats) int64 { return s.KeyUnreadable })
	counter("compaction_trims_total", "Times that a journal was trimmed.", nil, func(s compaction.Stats) int64 { return s.Trims })
	counter("garbage_objects_total", "Objects deleted since nothing needs them any more.", nil, func(s compaction.Stats) int64 { return s.GarbageObjects })
	counter("garbage_bytes_total", "Bytes of those.", nil, func(s compaction.Stats) int64 { return s.GarbageBytes })
}
