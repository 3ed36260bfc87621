package compaction

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/odradek/odradek/checkpoint"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/topic"
)

// What keeps records from being erased. Errors wrap one of these, or those of segment and the store.
var (
	// ErrOffsets says that the offsets to be erased are not all there.
	ErrOffsets = errors.New("no such offsets")
	// ErrUnreadable says that it cannot be told which records of a batch are to be erased.
	ErrUnreadable = errors.New("batch cannot be looked into")
	// ErrTooMany says that more stretches of records were found than are erased at a time.
	ErrTooMany = errors.New("too many records to be erased at a time")
)

// Erasing says which records are to be erased: those that have a key, or those of some offsets.
type Erasing struct {
	Topic     topic.ID
	Partition int32  // the only one; -1: all
	Key       []byte // not nil: of the records with this key
	Offsets   []Span // without a key: of these, rising and apart
}

// Span is the offsets [From, To).
type Span struct{ From, To topic.Offset }

// ErasePart is what is to be erased of one partition.
type ErasePart struct {
	Partition topic.Partition
	Offsets   []Span // rising and apart; whole batches may be named with offsets that have no record any more
	Records   int64
}

// last is behind the last offset.
func (p ErasePart) last() topic.Offset { return p.Offsets[len(p.Offsets)-1].To }

// EraseConfig says how an Eraser works. The zero value of all but Refresh and End is the default.
type EraseConfig struct {
	Refresh  func(context.Context) error                                 // brings Log up to date; asked before each look
	End      func(context.Context, *control.Journal) (topic.Slot, error) // of a journal that is open: its first slot that is not there
	Look     time.Duration                                               // how long at least between two looks; 2 s
	Patience time.Duration                                               // how long another agent has to verify a checkpoint; 20 s
	Spans    int                                                         // that are erased at a time, at most; 1,000,000
	MaxRaw   int                                                         // bytes that the records of a batch may take unpacked; 256 MiB
	Tell     func(format string, args ...any)                            // of what was done; may be nil
}

// Eraser takes records out of all that the bucket holds. It works as a compactor does: by jobs and manifests, of which a
// race is only ever lost at Apply, and by TRIM and the deletion of garbage with the same graces. For one goroutine.
//
// What it rests on: a record lies in the slot that it came in and in what was made of that, so that whoever looked through
// all slots of the journals once, and at every compacted object each time, knows of all copies (I1, I5).
type Eraser struct {
	c   *Compactor
	cfg EraseConfig

	parts     map[topic.Partition]ErasePart
	holders   map[string]*Holder    // by key
	looked    map[topic.Object]bool // compacted objects that were looked into -> whether they hold some of it
	rewritten []Holder              // what was made of what held it
	astray    []string              // slots behind a seal
	swept     bool                  // a SWEEP came behind the last manifest
	sweptAt   time.Time             // by the store's clock, before that SWEEP; zero: not known
	pending   control.CheckpointID  // the newest, if it is not verified
	since     time.Time             // when that was seen first
	told      string
}

// runOf is a run and whose it is.
type runOf struct {
	partition topic.Partition
	run       topic.Run
}

// Holder is an object that holds, or held, records to be erased.
type Holder struct {
	Key  string     `json:"key"`
	Size int64      `json:"size"`
	Gone *time.Time `json:"gone,omitempty"` // when it was seen to be gone; nil: it is there

	journal topic.JournalID // of a slot
	slot    topic.Slot
	object  topic.Object // of a compacted object
}

// NewEraser makes one that works through c, which nobody else runs.
func NewEraser(c *Compactor, cfg EraseConfig) *Eraser {
	orElse(&cfg.Look, 2*time.Second)
	orElse(&cfg.Patience, 20*time.Second)
	orElse(&cfg.Spans, 1_000_000)
	orElse(&cfg.MaxRaw, 256<<20)
	if cfg.Tell == nil {
		cfg.Tell = func(string, ...any) {}
	}
	return &Eraser{
		c: c, cfg: cfg, parts: make(map[topic.Partition]ErasePart), holders: make(map[string]*Holder),
		looked: make(map[topic.Object]bool),
	}
}

