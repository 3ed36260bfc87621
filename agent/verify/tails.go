package verify

import (
	"context"

	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

// Tail is what the end of a slot's object says.
type Tail struct {
	Slot     topic.Slot
	Kind     slotlog.Kind // 0: it cannot be read
	Size     int64
	Footer   *segment.Footer // nil: a seal, or it cannot be read
	SealedBy string          // what the sealer wrote into a seal
	Problems []string
}

// EachTail reads the ends of a journal's slots from from on, reads of them at once, and calls fn for each in order: up to
// the first that is not there, or up to to, or until fn says that it is enough. Errors: fn's, the store's.
func EachTail(ctx context.Context, store objectstore.Store, j topic.JournalID, from, to topic.Slot, reads int, fn func(Tail) (bool, error)) error {
	return ahead(ctx, from, to, reads, func(ctx context.Context, s topic.Slot) (slotRead, error) {
		return readTail(ctx, store, j, s)
	}, func(s topic.Slot, r slotRead) (bool, error) {
		if r.missing {
			return false, nil
		}
		return fn(Tail{Slot: s, Kind: r.kind, Size: r.size, Footer: r.footer, SealedBy: r.text, Problems: r.problems})
	})
}
