package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/topic"
	"github.com/odradek/odradek/trace"
)

// ErrNotKnown says that an offset of a partition that another agent owns is not known here (C1): only the owner can say
// whether it is out of range.
var ErrNotKnown = errors.New("offset not known to this agent, which does not own the partition")

// Request is one fetch of several partitions.
type Request struct {
	MaxWait  time.Duration
	MinBytes int
	MaxBytes int // of all parts; the first whole batch may exceed it
	Parts    []Part
	// Room waits for memory for up to want bytes of records and gives how many may be read. It is called once there is
	// something to read, before it is read. Nil: no bound.
	Room func(ctx context.Context, want int) (int, error)
	// Stop ends the wait when it is closed: who owns what has changed. Nil: never.
	Stop <-chan struct{}
}

// Part asks for one partition's records from Offset on.
type Part struct {
	Partition topic.Partition
	Offset    topic.Offset
	MaxBytes  int // of this part; the first whole batch of the answer may exceed it
	// Follow says that another agent owns the partition. An offset above what is known here may be there all the same: it
	// is waited for, and what stays outside is ErrNotKnown, never ErrOutOfRange (C1, O2).
	Follow bool
}

// fails says whether the answer is an error whatever comes.
func (p Part) fails(start, end topic.Offset) bool {
	return p.Offset < start || p.Offset > end && !p.Follow
}

// outside is the error for an offset outside [start, end].
func (p Part) outside(start, end topic.Offset) error {
	err := ErrOutOfRange
	if p.Follow {
		err = ErrNotKnown
	}
	return fmt.Errorf("%d outside [%d, %d]: %w", p.Offset, start, end, err)
}

// Result answers a Part. Records hold whole batches, the first of which contains Offset; they are shared and must
// not be changed.
type Result struct {
	Records                 [][]byte
	LogStart, HighWatermark topic.Offset
	Err                     error
}

// Read waits up to MaxWait until MinBytes are visible and no followed part's offset is above the end, or a part's answer
// is an error, and then answers all parts in order. When ctx ends or Stop is closed it answers with what there is.
func (e *Engine) Read(ctx context.Context, r Request) []Result {
	w := &waiter{woken: make(chan struct{}, 1)}
	r.Room = once(r.Room)
	registered := false
	var waits trace.Span
	deadline := time.NewTimer(max(r.MaxWait, 0))
	defer deadline.Stop()
	for {
		if e.enough(r) || r.MaxWait <= 0 {
			waits.End(nil)
			out := e.gather(ctx, r)
			if r.MaxWait <= 0 || !hollow(out) || e.enough(r) {
				return out
			}
			// What there seemed to be was a hole at the end of the log, which is known now.
		}
		if !registered { // register first, then look again: nothing that counts in between is missed
			defer e.wait(w, r.Parts)()
			registered = true
			waits = trace.From(ctx).Child("wait for records", trace.Internal)
			continue
		}
		select {
		case <-w.woken:
		case <-r.Stop:
			waits.End(nil)
			return e.gather(ctx, r)
		case <-deadline.C:
			waits.End(nil)
			return e.gather(ctx, r)
		case <-ctx.Done():
			waits.End(nil)
			return e.gather(ctx, r)
		}
	}
}

// once lets room be asked once: who reads again has what it got then.
func once(room func(context.Context, int) (int, error)) func(context.Context, int) (int, error) {
	if room == nil {
		return nil
	}
	asked, got := false, 0
	return func(ctx context.Context, want int) (_ int, err error) {
		if !asked {
			got, err = room(ctx, want)
			asked = err == nil
		}
		return got, err
	}
}

// hollow reports whether an answer holds nothing, not even an error.
func hollow(out []Result) bool {
	return !slices.ContainsFunc(out, func(r Result) bool { return r.Err != nil || len(r.Records) > 0 })
}

// enough reports whether an answer would hold MinBytes, by what the index says, or an error.
func (e *Engine) enough(r Request) bool {
	size, failed := e.visible(r, r.MinBytes)
	return failed || len(r.Parts) == 0 || size >= r.MinBytes && !e.behind(r)
}

