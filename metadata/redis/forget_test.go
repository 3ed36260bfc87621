package redis_test

import (
	"crypto/rand"
	"testing"

	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/test/servers"
	"github.com/odradek/odradek/topic"
)

// What is dropped is gone from Redis, however much it is, and what is left of a call that was cut off goes with the next.
func TestSegmentsDropped_GiveTheirMemoryBack(t *testing.T) {
	server, cluster := servers.SharedRedis(t), rand.Text()
	s, a, ctx := openCluster(t, server, cluster), admin(t, server), t.Context()
	pin := openEra(t, s, 1)
	const all = 2500 // more than one script drops
	for n := topic.Slot(0); n < all; n += 500 {
		var segments []metadata.Segment
		for i := range topic.Slot(500) {
			segments = append(segments, slot(n+i))
		}
		mustIndex(t, s, pin, segments...)
	}
	key, journals := "{"+cluster+"}:1:log:"+journalA.String(), "{"+cluster+"}:1:journals"
	for _, step := range []struct {
		control, below topic.Slot
		first          string
		left           int64
	}{
		{2, 2300, "2300", 200},
		{3, 2301, "2301", 199},
		{4, 9000, "2499", 1},
		{5, 9001, "2499", 1},
	} {
		if _, err := s.Apply(ctx, pin, step.control, [][]metadata.Effect{{metadata.SegmentsDropped{Journal: journalA, Below: step.below}}}); err != nil {
			t.Fatal(err)
		}
		if left, err := a.LLen(ctx, key).Result(); err != nil || left != step.left {
			t.Errorf("below %d: %d entries, %v; want %d", step.below, left, err, step.left)
		}
		if first, err := a.HGet(ctx, journals, journalA.String()+":first").Result(); err != nil || first != step.first {
			t.Errorf("below %d: first is %s, %v; want %s", step.below, first, err, step.first)
		}
	}
	mustIndex(t, s, pin, slot(all))
	// As a call leaves it that was cut off behind its first script.
	for _, err := range []error{a.LPush(ctx, key, "", "").Err(), a.HSet(ctx, journals, journalA.String()+":first", 2497).Err()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.Segments(ctx, pin, []metadata.Cursor{{Journal: journalA}}, 10)
	if err != nil || len(got) != 1 || got[0].Slot != all {
		t.Errorf("half dropped: %+v, %v; want slot %d alone", got, err, all)
	}
	if _, err := s.Apply(ctx, pin, 6, [][]metadata.Effect{{metadata.SegmentsDropped{Journal: journalA, Below: 9002}}}); err != nil {
		t.Fatal(err)
	}
	if left := a.LLen(ctx, key).Val(); left != 1 {
		t.Errorf("%d entries left, want the newest", left)
	}
}

// Fields of the hashes of journals and of heartbeats that name no journal do not keep anybody from reading the others.
func TestJournals_FieldsThatNameNoneArePassedOver(t *testing.T) {
	server, cluster := servers.SharedRedis(t), rand.Text()
	s, a, ctx := openCluster(t, server, cluster), admin(t, server), t.Context()
	pin := openEra(t, s, 1)
	if err := s.Register(ctx, pin, journalA, "info"); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"{" + cluster + "}:1:journals", "{" + cluster + "}:1:beats"} {
		if err := a.HSet(ctx, key, "no journal", "7", "", "x").Err(); err != nil {
			t.Fatal(err)
		}
	}
	status, err := s.Current(ctx, pin.Era)
	if err != nil || len(status.Journals) != 1 || !status.Journals[journalA].Opened {
		t.Errorf("journals %+v, %v; want one", status.Journals, err)
	}
	counters, err := s.Counters(ctx, pin)
	if _, beats := counters[journalA]; err != nil || len(counters) != 1 || !beats {
		t.Errorf("heartbeats %v, %v; want one", counters, err)
	}
}