// Add says what is to be erased, beside what was said before.
func (e *Eraser) Add(parts ...ErasePart) {
	for _, p := range parts {
		have := e.parts[p.Partition]
		have.Partition, have.Offsets = p.Partition, joinSpans(append(slices.Clone(have.Offsets), p.Offsets...))
		have.Records = max(have.Records, p.Records)
		e.parts[p.Partition] = have
	}
	clear(e.looked)
}

// Parts gives what is to be erased, by partition.
func (e *Eraser) Parts() []ErasePart {
	var out []ErasePart
	for _, p := range slices.SortedFunc(maps.Keys(e.parts), comparePartitions) {
		out = append(out, e.parts[p])
	}
	return out
}

// Held adds objects that held records to be erased, of which an earlier attempt knew.
func (e *Eraser) Held(holders, rewritten []Holder) {
	for _, h := range holders {
		if _, known := e.holders[h.Key]; !known {
			h.place()
			e.holders[h.Key] = &h
		}
	}
	e.rewritten = append(e.rewritten, rewritten...)
}

// Holders gives all objects that held or hold records to be erased, by key, and those that were made of them without.
func (e *Eraser) Holders() (holders, rewritten []Holder) {
	for _, k := range slices.Sorted(maps.Keys(e.holders)) {
		holders = append(holders, *e.holders[k])
	}
	return holders, e.rewritten
}

// Astray gives the slots behind the seals of journals: they never were part of the log, and nothing looks into them.
func (e *Eraser) Astray() []string { return e.astray }

// Left counts the holders that are still there.
func (e *Eraser) Left() (slots, objects int) {
	for _, h := range e.holders {
		switch {
		case h.Gone != nil:
		case h.object.IsZero():
			slots++
		default:
			objects++
		}
	}
	return slots, objects
}

// Run erases: it goes on until no object of the bucket holds any of the records. found is told each time it knows of more
// objects that do. Whenever it ends, another Eraser that is told the same goes on.
func (e *Eraser) Run(ctx context.Context, found func(context.Context) error) error {
	if err := e.lookThroughJournals(ctx); err != nil {
		return fmt.Errorf("look through the journals: %w", err)
	}
	known := -1
	for {
		if err := e.cfg.Refresh(ctx); err != nil {
			return err
		}
		if err := e.lookAround(ctx); err != nil {
			return err
		}
		if len(e.holders) != known {
			known = len(e.holders)
			if err := found(ctx); err != nil {
				return err
			}
		}
		slots, objects := e.Left()
		if slots+objects == 0 && len(e.behind()) == 0 {
			return e.abortUploads(ctx)
		}
		wait := e.cfg.Look
		did, err := e.step(ctx)
		switch {
		case err == nil && did:
			wait = 0
		case err == nil:
		case errors.Is(err, ErrLost) || errors.Is(err, ErrNothing):
			wait = e.cfg.Look / 2
		case errors.Is(err, objectstore.ErrNotFound) || errors.Is(err, objectstore.ErrRange):
			e.tell("tried again: %v", err) // it was swapped and deleted while it was read
		default:
			return err
		}
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
}

// tell tells what is going on, once.
func (e *Eraser) tell(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); text != e.told {
		e.told = text
		e.cfg.Tell("%s", text)
	}
}

// step does what is next. did says that more can be done at once.
func (e *Eraser) step(ctx context.Context) (did bool, err error) {
	if !e.c.cfg.Open() {
		e.tell("waits: the index is being built anew, or Redis is away")
		return false, nil
	}
	verified, waits, err := e.verifyPending(ctx)
	if verified || err != nil {
		return verified, err
	}
	if behind := e.behind(); len(behind) > 0 {
		enough, err := e.checkpointed(ctx, behind)
		switch {
		case err != nil:
			return false, err
		case enough:
			e.tell("slots are compacted")
			return e.c.compactUpTo(ctx, nil)
		case waits:
			return false, nil
		}
		return e.build(ctx)
	}
	if o, ok := e.affected(); ok {
		return true, e.rewrite(ctx, o)
	}
	if !e.swept {
		return true, e.sweep(ctx)
	}
	if did, err := e.c.compactUpTo(ctx, e.slotsLeft()); did || err != nil {
		return did, err
	}
	if err := e.c.Trim(ctx); err != nil {
		return false, err
	}
	if err := e.c.Collect(ctx); err != nil {
		return false, err
	}
	free, err := e.free(ctx)
	if err != nil {
		return false, err
	}
	if free {
		slots, objects := e.Left()
		e.tell("waits for the grace of %v: %d slots and %d compacted objects are deleted then", e.c.cfg.Grace, slots, objects)
		return false, nil
	}
	if waits {
		return false, nil
	}
	return e.build(ctx)
}

