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
	Extents      int           // or extents in slots; 400,000: all agents have those above a checkpoint in memory
	Records      int           // or control numbers; 500
	Interval     time.Duration // or so much time, 10 minutes,
	LeastSlots   int           // if there are at least so many slots, 64,
	LeastRecords int           // or control numbers, 16
	Stagger      time.Duration // what each agent waits longer than the one before it; 1 minute
	Look         time.Duration // how often it is looked whether there is something to do; 5 s
	Sweep        time.Duration // how often objects are swept; 15 minutes
	Grace        time.Duration // for how long nothing names an object before it is deleted; 1 hour
	MostExtents  int           // that one checkpoint takes in; the next one takes more; 500,000: they are in memory

	// Above counts the extents in slots at or above what next gives for their journals; nil: it is reckoned by what the
	// checkpoint that was computed here last took.
	Above func(next func(topic.JournalID) topic.Slot) int
	// Ranked gives this compactor's place among those that share the work on an item, and their number; a place below 0: it
	// takes no part. nil: it is that of Journal among those that are open, by rendezvous.
	Ranked func(s *control.State, item topic.JournalID) (place, of int)

	Merge   MergeConfig
	Keys    KeysConfig
	Garbage GarbageConfig
	Forks   Forks       // how those are seen that began from this cluster; nil: they are left as they are
	Open    func() bool // whether the newest era is open: while none is, nothing is compacted, trimmed or deleted (R4); nil: always
}

// MergeConfig says when extents and runs are merged, and into what. The zero value is the default.
type MergeConfig struct {
	Bytes    int64         // stored bytes of a group above its runs from which on they are compacted; 64 MiB
	Slots    int           // or slots that they lie in, 256
	Interval time.Duration // or so long after the last time, 10 minutes

	InputBytes  int64         // stored bytes that one job takes out of slots; they are in memory; 128 MiB
	ReadBytes   int64         // what one GET of each of the objects that are merged is to bring; 2 MiB
	Objects     int           // objects of level 1 of a group that gather until they are merged, 64; fewer where InputBytes has no ReadBytes for each
	GatherBytes int64         // or their bytes; 8 GiB
	Gather      time.Duration // or how long the oldest of at least LeastGather waits, as this process saw it; 24 hours
	LeastGather int           // 8, or Objects if that is less
	ObjectBytes int64         // what one object of level 2 is made of at most; 256 MiB
	RestBytes   int64         // a run of so many bytes is not merged again; 64 MiB
	Codec       segment.Codec // of records that were sent uncompressed; zstd
}

// GarbageConfig says when what is not needed goes. The zero value is the default.
type GarbageConfig struct {
	Trim  time.Duration // how often a journal is trimmed at most; 1 minute
	Sweep time.Duration // how old a control number is when a SWEEP names it; 24 hours: a job that takes longer is lost
	Age   time.Duration // how old a seal or a control number is when it goes; 7 days: longer than anybody sleeps who goes on as if nothing was
}

