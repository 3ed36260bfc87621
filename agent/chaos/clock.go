package chaos

import (
	"fmt"
	"sync/atomic"
	"time"
	_ "unsafe" // for go:linkname
)

// wallShift is the seconds by which time.Now is wrong. A binary built with the overlay of test/harness has the variable in the
// time package itself, where every reading of the wall clock adds it; without that it is a variable that nobody reads.
//
//go:linkname wallShift time.wallShift
var wallShift atomic.Int64

// clockShifts reports whether the wall clock of this binary can be shifted at all, by shifting it for a moment.
func clockShifts() bool {
	const try = 1 << 20
	before := time.Now()
	wallShift.Add(try)
	after := time.Now()
	wallShift.Add(-try)
	return after.Round(0).Sub(before.Round(0)) > try*time.Second/2
}

// ShiftClock makes the wall clock wrong by whole seconds; zero makes it right again. The monotonic clock goes on.
func (i *Injector) ShiftClock(by time.Duration) error {
	if by != 0 && !i.shifts {
		return fmt.Errorf("the wall clock of this binary cannot be shifted: it was built without the overlay")
	}
	wallShift.Store(int64(by / time.Second))
	if by != 0 {
		i.did(faultClock, by.String())
	}
	return nil
}
