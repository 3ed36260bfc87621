package cache

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// ErrClosed says that nothing is begun any more.
var ErrClosed = errors.New("closed")

// Flights runs what several wait for and any of them may leave, each on a goroutine of its own, until it is closed. Safe
// for concurrent use.
type Flights struct {
	limit time.Duration

	mu     sync.Mutex // guards all below; never held while anything runs
	closed bool
	ends   map[*context.CancelFunc]struct{}
	wg     sync.WaitGroup
}

// NewFlights makes Flights of which each is cancelled after limit: who asked for it may have gone by then.
func NewFlights(limit time.Duration) *Flights {
	return &Flights{limit: limit, ends: make(map[*context.CancelFunc]struct{})}
}

// Go runs a flight with the values of ctx, but past its end, and hands its error to done; of a panic it makes an error
// too: one request is to fail by a defect, not the process. After Close, and when ctx has ended, it does nothing but say why.
func (f *Flights) Go(ctx context.Context, flight func(context.Context) error, done func(error)) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return ErrClosed
	}
	under, end := context.WithTimeout(context.WithoutCancel(ctx), f.limit)
	f.ends[&end] = struct{}{}
	f.wg.Go(func() {
		done(guarded(under, flight))
		end()
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.ends, &end)
	})
	return nil
}

// Close cancels what is under way, waits for it, and has nothing begin any more.
func (f *Flights) Close() {
	f.mu.Lock()
	f.closed = true
	for end := range f.ends {
		(*end)()
	}
	f.mu.Unlock()
	f.wg.Wait()
}

func guarded(ctx context.Context, run func(context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("defect: %v\n%s", p, debug.Stack())
		}
	}()
	return run(ctx)
}
