package agent

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/odradek/odradek/agent/cluster"
	"github.com/odradek/odradek/agent/retention"
	"github.com/odradek/odradek/agent/settings"
	"github.com/odradek/odradek/compaction"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/topic"
)

// compactionLog is cluster as compaction's Log.
type compactionLog struct{ *cluster.Engine }

// Counted implements compaction.Log.
func (l compactionLog) Counted(j topic.JournalID) topic.Slot { return l.Visible(j) }

// newCompactor makes what looks after what is stored: checkpoints, compaction, garbage; nil if this agent leaves that to
// others.
func (s *session) newCompactor() *compaction.Compactor {
	set := s.agent.settings
	if !set.Has(settings.RoleCompactor) {
		return nil
	}
	cfg := s.agent.compaction
	cfg.Journal, cfg.Slots, cfg.Interval = s.journal, set.Checkpoint.Slots, set.Checkpoint.Interval
	cfg = compacting(cfg, set)
	cfg.Open, cfg.Above, cfg.Keys.Values = s.eraOpen, s.fetch.Above, s.values
	cfg.Keys.Now = func(ctx context.Context) (time.Time, error) { return retention.Time(ctx, s.witnesses()) }
	cfg.Forks = forks{s.agent.openPlace}
	return compaction.New(compactionLog{s.cluster}, s.agent.store.For(objectstore.ReasonCompaction), cfg)
}

// compact looks after what is stored once what earlier WALs held is appended: until then there is work that clients wait
// for.
func (s *session) compact(ctx context.Context) error {
	select {
	case <-s.replayed:
		return s.compactor.Run(ctx)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// standing is how much of the log lies above the newest checkpoint: what a start has to read.
type standing struct {
	control topic.Slot // where the newest checkpoint stands; 0: there is none
	numbers int64      // control numbers above it
	slots   int64      // of all journals together
}

func (s *session) standing() standing { return standingAt(s.cluster.State(), s.cluster.Visible) }

func standingAt(state *control.State, visible func(topic.JournalID) topic.Slot) standing {
	newest, ok := state.NewestCheckpoint()
	at := standing{control: newest.Control, numbers: int64(state.Next())}
	if ok {
		at.numbers -= int64(newest.Control) + 1
	}
	for j := range state.Journals() {
		at.slots += max(0, int64(visible(j.ID))-int64(max(newest.Next(j.ID), j.Trim)))
	}
	return at
}

// registerCheckpoints registers what is told of checkpoints. Both functions are called at each scrape.
func registerCheckpoints(r prometheus.Registerer, at func() standing, did func() compaction.Stats) {
	gauge := func(name, help string, value func(standing) int64) {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "odradek", Name: name, Help: help},
			func() float64 { return float64(value(at())) }))
	}
	gauge("checkpoint_control", "Control number at which the newest verified checkpoint stands; 0: there is none.",
		func(s standing) int64 { return int64(s.control) })
	gauge("checkpoint_control_since", "Control numbers above the newest verified checkpoint: a start reads them.",
		func(s standing) int64 { return s.numbers })
	gauge("checkpoint_slots_since", "Slots of all journals above the newest verified checkpoint: a start reads their footers.",
		func(s standing) int64 { return s.slots })
	counter := func(name, help string, value func(compaction.Stats) int64) {
		r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: "odradek", Name: name, Help: help},
			func() float64 { return float64(value(did())) }))
	}
	counter("checkpoint_built_total", "Checkpoints made by this agent's journal.", func(s compaction.Stats) int64 { return s.Built })
	counter("checkpoint_verified_total", "Checkpoints computed a second time by this agent's journal, and found right.",
		func(s compaction.Stats) int64 { return s.Verified })
	counter("checkpoint_mismatched_total", "Checkpoints computed a second time and found wrong: a defect or damage. They are not used.",
		func(s compaction.Stats) int64 { return s.Mismatched })
	counter("checkpoint_lost_total", "Checkpoints made in vain: another agent's came first.", func(s compaction.Stats) int64 { return s.Lost })
	counter("checkpoint_failed_total", "Attempts to make, verify or sweep checkpoints that are tried again.",
		func(s compaction.Stats) int64 { return s.Failed })
	counter("checkpoint_swept_total", "Objects of old checkpoints deleted.", func(s compaction.Stats) int64 { return s.Swept })
	registerCompaction(r, did)
}

func (s *session) checkpointStats() compaction.Stats {
	if s.compactor == nil {
		return compaction.Stats{}
	}
	return s.compactor.Stats()
}
