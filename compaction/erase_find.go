package compaction

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/odradek/odradek/checkpoint"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/index"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

// joinSpans sorts spans and joins those that meet.
func joinSpans(all []Span) []Span {
	slices.SortFunc(all, func(a, b Span) int { return cmp.Compare(a.From, b.From) })
	var out []Span
	for _, s := range all {
		if n := len(out); n > 0 && s.From <= out[n-1].To {
			out[n-1].To = max(out[n-1].To, s.To)
		} else {
			out = append(out, s)
		}
	}
	return out
}

// meeting gives the first of spans that ends behind an offset.
func meeting(spans []Span, from topic.Offset) (Span, bool) {
	i, _ := slices.BinarySearchFunc(spans, from, func(s Span, from topic.Offset) int {
		if s.To <= from {
			return -1
		}
		return 1
	})
	if i == len(spans) {
		return Span{}, false
	}
	return spans[i], true
}

// overlaps says whether spans have an offset of [from, to).
func overlaps(spans []Span, from, to topic.Offset) bool {
	s, ok := meeting(spans, from)
	return ok && s.From < to
}

// covers says whether one of spans has all of [from, to).
func covers(spans []Span, from, to topic.Offset) bool {
	s, ok := meeting(spans, from)
	return ok && s.From <= from && to <= s.To
}

// unpack unpacks a batch of which some records are to be erased, or it is not known which. Error: ErrUnreadable.
func (e *Eraser) unpack(b []byte, info recordbatch.Info) (recordbatch.Unpacked, error) {
	u, err := recordbatch.Unpack(b, e.cfg.MaxRaw)
	if err != nil {
		return u, fmt.Errorf("%w: offsets %d to %d: %w", ErrUnreadable, info.BaseOffset, info.Next()-1, err)
	}
	return u, nil
}

// layout is where the records of a partition lie that count by now.
type layout struct {
	start, end topic.Offset
	runs       []topic.Run
	extents    []index.Entry // behind the runs
}

// holds words what a partition has.
func (l layout) holds() string {
	if l.start == l.end {
		return fmt.Sprintf("nothing, its end is %d", l.end)
	}
	return fmt.Sprintf("the offsets %d to %d", l.start, l.end-1)
}

// errBehind says that slots were read that the control state applied here does not know everything about yet.
var errBehind = errors.New("the control log was not read far enough yet")

const (
	findTries = 10
	findPause = 2 * time.Second
)

// Find gives the records to be erased, of all that counts by now: in runs, in slots that a checkpoint holds, and behind it.
// It writes nothing. What is swapped and deleted meanwhile is looked for again. Errors: ErrOffsets, ErrUnreadable, ErrTooMany.
func (e *Eraser) Find(ctx context.Context, what Erasing) ([]ErasePart, error) {
	for try := 1; ; try++ {
		parts, err := e.find(ctx, what)
		if err == nil || !errors.Is(err, errBehind) && !errors.Is(err, objectstore.ErrNotFound) || try == findTries {
			return parts, err
		}
		if err := pause(ctx, findPause); err != nil {
			return nil, err
		}
	}
}

