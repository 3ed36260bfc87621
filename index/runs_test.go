package index

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/topic"
)

// run is [base, next) in the n-th compacted object.
func run(n int, base, next topic.Offset, ms int64) topic.Run {
	return topic.Run{Object: topic.Object{Planned: topic.Slot(n)}, Base: base, Next: next, Level: 1, Length: 100, Table: 20, MaxTimestamp: ms}
}

func TestSetRuns_TakesThePlaceOfExtents(t *testing.T) {
	x, all := threeExtents(t)
	runs := []topic.Run{run(1, 0, 10, 100), run(2, 10, 25, 300)}
	if x.SetRuns(p0, 0, 25, runs) {
		t.Error("the end rose, which was there already")
	}
	if x.Start(p0) != 0 || x.End(p0) != 30 || x.Compacted(p0) != 25 || x.Len(p0) != 1 {
		t.Errorf("[%d,%d), compacted up to %d, %d extents", x.Start(p0), x.End(p0), x.Compacted(p0), x.Len(p0))
	}
	for offset := topic.Offset(0); offset < 30; offset++ {
		e, found := x.Find(p0, offset)
		if want := offset >= 25; found != want || found && e != all[2] {
			t.Errorf("offset %d: %+v, %v", offset, e, found)
		}
		if got := slices.Collect(x.From(p0, offset)); len(got) != 1 || got[0] != all[2] {
			t.Errorf("from %d: %+v, want the last extent", offset, got)
		}
		want := runs
		switch {
		case offset >= 25:
			want = nil
		case offset >= 10:
			want = runs[1:]
		}
		if got := x.Runs(p0, offset); !slices.Equal(got, want) {
			t.Errorf("runs from %d: %v, want %v", offset, got, want)
		}
	}
	if got := slices.Collect(x.FindByTime(p0, 0)); len(got) != 1 || got[0] != all[2] {
		t.Errorf("by time: %+v, want the last extent", got)
	}
	if e, ok := x.Newest(p0); !ok || e != all[2] {
		t.Errorf("newest extent %+v, %v", e, ok)
	}
	if r, ok := x.NewestRun(p0); !ok || r != runs[1] {
		t.Errorf("newest run %+v, %v", r, ok)
	}
	if err := x.Add(p0, entry(j2, 1, 30, 40, 1)); err != nil || x.End(p0) != 40 {
		t.Errorf("the next extent: end %d, %v", x.End(p0), err)
	}
}

// What is compacted is known: whoever reads the slots that held it may bring them in again, in whatever shape.
func TestSetRuns_ExtentsBelowAreKnown(t *testing.T) {
	x := New()
	if !x.SetRuns(p0, 0, 25, []topic.Run{run(1, 0, 25, 1)}) || x.End(p0) != 25 {
		t.Fatalf("end %d, want 25", x.End(p0))
	}
	for _, e := range []Entry{entry(j1, 4, 0, 10, 1), entry(j2, 9, 3, 25, 1), entry(j1, 5, 10, 25, 1)} {
		if err := x.Add(p0, e); err != nil {
			t.Errorf("[%d,%d): %v", e.Base, e.Next, err)
		}
		if rose, err := x.Insert(p0, e); rose || err != nil {
			t.Errorf("insert [%d,%d): %v, %v", e.Base, e.Next, rose, err)
		}
	}
	if x.Len(p0) != 0 {
		t.Errorf("%d extents, want none", x.Len(p0))
	}
	if err := x.Add(p0, entry(j1, 5, 20, 30, 1)); !errors.Is(err, ErrOverlap) {
		t.Errorf("one that reaches over the end of the runs: %v, want ErrOverlap", err)
	}
	f := segment.Footer{Journal: j1, Slot: 6, Extents: []segment.Extent{{Partition: p0, Base: 10, Next: 20}, {Partition: p1, Base: 0, Next: 5}}}
	if err := x.AddSegment(&f); err != nil || x.End(p0) != 25 || x.End(p1) != 5 {
		t.Errorf("a segment: ends %d and %d, %v", x.End(p0), x.End(p1), err)
	}
}

