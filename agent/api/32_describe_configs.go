package api

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/odradek/odradek/topic"
)

func init() { register(1, 4, (*Router).describeConfigs) }

// describeConfigs shows the settings of topics, of this agent, and of the whole cluster (the broker named ""). Every
// value reads back, none is null.
func (rt *Router) describeConfigs(_ context.Context, _ *call, req *kmsg.DescribeConfigsRequest) (answer, error) {
	resp := kmsg.NewPtrDescribeConfigsResponse()
	d := describingConfigs{rt: rt, state: rt.Cluster.State(), synonyms: req.IncludeSynonyms, docs: req.IncludeDocumentation}
	seen := map[string]bool{} // a resource named again is answered once
	for i := range req.Resources {
		key := fmt.Sprintf("%d %s", req.Resources[i].ResourceType, req.Resources[i].ResourceName)
		if !seen[key] {
			resp.Resources = append(resp.Resources, d.resource(&req.Resources[i]))
		}
		seen[key] = true
	}
	return now(resp), nil
}

// describingConfigs is one DescribeConfigs request.
type describingConfigs struct {
	rt             *Router
	state          State
	synonyms, docs bool
}

func (d *describingConfigs) resource(r *kmsg.DescribeConfigsRequestResource) kmsg.DescribeConfigsResponseResource {
	out := kmsg.NewDescribeConfigsResponseResource()
	out.ResourceType, out.ResourceName = r.ResourceType, r.ResourceName
	var all []kmsg.DescribeConfigsResponseResourceConfig
	var code int16
	var message string
	switch r.ResourceType {
	case kmsg.ConfigResourceTypeTopic:
		all, code, message = d.topic(r.ResourceName)
	case kmsg.ConfigResourceTypeBroker:
		all, code, message = d.broker(r.ResourceName)
	case kmsg.ConfigResourceTypeBrokerLogger:
		// Log levels are the agent's own settings, there is nothing to list.
		code, message = d.ownName(r.ResourceName)
	default:
		code, message = kerr.InvalidRequest.Code, fmt.Sprintf("resources of type %d have no configs here", r.ResourceType)
	}
	if code != 0 {
		out.ErrorCode, out.ErrorMessage = code, &message
		return out
	}
	for _, c := range all {
		if len(r.ConfigNames) == 0 || slices.Contains(r.ConfigNames, c.Name) {
			out.Configs = append(out.Configs, c)
		}
	}
	return out
}

func (d *describingConfigs) topic(name string) (all []kmsg.DescribeConfigsResponseResourceConfig, code int16, message string) {
	if err := topic.ValidateName(name); err != nil {
		return nil, kerr.InvalidTopicException.Code, err.Error()
	}
	t, ok := d.state.TopicByName(name)
	if !ok {
		return nil, kerr.UnknownTopicOrPartition.Code, "there is no such topic"
	}
	v := topic.Values{Topic: t.Configs, Cluster: d.rt.cluster(d.state)}
	for _, s := range topic.Settings.All() {
		all = append(all, topicConfig(v, s, d.synonyms, d.docs))
	}
	return all, 0, ""
}

func (d *describingConfigs) broker(name string) (all []kmsg.DescribeConfigsResponseResourceConfig, code int16, message string) {
	c := d.rt.cluster(d.state)
	if name == "" { // only what was set for the whole cluster while it runs
		for _, s := range topic.ClusterSettings.All() {
			if _, ok := d.state.Info().Configs[s.Name]; ok {
				all = append(all, clusterConfig(c, s, d.synonyms, d.docs))
			}
		}
		return all, 0, ""
	}
	if code, message = d.ownName(name); code != 0 {
		return nil, code, message
	}
	for _, a := range d.state.Agents() {
		if a.NodeID == d.rt.Cluster.NodeID() {
			all = agentConfigs(a, d.docs)
		}
	}
	for _, s := range topic.ClusterSettings.All() {
		all = append(all, clusterConfig(c, s, d.synonyms, d.docs))
	}
	slices.SortFunc(all, func(a, b kmsg.DescribeConfigsResponseResourceConfig) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return all, 0, ""
}

// ownName refuses the name of another broker than this agent.
func (d *describingConfigs) ownName(name string) (code int16, message string) {
	if self := d.rt.Cluster.NodeID(); name != strconv.Itoa(int(self)) {
		return kerr.InvalidRequest.Code, fmt.Sprintf("unexpected broker id, expected %d, but received %s", self, name)
	}
	return 0, ""
}
