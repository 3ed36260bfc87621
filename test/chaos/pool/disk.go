package pool

import "os"

// TrySmallDisk says why there can be no small disks on this machine; nil: there can.
func TrySmallDisk() error {
	dir, err := os.MkdirTemp("", "odradek-chaos-disk-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	d, err := mount(dir, 1<<20)
	if err != nil {
		return err
	}
	return d.unmount()
}
