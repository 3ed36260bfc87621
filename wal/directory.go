package wal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// The names in a data directory: wal/<identity>/00000.wal, wal/<identity>/marks, quarantine/<identity>-<time>/.
const (
	ringsName      = "wal"
	quarantineName = "quarantine"
	lockName       = "wal.lock"
	removedSuffix  = ".removed"
)

// Directory is a data directory held by this process. Its methods may be called concurrently.
type Directory struct {
	path string
	disk Disk
	lock *os.File

	mu   sync.Mutex // guards open
	open map[Identity]bool
}

// OpenDirectory makes the directory if it does not exist, and locks it against other processes (flock) until
// Close or the end of the process. It fails with ErrLocked when another one holds it.
func OpenDirectory(path string, disk Disk) (*Directory, error) {
	if err := os.MkdirAll(filepath.Join(path, ringsName), 0o700); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(path, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = ErrLocked
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	d := &Directory{path: path, disk: disk, lock: lock, open: map[Identity]bool{}}
	if err := d.finishRemovals(); err != nil {
		lock.Close()
		return nil, err
	}
	return d, nil
}

// Close gives the directory free. Close the rings opened first.
func (d *Directory) Close() error { return d.lock.Close() }

func (d *Directory) ringPath(id Identity) string {
	return filepath.Join(d.path, ringsName, id.String())
}

// Open makes a new ring and returns once its first file, with its header and name, is durable. Rings of other
// identities are left as they are; an identity that exists is refused with ErrExists. Call Run to have the
// ring written, and Close at the end.
func (d *Directory) Open(config Config) (*WAL, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	path := d.ringPath(config.Identity)
	if err := os.Mkdir(path, 0o700); err != nil {
		if errors.Is(err, fs.ErrExist) {
			err = ErrExists
		}
		return nil, fmt.Errorf("open wal %s: %w", config.Identity, err)
	}
	w := &WAL{
		config: config, path: path, disk: d.disk, seed: config.Identity.seed(),
		wakeWriter: make(chan struct{}, 1), wakeSyncer: make(chan struct{}, 1),
		space: newSpace(config.FileBytes, config.files()),
	}
	if err := w.create(d.path); err != nil {
		w.closeFiles()
		return nil, errors.Join(fmt.Errorf("open wal %s: %w", config.Identity, err), os.RemoveAll(path))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open[config.Identity] = true
	w.closed = func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.open, config.Identity)
	}
	return w, nil
}

// create makes the marks and the first file, and makes all names above them durable.
func (w *WAL) create(dataDir string) error {
	f, err := w.disk.Create(filepath.Join(w.path, marksName), marksBytes)
	if err != nil {
		return err
	}
	w.marks = &marks{file: f, identity: w.config.Identity}
	if err := f.Sync(); err != nil {
		return err
	}
	first, err := w.addFile()
	if err != nil {
		return err
	}
	w.ring = append(w.ring, first)
	for _, dir := range []string{filepath.Dir(w.path), dataDir} {
		if err := w.disk.SyncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

// Close closes the files of a ring whose Run has returned or was never called. The ring stays in the directory.
func (w *WAL) Close() error {
	w.mu.Lock()
	w.closing = true
	w.mu.Unlock()
	w.fail(fs.ErrClosed)
	w.closed()
	return w.closeFiles()
}

func (w *WAL) closeFiles() error {
	var errs []error
	if w.marks != nil {
		errs = append(errs, w.marks.file.Close())
	}
	for _, s := range w.ring {
		errs = append(errs, s.file.Close())
	}
	return errors.Join(errs...)
}

// Remove deletes a ring that is not open, after everything in it counts. A crash leaves all of it or nothing.
// Removing what is not there is no error.
func (d *Directory) Remove(id Identity) error {
	path := d.ringPath(id)
	if err := d.moveAway(id, path+removedSuffix); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	return os.RemoveAll(path + removedSuffix)
}

// Quarantine moves a ring that is not open, and may not be replayed any more, out of the way; it is kept for
// people. It returns where it is now.
func (d *Directory) Quarantine(id Identity) (string, error) {
	parent := filepath.Join(d.path, quarantineName)
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return "", err
	}
	to := filepath.Join(parent, id.String()+"-"+time.Now().UTC().Format("20060102T150405Z"))
	if err := d.moveAway(id, to); err != nil {
		return "", err
	}
	return to, errors.Join(d.disk.SyncDir(parent), d.disk.SyncDir(d.path))
}

// moveAway renames a ring durably.
func (d *Directory) moveAway(id Identity, to string) error {
	if d.isOpen(id) {
		return fmt.Errorf("wal %s is open", id)
	}
	if err := os.Rename(d.ringPath(id), to); err != nil {
		return err
	}
	return d.disk.SyncDir(filepath.Join(d.path, ringsName))
}

func (d *Directory) isOpen(id Identity) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.open[id]
}

// finishRemovals deletes what a Remove cut short has left.
func (d *Directory) finishRemovals() error {
	rings := filepath.Join(d.path, ringsName)
	names, err := os.ReadDir(rings)
	if err != nil {
		return err
	}
	for _, e := range names {
		if strings.HasSuffix(e.Name(), removedSuffix) {
			if err := os.RemoveAll(filepath.Join(rings, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}
