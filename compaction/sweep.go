package compaction

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/odradek/odradek/checkpoint"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/topic"
)

const (
	mostGarbage = 100_000 // objects that are watched until their grace is over
	mostDeletes = 1_000   // in one sweep
)

// Sweep deletes objects of checkpoints that nothing needs: planned below the newest verified checkpoint, named by none of
// those kept, and so for the time of grace as this process saw it, whatever clocks say (I9). A checkpoint that holds later
// is planned above, and names of what is older only what the kept one names that it was computed from. Nothing is deleted
// while the head of one that is kept cannot be read.
func (c *Compactor) Sweep(ctx context.Context) error {
	if err := c.begin(ctx); err != nil {
		return err
	}
	defer c.done()
	ctx = objectstore.Because(ctx, objectstore.ReasonGarbage)
	state := c.log.State()
	newest, ok := state.NewestCheckpoint()
	if !ok {
		return nil
	}
	named, err := namedBy(ctx, c.store, state)
	if err != nil {
		return fmt.Errorf("sweep checkpoints: %w", err)
	}
	held, err := c.pinned(ctx, state)
	if err != nil {
		return fmt.Errorf("sweep checkpoints: %w", err)
	}
	now := time.Now()
	seen := make(map[string]time.Time)
	sizes := make(map[string]int64)
	err = c.store.List(ctx, checkpoint.Prefix, func(o objectstore.Info) error {
		planned, ok := plannedAt(o.Key)
		if !ok || planned >= newest.Control || named[o.Key] || held.key(o.Key) != nil || len(seen) >= mostGarbage {
			return nil
		}
		since, before := c.unnamed[o.Key]
		if !before {
			since = now
		}
		if o.Modified.After(since) { // by the store's clock; one of both may be wrong
			since = o.Modified
		}
		seen[o.Key], sizes[o.Key] = since, o.Size
		return nil
	})
	if err != nil {
		return fmt.Errorf("sweep checkpoints: %w", err)
	}
	c.unnamed = seen // what is gone is forgotten
	var gone []Garbage
	for key, since := range seen {
		if now.Sub(since) >= c.cfg.Grace && len(gone) < mostDeletes {
			gone = append(gone, Garbage{key, sizes[key], "of no checkpoint that is kept"})
		}
	}
	deleted, err := c.remove(ctx, state.Next()-1, gone)
	if err != nil {
		return fmt.Errorf("sweep checkpoints: %w", err)
	}
	for _, g := range gone {
		delete(seen, g.Key)
	}
	c.swept.Add(int64(deleted))
	if deleted > 0 {
		slog.DebugContext(ctx, "objects of old checkpoints deleted", "objects", deleted, "left", len(seen))
	}
	return nil
}

// namedBy gives the keys of all objects of the checkpoints that are kept.
func namedBy(ctx context.Context, store objectstore.Store, s *control.State) (map[string]bool, error) {
	named := make(map[string]bool)
	for _, info := range s.Checkpoints() {
		h, err := checkpoint.ReadHead(ctx, store, info.Control, info.ID)
		if err != nil {
			return nil, err
		}
		named[h.Name().Key()] = true
		for _, p := range h.Parts {
			for _, key := range p.Keys() {
				named[key] = true
			}
		}
	}
	return named, nil
}

// plannedAt gives the control number that a checkpoint's object was planned at.
func plannedAt(key string) (topic.Slot, bool) {
	if strings.HasPrefix(key, checkpoint.PartPrefix) {
		planned, _, err := checkpoint.ParsePartKey(key)
		return planned, err == nil
	}
	name, err := checkpoint.ParseKey(key)
	return name.Control, err == nil
}
