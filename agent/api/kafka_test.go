package api_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The tests of this file hold answers that were compared with those of Apache Kafka 4.4 by test/peer.

func TestDescribeCluster_UnknownEndpointTypes(t *testing.T) {
	b := newBroker(nil)
	for kind, want := range map[int8]*kerr.Error{0: kerr.UnsupportedEndpointType, 2: kerr.MismatchedEndpointType, 3: kerr.UnsupportedEndpointType} {
		req := kmsg.NewPtrDescribeClusterRequest()
		req.EndpointType, req.IncludeClusterAuthorizedOperations = kind, true
		got := ask[*kmsg.DescribeClusterResponse](t, b, 2, req)
		wantCode(t, "endpoint type", got.ErrorCode, want)
		if got.ClusterID != "" || got.ControllerID != -1 || len(got.Brokers) != 0 || got.ClusterAuthorizedOperations != -1<<31 {
			t.Errorf("a refusal tells %+v", got)
		}
	}
}

func TestDescribeConfigs_AnEmptyListOfNamesIsAll(t *testing.T) {
	b := newBroker(nil)
	b.AddTopic("events", 1, nil)
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: "events", ConfigNames: []string{}}}
	if got := ask[*kmsg.DescribeConfigsResponse](t, b, 4, req).Resources[0]; len(got.Configs) == 0 {
		t.Error("no configs")
	}
}

func TestDescribeConfigs_LoggersOfAnotherBrokerAreRefused(t *testing.T) {
	_, code := describeConfigs(t, newBroker(nil), 4, kmsg.ConfigResourceTypeBrokerLogger, "99")
	wantCode(t, "loggers", code, kerr.InvalidRequest)
}

func TestDescribeConfigs_BrokerSettingsKeepTheirNamesAndTypes(t *testing.T) {
	b := newBroker(nil)
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.IncludeSynonyms = true
	req.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeBroker, ResourceName: "7",
		ConfigNames: []string{"log.segment.bytes", "node.id"}}}
	got := ask[*kmsg.DescribeConfigsResponse](t, b, 4, req).Resources[0].Configs
	if len(got) != 2 || len(got[0].ConfigSynonyms) != 1 || got[0].ConfigSynonyms[0].Name != "log.segment.bytes" || got[1].ConfigType != kmsg.ConfigTypeInt {
		t.Errorf("%+v", got)
	}
}

func TestOffsetForLeaderEpoch_NoEpochHasNoEnd(t *testing.T) {
	b := newBroker(nil)
	b.AddTopic("events", 1, nil)
	ask := func(current, epoch int32) kmsg.OffsetForLeaderEpochResponseTopicPartition {
		req := kmsg.NewPtrOffsetForLeaderEpochRequest()
		p := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
		p.CurrentLeaderEpoch, p.LeaderEpoch = current, epoch
		req.Topics = []kmsg.OffsetForLeaderEpochRequestTopic{{Topic: "events", Partitions: []kmsg.OffsetForLeaderEpochRequestTopicPartition{p}}}
		return ask[*kmsg.OffsetForLeaderEpochResponse](t, b, 4, req).Topics[0].Partitions[0]
	}
	if p := ask(-1, -1); p.ErrorCode != 0 || p.LeaderEpoch != -1 || p.EndOffset != -1 {
		t.Errorf("epoch -1: %+v", p)
	}
	wantCode(t, "current epoch -2", ask(-2, 0).ErrorCode, kerr.FencedLeaderEpoch)
}

func TestMetadata_TheIDDecidesBesideAName(t *testing.T) {
	b := newBroker(nil)
	events := b.AddTopic("events", 1, nil)
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{{TopicID: events.ID, Topic: kmsg.StringPtr("other")}}
	if got := ask[*kmsg.MetadataResponse](t, b, 12, req).Topics[0]; got.ErrorCode != 0 || *got.Topic != "events" {
		t.Errorf("%+v", got)
	}
}

func TestDescribeTopicPartitions_TheLeastPageIsOnePartition(t *testing.T) {
	b := newBroker(nil)
	b.AddTopic("events", 3, nil)
	req := kmsg.NewPtrDescribeTopicPartitionsRequest()
	req.ResponsePartitionLimit = 0
	got := ask[*kmsg.DescribeTopicPartitionsResponse](t, b, 0, req)
	if len(got.Topics[0].Partitions) != 1 || got.NextCursor == nil || got.NextCursor.Partition != 1 {
		t.Errorf("%+v", got)
	}
}

