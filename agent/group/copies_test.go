package group

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/odradek/odradek/agent/group/offsetsrecord"
	"github.com/odradek/odradek/topic"
)

// fakeCopies gives what the test says and notes what it is told.
type fakeCopies struct {
	from     topic.Offset
	records  []Record
	restarts int
	applied  []Record // from base on
	base     topic.Offset
	end      topic.Offset // of Loaded
	gone     bool
}

func (f *fakeCopies) Load(context.Context, int32) (topic.Offset, []Record) {
	f.base, f.applied = f.from, nil
	return f.from, f.records
}

func (f *fakeCopies) Restart(int32) {
	f.restarts++
	f.base, f.applied = 0, nil
}

func (f *fakeCopies) Apply(_ int32, base topic.Offset, records []Record) {
	if want := f.base + topic.Offset(len(f.applied)); base != want {
		panic(fmt.Sprintf("applied at %d, want %d", base, want))
	}
	f.applied = append(f.applied, records...)
}

func (f *fakeCopies) Loaded(_ int32, end topic.Offset) { f.end = end }
func (f *fakeCopies) Unload(int32)                     { f.gone = true }

// copyOf is what copies of a log say: the newest record of each key that is known, no tombstones.
func copyOf(log []Record) []Record {
	newest := map[string]Record{}
	for _, r := range log {
		newest[string(r.Key)] = r
	}
	var out []Record
	for _, key := range sortedKeys(newest) {
		if newest[key].Value != nil && key[1] < 99 {
			out = append(out, newest[key])
		}
	}
	return out
}

func recordOf(r offsetsrecord.Record) Record {
	key, value := offsetsrecord.Encode(r)
	return Record{Key: key, Value: value}
}

func generationOf(group string, n int32, members ...string) Record {
	g := &offsetsrecord.Group{ProtocolType: "consumer", Protocol: "range", Generation: n, StateMs: int64(n)}
	for _, id := range members {
		g.Leader = id
		g.Members = append(g.Members, offsetsrecord.Member{ID: id, ClientID: id, SessionTimeoutMs: 30_000, Assignment: []byte{byte(n)}})
	}
	return recordOf(offsetsrecord.Record{Group: &offsetsrecord.GroupMetadata{Group: group, Value: g}})
}

func offsetOf(group string, partition int32, at topic.Offset) Record {
	c := &offsetsrecord.Commit{Group: group, Topic: "t", Partition: partition}
	if at >= 0 {
		c.Value = &offsetsrecord.Offset{Offset: at, LeaderEpoch: 2, CommitMs: 1, ExpireMs: offsetsrecord.None}
	}
	return recordOf(offsetsrecord.Record{Commit: c})
}

func deleted(group string) Record {
	return recordOf(offsetsrecord.Record{Group: &offsetsrecord.GroupMetadata{Group: group}})
}

// aLog tells of group g, which is deleted, comes back at a lower generation and goes on.
var aLog = []Record{
	generationOf("g", 1, "a"), offsetOf("g", 0, 5), generationOf("g", 2, "a", "b"), offsetOf("g", 1, 7), offsetOf("g", 0, 6),
	generationOf("g", 3), offsetOf("g", 0, -1), offsetOf("g", 1, -1), deleted("g"),
	{Key: []byte{0, 99, 1}, Value: []byte("of a later version")},
	generationOf("g", 1, "c"), offsetOf("g", 0, 9), generationOf("g", 2, "c", "d"), offsetOf("g", 2, 1),
}

// picture is what clients see of group g.
type picture struct {
	Describe DescribeReply
	Fetch    FetchReply
	List     []Listing
}

// loaded loads a log with copies and gives what clients see then.
func loaded(t *testing.T, records []Record, copies Copies) picture {
	t.Helper()
	var seen picture
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		log := newFakeLog()
		c := New(log, copies, Defaults(), slog.New(slog.DiscardHandler))
		log.counted[c.PartitionFor("g")] = records
		over := make(chan error)
		go func() { over <- c.Run(ctx) }()
		if err := c.Load(ctx, c.PartitionFor("g"), 1); err != nil {
			t.Fatal(err)
		}
		seen.Describe = wait(t, c.Describe(ctx, DescribeRequest{Group: "g"}))
		seen.Fetch = wait(t, c.Fetch(ctx, FetchRequest{Group: "g", All: true}))
		list, err := c.List(ctx)
		if err != nil {
			t.Fatal(err)
		}
		seen.List = list
		stop()
		<-over
	})
	return seen
}

func samePicture(t *testing.T, what string, want, got picture) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateErrors()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestLoad_WithCopiesOfAnyPositionEqualsWithout(t *testing.T) {
	for end := range len(aLog) + 1 {
		want := loaded(t, aLog[:end], nil)
		for from := 1; from <= end; from++ {
			copies := &fakeCopies{from: topic.Offset(from), records: copyOf(aLog[:from])}
			what := fmt.Sprintf("log of %d records, copies at %d", end, from)
			samePicture(t, what, want, loaded(t, aLog[:end], copies))
			if copies.restarts != 0 {
				t.Errorf("%s: they were not used", what)
			}
			if diff := cmp.Diff(aLog[from:end], copies.applied, cmpopts.EquateEmpty()); diff != "" || copies.end != topic.Offset(end) || !copies.gone {
				t.Errorf("%s: the copies were told of an end at %d, and (-want +got):\n%s", what, copies.end, diff)
			}
		}
	}
}

func TestLoad_CopiesThatTheLogDisagreesWithAreNotUsed(t *testing.T) {
	end := len(aLog)
	want := loaded(t, aLog, nil)
	for _, c := range []struct {
		name    string
		from    int
		records []Record
	}{
		{"a generation that the log does not know", end - 4, []Record{generationOf("g", 9, "z"), offsetOf("g", 0, 100)}},
		{"a record that cannot be read", end - 4, []Record{{Key: []byte{0, 2}, Value: []byte("g")}}},
		{"a key of another kind", end - 4, []Record{{Key: []byte{0, 99}, Value: []byte("g")}}},
		{"a value that cannot be read", end - 4, []Record{{Key: offsetOf("g", 0, 1).Key, Value: []byte{0}}}},
	} {
		copies := &fakeCopies{from: topic.Offset(c.from), records: c.records}
		samePicture(t, c.name, want, loaded(t, aLog, copies))
		if copies.restarts != 1 || len(copies.applied) != end || copies.end != topic.Offset(end) {
			t.Errorf("%s: %d restarts, then %d records up to %d; want 1 and all %d", c.name, copies.restarts, len(copies.applied), copies.end, end)
		}
	}
}

func TestCopies_AreToldOfWhatCountsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		log, copies := newFakeLog(), &fakeCopies{}
		c := New(log, copies, Defaults(), slog.New(slog.DiscardHandler))
		over := make(chan error)
		go func() { over <- c.Run(ctx) }()
		p := c.PartitionFor("g")
		if err := c.Load(ctx, p, 1); err != nil {
			t.Fatal(err)
		}
		for i := range topic.Offset(5) {
			isOver(c.Commit(ctx, commitOf(i)))
		}
		if len(copies.applied) != 0 {
			t.Error("copies were told of records that do not count")
		}
		log.land(2)
		synctest.Wait()
		if len(copies.applied) != 2 {
			t.Errorf("copies were told of %d records, two count", len(copies.applied))
		}
		log.land(-1)
		synctest.Wait()
		if diff := cmp.Diff(log.counted[p], copies.applied); diff != "" {
			t.Errorf("copies were told otherwise than the log says (-log +copies):\n%s", diff)
		}
		stop()
		<-over
	})
}
