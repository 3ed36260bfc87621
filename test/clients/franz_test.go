package clients

import (
	"context"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// franz makes a franz-go client that goes with the test.
func franz(t testing.TB, addr string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(addr)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseAllowingRebalance)
	return client
}

// createTopic makes a topic with settings.
func createTopic(t testing.TB, addr, name string, partitions int32, configs map[string]*string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := kadm.NewClient(franz(t, addr)).CreateTopic(ctx, partitions, 1, configs, name); err != nil {
		t.Fatalf("create topic %s: %v", name, err)
	}
}

// fromFranz is a record of franz-go as all libraries see it.
func fromFranz(r *kgo.Record) Record {
	record := Record{Partition: r.Partition, Offset: r.Offset, Timestamp: r.Timestamp.UnixMilli(), Key: r.Key, Value: r.Value}
	for _, h := range r.Headers {
		record.Headers = append(record.Headers, Header{h.Key, h.Value})
	}
	return record
}

// readAll reads a topic to the end that it has now, and gives for each record the codec of its batch too.
func readAll(t testing.TB, addr, topic string) (records []Record, codecs []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ends, err := kadm.NewClient(franz(t, addr)).ListEndOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		t.Fatalf("end of %s: %v", topic, err)
	}
	missing := 0
	ends.Each(func(o kadm.ListedOffset) { missing += int(o.Offset) })
	client := franz(t, addr, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	for len(records) < missing {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("read %s: %d of %d records: %v", topic, len(records), missing, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			records = append(records, fromFranz(r))
			codecs = append(codecs, allCodecs[r.Attrs.CompressionType()])
		})
	}
	return records, codecs
}
