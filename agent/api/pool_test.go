package api_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/odradek/odradek/agent/api"
	"github.com/odradek/odradek/agent/api/apitest"
	"github.com/odradek/odradek/agent/ingest"
	"github.com/odradek/odradek/sequence"
	"github.com/odradek/odradek/topic"
)

// The tests of this file are about agents among others.

// others makes agent 8 in zone b and agent 9 without zone.
func (b *broker) others() {
	b.Others = []api.Agent{{NodeID: 8, Host: "eight", Port: 9092, Zone: "b"}, {NodeID: 9, Host: "nine", Port: 9092}}
}

func (b *broker) ownedBy(nodeID int32, epoch topic.Epoch) {
	b.Owners = func(topic.Partition) (api.Owner, bool) { return api.Owner{NodeID: nodeID, Epoch: epoch}, true }
}

func TestFetch_OwnersSendClientsToTheirZone(t *testing.T) {
	for version := int16(4); version <= 18; version++ {
		b := newBroker(nil)
		b.others()
		events := b.AddTopic("events", 1, nil)
		wantCode(t, "produce", producedCode(t, b, 9, produce(events, 0, 1, batch(3, 0))), nil)
		b.Prefer = func(rack string) int32 {
			if rack == "b" {
				return 8
			}
			return 0
		}
		for rack, want := range map[string]int32{"b": 8, "c": -1, "": -1} {
			if version < 11 {
				want = -1
			}
			req := fetch(fetchTopic(events, 0))
			req.Rack, req.MinBytes, req.MaxWaitMillis = rack, 1<<30, 0
			p := ask[*kmsg.FetchResponse](t, b, version, req).Topics[0].Partitions[0]
			wantCode(t, "fetch", p.ErrorCode, nil)
			if p.PreferredReadReplica != want || (len(p.RecordBatches) == 0) != (want == 8) || p.HighWatermark != 3 {
				t.Errorf("version %d from rack %q: sent to %d with %d bytes, want %d", version, rack, p.PreferredReadReplica, len(p.RecordBatches), want)
			}
		}
	}
}

func TestFetchSession_AnAgentToAskIsNews(t *testing.T) {
	b := newBroker(nil)
	events := b.AddTopic("events", 1, nil)
	first := ask[*kmsg.FetchResponse](t, b, 12, fetch(fetchTopic(events, 0)))
	b.Prefer = func(string) int32 { return 8 }
	for epoch := int32(1); epoch < 3; epoch++ {
		req := fetch()
		req.SessionID, req.SessionEpoch, req.Rack = first.SessionID, epoch, "b"
		if got := ask[*kmsg.FetchResponse](t, b, 12, req); len(got.Topics) != 1 || got.Topics[0].Partitions[0].PreferredReadReplica != 8 {
			t.Errorf("epoch %d: %+v", epoch, got.Topics)
		}
	}
}

func TestFetch_HintsAreThoseAfterTheWait(t *testing.T) {
	b := newBroker(nil)
	b.others()
	events := b.AddTopic("events", 1, nil)
	b.ownedBy(apitest.NodeID, 5)
	b.Refuse = func(topic.Partition) error { // the partition moves while the request waits
		b.ownedBy(8, 6)
		return ingest.ErrNotOwner
	}
	resp := ask[*kmsg.FetchResponse](t, b, 16, fetch(fetchTopic(events, 0)))
	p := resp.Topics[0].Partitions[0]
	wantCode(t, "fetch", p.ErrorCode, kerr.NotLeaderForPartition)
	if p.CurrentLeader.LeaderID != 8 || p.CurrentLeader.LeaderEpoch != 6 || len(resp.Brokers) != 1 || resp.Brokers[0].Host != "eight" {
		t.Errorf("hint %+v at %+v", p.CurrentLeader, resp.Brokers)
	}
}

