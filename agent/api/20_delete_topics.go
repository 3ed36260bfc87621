package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/odradek/odradek/topic"
)

func init() { register(1, 6, (*Router).deleteTopics) }

// deleteTopics deletes by name or, from version 6 on, by id. Internal topics stay.
func (rt *Router) deleteTopics(_ context.Context, c *call, req *kmsg.DeleteTopicsRequest) (answer, error) {
	return func(ctx context.Context) (kmsg.Response, error) {
		resp := kmsg.NewPtrDeleteTopicsResponse()
		state := rt.Cluster.State()
		asked := req.Topics
		for _, name := range req.TopicNames {
			asked = append(asked, kmsg.DeleteTopicsRequestTopic{Topic: &name})
		}
		seen := map[topic.ID]int{} // index in resp.Topics
		var ids []topic.ID
		var at []int
		for i, a := range asked {
			out, id := rt.toDelete(state, c, a)
			resp.Topics = append(resp.Topics, out)
			if out.ErrorCode != 0 {
				continue
			}
			if first, twice := seen[id]; twice {
				refuseTwice(&resp.Topics[first])
				refuseTwice(&resp.Topics[i])
				continue
			}
			seen[id] = i
			ids, at = append(ids, id), append(at, i)
		}
		ids, at = dropRefused(resp, ids, at)
		if len(ids) == 0 {
			return resp, nil
		}
		ctx, cancel := withTimeout(ctx, c, req.TimeoutMillis)
		defer cancel()
		for k, err := range rt.Admin.DeleteTopics(ctx, ids) {
			resp.Topics[at[k]].ErrorCode, resp.Topics[at[k]].ErrorMessage = rt.code(c, err), messageOf(err)
		}
		return resp, nil
	}, nil
}

func refuseTwice(t *kmsg.DeleteTopicsResponseTopic) {
	t.ErrorCode, t.ErrorMessage = kerr.InvalidRequest.Code, kmsg.StringPtr("the topic is named twice")
}

func dropRefused(resp *kmsg.DeleteTopicsResponse, ids []topic.ID, at []int) (keptIDs []topic.ID, keptAt []int) {
	for k, i := range at {
		if resp.Topics[i].ErrorCode == 0 {
			keptIDs, keptAt = append(keptIDs, ids[k]), append(keptAt, i)
		}
	}
	return keptIDs, keptAt
}

// toDelete finds one topic, or says why it cannot go.
func (rt *Router) toDelete(state State, c *call, a kmsg.DeleteTopicsRequestTopic) (kmsg.DeleteTopicsResponseTopic, topic.ID) {
	out := kmsg.NewDeleteTopicsResponseTopic()
	out.Topic, out.TopicID = a.Topic, a.TopicID
	byID := a.Topic == nil
	switch {
	case !rt.cluster(state).Bool("delete.topic.enable"):
		out.ErrorCode = kerr.TopicDeletionDisabled.Code
		if c.version < 3 {
			out.ErrorCode = kerr.InvalidRequest.Code
		}
		return out, topic.ID{}
	case !byID && a.TopicID != [16]byte{}, byID && a.TopicID == [16]byte{}:
		out.ErrorCode, out.ErrorMessage = kerr.InvalidRequest.Code, kmsg.StringPtr("a topic is named by its name or its id")
		return out, topic.ID{}
	}
	name := ""
	if !byID {
		name = *a.Topic
	}
	t, code := findTopic(state, byID, a.TopicID, name)
	switch {
	case code != 0:
		out.ErrorCode = code
	case t.Internal:
		out.ErrorCode, out.ErrorMessage = kerr.InvalidTopicException.Code, kmsg.StringPtr("internal topics cannot be deleted")
	default:
		out.Topic, out.TopicID = kmsg.StringPtr(t.Name), t.ID
	}
	return out, t.ID
}
