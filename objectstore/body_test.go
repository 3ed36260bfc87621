package objectstore

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestBody_ReaderReadsAndSeeks(t *testing.T) {
	parts := [][]byte{[]byte("ab"), nil, []byte("cde"), {}, []byte("f"), nil}
	body := NewBody(parts...)
	if body.Size != 6 || body.CRC32C != NewBody([]byte("abcdef")).CRC32C {
		t.Fatalf("body of abcdef: %d bytes, crc32c %08x", body.Size, body.CRC32C)
	}
	if err := iotest.TestReader(body.Reader(), []byte("abcdef")); err != nil {
		t.Error(err)
	}
	r := body.Reader()
	for _, at := range []int64{6, 0, 3, 5, 1, 2} {
		if got, err := r.Seek(at, io.SeekStart); got != at || err != nil {
			t.Fatalf("seek to %d: %d, %v", at, got, err)
		}
		if rest, err := io.ReadAll(r); err != nil || string(rest) != "abcdef"[at:] {
			t.Errorf("from %d: %q, %v", at, rest, err)
		}
	}
	for _, at := range []int64{-1, 7} {
		if _, err := r.Seek(at, io.SeekStart); err == nil {
			t.Errorf("seek to %d of 6 bytes passed", at)
		}
	}
}

func TestBody_CheckFindsChangedBytes(t *testing.T) {
	part := []byte("abc")
	body := NewBody(part)
	if err := body.Check(); err != nil {
		t.Fatal(err)
	}
	part[0]++
	if err := body.Check(); err == nil {
		t.Error("changed bytes passed the check")
	}
	if err := (Body{Parts: [][]byte{nil}, Size: 1}).Check(); err == nil {
		t.Error("a lying size passed the check")
	}
}

func TestReadBody_LyingLengths(t *testing.T) {
	tests := []struct {
		body string
		size int64
		want error
		ok   bool
	}{
		{"abc", 3, nil, true},
		{"", 0, nil, true},
		{"abc", -1, nil, true}, // length unknown
		{"ab", 3, io.ErrUnexpectedEOF, false},
		{"", 3, io.ErrUnexpectedEOF, false},
		{"abcd", 3, nil, false},
	}
	for _, test := range tests {
		got, err := ReadBody(strings.NewReader(test.body), test.size)
		if test.ok && (err != nil || string(got) != test.body) || !test.ok && err == nil || test.want != nil && !errors.Is(err, test.want) {
			t.Errorf("%q promised as %d bytes: %q, %v", test.body, test.size, got, err)
		}
	}
}

func TestReadBody_HugePromiseTakesNoMemory(t *testing.T) {
	got, err := ReadBody(bytes.NewReader([]byte("abc")), 1<<50)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("3 bytes promised as a pebibyte: %d bytes, %v; want ErrUnexpectedEOF", len(got), err)
	}
}
