package wal

import (
	"context"
	"fmt"
	"slices"
)

// Room is the promise that one entry will be taken. Append or Cancel ends it; one goroutine uses it.
type Room struct {
	wal    *WAL
	length int
	size   int64 // with header and padding
	done   bool
}

// reservations are the promises given and the callers that wait for one, in their order.
type reservations struct {
	count   int
	size    int64
	waiting []*waiter
}

// waiter is a Reserve in progress.
type waiter struct {
	size    int64
	granted bool
	ready   chan struct{} // closed when granted, or when the WAL is closed
}

// Reserve waits, in the order of the calls, until the ring and the queue have room for an entry of up to length
// bytes, and keeps it for the caller: Room.Append does not return ErrFull. It fails with ErrTooLarge,
// ErrClosed or the context's error.
func (w *WAL) Reserve(ctx context.Context, length int) (*Room, error) {
	room := &Room{wal: w, length: length, size: entrySize(length)}
	w.mu.Lock()
	if err := w.check(length); err != nil {
		w.mu.Unlock()
		return nil, err
	}
	if len(w.reserved.waiting) == 0 && w.fits(room.size) {
		w.reserved.count++
		w.reserved.size += room.size
		w.mu.Unlock()
		return room, nil
	}
	me := &waiter{size: room.size, ready: make(chan struct{})}
	w.reserved.waiting = append(w.reserved.waiting, me)
	w.mu.Unlock()

	select {
	case <-me.ready:
	case <-ctx.Done():
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.err != nil:
		return nil, w.err
	case me.granted:
		return room, nil
	}
	w.reserved.waiting = slices.DeleteFunc(w.reserved.waiting, func(o *waiter) bool { return o == me })
	w.grant()
	return nil, fmt.Errorf("wait for %d bytes of the write-ahead log: %w", length, ctx.Err())
}

// Append is WAL.Append into the room reserved. An entry larger than the room is refused with ErrTooLarge and
// the room stays.
func (r *Room) Append(parts ...[]byte) (Position, error) {
	length := 0
	for _, p := range parts {
		length += len(p)
	}
	if length > r.length || r.done {
		return 0, fmt.Errorf("append %d bytes to a room of %d: %w", length, r.length, ErrTooLarge)
	}
	w := r.wal
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.check(length); err != nil {
		return 0, err
	}
	r.give()
	pos := w.enqueue(length, parts)
	w.grant()
	return pos, nil
}

// Cancel gives the room back. After Append it does nothing, so that it may be deferred.
func (r *Room) Cancel() {
	r.wal.mu.Lock()
	defer r.wal.mu.Unlock()
	if !r.done {
		r.give()
		r.wal.grant()
	}
}

// give ends the promise. The caller holds the WAL's mutex.
func (r *Room) give() {
	r.done = true
	r.wal.reserved.count--
	r.wal.reserved.size -= r.size
}

// fits reports whether an entry of size bytes can be taken without breaking a promise. The caller holds mu.
func (w *WAL) fits(size int64) bool {
	n, all := w.reserved.count+1, w.reserved.size+size
	if w.queued+all > w.config.QueueBytes && w.queued+w.reserved.size > 0 {
		return false
	}
	return w.space.holds(n, all)
}

// grant serves those who wait for room, the first first. The caller holds mu.
func (w *WAL) grant() {
	for len(w.reserved.waiting) > 0 && w.fits(w.reserved.waiting[0].size) {
		first := w.reserved.waiting[0]
		w.reserved.waiting = w.reserved.waiting[1:]
		w.reserved.count++
		w.reserved.size += first.size
		first.granted = true
		close(first.ready)
	}
}

// refuse wakes those who wait for room after the WAL was closed.
func (r *reservations) refuse() {
	for _, o := range r.waiting {
		close(o.ready)
	}
	r.waiting = nil
}
