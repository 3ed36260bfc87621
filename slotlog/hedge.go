package slotlog

import (
	"slices"
	"sync"
	"time"
)

const (
	hedgeSamples  = 64                    // PUT times remembered
	hedgeQuantile = 0.95                  // a PUT slower than this share of them is late
	hedgeBudget   = 0.05                  // second PUTs per first PUT, at most
	hedgeFloor    = 50 * time.Millisecond // never earlier than this
	hedgeUnknown  = time.Second           // while there are too few samples
	maxHedges     = 2                     // second PUTs saved up, at most
)

// hedge measures PUT times and keeps the budget of second PUTs. Safe for concurrent use.
type hedge struct {
	mu     sync.Mutex // guards all below
	times  [hedgeSamples]time.Duration
	n      int     // PUT times noted so far
	tokens float64 // second PUTs that may be sent; at most maxHedges
}

// Note implements hedger.
func (h *hedge) Note(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.times[h.n%hedgeSamples] = d
	h.n++
	h.tokens = min(maxHedges, h.tokens+hedgeBudget)
}

// Delay implements hedger.
func (h *hedge) Delay() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.n < hedgeSamples/4 {
		return hedgeUnknown
	}
	known := slices.Clone(h.times[:min(h.n, hedgeSamples)])
	slices.Sort(known)
	return max(hedgeFloor, known[int(float64(len(known)-1)*hedgeQuantile)])
}

// Allow implements hedger.
func (h *hedge) Allow() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.tokens < 1 {
		return false
	}
	h.tokens--
	return true
}

// unhedged sends every PUT once: what a control record or a seal does.
type unhedged struct{}

func (unhedged) Delay() time.Duration { return attemptTimeout }
func (unhedged) Allow() bool          { return false }
func (unhedged) Note(time.Duration)   {}
