package segment

import (
	"fmt"
	"syscall"
	"testing"

	"github.com/odradek/odradek/topic"
)

// cpuSeconds is what this process has used so far.
func cpuSeconds(b *testing.B) float64 {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// perGiB runs fn, which takes in size bytes, and reports what a GiB takes.
func perGiB(b *testing.B, size int64, fn func()) {
	b.Helper()
	b.ReportAllocs()
	b.SetBytes(size)
	before, n := cpuSeconds(b), 0
	for b.Loop() {
		fn()
		n++
	}
	b.ReportMetric((cpuSeconds(b)-before)/(float64(size)*float64(n))*(1<<30), "CPU-s/GiB")
}

// BenchmarkObjectWriter makes objects of JSON lines in batches of 16 KiB, as they come out of slots; "pack alone" only
// compresses them, in blocks of the same size.
func BenchmarkObjectWriter(b *testing.B) {
	for _, c := range []struct {
		name       string
		partitions int
		packed     bool
		codec      Codec
	}{
		{"32MiB-1p-json-zstd", 1, false, Zstd},
		{"32MiB-100p-json-zstd", 100, false, Zstd},
		{"32MiB-100p-json-s2", 100, false, S2},
		{"32MiB-100p-json-none", 100, false, None},
		{"32MiB-100p-packed", 100, true, Zstd},
	} {
		runs, size := benchRuns(32<<20, 16<<10, c.partitions, c.packed)
		b.Run(c.name, func(b *testing.B) {
			var stored int64
			perGiB(b, size, func() { stored = writeBench(b, runs, c.codec) })
			b.ReportMetric(float64(stored)/float64(size), "ratio")
		})
	}
	for _, codec := range []Codec{Zstd, S2} {
		b.Run("32MiB-"+codec.String()+"-pack-alone", func(b *testing.B) {
			runs, size := benchRuns(32<<20, 16<<10, 1, false)
			var raw []byte
			for _, batch := range runs[0].Batches {
				raw = append(raw, batch...)
			}
			var memory arena
			perGiB(b, size, func() {
				for at := 0; at < len(raw); at += packedBlockRaw {
					codec.pack(memory.room(2*packedBlockRaw), raw[at:min(len(raw), at+packedBlockRaw)])
				}
			})
		})
	}
}

func writeBench(b *testing.B, runs []Run, codec Codec) int64 {
	w := NewObjectWriter(topic.Object{}, func([]byte) error { return nil }, codec)
	for _, r := range runs {
		if err := w.Begin(r.Partition, r.Base, 1); err != nil {
			b.Fatal(err)
		}
		for _, batch := range r.Batches {
			if err := w.Append(batch); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := w.End(r.Next); err != nil {
			b.Fatal(err)
		}
	}
	size, err := w.Close()
	if err != nil {
		b.Fatal(err)
	}
	return size
}

// BenchmarkReadRun reads a run as a consumer that catches up does.
func BenchmarkReadRun(b *testing.B) {
	for _, codec := range codecs {
		b.Run("32MiB-"+codec.String(), func(b *testing.B) {
			runs, size := benchRuns(32<<20, 16<<10, 1, false)
			object, out := objectOf(b, []kept{{runs[0].Partition, 0, runs[0].Next, 1, runs[0].Batches}}, codec)
			r := out[0].Run
			perGiB(b, size, func() {
				extents, err := ReadRunTable(out[0].Partition, r, object[r.Position+r.Length:][:r.Table])
				if err != nil {
					b.Fatal(err)
				}
				for _, e := range extents {
					if _, err := ReadExtent(e, object[e.Position:][:e.Length]); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}

func BenchmarkReadRunTable(b *testing.B) {
	for _, n := range []int{1, 256} {
		b.Run(fmt.Sprintf("%d-extents", n), func(b *testing.B) {
			var extents []Extent
			run := topic.Run{Next: topic.Offset(n) * 1000, Position: headerSize, MaxTimestamp: created}
			for i := range n {
				e := Extent{Base: topic.Offset(i) * 1000, Length: 300_000, RawLength: 1 << 20, CRC32C: uint32(i) * 7919, MaxTimestamp: created}
				e.Next = e.Base + 1000
				extents = append(extents, e)
				run.Length += e.Length
				run.RawLength += uint64(e.RawLength)
			}
			table := appendRunTable(nil, 0, extents)
			run.Table, run.CRC32C = uint32(len(table)), checksum(table)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ReadRunTable(part(orders, 0), run, table); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
