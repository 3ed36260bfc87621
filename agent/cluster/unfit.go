package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

// What is done when the index that Redis holds does not fit the bucket, or cannot be read: another era (R1).

// judgeCopy says whose fault it is that a slot which Redis tells of does not fit the index in memory: if the bucket says
// the same as Redis, what is in memory is not what counts; else a new era is due, with a copy that is (R1).
func (e *Engine) judgeCopy(ctx context.Context, era control.Era, f *followed, s metadata.Segment, why error) error {
	said, err := readFooter(ctx, e.store, s.Journal, s.Slot)
	if err != nil {
		return e.judgeAhead(ctx, era, f, s.Slot, err)
	}
	state := e.State()
	want, have := present(state, said.Repeated()), present(state, extentsOf(s))
	if slices.Equal(want.Extents, have.Extents) && slices.Equal(want.LogStarts, have.LogStarts) {
		e.Contradicted(why)
		return why
	}
	return e.unfitCopy(ctx, era, fmt.Errorf("slot %d of journal %s is not what the bucket holds: %w", s.Slot, s.Journal, why))
}

// judgeAhead says what it means that slots from one on, which Redis tells of, could not be read: where the journal ends below
// them, and none of them was trimmed, Redis is ahead of the bucket (I6).
func (e *Engine) judgeAhead(ctx context.Context, era control.Era, f *followed, from topic.Slot, err error) error {
	if !errors.Is(err, slotlog.ErrHole) && !errors.Is(err, errSeal) {
		return err
	}
	if trimmed := e.isEnd(ctx, f, from); trimmed != nil {
		return trimmed
	}
	return e.unfitCopy(ctx, era, err)
}

// unfitCopy has another era built since nobody can go by what Redis holds of this one (R1). The error wraps why and errRebuild.
func (e *Engine) unfitCopy(ctx context.Context, era control.Era, why error) error {
	if e.unfit.Swap(uint64(era.Number)) != uint64(era.Number) {
		slog.ErrorContext(ctx, "index copy cannot be used, building another", "era", era.Number, "error", why)
		e.wake()
	}
	return fmt.Errorf("index copy of era %d: %w: %w", era.Number, why, errRebuild)
}
