package compaction

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/odradek/odradek/index"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

const (
	slotRead  = 16 << 20 // most that one GET of a slot brings
	slotGap   = 64 << 10 // between extents that one GET brings
	slotReads = 8        // at once
	mostRuns  = 4        // times MergeConfig.ReadBytes that one GET of a compacted object brings at most, but for one extent that is larger
	leastRuns = 4        // part of it that one brings at least, however many objects are read at a time

	readTimeout = 60 * time.Second // of one GET
	readTries   = 5                // what came damaged is asked for again like what did not come (C2)
	firstPause  = 50 * time.Millisecond
)

// get reads a part of an object until judge, which may be nil, is content with it. Errors name the key.
func (c *Compactor) get(ctx context.Context, key string, from, length int64, judge func([]byte) error) ([]byte, error) {
	for wait, try := firstPause, 1; ; wait, try = 3*wait, try+1 {
		once, cancel := context.WithTimeout(ctx, readTimeout)
		b, err := c.store.GetRange(once, key, from, length)
		cancel()
		switch {
		case err != nil:
		case from >= 0 && int64(len(b)) != length:
			err = fmt.Errorf("%d bytes at %d, want %d: %w", len(b), from, length, segment.ErrCorrupt)
		case judge != nil:
			err = judge(b)
		}
		if err == nil {
			return b, nil
		}
		stays := errors.Is(err, objectstore.ErrNotFound) || errors.Is(err, objectstore.ErrRange) || errors.Is(err, segment.ErrVersion)
		if stays || try == readTries || ctx.Err() != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		if err := pause(ctx, wait/2+rand.N(wait)); err != nil {
			return nil, err
		}
	}
}

// slotExtents holds the stored bytes of the extents of a job.
type slotExtents struct {
	c     *Compactor
	bytes map[slotExtent][]byte
}

type slotExtent struct {
	journal  topic.JournalID
	slot     topic.Slot
	position uint32
}

func where(e index.Entry) slotExtent { return slotExtent{e.Journal, e.Slot, e.Position} }

