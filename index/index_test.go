package index

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/topic"
)

var (
	p0 = topic.Partition{Topic: topic.ID{1}, Index: 0}
	p1 = topic.Partition{Topic: topic.ID{1}, Index: 1}
	j1 = topic.JournalID{1}
	j2 = topic.JournalID{2}
)

// entry is the extent [base, next) in the journal's slot.
func entry(j topic.JournalID, slot topic.Slot, base, next topic.Offset, ms int64) Entry {
	return Entry{
		Journal: j, Slot: slot, Epoch: 1, Base: base, Next: next, Position: 8, Length: 100, RawLength: 200,
		CRC32C: uint32(slot), MaxTimestamp: ms,
	}
}

// threeExtents is [0,10) [10,25) [25,30) with timestamps 100, 300, 200, the last in another journal.
func threeExtents(t testing.TB) (*Index, []Entry) {
	t.Helper()
	all := []Entry{entry(j1, 4, 0, 10, 100), entry(j1, 5, 10, 25, 300), entry(j2, 0, 25, 30, 200)}
	x := New()
	for _, e := range all {
		if err := x.Add(p0, e); err != nil {
			t.Fatal(err)
		}
	}
	return x, all
}

func TestFind_EveryOffsetItsExtent(t *testing.T) {
	x, all := threeExtents(t)
	for offset := topic.Offset(-1); offset < 32; offset++ {
		got, ok := x.Find(p0, offset)
		n := slices.IndexFunc(all, func(e Entry) bool { return e.Base <= offset && offset < e.Next })
		if ok != (n >= 0) || (ok && got != all[n]) {
			t.Errorf("offset %d: %+v, %t", offset, got, ok)
		}
	}
	if _, ok := x.Find(p1, 0); ok {
		t.Error("found in a partition not known")
	}
}

func TestAdd_GapsAndOverlapsAreRefusedRepeatsAreNot(t *testing.T) {
	other := entry(j1, 5, 10, 25, 300)
	other.Slot = 6
	for _, c := range []struct {
		name string
		e    Entry
		want error
	}{
		{"the first again", entry(j1, 4, 0, 10, 100), nil},
		{"the last again", entry(j2, 0, 25, 30, 200), nil},
		{"the next", entry(j2, 1, 30, 31, 1), nil},
		{"a gap", entry(j2, 1, 31, 33, 1), ErrGap},
		{"an empty one", entry(j2, 1, 30, 30, 1), ErrGap},
		{"one that ends before it begins", entry(j2, 1, 30, 29, 1), ErrGap},
		{"the same range in another slot", other, ErrOverlap},
		{"a part of the last", entry(j2, 0, 26, 30, 200), ErrOverlap},
		{"the last and more", entry(j2, 0, 25, 31, 200), ErrOverlap},
	} {
		t.Run(c.name, func(t *testing.T) {
			x, _ := threeExtents(t)
			if err := x.Add(p0, c.e); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			want := topic.Offset(30)
			if c.e.Next == 31 && c.want == nil {
				want = 31
			}
			if x.End(p0) != want {
				t.Errorf("end %d, want %d", x.End(p0), want)
			}
		})
	}
}

