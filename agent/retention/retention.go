package retention

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/topic"
)

const (
	firstPass  = 30 * time.Second       // before the first pass, if passes are rarer than that; as in Kafka
	leastPause = 100 * time.Millisecond // between two passes, whatever the setting says
	raiseMost  = 1000                   // log starts raised at once
)

// ErrElsewhere is what Records say of a log start that is another agent's to raise by now. It is no failure.
var ErrElsewhere = errors.New("partition is not this agent's any more")

// Records is the log as retention sees it. Its methods are called from one goroutine.
type Records interface {
	// Partitions lists the partitions that this agent owns now and that have anything to do with retention; none while
	// nothing may be dropped (R4).
	Partitions() []Partition
	// Units walks what a partition holds and counts, from its log start on, oldest first. It may be walked several times.
	Units(p topic.Partition) iter.Seq[Unit]
	// Written is when the object that holds a unit was written, by the store's clock.
	Written(ctx context.Context, u Unit) (time.Time, error)
	// Raise raises log starts and returns when they count. The errors are those of the log starts, in order; what could not
	// be raised is tried again with the next pass.
	Raise(ctx context.Context, to []segment.LogStart) []error
	// Interval is the pause between two passes.
	Interval() time.Duration
}

// Mark outlives the process: it says that retention by time was stopped, until a person takes it away.
type Mark interface {
	Set(why string) error
	There() (bool, error)
	Clear() error
}

// Config holds the clocks.
type Config struct {
	Witnesses []Witness            // this machine's clock, the bucket's, Redis'
	Elapsed   func() time.Duration // a clock that never jumps, and goes on while the machine sleeps
	Log       *slog.Logger
}

// Stats is what an engine did, and how it stands.
type Stats struct {
	Passes    int64 // that came to their end
	Failed    int64 // of partitions, passes in which their records could not be looked at or dropped
	Raised    int64 // log starts
	Units     int64 // dropped
	Bytes     int64 // of record batches dropped
	Timeless  bool  // no two clocks agree: nothing goes by age
	Stopped   bool  // a clock jumped: nothing goes by age until a person says so
	LastEnded int64 // when the last pass ended, seconds since 1970 by this machine's clock; 0: none did
}

// Engine drops old records. Stats may be called concurrently with Run.
type Engine struct {
	records Records
	mark    Mark
	cfg     Config
	base    base  // Run only
	stopped state // Run only

	passes, failed, raised, units, bytes, ended atomic.Int64
	isTimeless, isStopped                       atomic.Bool
}

// state is whether retention by time is stopped.
type state struct {
	now    bool
	marked bool // the mark says so, too
	begun  bool // the mark was looked at
}

// New makes an engine that has done nothing yet.
func New(records Records, mark Mark, cfg Config) *Engine {
	return &Engine{records: records, mark: mark, cfg: cfg}
}

// Stats tells what was done so far.
func (e *Engine) Stats() Stats {
	return Stats{
		Passes: e.passes.Load(), Failed: e.failed.Load(), Raised: e.raised.Load(), Units: e.units.Load(), Bytes: e.bytes.Load(),
		Timeless: e.isTimeless.Load(), Stopped: e.isStopped.Load(), LastEnded: e.ended.Load(),
	}
}

// Run makes passes until ctx ends, and returns nil then.
func (e *Engine) Run(ctx context.Context) error {
	pause := min(firstPass, e.records.Interval())
	for {
		pause = max(leastPause, pause)
		look := time.NewTimer(pause - rand.N(pause/10))
		select {
		case <-ctx.Done():
			look.Stop()
			return nil
		case <-look.C:
		}
		e.pass(ctx)
		pause = e.records.Interval()
	}
}

// pass looks at every partition and drops what is to go.
func (e *Engine) pass(ctx context.Context) {
	partitions := e.records.Partitions()
	if len(partitions) == 0 {
		return
	}
	now, elapsed := e.time(ctx)
	e.recall()
	e.resume(now, e.base.jump(now, elapsed))
	jumped, byAge := e.base.jump(now, elapsed), now
	if e.stopped.now {
		byAge = time.Time{}
	}
	plans := e.plans(ctx, partitions, byAge, jumped != 0)
	if jumped != 0 && !e.stopped.now {
		if worst, ok := tooMuch(plans); ok {
			e.stop(fmt.Sprintf("the clock jumped by %v and %d of the %d bytes that this agent has of topic %s would go",
				jumped.Round(time.Second), worst.aged, worst.all, worst.id))
			plans = e.plans(ctx, partitions, time.Time{}, false)
		}
	}
	if ctx.Err() != nil {
		return
	}
	if !now.IsZero() && !e.stopped.now {
		e.base = base{now, elapsed}
	}
	e.drop(ctx, plans)
	e.passes.Add(1)
	e.ended.Store(time.Now().Unix())
}

