package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/odradek/odradek/topic"
)

func init() { register(0, 2, (*Router).deleteRecords) }

// deleteRecords raises log starts (KIP-107). All partitions of a request are raised together. A partition that is named
// twice is raised twice, which the higher offset decides.
func (rt *Router) deleteRecords(_ context.Context, c *call, req *kmsg.DeleteRecordsRequest) (answer, error) {
	return func(ctx context.Context) (kmsg.Response, error) {
		resp := kmsg.NewPtrDeleteRecordsResponse()
		state := rt.Cluster.State()
		var to []LogStart
		var at []place
		for i, t := range req.Topics {
			found, code := findTopic(state, false, topic.ID{}, t.Topic)
			out := kmsg.NewDeleteRecordsResponseTopic()
			out.Topic = t.Topic
			for j, p := range t.Partitions {
				rp := kmsg.NewDeleteRecordsResponseTopicPartition()
				rp.Partition, rp.LowWatermark = p.Partition, -1
				l := LogStart{Partition: topic.Partition{Topic: found.ID, Index: p.Partition}, Start: topic.Offset(p.Offset)}
				if rp.ErrorCode = code; code == 0 {
					rp.ErrorCode = rt.keepsRecords(state, found, l.Partition)
				}
				if rp.ErrorCode == 0 {
					to, at = append(to, l), append(at, place{i, j})
				}
				out.Partitions = append(out.Partitions, rp)
			}
			resp.Topics = append(resp.Topics, out)
		}
		if len(to) == 0 {
			return resp, nil
		}
		limited, cancel := withTimeout(ctx, c, req.TimeoutMillis)
		defer cancel()
		for k, r := range rt.Starts.Raise(limited, to) {
			rp := &resp.Topics[at[k].topic].Partitions[at[k].partition]
			if rp.ErrorCode = rt.code(c, r.Err); rp.ErrorCode == 0 {
				rp.LowWatermark = int64(r.Start)
			}
		}
		return resp, ctx.Err()
	}, nil
}

// keepsRecords gives the code for a partition whose records nobody may delete, 0 for others. That a topic is compacted only
// is for its owner to say, as in Kafka: whoever else is asked may know older settings.
func (rt *Router) keepsRecords(state State, t Topic, p topic.Partition) int16 {
	switch {
	case p.Index < 0 || p.Index >= t.Partitions:
		return kerr.UnknownTopicOrPartition.Code
	case t.Internal:
		return kerr.InvalidTopicException.Code
	case (topic.Values{Topic: t.Configs, Cluster: rt.cluster(state)}).Deletes():
		return 0
	}
	if owner, ok := state.Owner(p); !ok || owner.NodeID != rt.Cluster.NodeID() {
		return kerr.NotLeaderForPartition.Code
	}
	return kerr.PolicyViolation.Code
}