func TestProduce_HintsAreThoseAfterTheWait(t *testing.T) {
	b := newBroker(nil)
	b.others()
	events := b.AddTopic("events", 1, nil)
	b.ownedBy(apitest.NodeID, 5)
	b.Refuse = func(topic.Partition) error {
		b.ownedBy(8, 6)
		return ingest.ErrNotOwner
	}
	for _, version := range []int16{10, 13} {
		resp := ask[*kmsg.ProduceResponse](t, b, version, produce(events, 0, -1, batch(1, 0)))
		p := resp.Topics[0].Partitions[0]
		if p.CurrentLeader.LeaderID != 8 || p.CurrentLeader.LeaderEpoch != 6 || len(resp.Brokers) != 1 || resp.Brokers[0].Host != "eight" {
			t.Errorf("version %d: hint %+v at %+v", version, p.CurrentLeader, resp.Brokers)
		}
	}
}

// Between a RELEASE and its ASSIGN, and while a new owner loads, the control state names the agent that refuses.
func TestHints_NeverSendAClientBackHere(t *testing.T) {
	b := newBroker(nil)
	events := b.AddTopic("events", 1, nil)
	b.ownedBy(apitest.NodeID, 5)
	b.Refuse = func(topic.Partition) error { return ingest.ErrNotOwner }
	produced := ask[*kmsg.ProduceResponse](t, b, 10, produce(events, 0, -1, batch(1, 0)))
	fetched := ask[*kmsg.FetchResponse](t, b, 16, fetch(fetchTopic(events, 0)))
	wantCode(t, "produce", produced.Topics[0].Partitions[0].ErrorCode, kerr.NotLeaderForPartition)
	wantCode(t, "fetch", fetched.Topics[0].Partitions[0].ErrorCode, kerr.NotLeaderForPartition)
	if a, b := produced.Topics[0].Partitions[0].CurrentLeader.LeaderID, fetched.Topics[0].Partitions[0].CurrentLeader.LeaderID; a != -1 || b != -1 ||
		len(produced.Brokers)+len(fetched.Brokers) != 0 {
		t.Errorf("hints to %d and %d", a, b)
	}
}

// epochAsked asks with a partition epoch and gives the codes of Fetch, ListOffsets and OffsetForLeaderEpoch. The fake
// clock moves between the requests.
func epochAsked(t *testing.T, b *broker, events api.Topic, current int32) []int16 {
	fetched := fetchTopic(events, 0)
	fetched.Partitions[0].CurrentLeaderEpoch = current
	freq := fetch(fetched)
	freq.MaxWaitMillis = 0
	lreq := listOffsets(events, -1)
	lreq.Topics[0].Partitions[0].CurrentLeaderEpoch = current
	ereq := kmsg.NewPtrOffsetForLeaderEpochRequest()
	p := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
	p.CurrentLeaderEpoch, p.LeaderEpoch = current, 0
	ereq.Topics = []kmsg.OffsetForLeaderEpochRequestTopic{{Topic: events.Name, Partitions: []kmsg.OffsetForLeaderEpochRequestTopicPartition{p}}}
	time.Sleep(time.Millisecond)
	codes := []int16{ask[*kmsg.FetchResponse](t, b, 12, freq).Topics[0].Partitions[0].ErrorCode}
	time.Sleep(time.Millisecond)
	codes = append(codes, ask[*kmsg.ListOffsetsResponse](t, b, 5, lreq).Topics[0].Partitions[0].ErrorCode)
	time.Sleep(time.Millisecond)
	return append(codes, ask[*kmsg.OffsetForLeaderEpochResponse](t, b, 4, ereq).Topics[0].Partitions[0].ErrorCode)
}

