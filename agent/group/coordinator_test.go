package group

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/odradek/odradek/topic"
)

// start runs a coordinator with the partition of group "g" loaded, in a bubble of fake time.
func start(t *testing.T, test func(t *testing.T, c *Coordinator, log *fakeLog)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		log := newFakeLog()
		c := New(log, nil, Defaults(), slog.New(slog.DiscardHandler))
		ctx, stop := context.WithCancel(t.Context())
		over := make(chan error)
		go func() { over <- c.Run(ctx) }()
		if err := c.Load(ctx, c.PartitionFor("g"), 1); err != nil {
			t.Fatal(err)
		}
		test(t, c, log)
		stop()
		if err := <-over; err != nil {
			t.Error(err)
		}
	})
}

func commitOf(offset topic.Offset) CommitRequest {
	return CommitRequest{Group: "g", Generation: NoGeneration,
		Offsets: []CommitOffset{{TopicPartition: TopicPartition{"t", 0}, Offset: offset, LeaderEpoch: -1}}}
}

// isOver reports what a pending call has answered by now.
func isOver[T any](p *Pending[T]) chan error {
	done := make(chan error, 1)
	go func() {
		_, err := p.Wait(context.Background())
		done <- err
	}()
	synctest.Wait()
	return done
}

// wait gets the answer of a call that must not have to wait for time to pass.
func wait[T any](t *testing.T, p *Pending[T]) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	r, err := p.Wait(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func fetched(t *testing.T, c *Coordinator) topic.Offset {
	t.Helper()
	return wait(t, c.Fetch(t.Context(), FetchRequest{Group: "g", Parts: []TopicPartition{{"t", 0}}})).Offsets[0].Offset
}

func TestCommit_IsAnsweredWhenItCounts(t *testing.T) {
	start(t, func(t *testing.T, c *Coordinator, log *fakeLog) {
		first := isOver(c.Commit(t.Context(), commitOf(1)))
		second := isOver(c.Commit(t.Context(), commitOf(2)))
		if len(first) != 0 || len(second) != 0 {
			t.Fatal("a commit was answered before it counts")
		}
		if got := fetched(t, c); got != -1 {
			t.Errorf("fetched %d before anything counts", got)
		}
		log.land(1)
		synctest.Wait()
		if len(first) != 1 || len(second) != 0 {
			t.Errorf("answered: first %d second %d, want the first only", len(first), len(second))
		}
		if got := fetched(t, c); got != 1 {
			t.Errorf("fetched %d, want 1", got)
		}
		log.land(-1)
		synctest.Wait()
		if len(second) != 1 || fetched(t, c) != 2 {
			t.Error("the second commit counts and is not answered or not seen")
		}
	})
}

func TestCommit_OrderOfAdmissionIsOrderOfLog(t *testing.T) {
	start(t, func(t *testing.T, c *Coordinator, log *fakeLog) {
		log.set(func(f *fakeLog) { f.auto = true })
		var last *Pending[CommitReply]
		for i := range topic.Offset(100) {
			last = c.Commit(t.Context(), commitOf(i)) // not waited for
		}
		wait(t, last)
		if got := fetched(t, c); got != 99 {
			t.Errorf("fetched %d after the last of 100 commits, want 99", got)
		}
	})
}

func TestCommit_WaitersShareABatch(t *testing.T) {
	start(t, func(t *testing.T, c *Coordinator, log *fakeLog) {
		block := make(chan struct{})
		log.set(func(f *fakeLog) { f.block = block })
		answers := []chan error{isOver(c.Commit(t.Context(), commitOf(0)))} // this one waits for memory
		for i := range topic.Offset(9) {
			answers = append(answers, isOver(c.Commit(t.Context(), commitOf(i+1))))
		}
		close(block)
		synctest.Wait()
		if got := log.pending(); got != 2 {
			t.Errorf("%d batches for 10 commits, want 2: the one that waited and all others", got)
		}
		for _, b := range log.land(-1) {
			if !b.OffsetsOnly || b.Epoch != 1 || b.Partition != c.PartitionFor("g") {
				t.Errorf("batch of commits is %+v", b.Batch)
			}
		}
		synctest.Wait()
		for i, a := range answers {
			if len(a) != 1 {
				t.Errorf("commit %d was not answered", i)
			}
		}
	})
}

func TestCommit_ChangingNothingCostsNoRecord(t *testing.T) {
	start(t, func(t *testing.T, c *Coordinator, log *fakeLog) {
		log.set(func(f *fakeLog) { f.auto = true })
		wait(t, c.Commit(t.Context(), commitOf(7)))
		log.set(func(f *fakeLog) { f.auto = false })
		for range 60 {
			time.Sleep(time.Second)
			wait(t, c.Commit(t.Context(), commitOf(7)))
		}
		if got := log.pending(); got != 0 {
			t.Errorf("%d batches for commits that change nothing", got)
		}
	})
}

func TestAnswers_RestOnTheOwnersProof(t *testing.T) {
	start(t, func(t *testing.T, c *Coordinator, log *fakeLog) {
		log.set(func(f *fakeLog) { f.auto, f.proof = true, errFenced })
		if r := wait(t, c.Commit(t.Context(), commitOf(7))); r.Err != nil || log.proofs != 0 {
			t.Errorf("a commit with a record of its own: %v after %d proofs, want none", r.Err, log.proofs)
		}
		calls := map[string]func() error{
			"fetch":           func() error { return waited(c.Fetch(t.Context(), FetchRequest{Group: "g", All: true})) },
			"repeated commit": func() error { return waited(c.Commit(t.Context(), commitOf(7))) },
			"describe":        func() error { return waited(c.Describe(t.Context(), DescribeRequest{Group: "g"})) },
			"unknown member": func() error {
				return waited(c.Heartbeat(t.Context(), HeartbeatRequest{Group: "g", MemberID: "m", Generation: 1}))
			},
			"unknown group": func() error { return waited(c.Delete(t.Context(), DeleteRequest{Group: "h"})) },
		}
		for name, call := range calls {
			if err := call(); !errors.Is(err, ErrNotCoordinator) {
				t.Errorf("%s by a fenced owner: %v, want ErrNotCoordinator", name, err)
			}
		}
	})
}

func waited[T any](p *Pending[T]) error {
	_, err := p.Wait(context.Background())
	return err
}

// join takes a client through JoinGroup and SyncGroup; the leader gives everybody its member id.
func join(t *testing.T, c *Coordinator, group, client string) (JoinReply, SyncReply) {
	t.Helper()
	joined, err := c.Join(t.Context(), JoinRequest{Group: group, ClientID: client, Unique: "1", SessionTimeout: 10 * time.Second,
		RebalanceTimeout: time.Minute, ProtocolType: "consumer", Protocols: []Protocol{{Name: "range"}}}).Wait(t.Context())
	if err != nil || joined.Err != nil {
		t.Fatal(err, joined.Err)
	}
	r := SyncRequest{Group: group, MemberID: joined.MemberID, Generation: joined.Generation}
	for _, m := range joined.Members {
		r.Assignments = append(r.Assignments, Assignment{MemberID: m.ID, Bytes: []byte(m.ID)})
	}
	synced, err := c.Sync(t.Context(), r).Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return joined, synced
}

func TestMembers_HeartbeatOrAreOut(t *testing.T) {
	start(t, func(t *testing.T, c *Coordinator, log *fakeLog) {
		log.set(func(f *fakeLog) { f.auto = true })
		began := time.Now()
		joined, synced := join(t, c, "g", "c")
		if synced.Err != nil || string(synced.Assignment) != "c-1" {
			t.Fatalf("assignment %q, %v", synced.Assignment, synced.Err)
		}
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("the first rebalance took %v, want 3s", took)
		}
		beat := HeartbeatRequest{Group: "g", MemberID: joined.MemberID, Generation: joined.Generation}
		for range 10 {
			time.Sleep(9 * time.Second)
			if r := wait(t, c.Heartbeat(t.Context(), beat)); r.Err != nil {
				t.Fatal(r.Err)
			}
		}
		time.Sleep(11 * time.Second)
		if r := wait(t, c.Heartbeat(t.Context(), beat)); !errors.Is(r.Err, ErrUnknownMember) {
			t.Errorf("heartbeat after the session: %v, want ErrUnknownMember", r.Err)
		}
	})
}

