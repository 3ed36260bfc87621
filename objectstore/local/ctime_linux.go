package local

import (
	"io/fs"
	"syscall"
	"time"
)

// changeTime is when the file's links last changed: not before its name was made.
func changeTime(info fs.FileInfo) time.Time {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return time.Unix(st.Ctim.Unix())
	}
	return time.Now()
}
