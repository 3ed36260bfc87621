package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

const (
	dirMode  = 0o755
	fileMode = 0o644

	// settledAge is the age at which a name counts as durable without an fsync: file systems write their
	// metadata back every few seconds. Only the answers to readers of other processes' objects rest on it.
	settledAge = 2 * time.Minute
	// tick covers the coarse clock that file times are taken from: at most 10 ms behind.
	tick = 20 * time.Millisecond
	// maxNames bounds how many directories are remembered. Forgetting costs an fsync each, nothing else.
	maxNames = 4096
)

// durableNames remembers per directory up to when its entries are known to be on disk, and which directories are
// themselves on disk under their parents' names. All times come from this host's clock.
type durableNames struct {
	mu     sync.Mutex
	synced map[string]time.Time // directory -> start of its newest fsync that succeeded
	linked map[string]struct{}  // directories whose own name is durable, up to the bucket's root
}

func (d *durableNames) init() {
	d.synced = make(map[string]time.Time)
	d.linked = make(map[string]struct{})
}

func (d *durableNames) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.init()
}

// note records that dir was fsynced by a call that began at start.
func (d *durableNames) note(dir string, start time.Time, chain []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.synced) >= maxNames || len(d.linked) >= maxNames {
		d.init()
	}
	if start.After(d.synced[dir]) {
		d.synced[dir] = start
	}
	for _, c := range chain {
		d.linked[c] = struct{}{}
	}
}

// covers reports whether a name that was linked into dir at changed has been fsynced since.
func (d *durableNames) covers(dir string, changed time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	at, ok := d.synced[dir]
	return ok && changed.Add(tick).Before(at)
}

func (d *durableNames) isLinked(dir string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, ok := d.linked[dir]
	return ok
}

// settle makes sure that the name of an object about to be returned is durable. It costs an fsync of the directory
// only when the object was linked in the last minutes and no fsync of ours has begun since.
func (s *Store) settle(key string, info fs.FileInfo) error {
	if s.reads {
		return nil
	}
	changed := changeTime(info)
	path := s.path(key)
	if age := time.Since(changed); age > settledAge || s.names.covers(filepath.Dir(path), changed) {
		return nil
	}
	return s.syncName(path)
}

// syncName fsyncs the directory of path, and above it those whose names this process has not seen durable yet.
func (s *Store) syncName(path string) error {
	dir, start := filepath.Dir(path), time.Now()
	if err := fsync(dir); err != nil {
		return s.fail(err)
	}
	var chain []string
	for d := dir; d != s.dir && !s.names.isLinked(d); d = filepath.Dir(d) {
		if err := fsync(filepath.Dir(d)); err != nil {
			return s.fail(err)
		}
		chain = append(chain, d)
	}
	s.names.note(dir, start, chain)
	return nil
}

// fail closes the store after a failed fsync: the kernel may have dropped what it could not write, and the next
// fsync would succeed without it. A full disk loses nothing and passes, and so does a file that is gone.
func (s *Store) fail(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || !errors.As(err, new(*syncError)) {
		return err
	}
	s.brokenMu.Lock()
	defer s.brokenMu.Unlock()
	if s.broken == nil {
		s.broken = err
	}
	return err
}

// syncError is an fsync that failed, as opposed to an open.
type syncError struct{ err error }

func (e *syncError) Error() string { return e.err.Error() }
func (e *syncError) Unwrap() error { return e.err }

// fsync writes a file or a directory to disk.
func fsync(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return &syncError{err}
	}
	return nil
}

// makeDirs creates dir and its parents, each durable in the one above it.
func makeDirs(dir string) error {
	err := os.Mkdir(dir, dirMode)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeDirs(filepath.Dir(dir)); err == nil {
			err = os.Mkdir(dir, dirMode)
		}
	}
	if errors.Is(err, fs.ErrExist) {
		info, statErr := os.Stat(dir)
		if statErr != nil {
			return statErr
		}
		if !info.IsDir() {
			return fmt.Errorf("%s is not a directory", dir)
		}
		return nil
	}
	if err != nil {
		return err
	}
	return fsync(filepath.Dir(dir))
}

// errNotDirectory is what the system says when a directory of a path is a file.
var errNotDirectory error = syscall.ENOTDIR

// explain adds what to do to errors that an operator can cure.
func explain(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("the disk is full, free some space: %w", err)
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("the file system is read-only: %w", err)
	case errors.Is(err, syscall.EMLINK), errors.Is(err, syscall.EPERM), errors.Is(err, syscall.ENOTSUP):
		return fmt.Errorf("the file system must allow hard links and fsync: %w", err)
	}
	return err
}
