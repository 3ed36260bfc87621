package agent

import (
	"context"
	"strings"

	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/memory"
	"github.com/odradek/odradek/slotlog"
)

// simBucket is a bucket that remembers every slot that was ever created, for the checks: the pool deletes those that are
// not needed any more.
type simBucket struct {
	*memory.Store
	archive *memory.Store // of slots and seals, as they were first
}

func newSimBucket() *simBucket { return &simBucket{memory.New(), memory.New()} }

// Create implements objectstore.Store. A slot that was deleted may be created again, by a PUT that comes late: it is garbage.
func (b *simBucket) Create(ctx context.Context, key string, body objectstore.Body) error {
	err := b.Store.Create(ctx, key, body)
	if err == nil && strings.HasPrefix(key, slotlog.JournalsPrefix) {
		_ = b.archive.Create(ctx, key, body)
	}
	return err
}