// fetch reads all extents of a job: each slot once, in as few GETs as their places allow.
func (c *Compactor) fetch(ctx context.Context, job slotJob) (*slotExtents, error) {
	var all []index.Entry
	for _, p := range job.parts {
		all = append(all, p.extents...)
	}
	slices.SortFunc(all, func(a, b index.Entry) int {
		return cmp.Or(compareJournals(a.Journal, b.Journal), cmp.Compare(a.Slot, b.Slot), cmp.Compare(a.Position, b.Position))
	})
	x := &slotExtents{c: c, bytes: make(map[slotExtent][]byte, len(all))}
	reads := chunks(all)
	got := make([][]byte, len(reads))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(slotReads)
	for i, list := range reads {
		g.Go(func() (err error) {
			from, to := list[0].Position, endOf(list[len(list)-1])
			got[i], err = c.get(ctx, slotlog.JournalKey(list[0].Journal, list[0].Slot), int64(from), to-int64(from), nil)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	for i, list := range reads {
		for _, e := range list {
			at := e.Position - list[0].Position
			x.bytes[where(e)] = got[i][at : at+e.Length : at+e.Length]
		}
	}
	return x, nil
}

func endOf(e index.Entry) int64 { return int64(e.Position) + int64(e.Length) }

// chunks cuts extents, by journal, slot and position, into what one GET brings each.
func chunks(all []index.Entry) [][]index.Entry {
	var out [][]index.Entry
	first := 0
	for i := 1; i <= len(all); i++ {
		if i < len(all) {
			a, b, z := all[first], all[i-1], all[i]
			same := a.Journal == z.Journal && a.Slot == z.Slot
			if same && int64(z.Position)-endOf(b) <= slotGap && endOf(z)-int64(a.Position) <= slotRead {
				continue
			}
		}
		out = append(out, all[first:i])
		first = i
	}
	return out
}

// batches gives the record batches of an extent, every byte of it checked. What came damaged is asked for again.
func (x *slotExtents) batches(ctx context.Context, p topic.Partition, e index.Entry) ([]byte, error) {
	at := where(e)
	stored := x.bytes[at]
	delete(x.bytes, at)
	var raw []byte
	read := func(b []byte) (err error) {
		if raw, err = segment.ReadExtent(e.Extent(p), b); err != nil {
			return err
		}
		return follow(raw, e.Base, e.Next, false)
	}
	if read(stored) == nil {
		return raw, nil
	}
	_, err := x.c.get(ctx, slotlog.JournalKey(e.Journal, e.Slot), int64(e.Position), int64(e.Length), read)
	return raw, err
}

// follow asks that batches lie one behind the other in [base, next): where there must be no holes, from base to next.
func follow(raw []byte, base, next topic.Offset, holes bool) error {
	at := base
	for len(raw) > 0 {
		info, err := recordbatch.Read(raw)
		switch {
		case err != nil:
			return fmt.Errorf("%w: %w", segment.ErrCorrupt, err)
		case info.Size > len(raw):
			return fmt.Errorf("%w: batch of %d bytes, have %d", segment.ErrCorrupt, info.Size, len(raw))
		case info.BaseOffset < at || info.BaseOffset > at && !holes || info.Next() <= info.BaseOffset || info.Next() > next:
			return fmt.Errorf("%w: batch [%d,%d) at %d of extent [%d,%d)", segment.ErrCorrupt, info.BaseOffset, info.Next(), at, base, next)
		}
		at, raw = info.Next(), raw[info.Size:]
	}
	if at != next && !holes {
		return fmt.Errorf("%w: batches of extent [%d,%d) end at %d", segment.ErrCorrupt, base, next, at)
	}
	return nil
}

// objectReader reads runs of one compacted object in the order in which they lie there: whole ones, as many as a step
// brings; a larger one by itself, in steps of up to most.
type objectReader struct {
	c    *Compactor
	key  string
	step int64
	most int64
	runs []stretch // to be read, rising
	have []byte
	at   int64 // of have in the object
}

type stretch struct{ from, to int64 }

// readers makes one for each object of a job.
func (c *Compactor) readers(job runJob) map[topic.Object]*objectReader {
	var runs []topic.Run
	for _, p := range job.parts {
		runs = append(runs, p.runs...)
	}
	return c.readersOf(runs, c.memory())
}

// readersOf makes one for each object of runs, all of which have memory bytes for their steps. Steps are of one size, so that
// the last one of an object is not a short one.
func (c *Compactor) readersOf(runs []topic.Run, memory int64) map[topic.Object]*objectReader {
	read := c.cfg.Merge.ReadBytes
	least := read / leastRuns
	out := make(map[topic.Object]*objectReader)
	for _, r := range runs {
		o := out[r.Object]
		if o == nil {
			o = &objectReader{c: c, key: r.Object.Key(), most: min(mostRuns*read, max(least, memory/2))}
			out[r.Object] = o
		}
		o.runs = append(o.runs, stretch{int64(r.Position), int64(r.Position) + r.Size()})
	}
	fair := min(mostRuns*read, max(least, memory/int64(max(len(out), 1))))
	for _, o := range out {
		slices.SortFunc(o.runs, func(a, b stretch) int { return cmp.Compare(a.from, b.from) })
		total, largest := int64(0), int64(0)
		for _, r := range o.runs {
			total, largest = total+r.to-r.from, max(largest, r.to-r.from)
		}
		roomy := fair + fair/8 // rather than a short one more
		steps := max(1, (total+roomy-1)/roomy)
		o.step = total/steps + min(largest, fair/8) // it ends where a run does
	}
	return out
}

// bytes gives a part of a run, valid until the next call.
func (o *objectReader) bytes(ctx context.Context, from, length int64) ([]byte, error) {
	if from < o.at || from+length > o.at+int64(len(o.have)) {
		to := max(from+length, o.upTo(from))
		o.have, o.at = nil, from // one of both is in memory
		b, err := o.c.get(ctx, o.key, from, to-from, nil)
		if err != nil {
			return nil, err
		}
		o.have = b
	}
	return o.have[from-o.at:][:length:length], nil
}

// upTo gives how far a read from a place goes.
func (o *objectReader) upTo(from int64) int64 {
	n, _ := slices.BinarySearchFunc(o.runs, from, func(s stretch, at int64) int {
		if s.to <= at {
			return -1
		}
		return 1
	})
	if n == len(o.runs) || o.runs[n].from > from {
		return from
	}
	if o.runs[n].to-from > o.step {
		return min(o.runs[n].to, from+o.most)
	}
	for n+1 < len(o.runs) && o.runs[n+1].from == o.runs[n].to && o.runs[n+1].to-from <= o.step {
		n++
	}
	return o.runs[n].to
}

// whole says whether a run is read at once.
func (o *objectReader) whole(r topic.Run) bool { return r.Size() <= max(o.step, o.most) }

// passed lets go of what is in memory of a run that was read, if it is more than a step or nothing else is there.
func (o *objectReader) passed(r topic.Run) {
	end := o.at + int64(len(o.have))
	if int64(len(o.have)) > o.step || int64(r.Position)+r.Size() >= end {
		o.have = nil
	}
}

// extents reads the table of a run: with its extents, if one step brings them all.
func (o *objectReader) extents(ctx context.Context, p topic.Partition, r topic.Run) ([]segment.Extent, error) {
	if r.Length == 0 {
		return nil, nil
	}
	at := int64(r.Position) + int64(r.Length)
	var out []segment.Extent
	read := func(b []byte) (err error) {
		out, err = segment.ReadRunTable(p, r, b)
		return err
	}
	if o.whole(r) {
		b, err := o.bytes(ctx, int64(r.Position), r.Size())
		if err != nil {
			return nil, err
		}
		if read(b[r.Length:]) == nil {
			return out, nil
		}
	}
	_, err := o.c.get(ctx, o.key, at, int64(r.Table), read)
	return out, err
}

// batches gives the record batches of an extent, every byte of it checked. What came damaged is asked for again.
func (o *objectReader) batches(ctx context.Context, e segment.Extent) ([]byte, error) {
	stored, err := o.bytes(ctx, int64(e.Position), int64(e.Length))
	if err != nil {
		return nil, err
	}
	var raw []byte
	read := func(b []byte) (err error) {
		if raw, err = segment.ReadExtent(e, b); err != nil {
			return err
		}
		return follow(raw, e.Base, e.Next, true)
	}
	if read(stored) == nil {
		return raw, nil
	}
	_, err = o.c.get(ctx, o.key, int64(e.Position), int64(e.Length), read)
	return raw, err
}
