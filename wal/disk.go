package wal

import (
	"os"
)

// Disk is what the writing side needs of a file system, small enough for a test to make it fail.
type Disk interface {
	// Create makes a file of size bytes with its blocks allocated, reading as zeros, in place of whatever has
	// that name. It removes what it made when it fails. Nothing is durable yet.
	Create(path string, size int64) (File, error)
	// SyncDir makes the names in a directory durable.
	SyncDir(path string) error
}

// File is an open file of a Disk. WriteAt and Sync may be called concurrently.
type File interface {
	// WriteAt writes the parts one after the other from offset on, all or an error. It may change the slice
	// parts, not the bytes.
	WriteAt(parts [][]byte, offset int64) error
	// Sync makes the bytes written before the call durable. After an error they may be lost for good.
	Sync() error
	Close() error
}

// OSDisk is the operating system's file system.
type OSDisk struct{}

// SyncDir implements Disk.
func (OSDisk) SyncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Create implements Disk.
func (OSDisk) Create(path string, size int64) (File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	if err := allocate(f, size); err != nil {
		f.Close()
		os.Remove(path)
		return nil, &os.PathError{Op: "allocate", Path: path, Err: err}
	}
	return osFile{f}, nil
}

type osFile struct{ *os.File }

// writeZeros is how a file gets its blocks where the system cannot allocate them.
func writeZeros(f *os.File, size int64) error {
	zeros := make([]byte, min(size, 1<<20))
	for at := int64(0); at < size; at += int64(len(zeros)) {
		if _, err := f.WriteAt(zeros[:min(int64(len(zeros)), size-at)], at); err != nil {
			return err
		}
	}
	return nil
}
