package local

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

const lockFile = ".odradek.lock"

// ErrLocked says that another process holds the bucket's lock.
var ErrLocked = errors.New("bucket is in use")

// Lock is a held lock on a bucket. The system drops it when the process ends, however it ends.
type Lock struct{ f *os.File }

// Lock takes the bucket for this process alone, as an agent must whose index is in memory. It does not wait: with
// another holder, shared or not, the error is ErrLocked and names the file and, if known, the holder.
func (s *Store) Lock() (*Lock, error) { return s.lock(syscall.LOCK_EX) }

// LockShared takes the bucket together with others that share it, as agents do that have a Redis in common. It
// does not wait: beside a Lock the error is ErrLocked.
func (s *Store) LockShared() (*Lock, error) { return s.lock(syscall.LOCK_SH) }

func (s *Store) lock(how int) (*Lock, error) {
	path := filepath.Join(s.dir, lockFile)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: %s is locked by %s", ErrLocked, path, holder(f))
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	// The id is for people only; with a shared lock it is the last one's that came.
	if err := f.Truncate(0); err == nil {
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	return &Lock{f}, nil
}

// Unlock gives the lock back. The file stays: removing it would let two processes lock two files of one name.
func (l *Lock) Unlock() error { return l.f.Close() }

func holder(f *os.File) string {
	b := make([]byte, 20)
	n, _ := f.ReadAt(b, 0)
	if pid, err := strconv.Atoi(strings.TrimSpace(string(b[:n]))); err == nil {
		return fmt.Sprintf("process %d", pid)
	}
	return "another process"
}
