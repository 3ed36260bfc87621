package api_test

import (
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/odradek/odradek/agent/api"
	"github.com/odradek/odradek/agent/api/apitest"
)

func metadata(names ...string) *kmsg.MetadataRequest {
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{}
	for _, n := range names {
		req.Topics = append(req.Topics, kmsg.MetadataRequestTopic{Topic: &n})
	}
	return req
}

func TestMetadata_EveryVersion(t *testing.T) {
	b := newBroker(nil)
	events := b.AddTopic("events", 3, nil)
	b.AddInternal("__consumer_offsets")
	for version := int16(0); version <= 13; version++ {
		resp := ask[*kmsg.MetadataResponse](t, b, version, metadata("events"))
		if len(resp.Brokers) != 1 || resp.Brokers[0].NodeID != apitest.NodeID || len(resp.Topics) != 1 {
			t.Fatalf("version %d: %+v", version, resp)
		}
		topic := resp.Topics[0]
		if len(topic.Partitions) != 3 || topic.Partitions[2].Leader != apitest.NodeID || len(topic.Partitions[2].ISR) != 1 {
			t.Errorf("version %d: %+v", version, topic.Partitions)
		}
		if version >= 10 && topic.TopicID != events.ID || version >= 8 && topic.AuthorizedOperations != math.MinInt32 {
			t.Errorf("version %d: id %x, operations %d", version, topic.TopicID, topic.AuthorizedOperations)
		}
		if version >= 2 && *resp.ClusterID != apitest.ClusterID || version >= 1 && resp.ControllerID != apitest.NodeID {
			t.Errorf("version %d: cluster %q, controller %d", version, *resp.ClusterID, resp.ControllerID)
		}
		all := metadata()
		if version > 0 {
			all.Topics = nil
		}
		if resp := ask[*kmsg.MetadataResponse](t, b, version, all); len(resp.Topics) != 2 || version >= 1 && !resp.Topics[0].IsInternal {
			t.Errorf("version %d: all are %+v", version, resp.Topics)
		}
		if none := ask[*kmsg.MetadataResponse](t, b, version, metadata()); version > 0 && len(none.Topics) != 0 {
			t.Errorf("version %d: none are %+v", version, none.Topics)
		}
	}
}

func TestMetadata_CreatesWhatBothSidesWant(t *testing.T) {
	on := newBroker(nil)
	off := newBroker(func(c *api.Config) { c.Settings = newTopicConfig("auto.create.topics.enable", "false") })
	allow := metadata("new", "new", "bad name")
	allow.AllowAutoTopicCreation = true
	resp := ask[*kmsg.MetadataResponse](t, on, 9, allow)
	if len(resp.Topics) != 2 || len(resp.Topics[0].Partitions) != 4 {
		t.Errorf("created: %+v", resp.Topics)
	}
	wantCode(t, "bad name", resp.Topics[1].ErrorCode, kerr.InvalidTopicException)
	wantCode(t, "not allowed by the agent", ask[*kmsg.MetadataResponse](t, off, 9, allow).Topics[0].ErrorCode, kerr.UnknownTopicOrPartition)
	wantCode(t, "not allowed by the client", ask[*kmsg.MetadataResponse](t, on, 9, metadata("other")).Topics[0].ErrorCode, kerr.UnknownTopicOrPartition)
	if resp := ask[*kmsg.MetadataResponse](t, on, 3, metadata("old")); len(resp.Topics[0].Partitions) != 4 {
		t.Errorf("version 3 always allows: %+v", resp.Topics)
	}
}

func TestMetadata_ByID(t *testing.T) {
	b := newBroker(nil)
	events := b.AddTopic("events", 1, nil)
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{{TopicID: events.ID}, {TopicID: [16]byte{1}}}
	resp := ask[*kmsg.MetadataResponse](t, b, 12, req)
	if *resp.Topics[0].Topic != "events" {
		t.Errorf("topic %q", *resp.Topics[0].Topic)
	}
	wantCode(t, "no such id", resp.Topics[1].ErrorCode, kerr.UnknownTopicID)
}

