package wal

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

const benchEntry = 64 << 10

// cpuSeconds returns the processor time of this process, the kernel's part included.
func cpuSeconds(b *testing.B) float64 {
	b.Helper()
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return float64(r.Utime.Nano()+r.Stime.Nano()) / 1e9
}

// measure runs op in b.Loop and reports the processor seconds that a GiB of entries takes.
func measure(b *testing.B, entryBytes int, op func()) {
	b.Helper()
	b.SetBytes(int64(entryBytes))
	b.ReportAllocs()
	before := cpuSeconds(b)
	for b.Loop() {
		op()
	}
	used := cpuSeconds(b) - before
	b.ReportMetric(used/(float64(b.N)*float64(entryBytes)/(1<<30)), "cpu-s/GiB")
}

// benchRing gives a running ring of three files, each of which was written once already.
func benchRing(b *testing.B) (w *WAL, appendOne func() Position) {
	b.Helper()
	dir, err := OpenDirectory(b.TempDir(), OSDisk{})
	if err != nil {
		b.Fatal(err)
	}
	w, err = dir.Open(Config{Identity: testIdentity, FileBytes: 64 << 20, MaxBytes: 192 << 20})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			b.Error(err)
		}
		w.Close()
		dir.Close()
	})
	payload := bytes.Repeat([]byte{0xa5}, benchEntry)
	var ring [256]Position // 16 MiB stay unreleased
	n := 0
	appendOne = func() Position {
		room, err := w.Reserve(ctx, benchEntry)
		if err != nil {
			b.Fatal(err)
		}
		pos, err := room.Append(payload)
		if err != nil {
			b.Fatal(err)
		}
		w.Release(ring[n%len(ring)])
		ring[n%len(ring)] = pos
		n++
		return pos
	}
	for range 4 * 64 << 20 / benchEntry {
		appendOne()
	}
	if err := w.Synced(ctx, w.Stats().Appended); err != nil {
		b.Fatal(err)
	}
	return w, appendOne
}

// benchGrowing gives a file that grows by one entry at a time and begins anew at 256 MiB.
func benchGrowing(b *testing.B) (f *os.File, appendOne func()) {
	b.Helper()
	f, err := os.Create(filepath.Join(b.TempDir(), "growing"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { f.Close() })
	payload := bytes.Repeat([]byte{0xa5}, benchEntry)
	size := 0
	return f, func() {
		if size += benchEntry; size > 256<<20 {
			if err := f.Truncate(0); err != nil {
				b.Fatal(err)
			}
			if _, err := f.Seek(0, 0); err != nil {
				b.Fatal(err)
			}
			size = 0
		}
		if _, err := f.Write(payload); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	b.Run("64KiB", func(b *testing.B) {
		w, appendOne := benchRing(b)
		measure(b, benchEntry, func() { appendOne() })
		if err := w.Written(b.Context(), w.Stats().Appended); err != nil {
			b.Fatal(err)
		}
	})
	b.Run("64KiB-sync", func(b *testing.B) {
		w, appendOne := benchRing(b)
		measure(b, benchEntry, func() {
			if err := w.Synced(b.Context(), appendOne()); err != nil {
				b.Fatal(err)
			}
		})
	})
	b.Run("64KiB-sync-16-waiters", func(b *testing.B) {
		w, appendOne := benchRing(b)
		measure(b, 16*benchEntry, func() {
			var waiters sync.WaitGroup
			for range 16 {
				pos := appendOne()
				waiters.Go(func() {
					if err := w.Synced(b.Context(), pos); err != nil {
						b.Error(err)
					}
				})
			}
			waiters.Wait()
		})
	})
}

// BenchmarkGrowingFile is the reference: what the ring replaces.
func BenchmarkGrowingFile(b *testing.B) {
	b.Run("64KiB", func(b *testing.B) {
		_, appendOne := benchGrowing(b)
		measure(b, benchEntry, appendOne)
	})
	b.Run("64KiB-sync", func(b *testing.B) {
		f, appendOne := benchGrowing(b)
		measure(b, benchEntry, func() {
			appendOne()
			if err := (osFile{f}).Sync(); err != nil {
				b.Fatal(err)
			}
		})
	})
}

// BenchmarkPreallocatedFile is what the first use of a file of the ring costs, before all its blocks were written
// once; making the file is part of it.
func BenchmarkPreallocatedFile(b *testing.B) {
	b.Run("64KiB-sync", func(b *testing.B) {
		payload := bytes.Repeat([]byte{0xa5}, benchEntry)
		path := filepath.Join(b.TempDir(), "new")
		var f File
		at := int64(0)
		measure(b, benchEntry, func() {
			if at%(64<<20) == 0 {
				if f != nil {
					f.Close()
				}
				var err error
				if f, err = (OSDisk{}).Create(path, 64<<20); err != nil {
					b.Fatal(err)
				}
				at = 0
			}
			if err := f.WriteAt([][]byte{payload}, at); err != nil {
				b.Fatal(err)
			}
			if err := f.Sync(); err != nil {
				b.Fatal(err)
			}
			at += benchEntry
		})
		f.Close()
	})
}

// BenchmarkRecover reads a full ring of 128 MiB.
func BenchmarkRecover(b *testing.B) {
	disk := newMemoryDisk()
	dir, err := OpenDirectory(b.TempDir(), disk)
	if err != nil {
		b.Fatal(err)
	}
	defer dir.Close()
	w, err := dir.Open(Config{Identity: testIdentity, FileBytes: 64 << 20, MaxBytes: 128 << 20})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	payload := bytes.Repeat([]byte{0xa5}, benchEntry)
	for {
		room, err := w.Reserve(ctx, benchEntry)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := room.Append(payload); err != nil {
			b.Fatal(err)
		}
		if w.Stats().UnreleasedBytes > 120<<20 {
			break
		}
	}
	cancel()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
	var files [][]byte
	for i := range 2 {
		files = append(files, disk.files[filepath.Join(w.path, fileName(i))].now)
	}
	b.SetBytes(128 << 20)
	b.ReportAllocs()
	for b.Loop() {
		if r := recoverFiles(testIdentity, files, 0); r.Err != nil || r.Next != w.Stats().Written {
			b.Fatalf("recovered up to %d, %v", r.Next, r.Err)
		}
	}
}