// Who asks for an assignment that is there was heard of, as by a heartbeat.
func TestMembers_AreHeardOfWhenTheySync(t *testing.T) {
	start(t, func(t *testing.T, c *Coordinator, log *fakeLog) {
		log.set(func(f *fakeLog) { f.auto = true })
		joined, _ := join(t, c, "g", "c")
		for range 3 {
			time.Sleep(9 * time.Second)
			r := wait(t, c.Sync(t.Context(), SyncRequest{Group: "g", MemberID: joined.MemberID, Generation: joined.Generation}))
			if r.Err != nil || string(r.Assignment) != "c-1" {
				t.Fatalf("assignment %q, %v", r.Assignment, r.Err)
			}
		}
	})
}

// A coordinator that the log holds up hears nobody meanwhile, and so it misses nobody: not while it is held up in an
// append, nor while as much as may be is on its way.
func TestMembers_AreNotMissedWhileTheLogHoldsTheirCoordinatorUp(t *testing.T) {
	for what, commits := range map[string]int{"in an append": 1, "by flights": maxFlights} {
		start(t, func(t *testing.T, c *Coordinator, log *fakeLog) {
			log.set(func(f *fakeLog) { f.auto = true })
			joined, _ := join(t, c, "g", "c")
			beat := HeartbeatRequest{Group: "g", MemberID: joined.MemberID, Generation: joined.Generation}
			held := make(chan struct{})
			log.set(func(f *fakeLog) {
				if f.auto = false; commits == 1 {
					f.block = held
				}
			})
			for i := range commits {
				c.Commit(t.Context(), CommitRequest{Group: "g", MemberID: joined.MemberID, Generation: joined.Generation,
					Offsets: []CommitOffset{{TopicPartition: TopicPartition{"t", 0}, Offset: topic.Offset(i + 1), LeaderEpoch: -1}}})
				synctest.Wait()
			}
			time.Sleep(8 * time.Second)
			heard := c.Heartbeat(t.Context(), beat)
			time.Sleep(8 * time.Second) // the session would be over by now, but for that
			log.set(func(f *fakeLog) { f.auto, f.block = true, nil })
			close(held)
			synctest.Wait()
			log.land(-1)
			if r := wait(t, heard); r.Err != nil {
				t.Errorf("held up %s: heartbeat: %v", what, r.Err)
			}
		})
	}
}

