package main

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var groupScenarios = []scenario{
	{"groups: one member, every version", groupVersions},
	{"groups: JoinGroup refused", joinRefused},
	{"groups: unknown members and generations", groupUnknown},
	{"groups: two members", groupTwo},
	{"groups: static members", groupStatic},
	{"groups: DescribeGroups and ListGroups", groupShown},
	{"groups: DeleteGroups", groupDelete},
}

func joining(group, member string) *kmsg.JoinGroupRequest {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Group, req.MemberID, req.ProtocolType = group, member, "consumer"
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = 30_000, 5000
	p := kmsg.NewJoinGroupRequestProtocol()
	p.Name, p.Metadata = "range", []byte{0, 1, 0, 0, 0, 0, 0, 0, 0, 0}
	req.Protocols = append(req.Protocols, p)
	return req
}

func syncing(group, member string, generation int32, assigned ...string) *kmsg.SyncGroupRequest {
	req := kmsg.NewPtrSyncGroupRequest()
	req.Group, req.MemberID, req.Generation = group, member, generation
	req.ProtocolType, req.Protocol = kmsg.StringPtr("consumer"), kmsg.StringPtr("range")
	for _, m := range assigned {
		a := kmsg.NewSyncGroupRequestGroupAssignment()
		a.MemberID, a.MemberAssignment = m, []byte("assigned")
		req.GroupAssignment = append(req.GroupAssignment, a)
	}
	return req
}

func beating(group, member string, generation int32) *kmsg.HeartbeatRequest {
	req := kmsg.NewPtrHeartbeatRequest()
	req.Group, req.MemberID, req.Generation = group, member, generation
	return req
}

func leaving(group string, members ...string) *kmsg.LeaveGroupRequest {
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group = group
	for _, m := range members {
		req.MemberID = m
		l := kmsg.NewLeaveGroupRequestMember()
		l.MemberID = m
		req.Members = append(req.Members, l)
	}
	return req
}

// join joins as a client does: with the member id that the first answer gives, if it asks for that.
func (b *broker) join(label string, v int16, req *kmsg.JoinGroupRequest) *kmsg.JoinGroupResponse {
	got := ask[*kmsg.JoinGroupResponse](b, label, v, req)
	if got.ErrorCode == 79 { // MEMBER_ID_REQUIRED
		req.MemberID = got.MemberID
		got = ask[*kmsg.JoinGroupResponse](b, label+" with the id", v, req)
	}
	return got
}

// stable makes a group with one member.
func (b *broker) stable(group string) (member string) {
	got := b.join("join "+group, 7, joining(b.run+group, ""))
	ask[*kmsg.SyncGroupResponse](b, "sync "+group, 5, syncing(b.run+group, got.MemberID, got.Generation, got.MemberID))
	return got.MemberID
}

func at(b *broker, key kmsg.Key, v int16) int16 {
	all := b.versions(key)
	return min(max(v, all[0]), all[len(all)-1])
}

func groupVersions(b *broker) {
	for _, v := range b.versions(kmsg.JoinGroup) {
		g := fmt.Sprintf("%sgv%d", b.run, v)
		got := b.join("join", v, joining(g, ""))
		m, gen := got.MemberID, got.Generation
		ask[*kmsg.HeartbeatResponse](b, "heartbeat before sync", at(b, kmsg.Heartbeat, v), beating(g, m, gen))
		ask[*kmsg.SyncGroupResponse](b, "sync", at(b, kmsg.SyncGroup, v), syncing(g, m, gen, m))
		ask[*kmsg.SyncGroupResponse](b, "sync again", at(b, kmsg.SyncGroup, v), syncing(g, m, gen))
		ask[*kmsg.HeartbeatResponse](b, "heartbeat", at(b, kmsg.Heartbeat, v), beating(g, m, gen))
		describe := kmsg.NewPtrDescribeGroupsRequest()
		describe.Groups, describe.IncludeAuthorizedOperations = []string{g}, true
		ask[*kmsg.DescribeGroupsResponse](b, "describe", at(b, kmsg.DescribeGroups, v), describe)
		ask[*kmsg.JoinGroupResponse](b, "join again", v, joining(g, m))
		ask[*kmsg.DescribeGroupsResponse](b, "describe while joining", at(b, kmsg.DescribeGroups, v), describe)
		ask[*kmsg.SyncGroupResponse](b, "sync with the old generation", at(b, kmsg.SyncGroup, v), syncing(g, m, gen, m))
		ask[*kmsg.SyncGroupResponse](b, "sync without an assignment", at(b, kmsg.SyncGroup, v), syncing(g, m, gen+1))
		ask[*kmsg.LeaveGroupResponse](b, "leave", at(b, kmsg.LeaveGroup, v), leaving(g, m))
		ask[*kmsg.LeaveGroupResponse](b, "leave again", at(b, kmsg.LeaveGroup, v), leaving(g, m))
		ask[*kmsg.DescribeGroupsResponse](b, "describe when empty", at(b, kmsg.DescribeGroups, v), describe)
		ask[*kmsg.HeartbeatResponse](b, "heartbeat when empty", at(b, kmsg.Heartbeat, v), beating(g, m, gen))
	}
}

