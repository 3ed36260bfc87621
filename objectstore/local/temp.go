package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	tmpDir = ".odradek.tmp"
	// leftoverAge is when a temporary file is removed although its process id is alive: the id may be another
	// process's by now, or ours, as in a container where it is always 1.
	leftoverAge = 10 * time.Minute
)

// createTemp makes the next temporary file. Its name, <pid>-<nanoseconds>-<serial>, says who writes it; that of an upload
// goes on with its key.
func (s *Store) createTemp(more string) (*os.File, error) {
	name := fmt.Sprintf("%d-%x-%x%s", os.Getpid(), time.Now().UnixNano(), s.serial.Add(1), more)
	path := filepath.Join(s.tmp, name)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeDirs(s.tmp); err != nil {
			return nil, err
		}
		return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	}
	return f, err
}

// removeLeftovers removes temporary files of dead processes. Removing one that is still being written harms
// nobody: its Create ends in an error, which means unknown, and is repeated.
func (s *Store) removeLeftovers() error {
	entries, err := os.ReadDir(s.tmp)
	if err != nil {
		return err
	}
	for _, e := range entries {
		pid, ok := tempOwner(e.Name())
		if !ok {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if alive(pid) && time.Since(info.ModTime()) < leftoverAge {
			continue
		}
		if err := os.Remove(filepath.Join(s.tmp, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// tempOwner reads the process id from a name that createTemp made.
func tempOwner(name string) (pid int, ok bool) {
	fields := strings.SplitN(name, "-", 4)
	if len(fields) < 3 {
		return 0, false
	}
	pid, err := strconv.Atoi(fields[0])
	if err != nil || pid <= 0 {
		return 0, false
	}
	for _, f := range fields[1:3] {
		if _, err := strconv.ParseUint(f, 16, 64); err != nil {
			return 0, false
		}
	}
	return pid, true
}

// alive reports whether a process of this host has the id. One that may not be asked is alive.
func alive(pid int) bool { return !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }
