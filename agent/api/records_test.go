package api_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/odradek/odradek/agent/api"
	"github.com/odradek/odradek/agent/api/apitest"
	"github.com/odradek/odradek/agent/ingest"
	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/topic"
)

// batch is a record batch of n records as far as the fakes look at it.
func batch(n int, time int64) []byte {
	b := make([]byte, 61+10*n)
	b[16] = 2
	b[26] = byte(n - 1)
	for i := range 8 {
		b[35+i] = byte(time >> (56 - 8*i))
	}
	return b
}

func produce(t api.Topic, partition int32, acks int16, records []byte) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = acks, 1000
	req.Topics = []kmsg.ProduceRequestTopic{{Topic: t.Name, TopicID: t.ID,
		Partitions: []kmsg.ProduceRequestTopicPartition{{Partition: partition, Records: records}}}}
	return req
}

func producedCode(t *testing.T, b *broker, version int16, req *kmsg.ProduceRequest) int16 {
	t.Helper()
	return ask[*kmsg.ProduceResponse](t, b, version, req).Topics[0].Partitions[0].ErrorCode
}

func TestProduce_EveryVersion(t *testing.T) {
	b := newBroker(nil)
	events := b.AddTopic("events", 1, nil)
	for version := int16(3); version <= 13; version++ {
		resp := ask[*kmsg.ProduceResponse](t, b, version, produce(events, 0, -1, batch(2, 0)))
		p := resp.Topics[0].Partitions[0]
		wantCode(t, "produce", p.ErrorCode, nil)
		if want := int64(version-3) * 2; p.BaseOffset != want || p.LogAppendTime != -1 {
			t.Errorf("version %d: offset %d and time %d, want %d and -1", version, p.BaseOffset, p.LogAppendTime, want)
		}
	}
}

func TestProduce_RefusesPartitionByPartition(t *testing.T) {
	b := newBroker(nil)
	events := b.AddTopic("events", 1, nil)
	b.AddInternal("__consumer_offsets")
	internal, _ := b.State().TopicByName("__consumer_offsets")
	gone := api.Topic{Name: "gone", ID: topic.ID{9}}
	for _, c := range []struct {
		name    string
		version int16
		req     *kmsg.ProduceRequest
		want    *kerr.Error
	}{
		{"no such topic", 12, produce(gone, 0, 1, batch(1, 0)), kerr.UnknownTopicOrPartition},
		{"no such topic id", 13, produce(gone, 0, 1, batch(1, 0)), kerr.UnknownTopicID},
		{"no such partition", 9, produce(events, 1, 1, batch(1, 0)), kerr.UnknownTopicOrPartition},
		{"negative partition", 9, produce(events, -1, 1, batch(1, 0)), kerr.UnknownTopicOrPartition},
		{"internal topic", 9, produce(internal, 0, 1, batch(1, 0)), kerr.InvalidTopicException},
		{"no records", 9, produce(events, 0, 1, nil), kerr.InvalidRecord},
		{"truncated", 9, produce(events, 0, 1, []byte("short")), kerr.CorruptMessage},
		{"acks 2", 9, produce(events, 0, 2, batch(1, 0)), kerr.InvalidRequiredAcks},
	} {
		wantCode(t, c.name, producedCode(t, b, c.version, c.req), c.want)
	}
	for _, c := range []struct {
		err  error
		want *kerr.Error
	}{
		{ingest.ErrTooLarge, kerr.MessageTooLarge}, {ingest.ErrTransactional, kerr.InvalidTxnState},
		{recordbatch.ErrMagic, kerr.UnsupportedForMessageFormat}, {recordbatch.ErrCRC, kerr.CorruptMessage},
	} {
		b.Refuse = func(topic.Partition) error { return c.err }
		wantCode(t, c.err.Error(), producedCode(t, b, 9, produce(events, 0, -1, batch(1, 0))), c.want)
	}
}

func TestProduce_ToTheWrongAgentNamesTheOwner(t *testing.T) {
	b := newBroker(nil)
	events := b.AddTopic("events", 1, nil)
	b.Refuse = func(topic.Partition) error { return ingest.ErrNotOwner }
	b.Others = []api.Agent{{NodeID: 8, Host: "elsewhere", Port: 9092, Zone: "z"}, {NodeID: 9, Host: "nobody"}}
	b.Owners = func(topic.Partition) (api.Owner, bool) { return api.Owner{NodeID: 8, Epoch: 5}, true }
	resp := ask[*kmsg.ProduceResponse](t, b, 10, produce(events, 0, -1, batch(1, 0)))
	p := resp.Topics[0].Partitions[0]
	wantCode(t, "produce", p.ErrorCode, kerr.NotLeaderForPartition)
	if p.CurrentLeader.LeaderID != 8 || p.CurrentLeader.LeaderEpoch != 5 || len(resp.Brokers) != 1 || resp.Brokers[0].Host != "elsewhere" {
		t.Errorf("hint %+v at %+v", p.CurrentLeader, resp.Brokers)
	}
	if old := ask[*kmsg.ProduceResponse](t, b, 9, produce(events, 0, -1, batch(1, 0))); len(old.Brokers) != 0 {
		t.Error("version 9 knows no hints")
	}
}

