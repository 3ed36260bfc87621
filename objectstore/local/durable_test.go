package local

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/odradek/odradek/objectstore"
)

func TestExplain_SaysWhatToDo(t *testing.T) {
	tests := []struct {
		err  error
		want string
	}{
		{syscall.ENOSPC, "the disk is full"},
		{syscall.EDQUOT, "the disk is full"},
		{syscall.EROFS, "read-only"},
		{syscall.ENOTSUP, "hard links"},
	}
	for _, test := range tests {
		err := explain(&os.PathError{Op: "write", Path: "/bucket/x", Err: test.err})
		if !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "/bucket/x") || !errors.Is(err, test.err) {
			t.Errorf("%v is told as %q, want %q and the path", test.err, err, test.want)
		}
	}
}

// After a failed fsync the kernel may have dropped what it held: the next one would succeed and mean nothing.
func TestFail_StoreStopsAfterAFailedFsync(t *testing.T) {
	s := openDir(t)
	body := objectstore.NewBody([]byte("x"))
	for _, passing := range []error{&syncError{syscall.ENOSPC}, syscall.EIO, os.ErrNotExist} {
		s.fail(passing)
		if err := s.Create(t.Context(), "k"+strings.Repeat("k", s.count(t)), body); err != nil {
			t.Fatalf("create after %v, which loses nothing: %v", passing, err)
		}
	}
	s.fail(&syncError{&os.PathError{Op: "sync", Path: s.dir, Err: syscall.EIO}})
	if err := s.Create(t.Context(), "new", body); !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), "restart") {
		t.Errorf("create after a failed fsync: %v, want an error that names it", err)
	}
	if _, err := s.Get(t.Context(), "k"); !errors.Is(err, syscall.EIO) || errors.Is(err, objectstore.ErrNotFound) {
		t.Errorf("get after a failed fsync: %v", err)
	}
}

// A reader fsyncs the name of an object that another process made just now, and does so once.
func TestSettle_NameOfAnotherProcessIsMadeDurable(t *testing.T) {
	s := openDir(t)
	dir := filepath.Join(s.dir, "control")
	if err := os.Mkdir(dir, dirMode); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "0"), []byte("x"), fileMode); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, "0"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), "control/0"); err != nil {
		t.Fatal(err)
	}
	if !s.names.isLinked(dir) || s.names.synced[dir].Before(changeTime(info)) {
		t.Errorf("after a read the name counts as durable since %v, the object is of %v", s.names.synced[dir], changeTime(info))
	}
	later := changeTime(info).Add(time.Second)
	s.names.note(dir, later, nil)
	if !s.names.covers(dir, changeTime(info)) || s.names.covers(dir, later) {
		t.Error("an fsync must cover what was linked before it began, and nothing else")
	}
}

func TestNames_MemoryIsBounded(t *testing.T) {
	var d durableNames
	d.init()
	for range 3 * maxNames {
		dir := filepath.Join("/x", time.Duration(len(d.synced)).String(), time.Duration(len(d.linked)).String())
		d.note(dir, time.Unix(1, 0), []string{dir})
		if len(d.synced) > maxNames || len(d.linked) > maxNames {
			t.Fatalf("remembers %d and %d directories, want at most %d", len(d.synced), len(d.linked), maxNames)
		}
	}
}

func openDir(t *testing.T) *Store {
	t.Helper()
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *Store) count(t *testing.T) int {
	t.Helper()
	n := 0
	if err := s.List(t.Context(), "", func(objectstore.Info) error { n++; return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}
