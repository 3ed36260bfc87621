package api_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/odradek/odradek/agent/api"
)

func describeConfigs(t *testing.T, b *broker, version int16, kind kmsg.ConfigResourceType, name string) (map[string]kmsg.DescribeConfigsResponseResourceConfig, int16) {
	t.Helper()
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.IncludeSynonyms, req.IncludeDocumentation = true, true
	req.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: kind, ResourceName: name}}
	r := ask[*kmsg.DescribeConfigsResponse](t, b, version, req).Resources[0]
	all := map[string]kmsg.DescribeConfigsResponseResourceConfig{}
	for _, c := range r.Configs {
		if c.Value == nil {
			t.Errorf("%s is null", c.Name)
		}
		all[c.Name] = c
	}
	return all, r.ErrorCode
}

func TestDescribeConfigs_Topic(t *testing.T) {
	b := newBroker(func(c *api.Config) { c.Settings = newTopicConfig("log.retention.ms", "1000") })
	b.AddTopic("events", 1, newTopicConfig("cleanup.policy", "compact"))
	for version := int16(1); version <= 4; version++ {
		all, code := describeConfigs(t, b, version, kmsg.ConfigResourceTypeTopic, "events")
		wantCode(t, "events", code, nil)
		policy, retention := all["cleanup.policy"], all["retention.ms"]
		if *policy.Value != "compact" || policy.Source != kmsg.ConfigSourceDynamicTopicConfig || len(policy.ConfigSynonyms) != 2 {
			t.Errorf("version %d: %+v", version, policy)
		}
		if *retention.Value != "1000" || retention.Source != kmsg.ConfigSourceStaticBrokerConfig || retention.ConfigSynonyms[0].Name != "log.retention.ms" {
			t.Errorf("version %d: %+v", version, retention)
		}
		if version >= 3 && (retention.ConfigType != kmsg.ConfigTypeLong || *retention.Documentation == "") {
			t.Errorf("version %d: type %v", version, retention.ConfigType)
		}
	}
	_, code := describeConfigs(t, b, 4, kmsg.ConfigResourceTypeTopic, "gone")
	wantCode(t, "gone", code, kerr.UnknownTopicOrPartition)
}

func TestDescribeConfigs_Broker(t *testing.T) {
	b := newBroker(nil)
	all, code := describeConfigs(t, b, 4, kmsg.ConfigResourceTypeBroker, "7")
	wantCode(t, "this agent", code, nil)
	for name, want := range map[string]string{
		"num.partitions": "4", "auto.create.topics.enable": "true", "delete.topic.enable": "true", "node.id": "7", "broker.id": "7",
	} {
		if got, ok := all[name]; !ok || *got.Value != want {
			t.Errorf("%s: %+v, want %s", name, got, want)
		}
	}
	if _, ok := all["inter.broker.protocol.version"]; !ok {
		t.Error("tools look for inter.broker.protocol.version")
	}
	_, code = describeConfigs(t, b, 4, kmsg.ConfigResourceTypeBroker, "8")
	wantCode(t, "another agent", code, kerr.InvalidRequest)
	_, code = describeConfigs(t, b, 4, kmsg.ConfigResourceTypeBrokerLogger, "7")
	wantCode(t, "loggers", code, nil)
	_, code = describeConfigs(t, b, 4, kmsg.ConfigResourceTypeClientMetrics, "x")
	wantCode(t, "client metrics", code, kerr.InvalidRequest)
}

func incremental(kind kmsg.ConfigResourceType, name, key string, op kmsg.IncrementalAlterConfigOp, value *string) *kmsg.IncrementalAlterConfigsRequest {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{ResourceType: kind, ResourceName: name,
		Configs: []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: key, Op: op, Value: value}}}}
	return req
}

