package recordbatch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/odradek/odradek/topic"
)

// threeRecords is a batch of three records at offset 100, the second without key and with headers.
func threeRecords() Draft {
	return Draft{
		Base: 100, Epoch: 7, Producer: &Producer{ID: 9, Epoch: 2, Sequence: 40},
		Records: []Record{
			{Timestamp: 1000, Key: []byte("k"), Value: []byte("first")},
			{Timestamp: 1005, Value: []byte{}, Headers: []Header{{Key: "h", Value: []byte("v")}, {Key: "null"}}},
			{Timestamp: 998, Key: []byte{}, Value: nil},
		},
	}
}

// plain gives n batches of size bytes or a little more in a row, with offsets from 0 on.
func plain(n, size int) []byte {
	var all []byte
	for i := range n {
		all = append(all, Build(Draft{Base: topic.Offset(i), Records: []Record{{Value: bytes.Repeat([]byte{'v'}, size)}}})...)
	}
	return all
}

func collect(t *testing.T, batch []byte) []Record {
	t.Helper()
	var all []Record
	for r, err := range Records(batch, 1<<20) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

func TestCheck_TellsWhatBuildWrote(t *testing.T) {
	b := Build(threeRecords())
	info, err := Check(b)
	if err != nil {
		t.Fatal(err)
	}
	want := Info{
		BaseOffset: 100, Size: len(b), LeaderEpoch: 7, CRC: binary.BigEndian.Uint32(b[atCRC:]), LastOffsetDelta: 2, Count: 3,
		BaseTimestamp: 1000, MaxTimestamp: 1005, ProducerID: 9, ProducerEpoch: 2, BaseSequence: 40,
	}
	if diff := cmp.Diff(want, info); diff != "" {
		t.Error(diff)
	}
	if info.Next() != 103 || info.LastSequence() != 42 || !info.HasProducer() || info.Codec() != None {
		t.Errorf("next %d, last sequence %d, producer %t, codec %s", info.Next(), info.LastSequence(), info.HasProducer(), info.Codec())
	}
}

func TestCheck_AnyFlippedBitIsSeen(t *testing.T) {
	whole := Build(threeRecords())
	want, err := Read(whole)
	if err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		for bit := range 8 {
			b := bytes.Clone(whole)
			b[i] ^= 1 << bit
			info, err := Check(b)
			patchable := i < atLength || (i >= atLeaderEpoch && i < atMagic)
			if patchable && err != nil {
				t.Errorf("byte %d bit %d: %v, but the broker may write it", i, bit, err)
			}
			if !patchable && err == nil {
				t.Errorf("byte %d bit %d: accepted as %+v, was %+v", i, bit, info, want)
			}
		}
	}
}

func TestCheck_EveryTruncationIsSeen(t *testing.T) {
	whole := Build(threeRecords())
	for n := range whole {
		if _, err := Check(whole[:n]); !errors.Is(err, ErrTruncated) {
			t.Errorf("%d of %d bytes: %v", n, len(whole), err)
		}
	}
}

