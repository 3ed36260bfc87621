package objectstore

import (
	"path/filepath"
	"strings"
	"testing"
)

// FuzzCheckKey looks for a key that passes and, as a path, leaves its directory or is not what it looks like.
func FuzzCheckKey(f *testing.F) {
	for _, key := range []string{"control/0000000000000000", "journal/a7/0123/0", "a..b/-", "../x", "a/./b", "/a", "a//b", ".odradek.lock"} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		if CheckKey(key) != nil {
			return
		}
		path := filepath.Join("/root", key)
		if path != "/root/"+key || !filepath.IsLocal(key) || strings.Contains(path, "/.") {
			t.Errorf("key %q passes and is the path %q", key, path)
		}
		if CheckPrefix(key) != nil || CheckPrefix(key[:len(key)/2]) != nil && key[:len(key)/2] != "" {
			t.Errorf("key %q passes, it or its first half as a prefix does not", key)
		}
	})
}

// FuzzRange looks for a range that passes and does not lie inside the object.
func FuzzRange(f *testing.F) {
	f.Add(int64(10), int64(-3), int64(0))
	f.Add(int64(10), int64(3), int64(7))
	f.Add(int64(0), int64(-1), int64(0))
	f.Add(int64(10), int64(9), int64(1<<62))
	f.Fuzz(func(t *testing.T, size, offset, length int64) {
		if size < 0 {
			return
		}
		from, to, err := Range(size, offset, length)
		if err != nil {
			return
		}
		if from < 0 || from > to || to > size || offset >= 0 && (from != offset || to != min(size, offset+min(length, size))) {
			t.Errorf("range %d+%d of %d bytes gives [%d, %d)", offset, length, size, from, to)
		}
		if _, err := RangeHeader(offset, length); err != nil {
			t.Errorf("range %d+%d passes, its header does not: %v", offset, length, err)
		}
	})
}
