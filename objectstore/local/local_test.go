package local_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/local"
	"github.com/odradek/odradek/objectstore/objectstoretest"
)

func TestConformance(t *testing.T) {
	objectstoretest.Run(t, func(t *testing.T) objectstore.Store { return open(t, t.TempDir()) })
}

// twoDoors creates through two stores of one directory by turns, as two processes do.
type twoDoors struct {
	*local.Store
	other *local.Store
	turn  chan bool
}

func (d twoDoors) Create(ctx context.Context, key string, body objectstore.Body) error {
	turn := <-d.turn
	d.turn <- !turn
	if turn {
		return d.other.Create(ctx, key, body)
	}
	return d.Store.Create(ctx, key, body)
}

func (d twoDoors) Upload(ctx context.Context, key string) (objectstore.Upload, error) {
	turn := <-d.turn
	d.turn <- !turn
	if turn {
		return d.other.Upload(ctx, key)
	}
	return d.Store.Upload(ctx, key)
}

func (d twoDoors) Date(ctx context.Context) (time.Time, error) { return objectstore.Date(ctx, d.other) }

func TestConformance_TwoStoresOnOneDirectory(t *testing.T) {
	objectstoretest.Run(t, func(t *testing.T) objectstore.Store {
		dir := t.TempDir()
		d := twoDoors{open(t, dir), open(t, dir), make(chan bool, 1)}
		d.turn <- false
		return d
	})
}

func TestOpen_SurvivesItsFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "bucket")
	body := objectstore.NewBody([]byte("hello"))
	if err := open(t, dir).Create(t.Context(), "control/0", body); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir)
	if got, err := s.Get(t.Context(), "control/0"); err != nil || string(got) != "hello" {
		t.Errorf("after opening again: %q, %v", got, err)
	}
	if err := s.Create(t.Context(), "control/0", body); !errors.Is(err, objectstore.ErrExists) {
		t.Errorf("create after opening again: %v, want ErrExists", err)
	}
}

func TestOpen_OnAFileIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := local.Open(file); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("open of a file: %v, want an error that names it", err)
	}
}

func TestCreate_DirectoryTakenAwayIsMadeAgain(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	body := objectstore.NewBody([]byte("x"))
	if err := s.Create(t.Context(), "a/b/c", body); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), "a/b/c"); !errors.Is(err, objectstore.ErrNotFound) {
		t.Errorf("get with the bucket gone: %v, want ErrNotFound", err)
	}
	if err := s.Create(t.Context(), "a/b/c", body); err != nil {
		t.Errorf("create with the bucket gone: %v", err)
	}
}

func TestCreate_KeyBelowAnObjectIsAnError(t *testing.T) {
	s := open(t, t.TempDir())
	body := objectstore.NewBody([]byte("x"))
	if err := s.Create(t.Context(), "a", body); err != nil {
		t.Fatal(err)
	}
	if err := s.Create(t.Context(), "a/b", body); err == nil || errors.Is(err, objectstore.ErrExists) {
		t.Errorf("create below an object: %v, want an error", err)
	}
	if _, err := s.Get(t.Context(), "a/b"); !errors.Is(err, objectstore.ErrNotFound) {
		t.Errorf("get below an object: %v, want ErrNotFound", err)
	}
	if err := s.Create(t.Context(), "c/d", body); err != nil {
		t.Fatal(err)
	}
	if err := s.Create(t.Context(), "c", body); err == nil || errors.Is(err, objectstore.ErrExists) {
		t.Errorf("create on a directory: %v, want an error", err)
	}
	if _, err := s.Get(t.Context(), "c"); !errors.Is(err, objectstore.ErrNotFound) {
		t.Errorf("get of a directory: %v, want ErrNotFound", err)
	}
}

// A process that is killed between link and the removal of its temporary file, or before the link, leaves the file.
// Its id is free again or belongs to somebody else.
func TestOpen_RemovesWhatDeadProcessesLeft(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if err := s.Create(t.Context(), "k", objectstore.NewBody([]byte("x"))); err != nil {
		t.Fatal(err)
	}
	dead := deadProcess(t)
	leftover := func(name string) string { return filepath.Join(dir, ".odradek.tmp", name) }
	files := map[string]bool{ // whether it must go
		fmt.Sprintf("%d-1a2b-1", dead):        true,
		fmt.Sprintf("%d-1a2b-2", os.Getpid()): false,
		"notes.txt":                           false,
		fmt.Sprintf("%d-1a2b", dead):          false,
		fmt.Sprintf("%d-1a2b-x", dead):        false,
	}
	for name := range files {
		if err := os.WriteFile(leftover(name), []byte("half a bo"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	open(t, dir)
	for name, gone := range files {
		if _, err := os.Stat(leftover(name)); os.IsNotExist(err) != gone {
			t.Errorf("leftover %s: %v, must be gone: %t", name, err, gone)
		}
	}
	if got, err := s.Get(t.Context(), "k"); err != nil || string(got) != "x" {
		t.Errorf("the object after the cleaning: %q, %v", got, err)
	}
}

func TestCreate_LeavesNoTemporaryFile(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	bad := objectstore.NewBody([]byte("x"))
	bad.CRC32C++
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	s.Create(t.Context(), "k", objectstore.NewBody([]byte("x")))
	s.Create(t.Context(), "k", objectstore.NewBody([]byte("x")))
	s.Create(t.Context(), "l", bad)
	s.Create(cancelled, "m", objectstore.NewBody([]byte("x")))
	left, err := os.ReadDir(filepath.Join(dir, ".odradek.tmp"))
	if err != nil || len(left) != 0 {
		t.Errorf("temporary files left: %v, %v", left, err)
	}
}

func TestList_HidesTheStoresOwnFiles(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	lock, err := s.Lock()
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Unlock()
	err = s.List(t.Context(), "", func(info objectstore.Info) error {
		t.Errorf("an empty bucket lists %s", info.Key)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func open(t testing.TB, dir string) *local.Store {
	t.Helper()
	s, err := local.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// deadProcess returns the id of a process that has ended.
func deadProcess(t *testing.T) int {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid
}

func BenchmarkCreate(b *testing.B) {
	for _, size := range []int{4 << 10, 1 << 20, 8 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			s := open(b, b.TempDir())
			body := objectstore.NewBody(bytes.Repeat([]byte("o"), size))
			b.SetBytes(int64(size))
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				key := fmt.Sprintf("journal/a7/0123/%016x", n%64)
				if err := s.Create(b.Context(), key, body); err != nil {
					b.Fatal(err)
				}
				n++
				if n%64 == 0 { // keep the disk from filling
					b.StopTimer()
					for i := range 64 {
						s.Delete(b.Context(), fmt.Sprintf("journal/a7/0123/%016x", i))
					}
					b.StartTimer()
				}
			}
		})
	}
}
