package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/odradek/odradek/topic"
)

func init() { register(2, 4, (*Router).offsetForLeaderEpoch) }

// offsetForLeaderEpoch tells where a partition epoch ended, from the assignments; the end of the newest is the end of
// the log and needs the owner's proof.
func (rt *Router) offsetForLeaderEpoch(_ context.Context, c *call, req *kmsg.OffsetForLeaderEpochRequest) (answer, error) {
	return func(ctx context.Context) (kmsg.Response, error) {
		resp := kmsg.NewPtrOffsetForLeaderEpochResponse()
		l := locator{rt: rt, state: rt.Cluster.State()}
		var queries []EpochQuery
		var at []place
		for i, t := range req.Topics {
			found, code := findTopic(l.state, false, topic.ID{}, t.Topic)
			out := kmsg.NewOffsetForLeaderEpochResponseTopic()
			out.Topic = t.Topic
			for j, p := range t.Partitions {
				rp := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
				rp.Partition, rp.LeaderEpoch, rp.EndOffset = p.Partition, -1, -1
				var id topic.Partition
				id, rp.ErrorCode = l.find(ctx, found, code, p.Partition, p.CurrentLeaderEpoch)
				if rp.ErrorCode == 0 && p.LeaderEpoch >= 0 { // a negative epoch is none, and has no end
					queries = append(queries, EpochQuery{Partition: id, Epoch: topic.Epoch(p.LeaderEpoch)})
					at = append(at, place{i, j})
				}
				out.Partitions = append(out.Partitions, rp)
			}
			resp.Topics = append(resp.Topics, out)
		}
		if len(queries) == 0 {
			return resp, nil
		}
		for k, e := range rt.Offsets.EpochEnds(ctx, queries) {
			rp := &resp.Topics[at[k].topic].Partitions[at[k].partition]
			if rp.ErrorCode = rt.code(c, e.Err); rp.ErrorCode == 0 {
				rp.LeaderEpoch, rp.EndOffset = int32(e.Epoch), int64(e.End)
			}
		}
		return resp, ctx.Err()
	}, nil
}
