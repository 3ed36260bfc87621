package compaction

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/odradek/odradek/checkpoint"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/topic"
)

// Log is the control log and the journals, as one agent sees them.
type Log interface {
	// State is the newest control state applied.
	State() *control.State
	// Propose appends records to the control log, made from the newest state, again each time another's record came first;
	// none and no error mean that there is nothing to do.
	Propose(ctx context.Context, decide func(*control.State) ([]control.Record, error)) ([]control.Outcome, error)
	// Counted gives the first slot of a journal that this agent does not know to count, or that others may not see yet.
	Counted(topic.JournalID) topic.Slot
	// Slots tells fn, in slot order, what the footers of the slots [from, to) of a journal say; all of them count. What fn
	// is given is its own. It returns fn's error as it is, or wrapped.
	Slots(ctx context.Context, j topic.JournalID, from, to topic.Slot, fn func(segment.SlotExtents) error) error
}

// Config says who works and when. The zero value of all but Journal is the default.
type Config struct {
	Journal topic.JournalID // of this agent

	Slots        int           // slots since the newest checkpoint from which on another is made; 4,096
	Records      int           // or control numbers; 500
	Interval     time.Duration // or so much time, 10 minutes,
	LeastSlots   int           // if there are at least so many slots, 64,
	LeastRecords int           // or control numbers, 16
	Stagger      time.Duration // what each agent waits longer than the one before it; 1 minute
	Look         time.Duration // how often it is looked whether there is something to do; 5 s
	Sweep        time.Duration // how often objects are swept; 15 minutes
	Grace        time.Duration // for how long nothing names an object before it is deleted; 1 hour
	MostExtents  int           // that one checkpoint takes in; the next one takes more; 500,000: they are in memory
}

// withDefaults fills in what is not set.
func (c Config) withDefaults() Config {
	for _, d := range []struct {
		field *int
		value int
	}{{&c.Slots, 4096}, {&c.Records, 500}, {&c.LeastSlots, 64}, {&c.LeastRecords, 16}, {&c.MostExtents, 500_000}} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&c.Interval, 10 * time.Minute}, {&c.Stagger, time.Minute}, {&c.Look, 5 * time.Second},
		{&c.Sweep, 15 * time.Minute}, {&c.Grace, time.Hour},
	} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	return c
}

// What keeps a checkpoint from being made or verified. Errors wrap one of these, or those of checkpoint, segment and the
// store.
var (
	// ErrNothing says that nothing could be taken since the checkpoint before.
	ErrNothing = errors.New("nothing new for a checkpoint")
	// ErrMismatch says that a checkpoint is not what was computed a second time.
	ErrMismatch = errors.New("checkpoint is not what the log says")
	// ErrLost says that the control log went on with another checkpoint: what was made is garbage.
	ErrLost = errors.New("another checkpoint came first")
)

// Stats counts what a Compactor did.
type Stats struct {
	Built, Verified, Mismatched, Lost, Failed int64
	Swept                                     int64 // objects deleted
}

// Compactor makes, verifies and sweeps checkpoints for one agent. Build, Verify and Sweep take turns with Run's work, and
// may be called while it runs.
type Compactor struct {
	log   Log
	store objectstore.Store
	cfg   Config

	working chan struct{}        // held by the one who works, and guards what follows; capacity 1
	last    *checkpoint.Head     // the newest one that was read or made here
	unnamed map[string]time.Time // objects that no checkpoint kept names -> since when, by this process's own clock

	built, verified, mismatched, lost, failed, swept atomic.Int64
}

// New makes a Compactor. It works once Run is called.
func New(log Log, store objectstore.Store, cfg Config) *Compactor {
	return &Compactor{log: log, store: store, cfg: cfg.withDefaults(), working: make(chan struct{}, 1)}
}

// Stats gives what was done so far. It may be called at any time.
func (c *Compactor) Stats() Stats {
	return Stats{
		Built: c.built.Load(), Verified: c.verified.Load(), Mismatched: c.mismatched.Load(), Lost: c.lost.Load(),
		Failed: c.failed.Load(), Swept: c.swept.Load(),
	}
}

const (
	firstRetry = 15 * time.Second // after work that failed
	lastRetry  = 10 * time.Minute
)

// Run makes and verifies checkpoints when it is this agent's turn, and sweeps, until ctx ends. What fails is tried again,
// with growing pauses; the agent goes on without it.
func (c *Compactor) Run(ctx context.Context) error {
	var w watch
	var tries int
	var rested, swept time.Time // not before
	swept = time.Now().Add(c.cfg.Sweep)
	for {
		if err := pause(ctx, c.cfg.Look-rand.N(c.cfg.Look/10+1)); err != nil {
			return err
		}
		view := w.look(c.log, c.cfg, time.Now())
		if time.Now().Before(rested) {
			continue
		}
		var err error
		what := view.turn(c.cfg)
		switch what {
		case toBuild:
			var r control.Checkpoint
			if r, err = c.Build(ctx); err == nil {
				w.mine = r.ID
			}
		case toVerify:
			err = c.Verify(ctx, view.pending)
		default:
			if time.Now().After(swept) && view.sweeper {
				what, swept = toSweep, time.Now().Add(c.cfg.Sweep)
				err = c.Sweep(ctx)
			}
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err == nil || errors.Is(err, ErrLost) {
			tries = 0
			continue
		}
		wait := min(firstRetry<<min(tries, 10), lastRetry)
		rested = time.Now().Add(wait/2 + rand.N(wait))
		tries++
		c.tell(ctx, what, view, err)
	}
}

// tell says once what an attempt failed for.
func (c *Compactor) tell(ctx context.Context, what work, v view, err error) {
	switch {
	case errors.Is(err, ErrNothing):
		slog.DebugContext(ctx, "no checkpoint made", "because", err)
	case errors.Is(err, ErrMismatch):
		slog.ErrorContext(ctx, "a checkpoint is not what the log says and is not used", "control", v.pending.Control, "id", v.pending.ID.String(), "error", err)
	default:
		c.failed.Add(1)
		slog.WarnContext(ctx, "checkpoint work is tried again later", "work", what.String(), "error", err)
	}
}

// begin waits until nobody works, and says that the caller does.
func (c *Compactor) begin(ctx context.Context) error {
	select {
	case c.working <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (c *Compactor) done() { <-c.working }

// head reads a checkpoint's head, unless it is at hand. The caller works.
func (c *Compactor) head(ctx context.Context, info control.CheckpointInfo) (*checkpoint.Head, error) {
	if c.last != nil && c.last.Name() == nameOf(info) {
		return c.last, nil
	}
	h, err := checkpoint.ReadHead(ctx, c.store, info.Control, info.ID)
	if err != nil {
		return nil, err
	}
	for _, j := range h.Journals {
		if want := info.Next(j.ID); j.Next != want {
			return nil, fmt.Errorf("%s: %w: it goes up to slot %d of journal %s, the control log says %d", h.Name(), checkpoint.ErrCorrupt, j.Next, j.ID, want)
		}
	}
	for j, want := range info.Journals() {
		if have := h.Next(j); have != want {
			return nil, fmt.Errorf("%s: %w: it goes up to slot %d of journal %s, the control log says %d", h.Name(), checkpoint.ErrCorrupt, have, j, want)
		}
	}
	c.last = h
	return h, nil
}

func nameOf(info control.CheckpointInfo) checkpoint.Name {
	return checkpoint.Name{Control: info.Control, ID: info.ID}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
