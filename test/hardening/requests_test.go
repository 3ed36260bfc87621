package hardening

import (
	"context"
	"iter"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/test/harness"
)

// connect is dial for a goroutine that is not the test's.
func connect(a *harness.Agent) (*wire, error) {
	c, err := net.DialTimeout("tcp", a.Addr, patience)
	if err != nil {
		return nil, err
	}
	return &wire{c, kmsg.NewRequestFormatter()}, nil
}

// SetReadBuffer keeps the kernel from taking what the reader does not.
func (w *wire) SetReadBuffer() { w.Conn.(*net.TCPConn).SetReadBuffer(4 << 10) }

func versionsRequest() kmsg.Request {
	req := kmsg.NewPtrApiVersionsRequest()
	req.SetVersion(3)
	req.ClientSoftwareName, req.ClientSoftwareVersion = "hardening", "1"
	return req
}

func produceRequest(topic string, partition int32, records []byte) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.SetVersion(9)
	req.Acks, req.TimeoutMillis = -1, 180_000
	rp := kmsg.NewProduceRequestTopicPartition()
	rp.Partition, rp.Records = partition, records
	rt := kmsg.NewProduceRequestTopic()
	rt.Topic = topic
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	return req
}

func fetchRequest(topic string, partition int32, offset int64, maxBytes int32) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.SetVersion(11)
	req.MaxBytes, req.SessionEpoch = maxBytes, -1
	rp := kmsg.NewFetchRequestTopicPartition()
	rp.Partition, rp.FetchOffset, rp.PartitionMaxBytes, rp.CurrentLeaderEpoch = partition, offset, maxBytes, -1
	rt := kmsg.NewFetchRequestTopic()
	rt.Topic = topic
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	return req
}

// batchOf makes an uncompressed batch of records with keys and values.
func batchOf(records ...recordbatch.Record) []byte {
	now := time.Now().UnixMilli()
	for i := range records {
		records[i].Timestamp = now
	}
	return recordbatch.Build(recordbatch.Draft{Records: records})
}

// createTopic wants a new topic.
func createTopic(t *testing.T, a *harness.Agent, name string, partitions int32) {
	t.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	req.SetVersion(5)
	req.TimeoutMillis = 10_000
	rt := kmsg.NewCreateTopicsRequestTopic()
	rt.Topic, rt.NumPartitions, rt.ReplicationFactor = name, partitions, 1
	req.Topics = append(req.Topics, rt)
	resp := ask[*kmsg.CreateTopicsResponse](t, dial(t, a), req)
	if err := kerr.ErrorForCode(resp.Topics[0].ErrorCode); err != nil {
		t.Fatal(err)
	}
}

// readTopic yields the first n records of a topic, from the start of each partition. It gives up after a minute
// without any.
func readTopic(t *testing.T, a *harness.Agent, topic string, partitions int32, n int) iter.Seq[*kgo.Record] {
	return func(yield func(*kgo.Record) bool) {
		from := make(map[int32]kgo.Offset)
		for p := range partitions {
			from[p] = kgo.NewOffset().AtStart()
		}
		c, err := kgo.NewClient(kgo.SeedBrokers(a.Addr), kgo.MaxBufferedRecords(64),
			kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}))
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		for n > 0 {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			fetches := c.PollRecords(ctx, 64)
			cancel()
			if err := fetches.Err(); err != nil {
				t.Errorf("%d records of %s missing: %v", n, topic, err)
				return
			}
			for _, r := range fetches.Records() {
				n--
				if !yield(r) {
					return
				}
			}
		}
	}
}
