package wire

import (
	"context"
	"errors"
	"sync"
	"time"
)

// A frame holds memory while its bytes come. As long as others wait for memory, it must come at slowRate once it had
// patience; a client that is slower is let go, and those that wait go on.
const (
	patience = time.Second
	slowRate = 256 << 10              // bytes a second
	askAgain = 250 * time.Millisecond // between looks for a slow one
)

// arriving is the frames that hold memory and have not come whole.
type arriving struct {
	mu     sync.Mutex // guards frames
	frames map[*conn]*arrival
}

// arrival is how much of a frame came since when.
type arrival struct {
	since time.Time
	bytes int
}

func newArriving() *arriving { return &arriving{frames: make(map[*conn]*arrival)} }

// add notes that n more bytes of a connection's frame have come.
func (a *arriving) add(c *conn, n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f := a.frames[c]
	if f == nil {
		f = &arrival{since: time.Now()}
		a.frames[c] = f
	}
	f.bytes += n
}

func (a *arriving) remove(c *conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.frames, c)
}

// slow takes those off that are too slow.
func (a *arriving) slow(now time.Time) []*conn {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []*conn
	for c, f := range a.frames {
		if late := now.Sub(f.since) - patience; late > 0 && float64(f.bytes) < late.Seconds()*slowRate {
			out = append(out, c)
			delete(a.frames, c)
		}
	}
	return out
}

// acquire waits for memory for a frame. Meanwhile connections whose frames come too slowly are closed.
func (s *Server) acquire(ctx context.Context, n int64) error {
	if s.memory.TryAcquire(n) {
		return nil
	}
	waiting, got := context.WithCancel(ctx)
	defer got()
	var look func()
	look = func() {
		if waiting.Err() != nil {
			return
		}
		for _, c := range s.arriving.slow(time.Now()) {
			c.giveUp("a frame came too slowly while others waited for memory")
		}
		time.AfterFunc(askAgain, look)
	}
	time.AfterFunc(askAgain, look)
	return s.memory.Acquire(ctx, n)
}

// giveUp closes a connection whose client is too slow while others wait for memory.
func (c *conn) giveUp(why string) {
	c.end(&refusal{"slow", errors.New(why)})
	c.cancel()
}
