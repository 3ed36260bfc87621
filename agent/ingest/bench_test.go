package ingest

import (
	"bytes"
	"fmt"
	"testing"
	"time"
)

// BenchmarkAppend measures a batch's way from admission to its ack, alone in its slot, in a bucket in memory: what is allocated
// says what the path costs beside bytes.
func BenchmarkAppend(b *testing.B) {
	for _, acks := range []Acks{AcksAll, AcksOne} {
		b.Run(fmt.Sprintf("acks=%d", acks), func(b *testing.B) {
			j := start(b, setup{wal: true, interval: 5 * time.Millisecond})
			sent := batch("v")
			b.ReportAllocs()
			for b.Loop() {
				p := j.Append(b.Context(), acks, []PartitionBatch{{Partition: orders, Records: bytes.Clone(sent)}})[0]
				if err := j.Flush(b.Context()); err != nil {
					b.Fatal(err)
				}
				if _, err := p.Wait(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
