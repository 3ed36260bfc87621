//go:build linux

package crash

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// clientOf makes a client that finds an agent again quickly after it was away.
func clientOf(t testing.TB, addr string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(addr),
		kgo.MetadataMinAge(100 * time.Millisecond),
		kgo.RetryBackoffFn(func(int) time.Duration { return 100 * time.Millisecond }),
		kgo.RetryTimeout(time.Minute),
		kgo.RequestRetries(1000),
		kgo.DialTimeout(2 * time.Second),
		kgo.RequestTimeoutOverhead(5 * time.Second),
		kgo.AlwaysRetryEOF(), // an agent that is fenced while a client connects hangs up; it asks for no SASL
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseAllowingRebalance)
	return c
}

func adminOf(t testing.TB, addr string) *kadm.Client { return kadm.NewClient(clientOf(t, addr)) }

// createTopic makes a topic.
func createTopic(t testing.TB, addr, name string, partitions int32) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := adminOf(t, addr).CreateTopic(ctx, partitions, 1, nil, name); err != nil {
		t.Fatalf("create topic %s: %v", name, err)
	}
}

// readAll reads topics from their beginning to the end that they have now.
func readAll(t testing.TB, addr string, topics ...string) map[place]*kgo.Record {
	t.Helper()
	return readTo(t, addr, nil, topics...)
}

// landing is how long acked records may take to be below the end of their partition: those of acks=1 that were replayed
// from a WAL get there with the next slot, which an agent does not wait for before it serves.
const landing = 20 * time.Second

// readTo reads topics from their beginning to the end that they have, once that is at least the given one (by partition;
// the offset of a place is not looked at) or has not got there for long.
func readTo(t testing.TB, addr string, least map[place]int64, topics ...string) map[place]*kgo.Record {
	t.Helper()
	log := make(map[place]*kgo.Record)
	if len(topics) == 0 {
		return log
	}
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	admin := adminOf(t, addr)
	ends := endsOf(ctx, t, admin, topics)
	for began := time.Now(); short(ends, least) && time.Since(began) < landing; ends = endsOf(ctx, t, admin, topics) {
		time.Sleep(50 * time.Millisecond)
	}
	left := int64(0) // records below the ends that were not read yet
	for _, end := range ends {
		left += end
	}
	c := clientOf(t, addr, kgo.ConsumeTopics(topics...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(200*time.Millisecond))
	for left > 0 {
		fetches := c.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			t.Fatalf("read %d records, %d are missing: %v", len(log), left, err)
		}
		fetches.EachError(func(topic string, p int32, err error) { t.Fatalf("read %s/%d: %v", topic, p, err) })
		fetches.EachRecord(func(r *kgo.Record) {
			at := place{r.Topic, r.Partition, r.Offset}
			if log[at] != nil {
				t.Fatalf("%v was read twice", at)
			}
			log[at] = r
			if r.Offset < ends[place{topic: r.Topic, partition: r.Partition}] {
				left--
			}
		})
	}
	return log
}

// endsOf lists the ends of all partitions of topics.
func endsOf(ctx context.Context, t testing.TB, admin *kadm.Client, topics []string) map[place]int64 {
	t.Helper()
	listed, err := admin.ListEndOffsets(ctx, topics...)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		t.Fatalf("list end offsets: %v", err)
	}
	ends := make(map[place]int64)
	listed.Each(func(o kadm.ListedOffset) { ends[place{topic: o.Topic, partition: o.Partition}] = o.Offset })
	return ends
}

// short says whether an end is below the least that it may be.
func short(ends, least map[place]int64) bool {
	for p, offset := range least {
		if ends[p] < offset {
			return true
		}
	}
	return false
}