func TestProduce_TimeOutAnswersAndKeepsTheBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(nil)
		events := b.AddTopic("events", 1, nil)
		b.Durable = make(chan struct{})
		begin := time.Now()
		wantCode(t, "produce", producedCode(t, b, 9, produce(events, 0, -1, batch(1, 0))), kerr.RequestTimedOut)
		if waited := time.Since(begin); waited != time.Second {
			t.Errorf("waited %v, want the request's second", waited)
		}
		resp := ask[*kmsg.ListOffsetsResponse](t, b, 5, listOffsets(events, -1))
		if end := resp.Topics[0].Partitions[0].Offset; end != 1 {
			t.Errorf("the log ends at %d, the batch was dropped", end)
		}
	})
}

func TestProduce_Acks0HasNoReplyAndClosesOnError(t *testing.T) {
	b := newBroker(nil)
	events := b.AddTopic("events", 1, nil)
	b.Durable = make(chan struct{}) // never
	send := func(req *kmsg.ProduceRequest) ([]byte, error) {
		req.Version = 9
		return b.handle(t.Context(), request(req, 1))
	}
	if got, err := send(produce(events, 0, 0, batch(1, 0))); err != nil || len(got) != 0 {
		t.Errorf("acks=0: %x, %v", got, err)
	}
	if _, err := send(produce(events, 3, 0, batch(1, 0))); !errors.Is(err, api.ErrNoReply) {
		t.Errorf("acks=0 to no partition: %v, want ErrNoReply", err)
	}
}

func fetch(topics ...kmsg.FetchRequestTopic) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.MaxBytes, req.SessionEpoch, req.Topics = 1<<20, 0, topics
	return req
}

func fetchTopic(t api.Topic, offsets ...int64) kmsg.FetchRequestTopic {
	ft := kmsg.FetchRequestTopic{Topic: t.Name, TopicID: t.ID}
	for i, o := range offsets {
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.FetchOffset, p.PartitionMaxBytes = int32(i), o, 1<<20
		ft.Partitions = append(ft.Partitions, p)
	}
	return ft
}

func TestFetch_EveryVersionReturnsTheRecords(t *testing.T) {
	b := newBroker(nil)
	events := b.AddTopic("events", 2, nil)
	wantCode(t, "produce", producedCode(t, b, 9, produce(events, 0, 1, batch(3, 0))), nil)
	for version := int16(4); version <= 18; version++ {
		resp := ask[*kmsg.FetchResponse](t, b, version, fetch(fetchTopic(events, 1, 0)))
		wantCode(t, "fetch", resp.ErrorCode, nil)
		p := resp.Topics[0].Partitions
		if len(p) != 2 || !bytes.Equal(p[0].RecordBatches, batch(3, 0)) || p[0].HighWatermark != 3 || len(p[1].RecordBatches) != 0 {
			t.Errorf("version %d: %+v", version, p)
		}
	}
}

func TestFetch_ErrorsOfPartitions(t *testing.T) {
	b := newBroker(nil)
	events := b.AddTopic("events", 1, nil)
	b.Owners = func(topic.Partition) (api.Owner, bool) { return api.Owner{NodeID: apitest.NodeID, Epoch: 5}, true }
	epoch := func(e int32) kmsg.FetchRequestTopic {
		ft := fetchTopic(events, 0)
		ft.Partitions[0].CurrentLeaderEpoch = e
		return ft
	}
	gone := api.Topic{Name: "gone", ID: topic.ID{9}}
	for _, c := range []struct {
		name    string
		version int16
		topic   kmsg.FetchRequestTopic
		want    *kerr.Error
	}{
		{"no such topic", 12, fetchTopic(gone, 0), kerr.UnknownTopicOrPartition},
		{"no such topic id", 13, fetchTopic(gone, 0), kerr.UnknownTopicID},
		{"out of range", 12, fetchTopic(events, 7), kerr.OffsetOutOfRange},
		{"older epoch", 12, epoch(4), kerr.FencedLeaderEpoch},
		{"newer epoch", 12, epoch(6), kerr.UnknownLeaderEpoch},
		{"this epoch", 12, epoch(5), nil},
	} {
		resp := ask[*kmsg.FetchResponse](t, b, c.version, fetch(c.topic))
		wantCode(t, c.name, resp.Topics[0].Partitions[0].ErrorCode, c.want)
	}
	resp := ask[*kmsg.FetchResponse](t, b, 16, fetch(epoch(4)))
	if l := resp.Topics[0].Partitions[0].CurrentLeader; l.LeaderEpoch != 5 || len(resp.Brokers) != 1 {
		t.Errorf("hint %+v at %+v", l, resp.Brokers)
	}
}

