package wal

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files")

// goldenFile is a file of three entries that begins a ring.
func goldenFile() (file []byte, mark []byte) {
	id := Identity{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	file = fileHead{identity: id, fileBytes: minFileBytes, madeMs: 1_700_000_000_000}.encode()
	b := newBatch(id.seed())
	b.reset(fileHeaderBytes)
	previous := Position(0)
	for _, parts := range [][][]byte{{[]byte("first")}, {}, {[]byte("third "), []byte("entry")}} {
		e := entry{parts: parts, length: len(slices.Concat(parts...)), start: b.end, previous: previous}
		if previous == 0 {
			b.add(e, 0, 0)
		} else {
			b.add(e, fileHeaderBytes, previous)
		}
		previous = b.end
	}
	return append(file, slices.Concat(b.vectors()...)...), encodeMark(id, fileHeaderBytes)
}

func TestFormat_GoldenFileOfVersion1(t *testing.T) {
	file, mark := goldenFile()
	for name, got := range map[string][]byte{"v1.wal": file, "v1.marks": mark} {
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(path, got, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: version 1 is written differently now", name)
		}
	}
}

// FuzzRecover recovers a ring of two arbitrary files. Whatever they hold, what comes back is in order and whole.
func FuzzRecover(f *testing.F) {
	file, mark := goldenFile()
	f.Add(file, []byte{}, mark)
	f.Add(file, file, mark)
	cut := slices.Clone(file)
	cut[fileHeaderBytes+60] ^= 1
	f.Add(file, cut, []byte{})
	f.Fuzz(func(t *testing.T, a, b, marks []byte) {
		id := Identity{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
		r := recoverFiles(id, [][]byte{a, b}, highestMark(marks, id))
		at := r.First
		for e, err := range r.Entries() {
			if err != nil {
				t.Fatal(err)
			}
			if e.End <= at || e.End > r.Next || e.Offset+entrySize(len(e.Payload)) > int64(max(len(a), len(b))) {
				t.Fatalf("entry [%d, %d) of %d bytes after %d, within [%d, %d)", e.Start, e.End, len(e.Payload), at, r.First, r.Next)
			}
			at = e.End
		}
		if at != r.Next {
			t.Fatalf("entries end at %d, want %d", at, r.Next)
		}
	})
}
