package agent

import (
	"testing"
	"time"

	"github.com/odradek/odradek/control"
)

// Moves that cannot be made yet are looked at again after a while, not at once, however many they are.
func TestTakeAsked_DoesNotRing(t *testing.T) {
	b := newBalancer(nil)
	b.ask(make([]control.Move, 2*movesAtOnce+1))
	<-b.bell
	for _, want := range []int{movesAtOnce, movesAtOnce, 1, 0} {
		if got := len(b.takeAsked(movesAtOnce)); got != want || len(b.bell) != 0 {
			t.Errorf("%d taken, want %d; rung %d times", got, want, len(b.bell))
		}
	}
}

// All agents reckon the pace for themselves, of the same moves: together they must keep to the bound, and the share of an
// agent that joins a pool of 10,000 partitions must be there within 30 s.
func TestPace_TogetherWithinTheBound(t *testing.T) {
	for _, owners := range [][]int{{8333}, {1428, 1428, 1428}, {3, 5000, 700}, {40, 1}} {
		for range 2000 {
			all, together := 0, 0
			for _, n := range owners {
				all += n
			}
			if all == 0 {
				break
			}
			for _, n := range owners {
				if n > 0 {
					together += pace(n, all)
				}
			}
			if bound := max(movesLeast, min(all/movesWithin, movesMost)); together > bound+len(owners) {
				t.Fatalf("%d moves a second for %v, want at most %d", together, owners, bound)
			}
			for i, n := range owners {
				if n > 0 {
					owners[i] = max(0, n-pace(n, all))
				}
			}
		}
		for _, n := range owners {
			if n > 0 {
				t.Fatalf("%v are never done", owners)
			}
		}
	}
	seconds := 0
	for left := 8333; left > 0; left -= pace(left, left) {
		seconds++
	}
	if took := time.Duration(seconds) * time.Second; took > 25*time.Second {
		t.Errorf("8,333 of 10,000 partitions take %v", took)
	}
}
