package recordbatch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// kept writes the batch b again with the records whose numbers are given.
func kept(t *testing.T, b []byte, w Rewrite, numbers ...int) []byte {
	t.Helper()
	u, err := Unpack(b, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	keep := make(map[int]bool)
	for _, n := range numbers {
		keep[n] = true
	}
	w.Keep = func(n int) bool { return keep[n] }
	out, _ := u.AppendKept(nil, w)
	return out
}

func TestAppendKept_LeavesOutRecordsOnly(t *testing.T) {
	for name, p := range packers {
		t.Run(name, func(t *testing.T) {
			before := packed(threeRecords(), p.codec, p.pack)
			after := kept(t, before, Rewrite{}, 1, 2)
			info, err := CheckStored(after)
			if err != nil {
				t.Fatal(err)
			}
			want, err := Read(before)
			if err != nil {
				t.Fatal(err)
			}
			want.Count, want.BaseTimestamp, want.Size, want.CRC = 2, 1005, len(after), info.CRC
			if diff := cmp.Diff(want, info); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(collect(t, before)[1:], collect(t, after)); diff != "" {
				t.Error(diff)
			}
			if _, err := Check(after); !errors.Is(err, ErrCount) {
				t.Errorf("a producer may not send it: %v", err)
			}
		})
	}
}

func TestAppendKept_MaximumTimestampIsOfWhatIsKept(t *testing.T) {
	b := Build(threeRecords())
	if info, _ := Read(kept(t, b, Rewrite{}, 0)); info.MaxTimestamp != 1000 {
		t.Errorf("maximum timestamp %d", info.MaxTimestamp)
	}
	StampLogAppendTime(b, 5000)
	after := kept(t, b, Rewrite{}, 0)
	if info, _ := Read(after); info.MaxTimestamp != 5000 || !info.LogAppendTime() {
		t.Errorf("the broker's time: %+v", info)
	}
	if r := collect(t, after); r[0].Timestamp != 5000 {
		t.Errorf("record at %d", r[0].Timestamp)
	}
}

func TestAppendKept_DeleteHorizonStays(t *testing.T) {
	before := Build(threeRecords())
	if info, _ := Read(before); info.Attributes&bitDeleteHorizon != 0 {
		t.Fatal("a producer's batch has a delete horizon")
	}
	marked := kept(t, before, Rewrite{Delete: true, Horizon: 77_000}, 0, 1, 2)
	again := kept(t, marked, Rewrite{}, 2)
	for _, b := range [][]byte{marked, again} {
		info, err := CheckStored(b)
		if err != nil {
			t.Fatal(err)
		}
		if ms, ok := info.DeleteHorizon(); !ok || ms != 77_000 {
			t.Errorf("delete horizon %d, %t", ms, ok)
		}
	}
	if diff := cmp.Diff(collect(t, before), collect(t, marked)); diff != "" {
		t.Errorf("timestamps are counted from the horizon: %s", diff)
	}
	if diff := cmp.Diff(collect(t, before)[2:], collect(t, again)); diff != "" {
		t.Error(diff)
	}
}

func TestAppendEmpty_KeepsOffsetsAndProducer(t *testing.T) {
	before := packed(threeRecords(), Zstd, packers["zstd"].pack)
	after := AppendEmpty([]byte("x"), before)[1:]
	info, err := CheckStored(after)
	if err != nil {
		t.Fatal(err)
	}
	want, _ := Read(before)
	want.Size, want.Count, want.BaseTimestamp, want.Attributes, want.CRC = HeaderSize, 0, -1, 0, info.CRC
	if diff := cmp.Diff(want, info); diff != "" {
		t.Error(diff)
	}
	if info.Next() != 103 || info.LastSequence() != 42 || len(collect(t, after)) != 0 {
		t.Errorf("next %d, last sequence %d, %d records", info.Next(), info.LastSequence(), len(collect(t, after)))
	}
	if rest, err := Seek(append(bytes.Clone(after), before...), 102); err != nil || len(rest) != len(after)+len(before) {
		t.Errorf("seeking its last offset: %d bytes, %v", len(rest), err)
	}
}

func TestCheckStored_LyingHeaders(t *testing.T) {
	for _, c := range []struct {
		name string
		lie  func(b []byte)
		want error
	}{
		{"fewer records than offsets", func(b []byte) { set32(b, atCount, 1) }, nil},
		{"more records than offsets", func(b []byte) { set32(b, atCount, 4) }, ErrCount},
		{"negative count", func(b []byte) { set32(b, atCount, 1<<31) }, ErrCount},
		{"negative last offset delta", func(b []byte) { set32(b, atLastDelta, math.MaxUint32) }, ErrCount},
		{"bytes without a record", func(b []byte) { set32(b, atCount, 0) }, ErrCount},
		{"codec 5", func(b []byte) { b[atAttributes+1] = 5 }, ErrAttributes},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := Build(threeRecords())
			c.lie(b)
			putCRC(b)
			if _, err := CheckStored(b); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			b[HeaderSize-1] ^= 1
			if _, err := CheckStored(b); !errors.Is(err, ErrCRC) {
				t.Errorf("a flipped bit: %v", err)
			}
			if _, err := CheckStored(b[:len(b)-1]); !errors.Is(err, ErrTruncated) {
				t.Errorf("cut: %v", err)
			}
		})
	}
}

