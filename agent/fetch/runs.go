package fetch

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sort"
	"sync"

	"github.com/odradek/odradek/index"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/topic"
)

// A run is read in stretches that begin with the extent wanted and grow while somebody reads on, as an operating system
// reads files ahead: who looks at a few records fetches little, and who reads all of a large run needs few GETs. A stretch
// leaves its run only where the run is small and what lies before it was read a moment ago: somebody reads one partition
// after the other.
const (
	leastAhead = 1 << 20
	startAhead = 4 << 20 // from the start of a run, where nearly always somebody comes to read all of it
	mostAhead  = 16 << 20
	smallRun   = 1 << 20
	runsAtOnce = 16   // small ones that one read asks for together
	maxPaths   = 4096 // ends of stretches that are remembered
)

// path names a place where a reader stands: behind a part of an object, in a run or at its end.
type path struct {
	object topic.Object
	at     uint32
}

// pace is how a reader goes along: how much is read at once depends on it.
type pace struct {
	behind path  // where it comes from
	least  int64 // bytes
	need   int64 // bytes that it wants from here on, unpacked
}

// look is the pace of who reads one extent.
var look = pace{least: leastAhead}

// route is the runs and extents of a partition that a read goes through, in offset order.
type route struct {
	from    topic.Offset
	runs    []topic.Run // the first may end at from
	entries []index.Entry
}

// pace is how the n-th run is come to.
func (r route) pace(n, need int) pace {
	at := pace{least: leastAhead, need: int64(need)}
	if n > 0 {
		at.behind = endOf(r.runs[n-1])
	}
	if r.from <= r.runs[n].Base {
		at.least = startAhead
	}
	return at
}

// together reads the n-th run and those behind it at once, as far as they are small and wanted, and gives their number; at
// least 1, which is not read then. What fails is asked for again when its turn comes.
func (e *Engine) together(ctx context.Context, p topic.Partition, r route, n, need int) int {
	count, size := 0, 0
	for _, run := range r.runs[n:] {
		if run.Size() > smallRun || count == runsAtOnce || count > 0 && size >= need {
			break
		}
		count, size = count+1, size+int(run.RawLength)
	}
	if count <= 1 {
		return 1
	}
	var wg sync.WaitGroup
	for i := n; i < n+count; i++ {
		if r.runs[i].Length > 0 {
			wg.Go(func() { _, _ = e.table(ctx, p, r.runs[i], r.pace(i, need)) })
		}
	}
	wg.Wait()
	return count
}

// located yields the extents of a route from the one that holds its first offset, or follows it where that lies in a
// hole. need gives how many bytes are wanted still. An error ends it.
func (e *Engine) located(ctx context.Context, p topic.Partition, r route, need func() int) iter.Seq2[located, error] {
	return func(yield func(located, error) bool) {
		ready := 0 // runs before this one were read together
		for n, run := range r.runs {
			if run.Next <= r.from || run.Length == 0 {
				continue
			}
			if n >= ready {
				ready = n + e.together(ctx, p, r, n, need())
			}
			first := r.pace(n, need())
			rows, err := e.table(ctx, p, run, first)
			if err != nil {
				yield(located{}, err)
				return
			}
			for i := sort.Search(len(rows), func(i int) bool { return rows[i].Next > r.from }); i < len(rows); i++ {
				x := located{Entry: index.NewRunEntry(run.Object, rows[i]), run: keyOf(run), rows: rows[i:]}
				if x.pace = first; i > 0 {
					x.pace = pace{behind: path{run.Object, rows[i].Position}, least: leastAhead, need: int64(need())}
				}
				if !yield(x, nil) {
					return
				}
			}
		}
		for _, x := range r.entries {
			if !yield(located{Entry: x}, nil) {
				return
			}
		}
	}
}

// keyOf names a run.
func keyOf(r topic.Run) extentKey { return extentKey{objectKey{object: r.Object}, r.Position} }

func endOf(r topic.Run) path { return path{r.Object, r.Position + r.Length} }

// table gives the extents of a run. A run that is read whole comes with one GET, table and all; of others the table comes
// by itself. It is verified against the run (I5).
func (e *Engine) table(ctx context.Context, p topic.Partition, r topic.Run, at pace) ([]segment.Extent, error) {
	key := keyOf(r)
	return e.tables.Load(ctx, key, func(ctx context.Context) ([]segment.Extent, int64, error) {
		rows, err := e.readTable(ctx, p, r, at)
		if errors.Is(err, segment.ErrCorrupt) { // as with extents: perhaps only the copy here is bad
			all := stretch{key.object, r.Position, r.Position + r.Length + r.Table}
			e.spans.drop(all)
			if rows, err = e.readTable(ctx, p, r, at); err != nil {
				e.spans.drop(all)
			}
		}
		if err != nil {
			return nil, 0, fmt.Errorf("%s: %w", key.object, err)
		}
		return rows, tableOverhead + int64(len(rows))*extentSize, nil
	})
}

// extentSize is what a segment.Extent takes in memory, tableOverhead what a table takes beside its extents.
const (
	extentSize    = 64
	tableOverhead = 256
)

func (e *Engine) readTable(ctx context.Context, p topic.Partition, r topic.Run, at pace) ([]segment.Extent, error) {
	end := r.Position + r.Length
	tail := stretch{objectKey{object: r.Object}, end, end + r.Table}
	table, err := e.spans.load(ctx, tail, func(a around) (stretch, bool) {
		most := a.room()
		window := e.window(at, at.need, most)
		if r.Size() > window {
			return tail, false
		}
		e.remember(endOf(r), window)
		all := stretch{tail.object, r.Position, tail.to}
		if near := a.before(all.from, all.to); r.Size() <= smallRun && near > 0 {
			all.to = max(all.to, all.from+uint32(min(2*near, mostAhead, most)))
		}
		return all, true
	}, e.fetch)
	if err != nil {
		return nil, err
	}
	return segment.ReadRunTable(p, r, table)
}

// window is how many bytes are read at once: twice as many as the last time on the way here, at least what is needed, at
// most what the cache has room for.
func (e *Engine) window(at pace, need, most int64) int64 {
	window := max(at.least, need)
	if last, ok := e.paths.Get(at.behind); ok {
		window = max(window, 2*last)
	}
	return max(minChunk, min(window, mostAhead, most))
}

// remember notes with which window a stretch that ends at a place was read: who reads on from there came along it.
func (e *Engine) remember(at path, window int64) {
	e.paths.Drop(at)
	e.paths.Put(at, window, 1)
}

// ahead widens what is fetched of a run beyond the extent that is wanted, to the end of an extent.
func (e *Engine) ahead(x located) widen {
	if len(x.rows) == 0 {
		return func(around) (stretch, bool) { return storedAt(x.Entry), false }
	}
	return func(a around) (stretch, bool) {
		window := e.window(x.pace, x.needed(), a.room())
		to := x.Position
		for _, row := range x.rows {
			if to += row.Length; int64(to-x.Position) >= window {
				break
			}
		}
		e.remember(path{x.Object, to}, window)
		return stretch{holder(x.Entry), x.Position, to}, true
	}
}

// needed is how many stored bytes hold those that are needed.
func (x located) needed() (stored int64) {
	raw := int64(0)
	for _, row := range x.rows {
		if raw >= x.pace.need || stored >= mostAhead {
			break
		}
		raw, stored = raw+int64(row.RawLength), stored+int64(row.Length)
	}
	return stored
}
