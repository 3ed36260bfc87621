package main

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/odradek/odradek/recordbatch"
)

var produceScenarios = []scenario{
	{"Produce: every version", produceVersions},
	{"Produce: acks", produceAcks},
	{"Produce: unknown topics and partitions", produceUnknown},
	{"Produce: bad batches", produceBad},
	{"Produce: timestamps", produceTimes},
	{"Produce: sizes", produceSizes},
}

// batchFor is what goes to one partition of the topic named last.
type batchFor struct {
	partition int32
	records   []byte
}

func producing(acks int16, name string, id [16]byte, batches ...batchFor) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = acks, 10_000
	t := kmsg.NewProduceRequestTopic()
	t.Topic, t.TopicID = name, id
	for _, to := range batches {
		p := kmsg.NewProduceRequestTopicPartition()
		p.Partition, p.Records = to.partition, to.records
		t.Partitions = append(t.Partitions, p)
	}
	req.Topics = append(req.Topics, t)
	return req
}

// produce sends one batch to partition 0 in version 11.
func (b *broker) produce(label, name string, records []byte) *kmsg.ProduceResponse {
	return ask[*kmsg.ProduceResponse](b, label, 11, producing(-1, b.run+name, [16]byte{}, batchFor{0, records}))
}

func produceVersions(b *broker) {
	id := b.topic("pv", 2)
	for _, v := range b.versions(kmsg.Produce) {
		ask[*kmsg.ProduceResponse](b, "two partitions", v, producing(-1, b.run+"pv", id, batchFor{0, b.batch(2)}, batchFor{1, b.batch(1)}))
		none := kmsg.NewPtrProduceRequest()
		none.Acks = -1
		ask[*kmsg.ProduceResponse](b, "nothing", v, none)
		ask[*kmsg.ProduceResponse](b, "no partitions", v, producing(-1, b.run+"pv", id))
	}
	b.fetchAll("pv", id)
}

func produceAcks(b *broker) {
	id := b.topic("pa", 1)
	for _, acks := range []int16{-1, 1, 2, -2, 100} {
		ask[*kmsg.ProduceResponse](b, fmt.Sprintf("acks %d", acks), 11, producing(acks, b.run+"pa", id, batchFor{0, b.batch(1)}))
	}
	quiet := func(label string, req *kmsg.ProduceRequest) {
		b.send(b.main(), 11, req)
		versions := kmsg.NewPtrApiVersionsRequest()
		b.send(b.main(), 0, versions)
		_, err := b.read(b.main(), 0, versions)
		b.note(label, fmt.Sprintf("next request: %v", err))
		b.conn = nil
	}
	quiet("acks 0", producing(0, b.run+"pa", id, batchFor{0, b.batch(1)}))
	quiet("acks 0, unknown topic", producing(0, b.run+"pa-no", id, batchFor{0, b.batch(1)}))
	quiet("acks 0, unknown partition", producing(0, b.run+"pa", id, batchFor{7, b.batch(1)}))
	bad := b.batch(1)
	bad[len(bad)-1] ^= 1
	quiet("acks 0, bad crc", producing(0, b.run+"pa", id, batchFor{0, bad}))
	b.settle() // what nobody waited for
	b.settle()
	b.fetchAll("pa", id)
}

func produceUnknown(b *broker) {
	id, two := b.topic("pu", 1), b.topic("pu2", 1)
	for _, v := range b.versions(kmsg.Produce) {
		for _, acks := range []int16{-1, 1} {
			at := fmt.Sprintf(", acks %d", acks)
			ask[*kmsg.ProduceResponse](b, "unknown topic"+at, v, producing(acks, b.run+"pu-no", [16]byte{5}, batchFor{0, b.batch(1)}))
			ask[*kmsg.ProduceResponse](b, "bad name"+at, v, producing(acks, "a/b", [16]byte{}, batchFor{0, b.batch(1)}))
			ask[*kmsg.ProduceResponse](b, "unknown partition"+at, v, producing(acks, b.run+"pu", id, batchFor{1, b.batch(1)}, batchFor{0, b.batch(1)}))
			ask[*kmsg.ProduceResponse](b, "partition -1"+at, v, producing(acks, b.run+"pu", id, batchFor{-1, b.batch(1)}))
			ask[*kmsg.ProduceResponse](b, "a partition twice"+at, v, producing(acks, b.run+"pu2", two, batchFor{0, b.batch(1)}, batchFor{0, b.batch(1)}))
		}
	}
	ask[*kmsg.ProduceResponse](b, "internal topic", 11, producing(-1, "__consumer_offsets", [16]byte{}, batchFor{0, b.batch(1)}))
	req := producing(-1, b.run+"pu2", two, batchFor{0, b.batch(1)})
	req.Topics = append(req.Topics, req.Topics[0])
	ask[*kmsg.ProduceResponse](b, "a topic twice", 11, req)
}