func TestEpochs_ANewerOneReadsTheControlLogOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(nil)
		events := b.AddTopic("events", 1, nil)
		b.ownedBy(apitest.NodeID, 5)
		reads, learns := 0, topic.Epoch(5)
		b.OnCatchUp = func() error {
			reads++
			b.ownedBy(apitest.NodeID, learns)
			return nil
		}
		want := func(what string, current int32, code *kerr.Error, wantReads int) {
			t.Helper()
			reads = 0
			for _, got := range epochAsked(t, b, events, current) {
				wantCode(t, what, got, code)
			}
			if reads != wantReads {
				t.Errorf("%s: %d reads of the control log, want %d", what, reads, wantReads)
			}
			b.ownedBy(apitest.NodeID, 5)
		}
		want("the same", 5, nil, 0)
		want("none", -1, nil, 0)
		want("older", 4, kerr.FencedLeaderEpoch, 0)
		began := time.Now()
		want("made up", 9, kerr.UnknownLeaderEpoch, 3)
		if took := time.Since(began); took < 500*time.Millisecond {
			t.Errorf("three reads within %v", took)
		}
		learns = 6
		want("newer, and in the log", 6, nil, 1) // the state stays learned for the other two
		b.OnCatchUp = func() error { reads++; return errors.New("bucket away") }
		want("newer, with the bucket away", 6, kerr.UnknownLeaderEpoch, 3)
	})
}

// Who does not own a partition knows one thing about it: who does. Clients follow that hint.
func TestEpochs_AnOlderOneElsewhereIsSentToTheOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(nil)
		b.others()
		events := b.AddTopic("events", 1, nil)
		b.ownedBy(8, 5)
		for _, got := range epochAsked(t, b, events, 4) {
			wantCode(t, "older", got, kerr.NotLeaderForPartition)
		}
		ft := fetchTopic(events, 0)
		ft.Partitions[0].CurrentLeaderEpoch = 4
		resp := ask[*kmsg.FetchResponse](t, b, 16, fetch(ft))
		if l := resp.Topics[0].Partitions[0].CurrentLeader; l.LeaderID != 8 || l.LeaderEpoch != 5 || len(resp.Brokers) != 1 {
			t.Errorf("hint %+v at %+v", l, resp.Brokers)
		}
	})
}

func TestEpochs_OneReadServesAllThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(nil)
		events := b.AddTopic("events", 1, nil)
		b.ownedBy(apitest.NodeID, 5)
		reads := 0
		b.OnCatchUp = func() error {
			reads++
			time.Sleep(100 * time.Millisecond)
			return nil
		}
		done := make(chan int16)
		for range 20 {
			go func() { done <- epochAsked(t, b, events, 9)[1] }()
		}
		for range 20 {
			wantCode(t, "list offsets", <-done, kerr.UnknownLeaderEpoch)
		}
		if reads < 3 || reads > 8 {
			t.Errorf("%d reads for 20 clients with 3 requests each", reads)
		}
	})
}

func TestMetadata_ShowsReadersAsReplicas(t *testing.T) {
	b := newBroker(nil)
	b.others()
	b.AddTopic("events", 1, nil)
	b.ReaderIDs = []int32{8}
	for version := int16(0); version <= 13; version++ {
		req := kmsg.NewPtrMetadataRequest()
		resp := ask[*kmsg.MetadataResponse](t, b, version, req)
		p := resp.Topics[0].Partitions[0]
		if p.Leader != apitest.NodeID || !slices.Equal(p.Replicas, []int32{apitest.NodeID, 8}) || !slices.Equal(p.ISR, p.Replicas) {
			t.Errorf("version %d: %+v", version, p)
		}
		if len(resp.Brokers) != 3 || version >= 1 && (resp.ControllerID != apitest.NodeID || *resp.Brokers[1].Rack != "b" || resp.Brokers[2].Rack != nil) {
			t.Errorf("version %d: controller %d of %+v", version, resp.ControllerID, resp.Brokers)
		}
	}
	described := ask[*kmsg.DescribeTopicPartitionsResponse](t, b, 0, kmsg.NewPtrDescribeTopicPartitionsRequest())
	if p := described.Topics[0].Partitions[0]; !slices.Equal(p.Replicas, []int32{apitest.NodeID, 8}) {
		t.Errorf("%+v", p)
	}
}

