package index

import (
	"testing"

	"github.com/odradek/odradek/topic"
)

func TestAbove_CountsWhatLiesBehindACut(t *testing.T) {
	x := New()
	a, b := topic.JournalID{1}, topic.JournalID{2}
	one, two := topic.Partition{Topic: topic.ID{1}}, topic.Partition{Topic: topic.ID{1}, Index: 1}
	add := func(p topic.Partition, j topic.JournalID, slot topic.Slot) {
		t.Helper()
		at := x.End(p)
		if err := x.Add(p, Entry{Journal: j, Slot: slot, Base: at, Next: at + 1, Length: 1}); err != nil {
			t.Fatal(err)
		}
	}
	for slot := range topic.Slot(10) {
		add(one, a, slot)
		add(two, a, slot)
	}
	for slot := range topic.Slot(5) { // the second one moved
		add(two, b, slot)
	}
	for _, c := range []struct {
		a, b topic.Slot
		want int
	}{{0, 0, 25}, {10, 5, 0}, {10, 0, 5}, {7, 0, 3 + 3 + 5}, {9, 3, 1 + 2}} {
		got := x.Above(func(j topic.JournalID) topic.Slot {
			if j == a {
				return c.a
			}
			return c.b
		})
		if got != c.want {
			t.Errorf("above %d and %d there are %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
