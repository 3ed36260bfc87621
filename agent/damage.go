package agent

import (
	"errors"
	"time"

	"github.com/odradek/odradek/checkpoint"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/slotlog"
)

const (
	damageMost  = 30 * time.Second // for which starts in a row may find damaged objects in the bucket
	damageTries = 3                // and so many of them at least
)

// damage tells objects that are damaged in the bucket, which a person must mend, from bytes that were damaged on their way
// for a while.
type damage struct {
	since time.Time
	tries int
}

// lasts takes in what a session ended with and says whether that is damage that does not go away.
func (d *damage) lasts(err error) bool {
	if errors.Is(err, errNotOpened) && (errors.Is(err, segment.ErrVersion) || errors.Is(err, checkpoint.ErrVersion)) {
		return true // a newer build wrote it: no read gives anything else
	}
	if !errors.Is(err, errNotOpened) || !errors.Is(err, slotlog.ErrCorrupt) && !errors.Is(err, segment.ErrCorrupt) {
		*d = damage{}
		return false
	}
	if d.tries++; d.tries == 1 {
		d.since = time.Now()
	}
	return d.tries >= damageTries && time.Since(d.since) >= damageMost
}
