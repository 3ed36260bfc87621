package wal

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOpenDirectory_SecondProcessIsRefused(t *testing.T) {
	path := t.TempDir()
	first, err := OpenDirectory(path, OSDisk{})
	if err != nil {
		t.Fatal(err)
	}
	// A second open file description is to flock what another process is.
	if _, err := OpenDirectory(path, OSDisk{}); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), path) {
		t.Fatalf("got %v, want ErrLocked with the path", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := OpenDirectory(path, OSDisk{})
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

func TestOpen_IdentityIsUsedOnce(t *testing.T) {
	o := openTest(t, OSDisk{}, Config{FileBytes: 8 << 10, MaxBytes: 16 << 10}, false)
	if _, err := o.dir.Open(o.config); !errors.Is(err, ErrExists) {
		t.Fatalf("got %v, want ErrExists", err)
	}
}

func TestOpen_AllProblemsOfTheConfigAtOnce(t *testing.T) {
	dir, err := OpenDirectory(t.TempDir(), OSDisk{})
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	_, err = dir.Open(Config{FileBytes: 5000, MaxBytes: 6000, QueueBytes: -1})
	for _, want := range []string{"identity", "file size 5000", "size 6000", "queue size -1"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
}

// abandon writes one entry to a new ring of a directory and closes it, as if the agent had died.
func abandon(t *testing.T, dir *Directory, path string, id Identity, payload string) {
	t.Helper()
	w, err := dir.Open(Config{Identity: id, FileBytes: 8 << 10, MaxBytes: 16 << 10})
	if err != nil {
		t.Fatal(err)
	}
	o := &opened{WAL: w, dir: dir, path: path}
	o.run(t)
	mustSync(t, w, mustAppend(t, w, []byte(payload)))
	if err := o.stop(); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestDirectory_RingsOfEarlierLives(t *testing.T) {
	path := t.TempDir()
	dir, err := OpenDirectory(path, OSDisk{})
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	replayed, quarantined, current := Identity{9}, Identity{5}, Identity{7}
	abandon(t, dir, path, replayed, "replay me")
	abandon(t, dir, path, quarantined, "too late")
	w, err := dir.Open(Config{Identity: current, FileBytes: 8 << 10, MaxBytes: 16 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()

	rings, err := dir.Recover()
	if err != nil || len(rings) != 2 || rings[0].Identity != replayed || rings[1].Identity != quarantined {
		t.Fatalf("recover: %+v, %v; want the two older ones, oldest first", rings, err)
	}
	if got := payloads(t, rings[0]); len(got) != 1 || string(got[0]) != "replay me" {
		t.Fatalf("got %q", got)
	}
	if err := dir.Remove(current); err == nil {
		t.Fatal("an open ring was removed")
	}
	if err := dir.Remove(replayed); err != nil {
		t.Fatal(err)
	}
	if err := dir.Remove(replayed); err != nil {
		t.Fatalf("again: %v", err)
	}
	kept, err := dir.Quarantine(quarantined)
	if err != nil || filepath.Dir(kept) != filepath.Join(path, "quarantine") {
		t.Fatalf("quarantine: %s, %v", kept, err)
	}
	if rings, err := dir.Recover(); err != nil || len(rings) != 0 {
		t.Fatalf("recover afterwards: %+v, %v", rings, err)
	}
	rings, err = Inspect(kept)
	if err != nil || len(rings) != 1 || rings[0].Identity != quarantined {
		t.Fatalf("inspect: %+v, %v", rings, err)
	}
	if got := payloads(t, rings[0]); len(got) != 1 || string(got[0]) != "too late" {
		t.Fatalf("got %q", got)
	}
	if rings, err := Inspect(path); err != nil || len(rings) != 2 {
		t.Fatalf("inspect of the data directory: %d rings, %v; want the open and the quarantined one", len(rings), err)
	}
}

func TestOpenDirectory_FinishesARemovalThatACrashCutShort(t *testing.T) {
	path := t.TempDir()
	dir, err := OpenDirectory(path, OSDisk{})
	if err != nil {
		t.Fatal(err)
	}
	abandon(t, dir, path, testIdentity, "counts")
	left := dir.ringPath(testIdentity) + removedSuffix
	if err := os.Rename(dir.ringPath(testIdentity), left); err != nil {
		t.Fatal(err)
	}
	if rings, err := dir.Recover(); err != nil || len(rings) != 0 {
		t.Fatalf("recover: %+v, %v", rings, err)
	}
	dir.Close()
	if dir, err = OpenDirectory(path, OSDisk{}); err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("%s: %v, want it gone", left, err)
	}
}
