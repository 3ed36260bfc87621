package api

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/odradek/odradek/agent/cluster"
	"github.com/odradek/odradek/topic"
)

func init() { register(2, 7, (*Router).createTopics) }

// withTimeout bounds the second half of an admin request by the time-out that the request carries, counted from its
// arrival. What was begun goes on.
func withTimeout(ctx context.Context, c *call, millis int32) (context.Context, context.CancelFunc) {
	return context.WithDeadline(ctx, c.received.Add(time.Duration(max(millis, minAdminTimeout))*time.Millisecond))
}

// minAdminTimeout in milliseconds: a time-out of 0, which asks Kafka to return at once, would refuse what is done
// with one append to the control log.
const minAdminTimeout = 1000

// maxNewTopics bounds the topics of one request, as Kafka's controller does.
const maxNewTopics = 10_000

// createTopics creates topics, or only checks whether it could. Replication factors and assignments are accepted and
// shown in the answer: the bucket replicates, and agents share partitions out by themselves.
func (rt *Router) createTopics(_ context.Context, c *call, req *kmsg.CreateTopicsRequest) (answer, error) {
	return func(ctx context.Context) (kmsg.Response, error) {
		resp := kmsg.NewPtrCreateTopicsResponse()
		state := rt.Cluster.State()
		var folded map[string]string
		if req.ValidateOnly { // otherwise the append to the control log finds collisions
			folded = foldedNames(state)
		}
		named := map[string]int{}
		for _, t := range req.Topics {
			named[t.Topic]++
		}
		var create []NewTopic
		var at []int
		for i := range req.Topics {
			t := &req.Topics[i]
			n, out := rt.newTopic(state, t)
			if len(req.Topics) > maxNewTopics {
				refuseTopic(&out, kerr.PolicyViolation.Code, fmt.Sprintf("a request creates at most %d topics", maxNewTopics))
			} else if named[t.Topic] > 1 {
				refuseTopic(&out, kerr.InvalidRequest.Code, "the topic is named twice")
			} else if have, ok := folded[topic.FoldName(t.Topic)]; ok && out.ErrorCode == 0 {
				refuseTopic(&out, kerr.InvalidTopicException.Code, fmt.Sprintf("%s: %q", cluster.ErrCollision, have))
			}
			if out.ErrorCode == 0 && !req.ValidateOnly {
				create, at = append(create, n), append(at, i)
			}
			resp.Topics = append(resp.Topics, out)
		}
		if len(create) == 0 {
			return resp, nil
		}
		ctx, cancel := withTimeout(ctx, c, req.TimeoutMillis)
		defer cancel()
		for k, created := range rt.Admin.CreateTopics(ctx, create) {
			out := &resp.Topics[at[k]]
			out.TopicID = created.ID
			if created.Err != nil {
				refuseTopic(out, rt.code(c, created.Err), created.Err.Error())
			}
		}
		return resp, nil
	}, nil
}

func refuseTopic(out *kmsg.CreateTopicsResponseTopic, code int16, message string) {
	out.ErrorCode, out.ErrorMessage = code, &message
	out.TopicID, out.NumPartitions, out.ReplicationFactor, out.Configs = [16]byte{}, -1, -1, nil
}

// newTopic checks one topic in the order of Kafka's controller and makes its answer.
func (rt *Router) newTopic(state State, t *kmsg.CreateTopicsRequestTopic) (NewTopic, kmsg.CreateTopicsResponseTopic) {
	out := kmsg.NewCreateTopicsResponseTopic()
	out.Topic = t.Topic
	n := NewTopic{Name: t.Topic, Configs: topic.Config{}}
	if err := topic.ValidateName(t.Topic); err != nil {
		refuseTopic(&out, kerr.InvalidTopicException.Code, err.Error())
		return n, out
	}
	if _, ok := state.TopicByName(t.Topic); ok {
		refuseTopic(&out, kerr.TopicAlreadyExists.Code, fmt.Sprintf("%s: %q", cluster.ErrTopicExists, t.Topic))
		return n, out
	}
	partitions, factor, code, err := rt.layout(state, t)
	if err != nil {
		refuseTopic(&out, code, err.Error())
		return n, out
	}
	if err := readConfigs(n.Configs, t.Configs); err != nil {
		refuseTopic(&out, kerr.InvalidConfig.Code, err.Error())
		return n, out
	}
	n.Partitions = partitions
	out.NumPartitions, out.ReplicationFactor = partitions, factor
	out.Configs = createdConfigs(topic.Values{Topic: n.Configs, Cluster: rt.cluster(state)})
	return n, out
}

