package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/topic"
)

const (
	queueSlots  = 1000                  // slots that wait in memory while Redis is away; older footers are read back (P6)
	indexBatch  = 64                    // segments read ahead, and sent in one call at most
	indexFirst  = 4                     // segments sent in the first call of a batch
	keepEffects = 1000                  // control numbers below those applied whose effects are kept: a new era may begin lower
	retryIndex  = time.Second           // before the next attempt to keep the index, and less than a lease
	retryEra    = 50 * time.Millisecond // the same when another era is to be looked for
	retryBehind = 20 * time.Millisecond // before a slot is indexed again that waits for slots of other journals
	behindMost  = 30 * time.Second      // for which it waits: then the index lost something
	lookAround  = 10 * time.Second      // between two looks for sealed journals that nobody indexed to their end
	pollIndex   = time.Second           // between two looks at a quiet index
)

// indexQueue holds the newest slots of this agent's journal that count, for the index. Safe for concurrent use.
type indexQueue struct {
	mu    sync.Mutex // guards all below
	slots []metadata.Segment
	end   topic.Slot                       // every slot below counts
	ends  map[topic.Partition]topic.Offset // where they leave each partition, by their footers
}

func (q *indexQueue) push(s metadata.Segment) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.slots = append(q.slots, s)
	q.end = s.Slot + 1
	if q.ends == nil {
		q.ends = make(map[topic.Partition]topic.Offset)
	}
	for _, x := range s.Extents {
		q.ends[x.Partition] = x.Next
	}
	if len(q.slots) > queueSlots {
		q.slots[0] = metadata.Segment{}
		q.slots = q.slots[1:]
	}
}

// from gives up to limit segments from slot on, the caller's. known is false when they are not in memory any more.
func (q *indexQueue) from(slot topic.Slot, limit int) (s []metadata.Segment, known bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if slot >= q.end {
		return nil, true
	}
	if len(q.slots) == 0 || slot < q.slots[0].Slot {
		return nil, false
	}
	rest := q.slots[slot-q.slots[0].Slot:]
	return slices.Clone(rest[:min(limit, len(rest))]), true // push empties the place of what it drops
}

// done drops what lies below slot.
func (q *indexQueue) done(slot topic.Slot) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.slots) > 0 && q.slots[0].Slot < slot {
		q.slots[0] = metadata.Segment{}
		q.slots = q.slots[1:]
	}
}

func (q *indexQueue) counted() topic.Slot {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.end
}

// forget drops the ends of the partitions for which gone is true.
func (q *indexQueue) forget(gone func(topic.ID) bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	maps.DeleteFunc(q.ends, func(of topic.Partition, _ topic.Offset) bool { return gone(of.Topic) })
}

// ended gives where the slots below seal leave each partition, if those are all that count.
func (q *indexQueue) ended(seal topic.Slot) (map[topic.Partition]topic.Offset, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return maps.Clone(q.ends), q.end == seal
}

// Counted takes a slot of this agent's journal that counts, for the index. It does not block.
func (e *Engine) Counted(f segment.Footer) {
	e.index.push(segmentOf(f.Journal, f.Repeated()))
	e.wake()
}

func segmentOf(j topic.JournalID, f segment.SlotExtents) metadata.Segment {
	return metadata.Segment{
		Journal: j, Slot: f.Slot, Extents: slices.Clone(f.Extents), LogStarts: slices.Clone(f.LogStarts),
	}
}

// extentsOf gives back what segmentOf was given, producers aside.
func extentsOf(s metadata.Segment) segment.SlotExtents {
	return segment.SlotExtents{Slot: s.Slot, Extents: s.Extents, LogStarts: s.LogStarts}
}

// What ends an attempt to keep the index, beside the errors of the metadata store.
var (
	// errRebuild says that the index is not what the log says: a new era is built (R1).
	errRebuild = errors.New("index must be rebuilt")
	// errBehind says that the index lacks what comes before a slot, which is normal (P6).
	errBehind = errors.New("index is behind")
)

// Index keeps the index in step with the log until ctx ends: it pins the era, or recovers, applies control records,
// and indexes the slots of this agent's journal in order. With Redis away it waits; nobody's ack waits for it. Beside it
// runs the heartbeat.
func (e *Engine) Index(ctx context.Context) error {
	beats, stop := context.WithCancel(ctx)
	var beating sync.WaitGroup
	beating.Go(func() { e.beat(beats) })
	defer beating.Wait()
	defer stop()
	var before error
	for {
		err := e.indexing(ctx)
		e.era.Store(0)
		e.beating.detach()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		well := !e.unwell.Swap(true)
		if well {
			e.doorbell() // R1: the control log is read more often from now on
		}
		if well || !lasts(before, err) {
			slog.WarnContext(ctx, "index is not kept for now", "error", err, "slots_behind", e.Behind())
		}
		before = err
		pause := min(retryIndex, e.cfg.Lease/beatsPerLease)
		if errors.Is(err, metadata.ErrEra) || errors.Is(err, errRebuild) {
			pause = retryEra // the pauses of R1 are those of another era at the same identity
		}
		if err := rest(ctx, pause); err != nil {
			return err
		}
	}
}