func TestSetRuns_NothingGoesBack(t *testing.T) {
	x, _ := threeExtents(t)
	newer := []topic.Run{run(3, 0, 25, 300)}
	x.SetRuns(p0, 0, 25, newer)
	if x.SetRuns(p0, 0, 10, []topic.Run{run(1, 0, 10, 100)}) || x.Compacted(p0) != 25 || !slices.Equal(x.Runs(p0, 0), newer) {
		t.Errorf("an older map is taken: up to %d, %v", x.Compacted(p0), x.Runs(p0, 0))
	}
	x.SetRuns(p0, 0, 25, []topic.Run{run(4, 0, 25, 300)})
	if got := x.Runs(p0, 0); got[0].Object.Planned != 4 {
		t.Errorf("runs that were made of runs are not taken: %v", got)
	}
	x.SetRuns(p0, 12, 25, []topic.Run{run(5, 12, 25, 300)})
	if x.Start(p0) != 12 {
		t.Errorf("log start %d, want 12", x.Start(p0))
	}
	x.SetRuns(p0, 12, 30, []topic.Run{run(6, 12, 30, 300)})
	if x.Start(p0) != 12 || x.Len(p0) != 0 || x.End(p0) != 30 {
		t.Errorf("all of it compacted: [%d,%d), %d extents", x.Start(p0), x.End(p0), x.Len(p0))
	}
	if x.SetRuns(p1, 0, 0, nil) || len(slices.Collect(x.Partitions())) != 1 {
		t.Error("a partition that was never compacted is known")
	}
}

// A log start in a run, and one that lets all runs go.
func TestSetRuns_RunsBeforeTheLogStartArePassedOver(t *testing.T) {
	x, _ := threeExtents(t)
	x.SetRuns(p0, 0, 25, []topic.Run{run(1, 0, 10, 900), run(2, 10, 25, 300)})
	for _, c := range []struct {
		start topic.Offset
		runs  int
	}{{4, 2}, {10, 1}, {24, 1}, {25, 0}, {27, 0}} {
		if err := x.SetStart(p0, c.start); err != nil {
			t.Fatal(err)
		}
		if got := x.Runs(p0, 0); len(got) != c.runs || x.Len(p0) != 1 || x.Start(p0) != c.start {
			t.Errorf("start %d: %d runs, %d extents, start %d; want %d runs and 1", c.start, len(got), x.Len(p0), x.Start(p0), c.runs)
		}
		if r, ok := x.NewestRun(p0); ok != (c.runs > 0) || c.runs == 1 && r.Next != 25 {
			t.Errorf("start %d: newest run %+v, %v", c.start, r, ok)
		}
	}
	x.SetRuns(p0, 25, 25, nil)
	if x.Start(p0) != 27 || x.End(p0) != 30 || x.Len(p0) != 1 {
		t.Errorf("[%d,%d), %d extents; want [27,30) and 1", x.Start(p0), x.End(p0), x.Len(p0))
	}
}

// An extent that begins in a run goes on being read behind it: its bytes are those of the log.
func TestSetRuns_AnExtentThatReachesOver(t *testing.T) {
	x, all := threeExtents(t)
	x.SetRuns(p0, 0, 20, []topic.Run{run(1, 0, 20, 1)})
	if e, ok := x.Find(p0, 20); !ok || e != all[1] {
		t.Errorf("behind the runs: %+v, %v; want [10,25)", e, ok)
	}
	if _, ok := x.Find(p0, 19); ok {
		t.Error("found in a run")
	}
	if err := x.Add(p0, all[1]); err != nil {
		t.Errorf("again: %v", err)
	}
}

func TestSetRuns_ClosesAGap(t *testing.T) {
	x := New()
	for _, e := range []Entry{entry(j1, 1, 10, 20, 1), entry(j1, 2, 20, 30, 1), entry(j1, 4, 40, 50, 1)} {
		if _, err := x.Insert(p0, e); err != nil {
			t.Fatal(err)
		}
	}
	x.Raise(p0, 27)
	if !x.SetRuns(p0, 5, 20, []topic.Run{run(1, 5, 20, 1)}) {
		t.Error("the end did not rise")
	}
	if x.Start(p0) != 27 || x.End(p0) != 30 || x.Aside(p0) != 1 || x.Len(p0) != 1 {
		t.Errorf("[%d,%d), %d extents, %d aside; want [27,30), 1 and 1", x.Start(p0), x.End(p0), x.Len(p0), x.Aside(p0))
	}
}

