package recordbatch

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/odradek/odradek/topic"
)

// packers compress a batch's records as clients do, by the name of the client's way.
var packers = map[string]struct {
	codec Codec
	pack  func(raw []byte) []byte
}{
	"none": {None, func(raw []byte) []byte { return raw }},
	"gzip": {Gzip, func(raw []byte) []byte {
		return stream(raw, func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) })
	}},
	"snappy": {Snappy, func(raw []byte) []byte { return s2.EncodeSnappy(nil, raw) }},
	"xerial": {Snappy, xerial},
	"lz4": {LZ4, func(raw []byte) []byte {
		return stream(raw, func(w io.Writer) io.WriteCloser { return lz4.NewWriter(w) })
	}},
	"zstd": {Zstd, func(raw []byte) []byte {
		e, _ := zstd.NewWriter(nil)
		return e.EncodeAll(raw, nil)
	}},
	"zstd stream": {Zstd, func(raw []byte) []byte { // without a content size, as the Java client writes it
		return stream(raw, func(w io.Writer) io.WriteCloser { e, _ := zstd.NewWriter(w); return e })
	}},
}

func stream(raw []byte, open func(io.Writer) io.WriteCloser) []byte {
	var buf bytes.Buffer
	w := open(&buf)
	_, _ = w.Write(raw)
	_ = w.Close()
	return buf.Bytes()
}

// xerial frames raw in blocks of 32 KiB, as the Java client does.
func xerial(raw []byte) []byte {
	b := append(bytes.Clone(xerialMagic), 0, 0, 0, 1, 0, 0, 0, 1)
	for len(raw) > 0 {
		n := min(len(raw), 32<<10)
		block := s2.EncodeSnappy(nil, raw[:n])
		b = binary.BigEndian.AppendUint32(b, uint32(len(block)))
		b, raw = append(b, block...), raw[n:]
	}
	return b
}

// packed is Build with compressed records.
func packed(d Draft, codec Codec, pack func([]byte) []byte) []byte {
	raw := Build(d)
	info, _ := Read(raw)
	return seal(append(make([]byte, HeaderSize), pack(raw[HeaderSize:])...), d, codec, info.BaseTimestamp, info.MaxTimestamp)
}

func TestRecords_EveryCodecGivesBackTheRecords(t *testing.T) {
	d := threeRecords()
	for range 600 {
		d.Records = append(d.Records, Record{Timestamp: 1001, Value: []byte(`{"level":"info","message":"a line like the others"}`)})
	}
	want := slices.Clone(d.Records)
	for i := range want {
		want[i].Offset = d.Base + topic.Offset(i)
	}
	for name, p := range packers {
		t.Run(name, func(t *testing.T) {
			b := packed(d, p.codec, p.pack)
			info, err := Check(b)
			if err != nil || info.Codec() != p.codec {
				t.Fatalf("codec %s, %v", info.Codec(), err)
			}
			if diff := cmp.Diff(want, collect(t, b)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDecompress_BombsAreCappedExactly(t *testing.T) {
	raw := make([]byte, 3<<20)
	for name, p := range packers {
		t.Run(name, func(t *testing.T) {
			bomb := p.pack(raw)
			if got, err := Decompress(p.codec, bomb, len(raw)); err != nil || !bytes.Equal(got, raw) {
				t.Errorf("%d bytes with the right cap, %v", len(got), err)
			}
			for _, limit := range []int{len(raw) - 1, 1 << 20, 1, 0} {
				if _, err := Decompress(p.codec, bomb, limit); !errors.Is(err, ErrTooLarge) {
					t.Errorf("cap %d: %v", limit, err)
				}
			}
		})
	}
}

func TestDecompress_CutBytesAreRefused(t *testing.T) {
	raw := bytes.Repeat([]byte("some text that packs well. "), 4000)
	for name, p := range packers {
		if p.codec == None {
			continue
		}
		t.Run(name, func(t *testing.T) {
			whole := p.pack(raw)
			for _, n := range []int{0, 1, 5, 17, len(whole) / 2, len(whole) - 1} {
				got, err := Decompress(p.codec, whole[:n], 1<<20)
				if err == nil && len(got) > 0 {
					t.Errorf("%d of %d bytes: gave %d bytes", n, len(whole), len(got))
				}
			}
		})
	}
}

func TestRecords_MalformedRecordsEndInAnError(t *testing.T) {
	for _, c := range []struct {
		name string
		body []byte
	}{
		{"nothing", nil},
		{"length beyond the end", []byte{100}},
		{"negative length", []byte{1}},
		{"fields shorter than the length", append([]byte{2 * 10}, make([]byte, 10)...)},
		{"key longer than the record", []byte{2 * 6, 0, 0, 0, 100, 0, 0}},
		{"two billion headers", []byte{2 * 10, 0, 0, 0, 1, 1, 0xfe, 0xff, 0xff, 0xff, 0x0f}},
		{"null header key", []byte{2 * 8, 0, 0, 0, 1, 1, 2, 1, 1}},
		{"bytes behind the last", []byte{2 * 6, 0, 0, 0, 1, 1, 0, 0xff}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := seal(append(make([]byte, HeaderSize), c.body...), Draft{Records: make([]Record, 1)}, None, 0, 0)
			if _, err := Check(b); err != nil {
				t.Fatalf("Check looks at no record, but says %v", err)
			}
			var last error
			for _, err := range Records(b, 1<<20) {
				last = err
			}
			if !errors.Is(last, ErrRecord) {
				t.Errorf("got %v, want %v", last, ErrRecord)
			}
		})
	}
}

func FuzzRecords(f *testing.F) {
	for _, p := range packers {
		f.Add(packed(threeRecords(), p.codec, p.pack))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= HeaderSize { // let the fuzzer through the length and the CRC
			binary.BigEndian.PutUint32(b[atLength:], uint32(len(b)-lengthEnd))
			b[atMagic] = magic
			putCRC(b)
		}
		info, err := Check(b)
		n, raw := int32(0), 0
		for r, recordErr := range Records(b, 1<<16) {
			if recordErr == nil {
				n++
				raw += len(r.Key) + len(r.Value)
			} else if err == nil && n > info.Count {
				t.Errorf("%d records of %d", n, info.Count)
			}
		}
		if raw > 1<<16+len(b) {
			t.Errorf("%d bytes of records from %d, cap %d", raw, len(b), 1<<16)
		}
	})
}

func FuzzEach(f *testing.F) {
	f.Add(plain(3, 20))
	f.Add(Build(threeRecords()))
	f.Fuzz(func(t *testing.T, b []byte) {
		total := 0
		err := Each(b, 1<<20, func(batch []byte, info Info) error {
			total += len(batch)
			_ = info.CheckClient()
			return nil
		})
		if err == nil && total != len(b) {
			t.Errorf("walked %d of %d bytes", total, len(b))
		}
		_, _ = Seek(b, 5)
		_, _ = Fit(b, 100)
		_, _, _, _ = FindTime(b, 0, 0, 1<<16)
	})
}