func TestAddSegment_AllOrNothing(t *testing.T) {
	x, _ := threeExtents(t)
	f := segment.Footer{Journal: j2, Slot: 1, Extents: []segment.Extent{
		{Partition: p1, Base: 0, Next: 5}, {Partition: p0, Base: 31, Next: 40},
	}}
	if err := x.AddSegment(&f); !errors.Is(err, ErrGap) || x.End(p1) != 0 {
		t.Errorf("end of p1 %d, %v", x.End(p1), err)
	}
	f.Extents[1].Base = 30
	for range 2 {
		if err := x.AddSegment(&f); err != nil || x.End(p0) != 40 || x.End(p1) != 5 {
			t.Errorf("ends %d, %d, %v", x.End(p0), x.End(p1), err)
		}
	}
	got, ok := x.Find(p0, 33)
	if want := NewEntry(j2, 1, f.Extents[1]); !ok || got != want || got.Extent(p0) != f.Extents[1] {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestFrom_YieldsTheRest(t *testing.T) {
	x, all := threeExtents(t)
	for offset, want := range map[topic.Offset][]Entry{-5: all, 0: all, 10: all[1:], 29: all[2:], 30: nil} {
		if diff := cmp.Diff(want, slices.Collect(x.From(p0, offset))); diff != "" {
			t.Errorf("from %d: %s", offset, diff)
		}
	}
	for range x.From(p0, 0) {
		break
	}
}

func TestFindByTime_OnlyExtentsYoungEnoughInOffsetOrder(t *testing.T) {
	x, all := threeExtents(t)
	for ms, want := range map[int64][]Entry{0: all, 100: all, 101: all[1:], 250: all[1:2], 300: all[1:2], 301: nil} {
		if diff := cmp.Diff(want, slices.Collect(x.FindByTime(p0, ms))); diff != "" {
			t.Errorf("from %d ms: %s", ms, diff)
		}
	}
	if e, ok := x.Newest(p0); !ok || e != all[1] {
		t.Errorf("newest %+v, %t", e, ok)
	}
	if _, ok := x.Newest(p1); ok {
		t.Error("newest of nothing")
	}
}

func TestSetStart_ForgetsWhatLiesBefore(t *testing.T) {
	x, all := threeExtents(t)
	for _, c := range []struct {
		start topic.Offset
		left  int
	}{{3, 3}, {10, 2}, {5, 2}, {24, 2}, {27, 1}, {30, 0}} {
		if err := x.SetStart(p0, c.start); err != nil {
			t.Fatal(err)
		}
		if x.Len(p0) != c.left || x.End(p0) != 30 {
			t.Errorf("start %d: %d extents, end %d", c.start, x.Len(p0), x.End(p0))
		}
		if _, ok := x.Find(p0, x.Start(p0)-1); ok {
			t.Errorf("start %d: an offset before it is found", c.start)
		}
		for _, e := range all {
			if err := x.Add(p0, e); err != nil {
				t.Errorf("start %d: repeat of [%d,%d): %v", c.start, e.Base, e.Next, err)
			}
		}
	}
	if err := x.SetStart(p0, 31); !errors.Is(err, ErrStart) {
		t.Errorf("behind the end: %v", err)
	}
	if err := x.Add(p0, entry(j2, 9, 30, 32, 1)); err != nil || x.Len(p0) != 1 {
		t.Errorf("%d extents, %v", x.Len(p0), err)
	}
}

func TestSetStart_ANewPartitionMayBeginAnywhere(t *testing.T) {
	x := New()
	if err := x.SetStart(p0, 70); err != nil || x.Start(p0) != 70 || x.End(p0) != 70 {
		t.Errorf("[%d,%d), %v", x.Start(p0), x.End(p0), err)
	}
	if err := x.Add(p0, entry(j1, 0, 70, 71, 1)); err != nil {
		t.Error(err)
	}
	x.Drop(p0)
	if x.End(p0) != 0 || len(slices.Collect(x.Partitions())) != 0 {
		t.Error("still known after Drop")
	}
}

// The whole index against a plain list, at random.
func TestIndex_AgreesWithAPlainList(t *testing.T) {
	for seed := range uint64(10) {
		r := rand.New(rand.NewPCG(seed, 9))
		x, model := New(), []Entry(nil)
		var start, end topic.Offset
		for step := range 400 {
			if r.IntN(10) > 0 {
				e := entry(j1, topic.Slot(step), end, end+1+topic.Offset(r.IntN(9)), r.Int64N(1000))
				if err := x.Add(p0, e); err != nil {
					t.Fatal(err)
				}
				model, end = append(model, e), e.Next
			} else if end > 0 {
				start = max(start, start+topic.Offset(r.Int64N(int64(end-start)+1)))
				if err := x.SetStart(p0, start); err != nil {
					t.Fatal(err)
				}
				model = slices.DeleteFunc(model, func(e Entry) bool { return e.Next <= start })
			}
			ms := r.Int64N(1000)
			var young []Entry
			for _, e := range model {
				if e.MaxTimestamp >= ms {
					young = append(young, e)
				}
			}
			if got := slices.Collect(x.FindByTime(p0, ms)); !slices.Equal(got, young) {
				t.Fatalf("seed %d step %d, from %d ms: %s", seed, step, ms, cmp.Diff(young, got))
			}
			if got := slices.Collect(x.From(p0, 0)); !slices.Equal(got, model) {
				t.Fatalf("seed %d step %d: %d extents, want %d", seed, step, len(got), len(model))
			}
		}
	}
}

func TestExtent_StaysSmall(t *testing.T) {
	if n := unsafe.Sizeof(extent{}); n > 56 {
		t.Errorf("%d bytes for each extent", n)
	}
}

func BenchmarkFind(b *testing.B) {
	for _, n := range []int{1_000, 1_000_000} {
		b.Run(fmt.Sprintf("%d-extents", n), func(b *testing.B) {
			x := New()
			for i := range n {
				at := topic.Offset(i) * 100
				if err := x.Add(p0, entry(j1, topic.Slot(i), at, at+100, int64(i))); err != nil {
					b.Fatal(err)
				}
			}
			r := rand.New(rand.NewPCG(1, 1))
			b.ReportAllocs()
			for b.Loop() {
				if _, ok := x.Find(p0, topic.Offset(r.Int64N(int64(n)*100))); !ok {
					b.Fatal("not found")
				}
			}
		})
	}
}

func BenchmarkAddSegment(b *testing.B) {
	b.Run("100p", func(b *testing.B) {
		x := New()
		f := segment.Footer{Journal: j1, Extents: make([]segment.Extent, 100)}
		b.ReportAllocs()
		for b.Loop() {
			for i := range f.Extents {
				at := topic.Offset(f.Slot) * 10
				f.Extents[i] = segment.Extent{Partition: topic.Partition{Index: int32(i)}, Base: at, Next: at + 10}
			}
			if err := x.AddSegment(&f); err != nil {
				b.Fatal(err)
			}
			f.Slot++
		}
	})
}
