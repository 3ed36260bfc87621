package main

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var fetchScenarios = []scenario{
	{"Fetch: every version", fetchVersions},
	{"Fetch: sizes", fetchSizes},
	{"Fetch: sessions", fetchSessions},
	{"Fetch: epochs", fetchEpochs},
}

func fetching(name string, id [16]byte, offset int64, partitions ...int32) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.SessionEpoch = 100, 0, 10<<20, -1
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID = name, id
	for _, index := range partitions {
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.FetchOffset, p.PartitionMaxBytes = index, offset, 5<<20
		t.Partitions = append(t.Partitions, p)
	}
	req.Topics = append(req.Topics, t)
	return req
}

// fetchAll shows what is in partition 0 of a topic.
func (b *broker) fetchAll(name string, id [16]byte) {
	ask[*kmsg.FetchResponse](b, "what is in "+name, 13, fetching(b.run+name, id, 0, 0))
}

// filled makes a topic with 10 batches of 3 records in partition 0.
func (b *broker) filled(name string, partitions int32) [16]byte {
	id := b.topic(name, partitions)
	for range 10 {
		quietly[*kmsg.ProduceResponse](b, 11, producing(-1, b.run+name, id, batchFor{0, b.batch(3)}))
	}
	return id
}

func fetchVersions(b *broker) {
	id := b.filled("fv", 2)
	for _, v := range b.versions(kmsg.Fetch) {
		for _, offset := range []int64{0, 1, 15, 29, 30, 31, 1000, -1, -2} {
			ask[*kmsg.FetchResponse](b, fmt.Sprintf("offset %d", offset), v, fetching(b.run+"fv", id, offset, 0))
		}
		ask[*kmsg.FetchResponse](b, "two partitions", v, fetching(b.run+"fv", id, 0, 0, 1))
		ask[*kmsg.FetchResponse](b, "unknown partition", v, fetching(b.run+"fv", id, 0, 0, 2))
		ask[*kmsg.FetchResponse](b, "unknown topic", v, fetching(b.run+"fv-no", [16]byte{3}, 0, 0))
		ask[*kmsg.FetchResponse](b, "no topic id", v, fetching(b.run+"fv-no", [16]byte{}, 0, 0))
		ask[*kmsg.FetchResponse](b, "a partition twice", v, fetching(b.run+"fv", id, 0, 0, 0))
		ask[*kmsg.FetchResponse](b, "no partitions", v, fetching(b.run+"fv", id, 0))
		committed := fetching(b.run+"fv", id, 27, 0)
		committed.IsolationLevel = 1
		ask[*kmsg.FetchResponse](b, "read committed", v, committed)
		empty := kmsg.NewPtrFetchRequest()
		empty.SessionEpoch = -1
		ask[*kmsg.FetchResponse](b, "nothing", v, empty)
		both := fetching(b.run+"fv", id, 28, 0)
		both.Topics = append(both.Topics, fetching(b.run+"fv-no", [16]byte{3}, 0, 0).Topics...)
		ask[*kmsg.FetchResponse](b, "known and unknown topic", v, both)
	}
}

func fetchSizes(b *broker) {
	id := b.filled("fz", 2)
	for range 3 {
		quietly[*kmsg.ProduceResponse](b, 11, producing(-1, b.run+"fz", id, batchFor{1, b.batch(3)}))
	}
	one := int32(len(b.batch(3)))
	for _, n := range []int32{-1, 0, 1, one - 1, one, one + 1, 2*one - 1, 2 * one, 10 * one, 1 << 30} {
		req := fetching(b.run+"fz", id, 1, 0, 1)
		req.MaxBytes = n
		ask[*kmsg.FetchResponse](b, fmt.Sprintf("max bytes %d batches %+d", n/one, n%one), 12, req)
		req = fetching(b.run+"fz", id, 1, 0, 1)
		for i := range req.Topics[0].Partitions {
			req.Topics[0].Partitions[i].PartitionMaxBytes = n
		}
		ask[*kmsg.FetchResponse](b, fmt.Sprintf("partition max bytes %d batches %+d", n/one, n%one), 12, req)
	}
	for _, n := range []int32{-1, 1, one, 1 << 30} {
		req := fetching(b.run+"fz", id, 27, 0)
		req.MinBytes = n
		ask[*kmsg.FetchResponse](b, fmt.Sprintf("min bytes %d", n), 12, req)
		req = fetching(b.run+"fz", id, 30, 0)
		req.MinBytes = n
		ask[*kmsg.FetchResponse](b, fmt.Sprintf("min bytes %d at the end", n), 12, req)
	}
	req := fetching(b.run+"fz", id, 30, 0)
	req.MaxWaitMillis, req.MinBytes = -1, 1
	ask[*kmsg.FetchResponse](b, "max wait -1", 12, req)
}

