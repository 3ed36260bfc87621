package local

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/odradek/odradek/objectstore"
)

func TestOpenToRead_TouchesNothing(t *testing.T) {
	dir := t.TempDir()
	if _, err := OpenToRead(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a directory that is not there: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("bytes"), 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := OpenToRead(dir)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := s.Get(t.Context(), "a"); err != nil || string(b) != "bytes" {
		t.Errorf("got %q, %v", b, err)
	}
	if err := s.Create(t.Context(), "b", objectstore.NewBody([]byte("x"))); !errors.Is(err, errReads) {
		t.Errorf("create: %v", err)
	}
	if err := s.Delete(t.Context(), "a"); !errors.Is(err, errReads) {
		t.Errorf("delete: %v", err)
	}
	var names []string
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if diff := cmp.Diff([]string{"a"}, names); diff != "" {
		t.Errorf("the directory: %s", diff)
	}
}
