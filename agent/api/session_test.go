package api_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/odradek/odradek/agent/api"
	"github.com/odradek/odradek/topic"
)

// answered lists the partitions of a response, as topic/partition.
func answered(resp *kmsg.FetchResponse) map[int32]bool {
	got := map[int32]bool{}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			got[p.Partition] = true
		}
	}
	return got
}

func TestFetchSession_SendsOnlyNews(t *testing.T) {
	for _, version := range []int16{7, 12, 13, 18} {
		b := newBroker(nil)
		events := b.AddTopic("events", 3, nil)
		first := ask[*kmsg.FetchResponse](t, b, version, fetch(fetchTopic(events, 0, 0)))
		if first.SessionID == 0 || len(answered(first)) != 2 {
			t.Fatalf("version %d: session %d with %v", version, first.SessionID, answered(first))
		}
		epoch := int32(0)
		next := func(topics ...kmsg.FetchRequestTopic) *kmsg.FetchResponse {
			epoch++
			req := fetch(topics...)
			req.SessionID, req.SessionEpoch = first.SessionID, epoch
			return ask[*kmsg.FetchResponse](t, b, version, req)
		}
		if got := next(); len(answered(got)) != 0 || got.SessionID != first.SessionID {
			t.Errorf("version %d, nothing new: %v in session %d", version, answered(got), got.SessionID)
		}
		wantCode(t, "produce", producedCode(t, b, 9, produce(events, 1, 1, batch(1, 0))), nil)
		if got := answered(next()); len(got) != 1 || !got[1] {
			t.Errorf("version %d, after a record in partition 1: %v", version, got)
		}
		moved := fetchTopic(events, 0, 1)
		moved.Partitions = moved.Partitions[1:]
		if got := answered(next(moved)); len(got) != 0 {
			t.Errorf("version %d, read to the end: %v", version, got)
		}
		added := fetchTopic(events, 0, 0, 0)
		added.Partitions = added.Partitions[2:]
		if got := answered(next(added)); len(got) != 1 || !got[2] {
			t.Errorf("version %d, with partition 2 added: %v", version, got)
		}
		epoch++
		forget := fetch()
		forget.SessionID, forget.SessionEpoch = first.SessionID, epoch
		forget.ForgottenTopics = []kmsg.FetchRequestForgottenTopic{{Topic: events.Name, TopicID: events.ID, Partitions: []int32{1}}}
		ask[*kmsg.FetchResponse](t, b, version, forget)
		wantCode(t, "produce", producedCode(t, b, 9, produce(events, 1, 1, batch(1, 0))), nil)
		if got := answered(next()); len(got) != 0 {
			t.Errorf("version %d, partition 1 forgotten: %v", version, got)
		}
	}
}

func TestFetchSession_Errors(t *testing.T) {
	b := newBroker(nil)
	events := b.AddTopic("events", 1, nil)
	ask1 := func(version int16, id, epoch int32) *kmsg.FetchResponse {
		req := fetch()
		req.SessionID, req.SessionEpoch = id, epoch
		return ask[*kmsg.FetchResponse](t, b, version, req)
	}
	id := ask[*kmsg.FetchResponse](t, b, 12, fetch(fetchTopic(events, 0))).SessionID
	wantCode(t, "unknown id", ask1(12, id+1, 1).ErrorCode, kerr.FetchSessionIDNotFound)
	wantCode(t, "wrong epoch", ask1(12, id, 5).ErrorCode, kerr.InvalidFetchSessionEpoch)
	wantCode(t, "ids in a session of names", ask1(13, id, 1).ErrorCode, kerr.FetchSessionTopicIDError)
	wantCode(t, "right", ask1(12, id, 1).ErrorCode, nil)
	wantCode(t, "repeated", ask1(12, id, 1).ErrorCode, kerr.InvalidFetchSessionEpoch)
	if last := ask1(12, id, -1); last.SessionID != 0 {
		t.Errorf("a final fetch has session %d", last.SessionID)
	}
	wantCode(t, "closed", ask1(12, id, 2).ErrorCode, kerr.FetchSessionIDNotFound)
}

func TestFetchSession_TheEndOfAnErrorIsNews(t *testing.T) {
	b := newBroker(nil)
	later := api.Topic{Name: "later", ID: topic.ID{}}
	first := ask[*kmsg.FetchResponse](t, b, 12, fetch(fetchTopic(later, 0)))
	wantCode(t, "missing topic", first.Topics[0].Partitions[0].ErrorCode, kerr.UnknownTopicOrPartition)
	req := fetch()
	req.SessionID, req.SessionEpoch = first.SessionID, 1
	if again := ask[*kmsg.FetchResponse](t, b, 12, req); len(again.Topics) != 1 {
		t.Error("the error is not repeated")
	}
	b.AddTopic("later", 1, nil)
	req.SessionEpoch = 2
	if found := ask[*kmsg.FetchResponse](t, b, 12, req); len(found.Topics) != 1 || found.Topics[0].Partitions[0].ErrorCode != 0 {
		t.Errorf("the end of the error is not said: %+v", found.Topics)
	}
}

func TestFetchSession_AFullCacheGivesNoSession(t *testing.T) {
	b := newBroker(func(c *api.Config) {
		c.Settings = newTopicConfig("max.incremental.fetch.session.cache.slots", "2")
	})
	events := b.AddTopic("events", 1, nil)
	for i := range 3 {
		resp := ask[*kmsg.FetchResponse](t, b, 12, fetch(fetchTopic(events, 0)))
		if got := resp.SessionID != 0; got != (i < 2) {
			t.Errorf("fetch %d has session %d", i, resp.SessionID)
		}
	}
}