func TestEachStored_WalksBatchesThatLostRecords(t *testing.T) {
	whole := Build(threeRecords())
	row := slices.Concat(whole, kept(t, whole, Rewrite{}, 2), AppendEmpty(nil, whole))
	var counts []int32
	err := EachStored(row, len(whole), func(b []byte, info Info) error {
		if len(b) != info.Size {
			t.Errorf("%d bytes of %d", len(b), info.Size)
		}
		counts = append(counts, info.Count)
		return nil
	})
	if err != nil || !slices.Equal(counts, []int32{3, 1, 0}) {
		t.Errorf("%v, %v", counts, err)
	}
	for _, c := range []struct {
		name string
		b    []byte
		size int
		want error
	}{
		{"nothing", nil, 1000, ErrTruncated},
		{"cut", row[:len(row)-1], 1000, ErrTruncated},
		{"large", row, len(whole) - 1, ErrTooLarge},
	} {
		if err := EachStored(c.b, c.size, func([]byte, Info) error { return nil }); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	if err := EachStored(row, 1000, func([]byte, Info) error { return errors.ErrUnsupported }); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("the function's own error: %v", err)
	}
}

func TestUnpack_RefusesWhatDoesNotFit(t *testing.T) {
	twice := func(delta byte) []byte { // two records without key and value; the second one's offset delta
		return []byte{2 * 6, 0, 0, 0, 1, 1, 0, 2 * 6, 0, 0, 2 * delta, 1, 1, 0}
	}
	for _, c := range []struct {
		name string
		body []byte
		want error
	}{
		{"two records", twice(1), nil},
		{"the same offset twice", twice(0), ErrRecord},
		{"an offset behind the batch", twice(2), ErrRecord},
		{"one record", twice(1)[:7], ErrRecord},
		{"bytes behind the last", append(twice(1), 0), ErrRecord},
		{"an empty record", append(twice(1)[:7], 0), ErrRecord},
		{"more than allowed", append(twice(1), make([]byte, 50)...), ErrTooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := seal(append(make([]byte, HeaderSize), c.body...), Draft{Records: make([]Record, 2)}, None, 0, 0)
			if _, err := Unpack(b, 30); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

// FuzzUnpack: what unpacks is read alike by Records, and written again with any records it reads as those.
func FuzzUnpack(f *testing.F) {
	for _, p := range packers {
		f.Add(packed(threeRecords(), p.codec, p.pack), uint64(5))
	}
	empty := AppendEmpty(nil, Build(threeRecords()))
	f.Add(bytes.Clone(empty), uint64(0))
	empty[atAttributes+1] = byte(Gzip) // nothing, packed, is not nothing
	f.Add(empty, uint64(0))
	f.Fuzz(func(t *testing.T, b []byte, keep uint64) {
		if len(b) >= HeaderSize { // let the fuzzer through the length and the CRC
			binary.BigEndian.PutUint32(b[atLength:], uint32(len(b)-lengthEnd))
			b[atMagic] = magic
			putCRC(b)
		}
		if _, err := CheckStored(b); err != nil {
			return
		}
		u, err := Unpack(b, 1<<16)
		if err != nil {
			return
		}
		keeps := func(n int) bool { return n == 0 || keep>>(n%64)&1 != 0 }
		var want []Record
		n := 0
		for r, err := range Records(b, 1<<16) {
			if err != nil {
				t.Fatalf("Unpack reads what Records does not: %v", err)
			}
			if keeps(n) {
				want = append(want, r)
			}
			n++
		}
		if u.Info.Count == 0 {
			_ = AppendEmpty(nil, b)
			return
		}
		out, _ := u.AppendKept(nil, Rewrite{Keep: keeps, Delete: keep%3 == 0, Horizon: int64(keep)})
		if _, err := CheckStored(out); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, collect(t, out)); diff != "" {
			t.Fatal(diff)
		}
		if _, err := Unpack(out, 1<<20); err != nil {
			t.Fatal(err)
		}
	})
}
