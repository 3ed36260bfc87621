package local_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/local"
)

func TestUpload_OfADeadProcessGoesAtOpen(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	tmp := filepath.Join(dir, ".odradek.tmp")
	dead := filepath.Join(tmp, fmt.Sprintf("%d-1-1-compacted%%00%%x-y", 1<<30)) // no process has this id
	if err := os.WriteFile(dead, []byte("part"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir)
	if left, err := os.ReadDir(tmp); err != nil || len(left) != 0 {
		t.Errorf("left by the dead process after Open: %v, %v", left, err)
	}
	u, err := s.Upload(t.Context(), "compacted/00/x-y")
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Append(t.Context(), objectstore.NewBody([]byte("part"))); err != nil {
		t.Fatal(err)
	}
	open(t, dir) // this process lives
	if err := u.Complete(t.Context()); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) != 0 {
		t.Errorf("left by an upload that is through: %v, %v", left, err)
	}
}

func TestAbortStale_EndsUploadsOfOtherProcesses(t *testing.T) {
	dir := t.TempDir()
	a, b := open(t, dir), open(t, dir)
	long := strings.Repeat("l", 200) + "/" + strings.Repeat("m", 200)
	for _, key := range []string{"compacted/00/1", long} {
		u, err := a.Upload(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := b.AbortStale(t.Context(), key[:9], time.Now().Add(time.Minute)); n != 1 || err != nil {
			t.Errorf("%.20s: ended %d, %v", key, n, err)
		}
		if err := u.Append(t.Context(), objectstore.NewBody([]byte("x"))); !errors.Is(err, objectstore.ErrUploadGone) {
			t.Errorf("%.20s: append: %v, want ErrUploadGone", key, err)
		}
		if err := u.Abort(t.Context()); err != nil {
			t.Error(err)
		}
	}
	// The body of a Create has no key in its name, and is none of them.
	body := filepath.Join(dir, ".odradek.tmp", fmt.Sprintf("%d-1-1", os.Getpid()))
	if err := os.WriteFile(body, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if n, err := b.AbortStale(t.Context(), "", time.Now().Add(time.Minute)); n != 0 || err != nil {
		t.Errorf("ended %d, %v; want none", n, err)
	}
}

// A part that failed half way may have left more bytes than the parts that follow.
func TestUpload_PartThatFailedLeavesNothing(t *testing.T) {
	s := open(t, t.TempDir())
	u, err := s.Upload(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	wrong := objectstore.NewBody([]byte("much longer than the next"))
	wrong.CRC32C++
	if err := u.Append(t.Context(), wrong); err == nil {
		t.Fatal("a part with a wrong checksum was taken")
	}
	if err := u.Append(t.Context(), objectstore.NewBody([]byte("short"))); err != nil {
		t.Fatal(err)
	}
	if err := u.Complete(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Get(t.Context(), "k"); err != nil || string(got) != "short" {
		t.Errorf("the object is %q, %v", got, err)
	}
}

func TestUpload_NotIntoABucketThatIsOpenToRead(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	s, err := local.OpenToRead(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Upload(t.Context(), "k"); err == nil {
		t.Error("an upload was begun")
	}
	if _, err := s.AbortStale(t.Context(), "", time.Now()); err == nil {
		t.Error("uploads were ended")
	}
}