// behind gives the partitions of which something to be erased is in no run yet.
func (e *Eraser) behind() []ErasePart {
	s := e.c.log.State()
	var out []ErasePart
	for _, p := range e.parts {
		if _, there := s.Owner(p.Partition); there && s.Compaction(p.Partition).End < p.last() {
			out = append(out, p)
		}
	}
	return out
}

// affected gives an object that is read and holds something to be erased, be it in a run that was replaced: as long as it has
// another run that is current it stays.
func (e *Eraser) affected() (topic.Object, bool) {
	s := e.c.log.State()
	for _, key := range slices.Sorted(maps.Keys(e.holders)) {
		h := e.holders[key]
		if _, current := s.Object(h.object); current && h.Gone == nil {
			return h.object, true
		}
	}
	return topic.Object{}, false
}

// checkpointed says whether the newest verified checkpoint reaches all that is behind, so that it may be compacted (G2).
func (e *Eraser) checkpointed(ctx context.Context, behind []ErasePart) (bool, error) {
	newest, ok := e.c.log.State().NewestCheckpoint()
	if !ok {
		return false, nil
	}
	if err := e.c.begin(ctx); err != nil {
		return false, err
	}
	defer e.c.done()
	h, err := e.c.head(ctx, newest)
	if err != nil {
		return false, err
	}
	return !slices.ContainsFunc(behind, func(p ErasePart) bool { return h.End(p.Partition) < p.last() }), nil
}

// build makes a checkpoint, whether or not there is something else that waits for it.
func (e *Eraser) build(ctx context.Context) (bool, error) {
	e.c.owed[0].Store(true)
	r, err := e.c.Build(ctx)
	if err == nil {
		e.tell("checkpoint made at control number %d", r.Control)
	}
	return false, err
}

// verifyPending verifies the newest checkpoint if nobody else did so for long: another reader is better (G1). waits says
// that there is one which others may verify.
func (e *Eraser) verifyPending(ctx context.Context) (verified, waits bool, err error) {
	all := e.c.log.State().Checkpoints()
	if len(all) == 0 || all[len(all)-1].Verified {
		return false, false, nil
	}
	newest := all[len(all)-1]
	if newest.ID != e.pending {
		e.pending, e.since = newest.ID, time.Now()
	}
	if time.Since(e.since) < e.cfg.Patience {
		return false, true, nil
	}
	if err := e.c.Verify(ctx, newest); err != nil {
		if errors.Is(err, ErrMismatch) {
			e.pending, e.since = control.CheckpointID{}, time.Time{}
			return false, false, nil // another is made
		}
		return false, true, err
	}
	e.tell("checkpoint at control number %d verified", newest.Control)
	return true, false, nil
}

// sweep appends SWEEP: what was planned before now and is not swapped in never will be (G5). So whoever compacted the same
// records meanwhile has made garbage, and it can go soon.
func (e *Eraser) sweep(ctx context.Context) error {
	at, err := objectstore.Date(ctx, e.c.store)
	if err != nil {
		at = time.Time{}
	}
	if err := e.c.sweepBelow(ctx, e.c.log.State().Next()); err != nil {
		return err
	}
	e.swept, e.sweptAt = true, at
	return nil
}

