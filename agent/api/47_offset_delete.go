package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/odradek/odradek/agent/group"
)

func init() { register(0, 0, (*Router).offsetDelete) }

// offsetDelete deletes committed offsets (KIP-496). Like Kafka it refuses partitions of topics that do not exist.
func (rt *Router) offsetDelete(ctx context.Context, c *call, req *kmsg.OffsetDeleteRequest) (answer, error) {
	resp := kmsg.NewPtrOffsetDeleteResponse()
	r := group.DeleteOffsetsRequest{Group: req.Group}
	var at []place
	state := rt.Cluster.State()
	for i, t := range req.Topics {
		found, ok := state.TopicByName(t.Topic)
		out := kmsg.NewOffsetDeleteResponseTopic()
		out.Topic = t.Topic
		for j, p := range t.Partitions {
			rp := kmsg.NewOffsetDeleteResponseTopicPartition()
			rp.Partition = p.Partition
			if !ok || p.Partition < 0 || p.Partition >= found.Partitions {
				rp.ErrorCode = kerr.UnknownTopicOrPartition.Code
			} else {
				r.Parts = append(r.Parts, group.TopicPartition{Topic: t.Topic, Partition: p.Partition})
				at = append(at, place{i, j})
			}
			out.Partitions = append(out.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, out)
	}
	pending := rt.Groups.DeleteOffsets(ctx, r)
	return func(ctx context.Context) (kmsg.Response, error) {
		reply, err := pending.Wait(ctx)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if resp.ErrorCode = rt.code(c, either(err, reply.Err)); resp.ErrorCode != 0 {
			resp.Topics = nil
			return resp, nil
		}
		for k, where := range at {
			resp.Topics[where.topic].Partitions[where.partition].ErrorCode = rt.code(c, reply.Errs[k])
		}
		return resp, nil
	}, nil
}
