package objectstore

import (
	"fmt"
	"strings"
)

// MaxKey is the longest key in bytes. S3 allows 1,024; the rest is left to a bucket's prefix.
const MaxKey = 512

// CheckKey reports whether key may name an object. A key is segments of [a-z0-9._-] joined by single slashes; no
// segment is empty, starts with a dot or is longer than 200 bytes. So a key is a valid object name in every store,
// reads the same in a URL, and as a path below a directory never leaves it or meets the store's own dot files.
// A key that is a directory of another ("a" beside "a/b") passes here, but some stores refuse it: name none so.
func CheckKey(key string) error {
	if key == "" || len(key) > MaxKey {
		return fmt.Errorf("object key of %d bytes: want 1 to %d", len(key), MaxKey)
	}
	for i := range len(key) {
		if !keyByte(key[i]) {
			return fmt.Errorf("object key %q: byte %q is not one of a-z, 0-9, '.', '_', '-', '/'", key, key[i])
		}
	}
	for segment := range strings.SplitSeq(key, "/") {
		if segment == "" || segment[0] == '.' || len(segment) > 200 {
			return fmt.Errorf("object key %q: segment %q is empty, starts with a dot or is too long", key, segment)
		}
	}
	return nil
}

// CheckPrefix reports whether prefix may be listed: the alphabet of keys, cut anywhere, or empty.
func CheckPrefix(prefix string) error {
	if len(prefix) > MaxKey {
		return fmt.Errorf("list prefix of %d bytes: want at most %d", len(prefix), MaxKey)
	}
	for i := range len(prefix) {
		if !keyByte(prefix[i]) {
			return fmt.Errorf("list prefix %q: byte %q is not one of a-z, 0-9, '.', '_', '-', '/'", prefix, prefix[i])
		}
	}
	if strings.HasPrefix(prefix, "/") || strings.HasPrefix(prefix, ".") || strings.Contains(prefix, "//") || strings.Contains(prefix, "/.") {
		return fmt.Errorf("list prefix %q: a segment is empty or starts with a dot", prefix)
	}
	return nil
}

func keyByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-' || c == '/'
}
