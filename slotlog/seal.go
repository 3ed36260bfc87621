package slotlog

import (
	"context"
	"errors"
	"fmt"

	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/topic"
)

// SealJournal closes a journal and gives the slot of its seal: every data slot below it counts, and nothing can be
// added ever after. It goes up from slot from on, where every slot below from must be known to count, and creates a
// seal at the first that is free: never above a hole (I2). Sealing a sealed journal finds the seal that is there.
// by is written into the seal, for people.
func SealJournal(ctx context.Context, store objectstore.Store, j topic.JournalID, from topic.Slot, by string) (topic.Slot, error) {
	for slot := from; ; slot++ {
		key := JournalKey(j, slot)
		err := land(ctx, store, key, Freeze(Seal, []byte(by)), unhedged{}, nil)
		if err == nil {
			return slot, nil
		}
		if !errors.Is(err, ErrFenced) {
			return 0, fmt.Errorf("seal journal %s: %w", j, err)
		}
		kind, err := readKind(ctx, store, key)
		if err != nil {
			return 0, fmt.Errorf("seal journal %s: %w", j, err)
		}
		if kind == Seal {
			return slot, nil
		}
	}
}

// FirstToSeal finds where SealJournal has to begin when nobody knows how far a journal got: it gallops from trim, the
// first slot that is kept, to a slot x that is there, and steps back by the window, since up to window slots were in
// flight at once: x exists, so every slot below x-window+1 counts (F2).
func FirstToSeal(ctx context.Context, store objectstore.Store, j topic.JournalID, trim topic.Slot, window int) (topic.Slot, error) {
	low := trim         // trim or present
	var high topic.Slot // absent once the gallop ends
	for step := topic.Slot(1); ; step *= 2 {
		high = trim + step
		ok, err := there(ctx, store, j, high)
		if err != nil {
			return 0, fmt.Errorf("find the end of journal %s: %w", j, err)
		}
		if !ok {
			break
		}
		low = high
	}
	for low+1 < high {
		mid := low + (high-low)/2
		ok, err := there(ctx, store, j, mid)
		if err != nil {
			return 0, fmt.Errorf("find the end of journal %s: %w", j, err)
		}
		if ok {
			low = mid
		} else {
			high = mid
		}
	}
	back := topic.Slot(window) - 1
	if low < trim+back {
		return trim, nil
	}
	return low - back, nil
}