func joinRefused(b *broker) {
	for _, v := range []int16{0, 3, 5, 9} {
		try := func(label, group string, change func(*kmsg.JoinGroupRequest)) {
			req := joining(group, "")
			change(req)
			b.join(label, v, req)
		}
		g := fmt.Sprintf("%sjr%d-", b.run, v)
		try("empty group", "", func(*kmsg.JoinGroupRequest) {})
		try("session timeout too short", g+"a", func(r *kmsg.JoinGroupRequest) { r.SessionTimeoutMillis = 10 })
		try("session timeout too long", g+"a", func(r *kmsg.JoinGroupRequest) { r.SessionTimeoutMillis = 1 << 30 })
		try("session timeout 0", g+"a", func(r *kmsg.JoinGroupRequest) { r.SessionTimeoutMillis = 0 })
		try("rebalance timeout 0", g+"r", func(r *kmsg.JoinGroupRequest) { r.RebalanceTimeoutMillis = 0 })
		try("no protocols", g+"a", func(r *kmsg.JoinGroupRequest) { r.Protocols = nil })
		try("no protocol type", g+"a", func(r *kmsg.JoinGroupRequest) { r.ProtocolType = "" })
		try("no protocol type, no protocols", g+"a", func(r *kmsg.JoinGroupRequest) { r.ProtocolType, r.Protocols = "", nil })
		try("a protocol without a name", g+"n", func(r *kmsg.JoinGroupRequest) { r.Protocols[0].Name = "" })
		try("empty metadata", g+"m", func(r *kmsg.JoinGroupRequest) { r.Protocols[0].Metadata = []byte{} })
		try("unknown member of an unknown group", g+"b", func(r *kmsg.JoinGroupRequest) { r.MemberID = "who" })
		try("first member", g+"c", func(r *kmsg.JoinGroupRequest) {})
		try("unknown member of a known group", g+"c", func(r *kmsg.JoinGroupRequest) { r.MemberID = "who" })
		try("another protocol type", g+"c", func(r *kmsg.JoinGroupRequest) { r.ProtocolType = "connect" })
		try("another protocol", g+"c", func(r *kmsg.JoinGroupRequest) { r.Protocols[0].Name = "other" })
		try("a type of its own", g+"d", func(r *kmsg.JoinGroupRequest) { r.ProtocolType = "my type" })
		try("empty group instance", g+"i", func(r *kmsg.JoinGroupRequest) { r.InstanceID = kmsg.StringPtr("") })
	}
}

func groupUnknown(b *broker) {
	for _, v := range b.versions(kmsg.Heartbeat) {
		b.unknownIn("unknown group", b.run+"gu-no", v)
		b.unknownIn("empty group id", "", v)
	}
	m := b.stable("gu")
	for _, v := range b.versions(kmsg.Heartbeat) {
		b.unknownIn("known group", b.run+"gu", v)
		ask[*kmsg.HeartbeatResponse](b, "generation 7", v, beating(b.run+"gu", m, 7))
		ask[*kmsg.HeartbeatResponse](b, "generation 0", v, beating(b.run+"gu", m, 0))
		ask[*kmsg.HeartbeatResponse](b, "generation -1", v, beating(b.run+"gu", m, -1))
	}
	for _, v := range b.versions(kmsg.SyncGroup) {
		ask[*kmsg.SyncGroupResponse](b, "generation 7", v, syncing(b.run+"gu", m, 7))
		if v >= 5 {
			other := syncing(b.run+"gu", m, 1)
			other.Protocol = kmsg.StringPtr("other")
			ask[*kmsg.SyncGroupResponse](b, "another protocol", v, other)
			other = syncing(b.run+"gu", m, 1)
			other.ProtocolType = kmsg.StringPtr("other")
			ask[*kmsg.SyncGroupResponse](b, "another protocol type", v, other)
			other.ProtocolType, other.Protocol = nil, nil
			ask[*kmsg.SyncGroupResponse](b, "no protocol", v, other)
			other.Protocol = kmsg.StringPtr("range")
			ask[*kmsg.SyncGroupResponse](b, "no protocol type", v, other)
		}
	}
	for _, v := range b.versions(kmsg.LeaveGroup) {
		ask[*kmsg.LeaveGroupResponse](b, "nobody", v, leaving(b.run+"gu"))
		ask[*kmsg.LeaveGroupResponse](b, "unknown twice", v, leaving(b.run+"gu", "who", "who"))
	}
	ask[*kmsg.HeartbeatResponse](b, "still there", 4, beating(b.run+"gu", m, 1))
	ask[*kmsg.LeaveGroupResponse](b, "known and unknown", 5, leaving(b.run+"gu", m, "who"))
}