func TestLoad_GroupsGoOnWithTheirMembers(t *testing.T) {
	start(t, func(t *testing.T, c *Coordinator, log *fakeLog) {
		log.set(func(f *fakeLog) { f.auto = true })
		joined, _ := join(t, c, "g", "c")
		wait(t, c.Commit(t.Context(), CommitRequest{Group: "g", MemberID: joined.MemberID, Generation: joined.Generation,
			Offsets: commitOf(5).Offsets}))

		c.Unload(c.PartitionFor("g"))
		if err := waited(c.Fetch(t.Context(), FetchRequest{Group: "g"})); !errors.Is(err, ErrNotCoordinator) {
			t.Errorf("fetch of an unloaded partition: %v, want ErrNotCoordinator", err)
		}
		if err := c.Load(t.Context(), c.PartitionFor("g"), 2); err != nil {
			t.Fatal(err)
		}
		if got := fetched(t, c); got != 5 {
			t.Errorf("fetched %d after the load, want 5", got)
		}
		time.Sleep(9 * time.Second)
		beat := HeartbeatRequest{Group: "g", MemberID: joined.MemberID, Generation: joined.Generation}
		if r := wait(t, c.Heartbeat(t.Context(), beat)); r.Err != nil {
			t.Errorf("heartbeat after the load: %v", r.Err)
		}
		d := wait(t, c.Describe(t.Context(), DescribeRequest{Group: "g"}))
		if d.State != Stable || len(d.Members) != 1 || string(d.Members[0].Assignment) != "c-1" {
			t.Errorf("group after the load is %+v", d)
		}
	})
}

