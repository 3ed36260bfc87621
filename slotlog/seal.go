package slotlog

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/topic"
)

const (
	lostInARow = 3  // slots that a sealer loses one by one to a writer that still lives, before it looks ahead
	lookAhead  = 64 // slots that it looks at together then: no writer has more in flight (S2)
)

// SealJournal closes a journal and gives the slot of its seal: every data slot below it counts, and nothing can be
// added ever after. It goes up from slot from on, where every slot below from must be known to count, and creates a
// seal at the first that is free: never above a hole (I2). Sealing a sealed journal finds the seal that is there. A
// writer that still lives may take slot after slot first; then many are passed at once, so that the sealer keeps up with
// it. by is written into the seal, for people.
func SealJournal(ctx context.Context, store objectstore.Store, j topic.JournalID, from topic.Slot, by string) (topic.Slot, error) {
	slot, lost := from, 0
	for {
		key := JournalKey(j, slot)
		err := land(ctx, store, key, Freeze(Seal, []byte(by)), unhedged{}, alone(), nil)
		if err == nil {
			return slot, nil
		}
		if !errors.Is(err, ErrFenced) {
			return 0, fmt.Errorf("seal journal %s: %w", j, err)
		}
		kind, err := readKind(ctx, store, key)
		if err == nil && kind == Data {
			slot++
			if lost++; lost%lostInARow == 0 {
				slot, kind, err = passData(ctx, store, j, slot)
			}
		}
		if err != nil {
			return 0, fmt.Errorf("seal journal %s: %w", j, err)
		}
		if kind == Seal {
			return slot, nil
		}
	}
}

// passData goes up from a slot, below which all are data, to the first that is not: free, or a seal, which kind says
// then. Every slot on the way was read: a seal is not stepped over.
func passData(ctx context.Context, store objectstore.Store, j topic.JournalID, from topic.Slot) (slot topic.Slot, kind Kind, err error) {
	type look struct {
		kind Kind
		err  error
	}
	for {
		var looks [lookAhead]look
		var looking sync.WaitGroup
		for i := range looks {
			looking.Go(func() {
				looks[i].kind, looks[i].err = readKind(ctx, store, JournalKey(j, from+topic.Slot(i)))
			})
		}
		looking.Wait()
		for i, l := range looks {
			switch at := from + topic.Slot(i); {
			case errors.Is(l.err, ErrHole):
				return at, Data, nil
			case l.err != nil:
				return 0, 0, l.err
			case l.kind == Seal:
				return at, Seal, nil
			}
		}
		from += lookAhead
	}
}

// HintToSeal is FirstToSeal by a hint from elsewhere, of the first slot that does not count: if the slot before it holds
// data, SealJournal may begin a window below. Else ok is false, and the hint is worth nothing (F2).
func HintToSeal(ctx context.Context, store objectstore.Store, j topic.JournalID, trim, hint topic.Slot, window int) (from topic.Slot, ok bool, err error) {
	if hint <= trim {
		return 0, false, nil
	}
	kind, err := readKind(ctx, store, JournalKey(j, hint-1))
	switch {
	case errors.Is(err, ErrHole), err == nil && kind != Data:
		return 0, false, nil
	case err != nil:
		return 0, false, fmt.Errorf("hint for journal %s: %w", j, err)
	}
	if back := topic.Slot(window); hint > trim+back {
		return hint - back, true, nil
	}
	return trim, true, nil
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

// FirstFree gives the first slot from one on that holds no data: it is free, or a seal. If every slot below from counts, all
// below the answer do. A journal that is written on may have more by the time it is given.
func FirstFree(ctx context.Context, store objectstore.Store, j topic.JournalID, from topic.Slot) (topic.Slot, error) {
	slot, _, err := passData(ctx, store, j, from)
	if err != nil {
		return 0, fmt.Errorf("first free slot of journal %s: %w", j, err)
	}
	return slot, nil
}
