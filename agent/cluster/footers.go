package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

const (
	footerReads  = 64        // footers of single slots asked for at once
	summaryReads = 16        // footers that stand for 64 slots asked for at once: each may hold MaxRecentBytes
	footerTail   = 64 << 10  // what one GET of a footer brings: most footers whole
	summaryTail  = 256 << 10 // and most of those with a summary
	footerTries  = 5         // of one that comes damaged
	footerPause  = 50 * time.Millisecond
)

// errSeal says that a slot holds a seal, not a footer: its journal ends there (I2), whether or not the control log says so yet.
var errSeal = errors.New("a seal where data counts")

// readFooter reads the footer of a slot that counts. What was damaged on its way is asked for again (C2): the footers of a
// whole log must not be unreadable for one bad answer. Errors: slotlog.ErrHole, errSeal; slotlog.ErrCorrupt and
// segment.ErrCorrupt; the store's.
func readFooter(ctx context.Context, store objectstore.Store, j topic.JournalID, slot topic.Slot) (segment.Footer, error) {
	for wait, try := footerPause, 1; ; wait, try = 2*wait, try+1 {
		f, came, err := readFooterOnce(ctx, store, j, slot)
		if err == nil || !came || try == footerTries {
			return f, err
		}
		if err := rest(ctx, wait); err != nil {
			return segment.Footer{}, err
		}
	}
}

// readFooterOnce is readFooter for one answer. came says that there was one: an error is about its bytes then.
func readFooterOnce(ctx context.Context, store objectstore.Store, j topic.JournalID, slot topic.Slot) (f segment.Footer, came bool, err error) {
	key := slotlog.JournalKey(j, slot)
	want := int64(footerTail)
	if slot%segment.SummaryEvery == segment.SummaryEvery-1 {
		want = summaryTail
	}
	for {
		tail, err := slotlog.Tail(ctx, store, key, want)
		if err != nil {
			return segment.Footer{}, false, fmt.Errorf("footer: %w", err)
		}
		kind, d, err := slotlog.ReadTrailer(tail)
		if err == nil && kind != slotlog.Data {
			whole, err := slotlog.Read(ctx, store, key) // a trailer does not show damage on its way (S1)
			switch {
			case err != nil:
				return segment.Footer{}, false, fmt.Errorf("footer: %w", err)
			case whole.Kind == slotlog.Seal:
				return segment.Footer{}, false, fmt.Errorf("%s: %w: %w", key, errSeal, slotlog.ErrCorrupt)
			}
			return segment.Footer{}, true, fmt.Errorf("%s: its trailer says %s: %w", key, kind, slotlog.ErrCorrupt)
		}
		if err != nil {
			return segment.Footer{}, true, fmt.Errorf("%s: %w", key, err)
		}
		f, err := segment.ReadFooter(tail[:len(tail)-slotlog.TrailerSize], d.Length-slotlog.TrailerSize)
		var short *segment.ShortError
		if errors.As(err, &short) && short.Need+slotlog.TrailerSize > want {
			want = short.Need + slotlog.TrailerSize
			continue
		}
		if err == nil {
			err = f.At(j, slot)
		}
		if err != nil {
			return segment.Footer{}, true, fmt.Errorf("%s: %w", key, err)
		}
		return f, true, nil
	}
}

// stretch is slots [from, to) that one footer tells of, the last one's: a single slot, or several that end with one that
// carries a summary.
type stretch struct{ from, to topic.Slot }

// nextStretch gives the first stretch of [from, to).
func nextStretch(from, to topic.Slot) stretch {
	if end := from - from%segment.SummaryEvery + segment.SummaryEvery; end <= to {
		return stretch{from, end}
	}
	return stretch{from, from + 1}
}

// reads is how many like this one may be asked for at once.
func (s stretch) reads() int {
	if s.to-s.from > 1 {
		return summaryReads
	}
	return footerReads
}

// slots tells fn, in slot order, what the footers of the slots [from, to) of a journal say; all of them count. Where a
// summary repeats the 63 footers before, these are not read: a boot costs one read for 64 slots.
func (e *Engine) slots(ctx context.Context, j topic.JournalID, from, to topic.Slot, fn func(segment.SlotExtents) error) error {
	ctx, cancel := context.WithCancel(ctx)
	type read struct {
		slots []segment.SlotExtents
		err   error
	}
	var ahead []chan read
	defer func() {
		cancel()
		for _, c := range ahead {
			<-c
		}
	}()
	for next := from; next < to || len(ahead) > 0; {
		for next < to {
			s := nextStretch(next, to)
			if len(ahead) >= s.reads() {
				break
			}
			next = s.to
			c := make(chan read, 1)
			ahead = append(ahead, c)
			go func() {
				slots, err := e.readStretch(ctx, j, s)
				c <- read{slots, err}
			}()
		}
		r := <-ahead[0]
		ahead = ahead[1:]
		if r.err != nil {
			return r.err
		}
		for _, s := range r.slots {
			if err := fn(s); err != nil {
				return err
			}
		}
	}
	return nil
}

// Slots tells fn, in slot order, what the footers of the slots [from, to) of a journal say; all of them must count. What fn
// is given is its own, and it is called by one goroutine. Errors: fn's; segment.ErrCorrupt and slotlog.ErrCorrupt; the store's.
func (e *Engine) Slots(ctx context.Context, j topic.JournalID, from, to topic.Slot, fn func(segment.SlotExtents) error) error {
	return e.slots(ctx, j, from, to, fn)
}

// readStretch reads a stretch's last footer, and the others too if its summary leaves them out.
func (e *Engine) readStretch(ctx context.Context, j topic.JournalID, s stretch) ([]segment.SlotExtents, error) {
	last, err := readFooter(ctx, e.store, j, s.to-1)
	if err != nil {
		return nil, err
	}
	slots := repeated(last.Summary, s)
	for slot := s.from + topic.Slot(len(slots)); slot < s.to-1; slot++ {
		f, err := readFooter(ctx, e.store, j, slot)
		if err != nil {
			return nil, err
		}
		slots = append(slots, f.Repeated())
	}
	return append(slots, last.Repeated()), nil
}

// repeated gives what a summary says of the slots of a stretch but the last: all of them, or none.
func repeated(summary *segment.Summary, s stretch) []segment.SlotExtents {
	if summary == nil {
		return nil
	}
	slots := make([]segment.SlotExtents, 0, s.to-s.from)
	for _, r := range summary.Recent {
		if r.Slot == s.from+topic.Slot(len(slots)) {
			slots = append(slots, r)
		}
	}
	if topic.Slot(len(slots)) < s.to-s.from-1 {
		return nil
	}
	return slots
}
