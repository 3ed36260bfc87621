package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/odradek/odradek/agent/cluster"
	"github.com/odradek/odradek/agent/group"
	"github.com/odradek/odradek/agent/ingest"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/objectstore/memory"
	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/topic"
)

// alone starts an agent on an empty bucket, with all that hears of moves.
func alone(t *testing.T) *living {
	w := &world{t: t, seed: 1, rand: rand.New(rand.NewPCG(1, 7)), bucket: memory.New(), seen: make(map[spot]string), acked: make(map[spot]string)}
	l := w.life(t.TempDir(), nil)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = l.hear(ctx) })
	running.Go(func() { _ = l.groups.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		l.kill()
		running.Wait()
		l.background.Wait()
	})
	return l
}

// write appends a batch of an idempotent producer and gives its offset.
func (l *living) write(t *testing.T, p topic.Partition, sequence int32) (topic.Offset, error) {
	t.Helper()
	batch := recordbatch.Build(recordbatch.Draft{
		Producer: &recordbatch.Producer{ID: 7, Sequence: sequence},
		Records:  []recordbatch.Record{{Timestamp: 1, Value: fmt.Append(nil, sequence)}},
	})
	r, err := l.ingest.Append(t.Context(), ingest.AcksAll, []ingest.PartitionBatch{{Partition: p, Records: batch}})[0].Wait(t.Context())
	return r.Base, err
}

// A partition is released and nobody else lives: it comes back to its owner at the next epoch, with its producers.
func TestBalancer_WhatNobodyTakesComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := alone(t)
		id, err := l.cluster.CreateTopic(t.Context(), cluster.NewTopic{Name: "t", Partitions: 2})
		if err != nil {
			t.Fatal(err)
		}
		p, other := topic.Partition{Topic: id}, topic.Partition{Topic: id, Index: 1}
		for i := range int32(3) {
			if at, err := l.write(t, p, i); at != topic.Offset(i) || err != nil {
				t.Fatalf("batch %d at %d, %v", i, at, err)
			}
		}
		gone := topic.JournalID{9} // a journal that nobody knows
		if err := l.balancing.move(t.Context(), map[topic.Partition]topic.JournalID{p: gone}); err != nil {
			t.Fatal(err)
		}
		a, _ := l.cluster.State().Owner(p)
		if a.Epoch != 1 || a.Base != 3 || a.Journal != l.journal || !a.Moved {
			t.Fatalf("assigned %+v", a)
		}
		synctest.Wait()
		time.Sleep(time.Second)
		if epoch, next, ok := l.ingest.Owns(p); epoch != 1 || next != 3 || !ok {
			t.Fatalf("owned: epoch %d, next %d, %v", epoch, next, ok)
		}
		if at, err := l.write(t, p, 2); at != 2 || err != nil {
			t.Errorf("a repeat across the epochs at %d, %v; want 2", at, err)
		}
		if at, err := l.write(t, p, 3); at != 3 || err != nil {
			t.Errorf("the next batch at %d, %v; want 3", at, err)
		}
		if epoch, _, ok := l.ingest.Owns(other); epoch != 0 || !ok {
			t.Errorf("the other partition: epoch %d, %v", epoch, ok)
		}
	})
}

// Nothing is moved away before the WALs of earlier journals are appended: a RELEASE would say where the partition ends
// without what they hold, and those records would be in no log.
func TestBalancer_WaitsForTheReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := alone(t)
		id, err := l.cluster.CreateTopic(t.Context(), cluster.NewTopic{Name: "t", Partitions: 1})
		if err != nil {
			t.Fatal(err)
		}
		p := topic.Partition{Topic: id}
		l.balancing.ask([]control.Move{{Partition: p, ToJournal: topic.JournalID{9}}})
		ctx, cancel := context.WithCancel(t.Context())
		var moving sync.WaitGroup
		moving.Go(func() { l.moveAway(ctx) })
		time.Sleep(time.Minute)
		if a, _ := l.cluster.State().Owner(p); a.Epoch != 0 {
			t.Error("released before the replay was over")
		}
		if err := l.replay(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		close(l.replayed)
		time.Sleep(time.Minute)
		if a, _ := l.cluster.State().Owner(p); a.Epoch == 0 {
			t.Error("not moved after the replay")
		}
		cancel()
		moving.Wait()
	})
}

