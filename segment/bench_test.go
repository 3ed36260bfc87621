package segment

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/topic"
)

// benchRuns are total bytes of batches of about size bytes, dealt out to partitions.
func benchRuns(total, size, partitions int, packed bool) (runs []Run, bytes int64) {
	perPartition := max(1, total/size/partitions)
	lines := size / 110
	for p := range partitions {
		var batches [][]byte
		for i := range perPartition {
			b := batchOf(0, topic.Offset(i*lines), lines, packed)
			bytes += int64(len(b))
			batches = append(batches, b)
		}
		runs = append(runs, runOf(part(orders, int32(p)), 0, batches...))
	}
	return runs, bytes
}

func BenchmarkBuild(b *testing.B) {
	for _, c := range []struct {
		name       string
		partitions int
		packed     bool
		codec      Codec
	}{
		{"8MiB-100p-packed", 100, true, S2},
		{"8MiB-1p-packed", 1, true, S2},
		{"8MiB-100p-json-none", 100, false, None},
		{"8MiB-100p-json-s2", 100, false, S2},
		{"8MiB-100p-json-zstd", 100, false, Zstd},
	} {
		b.Run(c.name, func(b *testing.B) {
			runs, size := benchRuns(8<<20, 16<<10, c.partitions, c.packed)
			b.ReportAllocs()
			b.SetBytes(size)
			var stored int64
			for b.Loop() {
				o, err := Build(Footer{CreatedMs: created}, runs, c.codec)
				if err != nil {
					b.Fatal(err)
				}
				stored = o.Size
				o.Release()
			}
			b.ReportMetric(float64(stored)/float64(size), "ratio")
		})
	}
}

func BenchmarkReadExtent(b *testing.B) {
	for _, codec := range codecs {
		b.Run("1MiB-"+codec.String(), func(b *testing.B) {
			runs, size := benchRuns(1<<20, 16<<10, 1, false)
			payload := payloadOf(mustBuild(b, Footer{}, runs, codec))
			f, err := ReadFooter(payload, int64(len(payload)))
			if err != nil {
				b.Fatal(err)
			}
			e := f.Extents[0]
			b.ReportAllocs()
			b.SetBytes(size)
			for b.Loop() {
				if _, err := ReadExtent(e, payload[e.Position:e.Position+e.Length]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkReadFooter(b *testing.B) {
	for _, partitions := range []int{1, 100, 2000} {
		b.Run(fmt.Sprintf("%dp", partitions), func(b *testing.B) {
			runs, _ := benchRuns(1, 1<<10, partitions, true)
			payload := payloadOf(mustBuild(b, Footer{CreatedMs: created}, runs, None))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ReadFooter(payload, int64(len(payload))); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkAddBatchCRC shows from which size on joining checksums is cheaper than computing them.
func BenchmarkAddBatchCRC(b *testing.B) {
	for _, size := range []int{1 << 10, 4 << 10, 8 << 10, 16 << 10, 64 << 10} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			batch := recordbatch.Build(recordbatch.Draft{Records: []recordbatch.Record{{Value: bytes.Repeat([]byte("x"), size)}}})
			info, err := recordbatch.Check(batch)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(batch)))
			for b.Loop() {
				addBatchCRC(1, batch, info)
			}
		})
	}
}
