package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/sequence"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

const (
	footerReads = 64       // footers asked for at once
	footerTail  = 64 << 10 // what one GET of a footer brings: most footers whole
)

// ReadFooter reads the footer of a slot that counts.
func ReadFooter(ctx context.Context, store objectstore.Store, j topic.JournalID, slot topic.Slot) (segment.Footer, error) {
	key := slotlog.JournalKey(j, slot)
	for want := int64(footerTail); ; {
		tail, err := store.GetRange(ctx, key, -want, 0)
		if errors.Is(err, objectstore.ErrNotFound) {
			return segment.Footer{}, fmt.Errorf("%s: %w", key, slotlog.ErrHole)
		}
		if err != nil {
			return segment.Footer{}, fmt.Errorf("read footer of %s: %w", key, err)
		}
		kind, d, err := slotlog.ReadTrailer(tail)
		if err == nil && kind != slotlog.Data {
			err = fmt.Errorf("a %s where data counts: %w", kind, slotlog.ErrCorrupt)
		}
		if err != nil {
			return segment.Footer{}, fmt.Errorf("%s: %w", key, err)
		}
		f, err := segment.ReadFooter(tail[:len(tail)-slotlog.TrailerSize], d.Length-slotlog.TrailerSize)
		var short *segment.ShortError
		if errors.As(err, &short) && short.Need+slotlog.TrailerSize > want {
			want = short.Need + slotlog.TrailerSize
			continue
		}
		if err == nil && (f.Journal != j || f.Slot != slot) {
			err = fmt.Errorf("footer of slot %d of journal %s: %w", f.Slot, f.Journal, segment.ErrCorrupt)
		}
		if err != nil {
			return segment.Footer{}, fmt.Errorf("%s: %w", key, err)
		}
		return f, nil
	}
}

// footers reads the footers of the slots [from, to) of a journal and calls fn in slot order.
func (e *Engine) footers(ctx context.Context, j topic.JournalID, from, to topic.Slot, fn func(segment.Footer) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type read struct {
		footer segment.Footer
		err    error
	}
	ahead := make([]chan read, 0, footerReads)
	defer func() {
		for _, c := range ahead {
			<-c
		}
	}()
	next := from
	for slot := from; slot < to; slot++ {
		for ; next < to && len(ahead) < footerReads; next++ {
			c, n := make(chan read, 1), next
			ahead = append(ahead, c)
			go func() {
				f, err := ReadFooter(ctx, e.store, j, n)
				c <- read{f, err}
			}()
		}
		r := <-ahead[0]
		ahead = ahead[1:]
		if r.err != nil {
			cancel()
			return r.err
		}
		if err := fn(r.footer); err != nil {
			cancel()
			return err
		}
	}
	return nil
}

// ended is a journal whose slots [Trim, end) count.
type ended struct {
	journal *control.Journal
	end     topic.Slot
}

// inOrder lists journals as they were opened.
func inOrder(js []ended) []ended {
	slices.SortFunc(js, func(a, b ended) int { return cmp.Compare(a.journal.Opened, b.journal.Opened) })
	return js
}

// History is what the log says of the partitions: where they end, and their producers.
type History struct {
	Ends      map[topic.Partition]topic.Offset
	Producers map[topic.Partition]*sequence.State
}

// fold reads the journals in order, tells log of every slot, and gathers what the footers say. Extents of deleted
// topics are passed over.
func (e *Engine) fold(ctx context.Context, s *control.State, js []ended, log Log) (History, error) {
	h := History{Ends: make(map[topic.Partition]topic.Offset), Producers: make(map[topic.Partition]*sequence.State)}
	for _, j := range inOrder(js) {
		err := e.footers(ctx, j.journal.ID, j.journal.Trim, j.end, func(f segment.Footer) error {
			return h.take(s, f, log)
		})
		if err != nil {
			return History{}, err
		}
	}
	return h, nil
}

func (h *History) take(s *control.State, f segment.Footer, log Log) error {
	extents := slices.DeleteFunc(slices.Clone(f.Extents), func(x segment.Extent) bool {
		_, known := s.TopicByID(x.Partition.Topic)
		return !known
	})
	for _, x := range extents {
		if end := h.Ends[x.Partition]; x.Base != end { // I3: each extent begins where the one before ended
			return fmt.Errorf("slot %d of journal %s: %s begins at %d, its end is %d: %w",
				f.Slot, f.Journal, x.Partition, x.Base, end, segment.ErrCorrupt)
		}
		h.Ends[x.Partition] = x.Next
	}
	for _, d := range f.Producers {
		if _, known := s.TopicByID(d.Partition.Topic); !known {
			continue
		}
		p := h.Producers[d.Partition]
		if p == nil {
			p = new(sequence.State)
			h.Producers[d.Partition] = p
		}
		p.Apply(d)
	}
	return log.Add(f.Journal, f.Slot, extents)
}