// readConfigs takes the settings of a new topic over, if all of them may be set.
func readConfigs(into topic.Config, given []kmsg.CreateTopicsRequestTopicConfig) error {
	for _, g := range given {
		if _, twice := into[g.Name]; twice {
			return fmt.Errorf("setting %q is given twice", g.Name)
		}
		if g.Value == nil {
			return fmt.Errorf("null value not supported for topic configs: %s", g.Name)
		}
		into[g.Name] = *g.Value
	}
	return into.Validate()
}

// layout decides partitions and replication factor of a new topic.
func (rt *Router) layout(state State, t *kmsg.CreateTopicsRequestTopic) (partitions int32, factor int16, code int16, err error) {
	if len(t.ReplicaAssignment) > 0 {
		return assignedLayout(t, rt.cfg.MaxPartitions)
	}
	partitions, factor = t.NumPartitions, t.ReplicationFactor
	if partitions == -1 {
		partitions = rt.defaultPartitions(state)
	}
	if factor == -1 {
		factor = int16(rt.cluster(state).Int64("default.replication.factor"))
	}
	switch {
	case partitions <= 0:
		return 0, 0, kerr.InvalidPartitions.Code, errors.New("number of partitions must be larger than 0, or -1 for the default")
	case partitions > rt.cfg.MaxPartitions:
		return 0, 0, kerr.InvalidPartitions.Code, fmt.Errorf("%d partitions are more than the %d that a topic may have", partitions, rt.cfg.MaxPartitions)
	case factor <= 0:
		return 0, 0, kerr.InvalidReplicationFactor.Code, errors.New("replication factor must be larger than 0, or -1 for the default")
	}
	return partitions, factor, 0, nil
}

// assignedLayout reads the layout off an assignment of the client: partitions from 0 on, each with as many replicas.
func assignedLayout(t *kmsg.CreateTopicsRequestTopic, most int32) (partitions int32, factor int16, code int16, err error) {
	if t.NumPartitions != -1 || t.ReplicationFactor != -1 {
		return 0, 0, kerr.InvalidRequest.Code, errors.New("an assignment sets partitions and replication factor, they must be -1 beside it")
	}
	if len(t.ReplicaAssignment) > int(most) {
		return 0, 0, kerr.InvalidPartitions.Code, fmt.Errorf("%d partitions are more than the %d that a topic may have", len(t.ReplicaAssignment), most)
	}
	seen := make(map[int32]bool, len(t.ReplicaAssignment))
	replicas := len(t.ReplicaAssignment[0].Replicas)
	for _, a := range t.ReplicaAssignment {
		if seen[a.Partition] || a.Partition < 0 || int(a.Partition) >= len(t.ReplicaAssignment) {
			return 0, 0, kerr.InvalidReplicaAssignment.Code, errors.New("partitions of an assignment must be numbered from 0 without gaps")
		}
		if len(a.Replicas) != replicas || replicas == 0 || replicas > 1<<15-1 {
			return 0, 0, kerr.InvalidReplicaAssignment.Code, errors.New("partitions of an assignment must have replicas, each as many")
		}
		if err := checkReplicas(a.Replicas); err != nil {
			return 0, 0, kerr.InvalidReplicaAssignment.Code, err
		}
		seen[a.Partition] = true
	}
	return int32(len(t.ReplicaAssignment)), int16(replicas), 0, nil
}

// checkReplicas refuses what is no list of replicas for any cluster: an empty one, a broker named twice.
func checkReplicas(replicas []int32) error {
	if len(replicas) == 0 {
		return errors.New("a partition of an assignment has no replicas")
	}
	sorted := slices.Clone(replicas)
	slices.Sort(sorted)
	if len(slices.Compact(sorted)) != len(replicas) {
		return errors.New("a partition of an assignment names a broker twice")
	}
	return nil
}

// foldedNames are the names that new topics may not collide with, by what they must not share.
func foldedNames(state State) map[string]string {
	names := map[string]string{}
	for _, t := range state.Topics() {
		names[topic.FoldName(t.Name)] = t.Name
	}
	return names
}
