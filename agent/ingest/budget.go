package ingest

import "time"

// budget decides when a buffer is frozen. PUTs follow bytes and time: a token comes every interval, the bytes stored
// pay for a share of theirs, and at most maxTokens are saved. With tokens to spare a lone producer waits for its PUT
// only; under load the size decides; an idle agent writes nothing.
type budget struct {
	interval   time.Duration
	flushBytes int
	tokens     float64
	refilled   time.Time
}

func newBudget(interval time.Duration, flushBytes int) budget {
	return budget{interval: interval, flushBytes: flushBytes, tokens: maxTokens}
}

// waiting describes the buffer that would be frozen next.
type waiting struct {
	bytes       int
	extents     int
	first, last time.Time     // when its first and its newest batch were admitted
	lazy        bool          // may wait
	urgent      bool          // must not wait
	full        bool          // another buffer waits behind it
	inFlight    int           // slots given out that do not count yet
	acked       int           // bytes of the slot that counted last: its producers are about to send as much again
	putTime     time.Duration // that this slot took from its freeze on
}

// due says whether to freeze now, or else how long to wait before asking again, unless something changes.
func (b *budget) due(now time.Time, w waiting) (freeze bool, wait time.Duration) {
	b.refill(now)
	if w.full || w.urgent || w.bytes >= b.flushBytes || w.extents >= maxExtents {
		return true, 0
	}
	age, price := now.Sub(w.first), b.price(w.bytes)
	if b.tokens < price {
		return false, max(shortest, time.Duration((price-b.tokens)*float64(b.interval)))
	}
	if w.lazy && b.tokens < maxTokens/2 && age < lazyWait {
		return false, lazyWait - age
	}
	// The more tokens are left, the more slots may be on their way before a small buffer has to wait for them.
	if price > 0 && w.inFlight > int(b.tokens/4) && age < b.interval {
		return false, b.interval - age
	}
	// Producers that were acked together come back together: the slot waits for all of them, but not for long.
	if patience := max(quietLimit, w.putTime/8); w.bytes < w.acked-w.acked/8 && age < patience {
		return false, patience - age
	}
	if price == 0 && w.acked > 0 {
		return true, 0 // all are back, and enough for a PUT of their own
	}
	if calm := now.Sub(w.last); calm < quiet && age < quietLimit {
		return false, min(quiet-calm, quietLimit-age)
	}
	return true, 0
}

func (b *budget) refill(now time.Time) {
	if !b.refilled.IsZero() {
		b.tokens = min(maxTokens, b.tokens+float64(now.Sub(b.refilled))/float64(b.interval))
	}
	b.refilled = now
}

// price is what a PUT of so many bytes costs: a token, less what its bytes pay. Half a full buffer is free.
func (b *budget) price(bytes int) float64 {
	return max(0, 1-2*float64(bytes)/float64(b.flushBytes))
}

// spend pays for a frozen buffer. What was full or urgent may not leave a debt: whoever comes after it would wait
// longer than an interval.
func (b *budget) spend(bytes int) { b.tokens = max(0, b.tokens-b.price(bytes)) }