// lasts says whether the reason why the index is not kept is that of the attempt before, and one that goes on for many:
// it was told then, and so will be that the index is in step again.
func lasts(before, now error) bool {
	for _, reason := range []error{metadata.ErrUnavailable, errPaused} {
		if errors.Is(before, reason) && errors.Is(now, reason) {
			return true
		}
	}
	return false
}

// indexing pins an era and works in it until something fails.
func (e *Engine) indexing(ctx context.Context) error {
	pin, err := e.pin(ctx)
	if err != nil {
		return err
	}
	err = e.keep(ctx, pin)
	if errors.Is(err, errRebuild) {
		e.eras.bad = pin.Era
	}
	return err
}

// keep works in an open era until something fails.
func (e *Engine) keep(ctx context.Context, pin metadata.Pin) error {
	next, err := e.attach(ctx, pin)
	if err != nil {
		return err
	}
	e.eras.opened = pin.Era
	e.unwell.Store(false)
	e.indexed.Store(uint64(next))
	e.era.Store(pin.Era)
	slog.InfoContext(ctx, "index in step with the log", "era", pin.Era, "slot", next)
	tick := time.NewTicker(pollIndex)
	defer tick.Stop()
	var waits patience
	looked := time.Now()
	for {
		if err := e.same(pin); err != nil {
			return err
		}
		if err := e.applyEffects(ctx, pin); err != nil {
			return err
		}
		next, err = e.indexOwn(ctx, pin, next)
		behind := errors.Is(err, errBehind)
		if err != nil && !behind {
			return err
		}
		if behind || time.Since(looked) > lookAround+rand.N(lookAround) {
			looked = time.Now()
			if _, err := e.indexSealed(ctx, pin, nil); err != nil {
				return err
			}
		}
		again := tick.C
		if behind {
			stood := waits.stood(uint64(next))
			if stood > behindMost {
				return fmt.Errorf("slot %d waits for slots of other journals in vain: %w", next, errRebuild)
			}
			again = time.After(min(pollIndex, retryBehind+stood/4))
		} else {
			waits = patience{}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-e.kick:
		case <-again:
		}
	}
}

// same says that an era is still the one to work in: the newest, not lost by what the heartbeat met, nor found unfit by who
// reads it.
func (e *Engine) same(pin metadata.Pin) error {
	if newest, ok := e.State().NewestEra(); ok && uint64(newest.Number) != pin.Era {
		return fmt.Errorf("era %d follows %d: %w", newest.Number, pin.Era, metadata.ErrEra)
	}
	if e.unfit.Load() == pin.Era {
		return fmt.Errorf("era %d cannot be gone by: %w", pin.Era, errRebuild)
	}
	return e.beating.met(pin)
}

// patience tells for how long a number has stood still. The zero value has seen none.
type patience struct {
	at    uint64
	since time.Time
}

// stood notes the number as it is now and says since when it has been that.
func (p *patience) stood(at uint64) time.Duration {
	if p.since.IsZero() || p.at != at {
		p.at, p.since = at, time.Now()
		return 0
	}
	return time.Since(p.since)
}

// applyEffects brings the index to the control number that this agent has applied.
func (e *Engine) applyEffects(ctx context.Context, pin metadata.Pin) error {
	applied, err := e.meta.Applied(ctx, pin)
	if err != nil {
		return err
	}
	for try := 0; ; try++ {
		effects, ok := e.effects.after(applied)
		if !ok {
			if err := e.rememberEffects(ctx, applied); err != nil {
				return err
			}
			continue
		}
		if len(effects) == 0 {
			e.effects.forget(applied - min(applied, keepEffects))
			return nil
		}
		now, err := e.meta.Apply(ctx, pin, applied+1, effects)
		if errors.Is(err, metadata.ErrOutOfTurn) && try < 10 {
			applied = now
			continue
		}
		if err != nil {
			return err
		}
		applied = now
	}
}

// rememberEffects reads the effects of the numbers above applied that are not in memory. Too many are not worth it.
func (e *Engine) rememberEffects(ctx context.Context, applied topic.Slot) error {
	first := e.effects.begins()
	if first-applied > maxEffects/2 {
		return fmt.Errorf("index stands at control %d, far behind %d: %w", applied, first, errRebuild)
	}
	effects, err := e.earlierEffects(ctx, applied+1, first)
	if err != nil {
		return fmt.Errorf("index stands at control %d: %w", applied, err)
	}
	e.effects.prepend(first, effects)
	return nil
}

// indexOwn indexes this agent's slots from next on and returns the first that is not indexed.
func (e *Engine) indexOwn(ctx context.Context, pin metadata.Pin, next topic.Slot) (topic.Slot, error) {
	for {
		segments, known := e.index.from(next, indexBatch)
		if !known {
			var err error
			to := min(batchEnd(next), e.index.counted())
			if segments, err = e.readSegments(ctx, e.journal, next, to); err != nil {
				return next, err
			}
		}
		if len(segments) == 0 {
			return next, nil
		}
		n, err := e.indexSegments(ctx, pin, segments)
		next += topic.Slot(n)
		e.index.done(next)
		e.indexed.Store(uint64(next))
		if err != nil {
			return next, err
		}
	}
}

