package wal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }
func be32(v uint32) []byte     { return binary.BigEndian.AppendUint32(nil, v) }

var errDisk = errors.New("disk on fire")

// failOn makes every call of one kind fail.
func failOn(what string, err error) func(int, string) error {
	return func(_ int, w string) error {
		if w == what {
			return err
		}
		return nil
	}
}

func TestWrite_FirstErrorClosesForGood(t *testing.T) {
	disk := newMemoryDisk()
	o := openTest(t, disk, Config{FileBytes: 16 << 10, MaxBytes: 64 << 10}, true)
	first := mustAppend(t, o.WAL, []byte("kept"))
	mustSync(t, o.WAL, first)
	disk.setFault(failOn("write", errDisk))
	second := mustAppend(t, o.WAL, []byte("lost"))
	for what, err := range map[string]error{
		"synced":  o.Synced(t.Context(), second),
		"written": o.Written(t.Context(), second),
		"run":     o.stop(),
	} {
		if !errors.Is(err, errDisk) || (what != "run" && !errors.Is(err, ErrClosed)) {
			t.Errorf("%s: got %v, want ErrClosed and its cause", what, err)
		}
	}
	disk.setFault(nil)
	if _, err := o.Append([]byte("later")); !errors.Is(err, ErrClosed) || !errors.Is(err, errDisk) {
		t.Errorf("append: got %v, want ErrClosed and its cause", err)
	}
	if _, err := o.Reserve(t.Context(), 5); !errors.Is(err, ErrClosed) {
		t.Errorf("reserve: got %v, want ErrClosed", err)
	}
	if err := o.Synced(t.Context(), first); err != nil {
		t.Errorf("what was durable before: got %v", err)
	}
	after := t.TempDir()
	disk.losePower(t, nil, o.path, after)
	if _, got := recovered(t, after); len(got) != 1 || string(got[0]) != "kept" {
		t.Errorf("recovered %q", got)
	}
}

func TestSync_FirstErrorClosesForGood(t *testing.T) {
	disk := newMemoryDisk()
	o := openTest(t, disk, Config{FileBytes: 16 << 10, MaxBytes: 64 << 10}, true)
	disk.setFault(failOn("sync", errDisk))
	pos := mustAppend(t, o.WAL, []byte("x"))
	if err := o.Synced(t.Context(), pos); !errors.Is(err, ErrClosed) || !errors.Is(err, errDisk) {
		t.Fatalf("got %v, want ErrClosed and its cause", err)
	}
	disk.setFault(nil)
	if err := o.Synced(t.Context(), pos); !errors.Is(err, ErrClosed) {
		t.Fatalf("a second sync after a lost one: got %v, want ErrClosed", err)
	}
	if err := o.stop(); !errors.Is(err, errDisk) {
		t.Fatalf("run: got %v", err)
	}
	if s := o.Stats(); !errors.Is(s.Err, errDisk) {
		t.Fatalf("stats: got %v", s.Err)
	}
}

// TestDisk_EachCallFailsOnce lets the n-th call fail, for every n, and looks whether what was promised is kept.
func TestDisk_EachCallFailsOnce(t *testing.T) {
	for n := 1; ; n++ {
		failed := false
		synctest.Test(t, func(t *testing.T) { failed = failCall(t, n) })
		if !failed {
			return
		}
	}
}

// failCall lives one life in which the n-th call of the disk fails, and reports whether there were so many.
func failCall(t *testing.T, n int) (failed bool) {
	disk := newMemoryDisk()
	disk.fault = func(call int, _ string) error {
		if call == n {
			failed = true
			return errDisk
		}
		return nil
	}
	path := t.TempDir()
	dir, err := OpenDirectory(path, disk)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	w, err := dir.Open(Config{Identity: testIdentity, FileBytes: 8 << 10, MaxBytes: 24 << 10})
	if err != nil {
		if !errors.Is(err, errDisk) {
			t.Fatalf("call %d: open: %v", n, err)
		}
		return failed
	}
	defer w.Close()
	o := &opened{WAL: w, dir: dir, path: path}
	o.run(t)
	synced := appendUntilError(t, o)
	o.stop()
	after := t.TempDir()
	disk.losePower(t, nil, path, after)
	_, got := recovered(t, after)
	if synced > 0 && (len(got) == 0 || !slices.ContainsFunc(got, func(b []byte) bool {
		return bytes.Equal(b, sample(synced-1, 3000))
	})) {
		t.Fatalf("call %d: %d entries recovered, the last of %d synced is not among them", n, len(got), synced)
	}
	return failed
}

// appendUntilError appends and syncs one entry after the other, releasing the one before.
func appendUntilError(t *testing.T, o *opened) (synced int) {
	var before Position
	for i := range 12 {
		pos, err := o.Append(sample(i, 3000))
		if err == nil {
			err = o.Synced(t.Context(), pos)
		}
		if err != nil {
			if !errors.Is(err, ErrClosed) {
				t.Fatalf("entry %d: %v, want ErrClosed", i, err)
			}
			return synced
		}
		synced++
		o.Release(before)
		before = pos
	}
	return synced
}

