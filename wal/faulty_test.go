package wal

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

const sectorBytes = 512

// memoryDisk is a Disk that can fail and lose power.
type memoryDisk struct {
	mu    sync.Mutex
	files map[string]*memoryFile
	calls int                               // of Create, WriteAt, Sync and SyncDir
	fault func(call int, what string) error // asked before each call
	delay time.Duration                     // that a Sync takes
	syncs int
}

// memoryFile has what was written and what of it would survive a power loss for certain.
type memoryFile struct {
	disk    *memoryDisk
	named   bool // its name is durable
	now     []byte
	durable []byte
	dirty   map[int64]bool // sectors that differ
}

func newMemoryDisk() *memoryDisk { return &memoryDisk{files: map[string]*memoryFile{}} }

// call counts a call and gives its fault. The caller holds mu.
func (d *memoryDisk) call(what string) error {
	d.calls++
	if d.fault == nil {
		return nil
	}
	return d.fault(d.calls, what)
}

func (d *memoryDisk) setFault(fault func(call int, what string) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = fault
}

func (d *memoryDisk) Create(path string, size int64) (File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.call("create"); err != nil {
		return nil, err
	}
	f := &memoryFile{disk: d, now: make([]byte, size), durable: make([]byte, size), dirty: map[int64]bool{}}
	d.files[path] = f
	return f, nil
}

func (d *memoryDisk) SyncDir(path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.call("syncdir"); err != nil {
		return err
	}
	for name, f := range d.files {
		f.named = f.named || filepath.Dir(name) == path
	}
	return nil
}

func (f *memoryFile) WriteAt(parts [][]byte, offset int64) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.disk.call("write"); err != nil {
		return err
	}
	b := slices.Concat(parts...)
	copy(f.now[offset:offset+int64(len(b))], b)
	for s := offset / sectorBytes; s*sectorBytes < offset+int64(len(b)); s++ {
		f.dirty[s] = true
	}
	return nil
}

func (f *memoryFile) Sync() error {
	f.disk.mu.Lock()
	err := f.disk.call("sync")
	f.disk.syncs++
	delay := f.disk.delay
	if err == nil {
		for s := range f.dirty {
			copy(f.durable[s*sectorBytes:(s+1)*sectorBytes], f.now[s*sectorBytes:])
		}
		clear(f.dirty)
	}
	f.disk.mu.Unlock()
	time.Sleep(delay)
	return err
}

func (f *memoryFile) Close() error { return nil }

// losePower writes to real files what a power loss leaves: each sector not synced is there or is not. A nil rng
// keeps everything, as the death of the process alone does.
func (d *memoryDisk) losePower(t *testing.T, rng *rand.Rand, from, to string) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	for name, f := range d.files {
		image := slices.Clone(f.now)
		if rng != nil {
			if !f.named && rng.IntN(2) == 0 {
				continue
			}
			image = slices.Clone(f.durable)
			keep := rng.IntN(5)
			for s := range f.dirty {
				if rng.IntN(4) < keep {
					copy(image[s*sectorBytes:(s+1)*sectorBytes], f.now[s*sectorBytes:])
				}
			}
		}
		rel, err := filepath.Rel(from, name)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(to, rel)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, image, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