// abortUploads ends uploads begun before the last SWEEP: what they were to make would be void.
func (e *Eraser) abortUploads(ctx context.Context) error {
	u, err := objectstore.Uploads(e.c.store)
	if err != nil || e.sweptAt.IsZero() {
		return nil // there are none, or the receipt says so
	}
	if _, err := u.AbortStale(ctx, topic.CompactedPrefix, e.sweptAt); err != nil {
		return fmt.Errorf("abort stale uploads: %w", err)
	}
	return nil
}

// slotsLeft gives the last slot of each journal that holds something to be erased and is not trimmed.
func (e *Eraser) slotsLeft() map[topic.JournalID]topic.Slot {
	s := e.c.log.State()
	last := make(map[topic.JournalID]topic.Slot)
	for _, h := range e.holders {
		if h.Gone != nil || !h.object.IsZero() {
			continue
		}
		if j, ok := s.Journal(h.journal); ok && h.slot >= j.Trim {
			last[h.journal] = max(last[h.journal], h.slot)
		}
	}
	return last
}

// free says whether nothing names the holders any more, so that they only wait for the grace.
func (e *Eraser) free(ctx context.Context) (bool, error) {
	if err := e.c.begin(ctx); err != nil {
		return false, err
	}
	defer e.c.done()
	k, ok, err := keptStates(ctx, e.c.store, e.c.log.State())
	if err != nil || !ok {
		return false, err
	}
	oldest := k.oldest()
	for _, h := range e.holders {
		if h.Gone != nil {
			continue
		}
		if h.object.IsZero() {
			if j, ok := k.now.Journal(h.journal); ok && h.slot >= k.trim(j) {
				return false, nil
			}
			continue
		}
		once, swapped := e.c.garbage.once[h.object]
		if k.names(h.object) || (!swapped || once >= oldest.Next()) && h.object.Planned >= oldest.Swept() {
			if !swapped && h.object.Planned >= k.now.Swept() {
				e.swept = false // it came behind the SWEEP
			}
			return false, nil
		}
	}
	return true, nil
}

// compactUpTo compacts what slots hold of all partitions, one job of each group: if last is not nil, only while something
// of slots up to those lives on nowhere else, which keeps TRIM from passing them.
func (c *Compactor) compactUpTo(ctx context.Context, last map[topic.JournalID]topic.Slot) (did bool, err error) {
	if last != nil && len(last) == 0 {
		return false, nil
	}
	if err := c.begin(ctx); err != nil {
		return false, err
	}
	defer c.done()
	s := c.log.State()
	newest, ok := s.NewestCheckpoint()
	if !ok {
		return false, nil
	}
	c.groups.look(s, time.Now())
	owners := make(map[topic.JournalID]bool)
	for j := range c.groups.all {
		owners[j] = true
	}
	v, err := c.surveyed(ctx, s, newest, owners)
	if err != nil {
		return false, err
	}
	needed := v.needed(s)
	wanted := last == nil
	for j, to := range last {
		first, ok := needed[j]
		wanted = wanted || ok && first <= to
	}
	if !wanted {
		return false, nil
	}
	for _, j := range slices.SortedFunc(maps.Keys(owners), compareJournals) {
		sources := v.sources(s, j)
		if len(sources) == 0 {
			continue
		}
		m, err := c.mergeSlots(ctx, s, planSlots(sources, c.cfg.Merge.InputBytes))
		if err == nil {
			err = c.swap(ctx, m)
		}
		if err != nil {
			return did, err
		}
		did, s = true, c.log.State()
	}
	if v.cut || !did { // what was left out, or swapped in by others
		c.survey = nil
	}
	return did, nil
}