func TestFetch_LongPollEndsWhenTheAgentStops(t *testing.T) {
	b := newBroker(nil)
	events := b.AddTopic("events", 1, nil)
	draining, drain := context.WithCancel(t.Context())
	b.conn.OnDrain = func(f func()) func() bool { return context.AfterFunc(draining, f) }
	drain()
	req := fetch(fetchTopic(events, 0))
	req.MaxWaitMillis, req.MinBytes = 1<<30, 1
	resp := ask[*kmsg.FetchResponse](t, b, 12, req)
	wantCode(t, "fetch", resp.Topics[0].Partitions[0].ErrorCode, nil)
	// What failed because of the end is not told as an answer without records and without a high watermark (I7).
	b.conn.OnDrain = func(f func()) func() bool { f(); return func() bool { return false } }
	req.Topics[0].Partitions[0].FetchOffset = 5
	resp = ask[*kmsg.FetchResponse](t, b, 12, req)
	wantCode(t, "fetch that fails", resp.Topics[0].Partitions[0].ErrorCode, kerr.NotLeaderForPartition)
}

func listOffsets(t api.Topic, timestamp int64) *kmsg.ListOffsetsRequest {
	req := kmsg.NewPtrListOffsetsRequest()
	p := kmsg.NewListOffsetsRequestTopicPartition()
	p.Timestamp = timestamp
	req.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: t.Name, Partitions: []kmsg.ListOffsetsRequestTopicPartition{p}}}
	return req
}

func TestListOffsets_Timestamps(t *testing.T) {
	b := newBroker(nil)
	events := b.AddTopic("events", 1, nil)
	for _, at := range []int64{100, 300, 200} {
		wantCode(t, "produce", producedCode(t, b, 9, produce(events, 0, 1, batch(2, at))), nil)
	}
	for _, c := range []struct {
		name            string
		version         int16
		timestamp, want int64
		code            *kerr.Error
	}{
		{"latest", 1, -1, 6, nil},
		{"earliest", 11, -2, 0, nil},
		{"largest timestamp", 7, -3, 3, nil},
		{"largest timestamp, too old a version", 6, -3, -1, kerr.UnsupportedVersion},
		{"earliest local", 8, -4, 0, nil},
		{"latest tiered", 9, -5, -1, nil},
		{"earliest waiting for upload", 11, -6, -1, nil},
		{"earliest waiting for upload, too old a version", 10, -6, -1, kerr.UnsupportedVersion},
		{"a sign of a later version", 11, -7, -1, kerr.UnsupportedVersion},
		{"by time", 4, 150, 2, nil},
		{"by time behind the end", 4, 1000, -1, nil},
	} {
		p := ask[*kmsg.ListOffsetsResponse](t, b, c.version, listOffsets(events, c.timestamp)).Topics[0].Partitions[0]
		wantCode(t, c.name, p.ErrorCode, c.code)
		if p.Offset != c.want {
			t.Errorf("%s: offset %d, want %d", c.name, p.Offset, c.want)
		}
	}
	twice := listOffsets(events, -1)
	twice.Topics[0].Partitions = append(twice.Topics[0].Partitions, twice.Topics[0].Partitions[0])
	wantCode(t, "named twice", ask[*kmsg.ListOffsetsResponse](t, b, 5, twice).Topics[0].Partitions[0].ErrorCode, kerr.InvalidRequest)
	wantCode(t, "no such topic", ask[*kmsg.ListOffsetsResponse](t, b, 5, listOffsets(api.Topic{Name: "gone"}, -1)).Topics[0].Partitions[0].ErrorCode, kerr.UnknownTopicOrPartition)
}

func TestOffsetForLeaderEpoch(t *testing.T) {
	b := newBroker(nil)
	events := b.AddTopic("events", 1, nil)
	wantCode(t, "produce", producedCode(t, b, 9, produce(events, 0, 1, batch(2, 0))), nil)
	for version := int16(2); version <= 4; version++ {
		req := kmsg.NewPtrOffsetForLeaderEpochRequest()
		for partition, current := range []int32{-1, 3} {
			p := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
			p.Partition, p.CurrentLeaderEpoch = 0, current
			if partition == 1 {
				p.Partition = 0
			}
			req.Topics = append(req.Topics, kmsg.OffsetForLeaderEpochRequestTopic{Topic: "events", Partitions: []kmsg.OffsetForLeaderEpochRequestTopicPartition{p}})
		}
		resp := ask[*kmsg.OffsetForLeaderEpochResponse](t, b, version, req)
		if p := resp.Topics[0].Partitions[0]; p.ErrorCode != 0 || p.LeaderEpoch != 0 || p.EndOffset != 2 {
			t.Errorf("version %d: %+v", version, p)
		}
		wantCode(t, "newer epoch", resp.Topics[1].Partitions[0].ErrorCode, kerr.UnknownLeaderEpoch)
	}
}
