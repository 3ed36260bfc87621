package api_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/odradek/odradek/agent/api"
	"github.com/odradek/odradek/agent/api/apitest"
	"github.com/odradek/odradek/agent/group"
	"github.com/odradek/odradek/topic"
)

// groupLog is an offsets topic whose records count at once.
type groupLog struct {
	mu      sync.Mutex
	records int
}

func (l *groupLog) Append(_ context.Context, b group.Batch) func(context.Context) (topic.Offset, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	base := topic.Offset(l.records)
	l.records += len(b.Records)
	return func(context.Context) (topic.Offset, error) { return base, nil }
}

func (*groupLog) Read(context.Context, int32, topic.Offset, func(topic.Offset, []byte, []byte) error) (topic.Offset, error) {
	return 0, nil
}

func (*groupLog) Proof(context.Context, time.Time) error { return nil }

// newGroupBroker is a broker that coordinates all groups and has the topic "t" with two partitions.
func newGroupBroker(t *testing.T) (*broker, api.Topic) {
	t.Helper()
	fake := apitest.New("localhost", 9092)
	cfg := group.Defaults()
	cfg.InitialRebalanceDelay = 0
	fake.Groups = group.New(&groupLog{}, nil, cfg, slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(context.Background())
	over := make(chan error)
	go func() { over <- fake.Groups.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		<-over
	})
	for p := range cfg.Partitions {
		if err := fake.Groups.Load(ctx, p, 1); err != nil {
			t.Fatal(err)
		}
	}
	b := &broker{Fake: fake, conn: &api.Conn{Remote: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 5}}}
	b.router = api.New(fake.Engines(), api.DefaultConfig(), slog.New(slog.DiscardHandler))
	return b, fake.AddTopic("t", 2, nil)
}

// joinGroup takes a lone member through JoinGroup, twice when an id is asked for first.
func joinGroup(t *testing.T, b *broker, version int16, name string) *kmsg.JoinGroupResponse {
	t.Helper()
	req := kmsg.NewPtrJoinGroupRequest()
	req.Group, req.SessionTimeoutMillis, req.RebalanceTimeoutMillis, req.ProtocolType = name, 10_000, 20_000, "consumer"
	p := kmsg.NewJoinGroupRequestProtocol()
	m := kmsg.NewConsumerMemberMetadata()
	m.Topics = []string{"t"}
	p.Name, p.Metadata = "range", m.AppendTo(nil)
	req.Protocols = append(req.Protocols, p)
	resp := ask[*kmsg.JoinGroupResponse](t, b, version, req)
	if version >= 4 {
		wantCode(t, "first join", resp.ErrorCode, kerr.MemberIDRequired)
		req.MemberID = resp.MemberID
		resp = ask[*kmsg.JoinGroupResponse](t, b, version, req)
	}
	wantCode(t, "join", resp.ErrorCode, nil)
	return resp
}

func syncGroup(t *testing.T, b *broker, version int16, name string, joined *kmsg.JoinGroupResponse) *kmsg.SyncGroupResponse {
	t.Helper()
	req := kmsg.NewPtrSyncGroupRequest()
	req.Group, req.MemberID, req.Generation = name, joined.MemberID, joined.Generation
	req.ProtocolType, req.Protocol = kmsg.StringPtr("consumer"), kmsg.StringPtr("range")
	a := kmsg.NewSyncGroupRequestGroupAssignment()
	a.MemberID, a.MemberAssignment = joined.MemberID, []byte("all")
	req.GroupAssignment = append(req.GroupAssignment, a)
	return ask[*kmsg.SyncGroupResponse](t, b, version, req)
}

