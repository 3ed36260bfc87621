package api

import (
	"context"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/odradek/odradek/topic"
)

func init() { register(0, 0, (*Router).describeTopicPartitions) }

// describeTopicPartitions lists topics by name, at most so many partitions at a time; the cursor says where the next
// answer goes on (KIP-966). Without names it lists all topics.
func (rt *Router) describeTopicPartitions(_ context.Context, _ *call, req *kmsg.DescribeTopicPartitionsRequest) (answer, error) {
	resp := kmsg.NewPtrDescribeTopicPartitionsResponse()
	state := rt.Cluster.State()
	left := rt.cluster(state).Int64("max.request.partition.size.limit")
	left = max(1, min(left, int64(req.ResponsePartitionLimit)))
	from := int32(0)
	names := partitionedNames(state, req)
	if req.Cursor != nil {
		i, found := slices.BinarySearch(names, req.Cursor.Topic)
		if names = names[i:]; found {
			from = max(req.Cursor.Partition, 0)
		}
	}
	for _, name := range names {
		out := kmsg.NewDescribeTopicPartitionsResponseTopic()
		out.Topic, out.AuthorizedOperations = &name, noOperations
		t, ok := state.TopicByName(name)
		switch {
		case topic.ValidateName(name) != nil:
			out.ErrorCode = kerr.InvalidTopicException.Code
		case !ok:
			out.ErrorCode = kerr.UnknownTopicOrPartition.Code
		}
		if out.ErrorCode != 0 {
			resp.Topics = append(resp.Topics, out)
			continue
		}
		if left == 0 {
			resp.NextCursor = &kmsg.DescribeTopicPartitionsResponseNextCursor{Topic: name}
			return now(resp), nil
		}
		out.TopicID, out.IsInternal, out.AuthorizedOperations = t.ID, t.Internal, allTopicOperations
		to := min(t.Partitions, from+int32(min(left, int64(max(t.Partitions-from, 0)))))
		for i := from; i < to; i++ {
			out.Partitions = append(out.Partitions, partitionOf(state, topic.Partition{Topic: t.ID, Index: i}))
		}
		left -= int64(max(to-from, 0))
		resp.Topics = append(resp.Topics, out)
		if to < t.Partitions && to >= from {
			resp.NextCursor = &kmsg.DescribeTopicPartitionsResponseNextCursor{Topic: name, Partition: to}
			return now(resp), nil
		}
		from = 0
	}
	return now(resp), nil
}

// partitionedNames lists the topics asked for, each once, by name.
func partitionedNames(state State, req *kmsg.DescribeTopicPartitionsRequest) []string {
	var names []string
	for _, t := range req.Topics {
		names = append(names, t.Topic)
	}
	if len(req.Topics) == 0 {
		for _, t := range state.Topics() {
			names = append(names, t.Name)
		}
	}
	slices.SortFunc(names, strings.Compare)
	return slices.Compact(names)
}

func partitionOf(state State, id topic.Partition) kmsg.DescribeTopicPartitionsResponseTopicPartition {
	p := kmsg.NewDescribeTopicPartitionsResponseTopicPartition()
	o := ownerOf(state, id)
	p.Partition, p.LeaderID, p.LeaderEpoch = id.Index, o.NodeID, int32(o.Epoch)
	p.Replicas, p.ISR, p.OfflineReplicas, p.ErrorCode = replicas(state, id, o)
	p.EligibleLeaderReplicas, p.LastKnownELR = []int32{}, []int32{}
	return p
}