// In whatever order extents, log starts and maps of runs come, the partition ends up the same, and on the way what is seen is
// a whole log.
func TestSetRuns_AnyOrderMakesTheSameRow(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 3))
		var all []Entry
		for base := topic.Offset(0); len(all) < 30; {
			next := base + 1 + topic.Offset(r.IntN(5))
			all = append(all, entry(j1, topic.Slot(len(all)), base, next, r.Int64N(100)))
			base = next
		}
		end := all[29].Next
		start := topic.Offset(r.Int64N(int64(end) + 1))
		var runs []topic.Run
		x := New()
		var steps []func()
		for _, e := range all {
			steps = append(steps, func() {
				if _, err := x.Insert(p0, e); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
			})
		}
		for base, k := topic.Offset(0), 0; k < 20; { // runs of some extents each, swapped in one after the other
			k += 1 + r.IntN(6)
			runs = append(runs, run(k, base, all[k].Base, 1))
			base = all[k].Base
			swapped := slices.Clone(runs)
			steps = append(steps, func() { x.SetRuns(p0, 0, swapped[len(swapped)-1].Next, swapped) })
		}
		steps = append(steps, func() { x.Raise(p0, start) })
		var seen, from topic.Offset
		for _, i := range r.Perm(len(steps)) {
			steps[i]()
			if x.End(p0) < seen || x.Start(p0) < from || x.Start(p0) > x.End(p0) {
				t.Fatalf("seed %d: [%d,%d) after [%d,%d)", seed, x.Start(p0), x.End(p0), from, seen)
			}
			seen, from = x.End(p0), x.Start(p0)
			at := from
			for _, run := range x.Runs(p0, 0) {
				if run.Base > at || run.Next <= at {
					t.Fatalf("seed %d: a run [%d,%d) where %d follows", seed, run.Base, run.Next, at)
				}
				at = run.Next
			}
			for e := range x.From(p0, 0) {
				if e.Base > at || e.Next <= at || e != all[slices.IndexFunc(all, func(o Entry) bool { return o.Base == e.Base })] {
					t.Fatalf("seed %d: an extent [%d,%d) where %d follows", seed, e.Base, e.Next, at)
				}
				at = e.Next
			}
			if at != seen {
				t.Fatalf("seed %d: runs and extents reach to %d, the end is %d", seed, at, seen)
			}
		}
		compacted := runs[len(runs)-1].Next
		left := slices.DeleteFunc(slices.Clone(all), func(e Entry) bool { return e.Next <= max(start, compacted) })
		if got := slices.Collect(x.From(p0, 0)); x.Start(p0) != start || x.End(p0) != end || x.Compacted(p0) != compacted || !slices.Equal(got, left) {
			t.Fatalf("seed %d: [%d,%d) up to %d, %d extents; want [%d,%d) up to %d, %d", seed, x.Start(p0), x.End(p0), x.Compacted(p0),
				len(got), start, end, compacted, len(left))
		}
	}
}

func TestBegin_BehindAllThatIsKnown(t *testing.T) {
	x, _ := threeExtents(t)
	x.SetRuns(p0, 0, 10, []topic.Run{run(1, 0, 10, 1)})
	if _, err := x.Insert(p0, entry(j2, 5, 60, 70, 1)); err != nil {
		t.Fatal(err)
	}
	x.Begin(p0, 12)
	if x.Start(p0) != 12 || x.End(p0) != 30 || x.Len(p0) != 2 {
		t.Errorf("inside: [%d,%d), %d extents", x.Start(p0), x.End(p0), x.Len(p0))
	}
	x.Begin(p0, 60)
	if x.Start(p0) != 60 || x.End(p0) != 70 || x.Len(p0) != 1 || len(x.Runs(p0, 0)) != 0 {
		t.Errorf("behind: [%d,%d), %d extents, %d runs", x.Start(p0), x.End(p0), x.Len(p0), len(x.Runs(p0, 0)))
	}
	x.Begin(p1, 9)
	if x.Start(p1) != 9 || x.End(p1) != 9 {
		t.Errorf("a new one: [%d,%d)", x.Start(p1), x.End(p1))
	}
	if err := x.Add(p1, entry(j1, 1, 9, 10, 1)); err != nil {
		t.Error(err)
	}
}

func TestNewRunEntry_GivesBackItsExtent(t *testing.T) {
	e := segment.Extent{Partition: p0, Epoch: 3, Base: 5, Next: 9, Position: 8, Length: 70, RawLength: 100, CRC32C: 7, MaxTimestamp: 11}
	o := topic.Object{Planned: 4, ID: topic.ObjectID{1}}
	if n := NewRunEntry(o, e); n.Object != o || n.Extent(p0) != e || n.Journal != (topic.JournalID{}) {
		t.Errorf("%+v", n)
	}
}
