package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/sequence"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

// footerTail is what one read of a footer brings: most footers whole.
const footerTail = 64 << 10

// slotRead is one slot's object, checked by itself.
type slotRead struct {
	missing  bool
	kind     slotlog.Kind // 0: the trailer cannot be read
	size     int64        // of the object
	problems []string
	footer   *segment.Footer     // nil: a seal, or it cannot be read
	deltas   []sequence.Delta    // of the batches; of the footer when only that was read
	sums     map[extentAt]uint64 // of the batches of extents, if they were read
	batches  int64
	text     string // of a seal: who placed it
}

func (r *slotRead) problem(err error) { r.problems = append(r.problems, err.Error()) }

// readSlot reads one slot of a journal.
func (w *walk) readSlot(ctx context.Context, j topic.JournalID, slot topic.Slot) (slotRead, error) {
	key := slotlog.JournalKey(j, slot)
	size, listed := w.listed.journals[j].size(slot)
	if w.opt.Fast {
		r, err := readTail(ctx, w.store, j, slot)
		if err == nil && listed && r.kind != 0 && r.size != size {
			r = slotRead{problems: []string{fmt.Sprintf("%v: %d bytes, trailer says %d", slotlog.ErrCorrupt, size, r.size)}}
		}
		return r, err
	}
	if !listed { // it came after the listing, or there is nothing
		i, err := w.store.Head(ctx, key)
		if errors.Is(err, objectstore.ErrNotFound) {
			return slotRead{missing: true}, nil
		}
		if err != nil {
			return slotRead{}, fmt.Errorf("head %s: %w", key, err)
		}
		size = i.Size
	}
	weight := min(max(size, 1), w.opt.MemoryBytes)
	if err := w.memory.Acquire(ctx, weight); err != nil {
		return slotRead{}, err
	}
	defer w.memory.Release(weight)
	b, err := w.store.Get(ctx, key)
	if errors.Is(err, objectstore.ErrNotFound) {
		return slotRead{missing: true}, nil
	}
	if err != nil {
		return slotRead{}, fmt.Errorf("get %s: %w", key, err)
	}
	return checkObject(b, j, slot), nil
}

// checkObject checks a whole object. Of one that fails its own checksum the footer is used all the same if that is whole:
// what follows can still be judged, and the batch that is not what it was is named.
func checkObject(b []byte, j topic.JournalID, slot topic.Slot) slotRead {
	r := slotRead{size: int64(len(b))}
	e, err := slotlog.Open(b)
	if err != nil {
		r.problem(err)
		kind, _, err := slotlog.ReadTrailer(b)
		if err != nil {
			return r
		}
		e = slotlog.Envelope{Kind: kind, Payload: b[:len(b)-slotlog.TrailerSize]}
	}
	r.kind = e.Kind
	if e.Kind == slotlog.Seal {
		r.text = string(e.Payload)
		return r
	}
	r.sums = make(map[extentAt]uint64)
	f, err := segment.VerifyEach(e.Payload, func(x segment.Extent, i recordbatch.Info) {
		r.batches++
		r.sums[extentAt{x.Partition, x.Base}] += hashBatch(i)
		if i.HasProducer() {
			r.deltas = append(r.deltas, deltaOf(x.Partition, i))
		}
	})
	if joined, ok := err.(interface{ Unwrap() []error }); ok { // each extent's own
		for _, e := range joined.Unwrap() {
			r.problem(e)
		}
	} else if err != nil { // there is no footer
		r.problem(err)
		return r
	}
	if at := f.At(j, slot); at != nil {
		r.problem(at)
		return r
	}
	r.footer = &f
	if err == nil {
		r.compareDeltas()
	} else {
		r.deltas = f.Producers // some batches cannot be read
	}
	return r
}

func deltaOf(p topic.Partition, i recordbatch.Info) sequence.Delta {
	return sequence.Delta{
		Partition: p, ProducerID: i.ProducerID, ProducerEpoch: i.ProducerEpoch, FirstSequence: i.BaseSequence,
		Base: i.BaseOffset, Next: i.Next(), Timestamp: i.MaxTimestamp,
	}
}

// compareDeltas checks that the footer's producer deltas are those of the batches: all of them, or at least the ones that
// producer state rests on (I8).
func (r *slotRead) compareDeltas() {
	order := make(map[topic.Partition]int, len(r.footer.Extents))
	for i, x := range r.footer.Extents {
		order[x.Partition] = i
	}
	said := slices.Clone(r.footer.Producers)
	slices.SortStableFunc(said, func(a, b sequence.Delta) int { return order[a.Partition] - order[b.Partition] })
	if slices.Equal(said, r.deltas) {
		return
	}
	said, have := sequence.Recent(said), sequence.Recent(slices.Clone(r.deltas))
	for i := range max(len(said), len(have)) {
		switch {
		case i >= len(have):
			r.problems = append(r.problems, fmt.Sprintf("footer has a producer delta %s, no batch has", tell(said[i])))
		case i >= len(said):
			r.problems = append(r.problems, fmt.Sprintf("footer has no producer delta for batch %s", tell(have[i])))
		case said[i] != have[i]:
			r.problems = append(r.problems, fmt.Sprintf("footer has producer delta %s, the batch is %s", tell(said[i]), tell(have[i])))
		default:
			continue
		}
		return
	}
}

func tell(d sequence.Delta) string {
	return fmt.Sprintf("%s [%d,%d) producer %d epoch %d sequence %d at %d",
		d.Partition, d.Base, d.Next, d.ProducerID, d.ProducerEpoch, d.FirstSequence, d.Timestamp)
}

// readTail reads a slot's trailer and footer only.
func readTail(ctx context.Context, store objectstore.Store, j topic.JournalID, slot topic.Slot) (slotRead, error) {
	var r slotRead
	key := slotlog.JournalKey(j, slot)
	for want := int64(footerTail); ; {
		tail, err := store.GetRange(ctx, key, -want, 0)
		if errors.Is(err, objectstore.ErrNotFound) {
			return slotRead{missing: true}, nil
		}
		if err != nil {
			return slotRead{}, fmt.Errorf("get the end of %s: %w", key, err)
		}
		kind, d, err := slotlog.ReadTrailer(tail)
		if err != nil {
			r.problem(err)
			return r, nil
		}
		r.kind, r.size = kind, d.Length
		payload := tail[:len(tail)-slotlog.TrailerSize]
		if kind == slotlog.Seal {
			r.text = string(payload)
			return r, nil
		}
		f, err := segment.ReadFooter(payload, d.Length-slotlog.TrailerSize)
		var short *segment.ShortError
		if errors.As(err, &short) && short.Need+slotlog.TrailerSize > want {
			want = short.Need + slotlog.TrailerSize
			continue
		}
		if err == nil {
			err = f.At(j, slot)
		}
		if err != nil {
			r.problem(err)
			return r, nil
		}
		r.footer, r.deltas = &f, f.Producers
		return r, nil
	}
}