func TestMetadata_NobodyOwnsThePartition(t *testing.T) {
	b := newBroker(nil)
	b.AddTopic("events", 1, nil)
	b.ReaderIDs = []int32{8}
	b.ownedBy(-1, 3)
	p := ask[*kmsg.MetadataResponse](t, b, 9, kmsg.NewPtrMetadataRequest()).Topics[0].Partitions[0]
	wantCode(t, "partition", p.ErrorCode, kerr.LeaderNotAvailable)
	if p.Leader != -1 || p.LeaderEpoch != 3 || len(p.Replicas)+len(p.ISR) != 0 {
		t.Errorf("%+v", p)
	}
}

func TestMetadata_AnAgentWhoseJournalIsOverNamesAnotherController(t *testing.T) {
	b := newBroker(nil)
	b.Agent.NodeID = 8 // what is listed; the agent itself is gone from the control state
	b.Self = apitest.NodeID
	if got := ask[*kmsg.MetadataResponse](t, b, 9, kmsg.NewPtrMetadataRequest()).ControllerID; got != 8 {
		t.Errorf("metadata names %d", got)
	}
	if got := ask[*kmsg.DescribeClusterResponse](t, b, 0, kmsg.NewPtrDescribeClusterRequest()).ControllerID; got != 8 {
		t.Errorf("describe cluster names %d", got)
	}
}

// reassign asks for a new assignment of one partition.
func reassign(t *testing.T, b *broker, version int16, name string, index int32, replicas []int32) *kmsg.AlterPartitionAssignmentsResponse {
	req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	req.AllowReplicationFactorChange = false
	req.Topics = []kmsg.AlterPartitionAssignmentsRequestTopic{{Topic: name,
		Partitions: []kmsg.AlterPartitionAssignmentsRequestTopicPartition{{Partition: index, Replicas: replicas}}}}
	return ask[*kmsg.AlterPartitionAssignmentsResponse](t, b, version, req)
}

func TestAlterPartitionReassignments_CodesOfPartitions(t *testing.T) {
	for _, c := range []struct {
		name     string
		topic    string
		index    int32
		replicas []int32
		want     [2]*kerr.Error // of versions 0 and 1, which keeps the number of replicas here
		moves    bool
	}{
		{name: "to another agent", topic: "events", replicas: []int32{9}, moves: true},
		{name: "the first of several is the target", topic: "events", replicas: []int32{9, apitest.NodeID},
			want: [2]*kerr.Error{1: kerr.InvalidReplicationFactor}, moves: true},
		{name: "where it is already", topic: "events", replicas: []int32{apitest.NodeID}},
		{name: "no such topic", topic: "gone", replicas: []int32{9}, want: [2]*kerr.Error{kerr.UnknownTopicOrPartition, kerr.UnknownTopicOrPartition}},
		{name: "no such partition", topic: "events", index: 5, replicas: []int32{9}, want: [2]*kerr.Error{kerr.UnknownTopicOrPartition, kerr.UnknownTopicOrPartition}},
		{name: "no such broker", topic: "events", replicas: []int32{44}, want: [2]*kerr.Error{kerr.InvalidReplicaAssignment, kerr.InvalidReplicaAssignment}},
		{name: "a second broker that is not there", topic: "events", replicas: []int32{9, 44}, want: [2]*kerr.Error{kerr.InvalidReplicaAssignment, kerr.InvalidReplicaAssignment}},
		{name: "a broker twice", topic: "events", replicas: []int32{9, 9}, want: [2]*kerr.Error{kerr.InvalidReplicaAssignment, kerr.InvalidReplicaAssignment}},
		{name: "no broker", topic: "events", replicas: []int32{}, want: [2]*kerr.Error{kerr.InvalidReplicaAssignment, kerr.InvalidReplicaAssignment}},
		{name: "one that takes none", topic: "events", replicas: []int32{10}, want: [2]*kerr.Error{kerr.InvalidReplicaAssignment, kerr.InvalidReplicaAssignment}},
		{name: "cancelled", topic: "events", want: [2]*kerr.Error{kerr.NoReassignmentInProgress, kerr.NoReassignmentInProgress}},
	} {
		for version := range int16(2) {
			b := newBroker(nil)
			b.others()
			b.Others = append(b.Others, api.Agent{NodeID: 10, Zone: "full"})
			events := b.AddTopic("events", 1, nil)
			resp := reassign(t, b, version, c.topic, c.index, c.replicas)
			p := resp.Topics[0].Partitions[0]
			wantCode(t, c.name, resp.ErrorCode, nil)
			wantCode(t, c.name, p.ErrorCode, c.want[version])
			if (p.ErrorMessage == nil) != (p.ErrorCode == 0) {
				t.Errorf("%s: code %d with message %v", c.name, p.ErrorCode, p.ErrorMessage)
			}
			want := []api.Move(nil)
			if c.moves && c.want[version] == nil {
				want = []api.Move{{Partition: topic.Partition{Topic: events.ID}, From: apitest.NodeID, To: 9}}
			}
			if !slices.Equal(b.Asked, want) {
				t.Errorf("%s, version %d: asked for %v, want %v", c.name, version, b.Asked, want)
			}
		}
	}
}