func TestJoinGroup_EveryVersionLeadsALoneMember(t *testing.T) {
	b, _ := newGroupBroker(t)
	for version := range int16(10) {
		name := "g" + string('0'+rune(version))
		joined := joinGroup(t, b, version, name)
		if joined.Generation != 1 || joined.LeaderID != joined.MemberID || len(joined.Members) != 1 || *joined.Protocol != "range" {
			t.Errorf("v%d: %+v", version, joined)
		}
		if version >= 7 && *joined.ProtocolType != "consumer" {
			t.Errorf("v%d: protocol type %v", version, joined.ProtocolType)
		}
		synced := syncGroup(t, b, min(version, 5), name, joined)
		wantCode(t, "sync", synced.ErrorCode, nil)
		if string(synced.MemberAssignment) != "all" {
			t.Errorf("v%d: assignment %q", version, synced.MemberAssignment)
		}

		beat := kmsg.NewPtrHeartbeatRequest()
		beat.Group, beat.MemberID, beat.Generation = name, joined.MemberID, 1
		wantCode(t, "heartbeat", ask[*kmsg.HeartbeatResponse](t, b, min(version, 4), beat).ErrorCode, nil)
		beat.Generation = 2
		wantCode(t, "heartbeat of another generation", ask[*kmsg.HeartbeatResponse](t, b, min(version, 4), beat).ErrorCode, kerr.IllegalGeneration)
	}
}

func TestSyncGroup_Version5MustNameTheProtocol(t *testing.T) {
	b, _ := newGroupBroker(t)
	joined := joinGroup(t, b, 9, "g")
	req := kmsg.NewPtrSyncGroupRequest()
	req.Group, req.MemberID, req.Generation = "g", joined.MemberID, joined.Generation
	wantCode(t, "sync without names", ask[*kmsg.SyncGroupResponse](t, b, 5, req).ErrorCode, kerr.InconsistentGroupProtocol)
}

func TestLeaveGroup_OneAndSeveral(t *testing.T) {
	b, _ := newGroupBroker(t)
	for version := range int16(6) {
		joined := joinGroup(t, b, 9, "g")
		req := kmsg.NewPtrLeaveGroupRequest()
		req.Group, req.MemberID = "g", joined.MemberID
		for _, id := range []string{joined.MemberID, "stranger"} {
			m := kmsg.NewLeaveGroupRequestMember()
			m.MemberID = id
			req.Members = append(req.Members, m)
		}
		resp := ask[*kmsg.LeaveGroupResponse](t, b, version, req)
		wantCode(t, "leave", resp.ErrorCode, nil)
		if version >= 3 {
			wantCode(t, "member", resp.Members[0].ErrorCode, nil)
			wantCode(t, "stranger", resp.Members[1].ErrorCode, kerr.UnknownMemberID)
		}
		req.MemberID = "stranger"
		if version < 3 {
			wantCode(t, "stranger", ask[*kmsg.LeaveGroupResponse](t, b, version, req).ErrorCode, kerr.UnknownMemberID)
		}
	}
}

// commit asks to commit an offset for each given partition of a topic.
func commit(t *testing.T, b *broker, version int16, name string, of api.Topic, offset int64, partitions ...int32) []int16 {
	t.Helper()
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.Generation, req.RetentionTimeMillis = name, -1, -1
	rt := kmsg.NewOffsetCommitRequestTopic()
	rt.Topic, rt.TopicID = of.Name, of.ID
	for _, p := range partitions {
		rp := kmsg.NewOffsetCommitRequestTopicPartition()
		rp.Partition, rp.Offset, rp.LeaderEpoch, rp.Metadata = p, offset, 3, kmsg.StringPtr("note")
		rt.Partitions = append(rt.Partitions, rp)
	}
	req.Topics = append(req.Topics, rt)
	var codes []int16
	for _, p := range ask[*kmsg.OffsetCommitResponse](t, b, version, req).Topics[0].Partitions {
		codes = append(codes, p.ErrorCode)
	}
	return codes
}

