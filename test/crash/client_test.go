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
	log := make(map[place]*kgo.Record)
	if len(topics) == 0 {
		return log
	}
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	ends, err := adminOf(t, addr).ListEndOffsets(ctx, topics...)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		t.Fatalf("list end offsets: %v", err)
	}
	want := 0
	ends.Each(func(o kadm.ListedOffset) { want += int(o.Offset) })
	c := clientOf(t, addr, kgo.ConsumeTopics(topics...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(200*time.Millisecond))
	for len(log) < want {
		fetches := c.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			t.Fatalf("read %d of %d records: %v", len(log), want, err)
		}
		fetches.EachError(func(topic string, p int32, err error) { t.Fatalf("read %s/%d: %v", topic, p, err) })
		fetches.EachRecord(func(r *kgo.Record) {
			at := place{r.Topic, r.Partition, r.Offset}
			if log[at] != nil {
				t.Fatalf("%v was read twice", at)
			}
			log[at] = r
		})
	}
	return log
}