// withDefaults fills in what is not set.
func (c Config) withDefaults() Config {
	for _, d := range []struct {
		field *int
		value int
	}{{&c.Slots, 4096}, {&c.Extents, 400_000}, {&c.Records, 500}, {&c.LeastSlots, 64}, {&c.LeastRecords, 16}, {&c.MostExtents, 500_000}} {
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
	c.Merge, c.Garbage = c.Merge.withDefaults(), c.Garbage.withDefaults()
	c.Keys = c.Keys.withDefaults(c.Merge.InputBytes)
	if c.Ranked == nil {
		c.Ranked = func(s *control.State, item topic.JournalID) (place, of int) { return rankFor(s, c.Journal, item) }
	}
	if c.Open == nil {
		c.Open = func() bool { return true }
	}
	return c
}

func (c MergeConfig) withDefaults() MergeConfig {
	orElse(&c.Bytes, 64<<20)
	orElse(&c.Slots, 256)
	orElse(&c.Interval, 10*time.Minute)
	orElse(&c.InputBytes, 128<<20)
	orElse(&c.ReadBytes, 2<<20)
	orElse(&c.Objects, 64)
	orElse(&c.GatherBytes, 8<<30)
	orElse(&c.Gather, 24*time.Hour)
	orElse(&c.LeastGather, min(8, c.Objects))
	c.Bytes = min(c.Bytes, c.InputBytes) // more would be left over by each job, until the interval is over again
	orElse(&c.ObjectBytes, 256<<20)
	orElse(&c.RestBytes, 64<<20)
	if c.Codec == segment.None {
		c.Codec = segment.Zstd
	}
	return c
}

func (c GarbageConfig) withDefaults() GarbageConfig {
	orElse(&c.Trim, time.Minute)
	orElse(&c.Sweep, 24*time.Hour)
	orElse(&c.Age, 7*24*time.Hour)
	return c
}

// orElse sets what is not set.
func orElse[T int | int64 | time.Duration](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
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

	Jobs                    [kinds]int64 // of compaction that came to something, by Kind
	JobsLost                int64        // whose inputs another job took first
	JobsFailed, JobsDamaged int64        // tried again; of those, the ones that met damaged or missing inputs
	Read, Written           int64        // bytes of compaction's inputs; of its outputs
	Trims                   int64

	KeyRecords, KeyDropped       int64 // records that key compaction went over; of those, the ones that went
	KeyTombstones, KeyUnreadable int64 // tombstones that went; batches kept whole since their records cannot be read

	GarbageObjects, GarbageBytes int64 // deleted, those of checkpoints included
}

// Kind is what a job of compaction does.
type Kind uint8

// The kinds.
const (
	FromSlots Kind = iota // extents of slots into an object of level 1
	FromRuns              // runs of level 1 into an object of level 2
	Drop                  // runs below the log start away
	Rewrite               // what is left of an object into another
	Keys                  // runs into runs without what has a newer record of its key

	kinds = 5
)

func (k Kind) String() string { return [kinds]string{"slots", "runs", "drop", "rewrite", "keys"}[k] }

// Compactor makes, verifies and sweeps checkpoints for one agent. Build, Verify and Sweep take turns with Run's work, and
// may be called while it runs.
type Compactor struct {
	log   Log
	store objectstore.Store
	cfg   Config

	working chan struct{}        // held by the one who works, and guards what follows; capacity 1
	last    *checkpoint.Head     // the newest one that was read or made here
	unnamed map[string]time.Time // objects that no checkpoint kept names -> since when, by this process's own clock
	survey  *survey              // of the newest verified checkpoint, as far as it was needed; nil: to be read
	groups  groups
	trimmed map[topic.JournalID]time.Time // when last
	resting map[topic.Partition]*pace     // that could not be cleaned by key

	cleaning *keyWork // by key, that is under way; nil: none

	timeless bool // people were told that no clocks agree
	garbage  garbage
	pinning  pinning

	perSlot                                          atomic.Int64 // extents in a thousand slots, by the checkpoint computed last
	built, verified, mismatched, lost, failed, swept atomic.Int64
	merged                                           merged
	owed                                             [3]atomic.Bool // something waits for another checkpoint: to be trimmed, to be deleted, to be swept
}

// merged counts what compaction did.
type merged struct {
	jobs                                [kinds]atomic.Int64
	lost, failed, damaged               atomic.Int64
	read, written                       atomic.Int64
	trims, garbageObjects, garbageBytes atomic.Int64
	keyRecords, keyDropped              atomic.Int64
	keyTombstones, keyUnreadable        atomic.Int64
}

// New makes a Compactor. It works once Run is called.
func New(log Log, store objectstore.Store, cfg Config) *Compactor {
	return &Compactor{
		log: log, store: store, cfg: cfg.withDefaults(), working: make(chan struct{}, 1), garbage: newGarbage(),
		trimmed: make(map[topic.JournalID]time.Time), resting: make(map[topic.Partition]*pace),
	}
}

// Stats gives what was done so far. It may be called at any time.
func (c *Compactor) Stats() Stats {
	m := &c.merged
	s := Stats{
		Built: c.built.Load(), Verified: c.verified.Load(), Mismatched: c.mismatched.Load(), Lost: c.lost.Load(),
		Failed: c.failed.Load(), Swept: c.swept.Load(),
		JobsLost: m.lost.Load(), JobsFailed: m.failed.Load(), JobsDamaged: m.damaged.Load(), Read: m.read.Load(),
		Written: m.written.Load(), Trims: m.trims.Load(), GarbageObjects: m.garbageObjects.Load(), GarbageBytes: m.garbageBytes.Load(),
		KeyRecords: m.keyRecords.Load(), KeyDropped: m.keyDropped.Load(), KeyTombstones: m.keyTombstones.Load(),
		KeyUnreadable: m.keyUnreadable.Load(),
	}
	for k := range s.Jobs {
		s.Jobs[k] = m.jobs[k].Load()
	}
	return s
}

const (
	firstRetry = 15 * time.Second // after work that failed
	lastRetry  = 10 * time.Minute
)

// pace is when work of one kind is tried again after it failed.
type pace struct {
	tries  int
	rested time.Time // not before
}

// result takes in how an attempt went. lost work is no failure: another agent did it.
func (p *pace) result(err error) {
	if err == nil || errors.Is(err, ErrLost) {
		*p = pace{}
		return
	}
	wait := min(firstRetry<<min(p.tries, 10), lastRetry)
	p.tries, p.rested = p.tries+1, time.Now().Add(wait/2+rand.N(wait))
}

func (p *pace) ready() bool { return !time.Now().Before(p.rested) }

// Run does what is this agent's to do until ctx ends: it makes and verifies checkpoints, compacts, trims, and deletes what
// is not needed. What fails is tried again, with growing pauses; the agent goes on without it.
func (c *Compactor) Run(ctx context.Context) error {
	var w watch
	var checkpoints pace
	cleaning := newCleaning(c.cfg, time.Now())
	for busy := false; ; {
		if !busy {
			if err := pause(ctx, c.cfg.Look-rand.N(c.cfg.Look/10+1)); err != nil {
				return err
			}
		}
		view := w.look(c.log, c.cfg, time.Now(), c.extentsSince)
		view.owing = c.owes()
		if what := view.turn(c.cfg); what != toRest && checkpoints.ready() {
			var err error
			if what == toBuild {
				var r control.Checkpoint
				if r, err = c.Build(ctx); err == nil {
					w.mine = r.ID
				}
			} else {
				err = c.Verify(ctx, view.pending)
			}
			checkpoints.result(err)
			c.tell(ctx, what.String(), view, err)
		}
		busy = c.keep(ctx, view, &cleaning) // also where a checkpoint is due at every look
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// extentsSince says how many extents there are in slots since a checkpoint.
func (c *Compactor) extentsSince(newest control.CheckpointInfo, slots int) int {
	if c.cfg.Above != nil {
		return c.cfg.Above(newest.Next)
	}
	return int(c.perSlot.Load() * int64(slots) / 1000)
}

// owes says whether something waits for another checkpoint.
func (c *Compactor) owes() bool { return c.owed[0].Load() || c.owed[1].Load() || c.owed[2].Load() }

// cleaning is when what is not urgent comes next.
type cleaning struct {
	merges, trims, sweeps pace
	trim, sweep           time.Time // not before
}

func newCleaning(cfg Config, now time.Time) cleaning {
	return cleaning{trim: now.Add(cfg.Garbage.Trim), sweep: now.Add(cfg.Sweep)}
}

// keep compacts, trims and deletes. It says whether there is more to compact at once.
func (c *Compactor) keep(ctx context.Context, v view, w *cleaning) (busy bool) {
	if w.merges.ready() {
		did, err := c.Compact(ctx)
		w.merges.result(err)
		c.tell(ctx, "compact", v, err)
		busy = did
	}
	if now := time.Now(); now.After(w.trim) && w.trims.ready() {
		w.trim = now.Add(c.cfg.Garbage.Trim * time.Duration(1+10*v.cleaner))
		err := c.Trim(ctx)
		w.trims.result(err)
		c.tell(ctx, "trim", v, err)
	}
	if now := time.Now(); now.After(w.sweep) && w.sweeps.ready() {
		w.sweep = now.Add(c.cfg.Sweep * time.Duration(1+v.cleaner))
		err := c.Sweep(ctx)
		if err == nil {
			err = c.Collect(ctx)
		}
		w.sweeps.result(err)
		c.tell(ctx, "sweep", v, err)
	}
	return busy
}

// tell says once what an attempt failed for.
func (c *Compactor) tell(ctx context.Context, work string, v view, err error) {
	switch {
	case err == nil || errors.Is(err, ErrLost) || ctx.Err() != nil:
	case errors.Is(err, ErrNothing):
		slog.DebugContext(ctx, "no checkpoint made", "because", err)
	case errors.Is(err, ErrMismatch):
		slog.ErrorContext(ctx, "a checkpoint is not what the log says and is not used", "control", v.pending.Control, "id", v.pending.ID.String(), "error", err)
	case errors.Is(err, errTold):
	default:
		c.failed.Add(1)
		slog.WarnContext(ctx, "work on what is stored is tried again later", "work", work, "error", err)
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
