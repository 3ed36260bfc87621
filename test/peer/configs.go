package main

import (
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var configScenarios = []scenario{
	{"DescribeConfigs: topics", describeTopicConfigs},
	{"DescribeConfigs: brokers", describeBrokerConfigs},
	{"IncrementalAlterConfigs: topics", incrementalTopics},
	{"IncrementalAlterConfigs: other resources", incrementalOthers},
	{"AlterConfigs: topics", alterTopics},
}

func (b *broker) describe(label string, v int16, kind int8, name string, synonyms bool, only ...string) *kmsg.DescribeConfigsResponse {
	req := kmsg.NewPtrDescribeConfigsRequest()
	r := kmsg.NewDescribeConfigsRequestResource()
	r.ResourceType, r.ResourceName, r.ConfigNames = kmsg.ConfigResourceType(kind), name, only
	req.Resources, req.IncludeSynonyms, req.IncludeDocumentation = append(req.Resources, r), synonyms, true
	return ask[*kmsg.DescribeConfigsResponse](b, label, v, req)
}

func describeTopicConfigs(b *broker) {
	b.topic("dc", 1)
	b.topic("dcset", 1, "retention.ms", "1234", "cleanup.policy", "compact,delete")
	for _, v := range b.versions(kmsg.DescribeConfigs) {
		b.describe("defaults", v, 2, b.run+"dc", v%2 == 0)
		b.describe("defaults, synonyms", v, 2, b.run+"dc", v%2 == 1)
		b.describe("set", v, 2, b.run+"dcset", true)
		b.describe("one", v, 2, b.run+"dcset", true, "retention.ms")
		b.describe("one, another and an unknown", v, 2, b.run+"dcset", true, "retention.ms", "no.such", "segment.ms")
		b.describe("unknown topic", v, 2, b.run+"dc-no", true)
		b.describe("bad name", v, 2, "a/b", true)
		b.describe("no name", v, 2, "", true)
	}
	req := kmsg.NewPtrDescribeConfigsRequest()
	r := kmsg.NewDescribeConfigsRequestResource()
	r.ResourceType, r.ResourceName, r.ConfigNames = 2, b.run+"dc", []string{}
	req.Resources = append(req.Resources, r)
	ask[*kmsg.DescribeConfigsResponse](b, "an empty list of names", 4, req)
	r.ConfigNames = []string{"retention.ms"}
	req.Resources = append(req.Resources, r, r)
	ask[*kmsg.DescribeConfigsResponse](b, "a resource named again", 4, req)
	req.Resources = nil
	ask[*kmsg.DescribeConfigsResponse](b, "nothing", 4, req)
}

// brokerSettings are those of a broker that tools read.
var brokerSettings = []string{"auto.create.topics.enable", "delete.topic.enable", "num.partitions", "default.replication.factor",
	"log.retention.ms", "log.retention.bytes", "log.segment.bytes", "log.cleanup.policy", "message.max.bytes", "min.insync.replicas",
	"compression.type", "offsets.retention.minutes", "offsets.topic.num.partitions", "group.min.session.timeout.ms",
	"group.max.session.timeout.ms", "group.max.size", "socket.request.max.bytes", "fetch.max.bytes", "node.id", "broker.id",
	"max.incremental.fetch.session.cache.slots", "log.message.timestamp.type", "offset.metadata.max.bytes",
	"inter.broker.protocol.version", "max.request.partition.size.limit", "unclean.leader.election.enable", "log.retention.hours"}

func describeBrokerConfigs(b *broker) {
	for _, v := range b.versions(kmsg.DescribeConfigs) {
		b.describe("this broker", v, 4, "1", true, brokerSettings...)
		b.describe("cluster", v, 4, "", true)
		b.describe("another broker", v, 4, "99", true)
		b.describe("no number", v, 4, "x", true)
		for _, kind := range []int8{0, 1, 3, 5, 64} {
			b.describe(fmt.Sprintf("type %d", kind), v, kind, "x", true)
		}
		b.describe("loggers", v, 8, "1", false, "none")
		b.describe("loggers of another", v, 8, "99", false)
		b.describe("a group", v, 32, b.run+"g", true)
		b.describe("client metrics", v, 16, "m", true)
	}
}

// operation is one of IncrementalAlterConfigs: 0 set, 1 delete, 2 append, 3 subtract.
type operation struct {
	op    int8
	name  string
	value *string
}

func set(name, value string) operation      { return operation{0, name, &value} }
func remove(name string) operation          { return operation{1, name, nil} }
func appendTo(name, value string) operation { return operation{2, name, &value} }
func subtract(name, value string) operation { return operation{3, name, &value} }
func (b *broker) shownConfigs(v int16, name string) {
	b.settle()
	req := kmsg.NewPtrDescribeConfigsRequest()
	r := kmsg.NewDescribeConfigsRequestResource()
	r.ResourceType, r.ResourceName = 2, name
	r.ConfigNames = []string{"retention.ms", "cleanup.policy", "max.message.bytes", "compression.type"}
	req.Resources = append(req.Resources, r)
	ask[*kmsg.DescribeConfigsResponse](b, "now", 4, req)
}

func (b *broker) increment(label string, v int16, kind int8, name string, ops ...operation) {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceType(kind), name
	for _, o := range ops {
		c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		c.Name, c.Op, c.Value = o.name, kmsg.IncrementalAlterConfigOp(o.op), o.value
		r.Configs = append(r.Configs, c)
	}
	req.Resources, req.ValidateOnly = append(req.Resources, r), true
	ask[*kmsg.IncrementalAlterConfigsResponse](b, label+", validate only", v, req)
	req.ValidateOnly = false
	ask[*kmsg.IncrementalAlterConfigsResponse](b, label, v, req)
}

func incrementalTopics(b *broker) {
	for _, v := range b.versions(kmsg.IncrementalAlterConfigs) {
		name := fmt.Sprintf("iac%d", v)
		b.topic(name, 1)
		alter := func(label string, ops ...operation) {
			b.increment(label, v, 2, b.run+name, ops...)
			b.shownConfigs(v, b.run+name)
		}
		alter("set", set("retention.ms", "1000"))
		alter("set another", set("max.message.bytes", "5000"))
		alter("delete", remove("retention.ms"))
		alter("delete what is not set", remove("retention.ms"))
		alter("delete what is unknown", remove("no.such"))
		alter("set what is unknown", set("no.such", "1"))
		alter("a bad value", set("retention.ms", "x"))
		alter("an empty value", set("retention.ms", ""))
		alter("append", appendTo("cleanup.policy", "compact"))
		alter("append the same", appendTo("cleanup.policy", "compact"))
		alter("subtract", subtract("cleanup.policy", "delete"))
		alter("subtract what is not there", subtract("cleanup.policy", "delete"))
		alter("subtract the last", subtract("cleanup.policy", "compact"))
		alter("append what is bad", appendTo("cleanup.policy", "bad"))
		alter("append two", appendTo("cleanup.policy", "delete,compact"))
		alter("append to no list", appendTo("retention.ms", "5"))
		alter("subtract from no list", subtract("retention.ms", "5"))
		alter("append to what is unknown", appendTo("no.such", "5"))
		alter("set without a value", operation{0, "retention.ms", nil})
		alter("append without a value", operation{2, "cleanup.policy", nil})
		alter("an unknown operation", operation{9, "retention.ms", kmsg.StringPtr("1")})
		alter("one twice", set("retention.ms", "1"), set("retention.ms", "2"))
		alter("one twice, set and deleted", set("retention.ms", "1"), remove("retention.ms"))
		alter("good and bad", set("retention.ms", "7"), set("max.message.bytes", "x"))
		alter("nothing")
		alter("delete with a value", operation{1, "max.message.bytes", kmsg.StringPtr("3")})
		b.increment("unknown topic", v, 2, b.run+"iac-no", set("retention.ms", "1"))
		b.increment("bad name", v, 2, "a/b", set("retention.ms", "1"))
		b.increment("no name", v, 2, "", set("retention.ms", "1"))
		b.increment("unknown topic, bad setting", v, 2, b.run+"iac-no", set("no.such", "1"))
	}
}

func incrementalOthers(b *broker) {
	for _, kind := range []int8{0, 1, 3, 5} {
		b.increment(fmt.Sprintf("type %d", kind), 1, kind, "x", set("a", "1"))
	}
	b.increment("another broker", 1, 4, "99", set("log.retention.ms", "1"))
	b.increment("no number", 1, 4, "x", set("log.retention.ms", "1"))
	b.increment("cluster: set", 1, 4, "", set("log.retention.ms", "777777"))
	b.settle()
	b.describe("cluster: now", 4, 4, "", true)
	b.topic("iaco", 1)
	b.describe("a topic: now", 4, 2, b.run+"iaco", true, "retention.ms")
	b.increment("cluster: read only", 1, 4, "", set("node.id", "1"))
	b.increment("cluster: bad value", 1, 4, "", set("log.retention.ms", "x"))
	b.increment("cluster: delete", 1, 4, "", remove("log.retention.ms"))
	b.settle()
	b.describe("cluster: at last", 4, 4, "", true)
	two := kmsg.NewPtrIncrementalAlterConfigsRequest()
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = 2, b.run+"iaco"
	two.Resources = append(two.Resources, r, r)
	ask[*kmsg.IncrementalAlterConfigsResponse](b, "a topic twice", 1, two)
}

func alterTopics(b *broker) {
	for _, v := range b.versions(kmsg.AlterConfigs) {
		name := fmt.Sprintf("ac%d", v)
		b.topic(name, 1, "compression.type", "gzip")
		alter := func(label string, configs ...string) {
			req := kmsg.NewPtrAlterConfigsRequest()
			r := kmsg.NewAlterConfigsRequestResource()
			r.ResourceType, r.ResourceName = 2, b.run+name
			for i := 0; i+1 < len(configs); i += 2 {
				c := kmsg.NewAlterConfigsRequestResourceConfig()
				c.Name, c.Value = configs[i], &configs[i+1]
				if configs[i+1] == "<null>" {
					c.Value = nil
				}
				r.Configs = append(r.Configs, c)
			}
			req.Resources, req.ValidateOnly = append(req.Resources, r), true
			ask[*kmsg.AlterConfigsResponse](b, label+", validate only", v, req)
			req.ValidateOnly = false
			ask[*kmsg.AlterConfigsResponse](b, label, v, req)
			b.shownConfigs(v, b.run+name)
		}
		alter("set", "retention.ms", "1000")
		alter("two", "max.message.bytes", "900", "cleanup.policy", "compact")
		alter("unknown", "no.such", "1")
		alter("bad", "retention.ms", "x")
		alter("null", "retention.ms", "<null>")
		alter("twice", "retention.ms", "1", "retention.ms", "2")
		alter("nothing")
		save := name
		name = "ac-no"
		alter("unknown topic", "retention.ms", "1")
		name = strings.Clone(save)
	}
}