func TestOffsetCommit_EveryVersionIsFetchedByEveryVersion(t *testing.T) {
	b, of := newGroupBroker(t)
	for version := int16(2); version <= 10; version++ {
		codes := commit(t, b, version, "g", of, int64(version), 0, 1, 2)
		if diff := cmp.Diff([]int16{0, 0, kerr.UnknownTopicOrPartition.Code}, codes); diff != "" {
			t.Errorf("commit v%d (-want +got):\n%s", version, diff)
		}
		for read := int16(1); read <= 10; read++ {
			for _, all := range []bool{false, true} {
				if all && read < 2 {
					continue
				}
				got := fetchOffsets(t, b, read, "g", of, all)
				if len(got) < 2 || got[0].Offset != int64(version) || got[1].Offset != int64(version) || *got[0].Metadata != "note" {
					t.Errorf("commit v%d, fetch v%d, all %v: %+v", version, read, all, got)
				}
				if !all && (got[2].Offset != -1 || got[2].ErrorCode != 0) {
					t.Errorf("fetch v%d of a partition without an offset: %+v", read, got[2])
				}
			}
		}
	}
}

// fetchOffsets asks for the offsets of the topic's partitions 0 to 2, or for all of the group.
func fetchOffsets(t *testing.T, b *broker, version int16, name string, of api.Topic, all bool) []kmsg.OffsetFetchResponseGroupTopicPartition {
	t.Helper()
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Group = name
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group = name
	if !all {
		req.Topics = []kmsg.OffsetFetchRequestTopic{{Topic: of.Name, Partitions: []int32{0, 1, 2}}}
		g.Topics = []kmsg.OffsetFetchRequestGroupTopic{{Topic: of.Name, TopicID: of.ID, Partitions: []int32{0, 1, 2}}}
	}
	req.Groups = []kmsg.OffsetFetchRequestGroup{g}
	resp := ask[*kmsg.OffsetFetchResponse](t, b, version, req)
	wantCode(t, "offset fetch", resp.ErrorCode, nil)
	var out []kmsg.OffsetFetchResponseGroupTopicPartition
	for _, rg := range resp.Groups {
		wantCode(t, "offset fetch of a group", rg.ErrorCode, nil)
		for _, rt := range rg.Topics {
			out = append(out, rt.Partitions...)
		}
	}
	for _, rt := range resp.Topics {
		for _, p := range rt.Partitions {
			out = append(out, kmsg.OffsetFetchResponseGroupTopicPartition{Partition: p.Partition, Offset: p.Offset,
				LeaderEpoch: p.LeaderEpoch, Metadata: p.Metadata, ErrorCode: p.ErrorCode})
		}
	}
	return out
}

func TestOffsetFetch_UnknownGroupHasNoOffsetsAndNoError(t *testing.T) {
	b, of := newGroupBroker(t)
	for version := int16(1); version <= 10; version++ {
		for _, p := range fetchOffsets(t, b, version, "nobody", of, false) {
			if p.Offset != -1 || p.ErrorCode != 0 || *p.Metadata != "" {
				t.Errorf("v%d: %+v", version, p)
			}
		}
		if version >= 2 {
			if got := fetchOffsets(t, b, version, "nobody", of, true); len(got) != 0 {
				t.Errorf("v%d: all offsets of an unknown group: %+v", version, got)
			}
		}
	}
}

func TestOffsetCommit_RefusesByVersion(t *testing.T) {
	b, of := newGroupBroker(t)
	unknown := of
	unknown.Name, unknown.ID = "u", topic.ID{1}
	for version, want := range map[int16]*kerr.Error{2: kerr.UnknownTopicOrPartition, 9: kerr.UnknownTopicOrPartition, 10: kerr.UnknownTopicID} {
		wantCode(t, "commit for an unknown topic", commit(t, b, version, "g", unknown, 1, 0)[0], want)
	}
	for version, want := range map[int16]*kerr.Error{8: kerr.IllegalGeneration, 9: kerr.GroupIDNotFound} {
		req := kmsg.NewPtrOffsetCommitRequest()
		req.Group, req.Generation, req.MemberID = "nobody", 3, "m"
		req.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Offset: 1}}}}
		resp := ask[*kmsg.OffsetCommitResponse](t, b, version, req)
		wantCode(t, "commit of a member of an unknown group", resp.Topics[0].Partitions[0].ErrorCode, want)
	}
}

