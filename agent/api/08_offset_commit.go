package api

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/odradek/odradek/agent/group"
	"github.com/odradek/odradek/topic"
)

func init() { register(2, 10, (*Router).offsetCommit) }

// offsetCommit admits on the reader, so that the commits of a connection keep their order, and waits on the writer
// until they count. Partitions that do not exist are refused one by one; the others are committed.
func (rt *Router) offsetCommit(ctx context.Context, c *call, req *kmsg.OffsetCommitRequest) (answer, error) {
	resp := kmsg.NewPtrOffsetCommitResponse()
	r := group.CommitRequest{
		Group: req.Group, MemberID: req.MemberID, InstanceID: stringOf(req.InstanceID),
		Generation: req.Generation,
		Retention:  retention(c.version, req.RetentionTimeMillis),
	}
	var at []place
	state := rt.Cluster.State()
	for i, t := range req.Topics {
		found, code := findTopic(state, c.version >= 10, topic.ID(t.TopicID), t.Topic)
		out := kmsg.NewOffsetCommitResponseTopic()
		out.Topic, out.TopicID = t.Topic, t.TopicID
		for j, p := range t.Partitions {
			rp := kmsg.NewOffsetCommitResponseTopicPartition()
			rp.Partition = p.Partition
			switch {
			case code != 0:
				rp.ErrorCode = code
			case p.Partition < 0 || p.Partition >= found.Partitions:
				rp.ErrorCode = kerr.UnknownTopicOrPartition.Code
			default:
				r.Offsets = append(r.Offsets, commitOffset(found.Name, &p))
				at = append(at, place{i, j})
			}
			out.Partitions = append(out.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, out)
	}
	if len(r.Offsets) == 0 {
		return now(resp), nil
	}
	pending := rt.Groups.Commit(ctx, r)
	return func(ctx context.Context) (kmsg.Response, error) {
		reply, err := pending.Wait(ctx)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		err = groupNotFound(either(err, reply.Err), group.ErrIllegalGeneration, c.version, 9)
		for k, where := range at {
			rp := &resp.Topics[where.topic].Partitions[where.partition]
			if err != nil {
				rp.ErrorCode = rt.code(c, err)
				continue
			}
			rp.ErrorCode = rt.code(c, reply.Errs[k])
		}
		return resp, nil
	}, nil
}

func commitOffset(name string, p *kmsg.OffsetCommitRequestTopicPartition) group.CommitOffset {
	return group.CommitOffset{
		TopicPartition: group.TopicPartition{Topic: name, Partition: p.Partition},
		Offset:         topic.Offset(p.Offset),
		LeaderEpoch:    p.LeaderEpoch,
		Metadata:       stringOf(p.Metadata),
	}
}

// retention is how long versions 2 to 4 ask to keep offsets: 0 when the cluster's setting is to decide.
func retention(version int16, ms int64) time.Duration {
	const longest = int64(1<<63-1) / int64(time.Millisecond)
	if version > 4 || ms < 0 {
		return 0
	}
	return time.Duration(min(max(ms, 1), longest)) * time.Millisecond
}