func fetchSessions(b *broker) {
	id := b.filled("fe", 3)
	for _, v := range []int16{7, 12, 13, 17} {
		with := func(session, epoch int32, req *kmsg.FetchRequest) *kmsg.FetchRequest {
			req.SessionID, req.SessionEpoch = session, epoch
			return req
		}
		none := func() *kmsg.FetchRequest {
			req := fetching("", id, 0)
			req.Topics = nil
			return req
		}
		at := func(offset int64, partitions ...int32) *kmsg.FetchRequest {
			return fetching(b.run+"fe", id, offset, partitions...)
		}
		got := ask[*kmsg.FetchResponse](b, "new session", v, with(0, 0, at(30, 0, 1)))
		s := got.SessionID
		ask[*kmsg.FetchResponse](b, "nothing new", v, with(s, 1, none()))
		ask[*kmsg.FetchResponse](b, "an old epoch", v, with(s, 1, none()))
		ask[*kmsg.FetchResponse](b, "a future epoch", v, with(s, 7, none()))
		ask[*kmsg.FetchResponse](b, "another offset", v, with(s, 2, at(27, 0)))
		ask[*kmsg.FetchResponse](b, "the same again", v, with(s, 3, none()))
		ask[*kmsg.FetchResponse](b, "one more partition", v, with(s, 4, at(0, 2)))
		ask[*kmsg.FetchResponse](b, "an unknown partition", v, with(s, 5, at(0, 9)))
		ask[*kmsg.FetchResponse](b, "still unknown", v, with(s, 6, none()))
		ask[*kmsg.FetchResponse](b, "out of range", v, with(s, 7, at(99, 0)))
		forget := none()
		forget.ForgottenTopics = []kmsg.FetchRequestForgottenTopic{{Topic: b.run + "fe", TopicID: id, Partitions: []int32{0, 9}}}
		ask[*kmsg.FetchResponse](b, "forgotten", v, with(s, 8, forget))
		ask[*kmsg.FetchResponse](b, "after it", v, with(s, 9, none()))
		strange := none()
		strange.ForgottenTopics = []kmsg.FetchRequestForgottenTopic{{Topic: b.run + "fe-no", TopicID: [16]byte{8}, Partitions: []int32{0}}}
		ask[*kmsg.FetchResponse](b, "a topic forgotten that was not there", v, with(s, 10, strange))
		ask[*kmsg.FetchResponse](b, "an unknown session", v, with(12345, 1, none()))
		ask[*kmsg.FetchResponse](b, "epoch 0 with an id", v, with(s, 0, at(30, 0)))
		ask[*kmsg.FetchResponse](b, "the old session", v, with(s, 11, none()))
		got = ask[*kmsg.FetchResponse](b, "another new session", v, with(0, 0, at(30, 0)))
		ask[*kmsg.FetchResponse](b, "ended", v, with(got.SessionID, -1, none()))
		ask[*kmsg.FetchResponse](b, "used after its end", v, with(got.SessionID, 1, none()))
		ask[*kmsg.FetchResponse](b, "session without partitions", v, with(0, 0, none()))
		ask[*kmsg.FetchResponse](b, "epoch -2", v, with(0, -2, at(30, 0)))
		ask[*kmsg.FetchResponse](b, "epoch 3 without a session", v, with(0, 3, at(30, 0)))
		unknown := fetching(b.run+"fe-no", [16]byte{8}, 0, 0)
		got = ask[*kmsg.FetchResponse](b, "session of an unknown topic", v, with(0, 0, unknown))
		ask[*kmsg.FetchResponse](b, "session of an unknown topic, again", v, with(got.SessionID, 1, none()))
	}
	got := ask[*kmsg.FetchResponse](b, "by name", 12, func() *kmsg.FetchRequest {
		r := fetching(b.run+"fe", id, 30, 0)
		r.SessionEpoch = 0
		return r
	}())
	req := fetching(b.run+"fe", id, 30, 0)
	req.SessionID, req.SessionEpoch = got.SessionID, 1
	ask[*kmsg.FetchResponse](b, "then by id", 13, req)
}

func fetchEpochs(b *broker) {
	id := b.filled("fl", 1)
	for _, v := range b.versions(kmsg.Fetch) {
		for _, epoch := range []int32{-1, 0, 1, 100, -2} {
			req := fetching(b.run+"fl", id, 27, 0)
			req.Topics[0].Partitions[0].CurrentLeaderEpoch = epoch
			ask[*kmsg.FetchResponse](b, fmt.Sprintf("current epoch %d", epoch), v, req)
		}
		for _, last := range []int32{-1, 0, 1, 5} {
			req := fetching(b.run+"fl", id, 30, 0)
			req.Topics[0].Partitions[0].CurrentLeaderEpoch = 0
			req.Topics[0].Partitions[0].LastFetchedEpoch = last
			ask[*kmsg.FetchResponse](b, fmt.Sprintf("last fetched epoch %d", last), v, req)
		}
	}
}
