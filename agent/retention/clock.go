package retention

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

const (
	apart   = 60 * time.Second // two clocks that show less agree (G3); a clock that is off by more has jumped
	askTime = 5 * time.Second  // that a clock has to answer
)

// errNoTime says that no two clocks agree.
var errNoTime = errors.New("no two clocks agree")

// Witness is a clock. The first one of an engine is this machine's.
type Witness struct {
	Name string
	Now  func(ctx context.Context) (time.Time, error)
}

// reading is what a witness says.
type reading struct {
	name string
	at   time.Time
	err  error
}

// ask asks all witnesses.
func ask(ctx context.Context, witnesses []Witness) []reading {
	out := make([]reading, len(witnesses))
	for i, w := range witnesses {
		limited, cancel := context.WithTimeout(ctx, askTime)
		at, err := w.Now(limited)
		cancel()
		out[i] = reading{w.Name, at.Round(0), err}
	}
	return out
}

// Time is the time that two witnesses agree on (G3), the earliest such. An error if no two do.
func Time(ctx context.Context, witnesses []Witness) (time.Time, error) {
	return agreed(ask(ctx, witnesses))
}

// agreed is the time that two witnesses agree on, the earliest such: what is kept a minute longer can still go.
func agreed(readings []reading) (time.Time, error) {
	var now time.Time
	for i, a := range readings {
		for k, b := range readings {
			if i != k && a.err == nil && b.err == nil && a.at.Sub(b.at).Abs() <= apart && (now.IsZero() || a.at.Before(now)) {
				now = a.at
			}
		}
	}
	if now.IsZero() {
		return now, fmt.Errorf("%w: %s", errNoTime, said(readings))
	}
	return now, nil
}

func said(readings []reading) string {
	var out []string
	for _, r := range readings {
		if r.err != nil {
			out = append(out, fmt.Sprintf("%s: %v", r.name, r.err))
		} else {
			out = append(out, fmt.Sprintf("%s: %s", r.name, r.at.UTC().Format(time.RFC3339)))
		}
	}
	return strings.Join(out, ", ")
}

// base is a time that was acted on, for the next one to be compared with.
type base struct {
	at      time.Time
	elapsed time.Duration // of a clock that only goes on, at that moment
}

// jump is how much further than the clock that only goes on the time went since, if that is more than clocks may differ by;
// 0 for a time or a base that is not known.
func (b base) jump(now time.Time, elapsed time.Duration) time.Duration {
	if b.at.IsZero() || now.IsZero() {
		return 0
	}
	by := now.Sub(b.at) - (elapsed - b.elapsed)
	if by.Abs() <= apart {
		return 0
	}
	return by
}
