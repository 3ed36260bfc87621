//go:build !linux

package wal

import "os"

func allocate(f *os.File, size int64) error { return writeZeros(f, size) }

// WriteAt implements File.
func (f osFile) WriteAt(parts [][]byte, offset int64) error {
	for _, p := range parts {
		if _, err := f.File.WriteAt(p, offset); err != nil {
			return err
		}
		offset += int64(len(p))
	}
	return nil
}