func TestLoad_CallsMeanwhileAreToldToComeAgain(t *testing.T) {
	start(t, func(t *testing.T, c *Coordinator, log *fakeLog) {
		p := c.PartitionFor("g")
		c.Unload(p)
		log.set(func(f *fakeLog) { f.reading, f.auto = make(chan struct{}), true })
		loaded := make(chan error, 1)
		go func() { loaded <- c.Load(t.Context(), p, 2) }()
		synctest.Wait()
		if err := waited(c.Commit(t.Context(), commitOf(1))); !errors.Is(err, ErrLoadInProgress) {
			t.Errorf("commit while loading: %v, want ErrLoadInProgress", err)
		}
		if r := wait(t, c.Heartbeat(t.Context(), HeartbeatRequest{Group: "g", MemberID: "m"})); r.Err != nil {
			t.Errorf("heartbeat while loading: %v, want none", r.Err)
		}
		if r := wait(t, c.Sync(t.Context(), SyncRequest{Group: "g", MemberID: "m"})); !errors.Is(r.Err, ErrRebalanceInProgress) {
			t.Errorf("sync while loading: %v, want ErrRebalanceInProgress", r.Err)
		}
		if _, err := c.List(t.Context()); !errors.Is(err, ErrLoadInProgress) {
			t.Errorf("list while loading: %v, want ErrLoadInProgress", err)
		}
		close(log.reading)
		if err := <-loaded; err != nil {
			t.Fatal(err)
		}
		wait(t, c.Commit(t.Context(), commitOf(1)))
	})
}

func TestLoad_UnreadableRecordLoadsNothing(t *testing.T) {
	start(t, func(t *testing.T, c *Coordinator, log *fakeLog) {
		p := c.PartitionFor("g")
		c.Unload(p)
		log.set(func(f *fakeLog) { f.counted[p] = []Record{{Key: []byte{0, 1, 0}, Value: []byte("x")}} })
		err := c.Load(t.Context(), p, 2)
		if err == nil || !strings.Contains(err.Error(), "offset 0") {
			t.Errorf("load of a corrupt record: %v, want an error that names its offset", err)
		}
		if err := waited(c.Commit(t.Context(), commitOf(1))); !errors.Is(err, ErrNotCoordinator) {
			t.Errorf("commit after it: %v, want ErrNotCoordinator", err)
		}
		log.set(func(f *fakeLog) {
			f.counted[p] = []Record{{Key: []byte{0, 3, 0, 0}, Value: []byte("of a newer kind of group")}}
		})
		if err := c.Load(t.Context(), p, 2); err != nil {
			t.Errorf("a record of an unknown kind is to be skipped: %v", err)
		}
	})
}

func TestUnload_WaitersAreTurnedAway(t *testing.T) {
	start(t, func(t *testing.T, c *Coordinator, log *fakeLog) {
		commit := isOver(c.Commit(t.Context(), commitOf(1)))
		joining := isOver(c.Join(t.Context(), JoinRequest{Group: "g", Unique: "1", SessionTimeout: 10 * time.Second,
			RebalanceTimeout: time.Minute, ProtocolType: "consumer", Protocols: []Protocol{{Name: "range"}}}))
		c.Unload(c.PartitionFor("g"))
		for name, done := range map[string]chan error{"commit": commit, "join": joining} {
			if err := <-done; !errors.Is(err, ErrNotCoordinator) {
				t.Errorf("%s: %v, want ErrNotCoordinator", name, err)
			}
		}
	})
}

func TestBrokenLog_IsReadAgain(t *testing.T) {
	start(t, func(t *testing.T, c *Coordinator, log *fakeLog) {
		commit := isOver(c.Commit(t.Context(), commitOf(1)))
		log.land(-1)
		if err := <-commit; err != nil {
			t.Fatal(err)
		}
		lost := isOver(c.Commit(t.Context(), commitOf(2)))
		log.set(func(f *fakeLog) { f.readErr = errFenced })
		log.breakDown()
		if err := <-lost; !errors.Is(err, ErrNotCoordinator) {
			t.Errorf("commit that was lost: %v, want ErrNotCoordinator", err)
		}
		time.Sleep(10 * reloadDelay)
		if err := waited(c.Commit(t.Context(), commitOf(3))); !errors.Is(err, ErrLoadInProgress) {
			t.Errorf("commit while the log cannot be read: %v, want ErrLoadInProgress", err)
		}
		log.set(func(f *fakeLog) { f.readErr, f.broken, f.auto = nil, nil, true })
		time.Sleep(2 * reloadDelay)
		if got := fetched(t, c); got != 1 {
			t.Errorf("fetched %d, want 1: only that counts", got)
		}
		wait(t, c.Commit(t.Context(), commitOf(3)))
	})
}

