package fetch

import (
	"errors"
	"fmt"
	"sync"

	"github.com/odradek/odradek/topic"
)

// ErrBehind says that this agent has shown a higher high watermark than it knows now: the answer has to wait (I7).
var ErrBehind = errors.New("high watermark was shown higher")

// leastShown is how many partitions a Shown keeps before it looks for deleted ones.
const leastShown = 4096

// Shown remembers the highest high watermark that clients were told of each partition. It outlives engines: a process
// that opens a new journal reads the log anew and may know less for a while. The zero Shown remembers nothing. Safe for
// concurrent use.
type Shown struct {
	mu    sync.Mutex // guards all below
	high  map[topic.Partition]topic.Offset
	sweep int // number of partitions at which deleted ones are forgotten
}

// Raise takes note of a high watermark that is about to be shown, or returns ErrBehind if a higher one was. exists tells
// whether a topic is still there.
func (s *Shown) Raise(p topic.Partition, hw topic.Offset, exists func(topic.ID) bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	high, known := s.high[p]
	switch {
	case hw < high:
		return fmt.Errorf("%s: %d, was %d: %w", p, hw, high, ErrBehind)
	case known && hw == high || hw == 0:
		return nil
	case s.high == nil:
		s.high, s.sweep = make(map[topic.Partition]topic.Offset), leastShown
	case !known && len(s.high) >= s.sweep:
		for old := range s.high {
			if !exists(old.Topic) {
				delete(s.high, old)
			}
		}
		s.sweep = max(leastShown, 2*len(s.high))
	}
	s.high[p] = hw
	return nil
}
