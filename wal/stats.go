package wal

import "time"

// counters are guarded by the WAL's mutex.
type counters struct {
	writes    uint64
	written   uint64 // bytes
	fsyncs    uint64
	fsyncTime time.Duration
	growErr   error // why the ring cannot grow now
	diskErr   error // what closed the WAL
}

// Stats is a reading of a WAL for metrics and logs.
type Stats struct {
	Files    int // files there are
	MaxFiles int // files that the ring may grow to
	InUse    int // files that hold, or take, what is not released

	UnreleasedBytes int64 // address space from the last release to the last entry
	QueuedBytes     int64 // appended, not written yet

	Appended Position // end of the last entry
	Written  Position
	Synced   Position
	Released Position

	Writes       uint64 // pwritev calls
	WrittenBytes uint64
	Fsyncs       uint64
	FsyncTime    time.Duration

	GrowErr error // the disk is full: the ring stays as small as it is, for now
	Err     error // not nil once closed; wraps ErrClosed
}

// Stats returns the state of the moment.
func (w *WAL) Stats() Stats {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := &w.counters
	return Stats{
		Files: len(w.ring), MaxFiles: w.config.files(), InUse: w.space.inUse(),
		UnreleasedBytes: int64(w.space.end - w.space.released), QueuedBytes: w.queued,
		Appended: w.space.end, Written: w.written, Synced: w.synced, Released: w.space.released,
		Writes: c.writes, WrittenBytes: c.written, Fsyncs: c.fsyncs, FsyncTime: c.fsyncTime,
		GrowErr: c.growErr, Err: w.err,
	}
}