func TestFindCoordinator(t *testing.T) {
	b := newBroker(nil)
	for version := int16(0); version <= 6; version++ {
		for _, c := range []struct {
			kind int8
			key  string
			want *kerr.Error
		}{{0, "group", nil}, {0, "nowhere", kerr.CoordinatorNotAvailable}, {1, "txn", kerr.InvalidRequest}, {2, "share", kerr.InvalidRequest}} {
			if version == 0 && c.kind != 0 {
				continue
			}
			req := kmsg.NewPtrFindCoordinatorRequest()
			req.CoordinatorKey, req.CoordinatorKeys, req.CoordinatorType = c.key, []string{c.key}, c.kind
			resp := ask[*kmsg.FindCoordinatorResponse](t, b, version, req)
			code, node := resp.ErrorCode, resp.NodeID
			if version >= 4 {
				code, node = resp.Coordinators[0].ErrorCode, resp.Coordinators[0].NodeID
			}
			wantCode(t, c.key, code, c.want)
			if (node == apitest.NodeID) != (c.want == nil) {
				t.Errorf("%s: node %d", c.key, node)
			}
		}
	}
}

func newTopic(name string, partitions int32, factor int16) kmsg.CreateTopicsRequestTopic {
	return kmsg.CreateTopicsRequestTopic{Topic: name, NumPartitions: partitions, ReplicationFactor: factor}
}

func TestCreateTopics_EveryVersion(t *testing.T) {
	b := newBroker(nil)
	for version := int16(2); version <= 7; version++ {
		name := "t" + string(rune('0'+version))
		req := kmsg.NewPtrCreateTopicsRequest()
		topic := newTopic(name, -1, 3)
		topic.Configs = []kmsg.CreateTopicsRequestTopicConfig{{Name: "cleanup.policy", Value: kmsg.StringPtr("compact")}}
		req.Topics = append(req.Topics, topic)
		got := ask[*kmsg.CreateTopicsResponse](t, b, version, req).Topics[0]
		wantCode(t, name, got.ErrorCode, nil)
		if version >= 5 && (got.NumPartitions != 4 || got.ReplicationFactor != 3 || len(got.Configs) < 30) {
			t.Errorf("version %d: %d partitions, factor %d, %d configs", version, got.NumPartitions, got.ReplicationFactor, len(got.Configs))
		}
		created, ok := b.State().TopicByName(name)
		if !ok || created.Partitions != 4 || created.Configs["cleanup.policy"] != "compact" || version >= 7 && got.TopicID != created.ID {
			t.Errorf("version %d: %+v", version, created)
		}
	}
}

