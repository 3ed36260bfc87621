package wal

import (
	"fmt"
	"time"
)

// syncLoop syncs whenever somebody waits for what is written, until stop is closed or the disk errs.
func (w *WAL) syncLoop(stop <-chan struct{}) {
	for {
		select {
		case <-w.wakeSyncer:
		case <-stop:
			return
		}
		if w.syncOnce() != nil {
			return
		}
	}
}

// syncOnce makes everything durable that is written now, if somebody waits for some of it. Files of all
// sequences are synced, not only those with waiters: what recovery returns has no holes.
func (w *WAL) syncOnce() error {
	w.mu.Lock()
	target := w.written
	if w.wanted <= max(w.synced, w.space.released) || target <= w.synced || w.counters.diskErr != nil {
		w.mu.Unlock()
		return nil
	}
	var files []File
	for _, s := range w.ring {
		if s.unsynced {
			files = append(files, s.file)
			s.unsynced = false
		}
	}
	w.mu.Unlock()

	began := time.Now()
	for _, f := range files {
		if err := f.Sync(); err != nil {
			return w.diskFailed(fmt.Errorf("fsync of the write-ahead log: %w", err))
		}
	}
	took := time.Since(began)

	w.mu.Lock()
	defer w.mu.Unlock()
	w.synced = target
	w.counters.fsyncs += uint64(len(files))
	w.counters.fsyncTime += took
	w.fsyncs.notify()
	return nil
}
