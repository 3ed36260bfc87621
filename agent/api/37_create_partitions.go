package api

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func init() { register(0, 3, (*Router).createPartitions) }

// createPartitions raises the number of partitions. Who owns the new ones is not the client's choice: assignments are
// checked for their number and otherwise set aside.
func (rt *Router) createPartitions(_ context.Context, c *call, req *kmsg.CreatePartitionsRequest) (answer, error) {
	return func(ctx context.Context) (kmsg.Response, error) {
		resp := kmsg.NewPtrCreatePartitionsResponse()
		state := rt.Cluster.State()
		named := map[string]int{}
		for _, t := range req.Topics {
			named[t.Topic]++
		}
		var more []MorePartitions
		var at []int
		for i, t := range req.Topics {
			out := kmsg.NewCreatePartitionsResponseTopic()
			out.Topic = t.Topic
			m, code, message := rt.morePartitions(state, t)
			if named[t.Topic] > 1 {
				code, message = kerr.InvalidRequest.Code, "the topic is named twice"
			}
			if out.ErrorCode = code; code != 0 {
				out.ErrorMessage = kmsg.StringPtr(message)
			} else if !req.ValidateOnly {
				more, at = append(more, m), append(at, i)
			}
			resp.Topics = append(resp.Topics, out)
		}
		if len(more) == 0 {
			return resp, nil
		}
		ctx, cancel := withTimeout(ctx, c, req.TimeoutMillis)
		defer cancel()
		for k, err := range rt.Admin.CreatePartitions(ctx, more) {
			resp.Topics[at[k]].ErrorCode, resp.Topics[at[k]].ErrorMessage = rt.code(c, err), messageOf(err)
		}
		return resp, nil
	}, nil
}

// morePartitions checks one topic's request.
func (rt *Router) morePartitions(state State, r kmsg.CreatePartitionsRequestTopic) (m MorePartitions, code int16, message string) {
	t, ok := state.TopicByName(r.Topic)
	switch {
	case !ok:
		return m, kerr.UnknownTopicOrPartition.Code, "there is no such topic"
	case t.Internal:
		return m, kerr.InvalidTopicException.Code, "internal topics keep their number of partitions"
	case r.Count <= t.Partitions:
		return m, kerr.InvalidPartitions.Code, fmt.Sprintf("the topic has %d partitions, %d would not be an increase", t.Partitions, r.Count)
	case r.Count > rt.cfg.MaxPartitions:
		return m, kerr.InvalidPartitions.Code, fmt.Sprintf("%d partitions are more than the %d that a topic may have", r.Count, rt.cfg.MaxPartitions)
	case r.Assignment != nil && len(r.Assignment) != int(r.Count-t.Partitions):
		return m, kerr.InvalidReplicaAssignment.Code, fmt.Sprintf("%d assignments for %d new partitions", len(r.Assignment), r.Count-t.Partitions)
	}
	for _, a := range r.Assignment {
		if err := checkReplicas(a.Replicas); err != nil {
			return m, kerr.InvalidReplicaAssignment.Code, err.Error()
		}
	}
	return MorePartitions{Topic: t.ID, Have: t.Partitions, Total: r.Count}, 0, ""
}