// behind reports whether the index has not come to the offset of a followed part yet.
func (e *Engine) behind(r Request) bool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	for _, p := range r.Parts {
		if p.Follow && p.Offset > e.index.End(p.Partition) {
			return true
		}
	}
	return false
}

// visible says how many bytes of records there are for a request, as far as they do not pass limit, and whether the
// answer for a part would be an error whatever comes. The first extent of a part counts whole, and so does about as much
// of a run.
func (e *Engine) visible(r Request, limit int) (size int, failed bool) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	for _, p := range r.Parts {
		start, end := e.index.Start(p.Partition), e.index.End(p.Partition)
		if _, gone := e.deleted[p.Partition.Topic]; gone || p.fails(start, end) {
			failed = true
			continue
		}
		if p.Offset >= end {
			continue
		}
		for _, run := range e.index.Runs(p.Partition, p.Offset) {
			if size += int(e.estimate(run, p.Offset)); size >= limit {
				return size, failed
			}
		}
		for x := range e.index.From(p.Partition, p.Offset) {
			if size += int(x.RawLength); size >= limit {
				return size, failed
			}
		}
	}
	return size, failed
}

// endsBefore notes that a run has no records from an offset on.
func (e *Engine) endsBefore(run extentKey, offset topic.Offset) {
	if end, ok := e.hollow.Get(run); !ok || offset < end {
		e.hollow.Drop(run)
		e.hollow.Put(run, offset, 1)
	}
}

// estimate is about how many bytes of records a run has from an offset on, rather more than fewer, as nobody has looked;
// 0 only if there are none.
func (e *Engine) estimate(r topic.Run, from topic.Offset) uint64 {
	if from <= r.Base {
		return r.RawLength
	}
	if end, ok := e.hollow.Get(keyOf(r)); ok && from >= end {
		return 0
	}
	share := float64(r.Next-from) / float64(r.Next-r.Base)
	return min(r.RawLength, uint64(share*float64(r.RawLength))+leastRoom)
}

// leastRoom is asked for where a request allows less: its first batch comes whole.
const leastRoom = 1 << 20

// room waits for memory for what a request may read, and gives how many bytes that is.
func (e *Engine) room(ctx context.Context, r Request) (int, error) {
	if r.Room == nil {
		return r.MaxBytes, nil
	}
	want := max(r.MaxBytes, leastRoom)
	size, _ := e.visible(r, want)
	if size == 0 {
		return r.MaxBytes, nil
	}
	got, err := r.Room(ctx, min(want, size))
	return min(got, r.MaxBytes), err
}

// gather reads what is visible now.
func (e *Engine) gather(ctx context.Context, r Request) []Result {
	out := make([]Result, len(r.Parts))
	left, err := e.room(ctx, r)
	first := true
	refresh := e.refreshOnce()
	for i, p := range r.Parts {
		if err != nil {
			out[i].Err = fmt.Errorf("wait for memory: %w", err)
			continue
		}
		out[i] = e.part(ctx, p, min(left, p.MaxBytes), first, refresh)
		for _, rec := range out[i].Records {
			left -= len(rec)
			first = false
		}
	}
	return out
}

// refreshOnce gives what reads the control log when it is called first. Its error is not theirs who look again: they find
// out by themselves.
func (e *Engine) refreshOnce() func(context.Context) {
	var once sync.Once
	return func(ctx context.Context) {
		once.Do(func() {
			if e.cfg.Refresh == nil {
				return
			}
			if err := e.cfg.Refresh(ctx); err != nil {
				slog.WarnContext(ctx, "an object is missing, and the control log cannot be read", "err", err)
			}
		})
	}
}

// part reads whole batches of one partition up to limit bytes; with force at least one, whatever its size: a consumer
// that gets none sticks for ever.
func (e *Engine) part(ctx context.Context, p Part, limit int, force bool, refresh func(context.Context)) Result {
	res := e.pick(ctx, p, limit, force)
	if errors.Is(res.Err, objectstore.ErrNotFound) { // another object may hold it by now: look again, once (C2)
		refresh(ctx)
		res = e.pick(ctx, p, limit, force)
	}
	return res
}

