package main

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/odradek/odradek/recordbatch"
)

var offsetScenarios = []scenario{
	{"ListOffsets", listOffsets},
	{"ListOffsets: times out of order", listOffsetsUnordered},
	{"OffsetForLeaderEpoch", offsetForLeaderEpoch},
}

func listing(name string, isolation int8, timestamp int64, epoch int32, partitions ...int32) *kmsg.ListOffsetsRequest {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID, req.IsolationLevel, req.TimeoutMillis = -1, isolation, 5000
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic = name
	for _, index := range partitions {
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Partition, p.Timestamp, p.CurrentLeaderEpoch = index, timestamp, epoch
		t.Partitions = append(t.Partitions, p)
	}
	req.Topics = append(req.Topics, t)
	return req
}

func (b *broker) list(label string, v int16, req *kmsg.ListOffsetsRequest) {
	ask[*kmsg.ListOffsetsResponse](b, label, v, req)
}

func listOffsets(b *broker) {
	b.topic("lo", 2)
	for i := range int64(5) {
		d := b.draft(3)
		for k := range d.Records {
			d.Records[k].Timestamp = b.now + 1000*i + 10*int64(k)
		}
		b.mustProduce("lo", recordbatch.Build(d))
	}
	for _, v := range b.versions(kmsg.ListOffsets) {
		for _, timestamp := range []int64{-1, -2, -3, -4, -5, -6, -7, -100, 0, 1} {
			b.list(fmt.Sprintf("timestamp %d", timestamp), v, listing(b.run+"lo", 0, timestamp, -1, 0, 1))
			b.list(fmt.Sprintf("timestamp %d, read committed", timestamp), v, listing(b.run+"lo", 1, timestamp, -1, 0))
		}
		for _, ms := range []int64{-1, 0, 5, 10, 20, 21, 1000, 3999, 4020, 4021} {
			b.list(fmt.Sprintf("time %+d", ms), v, listing(b.run+"lo", 0, b.now+ms, -1, 0))
		}
		b.list("unknown topic", v, listing(b.run+"lo-no", 0, -1, -1, 0))
		b.list("unknown topic, unknown time", v, listing(b.run+"lo-no", 0, -9, -1, 0))
		b.list("unknown partition", v, listing(b.run+"lo", 0, -1, -1, 5, 0))
		b.list("partition -1", v, listing(b.run+"lo", 0, -1, -1, -1))
		b.list("a partition twice", v, listing(b.run+"lo", 0, -1, -1, 0, 0, 1))
		b.list("bad name", v, listing("a/b", 0, -1, -1, 0))
		b.list("no partitions", v, listing(b.run+"lo", 0, -1, -1))
		for _, epoch := range []int32{0, 1, 100, -2} {
			b.list(fmt.Sprintf("epoch %d", epoch), v, listing(b.run+"lo", 0, -1, epoch, 0))
			b.list(fmt.Sprintf("epoch %d, by time", epoch), v, listing(b.run+"lo", 0, b.now, epoch, 0))
		}
	}
}

func listOffsetsUnordered(b *broker) {
	b.topic("lu", 1)
	for _, times := range [][]int64{{100, 50, 70}, {10, 20, 30}, {200, 200, 190}, {5, 4, 3}} {
		d := b.draft(3)
		for k := range d.Records {
			d.Records[k].Timestamp = b.now + times[k]
		}
		b.mustProduce("lu", recordbatch.Build(d))
	}
	b.topic("la", 1, "message.timestamp.type", "LogAppendTime")
	b.mustProduce("la", b.batch(3))
	for _, ms := range []int64{0, 1, 10, 49, 50, 51, 99, 100, 101, 199, 200, 201} {
		b.list(fmt.Sprintf("time %+d", ms), 9, listing(b.run+"lu", 0, b.now+ms, -1, 0))
	}
	b.list("max timestamp", 9, listing(b.run+"lu", 0, -3, -1, 0))
	got := quietly[*kmsg.ListOffsetsResponse](b, 9, listing(b.run+"la", 0, -3, -1, 0))
	b.note("max timestamp of log append time", fmt.Sprint(got.Topics[0].Partitions[0].Offset))
	got = quietly[*kmsg.ListOffsetsResponse](b, 9, listing(b.run+"la", 0, 1, -1, 0))
	b.note("time 1 of log append time", fmt.Sprint(got.Topics[0].Partitions[0].Offset))
}

func (b *broker) mustProduce(name string, records []byte) {
	quietly[*kmsg.ProduceResponse](b, 11, producing(-1, b.run+name, [16]byte{}, batchFor{0, records}))
}

func offsetForLeaderEpoch(b *broker) {
	b.filled("le", 2)
	for _, v := range b.versions(kmsg.OffsetForLeaderEpoch) {
		for _, current := range []int32{-1, 0, 1, -2} {
			for _, epoch := range []int32{-2, -1, 0, 1, 100} {
				for _, replica := range []int32{-1, -2, 1} {
					req := kmsg.NewPtrOffsetForLeaderEpochRequest()
					req.ReplicaID = replica
					t := kmsg.NewOffsetForLeaderEpochRequestTopic()
					t.Topic = b.run + "le"
					for _, index := range []int32{0, 1, 5, -1} {
						p := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
						p.Partition, p.CurrentLeaderEpoch, p.LeaderEpoch = index, current, epoch
						t.Partitions = append(t.Partitions, p)
					}
					other := kmsg.NewOffsetForLeaderEpochRequestTopic()
					other.Topic, other.Partitions = b.run+"le-no", t.Partitions[:1]
					req.Topics = append(req.Topics, t, other)
					ask[*kmsg.OffsetForLeaderEpochResponse](b, fmt.Sprintf("current %d epoch %d replica %d", current, epoch, replica), v, req)
				}
			}
		}
	}
}