// time asks the clocks, and tells people once when they begin or cease to agree.
func (e *Engine) time(ctx context.Context) (time.Time, time.Duration) {
	readings := ask(ctx, e.cfg.Witnesses)
	elapsed := e.cfg.Elapsed()
	now, err := agreed(readings)
	if ctx.Err() != nil {
		return time.Time{}, elapsed
	}
	if was := e.isTimeless.Swap(err != nil); was != (err != nil) {
		if err != nil {
			e.cfg.Log.WarnContext(ctx, "no records are dropped by age: clocks do not agree", "clocks", said(readings))
		} else {
			e.cfg.Log.InfoContext(ctx, "clocks agree again, records are dropped by age", "clocks", said(readings))
		}
	}
	return now, elapsed
}

// plans decides about all partitions.
func (e *Engine) plans(ctx context.Context, partitions []Partition, now time.Time, counted bool) []plan {
	out := make([]plan, 0, len(partitions))
	for _, p := range partitions {
		if ctx.Err() != nil {
			return nil
		}
		if !p.Policy.Bounded() {
			continue
		}
		found, err := e.look(ctx, p, now, counted, e.records.Units(p.Partition))
		if err != nil {
			e.lost(ctx, p.Partition, err)
			continue
		}
		if found.units > 0 || counted {
			out = append(out, found)
		}
	}
	return out
}

// lost counts a partition that this pass does nothing for.
func (e *Engine) lost(ctx context.Context, p topic.Partition, err error) {
	if ctx.Err() != nil {
		return
	}
	e.failed.Add(1)
	e.cfg.Log.WarnContext(ctx, "old records not dropped, trying again with the next pass", "partition", p.String(), "error", err)
}

// drop raises the log starts.
func (e *Engine) drop(ctx context.Context, plans []plan) {
	for len(plans) > 0 {
		some := plans[:min(raiseMost, len(plans))]
		plans = plans[len(some):]
		var to []segment.LogStart
		var of []plan
		for _, p := range some {
			if p.units > 0 {
				to, of = append(to, segment.LogStart{Partition: p.partition.Partition, Start: p.to}), append(of, p)
			}
		}
		if len(to) == 0 {
			continue
		}
		for i, err := range e.records.Raise(ctx, to) {
			if errors.Is(err, ErrElsewhere) {
				continue
			}
			if err != nil {
				e.lost(ctx, to[i].Partition, err)
				continue
			}
			e.raised.Add(1)
			e.units.Add(int64(of[i].units))
			e.bytes.Add(of[i].bytes)
			e.cfg.Log.DebugContext(ctx, "old records dropped", "partition", to[i].Partition.String(), "log_start", int64(to[i].Start), "bytes", of[i].bytes)
		}
	}
}

// loss is what a topic would lose by age.
type loss struct {
	id        topic.ID
	aged, all int64
}

// tooMuch finds the topic that would lose most, if any loses more than half.
func tooMuch(plans []plan) (worst loss, found bool) {
	topics := make(map[topic.ID]loss)
	for _, p := range plans {
		l := topics[p.partition.Topic]
		l.id, l.aged, l.all = p.partition.Topic, l.aged+p.aged, l.all+p.all
		topics[l.id] = l
	}
	for _, l := range topics {
		if l.aged > l.all/2 && (!found || l.aged > worst.aged || l.aged == worst.aged && l.id.String() < worst.id.String()) {
			worst, found = l, true
		}
	}
	return worst, found
}

// recall takes over, once, what an earlier process has stopped.
func (e *Engine) recall() {
	if e.stopped.begun {
		return
	}
	there, err := e.mark.There()
	if err != nil {
		e.cfg.Log.Warn("it cannot be told whether retention by time was stopped", "error", err)
		return
	}
	e.stopped.begun = true
	if there {
		e.stopped.now, e.stopped.marked = true, true
		e.isStopped.Store(true)
		e.cfg.Log.Error("no records are dropped by age: an earlier process found that the clock jumped", "mark", e.mark)
	}
}

// stop ends retention by time until a person says that the clock is right, or it is again.
func (e *Engine) stop(why string) {
	e.stopped.now = true
	e.isStopped.Store(true)
	e.cfg.Log.Error("no records are dropped by age any more: if the clock is right now, delete the mark", "why", why, "mark", e.mark)
	e.setMark(why)
}

func (e *Engine) setMark(why string) {
	err := e.mark.Set(why)
	if e.stopped.marked = err == nil; err != nil {
		e.cfg.Log.Warn("a restart of this agent would forget that retention by time is stopped", "error", err)
	}
}

// resume goes on if a person took the mark away, or the clock is where it should be again.
func (e *Engine) resume(now time.Time, jumped time.Duration) {
	if !e.stopped.now || now.IsZero() {
		return
	}
	var why string
	switch there, err := e.mark.There(); {
	case !e.base.at.IsZero() && jumped == 0:
		why = "the clock is back"
	case err != nil:
		e.cfg.Log.Warn("it cannot be told whether retention by time may go on", "error", err)
		return
	case !there && e.stopped.marked:
		why = "the mark was deleted"
		e.base = base{} // what this clock says from now on is right
	case !there:
		e.setMark("the clock jumped")
		return
	default:
		return
	}
	if err := e.mark.Clear(); err != nil {
		e.cfg.Log.Warn("the mark of a clock that jumped cannot be deleted", "error", err)
		return
	}
	e.stopped.now, e.stopped.marked = false, false
	e.isStopped.Store(false)
	e.cfg.Log.Info("records are dropped by age again", "why", why)
}
