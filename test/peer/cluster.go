package main

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var clusterScenarios = []scenario{
	{"DescribeCluster", describeCluster},
	{"DescribeTopicPartitions", describeTopicPartitions},
	{"FindCoordinator", findCoordinator},
	{"InitProducerId", initProducerID},
}

func describeCluster(b *broker) {
	for _, v := range b.versions(kmsg.DescribeCluster) {
		for kind := int8(0); kind <= 3; kind++ {
			for _, operations := range []bool{false, true} {
				req := kmsg.NewPtrDescribeClusterRequest()
				req.EndpointType, req.IncludeClusterAuthorizedOperations, req.IncludeFencedBrokers = kind, operations, true
				ask[*kmsg.DescribeClusterResponse](b, fmt.Sprintf("endpoint type %d operations %t", kind, operations), v, req)
			}
		}
	}
}

func describeTopicPartitions(b *broker) {
	b.topic("dtp-a", 3)
	b.topic("dtp-b", 2)
	describe := func(label string, limit int32, cursor *kmsg.DescribeTopicPartitionsRequestCursor, names ...string) {
		req := kmsg.NewPtrDescribeTopicPartitionsRequest()
		req.ResponsePartitionLimit, req.Cursor = limit, cursor
		for _, n := range names {
			t := kmsg.NewDescribeTopicPartitionsRequestTopic()
			t.Topic = n
			req.Topics = append(req.Topics, t)
		}
		ask[*kmsg.DescribeTopicPartitionsResponse](b, label, 0, req)
	}
	at := func(name string, partition int32) *kmsg.DescribeTopicPartitionsRequestCursor {
		c := kmsg.NewDescribeTopicPartitionsRequestCursor()
		c.Topic, c.Partition = b.run+name, partition
		return &c
	}
	x, y := b.run+"dtp-a", b.run+"dtp-b"
	describe("both", 2000, nil, x, y)
	describe("twice", 2000, nil, x, x)
	describe("unordered", 2000, nil, y, x)
	describe("limit 0", 0, nil, x)
	describe("limit -1", -1, nil, x)
	for limit := int32(1); limit <= 5; limit++ {
		describe(fmt.Sprintf("limit %d", limit), limit, nil, x, y)
	}
	describe("cursor at 1", 2000, at("dtp-a", 1), x, y)
	describe("cursor at the end", 2000, at("dtp-a", 3), x, y)
	describe("cursor behind the end", 2000, at("dtp-a", 9), x, y)
	describe("cursor at -1", 2000, at("dtp-a", -1), x, y)
	describe("cursor in b", 2000, at("dtp-b", 1), x, y)
	describe("cursor between", 2000, at("dtp-aa", 1), x, y)
	describe("cursor behind all", 2000, at("dtp-c", 0), x, y)
	describe("unknown topic", 2000, nil, b.run+"dtp-no", x)
	describe("bad names", 2000, nil, "", "bad/name", x)
	describe("cursor at an unknown topic", 2000, at("dtp-no", 0), b.run+"dtp-no", y)
}

func findCoordinator(b *broker) {
	for _, v := range b.versions(kmsg.FindCoordinator) {
		for _, key := range []string{"g", "", "bad key?"} {
			req := kmsg.NewPtrFindCoordinatorRequest()
			req.CoordinatorKey, req.CoordinatorKeys = key, []string{key}
			ask[*kmsg.FindCoordinatorResponse](b, fmt.Sprintf("group %q", key), v, req)
		}
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.CoordinatorKey, req.CoordinatorKeys, req.CoordinatorType = "a", []string{"a", "b"}, 0
		ask[*kmsg.FindCoordinatorResponse](b, "two", v, req)
		if v >= 4 {
			req.CoordinatorKeys = []string{}
			ask[*kmsg.FindCoordinatorResponse](b, "none", v, req)
		}
		if v < 1 {
			continue
		}
		for _, kind := range []int8{1, 2, 3, -1} {
			req := kmsg.NewPtrFindCoordinatorRequest()
			req.CoordinatorKey, req.CoordinatorKeys, req.CoordinatorType = "x", []string{"x"}, kind
			if kind == 1 {
				for range 20 { // Kafka makes the topic of transactions first
					got := quietly[*kmsg.FindCoordinatorResponse](b, v, req)
					if got.ErrorCode != 15 && (len(got.Coordinators) == 0 || got.Coordinators[0].ErrorCode != 15) {
						break
					}
					b.settle()
				}
			}
			ask[*kmsg.FindCoordinatorResponse](b, fmt.Sprintf("type %d", kind), v, req)
		}
	}
}

func initProducerID(b *broker) {
	for _, v := range b.versions(kmsg.InitProducerID) {
		req := kmsg.NewPtrInitProducerIDRequest()
		req.ProducerID, req.ProducerEpoch = -1, -1
		first := ask[*kmsg.InitProducerIDResponse](b, "idempotent", v, req)
		second := quietly[*kmsg.InitProducerIDResponse](b, v, req)
		b.note("another id", fmt.Sprint(first.ProducerID != second.ProducerID))
		req.TransactionalID = kmsg.StringPtr("")
		req.TransactionTimeoutMillis = 60_000
		ask[*kmsg.InitProducerIDResponse](b, "empty transactional id", v, req)
		if v < 3 {
			continue
		}
		req.TransactionalID = nil
		for _, p := range [][2]int64{{first.ProducerID, 0}, {first.ProducerID, 5}, {first.ProducerID, 32767}, {first.ProducerID, -1}, {-1, 3}, {1 << 40, 0}} {
			again := kmsg.NewPtrInitProducerIDRequest()
			again.ProducerID, again.ProducerEpoch = p[0], int16(p[1])
			label := fmt.Sprintf("known id, epoch %d", p[1])
			if p[0] != first.ProducerID {
				label = fmt.Sprintf("id %d, epoch %d", p[0], p[1])
			}
			got := ask[*kmsg.InitProducerIDResponse](b, label, v, again)
			b.note(label+": another id", fmt.Sprint(got.ProducerID != first.ProducerID))
		}
	}
}
