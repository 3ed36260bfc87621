package wal

import (
	"context"
	"fmt"
	"time"
)

// Run writes and syncs until ctx ends or the disk errs; without it everything appended stays in memory. When ctx
// ends it accepts nothing more, writes what is queued, syncs if somebody waits for it, and returns nil; the
// first error of the disk it returns at once. Either way the WAL is closed after it: ErrClosed for everybody.
func (w *WAL) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop, synced := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(synced)
		w.syncLoop(stop)
		if w.diskError() != nil {
			cancel()
		}
	}()
	w.writeLoop(ctx)
	close(stop)
	<-synced
	_ = w.syncOnce() // an error stays in diskError

	// Only now, when nothing is written any more, may those who wait for the disk take their buffers back.
	err := w.diskError()
	if err == nil {
		w.fail(context.Canceled)
		return nil
	}
	w.fail(err)
	return err
}

// writeLoop takes what is queued and writes it until the disk errs, or ctx has ended and the queue is empty.
func (w *WAL) writeLoop(ctx context.Context) {
	active := w.ring[0]
	var err error
	batch := newBatch(w.seed)
	for {
		taken := w.take(ctx)
		if len(taken) == 0 {
			return
		}
		entries := taken
		for len(entries) > 0 && w.diskError() == nil {
			active, err = w.fileFor(ctx, uint64(entries[0].start)/uint64(w.config.FileBytes), active)
			if err != nil {
				return
			}
			n := w.fill(batch, entries)
			if err := w.write(active, batch); err != nil {
				return
			}
			entries = entries[n:]
		}
		clear(taken) // it will be the queue again, and must not hold buffers until then
		batch.reset(0)
	}
}

// take waits for entries. None means that Run has to end.
func (w *WAL) take(ctx context.Context) []entry {
	for {
		w.mu.Lock()
		entries, err := w.queue, w.counters.diskErr
		w.queue, w.spare = w.spare[:0], w.queue
		w.closing = w.closing || ctx.Err() != nil
		ended := w.closing
		w.mu.Unlock()
		if err != nil {
			return nil
		}
		if len(entries) > 0 || ended {
			return entries
		}
		var growAgain <-chan time.Time
		if wait := w.regrow(); wait > 0 {
			growAgain = time.After(wait)
		}
		select {
		case <-w.wakeWriter:
		case <-growAgain:
		case <-ctx.Done():
		}
	}
}

// fill puts the first entries, as many as one pwritev takes and one file holds, into the batch.
func (w *WAL) fill(b *batch, entries []entry) int {
	w.mu.Lock()
	released, synced := min(w.space.released, w.written), w.synced
	w.mu.Unlock()
	b.reset(entries[0].start)
	n := 0
	for n < len(entries) && entries[n].start == b.end && b.hasRoom(entries[n]) {
		b.add(entries[n], released, synced)
		n++
	}
	return n
}

// write writes a batch to the file and tells those who wait for it.
func (w *WAL) write(s *slot, b *batch) error {
	if err := s.file.WriteAt(b.vectors(), int64(b.start)%w.config.FileBytes); err != nil {
		return w.diskFailed(fmt.Errorf("write to the write-ahead log: %w", err))
	}
	s.end = b.end
	w.mu.Lock()
	defer w.mu.Unlock()
	s.unsynced = true // together with written: a sync that began during the write does not cover it
	w.written = b.end
	w.queued -= int64(b.end - b.start)
	w.counters.writes++
	w.counters.written += uint64(b.end - b.start)
	w.wrote.notify()
	w.grant()
	if w.wanted > w.synced {
		wake(w.wakeSyncer)
	}
	return nil
}

// diskFailed notes the first error of the disk and returns err.
func (w *WAL) diskFailed(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.counters.diskErr == nil {
		w.counters.diskErr = err
	}
	w.closing = true
	return err
}

func (w *WAL) diskError() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.counters.diskErr
}
