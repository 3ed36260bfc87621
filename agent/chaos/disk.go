package chaos

import (
	"fmt"
	"syscall"
	"time"

	"github.com/odradek/odradek/wal"
)

// DiskFault is what the disk of the WAL does wrong.
type DiskFault string

// The disk faults.
const (
	FailWrites DiskFault = "write-eio"   // a write fails with EIO
	FailSyncs  DiskFault = "sync-eio"    // a sync fails with EIO: what was written before may be lost
	NoSpace    DiskFault = "write-nospc" // a write, or a new file, fails with ENOSPC
	SlowSync   DiskFault = "sync-slow"   // a sync takes a while
)

// FailDisk makes the disk of the WAL fail until MendDisk; by is for SlowSync.
func (i *Injector) FailDisk(f DiskFault, by time.Duration) error {
	switch f {
	case FailWrites, FailSyncs, NoSpace, SlowSync:
	default:
		return fmt.Errorf("no disk fault is called %q", f)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.disk, i.slow = f, by
	return nil
}

// MendDisk ends it.
func (i *Injector) MendDisk() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.disk = ""
}

// suffers says whether a call that the given faults befall fails now.
func (i *Injector) suffers(faults map[DiskFault]syscall.Errno) error {
	i.mu.Lock()
	f, slow := i.disk, i.slow
	i.mu.Unlock()
	errno, ok := faults[f]
	if !ok {
		return nil
	}
	i.did(faultDisk, string(f))
	if errno == 0 {
		time.Sleep(slow)
		return nil
	}
	return errno
}

// Disk stands before the disk of the WAL.
func (i *Injector) Disk(d wal.Disk) wal.Disk { return &disk{d, i} }

type disk struct {
	wal.Disk
	i *Injector
}

// Create implements wal.Disk.
func (d *disk) Create(path string, size int64) (wal.File, error) {
	if err := d.i.suffers(map[DiskFault]syscall.Errno{NoSpace: syscall.ENOSPC}); err != nil {
		return nil, fmt.Errorf("create %s: %w", path, err)
	}
	f, err := d.Disk.Create(path, size)
	if err != nil {
		return nil, err
	}
	return &file{f, d.i}, nil
}

type file struct {
	wal.File
	i *Injector
}

// WriteAt implements wal.File.
func (f *file) WriteAt(parts [][]byte, offset int64) error {
	return f.i.around([]string{WALWrite}, func() error {
		if err := f.i.suffers(map[DiskFault]syscall.Errno{FailWrites: syscall.EIO, NoSpace: syscall.ENOSPC}); err != nil {
			return fmt.Errorf("write: %w", err)
		}
		return f.File.WriteAt(parts, offset)
	})
}

// Sync implements wal.File.
func (f *file) Sync() error {
	return f.i.around([]string{WALSync}, func() error {
		if err := f.i.suffers(map[DiskFault]syscall.Errno{FailSyncs: syscall.EIO, SlowSync: 0}); err != nil {
			return fmt.Errorf("sync: %w", err)
		}
		return f.File.Sync()
	})
}