func TestCreateTopics_Refuses(t *testing.T) {
	b := newBroker(nil)
	b.AddTopic("taken", 1, nil)
	config := func(name string, value *string) kmsg.CreateTopicsRequestTopic {
		topic := newTopic("x", 1, 1)
		topic.Configs = []kmsg.CreateTopicsRequestTopicConfig{{Name: name, Value: value}}
		return topic
	}
	assigned := func(partitions, factor int16, indexes ...int32) kmsg.CreateTopicsRequestTopic {
		topic := newTopic("x", int32(partitions), factor)
		for _, i := range indexes {
			topic.ReplicaAssignment = append(topic.ReplicaAssignment, kmsg.CreateTopicsRequestTopicReplicaAssignment{Partition: i, Replicas: []int32{1, 2}})
		}
		return topic
	}
	for _, c := range []struct {
		name  string
		topic kmsg.CreateTopicsRequestTopic
		want  *kerr.Error
	}{
		{"taken", newTopic("taken", 1, 1), kerr.TopicAlreadyExists},
		{"bad name", newTopic("a b", 1, 1), kerr.InvalidTopicException},
		{"no partitions", newTopic("x", 0, 1), kerr.InvalidPartitions},
		{"too many partitions", newTopic("x", 1<<30, 1), kerr.InvalidPartitions},
		{"no replicas", newTopic("x", 1, 0), kerr.InvalidReplicationFactor},
		{"unknown config", config("nope", kmsg.StringPtr("1")), kerr.InvalidConfig},
		{"bad config", config("retention.ms", kmsg.StringPtr("soon")), kerr.InvalidConfig},
		{"null config", config("retention.ms", nil), kerr.InvalidConfig},
		{"assignment beside a number", assigned(2, -1, 0, 1), kerr.InvalidRequest},
		{"assignment with a gap", assigned(-1, -1, 0, 2), kerr.InvalidReplicaAssignment},
		{"assignment", assigned(-1, -1, 1, 0), nil},
	} {
		req := kmsg.NewPtrCreateTopicsRequest()
		req.ValidateOnly, req.Topics = true, []kmsg.CreateTopicsRequestTopic{c.topic}
		wantCode(t, c.name, ask[*kmsg.CreateTopicsResponse](t, b, 7, req).Topics[0].ErrorCode, c.want)
	}
	if _, ok := b.State().TopicByName("x"); ok {
		t.Error("a validated topic was created")
	}
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Topics = []kmsg.CreateTopicsRequestTopic{newTopic("twice", 1, 1), newTopic("twice", 1, 1)}
	wantCode(t, "twice", ask[*kmsg.CreateTopicsResponse](t, b, 7, req).Topics[1].ErrorCode, kerr.InvalidRequest)
}

func TestDeleteTopics(t *testing.T) {
	b := newBroker(nil)
	b.AddInternal("__consumer_offsets")
	for version := int16(1); version <= 6; version++ {
		old := b.AddTopic("old", 1, nil)
		req := kmsg.NewPtrDeleteTopicsRequest()
		req.TopicNames = []string{"old", "gone", "__consumer_offsets"}
		req.Topics = []kmsg.DeleteTopicsRequestTopic{{TopicID: old.ID}, {Topic: kmsg.StringPtr("gone")}, {Topic: kmsg.StringPtr("__consumer_offsets")}}
		got := ask[*kmsg.DeleteTopicsResponse](t, b, version, req).Topics
		wantCode(t, "old", got[0].ErrorCode, nil)
		wantCode(t, "gone", got[1].ErrorCode, kerr.UnknownTopicOrPartition)
		wantCode(t, "internal", got[2].ErrorCode, kerr.InvalidTopicException)
		if _, ok := b.State().TopicByName("old"); ok || *got[0].Topic != "old" {
			t.Errorf("version %d: the topic is still there", version)
		}
	}
	off := newBroker(func(c *api.Config) { c.Settings = newTopicConfig("delete.topic.enable", "false") })
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.Topics = []kmsg.DeleteTopicsRequestTopic{{Topic: kmsg.StringPtr("old")}}
	wantCode(t, "switched off", ask[*kmsg.DeleteTopicsResponse](t, off, 6, req).Topics[0].ErrorCode, kerr.TopicDeletionDisabled)
}

func TestCreatePartitions(t *testing.T) {
	b := newBroker(nil)
	for version := int16(0); version <= 3; version++ {
		name := "t" + string(rune('0'+version))
		b.AddTopic(name, 2, nil)
		for _, c := range []struct {
			name  string
			count int32
			want  *kerr.Error
		}{{name, 2, kerr.InvalidPartitions}, {name, 1 << 30, kerr.InvalidPartitions}, {"gone", 3, kerr.UnknownTopicOrPartition}, {name, 5, nil}} {
			req := kmsg.NewPtrCreatePartitionsRequest()
			req.Topics = []kmsg.CreatePartitionsRequestTopic{{Topic: c.name, Count: c.count}}
			wantCode(t, c.name, ask[*kmsg.CreatePartitionsResponse](t, b, version, req).Topics[0].ErrorCode, c.want)
		}
		if grown, _ := b.State().TopicByName(name); grown.Partitions != 5 {
			t.Errorf("version %d: %d partitions", version, grown.Partitions)
		}
	}
}

