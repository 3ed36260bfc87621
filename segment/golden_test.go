package segment

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/odradek/odradek/recordbatch"
)

var update = flag.Bool("update", false, "write the golden files anew; only for a new format version")

// goldenRuns are what the golden files hold: plain and packed batches, and one that is split over two blocks.
func goldenRuns() []Run {
	wide := recordbatch.Build(recordbatch.Draft{Base: 9, Epoch: 1, Records: []recordbatch.Record{
		{Timestamp: created, Value: bytes.Repeat([]byte("split "), 22<<10)},
	}})
	return []Run{
		runOf(part(orders, 0), 3, batchOf(3, 100, 20, false), batchOf(3, 120, 5, true), batchOf(3, 125, 1, false)),
		runOf(part(clicks, 2), 1, batchOf(1, 1<<40, 3, true)),
		runOf(part(clicks, 3), 1, wide),
	}
}

func goldenFooter() Footer {
	f := fullFooter()
	f.Producers = f.Producers[:2]
	return f
}

func goldenFile(codec Codec) string { return filepath.Join("testdata", "v1-"+codec.String()+".bin") }

// A payload written by any release must be read by all later ones, byte for byte.
func TestGolden_VersionOneIsReadForEver(t *testing.T) {
	for _, codec := range codecs {
		t.Run(codec.String(), func(t *testing.T) {
			built := mustBuild(t, goldenFooter(), goldenRuns(), codec)
			if *update {
				if err := os.WriteFile(goldenFile(codec), payloadOf(built), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			payload, err := os.ReadFile(goldenFile(codec))
			if err != nil {
				t.Fatal(err)
			}
			f, err := Verify(payload)
			if err != nil {
				t.Fatal(err)
			}
			for i, run := range goldenRuns() {
				e := f.Extents[i]
				raw, err := ReadExtent(e, payload[e.Position:e.Position+e.Length])
				if err != nil || !bytes.Equal(raw, bytes.Join(run.Batches, nil)) {
					t.Errorf("extent %d differs, %v", i, err)
				}
			}
			want := built.Footer
			if codec != None {
				// A newer compressor may pack better; where the packed bytes are is no promise.
				for i := range want.Extents {
					w, g := &want.Extents[i], f.Extents[i]
					w.Position, w.Length, w.CRC32C = g.Position, g.Length, g.CRC32C
				}
			} else if !bytes.Equal(payload, payloadOf(built)) {
				t.Error("the same runs make another payload")
			}
			if diff := cmp.Diff(want, f); diff != "" {
				t.Errorf("footer: %s", diff)
			}
		})
	}
}

// seedGoldens gives the fuzzer a part of each golden payload.
func seedGoldens(f *testing.F, cut func(payload []byte, footer Footer) [][]byte) {
	for _, codec := range codecs {
		payload, err := os.ReadFile(goldenFile(codec))
		if err != nil {
			f.Fatal(err)
		}
		footer, err := ReadFooter(payload, int64(len(payload)))
		if err != nil {
			f.Fatal(err)
		}
		for _, b := range cut(payload, footer) {
			f.Add(b)
		}
	}
}

func FuzzReadFooter(f *testing.F) {
	seedGoldens(f, func(payload []byte, _ Footer) [][]byte {
		body, err := openTail(payload, int64(len(payload)), tailMagic, MaxPayload)
		if err != nil {
			f.Fatal(err)
		}
		return [][]byte{body, payload[len(payload)-len(body)-TailSize:]}
	})
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = ReadFooter(b, int64(len(b)))
		_, _ = ReadFooter(b, 1<<20)

		// The same bytes as a footer whose checksum and place are right.
		r := footerReader{b: b}
		start := int64(headerSize)
		for _, e := range r.footer().Extents {
			start += int64(e.Length)
		}
		footer, err := parseFooter(b, start)
		if err != nil {
			return
		}
		again, err := appendFooter(nil, &footer)
		if err != nil {
			t.Fatalf("read but not written: %v", err)
		}
		second, err := parseFooter(again, start)
		if err != nil {
			t.Fatalf("written but not read: %v", err)
		}
		if diff := cmp.Diff(footer, second); diff != "" {
			t.Error(diff)
		}
	})
}