func TestCheck_LyingHeaders(t *testing.T) {
	for _, c := range []struct {
		name string
		lie  func(b []byte)
		want error
	}{
		{"old format 0", func(b []byte) { b[atMagic] = 0 }, ErrMagic},
		{"old format 1", func(b []byte) { b[atMagic] = 1 }, ErrMagic},
		{"negative length", func(b []byte) { b[atLength] = 0x80 }, ErrTruncated},
		{"length shorter than a header", func(b []byte) { binary.BigEndian.PutUint32(b[atLength:], 48) }, ErrTruncated},
		{"huge length", func(b []byte) { binary.BigEndian.PutUint32(b[atLength:], math.MaxInt32) }, ErrTruncated},
		{"wrong crc", func(b []byte) { b[atCRC] ^= 1 }, ErrCRC},
		{"count too high", func(b []byte) { b[atCount+3]++; putCRC(b) }, ErrCount},
		{"no records", func(b []byte) { set32(b, atCount, 0); set32(b, atLastDelta, math.MaxUint32); putCRC(b) }, ErrCount},
		{"negative count", func(b []byte) { set32(b, atCount, 1<<31); set32(b, atLastDelta, 1<<31-1); putCRC(b) }, ErrCount},
		{"codec 5", func(b []byte) { b[atAttributes+1] = 5; putCRC(b) }, ErrAttributes},
		{"codec 7", func(b []byte) { b[atAttributes+1] = 7; putCRC(b) }, ErrAttributes},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := Build(threeRecords())
			c.lie(b)
			if _, err := Check(b); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func set32(b []byte, at int, v uint32) { binary.BigEndian.PutUint32(b[at:], v) }

func TestCheck_AllocatesNothing(t *testing.T) {
	b := Build(threeRecords())
	if n := testing.AllocsPerRun(100, func() { _, _ = Check(b) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestCheckClient_RefusesWhatOnlyBrokersWrite(t *testing.T) {
	control, unsequenced, placed, good := threeRecords(), threeRecords(), threeRecords(), threeRecords()
	control.Base, unsequenced.Base, good.Base = 0, 0, 0
	control.Control = true
	unsequenced.Producer = &Producer{ID: 4, Epoch: 0, Sequence: -1}
	for _, c := range []struct {
		draft Draft
		want  error
	}{{control, ErrControl}, {unsequenced, ErrSequence}, {placed, ErrBaseOffset}, {good, nil}} {
		info, err := Check(Build(c.draft))
		if err != nil {
			t.Fatal(err)
		}
		if err := info.CheckClient(); !errors.Is(err, c.want) {
			t.Errorf("got %v, want %v", err, c.want)
		}
	}
}

func TestEach_WalksRowsAndRefusesTheRest(t *testing.T) {
	row := plain(3, 10)
	size := len(row) / 3
	for _, c := range []struct {
		name  string
		b     []byte
		max   int
		want  error
		calls int
	}{
		{"three batches", row, size, nil, 3},
		{"nothing", nil, size, ErrTruncated, 0},
		{"half a batch behind", row[:2*size+30], size, ErrTruncated, 2},
		{"one byte behind", append(bytes.Clone(row), 0), size, ErrTruncated, 3},
		{"too large", row, size - 1, ErrTooLarge, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			calls := 0
			err := Each(c.b, c.max, func(b []byte, info Info) error {
				if len(b) != info.Size || info.BaseOffset != topic.Offset(calls) {
					t.Errorf("call %d: %d bytes, %+v", calls, len(b), info)
				}
				calls++
				return nil
			})
			if !errors.Is(err, c.want) || calls != c.calls {
				t.Errorf("%d calls, %v; want %d, %v", calls, err, c.calls, c.want)
			}
		})
	}
}

func TestPatch_KeepsTheCRC(t *testing.T) {
	b := Build(threeRecords())
	Patch(b, math.MaxInt64-10, 12)
	info, err := Check(b)
	if err != nil || info.BaseOffset != math.MaxInt64-10 || info.LeaderEpoch != 12 {
		t.Errorf("%+v, %v", info, err)
	}
}

func TestStampLogAppendTime_GivesEveryRecordTheTime(t *testing.T) {
	b := Build(threeRecords())
	StampLogAppendTime(b, 5555)
	info, err := Check(b)
	if err != nil || !info.LogAppendTime() || info.MaxTimestamp != 5555 || info.BaseTimestamp != 1000 {
		t.Errorf("%+v, %v", info, err)
	}
	for _, r := range collect(t, b) {
		if r.Timestamp != 5555 {
			t.Errorf("record at %d has timestamp %d", r.Offset, r.Timestamp)
		}
	}
}

func TestLastSequence_WrapsAround(t *testing.T) {
	i := Info{BaseSequence: math.MaxInt32 - 1, LastOffsetDelta: 3}
	if got := i.LastSequence(); got != 1 {
		t.Errorf("got %d, want 1", got)
	}
}

func TestSeek_FindsTheBatchThatHoldsTheOffset(t *testing.T) {
	row := append(Build(threeRecords()), Build(Draft{Base: 103, Records: []Record{{}, {}}})...)
	first := len(Build(threeRecords()))
	for offset, want := range map[topic.Offset]int{0: 0, 100: 0, 102: 0, 103: first, 104: first, 105: len(row)} {
		rest, err := Seek(row, offset)
		if err != nil || len(row)-len(rest) != want {
			t.Errorf("offset %d: byte %d, %v; want byte %d", offset, len(row)-len(rest), err, want)
		}
	}
	if _, err := Seek(row[:len(row)-1], 105); !errors.Is(err, ErrTruncated) {
		t.Errorf("cut row: %v", err)
	}
}

func TestFit_GivesWholeBatchesAndAtLeastOne(t *testing.T) {
	row := plain(3, 10)
	size := len(row) / 3
	for limit, want := range map[int]int{0: 1, size - 1: 1, size: 1, 2*size - 1: 1, 2 * size: 2, 3*size - 1: 2, 3 * size: 3, math.MaxInt: 3} {
		got, err := Fit(row, limit)
		if err != nil || len(got) != want*size {
			t.Errorf("limit %d: %d bytes, %v; want %d batches of %d", limit, len(got), err, want, size)
		}
	}
}

func TestFindTime_FirstRecordYoungEnough(t *testing.T) {
	row := append(Build(threeRecords()), Build(Draft{Base: 103, Records: []Record{{Timestamp: 2000}}})...)
	for _, c := range []struct {
		from      topic.Offset
		ms        int64
		want      topic.Offset
		timestamp int64
		ok        bool
	}{
		{0, 0, 100, 1000, true}, {0, 1001, 101, 1005, true}, {102, 0, 102, 998, true}, {102, 999, 103, 2000, true},
		{0, 2000, 103, 2000, true}, {0, 2001, 0, 0, false}, {104, 0, 0, 0, false},
	} {
		at, timestamp, ok, err := FindTime(row, c.from, c.ms, 1<<20)
		if err != nil || at != c.want || timestamp != c.timestamp || ok != c.ok {
			t.Errorf("from %d, ms %d: %d at %d, %t, %v", c.from, c.ms, at, timestamp, ok, err)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	for _, size := range []int{1 << 10, 64 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			batch := plain(1, size)
			b.ReportAllocs()
			b.SetBytes(int64(len(batch)))
			for b.Loop() {
				if _, err := Check(batch); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