func TestInitProducerID(t *testing.T) {
	b := newBroker(nil)
	seen := map[int64]bool{}
	for version := int16(0); version <= 5; version++ {
		req := kmsg.NewPtrInitProducerIDRequest()
		got := ask[*kmsg.InitProducerIDResponse](t, b, version, req)
		wantCode(t, "new", got.ErrorCode, nil)
		if seen[got.ProducerID] || got.ProducerEpoch != 0 {
			t.Errorf("version %d: producer id %d again, or epoch %d", version, got.ProducerID, got.ProducerEpoch)
		}
		seen[got.ProducerID] = true
		req.TransactionalID = kmsg.StringPtr("txn")
		wantCode(t, "transactional", ask[*kmsg.InitProducerIDResponse](t, b, version, req).ErrorCode, kerr.InvalidRequest)
	}
	again := kmsg.NewPtrInitProducerIDRequest()
	again.ProducerID, again.ProducerEpoch = 1, 4
	if got := ask[*kmsg.InitProducerIDResponse](t, b, 5, again); got.ErrorCode != 0 || seen[got.ProducerID] {
		t.Errorf("the producer that came again: %+v", got)
	}
	again.ProducerEpoch = -1
	wantCode(t, "id without epoch", ask[*kmsg.InitProducerIDResponse](t, b, 5, again).ErrorCode, kerr.InvalidRequest)
}

func TestDescribeCluster(t *testing.T) {
	b := newBroker(nil)
	for version := int16(0); version <= 2; version++ {
		req := kmsg.NewPtrDescribeClusterRequest()
		req.EndpointType, req.IncludeClusterAuthorizedOperations = 1, true
		got := ask[*kmsg.DescribeClusterResponse](t, b, version, req)
		if got.ClusterID != apitest.ClusterID || len(got.Brokers) != 1 || got.ClusterAuthorizedOperations <= 0 {
			t.Errorf("version %d: %+v", version, got)
		}
	}
	req := kmsg.NewPtrDescribeClusterRequest()
	req.EndpointType = 2
	wantCode(t, "controllers", ask[*kmsg.DescribeClusterResponse](t, b, 1, req).ErrorCode, kerr.MismatchedEndpointType)
}

func TestDescribeTopicPartitions_PagesByCursor(t *testing.T) {
	b := newBroker(nil)
	b.AddTopic("a", 3, nil)
	b.AddTopic("b", 2, nil)
	req := kmsg.NewPtrDescribeTopicPartitionsRequest()
	req.ResponsePartitionLimit = 2
	var pages []string
	for {
		resp := ask[*kmsg.DescribeTopicPartitionsResponse](t, b, 0, req)
		var page []string
		for _, topic := range resp.Topics {
			for _, p := range topic.Partitions {
				page = append(page, *topic.Topic+strconv.Itoa(int(p.Partition)))
			}
		}
		pages = append(pages, strings.Join(page, " "))
		if resp.NextCursor == nil {
			break
		}
		req.Cursor = &kmsg.DescribeTopicPartitionsRequestCursor{Topic: resp.NextCursor.Topic, Partition: resp.NextCursor.Partition}
	}
	if got := strings.Join(pages, " | "); got != "a0 a1 | a2 b0 | b1" {
		t.Errorf("pages %s", got)
	}
	named := kmsg.NewPtrDescribeTopicPartitionsRequest()
	named.ResponsePartitionLimit = 10
	named.Topics = []kmsg.DescribeTopicPartitionsRequestTopic{{Topic: "gone"}, {Topic: "b"}}
	resp := ask[*kmsg.DescribeTopicPartitionsResponse](t, b, 0, named)
	wantCode(t, "gone", resp.Topics[1].ErrorCode, kerr.UnknownTopicOrPartition)
	if len(resp.Topics[0].Partitions) != 2 {
		t.Errorf("%+v", resp.Topics)
	}
}
