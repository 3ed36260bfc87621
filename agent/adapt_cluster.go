package agent

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/odradek/odradek/agent/api"
	"github.com/odradek/odradek/agent/cluster"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/topic"
)

// apiCluster is control state as agent/api's Cluster.
type apiCluster struct{ s *session }

// State implements api.Cluster.
func (c *apiCluster) State() api.State {
	return picture{c.s.cluster.State(), sync.OnceValue(c.s.zones)}
}

// CatchUp implements api.Cluster.
func (c *apiCluster) CatchUp(ctx context.Context) error { return c.s.cluster.CatchUp(ctx) }

// NodeID implements api.Cluster.
func (c *apiCluster) NodeID() int32 { return c.s.cluster.NodeID() }

// picture is one control state as agent/api's State.
type picture struct {
	s     *control.State
	zones func() zones // where the agents were that lived then
}

// Info implements api.State.
func (p picture) Info() api.ClusterInfo {
	config, _ := p.s.Config()
	return api.ClusterInfo{ID: p.s.ClusterID(), Configs: config, Next: int64(p.s.Next())}
}

// Agents implements api.State.
func (p picture) Agents() []api.Agent {
	var out []api.Agent
	for _, j := range p.s.OpenJournals() {
		out = append(out, agentOf(j))
	}
	slices.SortFunc(out, func(a, b api.Agent) int { return int(a.NodeID - b.NodeID) })
	return out
}

func agentOf(j *control.Journal) api.Agent {
	e, _ := j.Endpoint(endpointKafka)
	return api.Agent{NodeID: j.NodeID, Host: e.Host, Port: e.Port, Zone: j.Zone}
}

// Topics implements api.State.
func (p picture) Topics() []api.Topic {
	out := make([]api.Topic, 0, p.s.TopicCount())
	for t := range p.s.Topics() {
		out = append(out, topicOf(t))
	}
	return out
}

func topicOf(t *control.Topic) api.Topic {
	return api.Topic{ID: t.ID, Name: t.Name, Internal: t.Internal, Partitions: t.Partitions(), Configs: t.Config}
}

// TopicByName implements api.State.
func (p picture) TopicByName(name string) (api.Topic, bool) {
	t, ok := p.s.TopicByName(name)
	if !ok {
		return api.Topic{}, false
	}
	return topicOf(t), true
}

// TopicByID implements api.State.
func (p picture) TopicByID(id topic.ID) (api.Topic, bool) {
	t, ok := p.s.TopicByID(id)
	if !ok {
		return api.Topic{}, false
	}
	return topicOf(t), true
}

// Owner implements api.State.
func (p picture) Owner(part topic.Partition) (api.Owner, bool) {
	a, ok := p.s.Owner(part)
	if !ok {
		return api.Owner{}, false
	}
	o := api.Owner{NodeID: -1, Epoch: a.Epoch}
	if j, ok := p.s.Journal(a.Journal); ok && !j.Sealed {
		o.NodeID = j.NodeID
	}
	return o, true
}

// Readers implements api.State.
func (p picture) Readers(part topic.Partition) []int32 {
	a, ok := p.s.Owner(part)
	owner, open := p.s.Journal(a.Journal)
	if !ok || !open {
		return nil
	}
	var nodes []int32
	for _, zone := range slices.Sorted(maps.Keys(p.zones())) {
		if node, ok := p.zones().nearest(part, zone); ok && zone != owner.Zone && node != owner.NodeID {
			nodes = append(nodes, node)
		}
	}
	return nodes
}

// apiAdmin is cluster as agent/api's Admin.
type apiAdmin struct{ s *session }

// CreateTopics implements api.Admin.
func (a *apiAdmin) CreateTopics(ctx context.Context, topics []api.NewTopic) []api.CreatedTopic {
	out := make([]api.CreatedTopic, len(topics))
	for i, t := range topics {
		id, err := a.s.cluster.CreateTopic(ctx, cluster.NewTopic{Name: t.Name, Partitions: t.Partitions, Config: t.Configs})
		out[i] = api.CreatedTopic{ID: id, Err: err}
	}
	return out
}

// DeleteTopics implements api.Admin.
func (a *apiAdmin) DeleteTopics(ctx context.Context, ids []topic.ID) []error {
	out := make([]error, len(ids))
	for i, id := range ids {
		out[i] = a.s.cluster.DeleteTopic(ctx, id)
	}
	return out
}

// CreatePartitions implements api.Admin.
func (a *apiAdmin) CreatePartitions(ctx context.Context, topics []api.MorePartitions) []error {
	out := make([]error, len(topics))
	for i, t := range topics {
		out[i] = a.s.cluster.AddPartitions(ctx, t.Topic, t.Have, t.Total)
	}
	return out
}

// AlterTopicConfigs implements api.Admin.
func (a *apiAdmin) AlterTopicConfigs(ctx context.Context, changes []api.ConfigChange) []error {
	out := make([]error, len(changes))
	for i, c := range changes {
		out[i] = a.s.cluster.AlterTopic(ctx, c.Topic, c.Set, c.Delete)
	}
	return out
}

// AlterClusterConfigs implements api.Admin.
func (a *apiAdmin) AlterClusterConfigs(ctx context.Context, c api.ConfigChange) error {
	return a.s.cluster.AlterCluster(ctx, c.Set, c.Delete)
}

// AllocateProducerID implements api.Admin.
func (a *apiAdmin) AllocateProducerID(ctx context.Context) (int64, error) {
	return a.s.ids.Next(ctx)
}
