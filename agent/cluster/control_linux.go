package cluster

import (
	"time"

	"golang.org/x/sys/unix"
)

// boottime is a clock that goes on while the machine sleeps (O3).
func boottime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
