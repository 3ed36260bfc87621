package index

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/odradek/odradek/topic"
)

// Whatever the order, and however often an extent comes, the row ends up whole, and nothing behind a gap is found.
func TestInsert_AnyOrderMakesTheSameRow(t *testing.T) {
	const n = 60
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		var all []Entry
		for base := topic.Offset(0); len(all) < n; {
			next := base + 1 + topic.Offset(r.IntN(5))
			all = append(all, entry([]topic.JournalID{j1, j2}[r.IntN(2)], topic.Slot(len(all)), base, next, r.Int64N(100)))
			base = next
		}
		order := append(slices.Clone(all), all[:n/3]...)
		r.Shuffle(len(order), func(i, k int) { order[i], order[k] = order[k], order[i] })
		x := New()
		came := make(map[topic.Offset]bool)
		end := topic.Offset(0)
		for _, e := range order {
			came[e.Base] = true
			before := end
			for i := range all {
				if all[i].Base == end && came[end] {
					end = all[i].Next
				}
			}
			rose, err := x.Insert(p0, e)
			if err != nil || rose != (end > before) || x.End(p0) != end {
				t.Fatalf("seed %d: [%d,%d): %v, rose %v, end is %d; want %d", seed, e.Base, e.Next, err, rose, x.End(p0), end)
			}
			if _, found := x.Find(p0, end); found {
				t.Fatalf("seed %d: found behind the end %d", seed, end)
			}
		}
		if got := slices.Collect(x.From(p0, 0)); !slices.Equal(got, all) || x.Aside(p0) != 0 || len(x.aside) != 0 {
			t.Fatalf("seed %d: %d extents, %d aside; want %d and none", seed, len(got), x.Aside(p0), n)
		}
	}
}

// A log start may come before the extents that lie below it, in whatever order: in the end it is the highest that was asked
// for, and on the way never above the end.
func TestRaise_AnyOrderMakesTheSameStart(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 2))
		var all []Entry
		for base := topic.Offset(0); len(all) < 30; {
			next := base + 1 + topic.Offset(r.IntN(5))
			all = append(all, entry([]topic.JournalID{j1, j2}[r.IntN(2)], topic.Slot(len(all)), base, next, r.Int64N(100)))
			base = next
		}
		end := all[len(all)-1].Next
		starts := []topic.Offset{topic.Offset(r.Int64N(int64(end) + 1)), topic.Offset(r.Int64N(int64(end) + 1)), topic.Offset(r.Int64N(int64(end) + 1))}
		want := slices.Max(starts)
		x, before := New(), topic.Offset(0)
		for _, i := range r.Perm(len(all) + len(starts)) {
			if i >= len(all) {
				x.Raise(p0, starts[i-len(all)])
			} else if _, err := x.Insert(p0, all[i]); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			now := x.Start(p0)
			if now < before || now > x.End(p0) || now > want {
				t.Fatalf("seed %d: start %d after %d, end is %d, %d was asked for", seed, now, before, x.End(p0), want)
			}
			if e, found := x.Find(p0, now); found != (now < x.End(p0)) || found && (now < e.Base || now >= e.Next) {
				t.Fatalf("seed %d: at the start %d is %+v, %v", seed, now, e, found)
			}
			before = now
		}
		rest := slices.DeleteFunc(slices.Clone(all), func(e Entry) bool { return e.Next <= want })
		if got := slices.Collect(x.From(p0, 0)); x.Start(p0) != want || x.End(p0) != end || !slices.Equal(got, rest) || len(x.starts) != 0 {
			t.Fatalf("seed %d: [%d,%d), %d extents, %d starts wait; want [%d,%d) and %d", seed, x.Start(p0), x.End(p0), len(got), len(x.starts), want, end, len(rest))
		}
	}
}

func TestDrop_ForgetsALogStartBehindTheEnd(t *testing.T) {
	x := New()
	x.Raise(p0, 7)
	x.Drop(p0)
	x.append(p0, entry(j1, 0, 0, 9, 1))
	if x.Start(p0) != 0 || len(x.starts) != 0 {
		t.Errorf("start %d, %d wait", x.Start(p0), len(x.starts))
	}
}

func TestInsert_OverlapsAreRefusedHereAndAside(t *testing.T) {
	for _, c := range []struct {
		name string
		e    Entry
		want error
	}{
		{"aside again", entry(j2, 7, 40, 50, 1), nil},
		{"between the two aside", entry(j2, 8, 50, 60, 1), nil},
		{"up to the first aside", entry(j2, 8, 30, 40, 1), nil},
		{"seen again", entry(j2, 0, 25, 30, 200), nil},
		{"same range in another slot", entry(j2, 8, 40, 50, 1), ErrOverlap},
		{"into the first aside", entry(j2, 8, 35, 41, 1), ErrOverlap},
		{"from the end into it", entry(j2, 8, 30, 41, 1), ErrOverlap},
		{"out of the first aside", entry(j2, 8, 49, 55, 1), ErrOverlap},
		{"over all", entry(j2, 8, 31, 99, 1), ErrOverlap},
		{"below the end", entry(j2, 8, 26, 30, 1), ErrOverlap},
		{"empty", entry(j2, 8, 35, 35, 1), ErrGap},
	} {
		t.Run(c.name, func(t *testing.T) {
			x, _ := threeExtents(t)
			for _, e := range []Entry{entry(j2, 7, 40, 50, 1), entry(j2, 9, 60, 70, 1)} {
				if rose, err := x.Insert(p0, e); rose || err != nil {
					t.Fatal(rose, err)
				}
			}
			if _, err := x.Insert(p0, c.e); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if c.want != nil && (x.Aside(p0) != 2 || x.End(p0) != 30) {
				t.Errorf("refused, and yet %d aside, end %d", x.Aside(p0), x.End(p0))
			}
		})
	}
}

func TestDrop_ForgetsWhatIsAside(t *testing.T) {
	x := New()
	if _, err := x.Insert(p0, entry(j1, 1, 10, 20, 1)); err != nil {
		t.Fatal(err)
	}
	x.Drop(p0)
	if rose, err := x.Insert(p0, entry(j1, 0, 0, 10, 1)); !rose || err != nil || x.End(p0) != 10 {
		t.Errorf("%v %v, end %d; want 10", rose, err, x.End(p0))
	}
}

func TestSetStart_OfANewPartitionMeetsWhatIsAside(t *testing.T) {
	x := New()
	for _, e := range []Entry{entry(j1, 1, 10, 20, 1), entry(j1, 2, 20, 30, 1)} {
		if _, err := x.Insert(p0, e); err != nil {
			t.Fatal(err)
		}
	}
	if err := x.SetStart(p0, 20); err != nil || x.End(p0) != 30 || x.Aside(p0) != 0 {
		t.Errorf("%v, end %d, %d aside; want 30 and none", err, x.End(p0), x.Aside(p0))
	}
}
