package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/odradek/odradek/metadata"
)

const (
	beatsPerLease = 5                // one may be lost, and one late, and nobody notices
	stuckPut      = 15 * time.Second // an owner whose oldest slot is in flight for longer stops its heartbeat (F1)
)

// beating is what the goroutine that keeps the index and the one that beats tell each other. Safe for concurrent use.
type beating struct {
	pin  atomic.Pointer[metadata.Pin] // the era in which this agent is registered, nil if none
	lost atomic.Pointer[metadata.Pin] // the era that does not take the heartbeat any more
}

func (b *beating) attach(pin metadata.Pin) { b.lost.Store(nil); b.pin.Store(&pin) }
func (b *beating) detach()                 { b.pin.Store(nil) }
func (b *beating) pinned() *metadata.Pin   { return b.pin.Load() }
func (b *beating) lose(pin metadata.Pin)   { b.lost.Store(&pin) }
func (b *beating) met(pin metadata.Pin) error {
	if lost := b.lost.Load(); lost != nil && *lost == pin {
		return fmt.Errorf("era %d does not take the heartbeat: %w", pin.Era, metadata.ErrEra)
	}
	return nil
}

// beat moves this agent's counter five times a lease, whatever else the index is busy with, in the era that Index is
// registered in. What it meets there it tells Index.
func (e *Engine) beat(ctx context.Context) {
	tick := time.NewTicker(e.beatInterval())
	defer tick.Stop()
	for {
		if pin := e.beating.pinned(); pin != nil && !e.left() && !e.stuck() {
			e.beatOnce(ctx, *pin)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (e *Engine) beatInterval() time.Duration {
	return max(e.cfg.Lease/beatsPerLease, time.Millisecond)
}

func (e *Engine) beatOnce(ctx context.Context, pin metadata.Pin) {
	ctx, cancel := context.WithTimeout(ctx, e.cfg.Lease/2)
	defer cancel()
	err := e.meta.Beat(ctx, pin, e.journal)
	switch {
	case errors.Is(err, metadata.ErrEra), errors.Is(err, metadata.ErrNotRegistered):
		e.beating.lose(pin) // another Redis, one that forgot, or others think that this journal is sealed
		e.wake()
		e.doorbell()
	case err != nil && ctx.Err() == nil:
		slog.DebugContext(ctx, "heartbeat not heard", "era", pin.Era, "error", err)
	}
}

// left says that this agent has ended its journal itself: its counter is gone, and nobody misses it.
func (e *Engine) left() bool {
	mine, ok := e.State().Journal(e.journal)
	return ok && mine.Sealed && e.leaving.Load()
}

// stuck says that this agent cannot store what it took, and is better replaced (F1). When everybody's bucket is away
// nobody beats, and who does not beat itself judges nobody.
func (e *Engine) stuck() bool { return e.cfg.Stuck != nil && e.cfg.Stuck() >= stuckPut }
