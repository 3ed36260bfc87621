package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// screen shows how the demo stands: a page that is drawn over on a terminal, a line elsewhere.
type screen struct {
	out   io.Writer
	page  bool
	every time.Duration

	last      time.Time // of the last drawing
	lastAcked int
	told      int // faults that were printed with their recovery
}

func newScreen(out *os.File) *screen {
	s := &screen{out: out, every: 5 * time.Second}
	if info, err := out.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
		s.page, s.every = true, 500*time.Millisecond
	}
	return s
}

// draw shows the state of the moment.
func (s *screen) draw(d *demo) {
	now := time.Now()
	acked, _, _ := d.traffic.Counts()
	rate := 0.0
	if !s.last.IsZero() {
		rate = float64(acked-s.lastAcked) / now.Sub(s.last).Seconds()
	}
	s.last, s.lastAcked = now, acked
	at := min(d.log.Now()-d.began, d.length)
	p99 := percentile(d.traffic.Latencies(), 0.99)
	if !s.page {
		s.line(d, at, acked, rate, p99)
		return
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\x1b[H\x1b[2J")
	fmt.Fprintf(&b, "odradek demo   %3.0f s of %.0f s   bucket: %s\n\n", at.Seconds(), d.length.Seconds(), d.store)
	fmt.Fprintf(&b, "  agent   state      owns\n")
	owned := d.owned()
	for _, a := range d.pool.Agents() {
		fmt.Fprintf(&b, "  %-6s  %-9s  %2d partitions\n", a.Name, state(a.Running(), a.Up()), owned[a.Client.Addr])
	}
	fmt.Fprintf(&b, "\n  acked   %d records, %.0f a second, p99 %d ms\n", acked, rate, p99.Milliseconds())
	fmt.Fprintf(&b, "  group   %d records behind\n\n", d.traffic.Lag("g1"))
	for _, f := range d.shownFaults() {
		fmt.Fprintf(&b, "  %s\n", f)
	}
	fmt.Fprintln(&b)
	io.WriteString(s.out, b.String())
}

// line is draw where there is no terminal.
func (s *screen) line(d *demo, at time.Duration, acked int, rate float64, p99 time.Duration) {
	owned := d.owned()
	var agents []string
	for _, a := range d.pool.Agents() {
		agents = append(agents, fmt.Sprintf("%s %s %d", a.Name, state(a.Running(), a.Up()), owned[a.Client.Addr]))
	}
	fmt.Fprintf(s.out, "%5.1f s  %s  acked %d, %.0f/s, p99 %d ms, lag %d\n", at.Seconds(), strings.Join(agents, ", "), acked, rate, p99.Milliseconds(),
		d.traffic.Lag("g1"))
	all := d.shownFaults()
	for ; s.told < len(all) && all[s.told].took > 0; s.told++ {
		fmt.Fprintf(s.out, "         %s\n", all[s.told])
	}
}

func state(running, up bool) string {
	switch {
	case up:
		return "up"
	case running:
		return "stopped"
	}
	return "dead"
}

// shownFaults are the faults so far.
func (d *demo) shownFaults() []shown {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []shown
	for _, f := range d.faults {
		out = append(out, *f)
	}
	slices.SortFunc(out, func(x, y shown) int { return int(x.at - y.at) })
	return out
}

func (f shown) String() string {
	text := fmt.Sprintf("%5.1f s  %-26s", f.at.Seconds(), f.name)
	if f.took == 0 {
		text += "  …"
	} else {
		text += fmt.Sprintf("  acks on every partition again after %.1f s", f.took.Seconds())
	}
	if f.back != "" {
		text += "; " + f.back
	}
	return text
}

// percentile is that of durations, which are sorted.
func percentile(all []time.Duration, p float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[min(len(all)-1, int(float64(len(all))*p))]
}
