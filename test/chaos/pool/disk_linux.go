package pool

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// smallDisk is a file system of so many bytes. It may be filled, so that what grows on it cannot grow any more.
type smallDisk struct{ path string }

// mount makes a small disk. Only root may.
func mount(path string, bytes int64) (*smallDisk, error) {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, err
	}
	if err := unix.Mount("odradek-chaos", path, "tmpfs", 0, fmt.Sprintf("size=%d", bytes)); err != nil {
		return nil, fmt.Errorf("mount a small disk: %w", err)
	}
	return &smallDisk{path}, nil
}

func (d *smallDisk) unmount() error { return unix.Unmount(d.path, unix.MNT_DETACH) }

func (d *smallDisk) ballast() string { return filepath.Join(d.path, "ballast") }

// fill takes all room there is.
func (d *smallDisk) fill() error {
	f, err := os.Create(d.ballast())
	if err != nil {
		return err
	}
	defer f.Close()
	size := int64(0)
	for step := int64(16 << 20); step >= 4096; {
		if err := unix.Fallocate(int(f.Fd()), 0, 0, size+step); err != nil {
			step /= 2
			continue
		}
		size += step
	}
	return nil
}

// free gives it back.
func (d *smallDisk) free() error {
	if err := os.Remove(d.ballast()); err != nil && !os.IsNotExist(err) {
		return err
	}
	return nil
}
