package api

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/odradek/odradek/topic"
)

func init() { register(1, 4, (*Router).describeLogDirs) }

// logDir is what is shown as the one directory of every agent.
const logDir = "/bucket"

// describeLogDirs tells the size of the partitions that this agent owns, so that tools which add the brokers up count
// each once. All agents share the bucket: how much it holds and may hold is not known.
func (rt *Router) describeLogDirs(_ context.Context, _ *call, req *kmsg.DescribeLogDirsRequest) (answer, error) {
	return func(ctx context.Context) (kmsg.Response, error) {
		resp := kmsg.NewPtrDescribeLogDirsResponse()
		dir := kmsg.NewDescribeLogDirsResponseDir()
		dir.Dir = logDir
		state := rt.Cluster.State()
		for _, asked := range logDirTopics(state, req) {
			if sized := rt.ownedSizes(ctx, asked); len(sized.Partitions) > 0 {
				dir.Topics = append(dir.Topics, sized)
			}
		}
		resp.Dirs = append(resp.Dirs, dir)
		return resp, ctx.Err()
	}, nil
}

// partitionsOf is some partitions of a topic.
type partitionsOf struct {
	topic   Topic
	indexes []int32 // each once
}

// logDirTopics lists what is asked for: everything, or the partitions named as far as there are such.
func logDirTopics(state State, req *kmsg.DescribeLogDirsRequest) []partitionsOf {
	var list []partitionsOf
	if req.Topics == nil {
		for _, t := range state.Topics() {
			all := partitionsOf{topic: t}
			for i := range t.Partitions {
				all.indexes = append(all.indexes, i)
			}
			list = append(list, all)
		}
		return list
	}
	at := map[string]int{}
	for _, asked := range req.Topics {
		t, ok := state.TopicByName(asked.Topic)
		if !ok {
			continue
		}
		if _, seen := at[t.Name]; !seen {
			at[t.Name] = len(list)
			list = append(list, partitionsOf{topic: t})
		}
		list[at[t.Name]].indexes = append(list[at[t.Name]].indexes, asked.Partitions...)
	}
	for i := range list {
		slices.Sort(list[i].indexes)
		list[i].indexes = slices.Compact(list[i].indexes)
	}
	return list
}

// ownedSizes gives the sizes of those partitions that this agent owns.
func (rt *Router) ownedSizes(ctx context.Context, asked partitionsOf) kmsg.DescribeLogDirsResponseDirTopic {
	out := kmsg.NewDescribeLogDirsResponseDirTopic()
	out.Topic = asked.topic.Name
	for _, i := range asked.indexes {
		if ctx.Err() != nil {
			break
		}
		if size, owned := rt.Holdings.Size(topic.Partition{Topic: asked.topic.ID, Index: i}); owned {
			p := kmsg.NewDescribeLogDirsResponseDirTopicPartition()
			p.Partition, p.Size = i, size
			out.Partitions = append(out.Partitions, p)
		}
	}
	return out
}
