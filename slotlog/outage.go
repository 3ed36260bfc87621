package slotlog

import (
	"sync"
	"time"
)

// outageLeast is for how long no answer came when a failure is taken for an outage: a store that refuses only some requests
// is left to the pauses of each of them.
const outageLeast = 2 * time.Second

// outage is what the uploads of one writer know together of a store that does not answer: the first answer that any of them
// gets wakes all others. Safe for concurrent use.
type outage struct {
	mu       sync.Mutex    // guards all below
	answered time.Time     // when the newest answer came
	away     bool          // something that was sent later failed
	over     chan struct{} // closed and replaced when an outage is over
}

// ended gives what is closed when the store answers after an outage.
func (o *outage) ended() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.channel()
}

func (o *outage) channel() chan struct{} {
	if o.over == nil {
		o.over = make(chan struct{})
	}
	return o.over
}

// failed notes that what was sent at some time was not answered, or in vain.
func (o *outage) failed(sent time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if sent.After(o.answered) { // else the store was there again since
		o.away = true
	}
}

// answers notes that the store does what it is asked for.
func (o *outage) answers() {
	now := time.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.away && now.Sub(o.answered) >= outageLeast {
		close(o.channel())
		o.over = nil
	}
	o.answered, o.away = now, false
}
