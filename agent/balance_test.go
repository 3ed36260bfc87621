package agent

import (
	"testing"
	"time"
)

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
