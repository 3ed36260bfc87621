package api

import (
	"net"
	"sync/atomic"
)

// Conn is what handlers may know of a connection. It is made by agent/wire, one for each connection.
type Conn struct {
	ID     uint64 // counts up, for logs
	Remote net.Addr
	Local  net.Addr

	// OnDrain arranges for f to run when the agent stops, so that long polls answer with what they have, and returns
	// what takes the arrangement back. Nil where nothing stops.
	OnDrain func(f func()) (forget func() bool)

	// GiveUp closes the connection because its client reads an answer too slowly while others wait for memory. Nil where
	// nothing is written.
	GiveUp func()

	pace int // bytes of records of the next answer; the writer's goroutine only

	// What the client said of itself in ApiVersions; written and read on the reader's goroutine only.
	Software, SoftwareVersion string
}

// Memory bounds the bytes that requests may hold together. *semaphore.Weighted of golang.org/x/sync is one;
// agent/wire acquires, and a Frame releases.
type Memory interface {
	TryAcquire(n int64) bool
	Release(n int64)
}

// Frame is one request as it came from the connection, without its length, and the memory it is charged with. The
// charge ends by Release, which agent/wire calls after the reply and a handler may call before, when an engine has
// taken the bytes into its own account.
type Frame struct {
	Bytes  []byte
	memory Memory
	held   atomic.Int64
	after  atomic.Pointer[func()] // runs once, with Release
}

// NewFrame makes a frame that holds n bytes of memory already. A nil memory is not accounted.
func NewFrame(b []byte, memory Memory, n int64) *Frame {
	f := &Frame{Bytes: b, memory: memory}
	f.held.Store(n)
	return f
}

// Charge adds n bytes to what the frame holds. It never waits, because the frame holds memory that others wait for:
// false means that there is no room now and nothing was added.
func (f *Frame) Charge(n int64) bool {
	if f.memory == nil {
		return true
	}
	if !f.memory.TryAcquire(n) {
		return false
	}
	f.held.Add(n)
	return true
}

// Release gives back all that the frame holds. It may be called again, from any goroutine.
func (f *Frame) Release() {
	if n := f.held.Swap(0); n > 0 && f.memory != nil {
		f.memory.Release(n)
	}
	if after := f.after.Swap(nil); after != nil {
		(*after)()
	}
}

// onRelease arranges for fn to run with the next Release. What was arranged before runs now.
func (f *Frame) onRelease(fn func()) {
	if before := f.after.Swap(&fn); before != nil {
		(*before)()
	}
}
