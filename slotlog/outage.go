package slotlog

import (
	"sync"
	"time"
)

const (
	// outageLeast is for how long no answer came when a failure is taken for an outage: a store that refuses only some requests
	// is left to the pauses of each of them.
	outageLeast = 2 * time.Second
	// outageStep is for how long each upload lets the one before it go first after an outage: acks wait for the slots in order,
	// and what hung may be answered meanwhile.
	outageStep = 100 * time.Millisecond
)

// uploader is one upload's view of an outage.
type uploader struct {
	*outage
	before func() int // slots that must land before this one counts
}

// alone is for what is uploaded by itself.
func alone() uploader { return uploader{new(outage), func() int { return 0 }} }

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
