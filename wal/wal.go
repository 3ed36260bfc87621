package wal

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// WAL is one ring, open for writing. All methods may be called concurrently; Run once.
type WAL struct {
	config Config
	path   string // the ring's directory
	disk   Disk
	closed func() // tells the Directory
	seed   uint32

	wakeWriter chan struct{} // capacity 1
	wakeSyncer chan struct{} // capacity 1
	marks      *marks        // used by the writer only

	mu        sync.Mutex // guards all below; never held during I/O
	queue     []entry    // appended, not taken by the writer yet
	spare     []entry    // what the writer took last; becomes the queue when it takes the next
	queued    int64      // bytes appended, not written yet
	space     space
	written   Position // all up to it is in the files; written <= space.end
	synced    Position // all of [released, synced) is durable; synced <= written
	wanted    Position // highest position that a Synced waits for
	ring      []*slot
	reserved  reservations
	growAgain time.Time // no new file is tried before
	counters  counters
	closing   bool  // Run is draining: nothing more is accepted
	err       error // not nil once closed for good

	wrote  broadcast // written grew
	fsyncs broadcast // synced or released grew
	freed  broadcast // released grew, or the ring may grow again
}

// entry is one Append on its way to the writer.
type entry struct {
	parts    [][]byte
	length   int
	start    Position
	previous Position
}

func (e entry) end() Position { return e.start + Position(entrySize(e.length)) }

// Append queues one entry, the parts one after the other, and returns its end. The order of entries is the order
// of the calls. It does not wait and does no I/O: the entry is in the file once Written returns and durable once
// Synced does. The slice and the bytes of parts are read until Written(end) returns, and must not change until then.
//
// On ErrFull and ErrTooLarge nothing was appended and the WAL goes on; ErrClosed is for good.
func (w *WAL) Append(parts ...[]byte) (Position, error) {
	length := 0
	for _, p := range parts {
		length += len(p)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.check(length); err != nil {
		return 0, err
	}
	if !w.fits(entrySize(length)) {
		return 0, fmt.Errorf("append %d bytes: %w", length, ErrFull)
	}
	return w.enqueue(length, parts), nil
}

// check reports why an entry could never be taken. The caller holds mu.
func (w *WAL) check(length int) error {
	if w.err != nil {
		return w.err
	}
	if w.closing {
		return ErrClosed
	}
	if room := w.config.FileBytes - fileHeaderBytes; int64(length) > room-entryHeader {
		return fmt.Errorf("append %d bytes to files with room for %d: %w", length, room-entryHeader, ErrTooLarge)
	}
	return nil
}

// enqueue gives the entry its place. The caller holds mu and knows that there is room.
func (w *WAL) enqueue(length int, parts [][]byte) Position {
	e := entry{parts: parts, length: length}
	e.start, e.previous = w.space.place(entrySize(length))
	w.queue = append(w.queue, e)
	w.queued += entrySize(length)
	wake(w.wakeWriter)
	return w.space.end
}

// Written waits until the entry that ends at pos is in the files, though perhaps not yet on stable storage:
// its parts are not used any more, and it survives the end of this process. After ErrClosed the parts are not
// used any more either.
func (w *WAL) Written(ctx context.Context, pos Position) error {
	return w.wait(ctx, &w.wrote, func() bool { return w.written >= pos })
}

// Synced waits until the entry that ends at pos and all before it are durable, or released and so durable in the
// bucket. One fdatasync at a time serves everybody who waits for a position written before it began; without a caller
// here nothing is synced. After ErrClosed it is unknown whether the entry is durable.
func (w *WAL) Synced(ctx context.Context, pos Position) error {
	return w.wait(ctx, &w.fsyncs, func() bool {
		if max(w.synced, w.space.released) >= pos {
			return true
		}
		w.wanted = max(w.wanted, min(pos, w.space.end))
		wake(w.wakeSyncer)
		return false
	})
}

// wait blocks until done, called under mu, says yes; b is notified whenever its answer may have changed.
func (w *WAL) wait(ctx context.Context, b *broadcast, done func() bool) error {
	for {
		w.mu.Lock()
		ok, err, changed := done(), w.err, b.wait()
		w.mu.Unlock()
		if ok {
			return nil
		}
		if err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Release says that all entries up to pos, the end of one of them, count in the bucket: recovery leaves
// them out, and files wholly below pos are used again. Going back is ignored. It does no I/O.
func (w *WAL) Release(pos Position) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil || !w.space.release(pos) {
		return
	}
	w.freed.notify()
	w.fsyncs.notify()
	w.grant()
}

// fail closes the WAL for good with the first cause; everybody who waits gets it. What is queued is dropped.
func (w *WAL) fail(cause error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return
	}
	w.err = fmt.Errorf("%w: %w", ErrClosed, cause)
	w.queue, w.spare, w.queued = nil, nil, 0
	w.wrote.notify()
	w.fsyncs.notify()
	w.freed.notify()
	w.reserved.refuse()
}

// broadcast wakes all who wait for a change. It is guarded by the WAL's mutex.
type broadcast struct{ c chan struct{} }

// wait returns a channel that the next notify closes.
func (b *broadcast) wait() <-chan struct{} {
	if b.c == nil {
		b.c = make(chan struct{})
	}
	return b.c
}

func (b *broadcast) notify() {
	if b.c != nil {
		close(b.c)
		b.c = nil
	}
}

// wake leaves a note in a channel of capacity 1.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
