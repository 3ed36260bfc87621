package api

import (
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/odradek/odradek/topic"
)

// configTypes gives Kafka's number of a setting's type.
var configTypes = map[topic.ValueType]kmsg.ConfigType{
	topic.Boolean: kmsg.ConfigTypeBoolean,
	topic.String:  kmsg.ConfigTypeString,
	topic.Int:     kmsg.ConfigTypeInt,
	topic.Long:    kmsg.ConfigTypeLong,
	topic.Double:  kmsg.ConfigTypeDouble,
	topic.List:    kmsg.ConfigTypeList,
}

// dynamic are the settings of the cluster that can be changed while it runs, beside the defaults of topic settings:
// those that are looked up at each request.
var dynamic = func() map[string]bool {
	names := map[string]bool{
		"auto.create.topics.enable": true, "default.replication.factor": true, "delete.topic.enable": true,
		"num.partitions": true, "max.request.partition.size.limit": true,
	}
	for _, s := range topic.Settings.All() {
		for _, syn := range s.Synonyms {
			names[syn.Name] = true
		}
	}
	return names
}()

// source is Kafka's number for where a value comes from. The first layer of the cluster's settings is the control
// state, the second what was given at start.
func source(v topic.Value) kmsg.ConfigSource {
	switch {
	case v.Origin == topic.OriginTopic:
		return kmsg.ConfigSourceDynamicTopicConfig
	case v.Origin == topic.OriginCluster && v.Layer == 0:
		return kmsg.ConfigSourceDynamicDefaultBrokerConfig
	case v.Origin == topic.OriginCluster:
		return kmsg.ConfigSourceStaticBrokerConfig
	}
	return kmsg.ConfigSourceDefaultConfig
}

// topicConfig describes a topic's setting.
func topicConfig(v topic.Values, s topic.Setting, synonyms, docs bool) kmsg.DescribeConfigsResponseResourceConfig {
	out := describedConfig(s, v.Get(s.Name), docs)
	if synonyms {
		layers := append([]topic.Values{v}, alone(v.Cluster)...)
		for _, l := range layers {
			out.ConfigSynonyms = appendSynonym(out.ConfigSynonyms, l.Get(s.Name))
		}
	}
	return out
}

// clusterConfig describes a setting of the cluster.
func clusterConfig(c topic.Cluster, s topic.Setting, synonyms, docs bool) kmsg.DescribeConfigsResponseResourceConfig {
	out := describedConfig(s, c.Get(s.Name), docs)
	out.ReadOnly = s.ReadOnly || !dynamic[s.Name]
	if synonyms {
		out.ConfigSynonyms = appendSynonym(nil, c.Get(s.Name))
		for _, l := range alone(c) {
			out.ConfigSynonyms = appendSynonym(out.ConfigSynonyms, l.Cluster.Get(s.Name))
		}
		for i := range out.ConfigSynonyms {
			if syn := &out.ConfigSynonyms[i]; syn.Source == kmsg.ConfigSourceDefaultConfig {
				syn.Name = s.Name // what the setting defaults to may be another setting's value; brokers show it under their own name
			}
		}
	}
	return out
}

func describedConfig(s topic.Setting, v topic.Value, docs bool) kmsg.DescribeConfigsResponseResourceConfig {
	out := kmsg.NewDescribeConfigsResponseResourceConfig()
	out.Name, out.Value = s.Name, kmsg.StringPtr(v.Text)
	out.Source, out.ConfigType = source(v), configTypes[s.Type]
	out.IsDefault = out.Source == kmsg.ConfigSourceDefaultConfig
	if docs {
		out.Documentation = kmsg.StringPtr(s.Doc)
	}
	return out
}

// alone gives each layer of the cluster's settings by itself, in its place, and then none at all.
func alone(c topic.Cluster) []topic.Values {
	var layers []topic.Values
	for i := range c {
		only := make(topic.Cluster, len(c))
		only[i] = c[i]
		layers = append(layers, topic.Values{Cluster: only})
	}
	return append(layers, topic.Values{})
}

// appendSynonym adds where a value may come from, once each, in the order of strength.
func appendSynonym(list []kmsg.DescribeConfigsResponseResourceConfigConfigSynonym, v topic.Value) []kmsg.DescribeConfigsResponseResourceConfigConfigSynonym {
	syn := kmsg.NewDescribeConfigsResponseResourceConfigConfigSynonym()
	syn.Name, syn.Value, syn.Source = v.Name, kmsg.StringPtr(v.Text), source(v)
	for _, have := range list {
		if have.Source == syn.Source {
			return list
		}
	}
	return append(list, syn)
}

// agentConfigs are what an agent shows of itself; nobody can set them.
func agentConfigs(a Agent, docs bool) []kmsg.DescribeConfigsResponseResourceConfig {
	own := []struct {
		name, value string
		kind        kmsg.ConfigType
		doc         string
	}{
		{"advertised.listeners", "PLAINTEXT://" + a.Host + ":" + strconv.Itoa(int(a.Port)), kmsg.ConfigTypeList, "Where clients reach this agent."},
		{"broker.id", strconv.Itoa(int(a.NodeID)), kmsg.ConfigTypeInt, "This agent's node id."},
		{"broker.rack", a.Zone, kmsg.ConfigTypeString, "This agent's availability zone."},
		{"node.id", strconv.Itoa(int(a.NodeID)), kmsg.ConfigTypeInt, "This agent's node id."},
	}
	var out []kmsg.DescribeConfigsResponseResourceConfig
	for _, o := range own {
		c := kmsg.NewDescribeConfigsResponseResourceConfig()
		c.Name, c.Value, c.ReadOnly = o.name, kmsg.StringPtr(o.value), true
		c.Source, c.ConfigType = kmsg.ConfigSourceStaticBrokerConfig, o.kind
		if docs {
			c.Documentation = kmsg.StringPtr(o.doc)
		}
		out = append(out, c)
	}
	return out
}

// createdConfigs lists the settings of a new topic for the answer to CreateTopics.
func createdConfigs(v topic.Values) []kmsg.CreateTopicsResponseTopicConfig {
	var out []kmsg.CreateTopicsResponseTopicConfig
	for _, s := range topic.Settings.All() {
		value := v.Get(s.Name)
		c := kmsg.NewCreateTopicsResponseTopicConfig()
		c.Name, c.Value, c.Source = s.Name, kmsg.StringPtr(value.Text), int8(source(value))
		out = append(out, c)
	}
	return out
}
