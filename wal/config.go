package wal

import (
	"errors"
	"fmt"
	"time"
)

// The caps of this package.
const (
	minFileBytes = 2 * pageBytes
	maxFileBytes = 1 << 30
	maxFiles     = 1 << 16

	defaultFileBytes  = 64 << 20
	defaultMaxBytes   = 1 << 30
	defaultQueueBytes = 32 << 20

	batchBytes   = 4 << 20  // most that one pwritev writes, unless one entry is larger
	batchVectors = 1000     // most slices of one pwritev; the kernel takes 1024
	scratchBytes = 64 << 10 // headers and small entries of one pwritev
	copyBelow    = 4 << 10  // payloads below it are copied together

	growAgainAfter = 5 * time.Second // how long a full disk keeps the ring from trying to grow
)

// What the methods of WAL and Directory may return, wrapped.
var (
	// ErrFull says that all files hold entries that are not released, or that the queue is full. Nothing was
	// appended. Reserve waits for room.
	ErrFull = errors.New("write-ahead log is full")
	// ErrTooLarge says that the entry is larger than a file of the ring. It never fits.
	ErrTooLarge = errors.New("entry larger than a file of the write-ahead log")
	// ErrClosed says that the WAL takes nothing any more and that what was not durable may be lost; its cause
	// is wrapped beside it: the first error of the disk, or the end of Run.
	ErrClosed = errors.New("write-ahead log is closed")
	// ErrLocked says that another process holds the directory.
	ErrLocked = errors.New("data directory is in use by another process")
	// ErrExists says that there is a ring of that identity in the directory already.
	ErrExists = errors.New("write-ahead log exists")
	// ErrCorrupt says that bytes that were durable once are not what they were.
	ErrCorrupt = errors.New("write-ahead log is corrupt")
	// ErrVersion says that a newer build wrote the ring: it is that build's to replay.
	ErrVersion = errors.New("write-ahead log version unknown")
)

// Config says what ring to make. Zero values stand for the defaults.
type Config struct {
	Identity   Identity
	FileBytes  int64 // size of a file: default 64 MiB, at least 8 KiB, a multiple of 4 KiB
	MaxBytes   int64 // the ring grows up to it, never beyond: default 1 GiB, at least two files
	QueueBytes int64 // bytes appended but not yet written: default 32 MiB
}

// withDefaults fills what is zero and reports all that cannot be.
func (c Config) withDefaults() (Config, error) {
	if c.MaxBytes == 0 {
		c.MaxBytes = max(defaultMaxBytes, 2*c.FileBytes)
	}
	if c.FileBytes == 0 {
		c.FileBytes = min(defaultFileBytes, c.MaxBytes/4&^(pageBytes-1))
	}
	if c.QueueBytes == 0 {
		c.QueueBytes = defaultQueueBytes
	}
	var errs []error
	if c.Identity == (Identity{}) {
		errs = append(errs, errors.New("wal identity is zero"))
	}
	if c.FileBytes < minFileBytes || c.FileBytes > maxFileBytes || c.FileBytes%pageBytes != 0 {
		errs = append(errs, fmt.Errorf("wal file size %d: want a multiple of %d from %d to %d",
			c.FileBytes, pageBytes, minFileBytes, maxFileBytes))
	}
	if n := c.MaxBytes / max(c.FileBytes, 1); n < 2 || n > maxFiles {
		errs = append(errs, fmt.Errorf("wal size %d: want room for 2 to %d files of %d bytes",
			c.MaxBytes, maxFiles, c.FileBytes))
	}
	if c.QueueBytes < 0 {
		errs = append(errs, fmt.Errorf("wal queue size %d: want a positive one", c.QueueBytes))
	}
	return c, errors.Join(errs...)
}

func (c Config) files() int { return int(c.MaxBytes / c.FileBytes) }
