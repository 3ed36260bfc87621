package objectstoretest

import (
	"bytes"
	"errors"
	"testing"

	"github.com/odradek/odradek/objectstore"
)

func create(t *testing.T, s objectstore.Store, key string, body objectstore.Body) {
	t.Helper()
	if err := s.Create(t.Context(), key, body); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, s objectstore.Store, key string) []byte {
	t.Helper()
	data, err := s.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func remove(t *testing.T, s objectstore.Store, key string) {
	t.Helper()
	if err := s.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
}

func list(t *testing.T, s objectstore.Store, prefix string) []string {
	t.Helper()
	var keys []string
	err := s.List(t.Context(), prefix, func(info objectstore.Info) error {
		keys = append(keys, info.Key)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func wantObject(t *testing.T, s objectstore.Store, key string, want []byte) {
	t.Helper()
	if got := get(t, s, key); !bytes.Equal(got, want) {
		t.Fatalf("%s holds %d bytes %.40q, want %d bytes %.40q", key, len(got), got, len(want), want)
	}
	info, err := s.Head(t.Context(), key)
	if err != nil || info.Size != int64(len(want)) || info.Key != key {
		t.Fatalf("head %s: %+v, %v; want %d bytes", key, info, err, len(want))
	}
}

func wantAbsent(t *testing.T, s objectstore.Store, key string) {
	t.Helper()
	if _, err := s.Get(t.Context(), key); !errors.Is(err, objectstore.ErrNotFound) {
		t.Fatalf("get %s: %v, want ErrNotFound", key, err)
	}
	if _, err := s.Head(t.Context(), key); !errors.Is(err, objectstore.ErrNotFound) {
		t.Fatalf("head %s: %v, want ErrNotFound", key, err)
	}
}

// pattern makes n bytes in which a shifted or swapped part shows.
func pattern(n int) []byte {
	b := make([]byte, n)
	x := uint32(2463534242)
	for i := range b {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = byte(x)
	}
	return b
}