// What another journal was given is not admitted from the moment on that the record is applied, released or not.
func TestApplied_LostPartitionIsNotAdmitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := alone(t)
		id, err := l.cluster.CreateTopic(t.Context(), cluster.NewTopic{Name: "t", Partitions: 1})
		if err != nil {
			t.Fatal(err)
		}
		p := topic.Partition{Topic: id}
		stranger := control.JournalOpen{ID: topic.JournalID{9}, K: 4, Format: control.FormatLevel}
		assign := control.Assign{Partition: p, ToJournal: stranger.ID}
		if _, err := l.cluster.Propose(t.Context(), func(*control.State) ([]control.Record, error) {
			return []control.Record{stranger, assign}, nil
		}); err != nil {
			t.Fatal(err)
		}
		if _, err := l.write(t, p, 0); !errors.Is(err, ingest.ErrNotOwner) {
			t.Errorf("a batch for another's partition: %v", err)
		}
		back := control.Assign{Partition: p, OldEpoch: 1, ToJournal: l.journal}
		away := control.Assign{Partition: p, OldEpoch: 2, ToJournal: stranger.ID}
		if _, err := l.cluster.Assign(t.Context(), []control.Assign{back, away}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second) // less than the leases after which the stranger is found dead
		if _, _, ok := l.ingest.Owns(p); ok {
			t.Error("owned although it went on at once")
		}
	})
}

// Groups of a partition that moves are told to look for another coordinator, and go on where it is loaded again.
func TestGroupLoads_FollowThePartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := alone(t)
		l.groupLoads.allow()
		id, err := l.cluster.CreateTopic(t.Context(), cluster.NewTopic{Name: topic.ConsumerOffsets, Internal: true, Partitions: l.groupConfig().Partitions})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		describe := func() error {
			r, err := l.groups.Describe(t.Context(), group.DescribeRequest{Group: "g"}).Wait(t.Context())
			return cmp.Or(err, r.Err)
		}
		if err := describe(); !errors.Is(err, group.ErrGroupNotFound) {
			t.Fatalf("loaded: %v, want that the group is unknown", err)
		}
		p := topic.Partition{Topic: id, Index: l.groups.PartitionFor("g")}
		<-l.groupLoads.stop(p, 1)
		if err := describe(); !errors.Is(err, group.ErrNotCoordinator) {
			t.Errorf("unloaded: %v, want ErrNotCoordinator", err)
		}
		l.groupLoads.start(p, 0)
		<-l.groupLoads.stop(p, 0) // it is not older
		time.Sleep(time.Second)
		if err := describe(); !errors.Is(err, group.ErrGroupNotFound) {
			t.Errorf("loaded again: %v", err)
		}
		if err := l.balancing.move(t.Context(), map[topic.Partition]topic.JournalID{p: {9}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if err := describe(); !errors.Is(err, group.ErrGroupNotFound) {
			t.Errorf("after it came back: %v", err)
		}
		l.groupLoads.stopAll()
		l.groupLoads.start(p, 5)
		time.Sleep(time.Second)
		if err := describe(); !errors.Is(err, group.ErrNotCoordinator) {
			t.Errorf("after all were unloaded for good: %v, want ErrNotCoordinator", err)
		}
	})
}

func TestLacks_WhatALogHasOfAnEarlierWAL(t *testing.T) {
	id, a, b := topic.ID{1}, topic.JournalID{1}, topic.JournalID{2}
	p := topic.Partition{Topic: id}
	s := control.New()
	for n, r := range []control.Record{
		control.Genesis{ClusterID: "test", Format: control.FormatLevel},
		control.JournalOpen{ID: a, K: 4, Format: control.FormatLevel},
		control.JournalOpen{ID: b, K: 4, Format: control.FormatLevel},
		control.TopicCreate{ID: id, Name: "t", Journals: []topic.JournalID{a}},
		control.Assign{Partition: p, OldEpoch: 0, ToJournal: b, Base: 10}, // a released it
		control.Assign{Partition: p, OldEpoch: 1, ToJournal: a, Base: 10}, // b wrote nothing
		control.JournalSealed{Journal: a, SealSlot: 5, Parts: []control.Reassigned{{Partition: p, OldEpoch: 2, ToJournal: b, Base: 30}}},
	} {
		next, outcomes, err := s.Apply(topic.Slot(n), []control.Record{r})
		if err != nil || outcomes[0].Void {
			t.Fatalf("record %d: %v, %v", n, outcomes, err)
		}
		s = next
	}
	for _, c := range []struct {
		what  string
		entry ingest.Logged
		want  bool
	}{
		{"released with all that was written", ingest.Logged{Partition: p, Epoch: 0, Base: 8, Next: 10}, false},
		{"below the seal", ingest.Logged{Partition: p, Epoch: 2, Base: 20, Next: 30}, false},
		{"above the seal", ingest.Logged{Partition: p, Epoch: 2, Base: 30, Next: 31}, true},
		{"of an epoch of which nothing counts", ingest.Logged{Partition: p, Epoch: 1, Base: 10, Next: 11}, true},
		{"of a deleted topic", ingest.Logged{Partition: topic.Partition{Topic: topic.ID{2}}, Base: 1, Next: 2}, false},
	} {
		if got := lacks(s, c.entry); got != c.want {
			t.Errorf("%s: lacks is %v, want %v", c.what, got, c.want)
		}
	}
}
