package fetch

import (
	"context"
	"errors"
	"fmt"

	"github.com/odradek/odradek/index"
	"github.com/odradek/odradek/objectstore"
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
	return e.lookAgain(ctx, func() (Found, bool, error) { return e.byTime(ctx, p, ms) })
}

// MaxTime finds the visible record with the largest timestamp, the first of several.
func (e *Engine) MaxTime(ctx context.Context, p topic.Partition) (Found, bool, error) {
	return e.lookAgain(ctx, func() (Found, bool, error) { return e.maxTime(ctx, p) })
}

// lookAgain looks once more when an object is not there that should be: another may hold it by now (C2).
func (e *Engine) lookAgain(ctx context.Context, look func() (Found, bool, error)) (Found, bool, error) {
	found, ok, err := look()
	if errors.Is(err, objectstore.ErrNotFound) {
		e.refreshOnce()(ctx)
		return look()
	}
	return found, ok, err
}

func (e *Engine) byTime(ctx context.Context, p topic.Partition, ms int64) (Found, bool, error) {
	for from := topic.Offset(0); ; {
		runs, some := e.candidates(p, ms, from)
		if len(runs)+len(some) == 0 {
			return Found{}, false, nil
		}
		for _, r := range runs {
			found, ok, err := e.searchRun(ctx, p, r, ms)
			if err != nil || ok {
				return found, ok, err
			}
			from = r.Next
		}
		for _, x := range some {
			found, ok, err := e.search(ctx, p, located{Entry: x}, ms)
			if err != nil || ok {
				return found, ok, err
			}
			from = x.Next // its newest record lies below log start, or its producer lied about its newest timestamp
		}
	}
}

func (e *Engine) maxTime(ctx context.Context, p topic.Partition) (found Found, ok bool, err error) {
	e.mu.RLock()
	run, compacted := e.index.NewestRun(p)
	x, rest := e.index.Newest(p)
	e.mu.RUnlock()
	var newest int64
	switch {
	case compacted && (!rest || run.MaxTimestamp >= x.MaxTimestamp):
		newest = run.MaxTimestamp
		found, ok, err = e.searchRun(ctx, p, run, newest)
	case rest:
		newest = x.MaxTimestamp
		found, ok, err = e.search(ctx, p, located{Entry: x}, newest)
	default:
		return Found{}, false, nil
	}
	if err != nil || ok {
		return found, ok, err
	}
	return e.maxTimeBelow(ctx, p, newest)
}

// maxTimeBelow is MaxTime when the index knows only that no visible record is as late as high: the newest extent begins
// before the log start, and what made it the newest was deleted.
func (e *Engine) maxTimeBelow(ctx context.Context, p topic.Partition, high int64) (best Found, ok bool, err error) {
	for low, at := int64(0), int64(0); low < high; at = low + (high-low)/2 {
		found, some, err := e.byTime(ctx, p, at)
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

// candidates finds the first runs and extents at or above from that may hold a timestamp of ms or later.
func (e *Engine) candidates(p topic.Partition, ms int64, from topic.Offset) (runs []topic.Run, some []index.Entry) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	for _, r := range e.index.Runs(p, from) {
		if r.Length == 0 || r.MaxTimestamp < ms {
			continue
		}
		if runs = append(runs, r); len(runs) == candidatesAtOnce {
			return runs, nil
		}
	}
	for x := range e.index.FindByTime(p, ms) {
		if x.Next <= from {
			continue
		}
		if some = append(some, x); len(some) == candidatesAtOnce {
			break
		}
	}
	return runs, some
}

// searchRun is search for a run. Of a large one it reads the table and the extent that has the record, nothing more.
func (e *Engine) searchRun(ctx context.Context, p topic.Partition, r topic.Run, ms int64) (Found, bool, error) {
	rows, err := e.table(ctx, p, r, look)
	if err != nil {
		return Found{}, false, unread(ctx, fmt.Errorf("%s at %d: %w", p, r.Base, err))
	}
	start, _ := e.Bounds(p)
	for _, row := range rows {
		if row.MaxTimestamp < ms || row.Next <= start {
			continue
		}
		found, ok, err := e.search(ctx, p, located{Entry: index.NewRunEntry(r.Object, row)}, ms)
		if err != nil || ok {
			return found, ok, err
		}
	}
	return Found{}, false, nil
}

func (e *Engine) search(ctx context.Context, p topic.Partition, x located, ms int64) (Found, bool, error) {
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