func TestListPartitionReassignments_WhatIsUnderWay(t *testing.T) {
	b := newBroker(nil)
	b.others()
	one, two := b.AddTopic("one", 2, nil), b.AddTopic("two", 1, nil)
	list := func(topics []kmsg.ListPartitionReassignmentsRequestTopic) map[string][]int32 {
		req := kmsg.NewPtrListPartitionReassignmentsRequest()
		req.Topics = topics
		resp := ask[*kmsg.ListPartitionReassignmentsResponse](t, b, 0, req)
		wantCode(t, "list", resp.ErrorCode, nil)
		got := map[string][]int32{}
		for _, t2 := range resp.Topics {
			for _, p := range t2.Partitions {
				got[t2.Topic] = append(got[t2.Topic], p.Partition)
				if !slices.Equal(p.Replicas, []int32{9, 7}) || !slices.Equal(p.AddingReplicas, []int32{9}) || !slices.Equal(p.RemovingReplicas, []int32{7}) {
					t.Errorf("%s %d: %+v", t2.Topic, p.Partition, p)
				}
			}
		}
		return got
	}
	if got := list(nil); len(got) != 0 {
		t.Errorf("nothing asked for: %v", got)
	}
	for _, p := range []topic.Partition{{Topic: one.ID}, {Topic: one.ID, Index: 1}, {Topic: two.ID}, {Topic: topic.ID{99}}} {
		b.Asked = append(b.Asked, api.Move{Partition: p, From: 7, To: 9})
	}
	if got := list(nil); len(got) != 2 || !slices.Equal(got["one"], []int32{0, 1}) || !slices.Equal(got["two"], []int32{0}) {
		t.Errorf("all: %v", got)
	}
	named := []kmsg.ListPartitionReassignmentsRequestTopic{{Topic: "one", Partitions: []int32{1, 7}}, {Topic: "gone", Partitions: []int32{0}}}
	if got := list(named); len(got) != 1 || !slices.Equal(got["one"], []int32{1}) {
		t.Errorf("one of them: %v", got)
	}
	if got := list([]kmsg.ListPartitionReassignmentsRequestTopic{}); len(got) != 0 {
		t.Errorf("none named: %v", got)
	}
	wantCode(t, "cancelled", reassign(t, b, 0, "one", 1, nil).Topics[0].Partitions[0].ErrorCode, kerr.NoReassignmentInProgress)
}

