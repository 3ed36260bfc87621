package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/topic"
)

const (
	queueSlots   = 1000 // slots that wait in memory while Redis is away; older footers are read back (P6)
	indexBatch   = 64   // segments per call
	retryIndex   = time.Second
	calmAfter    = 10 * time.Minute // an index that was kept for so long begins with short pauses again
	beatInterval = time.Second
	stuckPut     = 15 * time.Second // an owner whose oldest slot is in flight for longer stops its heartbeat (F1)
)

// indexQueue holds the newest slots of this agent's journal that count, for the index. Safe for concurrent use.
type indexQueue struct {
	mu    sync.Mutex // guards all below
	slots []metadata.Segment
	end   topic.Slot // every slot below counts
}

func (q *indexQueue) push(s metadata.Segment) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.slots = append(q.slots, s)
	q.end = s.Slot + 1
	if len(q.slots) > queueSlots {
		q.slots[0] = metadata.Segment{}
		q.slots = q.slots[1:]
	}
}

// from gives up to limit segments from slot on. known is false when they are not in memory any more.
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
	return rest[:min(limit, len(rest))], true
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

// errRebuild says that the index is not what the log says: a new era is built (R1).
var errRebuild = errors.New("index must be rebuilt")

// Index keeps the index in step with the log until ctx ends: it pins the era, or recovers, applies control records,
// and indexes the slots of this agent's journal in order. With Redis away it waits; nobody's ack waits for it.
func (e *Engine) Index(ctx context.Context) error {
	away, rebuild, tries := false, false, 0
	for {
		began := time.Now()
		err := e.indexing(ctx, rebuild)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		e.era.Store(0)
		if !away || !errors.Is(err, metadata.ErrUnavailable) {
			slog.WarnContext(ctx, "index is not kept for now", "error", err, "slots_behind", e.Behind())
		}
		away = errors.Is(err, metadata.ErrUnavailable)
		rebuild = errors.Is(err, errRebuild)
		if time.Since(began) > calmAfter {
			tries = 0
		}
		pause := retryIndex
		if rebuild { // R1: a log and an index that keep disagreeing must not fill the control log with eras
			pause = min(time.Minute, retryIndex<<min(tries, 6))
			tries++
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}

// indexing pins an era and works in it until something fails.
func (e *Engine) indexing(ctx context.Context, rebuild bool) error {
	pin, err := e.pin(ctx, rebuild)
	if err != nil {
		return err
	}
	next, err := e.attach(ctx, pin)
	if err != nil {
		return err
	}
	e.era.Store(pin.Era)
	e.indexed.Store(uint64(next))
	slog.InfoContext(ctx, "index in step with the log", "era", pin.Era, "slot", next)
	tick := time.NewTicker(beatInterval)
	defer tick.Stop()
	for {
		if newest, ok := e.State().NewestEra(); ok && uint64(newest.Number) != pin.Era {
			return fmt.Errorf("era %d follows %d: %w", newest.Number, pin.Era, metadata.ErrEra)
		}
		if err := e.applyEffects(ctx, pin); err != nil {
			return err
		}
		if next, err = e.indexOwn(ctx, pin, next); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-e.kick:
		case <-tick.C:
			if e.cfg.Stuck != nil && e.cfg.Stuck() >= stuckPut {
				continue // F1: whoever cannot store anything is better replaced
			}
			if err := e.meta.Beat(ctx, pin, e.journal); err != nil {
				return err
			}
		}
	}
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
			return fmt.Errorf("index stands at control %d, its effects are no longer known here: %w", applied, errRebuild)
		}
		if len(effects) == 0 {
			e.effects.forget(applied)
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

// indexOwn indexes this agent's slots from next on and returns the first that is not indexed.
func (e *Engine) indexOwn(ctx context.Context, pin metadata.Pin, next topic.Slot) (topic.Slot, error) {
	for {
		segments, known := e.index.from(next, indexBatch)
		if !known {
			var err error
			to := min(next+indexBatch, e.index.counted())
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

// indexSegments indexes segments of one journal and returns how many of them the index holds now.
func (e *Engine) indexSegments(ctx context.Context, pin metadata.Pin, segments []metadata.Segment) (int, error) {
	done := 0
	for try := 0; ; try++ {
		outcomes, err := e.meta.Index(ctx, pin, e.State().Next()-1, segments[done:])
		if err != nil {
			return done, err
		}
		var last metadata.Outcome
		for _, last = range outcomes {
			if last == metadata.Indexed || last == metadata.Repeated {
				done++
			}
		}
		switch {
		case done == len(segments):
			return done, nil
		case last == metadata.Behind && try < 3: // a control record came in between
			if err := e.applyEffects(ctx, pin); err != nil {
				return done, err
			}
		default:
			s := segments[done]
			return done, fmt.Errorf("slot %d of journal %s is %s: %w", s.Slot, s.Journal, last, errRebuild)
		}
	}
}

func (e *Engine) readSegments(ctx context.Context, j topic.JournalID, from, to topic.Slot) ([]metadata.Segment, error) {
	var out []metadata.Segment
	err := e.slots(ctx, j, from, to, func(f segment.SlotExtents) error {
		out = append(out, segmentOf(j, f))
		return nil
	})
	return out, err
}