func TestSynced_WaitersShareOneFsync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newMemoryDisk()
		o := openTest(t, disk, Config{FileBytes: 64 << 10, MaxBytes: 1 << 20}, true)
		for i := range 100 {
			mustAppend(t, o.WAL, sample(i, 50))
		}
		synctest.Wait()
		before := disk.syncs
		if s := o.Stats(); s.Fsyncs != 0 || s.Written != s.Appended {
			t.Fatalf("nobody waits, yet %d fsyncs; written %d of %d", s.Fsyncs, s.Written, s.Appended)
		}
		disk.delay = 10 * time.Millisecond
		began := time.Now()
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() {
				if i >= 50 { // these come while the first fsync is under way
					time.Sleep(time.Millisecond)
				}
				mustSync(t, o.WAL, mustAppend(t, o.WAL, sample(i, 50)))
			})
		}
		all.Wait()
		if n := disk.syncs - before; n < 2 || n > 3 {
			t.Errorf("%d fsyncs for two waves of 50, want 2 or 3", n)
		}
		if took := time.Since(began); took > 30*time.Millisecond {
			t.Errorf("took %v", took)
		}
		o.stop()
	})
}

func TestSynced_WhatIsReleasedNeedsNoFsync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newMemoryDisk()
		o := openTest(t, disk, Config{FileBytes: 8 << 10, MaxBytes: 16 << 10}, false)
		pos := mustAppend(t, o.WAL, []byte("counts before it is written"))
		before := disk.syncs
		go func() {
			time.Sleep(time.Second)
			o.Release(pos)
		}()
		mustSync(t, o.WAL, pos)
		if n := disk.syncs - before; n != 0 {
			t.Errorf("%d fsyncs, want none", n)
		}
	})
}

func TestReserve_WaitsForRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := openTest(t, newMemoryDisk(), Config{FileBytes: 8 << 10, MaxBytes: 16 << 10}, true)
		first := mustAppend(t, o.WAL, make([]byte, 4000))
		mustAppend(t, o.WAL, make([]byte, 4000))
		if _, err := o.Append(make([]byte, 4000)); !errors.Is(err, ErrFull) {
			t.Fatalf("append to a full ring: %v, want ErrFull", err)
		}
		var granted time.Duration
		began := time.Now()
		go func() {
			room, err := o.Reserve(t.Context(), 4000)
			if err != nil {
				t.Error(err)
				return
			}
			granted = time.Since(began)
			if _, err := room.Append(make([]byte, 4000)); err != nil {
				t.Error(err)
			}
			room.Cancel()
		}()
		time.Sleep(time.Second)
		o.Release(first)
		synctest.Wait()
		if granted != time.Second {
			t.Errorf("granted after %v, want 1s", granted)
		}
		if s := o.Stats(); s.Written != s.Appended || s.Files != 2 {
			t.Errorf("stats %+v", s)
		}
		o.stop()
	})
}

func TestReserve_PromiseIsKeptAgainstAppend(t *testing.T) {
	o := openTest(t, newMemoryDisk(), Config{FileBytes: 8 << 10, MaxBytes: 32 << 10}, false)
	room, err := o.Reserve(t.Context(), 4000)
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := o.Append(make([]byte, 700)); errors.Is(err, ErrFull) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := room.Append(make([]byte, 4001)); !errors.Is(err, ErrTooLarge) {
		t.Fatalf("more than reserved: %v, want ErrTooLarge", err)
	}
	if _, err := room.Append(make([]byte, 4000)); err != nil {
		t.Fatalf("as reserved: %v", err)
	}
	if s := o.Stats(); s.InUse > 4 {
		t.Fatalf("%d files in use, want at most 4", s.InUse)
	}
}

func TestReserve_QueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := openTest(t, newMemoryDisk(), Config{FileBytes: 64 << 10, MaxBytes: 1 << 20, QueueBytes: 10_000}, false)
		mustAppend(t, o.WAL, make([]byte, 9000))
		if _, err := o.Append(make([]byte, 2000)); !errors.Is(err, ErrFull) {
			t.Fatalf("got %v, want ErrFull", err)
		}
		granted := false
		go func() {
			if _, err := o.Reserve(t.Context(), 2000); err != nil {
				t.Error(err)
			}
			granted = true
		}()
		synctest.Wait()
		if granted {
			t.Fatal("reserved beyond the queue")
		}
		o.run(t)
		synctest.Wait()
		if !granted {
			t.Fatal("still waiting after the queue was written")
		}
		o.stop()
	})
}

func TestRing_FullDiskMakesItSmallerNotBroken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newMemoryDisk()
		o := openTest(t, disk, Config{FileBytes: 8 << 10, MaxBytes: 64 << 10}, true)
		disk.setFault(failOn("create", syscall.ENOSPC))
		first := mustAppend(t, o.WAL, make([]byte, 4000))
		second := mustAppend(t, o.WAL, make([]byte, 4000)) // needs a second file
		synctest.Wait()
		if s := o.Stats(); !errors.Is(s.GrowErr, syscall.ENOSPC) || s.Err != nil || s.Written != first {
			t.Fatalf("stats %+v", s)
		}
		mustSync(t, o.WAL, first)
		if _, err := o.Append(make([]byte, 4000)); !errors.Is(err, ErrFull) {
			t.Fatalf("got %v, want ErrFull", err)
		}
		o.Release(first)
		mustSync(t, o.WAL, second)

		disk.setFault(nil)
		time.Sleep(2 * growAgainAfter)
		synctest.Wait()
		last := mustAppend(t, o.WAL, make([]byte, 4000))
		mustSync(t, o.WAL, last)
		if s := o.Stats(); s.Files != 2 || s.GrowErr != nil {
			t.Fatalf("stats after the disk has room: %+v", s)
		}
		o.stop()
	})
}
