//go:build linux

package crash

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/odradek/odradek/test/harness"
)

// disk is a small file system of the test's own.
type disk struct {
	t    *testing.T
	path string
}

// mountDisk mounts a tmpfs of size bytes.
func mountDisk(t *testing.T, size string) *disk {
	t.Helper()
	d := &disk{t, harness.TempDir(t)}
	if err := unix.Mount("odradek-test", d.path, "tmpfs", 0, "size="+size); err != nil {
		t.Fatalf("mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(d.path, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return d
}

func (d *disk) ballast() string { return filepath.Join(d.path, "ballast") }

// fill leaves at most spare bytes free.
func (d *disk) fill(spare int64) {
	d.t.Helper()
	f, err := os.Create(d.ballast())
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	size := int64(0)
	for step := int64(64 << 20); step >= 4096; { // others write meanwhile: take what there is
		if err := unix.Fallocate(int(f.Fd()), 0, 0, size+step); err != nil {
			step /= 2
			continue
		}
		size += step
	}
	if err := f.Truncate(max(0, size-spare)); err != nil {
		d.t.Fatal(err)
	}
}

// free takes the ballast away.
func (d *disk) free() {
	d.t.Helper()
	if err := os.Remove(d.ballast()); err != nil {
		d.t.Fatal(err)
	}
}

// A full disk makes the WAL's ring smaller and stops nobody.
func TestDisk_FullForTheWAL(t *testing.T) {
	t.Parallel()
	d := mountDisk(t, "96m")
	a := harness.Start(t, harness.Options{
		DataDir: filepath.Join(d.path, "data"), Bucket: "file://" + harness.TempDir(t), Flags: []string{"--wal-size", "64MiB"},
	})
	createTopic(t, a.Addr, loadTopic, partitions)
	all := startLoad(t, newLedger(), loadConfig{addr: a.Addr, producers: 2, large: true})
	all.progress(100, 20*time.Second)
	d.fill(0)
	all.progress(1000, 60*time.Second) // 64 KiB each: more than the ring may hold now
	a.WaitLog("wal cannot grow", 10*time.Second)
	one := startLoad(t, all.ledger, loadConfig{addr: a.Addr, producers: 1, first: 10, opts: ackOne["idempotent"].opts})
	all.progress(400, 60*time.Second)
	a.Kill()
	a.Launch()
	a.WaitLog("no space left on device", 10*time.Second)
	d.free()
	a.WaitReady()
	all.progress(100, 60*time.Second)
	one.finish(30 * time.Second)
	all.finish(30 * time.Second)
	all.check(t, a.Addr)
}

// An agent that finds no room for its WAL says so and serves once there is some.
func TestDisk_FullAtStart(t *testing.T) {
	t.Parallel()
	d := mountDisk(t, "32m")
	d.fill(64 << 10)
	a := harness.Start(t, harness.Options{
		DataDir: filepath.Join(d.path, "data"), Bucket: "file://" + harness.TempDir(t), Flags: []string{"--wal-size", "64MiB"}, NoWait: true,
	})
	a.WaitLog("no space left on device", 10*time.Second)
	if !a.Running() || a.Ready() {
		t.Fatalf("running %v, ready %v on a full disk", a.Running(), a.Ready())
	}
	d.free()
	a.WaitReady()
}

// While a directory bucket has no room acks=all waits, acks=1 goes on, and nothing acked is lost.
func TestDisk_FullForTheBucket(t *testing.T) {
	t.Parallel()
	d := mountDisk(t, "96m")
	a := harness.Start(t, harness.Options{
		Bucket: "file://" + filepath.Join(d.path, "bucket"), Flags: []string{"--wal-size", "128MiB"},
	})
	createTopic(t, a.Addr, loadTopic, partitions)
	l := newLedger()
	one := startLoad(t, l, loadConfig{addr: a.Addr, producers: 1, first: 10, opts: ackOne["idempotent"].opts})
	all := startLoad(t, l, loadConfig{addr: a.Addr, producers: 2})
	all.progress(200, 20*time.Second)
	d.fill(16 << 10)
	a.WaitLog("no space left on device", 20*time.Second)
	one.progress(200, 20*time.Second)
	if n := len(a.LogLines("level=")); n > 100 {
		t.Errorf("%d lines in the log", n)
	}
	a.Kill()
	a.Launch()
	a.WaitLog("no space left on device", 20*time.Second)
	d.free()
	a.WaitReady()
	all.progress(200, 30*time.Second)
	one.finish(30 * time.Second)
	all.finish(30 * time.Second)
	l.check(t, a.Addr)
}

// noise is a value that does not compress.
func noise(size int) []byte {
	b := make([]byte, size)
	rand.Read(b)
	return b
}
