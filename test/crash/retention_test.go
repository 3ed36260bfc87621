//go:build linux

package crash

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/odradek/odradek/test/harness"
	"github.com/odradek/odradek/test/servers"
)

// lookingOften makes an agent look for old records all the time.
var lookingOften = []string{"--set", "log.retention.check.interval.ms=200"}

func createTopicWith(t *testing.T, addr, name string, config map[string]*string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := adminOf(t, addr).CreateTopic(ctx, 2, 1, config, name); err != nil {
		t.Fatalf("create topic %s: %v", name, err)
	}
}

// sendInTurn sends records of 1,000 bytes, a batch and a slot each, to both partitions of topics by turns.
func sendInTurn(t *testing.T, addr string, records int, topics ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := clientOf(t, addr, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()))
	for i := range records {
		var some []*kgo.Record
		for _, name := range topics {
			some = append(some, &kgo.Record{Topic: name, Partition: int32(i % 2), Key: []byte{byte(i)}, Value: bytes.Repeat([]byte{byte(i)}, 1000)})
		}
		if err := c.ProduceSync(ctx, some...).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// span is where a partition begins and ends.
type span struct{ start, end int64 }

// spans asks for the partitions of topics, as "topic/partition".
func spans(t *testing.T, addr string, topics ...string) (map[string]span, error) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	admin := adminOf(t, addr)
	starts, err := admin.ListStartOffsets(ctx, topics...)
	if err = errors.Join(err, starts.Error()); err != nil {
		return nil, err
	}
	ends, err := admin.ListEndOffsets(ctx, topics...)
	if err = errors.Join(err, ends.Error()); err != nil {
		return nil, err
	}
	out := make(map[string]span)
	starts.Each(func(o kadm.ListedOffset) {
		end, _ := ends.Lookup(o.Topic, o.Partition)
		out[fmt.Sprintf("%s/%d", o.Topic, o.Partition)] = span{o.Offset, end.Offset}
	})
	return out, nil
}

// spansAre waits until all that an agent says of topics is as wanted.
func spansAre(t *testing.T, addr string, want map[string]span, topics ...string) {
	t.Helper()
	eventually(t, time.Minute, func() error {
		got, err := spans(t, addr, topics...)
		if err == nil && !maps.Equal(got, want) {
			err = fmt.Errorf("%v, want %v", got, want)
		}
		return err
	})
}

// Topics shrink by age and by size, consumers whose position is gone go on at the log start, and what was dropped stays
// dropped: after SIGKILL, without what Redis knew, and at another owner, which goes on dropping.
func TestRetention_DropsOldRecordsForGood(t *testing.T) {
	t.Parallel()
	r := servers.OwnRedis(t)
	o := harness.Options{Bucket: "file://" + harness.TempDir(t), Redis: r.URL(), Flags: lookingOften}
	a := harness.Start(t, o)
	ms, size, forever, compact := "1500", "8192", "-1", "compact"
	createTopicWith(t, a.Addr, "aged", map[string]*string{"retention.ms": &ms})
	createTopicWith(t, a.Addr, "sized", map[string]*string{"retention.bytes": &size})
	createTopicWith(t, a.Addr, "kept", map[string]*string{"retention.ms": &forever})
	createTopicWith(t, a.Addr, "keyed", map[string]*string{"cleanup.policy": &compact, "retention.ms": &ms, "retention.bytes": &size})
	topics := []string{"aged", "sized", "kept", "keyed"}
	sendInTurn(t, a.Addr, 10, topics...)
	late := groupAt(t, a.Addr, "sized", 2)
	sendInTurn(t, a.Addr, 50, topics...)
	// 30 batches of about 1,080 bytes in each partition: of a partition's, those stay without which less than 8,192 bytes do.
	want := map[string]span{
		"aged/0": {30, 30}, "aged/1": {30, 30}, "sized/0": {22, 30}, "sized/1": {22, 30},
		"kept/0": {0, 30}, "kept/1": {0, 30}, "keyed/0": {0, 30}, "keyed/1": {0, 30},
	}
	spansAre(t, a.Addr, want, topics...)
	late(t, map[int32]int64{0: 22, 1: 22})

	a.Kill()
	flush(t, r)
	a.Restart()
	spansAre(t, a.Addr, want, topics...)

	b := harness.Start(t, o) // gets partitions by moves, and by the takeover the rest
	spansAre(t, b.Addr, want, topics...)
	a.Kill()
	sendInTurn(t, b.Addr, 20, topics...)
	for _, name := range topics {
		for p := range 2 {
			of := fmt.Sprintf("%s/%d", name, p)
			s := want[of]
			s.end = 40
			if s.start > 0 {
				s.start += 10
			}
			want[of] = s
		}
	}
	spansAre(t, b.Addr, want, topics...)
	b.Kill()
	b.Restart()
	spansAre(t, b.Addr, want, topics...)
	if n := b.Metric("odradek_retention_stopped") + b.Metric("odradek_retention_timeless"); n != 0 {
		t.Errorf("retention by age is at rest\n%s", b.Tail())
	}
	b.Stop()
	verify(t, o.Bucket, nil)
}

// groupAt has a group read the first records of both partitions of a topic, commit and leave. It gives what comes back
// later, with auto.offset.reset=earliest, and wants to go on at given offsets.
func groupAt(t *testing.T, addr, name string, records int) func(*testing.T, map[int32]int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	committed := make(kadm.Offsets)
	for p := range int32(2) {
		committed.AddOffset(name, p, int64(records), -1)
	}
	if err := adminOf(t, addr).CommitAllOffsets(ctx, "late", committed); err != nil {
		t.Fatal(err)
	}
	return func(t *testing.T, want map[int32]int64) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		c := clientOf(t, addr, kgo.ConsumerGroup("late"), kgo.ConsumeTopics(name), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		got := make(map[int32]int64)
		for len(got) < len(want) {
			fetches := c.PollFetches(ctx)
			for _, e := range fetches.Errors() {
				if !errors.Is(e.Err, kerr.OffsetOutOfRange) {
					t.Fatalf("read %v: %v", got, e.Err)
				}
			}
			fetches.EachRecord(func(r *kgo.Record) {
				if _, ok := got[r.Partition]; !ok {
					got[r.Partition] = r.Offset
				}
			})
		}
		if !maps.Equal(got, want) {
			t.Fatalf("the group goes on at %v, want %v", got, want)
		}
	}
}
