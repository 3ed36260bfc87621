//go:build !linux

package cluster

import "time"

// boottime is a clock that goes on while the machine sleeps (O3): the wall clock, where there is no better one.
func boottime() time.Duration { return time.Duration(time.Now().UnixNano()) }
