package fetch

import (
	"context"
	"fmt"

	"github.com/odradek/odradek/index"
	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/topic"
)

// maxUnpacked bounds what one batch may unpack to when its records are searched for a time.
const maxUnpacked = 256 << 20

// Found is a record found by its time.
type Found struct {
	Offset topic.Offset
	Time   int64 // milliseconds
	Epoch  topic.Epoch
}

// ByTime finds the first visible record whose timestamp is ms or later. It is not ok if there is none.
func (e *Engine) ByTime(ctx context.Context, p topic.Partition, ms int64) (Found, bool, error) {
	for from := topic.Offset(0); ; {
		x, ok := e.candidate(p, ms, from)
		if !ok {
			return Found{}, false, nil
		}
		found, ok, err := e.search(ctx, p, x, ms)
		if err != nil || ok {
			return found, ok, err
		}
		from = x.Next // its largest timestamp belonged to a record below log start
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
	return e.search(ctx, p, x, x.MaxTimestamp)
}

// candidate finds the first extent at or above from that may hold a timestamp of ms or later.
func (e *Engine) candidate(p topic.Partition, ms int64, from topic.Offset) (index.Entry, bool) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	for x := range e.index.FindByTime(p, ms) {
		if x.Base >= from {
			return x, true
		}
	}
	return index.Entry{}, false
}

func (e *Engine) search(ctx context.Context, p topic.Partition, x index.Entry, ms int64) (Found, bool, error) {
	rows, err := e.extent(ctx, p, x)
	if err != nil {
		return Found{}, false, err
	}
	start, _ := e.Bounds(p)
	for _, row := range rows {
		at, ts, ok, err := recordbatch.FindTime(row, start, ms, maxUnpacked)
		if err != nil {
			return Found{}, false, fmt.Errorf("%s: %w", p, err)
		}
		if ok {
			return Found{Offset: at, Time: ts, Epoch: x.Epoch}, true, nil
		}
	}
	return Found{}, false, nil
}