func (b *broker) unknownIn(label, group string, v int16) {
	ask[*kmsg.HeartbeatResponse](b, "heartbeat, "+label, v, beating(group, "who", 1))
	ask[*kmsg.SyncGroupResponse](b, "sync, "+label, at(b, kmsg.SyncGroup, v), syncing(group, "who", 1))
	ask[*kmsg.LeaveGroupResponse](b, "leave, "+label, at(b, kmsg.LeaveGroup, v), leaving(group, "who"))
	beat := beating(group, "", 1)
	ask[*kmsg.HeartbeatResponse](b, "heartbeat without a member, "+label, v, beat)
	if v >= 3 {
		beat = beating(group, "who", 1)
		beat.InstanceID = kmsg.StringPtr("instance")
		ask[*kmsg.HeartbeatResponse](b, "heartbeat of an unknown instance, "+label, v, beat)
		leave := leaving(group, "")
		leave.Members[0].InstanceID = kmsg.StringPtr("instance")
		ask[*kmsg.LeaveGroupResponse](b, "leave of an unknown instance, "+label, v, leave)
	}
}

func groupTwo(b *broker) {
	g := b.run + "g2"
	first := b.stable("g2")
	second := joining(g, "")
	got := ask[*kmsg.JoinGroupResponse](b, "a second member", 7, second)
	second.MemberID = got.MemberID
	other := b.dial()
	b.send(other, 7, second)
	b.settle()
	ask[*kmsg.HeartbeatResponse](b, "the first is told", 4, beating(g, first, 1))
	describe := kmsg.NewPtrDescribeGroupsRequest()
	describe.Groups = []string{g}
	ask[*kmsg.DescribeGroupsResponse](b, "describe while rebalancing", 5, describe)
	ask[*kmsg.SyncGroupResponse](b, "sync of the first while rebalancing", 5, syncing(g, first, 1))
	ask[*kmsg.HeartbeatResponse](b, "heartbeat of the joining one", 4, beating(g, second.MemberID, 1))
	again := ask[*kmsg.JoinGroupResponse](b, "the first joins again", 7, joining(g, first))
	answer[*kmsg.JoinGroupResponse](b, other, "the second has joined", 7, second)
	b.note("the first leads", fmt.Sprint(again.LeaderID == first))
	ask[*kmsg.HeartbeatResponse](b, "heartbeat before sync", 4, beating(g, first, again.Generation))
	follower := syncing(g, second.MemberID, again.Generation)
	b.send(other, 5, follower)
	ask[*kmsg.SyncGroupResponse](b, "the leader syncs", 5, syncing(g, first, again.Generation, first, second.MemberID))
	answer[*kmsg.SyncGroupResponse](b, other, "the follower has its assignment", 5, follower)
	ask[*kmsg.DescribeGroupsResponse](b, "describe when stable", 5, describe)
	ask[*kmsg.JoinGroupResponse](b, "the follower joins again unchanged", 7, joining(g, second.MemberID))
	ask[*kmsg.HeartbeatResponse](b, "nothing happened", 4, beating(g, first, again.Generation))
	ask[*kmsg.LeaveGroupResponse](b, "the leader leaves", 5, leaving(g, first))
	ask[*kmsg.HeartbeatResponse](b, "the follower is told", 4, beating(g, second.MemberID, again.Generation))
	ask[*kmsg.JoinGroupResponse](b, "the follower leads", 7, joining(g, second.MemberID))
	ask[*kmsg.LeaveGroupResponse](b, "all gone", 5, leaving(g, second.MemberID))
}

