package api_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/odradek/odradek/agent/api"
	"github.com/odradek/odradek/agent/api/apitest"
	"github.com/odradek/odradek/agent/ingest"
	"github.com/odradek/odradek/topic"
)

// deleteRecords asks for one partition to begin at an offset.
func deleteRecords(t *testing.T, b *broker, version int16, name string, partition int32, offset int64) kmsg.DeleteRecordsResponseTopicPartition {
	t.Helper()
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.TimeoutMillis = 1000
	req.Topics = []kmsg.DeleteRecordsRequestTopic{{Topic: name,
		Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Partition: partition, Offset: offset}}}}
	return ask[*kmsg.DeleteRecordsResponse](t, b, version, req).Topics[0].Partitions[0]
}

func TestDeleteRecords_EveryVersion(t *testing.T) {
	for version := int16(0); version <= 2; version++ {
		b := newBroker(nil)
		events := b.AddTopic("events", 1, nil)
		wantCode(t, "produce", producedCode(t, b, 9, produce(events, 0, -1, batch(5, 0))), nil)
		for _, c := range []struct {
			to, want int64
			code     *kerr.Error
		}{
			{2, 2, nil}, {1, 2, nil}, {6, -1, kerr.OffsetOutOfRange}, {-2, -1, kerr.OffsetOutOfRange}, {-1, 5, nil},
		} {
			p := deleteRecords(t, b, version, "events", 0, c.to)
			wantCode(t, "delete", p.ErrorCode, c.code)
			if p.LowWatermark != c.want || p.Partition != 0 {
				t.Errorf("version %d: to %d: %+v, want %d", version, c.to, p, c.want)
			}
		}
		if p := ask[*kmsg.ListOffsetsResponse](t, b, 5, listOffsets(events, -2)).Topics[0].Partitions[0]; p.Offset != 5 {
			t.Errorf("earliest is %d, want 5", p.Offset)
		}
	}
}

func TestDeleteRecords_RefusesPartitionByPartition(t *testing.T) {
	b := newBroker(nil)
	b.AddTopic("events", 3, nil)
	b.AddTopic("tables", 3, newTopicConfig("cleanup.policy", "compact"))
	b.AddTopic("both", 1, newTopicConfig("cleanup.policy", "compact,delete"))
	b.AddInternal("__consumer_offsets")
	b.Owners = func(p topic.Partition) (api.Owner, bool) { return api.Owner{NodeID: apitest.NodeID + p.Index}, true }
	b.Refuse = func(p topic.Partition) error {
		if p.Index > 0 {
			return ingest.ErrNotOwner
		}
		return nil
	}
	for _, c := range []struct {
		name, topic string
		partition   int32
		want        *kerr.Error
	}{
		{"owned", "events", 0, nil},
		{"another agent's", "events", 1, kerr.NotLeaderForPartition},
		{"no such topic", "gone", 0, kerr.UnknownTopicOrPartition},
		{"no such partition", "events", 3, kerr.UnknownTopicOrPartition},
		{"negative partition", "events", -1, kerr.UnknownTopicOrPartition},
		{"internal topic", "__consumer_offsets", 0, kerr.InvalidTopicException},
		{"compacted only", "tables", 0, kerr.PolicyViolation},
		{"compacted, another agent's", "tables", 1, kerr.NotLeaderForPartition},
		{"compacted and deleted", "both", 0, nil},
	} {
		p := deleteRecords(t, b, 2, c.topic, c.partition, -1)
		wantCode(t, c.name, p.ErrorCode, c.want)
		if low := int64(-1); (c.want != nil) != (p.LowWatermark == low) {
			t.Errorf("%s: low watermark %d", c.name, p.LowWatermark)
		}
	}
}

// Named twice, a partition is answered twice, and the higher offset decides in either order.
func TestDeleteRecords_NamedTwice(t *testing.T) {
	for _, to := range [][2]int64{{1, 4}, {4, 1}} {
		b := newBroker(nil)
		events := b.AddTopic("events", 1, nil)
		wantCode(t, "produce", producedCode(t, b, 9, produce(events, 0, -1, batch(5, 0))), nil)
		req := kmsg.NewPtrDeleteRecordsRequest()
		req.Topics = []kmsg.DeleteRecordsRequestTopic{{Topic: "events",
			Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Offset: to[0]}, {Offset: to[1]}}}}
		got := ask[*kmsg.DeleteRecordsResponse](t, b, 1, req).Topics[0].Partitions
		if len(got) != 2 || got[0].ErrorCode != 0 || got[1].ErrorCode != 0 || got[1].LowWatermark != 4 {
			t.Errorf("%v: %+v", to, got)
		}
	}
}
