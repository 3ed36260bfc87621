package main

import (
	"fmt"
	"slices"
	"time"
)

// samples are durations to be summed up.
type samples []time.Duration

// at gives a quantile: the smallest sample that at least that part of all does not exceed.
func (s samples) at(q float64) time.Duration {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	i := int(q * float64(len(sorted)))
	if float64(i) == q*float64(len(sorted)) && i > 0 {
		i--
	}
	return sorted[min(i, len(sorted)-1)]
}

// most is the longest.
func (s samples) most() time.Duration { return s.at(1) }

// row prints p50, p99 and the longest, in seconds, and how many there are.
func (s samples) row(name string) {
	fmt.Printf("  %-52s %6d %8.3f %8.3f %8.3f\n", name, len(s), s.at(0.5).Seconds(), s.at(0.99).Seconds(), s.most().Seconds())
}

// header is the line above rows.
func header(what string) {
	fmt.Printf("  %-52s %6s %8s %8s %8s\n", what, "n", "p50 s", "p99 s", "max s")
}
