package hardening

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"hash/crc32"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/test/harness"
)

// Where a batch's fields are (Kafka's record batch, magic 2).
const (
	atBase, atLength, atMagic, atCRC, atAttributes, atLastDelta = 0, 8, 16, 17, 21, 23
	atMaxTime, atProducer, atEpoch, atSequence, atCount         = 35, 43, 51, 53, 57
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sealed puts the right length and CRC into a batch that was changed.
func sealed(b []byte) []byte {
	binary.BigEndian.PutUint32(b[atLength:], uint32(len(b)-12))
	binary.BigEndian.PutUint32(b[atCRC:], crc32.Checksum(b[atAttributes:], castagnoli))
	return b
}

func plain() []byte {
	return batchOf(recordbatch.Record{Key: []byte("a"), Value: []byte("1")}, recordbatch.Record{Key: []byte("b"), Value: []byte("2")})
}

// packed is a batch of n records whose body is body, said to be packed by codec.
func packed(codec recordbatch.Codec, n int, body []byte) []byte {
	b := append(plain()[:recordbatch.HeaderSize:recordbatch.HeaderSize], body...)
	b[atAttributes+1] = byte(codec)
	binary.BigEndian.PutUint32(b[atLastDelta:], uint32(n-1))
	binary.BigEndian.PutUint32(b[atCount:], uint32(n))
	return sealed(b)
}

// TestBatches_WhatIsNotARecordBatchIsRefused: with the code that Kafka has for it, and nothing of it is stored.
func TestBatches_WhatIsNotARecordBatchIsRefused(t *testing.T) {
	a := harness.Start(t, harness.Options{Flags: withMemory})
	b := stand(t, a)
	createTopic(t, a, "refused", 1)
	put32 := func(at int, v int32) func([]byte) []byte {
		return func(b []byte) []byte { binary.BigEndian.PutUint32(b[at:], uint32(v)); return b }
	}
	with := func(change func([]byte) []byte) []byte { return sealed(change(plain())) }
	for _, c := range []struct {
		name string
		sent []byte
		want *kerr.Error
	}{
		{"no bytes", []byte{}, kerr.InvalidRecord},
		{"null", nil, kerr.InvalidRecord},
		{"a byte", []byte{0}, kerr.CorruptMessage},
		{"half a header", plain()[:30], kerr.CorruptMessage},
		{"wrong crc", put32(atCRC, 12345)(plain()), kerr.CorruptMessage},
		{"flipped bit in the body", func() []byte { b := plain(); b[len(b)-2] ^= 4; return b }(), kerr.CorruptMessage},
		{"magic 0", func() []byte { b := plain(); b[atMagic] = 0; return b }(), kerr.UnsupportedForMessageFormat},
		{"magic 1", func() []byte { b := plain(); b[atMagic] = 1; return b }(), kerr.UnsupportedForMessageFormat},
		{"magic 3", func() []byte { b := plain(); b[atMagic] = 3; return b }(), kerr.UnsupportedForMessageFormat},
		{"length beyond the bytes", put32(atLength, 1<<20)(plain()), kerr.CorruptMessage},
		{"length short of the bytes", put32(atLength, 50)(plain()), kerr.CorruptMessage},
		{"length short of a header", put32(atLength, 10)(plain()), kerr.CorruptMessage},
		{"negative length", put32(atLength, -5)(plain()), kerr.CorruptMessage},
		{"bytes behind it", append(plain(), 1, 2, 3), kerr.CorruptMessage},
		{"second batch cut", append(plain(), plain()[:40]...), kerr.CorruptMessage},
		{"second batch of wrong crc", append(plain(), put32(atCRC, 1)(plain())...), kerr.CorruptMessage},
		{"count above the delta", with(put32(atCount, 3)), kerr.InvalidRecord},
		{"count below the delta", with(put32(atCount, 1)), kerr.InvalidRecord},
		{"negative offset", func() []byte { b := plain(); b[atBase] = 0x80; return b }(), kerr.InvalidRecord},
		{"offset of its own", func() []byte { b := plain(); b[atBase+7] = 9; return b }(), kerr.InvalidRecord},
		{"no records", with(func(b []byte) []byte { return put32(atCount, 0)(put32(atLastDelta, -1)(b)) }), kerr.InvalidRecord},
		{"negative count", with(func(b []byte) []byte { return put32(atCount, -4)(put32(atLastDelta, -5)(b)) }), kerr.InvalidRecord},
		{"codec 5", with(func(b []byte) []byte { b[atAttributes+1] |= 5; return b }), kerr.InvalidRecord},
		{"codec 7", with(func(b []byte) []byte { b[atAttributes+1] |= 7; return b }), kerr.InvalidRecord},
		{"control bit", with(func(b []byte) []byte { b[atAttributes+1] |= 0x20; return b }), kerr.InvalidRecord},
		{"transactional bit", with(func(b []byte) []byte { b[atAttributes+1] |= 0x10; return b }), kerr.InvalidTxnState},
		{"producer without a sequence", with(put32(atProducer+4, 7)), kerr.InvalidRecord},
		{"a week ahead", with(func(b []byte) []byte {
			binary.BigEndian.PutUint64(b[atMaxTime:], uint64(time.Now().Add(7*24*time.Hour).UnixMilli()))
			return b
		}), kerr.InvalidTimestamp},
		{"larger than max.message.bytes", batchOf(recordbatch.Record{Value: make([]byte, 2*mib)}), kerr.MessageTooLarge},
	} {
		before := a.Metric("odradek_api_refused_batches_total")
		if c.name == "producer without a sequence" {
			binary.BigEndian.PutUint32(c.sent[atProducer:], 0)
			c.sent = sealed(c.sent)
		}
		resp := ask[*kmsg.ProduceResponse](t, dial(t, a), produceRequest("refused", 0, c.sent))
		if code := resp.Topics[0].Partitions[0].ErrorCode; code != c.want.Code {
			t.Errorf("%s: %v, want %v", c.name, kerr.ErrorForCode(code), c.want.Message)
		}
		if a.Metric("odradek_api_refused_batches_total") != before+1 {
			t.Errorf("%s: not counted", c.name)
		}
	}
	if end := endOf(t, a, "refused"); end != 0 {
		t.Errorf("%d records of refused batches were stored", end)
	}
	unhurt(t, a)
	b.content()
	bounded(t, a, memory)
}

// endOf is the log end of partition 0.
func endOf(t *testing.T, a *harness.Agent, topic string) int64 {
	t.Helper()
	resp := ask[*kmsg.ListOffsetsResponse](t, dial(t, a), offsetsRequest(topic, -1))
	return resp.Topics[0].Partitions[0].Offset
}

func offsetsRequest(topic string, timestamp int64) *kmsg.ListOffsetsRequest {
	req := kmsg.NewPtrListOffsetsRequest()
	req.SetVersion(7)
	rt := kmsg.NewListOffsetsRequestTopic()
	rt.Topic = topic
	rp := kmsg.NewListOffsetsRequestTopicPartition()
	rp.Timestamp, rp.CurrentLeaderEpoch = timestamp, -1
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	return req
}

// TestBatches_OverlappingOffsetsAreAssignedAnew: two batches of a request that both begin at 0 lie behind each other.
func TestBatches_OverlappingOffsetsAreAssignedAnew(t *testing.T) {
	a := harness.Start(t, harness.Options{})
	createTopic(t, a, "offsets", 1)
	sent := bytes.Repeat(plain(), 4)
	resp := ask[*kmsg.ProduceResponse](t, dial(t, a), produceRequest("offsets", 0, sent))
	if p := resp.Topics[0].Partitions[0]; p.ErrorCode != 0 || p.BaseOffset != 0 {
		t.Fatalf("code %d, offset %d", p.ErrorCode, p.BaseOffset)
	}
	got := ask[*kmsg.FetchResponse](t, dial(t, a), fetchRequest("offsets", 0, 0, mib)).Topics[0].Partitions[0].RecordBatches
	want := int64(0)
	for b := got; len(b) > 0; {
		info, err := recordbatch.Check(b)
		if err != nil || int64(info.BaseOffset) != want {
			t.Fatalf("base offset %d, want %d: %v", info.BaseOffset, want, err)
		}
		want, b = int64(info.Next()), b[info.Size:]
	}
	if want != 8 {
		t.Fatalf("%d records came back, want 8", want)
	}
}

func gzipped(raw []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(raw)
	w.Close()
	return out.Bytes()
}

func lz4ed(raw []byte) []byte {
	var out bytes.Buffer
	w := lz4.NewWriter(&out)
	w.Write(raw)
	w.Close()
	return out.Bytes()
}

func zstded(raw []byte) []byte {
	w, _ := zstd.NewWriter(nil)
	defer w.Close()
	return w.EncodeAll(raw, nil)
}

// TestBatches_BodiesAreStoredAsSent: nobody unpacks them, and a search for a time among bodies that cannot be unpacked
// answers an error or something, and hurts nobody.
func TestBatches_BodiesAreStoredAsSent(t *testing.T) {
	a := harness.Start(t, harness.Options{Flags: withMemory})
	b := stand(t, a)
	garbage := noise(10 << 10)
	huge := make([]byte, 80*mib)
	xerial := []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1}
	for name, sent := range map[string][]byte{
		"garbage-none":        packed(recordbatch.None, 3, garbage),
		"garbage-gzip":        packed(recordbatch.Gzip, 3, garbage),
		"garbage-snappy":      packed(recordbatch.Snappy, 3, garbage),
		"garbage-lz4":         packed(recordbatch.LZ4, 3, garbage),
		"garbage-zstd":        packed(recordbatch.Zstd, 3, garbage),
		"empty-gzip":          packed(recordbatch.Gzip, 3, nil),
		"empty-none":          packed(recordbatch.None, 3, nil),
		"cut-gzip":            packed(recordbatch.Gzip, 2, gzipped(garbage)[:100]),
		"cut-zstd":            packed(recordbatch.Zstd, 2, zstded(garbage)[:100]),
		"few-records":         packed(recordbatch.Gzip, 1<<30, gzipped(plain()[recordbatch.HeaderSize:])),
		"declared-snappy":     packed(recordbatch.Snappy, 2, []byte{0xff, 0xff, 0xff, 0xff, 0x0f, 1, 2, 3}),
		"declared-xerial":     packed(recordbatch.Snappy, 2, append(xerial, 0x7f, 0xff, 0xff, 0xff, 1)),
		"declared-zstd":       packed(recordbatch.Zstd, 2, []byte{0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1}),
		"record-length":       packed(recordbatch.None, 1, binary.AppendVarint(nil, 1<<40)),
		"record-header-count": packed(recordbatch.None, 1, append([]byte{20, 0, 0, 0, 1, 1}, 0xfe, 0xff, 0xff, 0xff, 0x0f, 0)),
		"bomb-gzip":           packed(recordbatch.Gzip, 2, gzipped(huge)),
		"bomb-zstd":           packed(recordbatch.Zstd, 2, zstded(huge)),
		"bomb-lz4":            packed(recordbatch.LZ4, 2, lz4ed(huge)),
		"bomb-snappy":         packed(recordbatch.Snappy, 2, snappy.Encode(nil, huge[:16*mib])),
	} {
		createTopic(t, a, name, 1)
		w := dial(t, a)
		resp := ask[*kmsg.ProduceResponse](t, w, produceRequest(name, 0, bytes.Clone(sent)))
		if p := resp.Topics[0].Partitions[0]; p.ErrorCode != 0 {
			t.Errorf("%s: produce: %v", name, kerr.ErrorForCode(p.ErrorCode))
			continue
		}
		got := ask[*kmsg.FetchResponse](t, w, fetchRequest(name, 0, 0, 8*mib)).Topics[0].Partitions[0].RecordBatches
		if len(got) != len(sent) || !bytes.Equal(got[atMagic:], sent[atMagic:]) {
			t.Errorf("%s: %d bytes came back, not the %d that were sent", name, len(got), len(sent))
		}
		began := time.Now()
		var many sync.WaitGroup
		for range 8 {
			c, err := connect(a)
			if err != nil {
				t.Fatal(err)
			}
			many.Go(func() {
				defer c.Close()
				for _, ts := range []int64{0, time.Now().Add(-time.Minute).UnixMilli(), -3} {
					req := offsetsRequest(name, ts)
					c.Write(c.request(req, 1))
					b, err := c.answer()
					if err != nil {
						t.Errorf("%s: offsets by time %d: %v", name, ts, err)
						return
					}
					if _, err := decode(req, b); err != nil {
						t.Error(err)
					}
				}
			})
		}
		many.Wait()
		if took := time.Since(began); took > time.Minute { // unbounded ones take many; the machine may be busy
			t.Errorf("%s: searches took %v", name, took)
		}
	}
	unhurt(t, a)
	b.content()
	bounded(t, a, memory)
}