func (e *Engine) pick(ctx context.Context, p Part, limit int, force bool) Result {
	ctx, span := trace.Start(ctx, "read", trace.Internal)
	way, res := e.indexed(span, p, limit, force)
	defer func() { span.End(res.Err) }()
	k := picker{offset: p.Offset, limit: limit, force: force}
	for x, err := range e.located(ctx, p.Partition, way, func() int { return k.limit }) {
		if len(k.picked) > 0 && int(x.RawLength) > k.limit && k.limit < limit/4 {
			break // for the little that is left an extent is not read
		}
		var rows [][]byte
		if err == nil {
			rows, err = e.extent(ctx, p.Partition, x)
		}
		for i := 0; err == nil && i < len(rows) && !k.full; i++ {
			err = k.take(rows[i])
		}
		if err != nil && len(k.picked) == 0 {
			res.Err = unread(ctx, fmt.Errorf("%s at %d: %w", p.Partition, p.Offset, err))
		}
		if err != nil || k.full {
			break // what was picked so far is whole
		}
		if len(k.picked) == 0 && len(x.rows) == 1 {
			e.endsBefore(x.run, p.Offset) // its last extent holds nothing any more
		}
	}
	res.Records = k.picked
	return res
}

// unread is the error of records that could not be read, unless the asker went away.
func unread(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	return fmt.Errorf("%w: %w", ErrStorage, err)
}

// picker takes whole batches from offset on until limit bytes are reached.
type picker struct {
	offset topic.Offset
	limit  int
	force  bool // the next batch is taken whatever its size
	picked [][]byte
	full   bool
}

// take picks from a row of whole batches.
func (k *picker) take(row []byte) error {
	rest, err := recordbatch.Seek(row, k.offset)
	if err != nil || len(rest) == 0 {
		return err
	}
	some, err := recordbatch.Fit(rest, k.limit)
	if err != nil {
		return err
	}
	if len(some) > k.limit && !k.force {
		k.full = true
		return nil
	}
	k.limit -= len(some)
	k.force = false
	k.full = len(some) < len(rest) || k.limit <= 0
	if len(some) < len(row)/2 {
		some = bytes.Clone(some) // a small answer that leaves slowly would keep all of the row
	}
	k.picked = append(k.picked, some)
	return nil
}

// indexed is plan, as a span below that of a part.
func (e *Engine) indexed(part trace.Span, p Part, limit int, force bool) (route, Result) {
	if !part.On() {
		return e.plan(p, limit, force)
	}
	part.Text("odradek.partition", p.Partition.String())
	part.Number("odradek.offset", int64(p.Offset))
	look := part.Child("index", trace.Internal)
	way, res := e.plan(p, limit, force)
	look.Number("odradek.extents", int64(len(way.entries)))
	look.Number("odradek.runs", int64(len(way.runs)))
	look.End(res.Err)
	return way, res
}

// plan picks the runs and the extents to read.
func (e *Engine) plan(p Part, limit int, force bool) (route, Result) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	res := Result{LogStart: e.index.Start(p.Partition), HighWatermark: e.index.End(p.Partition)}
	if _, gone := e.deleted[p.Partition.Topic]; gone {
		res.Err = fmt.Errorf("%s: %w", p.Partition, ErrUnknownPartition)
		return route{}, res
	}
	if p.Offset < res.LogStart || p.Offset > res.HighWatermark {
		res.Err = p.outside(res.LogStart, res.HighWatermark)
		return route{}, res
	}
	if p.Offset == res.HighWatermark || (limit <= 0 && !force) {
		return route{}, res
	}
	way := route{from: p.Offset, runs: e.index.Runs(p.Partition, p.Offset-1)} // with the one that was read before, if it ends here
	size := 0
	for _, run := range way.runs {
		if run.Base > p.Offset { // the one before may be nearly over
			size += int(run.RawLength)
		}
	}
	if size >= limit && size > 0 {
		return way, res
	}
	for x := range e.index.From(p.Partition, p.Offset) {
		way.entries = append(way.entries, x)
		if len(way.entries) > 1 || len(way.runs) > 0 { // the first may begin far below the offset
			size += int(x.RawLength)
		}
		if size >= limit {
			break
		}
	}
	return way, res
}