func TestDescribeLogDirs_SizesOfWhatIsOwned(t *testing.T) {
	for version := int16(1); version <= 4; version++ {
		b := newBroker(nil)
		one, two := b.AddTopic("one", 3, nil), b.AddTopic("two", 1, nil)
		wantCode(t, "produce", producedCode(t, b, 9, produce(one, 1, 1, batch(3, 0))), nil)
		b.Owners = func(p topic.Partition) (api.Owner, bool) {
			if p == (topic.Partition{Topic: one.ID, Index: 2}) {
				return api.Owner{NodeID: 8}, true
			}
			return api.Owner{NodeID: apitest.NodeID}, true
		}
		sizes := func(topics []kmsg.DescribeLogDirsRequestTopic) map[string]map[int32]int64 {
			req := kmsg.NewPtrDescribeLogDirsRequest()
			req.Topics = topics
			resp := ask[*kmsg.DescribeLogDirsResponse](t, b, version, req)
			got := map[string]map[int32]int64{}
			if len(resp.Dirs) != 1 || resp.Dirs[0].ErrorCode != 0 || resp.Dirs[0].Dir != "/bucket" || resp.Dirs[0].TotalBytes != -1 {
				t.Fatalf("version %d: %+v", version, resp)
			}
			for _, topic := range resp.Dirs[0].Topics {
				got[topic.Topic] = map[int32]int64{}
				for _, p := range topic.Partitions {
					got[topic.Topic][p.Partition] = p.Size
				}
			}
			return got
		}
		full := int64(len(batch(3, 0)))
		all := sizes(nil)
		if size, foreign := all["one"][2]; len(all) != 2 || foreign || size != 0 || all["one"][1] != full || len(all["one"]) != 2 || len(all["two"]) != 1 {
			t.Errorf("version %d, all: %v", version, all)
		}
		some := sizes([]kmsg.DescribeLogDirsRequestTopic{{Topic: "one", Partitions: []int32{1, 2, 9, 1}}, {Topic: "gone", Partitions: []int32{0}},
			{Topic: two.Name, Partitions: []int32{}}})
		if len(some) != 1 || len(some["one"]) != 1 || some["one"][1] != full {
			t.Errorf("version %d, some: %v", version, some)
		}
	}
}

func TestDescribeProducers_OfTheOwner(t *testing.T) {
	b := newBroker(nil)
	b.AddTopic("events", 2, nil)
	b.Idempotent = []sequence.Producer{{ID: 41, Epoch: 2, LastSequence: 17, LastTimestamp: 99}, {ID: 43, LastSequence: -1}}
	b.Owners = func(p topic.Partition) (api.Owner, bool) { return api.Owner{NodeID: apitest.NodeID + p.Index}, true }
	req := kmsg.NewPtrDescribeProducersRequest()
	req.Topics = []kmsg.DescribeProducersRequestTopic{{Topic: "events", Partitions: []int32{0, 1, 2}}, {Topic: "gone", Partitions: []int32{0}},
		{Topic: "no/name", Partitions: []int32{0}}}
	resp := ask[*kmsg.DescribeProducersResponse](t, b, 0, req)
	owned := resp.Topics[0].Partitions[0]
	wantCode(t, "owned", owned.ErrorCode, nil)
	if len(owned.ActiveProducers) != 2 || owned.ActiveProducers[0].ProducerID != 41 || owned.ActiveProducers[0].ProducerEpoch != 2 ||
		owned.ActiveProducers[0].LastSequence != 17 || owned.ActiveProducers[0].LastTimestamp != 99 ||
		owned.ActiveProducers[0].CoordinatorEpoch != -1 || owned.ActiveProducers[0].CurrentTxnStartOffset != -1 {
		t.Errorf("%+v", owned.ActiveProducers)
	}
	wantCode(t, "another agent's", resp.Topics[0].Partitions[1].ErrorCode, kerr.NotLeaderForPartition)
	wantCode(t, "no partition", resp.Topics[0].Partitions[2].ErrorCode, kerr.UnknownTopicOrPartition)
	wantCode(t, "no topic", resp.Topics[1].Partitions[0].ErrorCode, kerr.UnknownTopicOrPartition)
	wantCode(t, "no name", resp.Topics[2].Partitions[0].ErrorCode, kerr.InvalidTopicException)
}