// indexAll indexes a journal's slots [next, end), all of which count, and returns the first that is not indexed. It calls
// worked, if there is one, each time it got on.
func (e *Engine) indexAll(ctx context.Context, pin metadata.Pin, j topic.JournalID, next, end topic.Slot, worked func() error) (topic.Slot, error) {
	for next < end {
		segments, err := e.readSegments(ctx, j, next, min(batchEnd(next), end))
		if err != nil {
			return next, err
		}
		n, err := e.indexSegments(ctx, pin, segments)
		next += topic.Slot(n)
		if n > 0 && worked != nil { // also where the next slot has to wait for another journal's (R2)
			err = cmp.Or(err, worked())
		}
		if err != nil {
			return next, err
		}
	}
	return next, nil
}

// indexSealed indexes sealed journals as far as it goes: slots that come behind those of an open journal have to wait
// for its owner. It calls worked, if there is one, each time it got on, and says whether all journals are indexed to
// their seals.
func (e *Engine) indexSealed(ctx context.Context, pin metadata.Pin, worked func() error) (whole bool, err error) {
	status, err := e.meta.Current(ctx, pin.Era)
	if err != nil {
		return false, err
	}
	var left []ended
	for j := range e.State().Journals() {
		if s := status.Journals[j.ID]; j.Sealed && s.Opened && s.Next < j.SealSlot {
			left = append(left, ended{j, j.SealSlot})
		}
	}
	left = inOrder(left)
	reached := make(map[topic.JournalID]topic.Slot)
	for moved := true; moved && len(left) > 0; { // moves let slots of two journals wait for each other in turn
		moved = false
		left = slices.DeleteFunc(left, func(j ended) bool {
			if err != nil {
				return false
			}
			if err = e.same(pin); err != nil { // many journals take their time: a newer era must not wait for the end
				return false
			}
			id := j.journal.ID
			from := max(reached[id], status.Journals[id].Next)
			var next topic.Slot
			next, err = e.indexAll(ctx, pin, id, from, j.end, worked)
			if errors.Is(err, errBehind) {
				err = nil
			}
			if next > from {
				moved, reached[id] = true, next
			}
			return next >= j.end
		})
		if err != nil {
			return false, err
		}
	}
	return len(left) == 0, nil
}

// indexSegments indexes segments of one journal and returns how many of them the index holds now. errBehind: the next
// one has to wait for slots of other journals. Few are sent at first, and twice as many each time: where the slots of two
// journals wait for each other, most of what is sent would be in vain.
func (e *Engine) indexSegments(ctx context.Context, pin metadata.Pin, segments []metadata.Segment) (int, error) {
	done, size := 0, indexFirst
	for try := 0; ; {
		sent := segments[done:min(done+size, len(segments))]
		outcomes, err := e.meta.Index(ctx, pin, e.State().Next()-1, sent)
		if err != nil {
			return done, err
		}
		var last metadata.Outcome
		taken := 0
		for _, last = range outcomes {
			if last == metadata.Indexed || last == metadata.Repeated {
				taken++
			}
		}
		done += taken
		switch {
		case done == len(segments):
			return done, nil
		case taken == len(sent):
			size, try = 2*size, 0
		case last == metadata.Behind && try < 2: // a control record may have come in between
			if err := e.applyEffects(ctx, pin); err != nil {
				return done, err
			}
			size, try = indexFirst, try+1
		case last == metadata.Behind:
			return done, errBehind
		default:
			return done, e.contradicted(ctx, segments[done], last)
		}
	}
}

// contradicted judges a slot that the index does not take, by the control log as it is now: whoever lost its journal is
// fenced, and else the index is wrong (P6).
func (e *Engine) contradicted(ctx context.Context, s metadata.Segment, o metadata.Outcome) error {
	if err := e.CatchUp(ctx); err != nil {
		return err
	}
	if err := e.over(); err != nil {
		return err
	}
	return fmt.Errorf("slot %d of journal %s is %s: %w", s.Slot, s.Journal, o, errRebuild)
}

// batchEnd gives where to end what is read ahead from a slot on: where a summary does, so that one footer tells of all of
// it. An era that is loaded from a checkpoint begins anywhere between two.
func batchEnd(next topic.Slot) topic.Slot {
	return next - next%segment.SummaryEvery + segment.SummaryEvery
}

// readSegments reads slots of a journal, which count, for the index. errRebuild: the index lacks slots that were trimmed,
// so that it has to begin at a newer checkpoint.
func (e *Engine) readSegments(ctx context.Context, j topic.JournalID, from, to topic.Slot) ([]metadata.Segment, error) {
	if known, ok := e.State().Journal(j); ok && from < known.Trim {
		return nil, fmt.Errorf("slot %d of journal %s is to be indexed: %w: %w", from, j, ErrTrimmed, errRebuild)
	}
	var out []metadata.Segment
	err := e.slots(ctx, j, from, to, func(f segment.SlotExtents) error {
		out = append(out, segmentOf(j, f))
		return nil
	})
	return out, err
}
