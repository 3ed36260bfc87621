package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/odradek/odradek/objectstore"
)

// List implements objectstore.Store. It reads one directory at a time into memory.
func (s *Store) List(ctx context.Context, prefix string, fn func(objectstore.Info) error) error {
	if err := objectstore.CheckPrefix(prefix); err != nil {
		return err
	}
	below := prefix[:strings.LastIndexByte(prefix, '/')+1] // the directory that holds all of prefix, "" or "a/b/"
	return s.listDir(ctx, below, prefix, fn)
}

// listDir calls fn for the objects below the directory dir ("" or ending in a slash) that start with prefix.
func (s *Store) listDir(ctx context.Context, dir, prefix string, fn func(objectstore.Info) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("list %s: %w", prefix, err)
	}
	entries, err := os.ReadDir(s.path(dir))
	if absent(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list %s: %w", prefix, err)
	}
	// As keys a directory's entries sort with their slash: "a-b" comes before "a/b".
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(keyOf(a), keyOf(b)) })
	for _, e := range entries {
		key := dir + keyOf(e)
		switch {
		case strings.HasPrefix(e.Name(), "."):
		case e.IsDir() && (strings.HasPrefix(key, prefix) || strings.HasPrefix(prefix, key)):
			err = s.listDir(ctx, key, prefix, fn)
		case e.Type().IsRegular() && strings.HasPrefix(key, prefix):
			err = listFile(e, key, fn)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func listFile(e fs.DirEntry, key string, fn func(objectstore.Info) error) error {
	info, err := e.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list %s: %w", filepath.ToSlash(key), err)
	}
	return fn(objectstore.Info{Key: key, Size: info.Size(), Modified: info.ModTime()})
}

func keyOf(e fs.DirEntry) string {
	if e.IsDir() {
		return e.Name() + "/"
	}
	return e.Name()
}