func FuzzReadExtent(f *testing.F) {
	seedGoldens(f, func(payload []byte, footer Footer) (all [][]byte) {
		for _, e := range footer.Extents {
			if e.Length < 4<<10 { // large inputs only slow the fuzzer down
				all = append(all, payload[e.Position:e.Position+e.Length])
			}
		}
		return all
	})
	f.Fuzz(func(t *testing.T, stored []byte) {
		e := Extent{Base: math.MinInt64, Next: math.MaxInt64, Length: uint32(len(stored))}
		_, _ = ReadExtent(e, stored)
		stored = bytes.Clone(stored)
		e = believe(e, stored)
		raw, err := ReadExtent(e, stored)
		if err == nil && len(raw) != int(e.RawLength) {
			t.Errorf("%d bytes, want %d", len(raw), e.RawLength)
		}
	})
}

// believe makes the checksums in stored and the fields of e such that only the decoders are left to refuse it.
func believe(e Extent, stored []byte) Extent {
	if len(stored) < tableHeader {
		return e
	}
	n := int(binary.BigEndian.Uint32(stored))
	size := tableHeader + n*tableEntry
	if n > len(stored)/tableEntry || size > len(stored) {
		return e
	}
	at := size
	for entry := stored[tableHeader:size]; len(entry) > 0; entry = entry[tableEntry:] {
		length, raw := binary.BigEndian.Uint32(entry[4:]), binary.BigEndian.Uint32(entry[8:])
		if uint64(at)+uint64(length) > uint64(len(stored)) {
			return e
		}
		binary.BigEndian.PutUint32(entry[12:], crc32.Checksum(stored[at:at+int(length)], castagnoli))
		at += int(length)
		e.RawLength += raw
	}
	e.CRC32C = crc32.Checksum(stored[:size], castagnoli)
	return e
}

func TestReadFooter_LyingCountsDoNotAllocate(t *testing.T) {
	head := binary.AppendVarint(append(make([]byte, 16), 0), created) // journal, slot, created
	huge := []byte{0xff, 0xff, 0xff, 0xff, 0x0f}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for zeros := range 5 { // lists that are empty before the lying one
		_, err := parseFooter(append(append(bytes.Clone(head), make([]byte, zeros)...), huge...), headerSize)
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("list %d: %v", zeros, err)
		}
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
		t.Errorf("%d bytes allocated for lists that are not there", used)
	}
}

func TestReadTable_LyingTablesAreRefused(t *testing.T) {
	good := []Block{{Stored: 100, Raw: 100, First: 5}, {Codec: S2, Stored: 50, Raw: 1000, First: 8}}
	extent := func(blocks []Block) (Extent, []byte) {
		b := make([]byte, tableHeader+len(blocks)*tableEntry)
		putTable(b, blocks)
		return Extent{
			Base: 5, Next: 10, Length: uint32(len(b)) + 150, RawLength: 1100, CRC32C: crc32.Checksum(b, castagnoli),
		}, b
	}
	e, b := extent(good)
	if _, err := ReadTable(e, b); err != nil {
		t.Fatal(err)
	}
	for name, lie := range map[string]func(a, b *Block){
		"unknown codec":              func(a, b *Block) { b.Codec = 3 },
		"empty block":                func(a, b *Block) { a.Stored, a.Raw, b.Stored, b.Raw = 0, 0, 150, 1100 },
		"stored sum too low":         func(a, b *Block) { b.Stored-- },
		"stored sum too high":        func(a, b *Block) { b.Stored++ },
		"raw sum too high":           func(a, b *Block) { b.Raw++ },
		"plain block of other size":  func(a, b *Block) { a.Raw, b.Raw = 99, 1001 },
		"packed block too large":     func(a, b *Block) { b.Raw = packedBlockRaw + 1 },
		"offset before the extent":   func(a, b *Block) { a.First = 4 },
		"offset behind the extent":   func(a, b *Block) { b.First = 10 },
		"offsets that fall":          func(a, b *Block) { a.First = 9 },
		"sizes that wrap around":     func(a, b *Block) { a.Stored, b.Stored = math.MaxUint32, 151 },
		"raw sizes that wrap around": func(a, b *Block) { a.Raw, b.Raw = math.MaxUint32, 1101 },
	} {
		blocks := []Block{good[0], good[1]}
		lie(&blocks[0], &blocks[1])
		e, b := extent(blocks)
		if _, err := ReadTable(e, b); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
