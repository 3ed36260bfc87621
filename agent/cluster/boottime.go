package cluster

import "time"

// Boottime is a clock that never jumps, and goes on while the machine sleeps. Where there is no such clock, which is not on
// Linux, it is the wall clock.
func Boottime() time.Duration { return boottime() }