func produceBad(b *broker) {
	// A partition for each case: what one broker takes and the other does not must not move the offsets of the next.
	id := b.topic("pb", 40)
	for _, v := range []int16{3, 8, 11} {
		good := b.batch(3)
		for i, c := range []struct {
			label   string
			records []byte
		}{
			{"no records", []byte{}},
			{"a short header", good[:30]},
			{"a header only", good[:61]},
			{"cut by one", good[:len(good)-1]},
			{"a byte more", append(append([]byte{}, good...), 0)},
			{"20 bytes more", append(append([]byte{}, good...), make([]byte, 20)...)},
			{"two batches", append(append([]byte{}, good...), good...)},
			{"a flipped byte", func() []byte { c := append([]byte{}, good...); c[len(c)-1] ^= 1; return c }()},
			{"a flipped crc", func() []byte { c := append([]byte{}, good...); c[atCRC] ^= 1; return c }()},
			{"magic 0", messageSet(0)},
			{"magic 1", messageSet(1)},
			{"magic 3", func() []byte { c := append([]byte{}, good...); c[atMagic] = 3; return c }()},
			{"magic -1", func() []byte { c := append([]byte{}, good...); c[atMagic] = 255; return c }()},
			{"length 0", func() []byte { c := append([]byte{}, good...); put32(atLength, 0)(c); return c }()},
			{"length -1", func() []byte { c := append([]byte{}, good...); put32(atLength, -1)(c); return c }()},
			{"length too large", func() []byte { c := append([]byte{}, good...); put32(atLength, 1<<30)(c); return c }()},
			{"count too large", with(good, put32(atCount, 4))},
			{"count too small", with(good, put32(atCount, 2))},
			{"count 0", with(good, put32(atCount, 0))},
			{"count -1", with(good, put32(atCount, -1))},
			{"last delta too large", with(good, put32(atLastDelta, 7))},
			{"last delta too small", with(good, put32(atLastDelta, 1))},
			{"last delta -1", with(good, put32(atLastDelta, -1))},
			{"base offset 5", func() []byte { c := append([]byte{}, good...); put64(0, 5)(c); return c }()},
			{"base offset -5", func() []byte { c := append([]byte{}, good...); put64(0, -5)(c); return c }()},
			{"control bit", with(good, put16(atAttributes, 1<<5))},
			{"transactional bit", with(good, put16(atAttributes, 1<<4))},
			{"codec 5", with(good, put16(atAttributes, 5))},
			{"codec 7", with(good, put16(atAttributes, 7))},
			{"gzip bit on plain records", with(good, put16(atAttributes, 1))},
			{"log append time bit", with(good, put16(atAttributes, 1<<3))},
			{"delete horizon bit", with(good, put16(atAttributes, 1<<6))},
			{"unknown bit", with(good, put16(atAttributes, 1<<8))},
			{"records that are no records", with(good, func(b []byte) {
				for i := 61; i < len(b); i++ {
					b[i] = 0xff
				}
			})},
			{"record deltas with a gap", recordbatch.Build(recordbatch.Draft{Records: b.draft(1).Records})},
		} {
			ask[*kmsg.ProduceResponse](b, c.label, v, producing(-1, b.run+"pb", id, batchFor{int32(i), c.records}))
		}
	}
}

func produceTimes(b *broker) {
	id := b.topic("pt", 1)
	b.topic("pt-before", 1, "message.timestamp.before.max.ms", "60000")
	b.topic("pt-after", 1, "message.timestamp.after.max.ms", "60000")
	b.topic("pt-append", 1, "message.timestamp.type", "LogAppendTime")
	const hour = 3600_000
	for _, name := range []string{"pt", "pt-before", "pt-after", "pt-append"} {
		for _, ms := range []int64{-1, 0, 1, -2, b.now - 10*24*hour, b.now - 2*hour, b.now, b.now + hour/2, b.now + 2*hour, b.now + 1000*24*hour} {
			label := fmt.Sprintf("%s: %d", name, ms)
			if ms > 1 {
				label = fmt.Sprintf("%s: now %+d", name, ms-b.now)
			}
			b.produce(label, name, b.at(ms))
		}
	}
	good := b.batch(3)
	b.produce("max timestamp too small", "pt", with(good, put64(atMaxTime, b.now-5)))
	b.produce("max timestamp too large", "pt", with(good, put64(atMaxTime, b.now+5)))
	b.produce("max timestamp -1", "pt", with(good, put64(atMaxTime, -1)))
	b.fetchAll("pt", id)
}

func produceSizes(b *broker) {
	b.topic("ps", 1, "max.message.bytes", "1000")
	id := b.topic("pd", 1)
	sized := func(n int) []byte {
		d := b.draft(1)
		d.Records[0].Value = make([]byte, n-len(b.batch(1))+len(d.Records[0].Value)-1)
		return recordbatch.Build(d)
	}
	for _, n := range []int{500, 999, 1000, 1001, 1012, 1013, 5000} {
		batch := sized(n)
		b.produce(fmt.Sprintf("%d bytes, %d asked", len(batch), n), "ps", batch)
	}
	for _, n := range []int{1048588, 1048589, 2 << 20} {
		batch := sized(n)
		b.produce(fmt.Sprintf("default: %d bytes", len(batch)), "pd", batch)
	}
	_ = id
}
