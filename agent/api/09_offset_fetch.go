package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/odradek/odradek/agent/group"
	"github.com/odradek/odradek/topic"
)

func init() { register(1, 10, (*Router).offsetFetch) }

// offsetFetch answers what was committed: -1 where nothing was, also for a group nobody knows. RequireStable asks to
// be told of offsets in open transactions, of which there are none.
func (rt *Router) offsetFetch(ctx context.Context, c *call, req *kmsg.OffsetFetchRequest) (answer, error) {
	if c.version < 8 {
		return rt.offsetFetchOne(ctx, c, req)
	}
	fetches := make([]*groupFetch, len(req.Groups))
	for i := range req.Groups {
		fetches[i] = rt.admitGroupFetch(ctx, c, &req.Groups[i])
	}
	return func(ctx context.Context) (kmsg.Response, error) {
		resp := kmsg.NewPtrOffsetFetchResponse()
		for _, f := range fetches {
			reply, err := f.pending.Wait(ctx)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			resp.Groups = append(resp.Groups, f.answer(rt, c, reply, either(err, reply.Err)))
		}
		return resp, nil
	}, nil
}

// groupFetch is the fetch of one group of a request of version 8 or above.
type groupFetch struct {
	pending *group.Pending[group.FetchReply]
	out     kmsg.OffsetFetchResponseGroup // filled with the topics asked for; empty when all are
	at      []place                       // where the answers belong
	all     bool
}

func (rt *Router) admitGroupFetch(ctx context.Context, c *call, g *kmsg.OffsetFetchRequestGroup) *groupFetch {
	f := &groupFetch{out: kmsg.NewOffsetFetchResponseGroup(), all: g.Topics == nil}
	f.out.Group = g.Group
	r := group.FetchRequest{Group: g.Group, All: f.all}
	state := rt.Cluster.State()
	for i, t := range g.Topics {
		name, code := t.Topic, int16(0)
		if c.version >= 10 {
			var found Topic
			found, code = findTopic(state, true, topic.ID(t.TopicID), "")
			name = found.Name
		}
		out := kmsg.NewOffsetFetchResponseGroupTopic()
		out.Topic, out.TopicID = t.Topic, t.TopicID
		for j, p := range t.Partitions {
			out.Partitions = append(out.Partitions, noCommit(p, code))
			if code == 0 {
				r.Parts = append(r.Parts, group.TopicPartition{Topic: name, Partition: p})
				f.at = append(f.at, place{i, j})
			}
		}
		f.out.Topics = append(f.out.Topics, out)
	}
	f.pending = rt.Groups.Fetch(ctx, r)
	return f
}

// noCommit is the answer for a partition without a committed offset.
func noCommit(partition int32, code int16) kmsg.OffsetFetchResponseGroupTopicPartition {
	p := kmsg.NewOffsetFetchResponseGroupTopicPartition()
	p.Partition, p.Offset, p.LeaderEpoch, p.Metadata, p.ErrorCode = partition, -1, -1, kmsg.StringPtr(""), code
	return p
}

func (f *groupFetch) answer(rt *Router, c *call, reply group.FetchReply, err error) kmsg.OffsetFetchResponseGroup {
	if f.out.ErrorCode = rt.code(c, err); f.out.ErrorCode != 0 {
		return f.out
	}
	if f.all {
		f.out.Topics = rt.allTopics(c, reply.Offsets)
		return f.out
	}
	for k, where := range f.at {
		setCommit(&f.out.Topics[where.topic].Partitions[where.partition], &reply.Offsets[k])
	}
	return f.out
}

// allTopics groups offsets, which come by topic. Topics that are gone have no id and are left out where ids are spoken.
func (rt *Router) allTopics(c *call, offsets []group.CommittedOffset) []kmsg.OffsetFetchResponseGroupTopic {
	var topics []kmsg.OffsetFetchResponseGroupTopic
	state := rt.Cluster.State()
	for i := 0; i < len(offsets); {
		name := offsets[i].Topic
		out := kmsg.NewOffsetFetchResponseGroupTopic()
		out.Topic = name
		for ; i < len(offsets) && offsets[i].Topic == name; i++ {
			p := noCommit(offsets[i].Partition, 0)
			setCommit(&p, &offsets[i])
			out.Partitions = append(out.Partitions, p)
		}
		if c.version >= 10 {
			found, ok := state.TopicByName(name)
			if !ok {
				continue
			}
			out.TopicID = found.ID
		}
		topics = append(topics, out)
	}
	return topics
}

func setCommit(p *kmsg.OffsetFetchResponseGroupTopicPartition, o *group.CommittedOffset) {
	p.Offset, p.LeaderEpoch = int64(o.Offset), o.LeaderEpoch
	p.Metadata = kmsg.StringPtr(o.Metadata)
}

// offsetFetchOne serves the versions that ask for one group, by way of the newer form.
func (rt *Router) offsetFetchOne(ctx context.Context, c *call, req *kmsg.OffsetFetchRequest) (answer, error) {
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group = req.Group
	if req.Topics != nil {
		g.Topics = make([]kmsg.OffsetFetchRequestGroupTopic, len(req.Topics))
	}
	for i, t := range req.Topics {
		g.Topics[i].Topic, g.Topics[i].Partitions = t.Topic, t.Partitions
	}
	if c.version < 2 && req.Topics == nil { // all topics cannot be asked for yet
		g.Topics = []kmsg.OffsetFetchRequestGroupTopic{}
	}
	f := rt.admitGroupFetch(ctx, c, &g)
	return func(ctx context.Context) (kmsg.Response, error) {
		reply, err := f.pending.Wait(ctx)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return oneGroup(c, f.answer(rt, c, reply, either(err, reply.Err))), nil
	}, nil
}

// oneGroup puts a group's answer into the older form. Version 1 has no place for the group's error but its partitions.
func oneGroup(c *call, g kmsg.OffsetFetchResponseGroup) *kmsg.OffsetFetchResponse {
	resp := kmsg.NewPtrOffsetFetchResponse()
	resp.ErrorCode = g.ErrorCode
	for _, t := range g.Topics {
		out := kmsg.NewOffsetFetchResponseTopic()
		out.Topic = t.Topic
		for _, p := range t.Partitions {
			rp := kmsg.NewOffsetFetchResponseTopicPartition()
			rp.Partition, rp.Offset, rp.LeaderEpoch = p.Partition, p.Offset, p.LeaderEpoch
			rp.Metadata, rp.ErrorCode = p.Metadata, p.ErrorCode
			if c.version < 2 && g.ErrorCode != 0 {
				rp.ErrorCode = g.ErrorCode
			}
			out.Partitions = append(out.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}