func groupStatic(b *broker) {
	g := b.run + "gs"
	instance := func(member, id string) *kmsg.JoinGroupRequest {
		req := joining(g, member)
		req.InstanceID = kmsg.StringPtr(id)
		return req
	}
	got := b.join("static member", 7, instance("", "i1"))
	sync := syncing(g, got.MemberID, got.Generation, got.MemberID)
	sync.InstanceID = kmsg.StringPtr("i1")
	ask[*kmsg.SyncGroupResponse](b, "sync", 5, sync)
	again := ask[*kmsg.JoinGroupResponse](b, "it comes again without its id", 7, instance("", "i1"))
	b.note("a new member id", fmt.Sprint(got.MemberID != again.MemberID))
	b.note("the same generation", fmt.Sprint(got.Generation == again.Generation))
	beat := beating(g, got.MemberID, again.Generation)
	beat.InstanceID = kmsg.StringPtr("i1")
	ask[*kmsg.HeartbeatResponse](b, "the old id is fenced", 4, beat)
	ask[*kmsg.JoinGroupResponse](b, "the old id joins", 7, instance(got.MemberID, "i1"))
	ask[*kmsg.SyncGroupResponse](b, "the old id syncs", 5, sync)
	beat.MemberID = again.MemberID
	ask[*kmsg.HeartbeatResponse](b, "the new id", 4, beat)
	beat.InstanceID = kmsg.StringPtr("i9")
	ask[*kmsg.HeartbeatResponse](b, "another instance", 4, beat)
	describe := kmsg.NewPtrDescribeGroupsRequest()
	describe.Groups = []string{g}
	ask[*kmsg.DescribeGroupsResponse](b, "describe", 5, describe)
	leave := leaving(g, got.MemberID)
	leave.Members[0].InstanceID = kmsg.StringPtr("i1")
	ask[*kmsg.LeaveGroupResponse](b, "the old id leaves", 5, leave)
	byInstance := leaving(g, "")
	byInstance.Members[0].InstanceID = kmsg.StringPtr("i1")
	ask[*kmsg.LeaveGroupResponse](b, "the instance is removed", 5, byInstance)
	ask[*kmsg.LeaveGroupResponse](b, "the instance is removed again", 5, byInstance)
	ask[*kmsg.DescribeGroupsResponse](b, "describe when empty", 5, describe)
}

func groupShown(b *broker) {
	b.stable("gd")
	for _, v := range b.versions(kmsg.DescribeGroups) {
		req := kmsg.NewPtrDescribeGroupsRequest()
		req.Groups, req.IncludeAuthorizedOperations = []string{b.run + "gd", b.run + "gd-no", ""}, v%2 == 1
		ask[*kmsg.DescribeGroupsResponse](b, "known, unknown and empty", v, req)
		req.Groups = []string{b.run + "gd", b.run + "gd"}
		ask[*kmsg.DescribeGroupsResponse](b, "twice", v, req)
		req.Groups = nil
		ask[*kmsg.DescribeGroupsResponse](b, "none", v, req)
	}
	for _, v := range b.versions(kmsg.ListGroups) {
		ask[*kmsg.ListGroupsResponse](b, "all", v, kmsg.NewPtrListGroupsRequest())
		if v < 4 {
			continue
		}
		for _, states := range [][]string{{"Stable"}, {"stable"}, {"Empty"}, {"Dead"}, {"Stable", "Empty"}, {"NoSuch"}, {""}} {
			req := kmsg.NewPtrListGroupsRequest()
			req.StatesFilter = states
			ask[*kmsg.ListGroupsResponse](b, fmt.Sprint("states ", states), v, req)
		}
		if v < 5 {
			continue
		}
		for _, types := range [][]string{{"classic"}, {"Classic"}, {"consumer"}, {"share"}, {"nosuch"}, {""}} {
			req := kmsg.NewPtrListGroupsRequest()
			req.TypesFilter = types
			ask[*kmsg.ListGroupsResponse](b, fmt.Sprint("types ", types), v, req)
		}
	}
}

func groupDelete(b *broker) {
	for _, v := range b.versions(kmsg.DeleteGroups) {
		g := fmt.Sprintf("gx%d", v)
		m := b.stable(g)
		remove := func(label string, groups ...string) {
			req := kmsg.NewPtrDeleteGroupsRequest()
			req.Groups = groups
			ask[*kmsg.DeleteGroupsResponse](b, label, v, req)
		}
		remove("not empty, unknown and without a name", b.run+g, b.run+"gx-no", "")
		quietly[*kmsg.LeaveGroupResponse](b, 5, leaving(b.run+g, m))
		remove("twice", b.run+"gx-no", b.run+"gx-no")
		remove("empty", b.run+g)
		remove("again", b.run+g)
		remove("none")
		describe := kmsg.NewPtrDescribeGroupsRequest()
		describe.Groups = []string{b.run + g}
		ask[*kmsg.DescribeGroupsResponse](b, "describe", 6, describe)
	}
}
