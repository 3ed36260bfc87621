package api

import (
	"context"
	"errors"
	"math"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/odradek/odradek/agent/cluster"
	"github.com/odradek/odradek/topic"
)

func init() { register(0, 13, (*Router).metadata) }

// noOperations says that authorized operations were not asked for.
const noOperations = math.MinInt32

// allTopicOperations and allClusterOperations are the bits of every operation on a topic and on the cluster: nobody is
// refused anything while there are no ACLs.
const (
	allTopicOperations   = 1<<3 | 1<<4 | 1<<5 | 1<<6 | 1<<7 | 1<<8 | 1<<10 | 1<<11
	allClusterOperations = 1<<5 | 1<<7 | 1<<8 | 1<<9 | 1<<10 | 1<<11 | 1<<12
)

func operations(asked bool, all int32) int32 {
	if asked {
		return all
	}
	return noOperations
}

// metadata tells who owns what. Topics that do not exist are created first when both sides want that, on the writer:
// the control log takes a round trip to the bucket.
func (rt *Router) metadata(_ context.Context, c *call, req *kmsg.MetadataRequest) (answer, error) {
	return func(ctx context.Context) (kmsg.Response, error) {
		m := describing{rt: rt, c: c, req: req, state: rt.Cluster.State()}
		if err := m.autoCreate(ctx); err != nil {
			return nil, err
		}
		resp := kmsg.NewPtrMetadataResponse()
		info := m.state.Info()
		for _, a := range m.state.Agents() {
			resp.Brokers = append(resp.Brokers, kmsg.MetadataResponseBroker{NodeID: a.NodeID, Host: a.Host, Port: a.Port, Rack: rack(a)})
		}
		resp.ClusterID, resp.ControllerID = &info.ID, controllerOf(m.state, rt.Cluster.NodeID())
		resp.AuthorizedOperations = operations(req.IncludeClusterAuthorizedOperations, allClusterOperations)
		if c.version == 0 && len(req.Topics) == 0 || req.Topics == nil {
			for _, t := range m.state.Topics() {
				resp.Topics = append(resp.Topics, m.topic(t))
			}
			return resp, nil
		}
		// A topic named again is answered once, as Kafka does: a short request must not ask for a long answer many times.
		seen := make(map[topicName]bool, len(req.Topics))
		for i := range req.Topics {
			t := &req.Topics[i]
			name := topicName{id: t.TopicID, null: t.Topic == nil, name: stringOf(t.Topic)}
			if !seen[name] {
				resp.Topics = append(resp.Topics, m.requested(t))
			}
			seen[name] = true
		}
		return resp, nil
	}, nil
}

// topicName is how a Metadata request names a topic.
type topicName struct {
	id   topic.ID
	name string
	null bool
}

// maxAutoCreate bounds the topics that one request creates by naming them; the others are created when it is repeated,
// which LEADER_NOT_AVAILABLE makes clients do.
const maxAutoCreate = 100

// describing is one Metadata request.
type describing struct {
	rt     *Router
	c      *call
	req    *kmsg.MetadataRequest
	state  State
	failed map[string]int16 // why a topic was not created
}

// autoCreate creates the topics that are named and missing, and takes a new picture of the state.
func (m *describing) autoCreate(ctx context.Context) error {
	if !m.rt.cluster(m.state).Bool("auto.create.topics.enable") || m.c.version >= 4 && !m.req.AllowAutoTopicCreation {
		return nil
	}
	var create []NewTopic
	m.failed = map[string]int16{}
	named := map[string]bool{}
	for _, t := range m.req.Topics {
		if t.Topic == nil || t.TopicID != [16]byte{} || named[*t.Topic] || topic.ValidateName(*t.Topic) != nil {
			continue
		}
		if _, ok := m.state.TopicByName(*t.Topic); ok {
			continue
		}
		named[*t.Topic] = true
		if len(create) == maxAutoCreate {
			m.failed[*t.Topic] = kerr.LeaderNotAvailable.Code
			continue
		}
		create = append(create, NewTopic{Name: *t.Topic, Partitions: m.rt.defaultPartitions(m.state)})
	}
	if len(create) == 0 {
		return nil
	}
	for i, created := range m.rt.Admin.CreateTopics(ctx, create) {
		if created.Err != nil && !errors.Is(created.Err, cluster.ErrTopicExists) {
			m.rt.log.Warn("topic was not created automatically", "topic", create[i].Name, "error", created.Err)
			m.failed[create[i].Name] = kerr.LeaderNotAvailable.Code
		}
	}
	m.state = m.rt.Cluster.State()
	return ctx.Err()
}