func TestDescribeGroups_EveryVersion(t *testing.T) {
	b, _ := newGroupBroker(t)
	joined := joinGroup(t, b, 9, "g")
	syncGroup(t, b, 5, "g", joined)
	for version := range int16(7) {
		req := kmsg.NewPtrDescribeGroupsRequest()
		req.Groups, req.IncludeAuthorizedOperations = []string{"g", "nobody"}, true
		resp := ask[*kmsg.DescribeGroupsResponse](t, b, version, req)
		g, none := resp.Groups[0], resp.Groups[1]
		wantCode(t, "describe", g.ErrorCode, nil)
		if g.State != "Stable" || g.ProtocolType != "consumer" || g.Protocol != "range" || len(g.Members) != 1 {
			t.Fatalf("v%d: %+v", version, g)
		}
		if m := g.Members[0]; m.ClientHost != "/10.0.0.1" || m.ClientID != "test" || !bytes.Equal(m.MemberAssignment, []byte("all")) {
			t.Errorf("v%d: member %+v", version, m)
		}
		if version >= 3 && g.AuthorizedOperations < 0 {
			t.Errorf("v%d: no authorized operations", version)
		}
		var want *kerr.Error
		if version >= 6 {
			want = kerr.GroupIDNotFound
		}
		wantCode(t, "describe an unknown group", none.ErrorCode, want)
		if none.State != "Dead" {
			t.Errorf("v%d: unknown group is %q, want Dead", version, none.State)
		}
	}
}

func TestListGroups_Filters(t *testing.T) {
	b, of := newGroupBroker(t)
	syncGroup(t, b, 5, "stable", joinGroup(t, b, 9, "stable"))
	commit(t, b, 9, "simple", of, 1, 0)
	for _, c := range []struct {
		version       int16
		states, types []string
		want          []string
	}{
		{version: 0, want: []string{"simple", "stable"}},
		{version: 3, want: []string{"simple", "stable"}},
		{version: 5, want: []string{"simple", "stable"}},
		{version: 4, states: []string{"empty", "Dead"}, want: []string{"simple"}},
		{version: 5, types: []string{"Classic"}, want: []string{"simple", "stable"}},
		{version: 5, types: []string{"consumer"}},
		{version: 5, types: []string{"classic"}, states: []string{"Stable"}, want: []string{"stable"}},
	} {
		req := kmsg.NewPtrListGroupsRequest()
		req.StatesFilter, req.TypesFilter = c.states, c.types
		var got []string
		for _, g := range ask[*kmsg.ListGroupsResponse](t, b, c.version, req).Groups {
			got = append(got, g.Group)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("v%d states %v types %v (-want +got):\n%s", c.version, c.states, c.types, diff)
		}
	}
}

func TestDeleteGroups_OnlyWithoutMembers(t *testing.T) {
	b, of := newGroupBroker(t)
	joinGroup(t, b, 9, "members")
	for version := range int16(4) {
		commit(t, b, 9, "simple", of, 1, 0)
		req := kmsg.NewPtrDeleteGroupsRequest()
		req.Groups = []string{"members", "simple", "nobody"}
		resp := ask[*kmsg.DeleteGroupsResponse](t, b, version, req)
		for i, want := range []*kerr.Error{kerr.NonEmptyGroup, nil, kerr.GroupIDNotFound} {
			wantCode(t, req.Groups[i], resp.Groups[i].ErrorCode, want)
		}
		if got := fetchOffsets(t, b, 9, "simple", of, true); len(got) != 0 {
			t.Errorf("v%d: offsets of a deleted group: %+v", version, got)
		}
	}
}