func (e *Eraser) find(ctx context.Context, what Erasing) ([]ErasePart, error) {
	if err := e.c.begin(ctx); err != nil {
		return nil, err
	}
	defer e.c.done()
	layouts, err := e.layouts(ctx, what)
	if err != nil {
		return nil, err
	}
	var out []ErasePart
	places := 0
	for _, p := range slices.SortedFunc(maps.Keys(layouts), comparePartitions) {
		l := layouts[p]
		for _, s := range what.Offsets {
			if s.From < l.start || s.To > l.end {
				return nil, fmt.Errorf("%w: partition %d has %s, not all of %d to %d", ErrOffsets, p.Index, l.holds(), s.From, s.To-1)
			}
		}
		part := ErasePart{Partition: p}
		err := e.scan(ctx, p, l, what, func(from, to topic.Offset, records int64) error {
			part.Records += records
			if n := len(part.Offsets); n > 0 && part.Offsets[n-1].To == from {
				part.Offsets[n-1].To = to
				return nil
			}
			part.Offsets = append(part.Offsets, Span{from, to})
			if places++; places > e.cfg.Spans {
				return fmt.Errorf("%w: they lie in more than %d places", ErrTooMany, e.cfg.Spans)
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("partition %d: %w", p.Index, err)
		}
		if part.Records > 0 {
			out = append(out, part)
		}
	}
	return out, nil
}

// topicLog is a Log that shows one topic.
type topicLog struct {
	Log
	topic topic.ID
}

// Slots implements Log.
func (l topicLog) Slots(ctx context.Context, j topic.JournalID, from, to topic.Slot, fn func(segment.SlotExtents) error) error {
	return l.Log.Slots(ctx, j, from, to, func(x segment.SlotExtents) error {
		x.Extents = slices.DeleteFunc(x.Extents, func(e segment.Extent) bool { return e.Partition.Topic != l.topic })
		x.LogStarts = slices.DeleteFunc(x.LogStarts, func(s segment.LogStart) bool { return s.Partition.Topic != l.topic })
		x.Producers = nil
		return fn(x)
	})
}

// layouts gives where the partitions to be looked through lie, as a checkpoint made now would have it. The caller works.
func (e *Eraser) layouts(ctx context.Context, what Erasing) (map[topic.Partition]layout, error) {
	ends, err := e.ends(ctx)
	if err != nil {
		return nil, err
	}
	if err := e.cfg.Refresh(ctx); err != nil { // it knows of all epochs of these slots then
		return nil, err
	}
	s := e.c.log.State()
	t, ok := s.TopicByID(what.Topic)
	if !ok {
		return nil, fmt.Errorf("%w: the topic was deleted", ErrOffsets)
	}
	base, err := e.c.base(ctx, s)
	if err != nil {
		return nil, err
	}
	cut, err := newCut(ctx, e.c.store, topicLog{e.c.log, what.Topic}, s, base)
	if err != nil {
		return nil, err
	}
	if err := cut.advance(ctx, math.MaxInt, func(j *control.Journal) topic.Slot { return ends[j.ID] }); err != nil {
		return nil, err
	}
	for _, r := range cut.journals {
		if r.next < r.limit {
			return nil, fmt.Errorf("%w: slot %d of journal %s", errBehind, r.next, r.id)
		}
	}
	out := make(map[topic.Partition]layout)
	for i := range t.Partitions() {
		if p := (topic.Partition{Topic: t.ID, Index: i}); what.Partition < 0 || what.Partition == i {
			at, held := cut.standing(p), s.Compaction(p)
			out[p] = layout{start: max(at.Start, held.Start), end: max(at.End, held.End), runs: held.Runs}
		}
	}
	take := func(p topic.Partition, entries []index.Entry) {
		if l, wanted := out[p]; wanted {
			l.extents = append(l.extents, above(entries, max(s.Compaction(p).End, l.start))...)
			out[p] = l
		}
	}
	if base != nil {
		err = base.Rows(ctx, e.c.store, func(r checkpoint.Row) error {
			take(r.Partition, r.Entries)
			return nil
		})
	}
	for p, entries := range cut.extents {
		take(p, entries)
	}
	return out, err
}

// ends gives the first slot of each journal that is not there, or its seal's.
func (e *Eraser) ends(ctx context.Context) (map[topic.JournalID]topic.Slot, error) {
	out := make(map[topic.JournalID]topic.Slot)
	for j := range e.c.log.State().Journals() {
		if out[j.ID] = j.SealSlot; !j.Sealed {
			end, err := e.cfg.End(ctx, j)
			if err != nil {
				return nil, fmt.Errorf("find the end of journal %s: %w", j.ID, err)
			}
			out[j.ID] = end
		}
	}
	return out, nil
}

// scan tells found of the records of a partition that are to be erased, in offset order.
func (e *Eraser) scan(ctx context.Context, p topic.Partition, l layout, what Erasing, found func(from, to topic.Offset, records int64) error) error {
	only := what.Offsets
	if what.Key != nil {
		only = []Span{{l.start, l.end}}
	}
	visit := func(b []byte, info recordbatch.Info) (bool, error) {
		switch {
		case info.IsControl() || info.Count == 0 || !overlaps(only, info.BaseOffset, info.Next()):
			return true, nil
		case what.Key == nil && covers(only, info.BaseOffset, info.Next()):
			return true, found(info.BaseOffset, info.Next(), int64(info.Count))
		}
		u, err := e.unpack(b, info)
		if err != nil {
			return false, err
		}
		u.Records(func(_ int, r recordbatch.Raw) bool {
			if overlaps(only, r.Offset, r.Offset+1) && (what.Key == nil || r.Key != nil && bytes.Equal(r.Key, what.Key)) {
				err = found(r.Offset, r.Offset+1, 1)
			}
			return err == nil
		})
		return err == nil, err
	}
	objects := e.c.readersOf(l.runs, e.c.cfg.Merge.InputBytes)
	for _, r := range l.runs {
		if !overlaps(only, r.Base, r.Next) {
			continue
		}
		if err := eachBatch(e.batchesOf(ctx, objects[r.Object], runOf{p, r}, only), r.Base, visit); err != nil {
			return err
		}
		objects[r.Object].have = nil
	}
	return eachBatch(e.slotBatches(ctx, p, l.extents, only), 0, visit)
}

// batchesOf gives the batches of a run: of those extents that have an offset of only, if that is not nil.
func (e *Eraser) batchesOf(ctx context.Context, o *objectReader, at runOf, only []Span) KeySource {
	return func(topic.Offset) iter.Seq2[[]byte, error] {
		return func(yield func([]byte, error) bool) {
			extents, err := o.extents(ctx, at.partition, at.run)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, x := range extents {
				if only != nil && !overlaps(only, x.Base, x.Next) {
					continue
				}
				raw, err := o.batches(ctx, x)
				if !yield(raw, err) || err != nil {
					return
				}
			}
		}
	}
}

// slotBatches gives the batches of extents that lie in slots and have an offset of only. As many stored bytes of them are in
// memory as a job may take.
func (e *Eraser) slotBatches(ctx context.Context, p topic.Partition, extents []index.Entry, only []Span) KeySource {
	return func(topic.Offset) iter.Seq2[[]byte, error] {
		return func(yield func([]byte, error) bool) {
			var list []index.Entry
			size := int64(0)
			read := func() (more bool) {
				stored, err := e.c.fetch(ctx, slotJob{parts: []slotPart{{goal{partition: p}, list}}})
				if err != nil {
					yield(nil, err)
					return false
				}
				for _, x := range list {
					raw, err := stored.batches(ctx, p, x)
					if !yield(raw, err) || err != nil {
						return false
					}
				}
				list, size = list[:0], 0
				return true
			}
			for _, x := range extents {
				if !overlaps(only, x.Base, x.Next) {
					continue
				}
				full := size+int64(x.Length) > e.c.cfg.Merge.InputBytes || len(list) == mostSlots
				if len(list) > 0 && full && !read() {
					return
				}
				list, size = append(list, x), size+int64(x.Length)
			}
			if len(list) > 0 {
				read()
			}
		}
	}
}

// runHolds says whether a run holds a record to be erased.
func (e *Eraser) runHolds(ctx context.Context, at runOf) (bool, error) {
	offsets := e.parts[at.partition].Offsets
	if !overlaps(offsets, at.run.Base, at.run.Next) {
		return false, nil
	}
	holds := false
	objects := e.c.readersOf([]topic.Run{at.run}, e.c.cfg.Merge.InputBytes)
	err := eachBatch(e.batchesOf(ctx, objects[at.run.Object], at, offsets), at.run.Base, func(b []byte, info recordbatch.Info) (bool, error) {
		switch {
		case info.IsControl() || info.Count == 0 || !overlaps(offsets, info.BaseOffset, info.Next()):
			return true, nil
		case covers(offsets, info.BaseOffset, info.Next()):
			holds = true
			return false, nil
		}
		u, err := e.unpack(b, info)
		if err != nil {
			return false, err
		}
		u.Records(func(_ int, r recordbatch.Raw) bool {
			holds = overlaps(offsets, r.Offset, r.Offset+1)
			return !holds
		})
		return !holds, nil
	})
	return holds, err
}

// place reads from the key what the holder is.
func (h *Holder) place() {
	if o, err := topic.ParseObjectKey(h.Key); err == nil {
		h.object = o
	} else if j, slot, err := slotlog.ParseJournalKey(h.Key); err == nil {
		h.journal, h.slot = j, slot
	}
}

func (e *Eraser) hold(key string, size int64) {
	if _, known := e.holders[key]; !known {
		h := &Holder{Key: key, Size: size}
		h.place()
		e.holders[key] = h
	}
}

// lookThroughJournals finds the slots that hold something to be erased: of all that are there, also those that were trimmed
// and wait for their deletion. Slots that come later have other offsets.
func (e *Eraser) lookThroughJournals(ctx context.Context) error {
	ends, err := e.ends(ctx)
	if err != nil {
		return err
	}
	for j := range e.c.log.State().Journals() {
		if err := e.lookThrough(ctx, j, ends[j.ID]); err != nil {
			return fmt.Errorf("journal %s: %w", j.ID, err)
		}
	}
	return nil
}

func (e *Eraser) lookThrough(ctx context.Context, j *control.Journal, end topic.Slot) error {
	sizes := make(map[topic.Slot]int64)
	to := end
	if j.Sealed {
		to = math.MaxUint64
	}
	err := slotsBelow(ctx, e.c.store, j.ID, to, math.MaxInt, func(o objectstore.Info, slot topic.Slot) {
		if slot < end {
			sizes[slot] = o.Size
		} else if slot > end {
			e.astray = append(e.astray, o.Key)
		}
	})
	if err != nil {
		return err
	}
	take := func(x segment.SlotExtents) error {
		for _, extent := range x.Extents {
			if overlaps(e.parts[extent.Partition].Offsets, extent.Base, extent.Next) {
				e.hold(slotlog.JournalKey(j.ID, x.Slot), sizes[x.Slot])
			}
		}
		return nil
	}
	for _, slot := range slices.Sorted(maps.Keys(sizes)) {
		if slot >= j.Trim {
			break
		}
		err := e.c.log.Slots(ctx, j.ID, slot, slot+1, take)
		if err != nil && !errors.Is(err, objectstore.ErrNotFound) { // else it is deleted by now
			return err
		}
	}
	for from := j.Trim; from < end; {
		err := e.c.log.Slots(ctx, j.ID, from, end, take)
		if !errors.Is(err, objectstore.ErrNotFound) {
			return err
		}
		now, _ := e.c.log.State().Journal(j.ID)
		if now.Trim == from {
			return err
		}
		from = now.Trim // trimmed and deleted meanwhile
	}
	return nil
}

// lookAround finds the compacted objects that hold something to be erased, named or not, and which holders are gone.
func (e *Eraser) lookAround(ctx context.Context) error {
	if err := e.c.begin(ctx); err != nil {
		return err
	}
	defer e.c.done()
	there := make(map[string]bool)
	var unknown []objectstore.Info
	err := e.c.store.List(ctx, topic.CompactedPrefix, func(info objectstore.Info) error {
		o, err := topic.ParseObjectKey(info.Key)
		if err != nil {
			return nil // not ours
		}
		there[info.Key] = true
		if _, known := e.looked[o]; !known {
			unknown = append(unknown, info)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("list compacted objects: %w", err)
	}
	for p := range e.parts { // what is listed may be old
		for _, r := range e.c.log.State().Compaction(p).Runs {
			if _, known := e.looked[r.Object]; !known && overlaps(e.parts[p].Offsets, r.Base, r.Next) && !there[r.Object.Key()] {
				there[r.Object.Key()] = true
				held, _ := e.c.log.State().Object(r.Object)
				unknown = append(unknown, objectstore.Info{Key: r.Object.Key(), Size: held.Size})
			}
		}
	}
	for _, info := range unknown {
		holds, err := e.objectHolds(ctx, info)
		if errors.Is(err, objectstore.ErrNotFound) || errors.Is(err, objectstore.ErrRange) {
			continue // it is gone
		}
		o, _ := topic.ParseObjectKey(info.Key)
		if _, current := e.c.log.State().Object(o); err != nil && (current || !damaged(err)) {
			return err
		} else if err != nil {
			holds = true // nobody can tell, and nobody needs it
		}
		if e.looked[o] = holds; holds {
			e.hold(info.Key, info.Size)
		}
	}
	if err := e.listSlots(ctx, there); err != nil {
		return err
	}
	for key, h := range e.holders {
		if h.Gone != nil || there[key] {
			continue
		}
		_, err := e.c.store.Head(ctx, key) // what is listed may be old
		switch {
		case errors.Is(err, objectstore.ErrNotFound):
			now := time.Now().UTC().Truncate(time.Second)
			h.Gone = &now
		case err != nil:
			return fmt.Errorf("head %s: %w", key, err)
		}
	}
	return nil
}

// listSlots notes which of the slots are there that hold something to be erased. Nobody deletes those that are not trimmed.
func (e *Eraser) listSlots(ctx context.Context, there map[string]bool) error {
	s := e.c.log.State()
	last := make(map[topic.JournalID]topic.Slot)
	for _, h := range e.holders {
		if j, ok := s.Journal(h.journal); ok && h.Gone == nil && h.object.IsZero() {
			if h.slot >= j.Trim {
				there[h.Key] = true
			} else {
				last[h.journal] = max(last[h.journal], h.slot)
			}
		}
	}
	for j, slot := range last {
		err := slotsBelow(ctx, e.c.store, j, slot+1, math.MaxInt, func(o objectstore.Info, _ topic.Slot) { there[o.Key] = true })
		if err != nil {
			return fmt.Errorf("list journal %s: %w", j, err)
		}
	}
	return nil
}

// objectHolds says whether a compacted object holds something to be erased, whether or not anything names it.
func (e *Eraser) objectHolds(ctx context.Context, info objectstore.Info) (bool, error) {
	f, err := e.c.footerOf(ctx, info.Key, info.Size)
	if err != nil {
		return false, err
	}
	for _, r := range f.Runs {
		if holds, err := e.runHolds(ctx, runOf{r.Partition, r.Run}); holds || err != nil {
			return holds, err
		}
	}
	return false, nil
}