// requested describes one topic as the request names it, or says why not.
func (m *describing) requested(t *kmsg.MetadataRequestTopic) kmsg.MetadataResponseTopic {
	if t.Topic == nil || t.TopicID != [16]byte{} { // the id decides, also beside a name
		found, ok := m.state.TopicByID(t.TopicID)
		if ok {
			return m.topic(found)
		}
		return m.refused(nil, t.TopicID, kerr.UnknownTopicID.Code)
	}
	if found, ok := m.state.TopicByName(*t.Topic); ok {
		return m.topic(found)
	}
	code := kerr.UnknownTopicOrPartition.Code
	if topic.ValidateName(*t.Topic) != nil {
		code = kerr.InvalidTopicException.Code
	} else if failed, ok := m.failed[*t.Topic]; ok {
		code = failed
	}
	return m.refused(t.Topic, [16]byte{}, code)
}

func (m *describing) refused(name *string, id topic.ID, code int16) kmsg.MetadataResponseTopic {
	rt := kmsg.NewMetadataResponseTopic()
	rt.Topic, rt.TopicID, rt.ErrorCode = name, id, code
	if name == nil && m.c.version < 12 {
		rt.Topic = kmsg.StringPtr("")
	}
	rt.AuthorizedOperations = noOperations
	return rt
}

func (m *describing) topic(t Topic) kmsg.MetadataResponseTopic {
	rt := kmsg.NewMetadataResponseTopic()
	rt.Topic, rt.TopicID, rt.IsInternal = kmsg.StringPtr(t.Name), t.ID, t.Internal
	rt.AuthorizedOperations = operations(m.req.IncludeTopicAuthorizedOperations, allTopicOperations)
	rt.Partitions = make([]kmsg.MetadataResponseTopicPartition, t.Partitions)
	for i := range rt.Partitions {
		p := &rt.Partitions[i]
		p.Default()
		id := topic.Partition{Topic: t.ID, Index: int32(i)}
		o := ownerOf(m.state, id)
		p.Partition, p.Leader, p.LeaderEpoch = int32(i), o.NodeID, int32(o.Epoch)
		p.Replicas, p.ISR, p.OfflineReplicas, p.ErrorCode = replicas(m.state, id, o)
	}
	return rt
}

// ownerOf is the owner of a partition, with node id -1 when nobody is known.
func ownerOf(s State, p topic.Partition) Owner {
	o, ok := s.Owner(p)
	if !ok {
		return Owner{NodeID: -1, Epoch: -1}
	}
	return o
}

// replicas shows as replicas, in sync, the agents that clients read from: the owner and one for each other zone. The
// records are in the bucket and no agent holds any, but the Java consumer reads only from what it was shown as a
// replica. It is LEADER_NOT_AVAILABLE while nobody owns the partition.
func replicas(s State, p topic.Partition, o Owner) (all, inSync, offline []int32, code int16) {
	if o.NodeID < 0 {
		return []int32{}, []int32{}, []int32{}, kerr.LeaderNotAvailable.Code
	}
	all = append([]int32{o.NodeID}, s.Readers(p)...)
	return all, all, []int32{}, 0
}
