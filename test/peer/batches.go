package main

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/odradek/odradek/recordbatch"
)

// batches describes fetched record batches: what the producer wrote, and what the broker patched.
func (b *broker) batches(into map[string]string, path string, records []byte) {
	n := 0
	for len(records) > 0 {
		info, err := recordbatch.Read(records)
		if err != nil || info.Size > len(records) {
			into[path+".part"] = "yes" // Kafka may end in the middle of a batch
			break
		}
		at := fmt.Sprintf("%s[%d]", path, n)
		into[at] = fmt.Sprintf("[%d,%d) epoch %d attributes %d producer %t/%d/%d times %s %s body %08x", info.BaseOffset, info.Next(),
			info.LeaderEpoch, info.Attributes, info.HasProducer(), info.ProducerEpoch, info.BaseSequence,
			b.time(info, info.BaseTimestamp), b.time(info, info.MaxTimestamp), crc32.ChecksumIEEE(records[recordbatch.HeaderSize:info.Size]))
		records = records[info.Size:]
		n++
	}
	into[path+".len"] = fmt.Sprint(n)
}

func (b *broker) time(info recordbatch.Info, ms int64) string {
	if info.LogAppendTime() && ms > 0 {
		return "some"
	}
	return fmt.Sprint(ms - b.now)
}

// draft is a batch of n small records at the run's time.
func (b *broker) draft(n int) recordbatch.Draft {
	d := recordbatch.Draft{}
	for i := range n {
		d.Records = append(d.Records, recordbatch.Record{Timestamp: b.now + int64(i), Key: []byte{byte('a' + i%26)}, Value: []byte(fmt.Sprintf("value %d", i))})
	}
	return d
}

func (b *broker) batch(n int) []byte { return recordbatch.Build(b.draft(n)) }

// at is a batch of one record at a time.
func (b *broker) at(ms int64) []byte {
	d := b.draft(1)
	d.Records[0].Timestamp = ms
	return recordbatch.Build(d)
}

// sequenced is a batch of an idempotent producer.
func (b *broker) sequenced(id int64, epoch int16, sequence int32, n int) []byte {
	d := b.draft(n)
	d.Producer = &recordbatch.Producer{ID: id, Epoch: epoch, Sequence: sequence}
	return recordbatch.Build(d)
}

// Where the fields of a batch header are.
const (
	atLength     = 8
	atMagic      = 16
	atCRC        = 17
	atAttributes = 21
	atLastDelta  = 23
	atBaseTime   = 27
	atMaxTime    = 35
	atSequence   = 53
	atCount      = 57
)

// with changes a batch and makes its CRC right again.
func with(batch []byte, change func(b []byte)) []byte {
	out := append([]byte(nil), batch...)
	change(out)
	binary.BigEndian.PutUint32(out[atCRC:], crc32.Checksum(out[atAttributes:], crc32.MakeTable(crc32.Castagnoli)))
	return out
}

func put16(at int, v int16) func([]byte) {
	return func(b []byte) { binary.BigEndian.PutUint16(b[at:], uint16(v)) }
}

func put32(at int, v int32) func([]byte) {
	return func(b []byte) { binary.BigEndian.PutUint32(b[at:], uint32(v)) }
}

func put64(at int, v int64) func([]byte) {
	return func(b []byte) { binary.BigEndian.PutUint64(b[at:], uint64(v)) }
}

// messageSet is one record in the format before v2, of magic 0 or 1.
func messageSet(magic byte) []byte {
	body := []byte{magic, 0}
	if magic == 1 {
		body = append(body, make([]byte, 8)...)
	}
	body = append(body, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, 'v')
	msg := binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(body))
	msg = append(msg, body...)
	set := make([]byte, 8)
	set = binary.BigEndian.AppendUint32(set, uint32(len(msg)))
	return append(set, msg...)
}
