package main

import (
	"github.com/twmb/franz-go/pkg/kmsg"
)

var metadataScenarios = []scenario{
	{"Metadata: topics by name", metadataByName},
	{"Metadata: topics by id", metadataByID},
	{"Metadata: automatic creation", metadataAuto},
}

func named(names ...string) *kmsg.MetadataRequest {
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{}
	for _, n := range names {
		req.Topics = append(req.Topics, kmsg.MetadataRequestTopic{Topic: kmsg.StringPtr(n)})
	}
	return req
}

func metadataByName(b *broker) {
	b.topic("md", 3)
	for _, v := range b.versions(kmsg.Metadata) {
		all := kmsg.NewPtrMetadataRequest()
		ask[*kmsg.MetadataResponse](b, "all topics", v, all)
		none := kmsg.NewPtrMetadataRequest()
		none.Topics = []kmsg.MetadataRequestTopic{}
		ask[*kmsg.MetadataResponse](b, "no topics", v, none)
		ask[*kmsg.MetadataResponse](b, "one", v, named(b.run+"md"))
		ask[*kmsg.MetadataResponse](b, "twice", v, named(b.run+"md", b.run+"md"))
		ask[*kmsg.MetadataResponse](b, "bad names", v, named("", ".", "..", "a/b", "é", b.run+"md"))
		long := make([]byte, 250)
		for i := range long {
			long[i] = 'x'
		}
		ask[*kmsg.MetadataResponse](b, "long name", v, named(string(long)))
		if v >= 4 {
			ask[*kmsg.MetadataResponse](b, "unknown", v, named(b.run+"md-no"))
		}
		if v >= 8 {
			req := named(b.run+"md", b.run+"md-no")
			req.IncludeClusterAuthorizedOperations, req.IncludeTopicAuthorizedOperations = true, true
			ask[*kmsg.MetadataResponse](b, "operations", v, req)
		}
	}
}

func metadataByID(b *broker) {
	id := b.topic("mdid", 2)
	for _, v := range b.versions(kmsg.Metadata) {
		if v < 10 {
			continue
		}
		req := kmsg.NewPtrMetadataRequest()
		req.Topics = []kmsg.MetadataRequestTopic{{TopicID: id}}
		ask[*kmsg.MetadataResponse](b, "id", v, req)
		req.Topics = []kmsg.MetadataRequestTopic{{TopicID: id}, {TopicID: id}}
		ask[*kmsg.MetadataResponse](b, "id twice", v, req)
		req.Topics = []kmsg.MetadataRequestTopic{{TopicID: [16]byte{9, 9}}}
		ask[*kmsg.MetadataResponse](b, "unknown id", v, req)
		req.Topics = []kmsg.MetadataRequestTopic{{TopicID: [16]byte{9, 9}}, {TopicID: id}}
		ask[*kmsg.MetadataResponse](b, "unknown id and known", v, req)
		req.Topics = []kmsg.MetadataRequestTopic{{TopicID: id, Topic: kmsg.StringPtr(b.run + "mdid")}}
		ask[*kmsg.MetadataResponse](b, "id and name", v, req)
		req.Topics = []kmsg.MetadataRequestTopic{{TopicID: id}, {Topic: kmsg.StringPtr(b.run + "mdid")}}
		ask[*kmsg.MetadataResponse](b, "id, and name", v, req)
		req.Topics = []kmsg.MetadataRequestTopic{{}}
		ask[*kmsg.MetadataResponse](b, "neither", v, req)
	}
}

func metadataAuto(b *broker) {
	off := named(b.run + "auto-off")
	ask[*kmsg.MetadataResponse](b, "not allowed", 9, off)
	b.settle()
	ask[*kmsg.MetadataResponse](b, "not allowed, again", 9, off)
	on := named(b.run + "auto-on")
	on.AllowAutoTopicCreation = true
	for range 50 {
		got := quietly[*kmsg.MetadataResponse](b, 9, on)
		if len(got.Topics) == 1 && got.Topics[0].ErrorCode == 0 && ready(got.Topics[0]) {
			break
		}
		b.settle()
	}
	ask[*kmsg.MetadataResponse](b, "allowed", 9, on)
	bad := named(b.run+"a b", "__consumer_offsets2", b.run+"auto.on")
	bad.AllowAutoTopicCreation = true
	quietly[*kmsg.MetadataResponse](b, 9, bad)
	b.settle()
	ask[*kmsg.MetadataResponse](b, "bad, internal-like and colliding names", 9, bad)
}
