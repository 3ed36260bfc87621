package main

import (
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var commitScenarios = []scenario{
	{"OffsetCommit and OffsetFetch: every version", commitVersions},
	{"OffsetCommit: members and generations", commitMembers},
	{"OffsetCommit: bad input", commitBad},
	{"OffsetFetch: unknown groups and topics", fetchUnknownOffsets},
	{"OffsetDelete", offsetDelete},
}

func committing(group, topic string, id [16]byte, offset int64, partitions ...int32) *kmsg.OffsetCommitRequest {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.Generation, req.RetentionTimeMillis = group, -1, -1
	t := kmsg.NewOffsetCommitRequestTopic()
	t.Topic, t.TopicID = topic, id
	for _, index := range partitions {
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset, p.LeaderEpoch, p.Metadata = index, offset, -1, kmsg.StringPtr("m")
		t.Partitions = append(t.Partitions, p)
	}
	req.Topics = append(req.Topics, t)
	return req
}

// offsetsOf asks for offsets in the form that the version has. Null topics ask for all.
func offsetsOf(v int16, group string, topic string, id [16]byte, partitions ...int32) *kmsg.OffsetFetchRequest {
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Group = group
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group, g.MemberEpoch = group, -1
	if topic != "" {
		t := kmsg.NewOffsetFetchRequestTopic()
		t.Topic, t.Partitions = topic, partitions
		req.Topics = append(req.Topics, t)
		gt := kmsg.NewOffsetFetchRequestGroupTopic()
		gt.Topic, gt.TopicID, gt.Partitions = topic, id, partitions
		g.Topics = append(g.Topics, gt)
	}
	req.Groups = append(req.Groups, g)
	return req
}

func commitVersions(b *broker) {
	id := b.topic("oc", 3)
	for _, v := range b.versions(kmsg.OffsetCommit) {
		g := fmt.Sprintf("%soc%d", b.run, v)
		ask[*kmsg.OffsetCommitResponse](b, "commit", v, committing(g, b.run+"oc", id, 5, 0, 1))
		epoch := committing(g, b.run+"oc", id, 7, 1)
		epoch.Topics[0].Partitions[0].LeaderEpoch, epoch.Topics[0].Partitions[0].Metadata = 0, nil
		ask[*kmsg.OffsetCommitResponse](b, "with an epoch and null metadata", v, epoch)
		for _, f := range b.versions(kmsg.OffsetFetch) {
			ask[*kmsg.OffsetFetchResponse](b, fmt.Sprintf("fetch after v%d", v), f, offsetsOf(f, g, b.run+"oc", id, 0, 1, 2, 9))
			if f >= 2 {
				ask[*kmsg.OffsetFetchResponse](b, fmt.Sprintf("fetch all after v%d", v), f, offsetsOf(f, g, "", id))
			}
		}
	}
	describe := kmsg.NewPtrDescribeGroupsRequest()
	describe.Groups = []string{b.run + "oc5"}
	ask[*kmsg.DescribeGroupsResponse](b, "a group of commits only", 5, describe)
	ask[*kmsg.ListGroupsResponse](b, "list", 5, kmsg.NewPtrListGroupsRequest())
}

func commitMembers(b *broker) {
	id := b.topic("om", 1)
	m := b.stable("om")
	g := b.run + "om"
	for _, v := range b.versions(kmsg.OffsetCommit) {
		try := func(label, group, member string, generation int32) {
			req := committing(group, b.run+"om", id, 3, 0)
			req.MemberID, req.Generation = member, generation
			ask[*kmsg.OffsetCommitResponse](b, label, v, req)
		}
		try("member", g, m, 1)
		try("old generation", g, m, 0)
		try("future generation", g, m, 7)
		try("unknown member", g, "who", 1)
		try("no member, generation", g, "", 1)
		try("no member, no generation", g, "", -1)
		try("member, no generation", g, m, -1)
		try("unknown group with a generation", b.run+"om-no", "who", 1)
		try("unknown group, member, no generation", b.run+"om-no2", "who", -1)
		try("empty group", "", "", -1)
		if v >= 7 {
			req := committing(g, b.run+"om", id, 3, 0)
			req.MemberID, req.Generation, req.InstanceID = m, 1, kmsg.StringPtr("instance")
			ask[*kmsg.OffsetCommitResponse](b, "unknown instance", v, req)
		}
	}
	quietly[*kmsg.LeaveGroupResponse](b, 5, leaving(g, m))
	req := committing(g, b.run+"om", id, 3, 0)
	ask[*kmsg.OffsetCommitResponse](b, "into an empty group", 8, req)
	req.MemberID, req.Generation = m, 1
	ask[*kmsg.OffsetCommitResponse](b, "of a member that left", 8, req)
	got := b.join("join and commit before sync", 7, joining(g, ""))
	req.MemberID, req.Generation = got.MemberID, got.Generation
	ask[*kmsg.OffsetCommitResponse](b, "before sync", 8, req)
}

func commitBad(b *broker) {
	id := b.topic("ob", 1)
	g := b.run + "ob"
	for _, v := range b.versions(kmsg.OffsetCommit) {
		try := func(label string, req *kmsg.OffsetCommitRequest) {
			ask[*kmsg.OffsetCommitResponse](b, label, v, req)
		}
		try("unknown topic", committing(g, b.run+"ob-no", [16]byte{4}, 3, 0))
		try("unknown partition", committing(g, b.run+"ob", id, 3, 0, 5, -1))
		both := committing(g, b.run+"ob", id, 3, 0)
		both.Topics = append(both.Topics, committing(g, b.run+"ob-no", [16]byte{4}, 3, 0).Topics...)
		try("known and unknown topic", both)
		try("no partitions", committing(g, b.run+"ob", id, 3))
		nothing := committing(g, "", id, 0)
		nothing.Topics = nil
		try("nothing", nothing)
		nothing.Generation, nothing.MemberID = 3, "who"
		try("nothing, of an unknown member", nothing)
		unknown := committing(g, b.run+"ob-no", [16]byte{4}, 3, 0)
		unknown.Generation, unknown.MemberID = 3, "who"
		try("unknown topic, of an unknown member", unknown)
		unknown.Group = ""
		try("unknown topic, of no group", unknown)
		try("offset -1", committing(g, b.run+"ob", id, -1, 0))
		try("offset -5", committing(g, b.run+"ob", id, -5, 0))
		try("a partition twice", committing(g, b.run+"ob", id, 4, 0, 0))
		for _, n := range []int{4096, 4097} {
			long := committing(g, b.run+"ob", id, 8, 0)
			long.Topics[0].Partitions[0].Metadata = kmsg.StringPtr(strings.Repeat("x", n))
			try(fmt.Sprintf("%d bytes of metadata", n), long)
		}
	}
	ask[*kmsg.OffsetFetchResponse](b, "what is left", 8, offsetsOf(8, g, b.run+"ob", id, 0))
}

func fetchUnknownOffsets(b *broker) {
	id := b.topic("of", 1)
	quietly[*kmsg.OffsetCommitResponse](b, 8, committing(b.run+"of", b.run+"of", id, 3, 0))
	for _, v := range b.versions(kmsg.OffsetFetch) {
		ask[*kmsg.OffsetFetchResponse](b, "unknown group", v, offsetsOf(v, b.run+"of-no", b.run+"of", id, 0))
		ask[*kmsg.OffsetFetchResponse](b, "empty group", v, offsetsOf(v, "", b.run+"of", id, 0))
		ask[*kmsg.OffsetFetchResponse](b, "unknown topic", v, offsetsOf(v, b.run+"of", b.run+"of-no", [16]byte{2}, 0, 1))
		ask[*kmsg.OffsetFetchResponse](b, "no partitions", v, offsetsOf(v, b.run+"of", b.run+"of", id))
		ask[*kmsg.OffsetFetchResponse](b, "a partition twice", v, offsetsOf(v, b.run+"of", b.run+"of", id, 0, 0))
		if v >= 2 {
			ask[*kmsg.OffsetFetchResponse](b, "all of an unknown group", v, offsetsOf(v, b.run+"of-no", "", id))
		}
		if v >= 7 {
			stable := offsetsOf(v, b.run+"of", b.run+"of", id, 0)
			stable.RequireStable = true
			ask[*kmsg.OffsetFetchResponse](b, "stable", v, stable)
		}
		if v >= 8 {
			two := offsetsOf(v, b.run+"of", b.run+"of", id, 0)
			two.Groups = append(two.Groups, offsetsOf(v, b.run+"of-no", "", id).Groups...)
			ask[*kmsg.OffsetFetchResponse](b, "two groups", v, two)
			two.Groups = nil
			ask[*kmsg.OffsetFetchResponse](b, "no groups", v, two)
		}
		if v >= 9 {
			member := offsetsOf(v, b.run+"of", b.run+"of", id, 0)
			member.Groups[0].MemberID, member.Groups[0].MemberEpoch = kmsg.StringPtr("who"), 1
			ask[*kmsg.OffsetFetchResponse](b, "a member of no group", v, member)
		}
	}
}

func offsetDelete(b *broker) {
	id := b.topic("od", 3)
	g := b.run + "od"
	quietly[*kmsg.OffsetCommitResponse](b, 8, committing(g, b.run+"od", id, 3, 0, 1))
	remove := func(label, group, topic string, partitions ...int32) {
		req := kmsg.NewPtrOffsetDeleteRequest()
		req.Group = group
		t := kmsg.NewOffsetDeleteRequestTopic()
		t.Topic = topic
		for _, index := range partitions {
			t.Partitions = append(t.Partitions, kmsg.OffsetDeleteRequestTopicPartition{Partition: index})
		}
		req.Topics = append(req.Topics, t)
		ask[*kmsg.OffsetDeleteResponse](b, label, 0, req)
	}
	remove("unknown group", b.run+"od-no", b.run+"od", 0)
	remove("unknown group, unknown topic", b.run+"od-no", b.run+"od-no", 0)
	remove("empty group", "", b.run+"od", 0)
	remove("unknown topic", g, b.run+"od-no", 0)
	remove("unknown partition", g, b.run+"od", 9, -1)
	remove("nothing committed", g, b.run+"od", 2)
	remove("no partitions", g, b.run+"od")
	remove("one", g, b.run+"od", 0)
	remove("again", g, b.run+"od", 0)
	ask[*kmsg.OffsetFetchResponse](b, "left", 7, offsetsOf(7, g, "", id))
	remove("the last", g, b.run+"od", 1)
	describe := kmsg.NewPtrDescribeGroupsRequest()
	describe.Groups = []string{g}
	ask[*kmsg.DescribeGroupsResponse](b, "the group", 6, describe)
	b.subscribed(id, remove)
}

// subscribed deletes offsets of a group whose member subscribes to the topic.
func (b *broker) subscribed(id [16]byte, remove func(label, group, topic string, partitions ...int32)) {
	g := b.run + "ods"
	req := joining(g, "")
	meta := kmsg.NewConsumerMemberMetadata()
	meta.Version, meta.Topics = 1, []string{b.run + "od"}
	req.Protocols[0].Metadata = meta.AppendTo(nil)
	got := b.join("subscribed", 7, req)
	quietly[*kmsg.SyncGroupResponse](b, 5, syncing(g, got.MemberID, got.Generation, got.MemberID))
	commit := committing(g, b.run+"od", id, 3, 0)
	commit.MemberID, commit.Generation = got.MemberID, got.Generation
	ask[*kmsg.OffsetCommitResponse](b, "commit", 8, commit)
	remove("subscribed", g, b.run+"od", 0)
	other := b.topic("odo", 1)
	commit = committing(g, b.run+"odo", other, 3, 0)
	commit.MemberID, commit.Generation = got.MemberID, got.Generation
	ask[*kmsg.OffsetCommitResponse](b, "commit of another topic", 8, commit)
	remove("not subscribed", g, b.run+"odo", 0)
	connect := joining(b.run+"odc", "")
	connect.ProtocolType = "connect"
	b.join("of another type", 7, connect)
	remove("of another type", b.run+"odc", b.run+"od", 0)
}
