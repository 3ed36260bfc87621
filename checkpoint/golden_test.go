package checkpoint

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"hash/crc32"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/topic"
)

var update = flag.Bool("update", false, "write the golden files anew; only for a new format version")

// fixedShard is the shard of one partition of 65,536.
const fixedShard = 32201

func goldenHead() *Head {
	m := newModel(42)
	m.step(12)
	h, _ := m.step(20)
	h.ID, h.Control, h.Previous = control.CheckpointID{7: 8}, 1_000_000, 999_000
	h.Journals = []Journal{{topic.JournalID{1}, 1}, {topic.JournalID{1, 5}, 1 << 40}}
	h.Shards = 4
	h.Parts = []PartRef{
		{Kind: Extents, Shard: 0, Planned: 999_000, ID: PartID{1}, Size: 1000, CRC32C: 0xfedcba98, Raw: 2000, Rows: 33},
		{Kind: Extents, Shard: 0, Planned: 1_000_000, ID: PartID{2}, Size: 10, Raw: 20, Rows: 3},
		{Kind: Producers, Shard: 3, Planned: 1, ID: PartID{3}, Size: 1 << 33, CRC32C: 1, Raw: 1 << 29, Rows: 1},
	}
	return h
}

func goldenRows(k PartKind) []Row {
	m := newModel(43)
	_, news := m.step(25)
	if k == Producers {
		return news.Producers
	}
	return news.Extents
}

// golden are the bodies of version 1 before packing.
func golden() map[string][]byte {
	return map[string][]byte{
		"head": goldenHead().Body(), "extents": encodePart(Extents, goldenRows(Extents)), "producers": encodePart(Producers, goldenRows(Producers)),
	}
}

func goldenFile(name string) string { return filepath.Join("testdata", "v1-"+name+".bin") }

func kindOf(name string) kind {
	if name == "head" {
		return kindHead
	}
	return kindPart
}

// An object written by any release must be read by all later ones.
func TestGolden_VersionOneIsReadForEver(t *testing.T) {
	for name, body := range golden() {
		if *update {
			object, err := pack(kindOf(name), body)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(goldenFile(name), object, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		object, err := os.ReadFile(goldenFile(name))
		if err != nil {
			t.Fatal(err)
		}
		read, err := unpack(kindOf(name), object)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !bytes.Equal(read, body) {
			t.Errorf("%s: the same contents have another encoding than in version 1", name)
		}
		if name == "head" {
			h, err := decodeHead(read)
			if diff := cmp.Diff(goldenHead(), h); err != nil || diff != "" {
				t.Errorf("head: %v\n%s", err, diff)
			}
			continue
		}
		k, rows, err := decodePart(read)
		if diff := cmp.Diff(goldenRows(k), rows); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
}

func TestUnpack_WhatANewerBuildWroteIsNamed(t *testing.T) {
	object, err := pack(kindHead, []byte("body"))
	if err != nil {
		t.Fatal(err)
	}
	object[8] = Version + 1
	if _, err := unpack(kindHead, seal(object)); !errors.Is(err, ErrVersion) {
		t.Errorf("got %v, want ErrVersion", err)
	}
}

func TestPack_WhatShrinksTooMuchIsStoredAsItIs(t *testing.T) {
	for _, body := range [][]byte{{}, {1}, bytes.Repeat([]byte{0}, 1<<20), bytes.Repeat([]byte("0123456789abcdef"), 9)} {
		object, err := pack(kindPart, body)
		if err != nil {
			t.Fatal(err)
		}
		if read, err := unpack(kindPart, object); err != nil || !bytes.Equal(read, body) {
			t.Errorf("%d bytes are read as %d: %v", len(body), len(read), err)
		}
	}
}

// seal makes the checksum of an object fit.
func seal(object []byte) []byte {
	if len(object) >= headerSize+crcSize {
		end := len(object) - crcSize
		binary.BigEndian.PutUint64(object[16:], uint64(len(object)))
		binary.BigEndian.PutUint32(object[end:], crc32.Checksum(object[:end], castagnoli))
	}
	return object
}

// No bytes make a reader panic, or take memory beyond what is in proportion to them.
func FuzzObject(f *testing.F) {
	for name := range golden() {
		object, err := os.ReadFile(goldenFile(name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(object)
		f.Add(object[:len(object)/2])
	}
	f.Fuzz(func(t *testing.T, object []byte) {
		object = seal(bytes.Clone(object))
		for _, k := range []kind{kindHead, kindPart} {
			body, err := unpack(k, object)
			if err != nil {
				continue
			}
			if len(body) > mostRatio*len(object) {
				t.Fatalf("%d bytes unpack to %d", len(object), len(body))
			}
			checkBody(t, k, body)
		}
	})
}

func FuzzHead(f *testing.F) {
	f.Add(goldenHead().Body())
	f.Fuzz(func(t *testing.T, body []byte) { checkBody(t, kindHead, body) })
}

func FuzzPart(f *testing.F) {
	f.Add(encodePart(Extents, goldenRows(Extents)))
	f.Add(encodePart(Producers, goldenRows(Producers)))
	f.Fuzz(func(t *testing.T, body []byte) { checkBody(t, kindPart, body) })
}

// checkBody reads a body: what is read takes memory in proportion to it, and reads the same when it is written again.
func checkBody(t *testing.T, k kind, body []byte) {
	if k == kindHead {
		h, err := decodeHead(body)
		if err != nil {
			return
		}
		again := h.Body()
		twin, err := decodeHead(again)
		if err != nil || !bytes.Equal(twin.Body(), again) || len(again) > len(body) {
			t.Fatalf("head of %d bytes is written as %d and read again: %v", len(body), len(again), err)
		}
		return
	}
	kind, rows, err := decodePart(body)
	if err != nil {
		return
	}
	if n := countEntries(rows)*extentSize + len(rows)*producerSize; n > len(body) {
		t.Fatalf("%d bytes hold %d rows and %d extents", len(body), len(rows), countEntries(rows))
	}
	again := encodePart(kind, rows)
	_, twin, err := decodePart(again)
	if err != nil || !reflect.DeepEqual(rows, twin) {
		t.Fatalf("part of %d bytes is written as %d and read as another: %v\n%s", len(body), len(again), err, cmp.Diff(rows, twin))
	}
}
