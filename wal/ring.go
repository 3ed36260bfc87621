package wal

import (
	"context"
	"fmt"
	"path/filepath"
	"time"
)

// slot is one file of the ring. The writer alone changes the list and the fields but unsynced.
type slot struct {
	file     File
	sequence uint64   // what it stands for now
	end      Position // end of the last entry written to it
	unsynced bool     // a write to it ended since the last sync began; guarded by the WAL's mutex
}

func fileName(index int) string { return fmt.Sprintf("%05d%s", index, fileSuffix) }

const (
	fileSuffix = ".wal"
	marksName  = "marks"
)

// addFile makes one more file of the ring with a durable header and a durable name.
func (w *WAL) addFile() (*slot, error) {
	index := len(w.ring)
	path := filepath.Join(w.path, fileName(index))
	f, err := w.disk.Create(path, w.config.FileBytes)
	if err != nil {
		return nil, fmt.Errorf("new file of the write-ahead log: %w", err)
	}
	head := fileHead{identity: w.config.Identity, index: uint32(index), fileBytes: w.config.FileBytes,
		madeMs: time.Now().UnixMilli()}
	err = f.WriteAt([][]byte{head.encode()}, 0)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = w.disk.SyncDir(w.path)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("header of %s: %w", path, err)
	}
	return &slot{file: f}, nil
}

// fileFor returns the file that stands for a sequence: the one being written, one whose entries are all
// released, or a new one. When the disk is full it waits for a release, so that a full disk makes the ring
// smaller and does not end it; every few seconds it tries again to grow.
func (w *WAL) fileFor(ctx context.Context, sequence uint64, active *slot) (*slot, error) {
	if active.sequence == sequence {
		return active, nil
	}
	for {
		w.mu.Lock()
		s := w.freeSlot()
		mayGrow := len(w.ring) < w.config.files() && !time.Now().Before(w.growAgain)
		released, freed := min(w.space.released, w.written), w.freed.wait()
		w.mu.Unlock()
		if s != nil {
			s.sequence = sequence
			if err := w.marks.raise(s.end, released); err != nil {
				return nil, w.diskFailed(err)
			}
			return s, nil
		}
		if mayGrow {
			if s, err := w.addFile(); err == nil {
				s.sequence = sequence
				w.grown(s)
				return s, nil
			} else {
				w.stunted(err)
			}
		}
		select {
		case <-freed:
		case <-time.After(growAgainAfter):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// freeSlot returns the file most lately used, and so still in memory, of those with nothing unreleased; nil if
// there is none. The caller holds mu.
func (w *WAL) freeSlot() *slot {
	var best *slot
	for _, s := range w.ring {
		if s.sequence < w.space.low() && (best == nil || s.sequence > best.sequence) {
			best = s
		}
	}
	return best
}

// grown adds a new file to the ring.
func (w *WAL) grown(s *slot) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ring = append(w.ring, s)
	w.space.limit = w.config.files()
	w.counters.growErr = nil
	w.grant()
}

// stunted notes that the ring cannot grow now: Append makes do with the files there are.
func (w *WAL) stunted(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.space.limit = len(w.ring)
	w.growAgain = time.Now().Add(growAgainAfter)
	w.counters.growErr = err
}

// regrow lets Append count on new files again once the time has come. It returns how long to wait for that, or
// zero when there is nothing to wait for.
func (w *WAL) regrow() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.space.limit == w.config.files() {
		return 0
	}
	if wait := time.Until(w.growAgain); wait > 0 {
		return wait
	}
	w.space.limit = w.config.files()
	w.grant()
	return 0
}

// marks is the small file that tells, before a file of the ring is overwritten, that what it held is released.
// Without it a power loss could leave the file half overwritten and nothing to say that this is no loss.
type marks struct {
	file     File
	identity Identity
	next     int64    // offset of the slot to write next: the other one stays whole
	durable  Position // what the newest mark says
}

// raise makes a mark of released durable unless the last one covers end.
func (m *marks) raise(end, released Position) error {
	if m.durable >= end {
		return nil
	}
	if err := m.file.WriteAt([][]byte{encodeMark(m.identity, released)}, m.next); err != nil {
		return fmt.Errorf("mark of the write-ahead log: %w", err)
	}
	if err := m.file.Sync(); err != nil {
		return fmt.Errorf("mark of the write-ahead log: %w", err)
	}
	m.next = pageBytes - m.next
	m.durable = released
	return nil
}
