package redis

import (
	"encoding/hex"
	"errors"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/topic"
)

// sampleSegment has every form that an entry can take.
func sampleSegment() metadata.Segment {
	a, b := topic.ID{0: 0xaa, 15: 1}, topic.ID{0: 0xbb, 15: 2}
	return metadata.Segment{
		Journal: topic.JournalID{9}, Slot: 300,
		Extents: []metadata.Extent{
			{Partition: topic.Partition{Topic: a, Index: 0}, Epoch: 3, Base: 1000, Next: 1010, Position: 8, Length: 200, RawLength: 400, CRC32C: 0x01020304, MaxTimestamp: 1700000000000},
			{Partition: topic.Partition{Topic: a, Index: 1}, Epoch: 0, Base: 0, Next: 1, Position: 208, Length: 70, RawLength: 70, CRC32C: 0xffffffff, MaxTimestamp: -1},
			{Partition: topic.Partition{Topic: b, Index: math.MaxInt32}, Epoch: math.MaxInt32, Base: math.MaxInt64 - 1, Next: math.MaxInt64, Position: math.MaxUint32, Length: math.MaxUint32, RawLength: math.MaxUint32, MaxTimestamp: math.MinInt64},
		},
		LogStarts: []metadata.LogStart{{Partition: topic.Partition{Topic: b, Index: 5}, Start: 77}},
	}
}

const sampleEntry = "01ac020300aa000000000000000000000000000001" + "0003e8070a08c801900304030201" + "80a0abfef962" +
	"01010000" + "01d0014646ffffffff01" +
	"00bb000000000000000000000000000002ffffffff07ffffffff07feffffffffffffff7f01ffffffff0fffffffff0fffffffff0f00000000ffffffffffffffffff01" +
	"01bb000000000000000000000000000002054d"

func TestEntry_GoldenVersion1(t *testing.T) {
	want := sampleSegment()
	if got := hex.EncodeToString(appendEntry(nil, want)); got != sampleEntry {
		t.Errorf("entry\n%s, want\n%s", got, sampleEntry)
	}
	entry, err := hex.DecodeString(sampleEntry)
	if err != nil {
		t.Fatal(err)
	}
	got, err := readEntry(want.Journal, entry)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestEntry_CutAnywhereIsRefused(t *testing.T) {
	entry := appendEntry(nil, sampleSegment())
	for n := range entry {
		if _, err := readEntry(topic.JournalID{}, entry[:n]); !errors.Is(err, metadata.ErrUnreadable) {
			t.Fatalf("%d of %d bytes: %v", n, len(entry), err)
		}
	}
	if _, err := readEntry(topic.JournalID{}, append(entry, 0)); !errors.Is(err, metadata.ErrUnreadable) {
		t.Fatal("a byte too many was accepted")
	}
}

func FuzzReadEntry(f *testing.F) {
	f.Add(appendEntry(nil, sampleSegment()))
	f.Add(appendEntry(nil, metadata.Segment{Slot: 1}))
	f.Add([]byte{entryVersion, 0, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, entry []byte) {
		s, err := readEntry(topic.JournalID{}, entry)
		if err != nil {
			return
		}
		again, err := readEntry(topic.JournalID{}, appendEntry(nil, s))
		if err != nil {
			t.Fatalf("what was read cannot be read again: %v", err)
		}
		if diff := cmp.Diff(s, again); diff != "" {
			t.Fatal(diff)
		}
	})
}
