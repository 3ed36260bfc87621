//go:build !linux

package local

import (
	"io/fs"
	"time"
)

// changeTime is not known portably: every name counts as new, and is fsynced.
func changeTime(fs.FileInfo) time.Time { return time.Now() }