func TestIncrementalAlterConfigs_MalformedIsNoBadValue(t *testing.T) {
	b := newBroker(nil)
	b.AddTopic("events", 1, nil)
	code := func(configs ...kmsg.IncrementalAlterConfigsRequestResourceConfig) int16 {
		req := kmsg.NewPtrIncrementalAlterConfigsRequest()
		req.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: "events", Configs: configs}}
		return ask[*kmsg.IncrementalAlterConfigsResponse](t, b, 1, req).Resources[0].ErrorCode
	}
	set := kmsg.IncrementalAlterConfigsRequestResourceConfig{Name: "retention.ms", Value: kmsg.StringPtr("1")}
	wantCode(t, "twice", code(set, set), kerr.InvalidRequest)
	wantCode(t, "no value", code(kmsg.IncrementalAlterConfigsRequestResourceConfig{Name: "retention.ms"}), kerr.InvalidRequest)
	wantCode(t, "an unknown one deleted", code(kmsg.IncrementalAlterConfigsRequestResourceConfig{Name: "no.such", Op: kmsg.IncrementalAlterConfigOpDelete}), nil)
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	r := kmsg.IncrementalAlterConfigsRequestResource{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: "events",
		Configs: []kmsg.IncrementalAlterConfigsRequestResourceConfig{set}}
	req.Resources = append(req.Resources, r, r)
	wantCode(t, "the first of two", ask[*kmsg.IncrementalAlterConfigsResponse](t, b, 1, req).Resources[0].ErrorCode, kerr.InvalidRequest)
	if have, _ := b.State().TopicByName("events"); len(have.Configs) != 0 {
		t.Errorf("refused changes were made: %v", have.Configs)
	}
}

func TestCreateTopics_NamesThatCollideAreRefusedAtValidation(t *testing.T) {
	b := newBroker(nil)
	b.AddTopic("a.b", 1, nil)
	req := kmsg.NewPtrCreateTopicsRequest()
	req.ValidateOnly, req.Topics = true, []kmsg.CreateTopicsRequestTopic{newTopic("a_b", 1, 1)}
	wantCode(t, "a_b", ask[*kmsg.CreateTopicsResponse](t, b, 7, req).Topics[0].ErrorCode, kerr.InvalidTopicException)
}

func TestAssignments_OfNobodyOrOfOneTwiceAreRefused(t *testing.T) {
	b := newBroker(nil)
	b.AddTopic("events", 1, nil)
	for _, replicas := range [][]int32{{}, {7, 7}} {
		req := kmsg.NewPtrCreatePartitionsRequest()
		req.Topics = []kmsg.CreatePartitionsRequestTopic{{Topic: "events", Count: 2,
			Assignment: []kmsg.CreatePartitionsRequestTopicAssignment{{Replicas: replicas}}}}
		wantCode(t, "more partitions", ask[*kmsg.CreatePartitionsResponse](t, b, 3, req).Topics[0].ErrorCode, kerr.InvalidReplicaAssignment)
		topic := newTopic("new", -1, -1)
		topic.ReplicaAssignment = []kmsg.CreateTopicsRequestTopicReplicaAssignment{{Replicas: replicas}}
		create := kmsg.NewPtrCreateTopicsRequest()
		create.Topics = []kmsg.CreateTopicsRequestTopic{topic}
		wantCode(t, "a topic", ask[*kmsg.CreateTopicsResponse](t, b, 7, create).Topics[0].ErrorCode, kerr.InvalidReplicaAssignment)
	}
}

func TestFetch_ANegativeEpochIsNone(t *testing.T) {
	b := newBroker(nil)
	events := b.AddTopic("events", 1, nil)
	for epoch, want := range map[int32]*kerr.Error{-2: nil, -1: nil, 0: nil, 9: kerr.UnknownLeaderEpoch} {
		asked := fetchTopic(events, 0)
		asked.Partitions[0].CurrentLeaderEpoch = epoch
		req := fetch(asked)
		req.MaxWaitMillis = 0
		wantCode(t, "fetch", ask[*kmsg.FetchResponse](t, b, 12, req).Topics[0].Partitions[0].ErrorCode, want)
	}
}
