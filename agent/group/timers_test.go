package group

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTimers_RunOutInOrderOfTheirTimes(t *testing.T) {
	now := time.UnixMilli(0)
	set := newTimers()
	arm := func(name string, after time.Duration) {
		set.change(now, TimerChange{Timer: Timer{Group: name}, After: after})
	}
	arm("a", 3*time.Second)
	arm("b", time.Second)
	arm("c", 2*time.Second)
	arm("d", 4*time.Second)
	arm("b", 5*time.Second) // again, later
	arm("d", 0)             // again, sooner
	set.change(now, TimerChange{Timer: Timer{Group: "c"}, Cancel: true})
	set.change(now, TimerChange{Timer: Timer{Group: "x"}, Cancel: true})

	var got []string
	for s := range time.Duration(7) {
		for {
			timer, ok := set.due(now.Add(s * time.Second))
			if !ok {
				break
			}
			got = append(got, timer.Group)
		}
	}
	if diff := cmp.Diff([]string{"d", "a", "b"}, got); diff != "" {
		t.Errorf("timers ran out (-want +got):\n%s", diff)
	}
	if _, ok := set.next(); ok || len(set.byKey) != 0 {
		t.Error("a timer is left")
	}
}