func TestIncrementalAlterConfigs_Topic(t *testing.T) {
	b := newBroker(nil)
	b.AddTopic("events", 1, nil)
	const set, del, add, sub = kmsg.IncrementalAlterConfigOpSet, kmsg.IncrementalAlterConfigOpDelete, kmsg.IncrementalAlterConfigOpAppend, kmsg.IncrementalAlterConfigOpSubtract
	for _, step := range []struct {
		key   string
		op    kmsg.IncrementalAlterConfigOp
		value string
		want  *kerr.Error
		reads string
	}{
		{"retention.ms", set, "5000", nil, "5000"},
		{"retention.ms", set, "soon", kerr.InvalidConfig, "5000"},
		{"retention.ms", add, "1", kerr.InvalidConfig, "5000"},
		{"retention.ms", del, "", nil, "604800000"},
		{"cleanup.policy", add, "compact", nil, "delete,compact"},
		{"cleanup.policy", sub, "delete", nil, "compact"},
		{"cleanup.policy", set, "shred", kerr.InvalidConfig, "compact"},
	} {
		for version := int16(0); version <= 1; version++ {
			req := incremental(kmsg.ConfigResourceTypeTopic, "events", step.key, step.op, &step.value)
			got := ask[*kmsg.IncrementalAlterConfigsResponse](t, b, version, req).Resources[0]
			wantCode(t, step.key+" "+step.op.String()+" "+step.value, got.ErrorCode, step.want)
		}
		all, _ := describeConfigs(t, b, 4, kmsg.ConfigResourceTypeTopic, "events")
		if got := *all[step.key].Value; got != step.reads {
			t.Errorf("%s %v %s: reads back as %q, want %q", step.key, step.op, step.value, got, step.reads)
		}
	}
	unknown := incremental(kmsg.ConfigResourceTypeTopic, "events", "retention.mss", set, kmsg.StringPtr("1"))
	wantCode(t, "unknown", ask[*kmsg.IncrementalAlterConfigsResponse](t, b, 1, unknown).Resources[0].ErrorCode, kerr.InvalidConfig)
	gone := incremental(kmsg.ConfigResourceTypeTopic, "gone", "retention.ms", set, kmsg.StringPtr("1"))
	wantCode(t, "gone", ask[*kmsg.IncrementalAlterConfigsResponse](t, b, 1, gone).Resources[0].ErrorCode, kerr.UnknownTopicOrPartition)
}

func TestIncrementalAlterConfigs_Cluster(t *testing.T) {
	b := newBroker(nil)
	b.AddTopic("events", 1, nil)
	change := func(name, key, value string) int16 {
		req := incremental(kmsg.ConfigResourceTypeBroker, name, key, kmsg.IncrementalAlterConfigOpSet, &value)
		return ask[*kmsg.IncrementalAlterConfigsResponse](t, b, 1, req).Resources[0].ErrorCode
	}
	wantCode(t, "cluster-wide", change("", "log.retention.ms", "7000"), nil)
	wantCode(t, "one agent", change("7", "log.retention.ms", "7000"), kerr.InvalidRequest)
	wantCode(t, "given at start", change("", "socket.request.max.bytes", "7000"), kerr.InvalidConfig)
	topics, _ := describeConfigs(t, b, 4, kmsg.ConfigResourceTypeTopic, "events")
	if got := topics["retention.ms"]; *got.Value != "7000" || got.Source != kmsg.ConfigSourceDynamicDefaultBrokerConfig {
		t.Errorf("the topic shows %+v", got)
	}
	cluster, _ := describeConfigs(t, b, 4, kmsg.ConfigResourceTypeBroker, "")
	if len(cluster) != 1 || *cluster["log.retention.ms"].Value != "7000" {
		t.Errorf("the cluster shows %v", cluster)
	}
}

func TestAlterConfigs_ReplacesAll(t *testing.T) {
	for version := int16(0); version <= 2; version++ {
		b := newBroker(nil)
		b.AddTopic("events", 1, newTopicConfig("retention.ms", "1", "segment.bytes", "2000000"))
		req := kmsg.NewPtrAlterConfigsRequest()
		req.ValidateOnly = true
		req.Resources = []kmsg.AlterConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: "events",
			Configs: []kmsg.AlterConfigsRequestResourceConfig{{Name: "retention.ms", Value: kmsg.StringPtr("9")}}}}
		wantCode(t, "validate", ask[*kmsg.AlterConfigsResponse](t, b, version, req).Resources[0].ErrorCode, nil)
		if before, _ := b.State().TopicByName("events"); before.Configs["retention.ms"] != "1" {
			t.Error("validation changed the topic")
		}
		req.ValidateOnly = false
		wantCode(t, "alter", ask[*kmsg.AlterConfigsResponse](t, b, version, req).Resources[0].ErrorCode, nil)
		after, _ := b.State().TopicByName("events")
		if len(after.Configs) != 1 || after.Configs["retention.ms"] != "9" {
			t.Errorf("version %d: %v", version, after.Configs)
		}
	}
}
