package faulty

import (
	"errors"
	"time"

	"github.com/odradek/odradek/objectstore"
)

// Errors for scripts. To a caller all of them mean unknown.
var (
	// ErrRefused stands for a call that the store turned down, such as a 503.
	ErrRefused = errors.New("faulty: the store refused")
	// ErrLost stands for an answer that got lost on its way.
	ErrLost = errors.New("faulty: the answer was lost")
	// ErrDown is what every call returns between Cut and Mend.
	ErrDown = errors.New("faulty: the store is down")
)

// Call is one call of a Store's method, as its script sees it.
type Call struct {
	N      int // 1, 2, 3 ... over all calls
	OfKind int // 1, 2, 3 ... over the calls of this kind
	OfKey  int // 1, 2, 3 ... over the calls of this kind with this key
	Kind   objectstore.Kind
	Key    string // List's prefix
	Size   int64  // of Create's body, or Append's part
}

// Fault is what happens to a call. The zero value is no fault. What is set happens in the order of the fields.
type Fault struct {
	// Delay is waited for first; a context that ends meanwhile ends the call before it took effect.
	Delay time.Duration
	// Before is returned instead of making the call.
	Before error
	// Late holds a Create, or the Complete of an Upload, back: the caller gets ErrLost at once, and the object appears, or
	// meets another, at Store.Land. Other calls ignore it.
	Late bool
	// Mangle changes the bytes that Get and GetRange return. Truncate and FlipBit make some.
	Mangle func([]byte) []byte
	// After is returned although the call took effect.
	After error
}

// Script decides the fault of each call. It is called under a lock, one call at a time, and must not use the store.
type Script func(Call) Fault

// None is the script of a store that never fails.
func None(Call) Fault { return Fault{} }

// Nth gives the n-th call of all, counted from 1, the fault f.
func Nth(n int, f Fault) Script {
	return func(c Call) Fault {
		if c.N == n {
			return f
		}
		return Fault{}
	}
}

// NthOf gives the n-th call of a kind, counted from 1, the fault f.
func NthOf(kind objectstore.Kind, n int, f Fault) Script {
	return func(c Call) Fault {
		if c.Kind == kind && c.OfKind == n {
			return f
		}
		return Fault{}
	}
}

// Latency delays the calls of a kind by d, as a store far away does.
func Latency(kind objectstore.Kind, d time.Duration) Script {
	return func(c Call) Fault {
		if c.Kind == kind {
			return Fault{Delay: d}
		}
		return Fault{}
	}
}

// Each joins scripts: delays add up, and of every other field the first that is set counts.
func Each(scripts ...Script) Script {
	return func(c Call) Fault {
		var all Fault
		for _, script := range scripts {
			f := script(c)
			all.Delay += f.Delay
			all.Late = all.Late || f.Late
			if all.Before == nil {
				all.Before = f.Before
			}
			if all.Mangle == nil {
				all.Mangle = f.Mangle
			}
			if all.After == nil {
				all.After = f.After
			}
		}
		return all
	}
}

// Truncate cuts what was read to its first n bytes.
func Truncate(n int) func([]byte) []byte {
	return func(b []byte) []byte { return b[:min(n, len(b))] }
}

// FlipBit inverts the lowest bit of the byte at i, from the end where i is negative. Shorter answers stay.
func FlipBit(i int) func([]byte) []byte {
	return func(b []byte) []byte {
		at := i
		if at < 0 {
			at += len(b)
		}
		if at >= 0 && at < len(b) {
			b[at] ^= 1
		}
		return b
	}
}