// rewrite writes the current runs of an object anew without what is to be erased, and swaps them in.
func (e *Eraser) rewrite(ctx context.Context, o topic.Object) error {
	if err := e.c.begin(ctx); err != nil {
		return err
	}
	defer e.c.done()
	s := e.c.log.State()
	var runs []runOf
	var all []topic.Run
	ends := make(map[topic.Partition]topic.Offset)
	for p, c := range s.Compactions() {
		if i := slices.IndexFunc(c.Runs, func(r topic.Run) bool { return r.Object == o }); i >= 0 {
			runs, all = append(runs, runOf{p, c.Runs[i]}), append(all, c.Runs[i])
			if overlaps(e.parts[p].Offsets, c.Runs[i].Base, c.Runs[i].Next) {
				ends[p] = c.Runs[i].Next
			}
		}
	}
	if len(runs) == 0 {
		return nil // it was replaced meanwhile
	}
	lasts, err := e.c.producersOf(ctx, ends)
	if err != nil {
		return err
	}
	object := e.c.readersOf(all, e.c.cfg.Merge.InputBytes)[o]
	var parts []control.ManifestPart
	records := uint64(0)
	m, err := e.c.output(ctx, s, func(w *segment.ObjectWriter) error {
		for _, at := range runs {
			r := at.run
			if err := w.Begin(at.partition, r.Base, r.Level); err != nil {
				return err
			}
			w.Cleaned(r.Cleaned)
			n, err := e.filter(ctx, w, object, at, lasts[at.partition])
			if err != nil {
				return fmt.Errorf("erase records of %s: %w", at.partition, err)
			}
			records += n
			w.Erased(min(r.Erased+n, uint64(r.Next-r.Base)))
			written, err := w.End(r.Next)
			if err != nil {
				return err
			}
			parts = append(parts, goal{at.partition, r.Base, r.Next, []topic.Object{o}}.part(&written))
		}
		return nil
	})
	m.Parts = parts
	if err = e.c.check(ctx, m, err); err == nil {
		err = e.c.swap(ctx, m)
	}
	if err != nil {
		return err
	}
	e.swept, e.looked[m.Output] = false, false
	e.rewritten = append(e.rewritten, Holder{Key: m.Output.Key(), Size: m.Size})
	e.tell("%d records taken out of %s, %s is read instead", records, o, m.Output)
	return nil
}

// filter passes on what is left of a run, and gives how many records went. Markers stay, and so does, without its records,
// each batch that says how far its producer came or where the log ends, as key compaction leaves them (I8).
func (e *Eraser) filter(ctx context.Context, w *segment.ObjectWriter, o *objectReader, at runOf, last producersAt) (erased uint64, err error) {
	c := cleaner{KeyConfig: KeyConfig{End: last.end, Producer: last.last}, out: w.Append}
	offsets := e.parts[at.partition].Offsets
	take := func(b []byte, info recordbatch.Info) (bool, error) {
		if info.IsControl() || info.Count == 0 || !overlaps(offsets, info.BaseOffset, info.Next()) {
			return true, c.pass(b, info.Count)
		}
		if covers(offsets, info.BaseOffset, info.Next()) {
			erased += uint64(info.Count)
			return true, c.empty(b, info)
		}
		u, err := e.unpack(b, info)
		if err != nil {
			return false, err
		}
		kept := make([]bool, 0, info.Count)
		left := int32(0)
		u.Records(func(_ int, r recordbatch.Raw) bool {
			stays := !overlaps(offsets, r.Offset, r.Offset+1)
			if kept = append(kept, stays); stays {
				left++
			}
			return true
		})
		erased += uint64(info.Count - left)
		switch left {
		case 0:
			return true, c.empty(b, info)
		case info.Count:
			return true, c.pass(b, left)
		}
		c.batch, c.scratch = u.AppendKept(c.batch[:0], recordbatch.Rewrite{Keep: func(n int) bool { return kept[n] }, Scratch: c.scratch})
		return true, c.pass(c.batch, left)
	}
	err = eachBatch(e.batchesOf(ctx, o, at, nil), at.run.Base, take)
	return erased, err
}

// producersOf reads what the newest verified checkpoint knows of the producers of partitions, which it must hold up to the
// offsets given (I8).
func (c *Compactor) producersOf(ctx context.Context, ends map[topic.Partition]topic.Offset) (map[topic.Partition]producersAt, error) {
	info, ok := c.log.State().NewestCheckpoint()
	if !ok {
		return nil, fmt.Errorf("there is no checkpoint: %w", checkpoint.ErrMissing)
	}
	return c.lastsAt(ctx, info, ends)
}