func TestOffsetDelete_LeavesWhatIsSubscribed(t *testing.T) {
	b, of := newGroupBroker(t)
	other := b.AddTopic("other", 1, nil)
	joined := joinGroup(t, b, 9, "g")
	commit(t, b, 9, "simple", of, 1, 0, 1)
	ask := func(name string, topics ...kmsg.OffsetDeleteRequestTopic) *kmsg.OffsetDeleteResponse {
		req := kmsg.NewPtrOffsetDeleteRequest()
		req.Group, req.Topics = name, topics
		return ask[*kmsg.OffsetDeleteResponse](t, b, 0, req)
	}
	partition := func(n int32) []kmsg.OffsetDeleteRequestTopicPartition {
		return []kmsg.OffsetDeleteRequestTopicPartition{{Partition: n}}
	}
	resp := ask(
		"g", kmsg.OffsetDeleteRequestTopic{Topic: "t", Partitions: partition(0)},
		kmsg.OffsetDeleteRequestTopic{Topic: other.Name, Partitions: partition(0)},
		kmsg.OffsetDeleteRequestTopic{Topic: "none", Partitions: partition(0)},
	)
	for i, want := range []*kerr.Error{kerr.GroupSubscribedToTopic, nil, kerr.UnknownTopicOrPartition} {
		wantCode(t, resp.Topics[i].Topic, resp.Topics[i].Partitions[0].ErrorCode, want)
	}
	wantCode(t, "unknown group", ask("nobody", kmsg.OffsetDeleteRequestTopic{Topic: "t", Partitions: partition(0)}).ErrorCode, kerr.GroupIDNotFound)
	ask("simple", kmsg.OffsetDeleteRequestTopic{Topic: "t", Partitions: partition(1)})
	if got := fetchOffsets(t, b, 9, "simple", of, true); len(got) != 1 || got[0].Partition != 0 {
		t.Errorf("offsets of %s after the deletion of one: %+v", joined.MemberID, got)
	}
}

func TestGroups_OtherAgentsSendClientsAway(t *testing.T) {
	b := newBroker(nil) // coordinates nothing
	of := b.AddTopic("t", 1, nil)
	beat := kmsg.NewPtrHeartbeatRequest()
	beat.Group, beat.MemberID = "g", "m"
	wantCode(t, "heartbeat", ask[*kmsg.HeartbeatResponse](t, b, 4, beat).ErrorCode, kerr.NotCoordinator)
	wantCode(t, "commit", commit(t, b, 9, "g", of, 1, 0)[0], kerr.NotCoordinator)
	join := kmsg.NewPtrJoinGroupRequest()
	join.Group, join.MemberID = "g", "m"
	if resp := ask[*kmsg.JoinGroupResponse](t, b, 9, join); resp.ErrorCode != kerr.NotCoordinator.Code || resp.MemberID != "m" {
		t.Errorf("join: %+v, want NOT_COORDINATOR for the same member id", resp)
	}
	fetch := kmsg.NewPtrOffsetFetchRequest()
	fetch.Group, fetch.Topics = "g", []kmsg.OffsetFetchRequestTopic{{Topic: "t", Partitions: []int32{0}}}
	resp := ask[*kmsg.OffsetFetchResponse](t, b, 1, fetch) // version 1 has no error but the partitions'
	wantCode(t, "fetch v1", resp.Topics[0].Partitions[0].ErrorCode, kerr.NotCoordinator)
	wantCode(t, "fetch v7", ask[*kmsg.OffsetFetchResponse](t, b, 7, fetch).ErrorCode, kerr.NotCoordinator)
	if list := ask[*kmsg.ListGroupsResponse](t, b, 5, kmsg.NewPtrListGroupsRequest()); list.ErrorCode != 0 || len(list.Groups) != 0 {
		t.Errorf("list: %+v, want none", list)
	}
}
