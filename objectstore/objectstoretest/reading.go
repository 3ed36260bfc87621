package objectstoretest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/odradek/odradek/objectstore"
)

func rangeInside(t *testing.T, s objectstore.Store) {
	data := pattern(1000)
	create(t, s, "thousand", objectstore.NewBody(data))
	tests := []struct {
		offset, length int64
		want           []byte
	}{
		{0, 1, data[:1]},
		{0, 1000, data},
		{999, 1, data[999:]},
		{100, 250, data[100:350]},
		{999, 2, data[999:]},
		{0, 1001, data},
		{0, 1 << 40, data},
		{-1, 0, data[999:]},
		{-64, 0, data[936:]},
		{-64, 7, data[936:]},
		{-1000, 0, data},
		{-5000, 0, data},
	}
	for _, test := range tests {
		got, err := s.GetRange(t.Context(), "thousand", test.offset, test.length)
		if err != nil || !bytes.Equal(got, test.want) {
			t.Errorf("range %d+%d: %d bytes, %v; want %d bytes", test.offset, test.length, len(got), err, len(test.want))
		}
	}
}

func rangeOutside(t *testing.T, s objectstore.Store) {
	create(t, s, "thousand", objectstore.NewBody(pattern(1000)))
	for _, r := range [][2]int64{{1000, 1}, {1001, 1}, {1 << 40, 1}, {0, 0}, {10, -1}} {
		got, err := s.GetRange(t.Context(), "thousand", r[0], r[1])
		if !errors.Is(err, objectstore.ErrRange) {
			t.Errorf("range %d+%d of 1000 bytes: %d bytes, %v; want ErrRange", r[0], r[1], len(got), err)
		}
	}
	if _, err := s.GetRange(t.Context(), "absent", 0, 1); !errors.Is(err, objectstore.ErrNotFound) {
		t.Errorf("range of an absent object: %v, want ErrNotFound", err)
	}
	if _, err := s.GetRange(t.Context(), "absent", -8, 0); !errors.Is(err, objectstore.ErrNotFound) {
		t.Errorf("tail of an absent object: %v, want ErrNotFound", err)
	}
}

func listOrderAndPrefix(t *testing.T, s objectstore.Store) {
	keys := []string{"a-b/1", "a/2", "a/10", "a/1", "a.b", "b/x/y/z", "b/x-y", "a_c", "c0/1", "b/x/a"}
	for i, key := range keys {
		create(t, s, key, objectstore.NewBody(pattern(i)))
	}
	slices.Sort(keys)
	for _, prefix := range []string{"", "a", "a/", "a/1", "a/10", "b/x", "b/x/", "b/x/y/", "c", "nothing", "a/nothing/"} {
		var want []string
		for _, key := range keys {
			if strings.HasPrefix(key, prefix) {
				want = append(want, key)
			}
		}
		if got := list(t, s, prefix); !slices.Equal(got, want) {
			t.Errorf("list %q: %q, want %q", prefix, got, want)
		}
	}
	err := s.List(t.Context(), "b/x-y", func(info objectstore.Info) error {
		if info.Size != 6 || info.Modified.IsZero() {
			t.Errorf("listed %+v, want 6 bytes and a time", info)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// listManyPages lists more than the 1,000 keys that S3 returns at once.
func listManyPages(t *testing.T, s objectstore.Store) {
	const n = 1100
	want := make([]string, n)
	next := make(chan int)
	var creators sync.WaitGroup
	for range 8 {
		creators.Go(func() {
			for i := range next {
				if err := s.Create(t.Context(), want[i], objectstore.NewBody([]byte{byte(i)})); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range n {
		want[i] = fmt.Sprintf("control/%016x", i)
		next <- i
	}
	close(next)
	creators.Wait()
	if got := list(t, s, "control/"); !slices.Equal(got, want) {
		t.Errorf("listed %d keys, want %d in order", len(got), n)
	}
}

func listStops(t *testing.T, s objectstore.Store) {
	for _, key := range []string{"l/1", "l/2", "l/3"} {
		create(t, s, key, objectstore.NewBody([]byte("x")))
	}
	enough := errors.New("enough")
	var seen []string
	err := s.List(t.Context(), "l/", func(info objectstore.Info) error {
		seen = append(seen, info.Key)
		if len(seen) == 2 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || !slices.Equal(seen, []string{"l/1", "l/2"}) {
		t.Errorf("list that stops at the second key: saw %q, %v; want l/1 l/2 and the caller's error", seen, err)
	}
}

func keysAlphabet(t *testing.T, s objectstore.Store) {
	keys := []string{
		"0", "z-._0", "abcdefghijklmnopqrstuvwxyz0123456789._-", "a..b/c--d/e__f", "x.tmp/y", "k/0.",
		strings.Repeat("deep/", 20) + "er", strings.Repeat("l", 200) + "/" + strings.Repeat("m", 200),
	}
	for _, key := range keys {
		create(t, s, key, objectstore.NewBody([]byte(key)))
		wantObject(t, s, key, []byte(key))
	}
	slices.Sort(keys)
	if got := list(t, s, ""); !slices.Equal(got, keys) {
		t.Errorf("listed %q, want %q", got, keys)
	}
}

func keysRefused(t *testing.T, s objectstore.Store) {
	bad := []string{
		"", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/./b", ".odradek.lock", "a/.b", "A", "a b", "a+b", "a%2fb",
		"a\\b", "a\x00b", "ä", strings.Repeat("a", 201), strings.Repeat("aaaaaaa/", 64) + "a",
	}
	for _, key := range bad {
		if err := s.Create(t.Context(), key, objectstore.NewBody([]byte("x"))); err == nil || errors.Is(err, objectstore.ErrExists) {
			t.Errorf("create %q: %v, want an error", key, err)
		}
		if _, err := s.Get(t.Context(), key); err == nil || errors.Is(err, objectstore.ErrNotFound) {
			t.Errorf("get %q: %v, want an error that names the key", key, err)
		}
		if err := s.Delete(t.Context(), key); err == nil {
			t.Errorf("delete %q was accepted", key)
		}
	}
	for _, prefix := range []string{"/", "..", "a/../", "A", "a//"} {
		if err := s.List(t.Context(), prefix, func(objectstore.Info) error { return nil }); err == nil {
			t.Errorf("list %q was accepted", prefix)
		}
	}
	if got := list(t, s, ""); len(got) != 0 {
		t.Errorf("refused keys left %q", got)
	}
}