func TestBrokenLog_WhatIsUnderWayIsDecidedBeforeItIsReadAgain(t *testing.T) {
	start(t, func(t *testing.T, c *Coordinator, log *fakeLog) {
		lost := isOver(c.Commit(t.Context(), commitOf(1)))
		behind := isOver(c.Commit(t.Context(), commitOf(2)))
		log.lose()
		for _, done := range []chan error{lost, behind} {
			if err := <-done; !errors.Is(err, ErrNotCoordinator) {
				t.Errorf("commit: %v, want ErrNotCoordinator", err)
			}
		}
		time.Sleep(10 * reloadDelay)
		log.land(-1) // the second one counts after all
		time.Sleep(2 * reloadDelay)
		if got := fetched(t, c); got != 2 {
			t.Errorf("fetched %d, want 2, which counts", got)
		}
	})
}

func TestFullQueue_WaitsWithItsContext(t *testing.T) {
	start(t, func(t *testing.T, c *Coordinator, log *fakeLog) {
		log.set(func(f *fakeLog) { f.block = make(chan struct{}) })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var refused error
		for i := topic.Offset(0); refused == nil; i++ {
			if p := c.Commit(ctx, commitOf(i)); p.life == nil {
				refused = p.err
			} else if int(i) > 2*c.cfg.MaxQueue {
				t.Fatalf("%d commits were queued, the queue holds %d", i, c.cfg.MaxQueue)
			}
		}
		if !errors.Is(refused, context.DeadlineExceeded) {
			t.Errorf("refused with %v, want the end of the context", refused)
		}
	})
}

