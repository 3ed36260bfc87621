package fetch

import (
	"context"
	"fmt"

	"github.com/odradek/odradek/index"
	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/topic"
)

// maxUnpacked bounds what one batch may unpack to when its records are searched for a time, beside CatchUpBytes/4; one
// that unpacks to more is answered with its first offset. maxSearches bounds how many are unpacked at a time.
const (
	maxUnpacked = 64 << 20
	maxSearches = 2
)

// candidatesAtOnce is how many extents are taken from the index at a time; nearly always the first one has the record.
const candidatesAtOnce = 256

// Found is a record found by its time.
type Found struct {
	Offset topic.Offset
	Time   int64 // milliseconds
	Epoch  topic.Epoch
}

// ByTime finds the first visible record whose timestamp is ms or later. It is not ok if there is none.
func (e *Engine) ByTime(ctx context.Context, p topic.Partition, ms int64) (Found, bool, error) {
	for from := topic.Offset(0); ; {
		some := e.candidates(p, ms, from)
		if len(some) == 0 {
			return Found{}, false, nil
		}
		for _, x := range some {
			found, ok, err := e.search(ctx, p, x, ms)
			if err != nil || ok {
				return found, ok, err
			}
			from = x.Next // its newest record lies below log start, or its producer lied about its newest timestamp
		}
	}
}

// MaxTime finds the visible record with the largest timestamp, the first of several.
func (e *Engine) MaxTime(ctx context.Context, p topic.Partition) (Found, bool, error) {
	e.mu.RLock()
	x, ok := e.index.Newest(p)
	e.mu.RUnlock()
	if !ok {
		return Found{}, false, nil
	}
	if found, ok, err := e.search(ctx, p, x, x.MaxTimestamp); err != nil || ok {
		return found, ok, err
	}
	return e.maxTimeBelow(ctx, p, x.MaxTimestamp)
}

// maxTimeBelow is MaxTime when the index knows only that no visible record is as late as high: the newest extent begins
// before the log start, and what made it the newest was deleted.
func (e *Engine) maxTimeBelow(ctx context.Context, p topic.Partition, high int64) (best Found, ok bool, err error) {
	for low, at := int64(0), int64(0); low < high; at = low + (high-low)/2 {
		found, some, err := e.ByTime(ctx, p, at)
		switch {
		case err != nil:
			return Found{}, false, err
		case some:
			best, ok, low = found, true, found.Time+1
		case at == 0:
			return Found{}, false, nil
		default:
			high = at
		}
	}
	return best, ok, nil
}

// candidates finds the first extents at or above from that may hold a timestamp of ms or later.
func (e *Engine) candidates(p topic.Partition, ms int64, from topic.Offset) []index.Entry {
	e.mu.RLock()
	defer e.mu.RUnlock()
	var some []index.Entry
	for x := range e.index.FindByTime(p, ms) {
		if x.Base < from {
			continue
		}
		if some = append(some, x); len(some) == candidatesAtOnce {
			break
		}
	}
	return some
}

func (e *Engine) search(ctx context.Context, p topic.Partition, x index.Entry, ms int64) (Found, bool, error) {
	rows, err := e.extent(ctx, p, x)
	if err != nil {
		return Found{}, false, unread(ctx, fmt.Errorf("%s at %d: %w", p, x.Base, err))
	}
	select {
	case e.searches <- struct{}{}:
		defer func() { <-e.searches }()
	case <-ctx.Done():
		return Found{}, false, context.Cause(ctx)
	}
	start, _ := e.Bounds(p)
	for _, row := range rows {
		at, ts, ok, err := recordbatch.FindTime(row, start, ms, int(min(maxUnpacked, max(e.cfg.CatchUpBytes/4, maxChunk))))
		if err != nil {
			return Found{}, false, fmt.Errorf("%s: %w", p, err)
		}
		if ok {
			return Found{Offset: at, Time: ts, Epoch: x.Epoch}, true, nil
		}
	}
	return Found{}, false, nil
}
