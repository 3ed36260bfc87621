//go:build !linux

package pool

import "errors"

// smallDisk is what this system has not.
type smallDisk struct{}

func mount(string, int64) (*smallDisk, error) { return nil, errors.New("no small disks here") }
func (*smallDisk) unmount() error             { return nil }
func (*smallDisk) fill() error                { return nil }
func (*smallDisk) free() error                { return nil }