func TestAppend_LargeDecisionsAreSplit(t *testing.T) {
	start(t, func(t *testing.T, c *Coordinator, log *fakeLog) {
		r := CommitRequest{Group: "g", Generation: NoGeneration}
		for i := range int32(400) {
			r.Offsets = append(r.Offsets, CommitOffset{TopicPartition: TopicPartition{"t", i}, Metadata: strings.Repeat("x", 4000)})
		}
		done := isOver(c.Commit(t.Context(), r))
		if n := log.pending(); n != 4 {
			t.Errorf("%d batches for 1.6 MB of records, want 4", n)
		}
		for _, b := range log.land(1) {
			if size := sizeOf(b.Records); size > batchBytes {
				t.Errorf("batch of %d bytes, want at most %d", size, batchBytes)
			}
		}
		synctest.Wait()
		if len(done) != 0 {
			t.Error("answered when the first of its batches counts")
		}
		log.land(-1)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func sizeOf(records []Record) (n int) {
	for _, r := range records {
		n += len(r.Key) + len(r.Value)
	}
	return n
}

func TestTopicsDeleted_OffsetsGoWithThem(t *testing.T) {
	start(t, func(t *testing.T, c *Coordinator, log *fakeLog) {
		log.set(func(f *fakeLog) { f.auto = true })
		wait(t, c.Commit(t.Context(), commitOf(1)))
		if err := c.TopicsDeleted(t.Context(), []string{"t"}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := fetched(t, c); got != -1 {
			t.Errorf("fetched %d of a deleted topic", got)
		}
	})
}

func TestTopicsDeleted_WhileLoadingIsNotForgotten(t *testing.T) {
	start(t, func(t *testing.T, c *Coordinator, log *fakeLog) {
		log.set(func(f *fakeLog) { f.auto = true })
		wait(t, c.Commit(t.Context(), commitOf(1)))
		p := c.PartitionFor("g")
		c.Unload(p)
		log.set(func(f *fakeLog) { f.reading = make(chan struct{}) })
		loaded := make(chan error, 1)
		go func() { loaded <- c.Load(t.Context(), p, 2) }()
		synctest.Wait()
		if err := c.TopicsDeleted(t.Context(), []string{"t"}); err != nil {
			t.Fatal(err)
		}
		close(log.reading)
		if err := <-loaded; err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := fetched(t, c); got != -1 {
			t.Errorf("fetched %d of a deleted topic", got)
		}
	})
}

// The topic went while nobody had the group loaded, and with it nobody who would have been told.
func TestTopicsDeleted_WhileNobodyHasThemLoaded(t *testing.T) {
	start(t, func(t *testing.T, c *Coordinator, log *fakeLog) {
		log.set(func(f *fakeLog) { f.auto = true })
		wait(t, c.Commit(t.Context(), commitOf(1)))
		p := c.PartitionFor("g")
		exists := true
		c.cfg.TopicExists = func(name string) bool { return exists && name == "t" }
		for _, want := range []topic.Offset{1, -1} {
			c.Unload(p)
			exists = want == 1
			if err := c.Load(t.Context(), p, 2); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if got := fetched(t, c); got != want {
				t.Errorf("fetched %d, want %d", got, want)
			}
		}
		exists = true // a topic of the same name: the log says that nothing is committed for it
		c.Unload(p)
		if err := c.Load(t.Context(), p, 3); err != nil {
			t.Fatal(err)
		}
		if got := fetched(t, c); got != -1 {
			t.Errorf("fetched %d of the topic that was deleted", got)
		}
	})
}

func TestList_AllLoadedPartitions(t *testing.T) {
	start(t, func(t *testing.T, c *Coordinator, log *fakeLog) {
		log.set(func(f *fakeLog) { f.auto = true })
		var want []Listing
		for _, id := range []string{"g", "h", "i"} {
			if err := c.Load(t.Context(), c.PartitionFor(id), 1); err != nil {
				t.Fatal(err)
			}
			r := commitOf(1)
			r.Group = id
			wait(t, c.Commit(t.Context(), r))
			want = append(want, Listing{Group: id, State: Empty})
		}
		got, err := c.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("list (-want +got):\n%s", diff)
		}
	})
}

func TestIdleMembers_AppendNothing(t *testing.T) {
	start(t, func(t *testing.T, c *Coordinator, log *fakeLog) {
		log.set(func(f *fakeLog) { f.auto = true })
		joined, _ := join(t, c, "g", "c")
		r := CommitRequest{Group: "g", MemberID: joined.MemberID, Generation: joined.Generation, Offsets: commitOf(5).Offsets}
		wait(t, c.Commit(t.Context(), r))
		log.set(func(f *fakeLog) { f.auto = false })
		for range 3600 {
			time.Sleep(time.Second)
			wait(t, c.Commit(t.Context(), r))
			wait(t, c.Heartbeat(t.Context(), HeartbeatRequest{Group: "g", MemberID: joined.MemberID, Generation: joined.Generation}))
		}
		if n := log.pending(); n != 0 {
			t.Errorf("%d batches in an idle hour", n)
		}
	})
}

// The partitions were computed in Java: Math.abs(group.hashCode()) % 50, and 0 for Integer.MIN_VALUE.
func TestPartitionFor_IsKafkas(t *testing.T) {
	for group, want := range map[string]int32{
		"":                        0,
		"g":                       3,
		"test-group":              12,
		"polygenelubricants":      0, // its hash code is Integer.MIN_VALUE
		"console-consumer-12345":  6,
		"gruppe-\u00e4\U0001f600": 19, // the last one is two UTF-16 code units
	} {
		if got := PartitionFor(group, 50); got != want {
			t.Errorf("PartitionFor(%q) is %d, want %d", group, got, want)
		}
	}
}

func TestConfig_ValidateReportsAllProblems(t *testing.T) {
	if err := Defaults().Validate(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
	cfg := Defaults()
	cfg.Partitions, cfg.MaxSessionTimeout, cfg.InitialRebalanceDelay = 0, time.Second, -1
	err := cfg.Validate()
	for _, name := range []string{"offsets.topic.num.partitions", "group.max.session.timeout.ms", "group.initial.rebalance.delay.ms"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v does not name %s", fmt.Sprint(err), name)
		}
	}
}
