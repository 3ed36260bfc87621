package main

import (
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var topicScenarios = []scenario{
	{"CreateTopics: names and numbers", createNumbers},
	{"CreateTopics: configs", createConfigs},
	{"CreateTopics: assignments", createAssignments},
	{"CreateTopics: requests of several topics", createSeveral},
	{"DeleteTopics", deleteTopics},
	{"CreatePartitions", createPartitions},
}

func newTopic(name string, partitions int32, factor int16, configs ...string) kmsg.CreateTopicsRequestTopic {
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, partitions, factor
	for i := 0; i+1 < len(configs); i += 2 {
		t.Configs = append(t.Configs, kmsg.CreateTopicsRequestTopicConfig{Name: configs[i], Value: &configs[i+1]})
	}
	return t
}

// create asks with and without validate only.
func (b *broker) create(label string, v int16, topics ...kmsg.CreateTopicsRequestTopic) {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis, req.Topics, req.ValidateOnly = 10_000, topics, true
	ask[*kmsg.CreateTopicsResponse](b, label+", validate only", v, req)
	req.ValidateOnly = false
	got := ask[*kmsg.CreateTopicsResponse](b, label, v, req)
	for _, t := range got.Topics {
		if t.ErrorCode == 0 && t.TopicID != [16]byte{} {
			b.ids[t.TopicID] = strings.TrimPrefix(t.Topic, b.run)
		}
	}
}

func createNumbers(b *broker) {
	for _, v := range b.versions(kmsg.CreateTopics) {
		at := func(s string) string { return fmt.Sprintf("%sc%d-%s", b.run, v, s) }
		b.create("3 partitions", v, newTopic(at("three"), 3, 1))
		b.create("existing", v, newTopic(at("three"), 3, 1))
		b.create("existing, otherwise wrong", v, newTopic(at("three"), 0, 0))
		b.create("0 partitions", v, newTopic(at("zero"), 0, 1))
		b.create("-2 partitions", v, newTopic(at("minus"), -2, 1))
		b.create("replication factor 0", v, newTopic(at("f0"), 1, 0))
		b.create("replication factor -2", v, newTopic(at("f-2"), 1, -2))
		b.create("replication factor 3", v, newTopic(at("f3"), 1, 3))
		if v >= 4 {
			b.create("defaults", v, newTopic(at("default"), -1, -1))
		}
		for i, name := range []string{"", ".", "..", "a/b", "a b", "é", strings.Repeat("x", 250)} {
			b.create(fmt.Sprintf("bad name %d", i), v, newTopic(name, 1, 1))
		}
		b.create("colliding name", v, newTopic(at("col.x"), 1, 1))
		b.create("colliding name _", v, newTopic(at("col_x"), 1, 1))
		b.create("249 letters", v, newTopic(at(strings.Repeat("x", 249-len(at("")))), 1, 1))
	}
	b.create("internal name", 7, newTopic("__consumer_offsets", 1, 1))
}

func createConfigs(b *broker) {
	for i, c := range [][]string{
		{"retention.ms", "1000"},
		{"retention.ms", "-1"},
		{"retention.ms", "-2"},
		{"retention.ms", "abc"},
		{"retention.ms", ""},
		{"no.such", "1"},
		{"cleanup.policy", "compact"},
		{"cleanup.policy", "compact,delete"},
		{"cleanup.policy", "delete,compact"},
		{"cleanup.policy", "compact,compact"},
		{"cleanup.policy", ""},
		{"cleanup.policy", "nothing"},
		{"compression.type", "zstd"},
		{"compression.type", "uncompressed"},
		{"compression.type", "ZSTD"},
		{"compression.type", "lz5"},
		{"compression.zstd.level", "3"},
		{"compression.zstd.level", "99"},
		{"compression.gzip.level", "0"},
		{"compression.gzip.level", "-1"},
		{"compression.lz4.level", "18"},
		{"max.message.bytes", "100"},
		{"max.message.bytes", "-1"},
		{"max.message.bytes", "99999999999"},
		{"message.timestamp.type", "LogAppendTime"},
		{"message.timestamp.type", "logappendtime"},
		{"message.timestamp.before.max.ms", "10"},
		{"message.timestamp.after.max.ms", "-1"},
		{"message.timestamp.difference.max.ms", "10"},
		{"message.format.version", "3.0"},
		{"message.downconversion.enable", "true"},
		{"min.insync.replicas", "2"},
		{"min.insync.replicas", "0"},
		{"segment.bytes", "14"},
		{"segment.bytes", "1048576"},
		{"segment.bytes", "1"},
		{"segment.ms", "1"},
		{"segment.ms", "0"},
		{"segment.jitter.ms", "-1"},
		{"segment.index.bytes", "4"},
		{"segment.index.bytes", "3"},
		{"min.cleanable.dirty.ratio", "0.3"},
		{"min.cleanable.dirty.ratio", "1.5"},
		{"preallocate", "true"},
		{"preallocate", "maybe"},
		{"preallocate", "TRUE"},
		{"unclean.leader.election.enable", "true"},
		{"flush.messages", "1"},
		{"flush.messages", "0"},
		{"flush.ms", "-1"},
		{"file.delete.delay.ms", "0"},
		{"index.interval.bytes", "0"},
		{"min.compaction.lag.ms", "10", "max.compaction.lag.ms", "5"},
		{"min.compaction.lag.ms", "5", "max.compaction.lag.ms", "10"},
		{"max.compaction.lag.ms", "0"},
		{"local.retention.ms", "-2"},
		{"local.retention.ms", "-3"},
		{"local.retention.bytes", "-2"},
		{"local.retention.ms", "2000", "retention.ms", "1000"},
		{"remote.storage.enable", "false"},
		{"remote.storage.enable", "true"},
		{"remote.log.copy.disable", "false"},
		{"remote.log.delete.on.disable", "false"},
		{"remote.log.copy.disable", "true"},
		{"leader.replication.throttled.replicas", "0:1"},
		{"leader.replication.throttled.replicas", "*"},
		{"leader.replication.throttled.replicas", "none"},
		{"follower.replication.throttled.replicas", "x"},
		{"delete.retention.ms", "-1"},
		{"retention.bytes", "-5"},
		{"retention.ms", " 1000 "},
		{"retention.ms", "1000", "retention.ms", "2000"},
		{"errors.deadletterqueue.group.enable", "true"},
		{"internal.segment.bytes", "1048576"},
	} {
		b.create(strings.Join(c, " "), 7, newTopic(fmt.Sprintf("%scc%d", b.run, i), 1, 1, c...))
	}
	t := newTopic(b.run+"ccnull", 1, 1)
	t.Configs = []kmsg.CreateTopicsRequestTopicConfig{{Name: "retention.ms"}}
	b.create("null value", 7, t)
	b.create("null value", 4, t)
}

func createAssignments(b *broker) {
	assigned := func(name string, partitions int32, factor int16, replicas ...[]int32) kmsg.CreateTopicsRequestTopic {
		t := newTopic(b.run+name, partitions, factor)
		for i, r := range replicas {
			a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
			a.Partition, a.Replicas = int32(i), r
			t.ReplicaAssignment = append(t.ReplicaAssignment, a)
		}
		return t
	}
	b.create("two partitions", 7, assigned("as-two", -1, -1, []int32{1}, []int32{1}))
	b.create("two partitions, numbers given", 7, assigned("as-num", 2, 1, []int32{1}, []int32{1}))
	b.create("partitions given", 7, assigned("as-par", 2, -1, []int32{1}, []int32{1}))
	b.create("no replica", 7, assigned("as-none", -1, -1, []int32{}))
	b.create("replica twice", 7, assigned("as-twice", -1, -1, []int32{1, 1}))
	b.create("unknown broker", 7, assigned("as-unknown", -1, -1, []int32{77}))
	b.create("unlike numbers of replicas", 7, assigned("as-unlike", -1, -1, []int32{1}, []int32{1, 77}))
	gap := assigned("as-gap", -1, -1, []int32{1}, []int32{1})
	gap.ReplicaAssignment[1].Partition = 2
	b.create("a gap", 7, gap)
	same := assigned("as-same", -1, -1, []int32{1}, []int32{1})
	same.ReplicaAssignment[1].Partition = 0
	b.create("a partition twice", 7, same)
}

func createSeveral(b *broker) {
	for _, v := range b.versions(kmsg.CreateTopics) {
		at := func(s string) string { return fmt.Sprintf("%ss%d-%s", b.run, v, s) }
		b.create("none", v)
		b.create("two", v, newTopic(at("a"), 1, 1), newTopic(at("b"), 2, 1))
		b.create("good and bad", v, newTopic(at("c"), 1, 1), newTopic(at("d"), 0, 1), newTopic("a/b", 1, 1))
		b.create("the same twice", v, newTopic(at("e"), 1, 1), newTopic(at("e"), 1, 1), newTopic(at("f"), 1, 1))
		b.create("a bad name twice", v, newTopic("a/b", 1, 1), newTopic("a/b", 1, 1))
		b.create("an existing one twice", v, newTopic(at("a"), 1, 1), newTopic(at("a"), 1, 1))
		b.create("colliding with each other", v, newTopic(at("g.x"), 1, 1), newTopic(at("g_x"), 1, 1))
	}
}

func (b *broker) delete(label string, v int16, names ...string) {
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.TimeoutMillis, req.TopicNames = 10_000, names
	for _, n := range names {
		req.Topics = append(req.Topics, kmsg.DeleteTopicsRequestTopic{Topic: kmsg.StringPtr(n)})
	}
	ask[*kmsg.DeleteTopicsResponse](b, label, v, req)
	b.settle()
}

func deleteTopics(b *broker) {
	for _, v := range b.versions(kmsg.DeleteTopics) {
		at := func(s string) string { return fmt.Sprintf("del%d-%s", v, s) }
		for _, s := range []string{"a", "b", "c", "d"} {
			b.topic(at(s), 1)
		}
		b.delete("one", v, b.run+at("a"))
		b.delete("again", v, b.run+at("a"))
		b.delete("none", v)
		b.delete("twice in a request", v, b.run+at("b"), b.run+at("b"))
		b.delete("unknown twice", v, b.run+at("x"), b.run+at("x"))
		b.delete("known and unknown", v, b.run+at("c"), b.run+at("x"), "a/b", "")
		b.create("the name again", 7, newTopic(b.run+at("c"), 2, 1))
		b.settle()
		ask[*kmsg.MetadataResponse](b, "what is left", 12, named(b.run+at("a"), b.run+at("b"), b.run+at("c"), b.run+at("d")))
	}
	id, other := b.topic("delid", 1), b.topic("delid2", 1)
	byID := func(label string, topics ...kmsg.DeleteTopicsRequestTopic) {
		req := kmsg.NewPtrDeleteTopicsRequest()
		req.TimeoutMillis, req.Topics = 10_000, topics
		ask[*kmsg.DeleteTopicsResponse](b, label, 6, req)
		b.settle()
	}
	name := kmsg.StringPtr(b.run + "delid")
	byID("id and name", kmsg.DeleteTopicsRequestTopic{Topic: name, TopicID: id})
	byID("neither", kmsg.DeleteTopicsRequestTopic{})
	byID("unknown id", kmsg.DeleteTopicsRequestTopic{TopicID: [16]byte{7}})
	byID("id twice", kmsg.DeleteTopicsRequestTopic{TopicID: id}, kmsg.DeleteTopicsRequestTopic{TopicID: id})
	byID("by id and by name", kmsg.DeleteTopicsRequestTopic{TopicID: id}, kmsg.DeleteTopicsRequestTopic{Topic: name})
	byID("id", kmsg.DeleteTopicsRequestTopic{TopicID: other})
	byID("id again", kmsg.DeleteTopicsRequestTopic{TopicID: other})
}

func createPartitions(b *broker) {
	for _, v := range b.versions(kmsg.CreatePartitions) {
		name := fmt.Sprintf("cp%d", v)
		b.topic(name, 2)
		more := func(label string, topics ...kmsg.CreatePartitionsRequestTopic) {
			req := kmsg.NewPtrCreatePartitionsRequest()
			req.TimeoutMillis, req.Topics, req.ValidateOnly = 10_000, topics, true
			ask[*kmsg.CreatePartitionsResponse](b, label+", validate only", v, req)
			req.ValidateOnly = false
			ask[*kmsg.CreatePartitionsResponse](b, label, v, req)
			b.settle()
		}
		to := func(name string, count int32, replicas ...[]int32) kmsg.CreatePartitionsRequestTopic {
			t := kmsg.NewCreatePartitionsRequestTopic()
			t.Topic, t.Count = b.run+name, count
			for _, r := range replicas {
				t.Assignment = append(t.Assignment, kmsg.CreatePartitionsRequestTopicAssignment{Replicas: r})
			}
			return t
		}
		empty := to(name, 5)
		empty.Assignment = []kmsg.CreatePartitionsRequestTopicAssignment{}
		more("none")
		more("the same number", to(name, 2))
		more("fewer", to(name, 1))
		more("0", to(name, 0))
		more("-1", to(name, -1))
		more("unknown topic", to("cp-no", 5))
		more("twice", to(name, 4), to(name, 5))
		more("an empty assignment", empty)
		more("too few assignments", to(name, 4, []int32{1}))
		more("too many assignments", to(name, 3, []int32{1}, []int32{1}))
		more("an assignment without replicas", to(name, 3, []int32{}))
		more("an assignment to an unknown broker", to(name, 3, []int32{77}))
		more("an assignment to a broker twice", to(name, 3, []int32{1, 1}))
		more("an assignment", to(name, 3, []int32{1}))
		more("more", to(name, 5), to("cp-no", 7))
		ask[*kmsg.MetadataResponse](b, "now", 12, named(b.run+name))
	}
}
