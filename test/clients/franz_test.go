package clients

import (
	"context"
	"testing"
	"time"

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

// produceFranz sends records and gives them back as they were acked, in the order of sending.
func produceFranz(t testing.TB, addr, topic string, records []Record, opts ...kgo.Opt) []Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	client := franz(t, addr, append([]kgo.Opt{kgo.AllowAutoTopicCreation(), kgo.RecordPartitioner(kgo.ManualPartitioner())}, opts...)...)
	results := client.ProduceSync(ctx, toFranz(topic, records)...)
	if err := results.FirstErr(); err != nil {
		t.Fatalf("franz-go to %s: %v", topic, err)
	}
	acked := append([]Record(nil), records...)
	for _, result := range results {
		i := result.Record.Context.Value(placeKey{}).(int)
		acked[i].Offset, acked[i].Timestamp = result.Record.Offset, result.Record.Timestamp.UnixMilli()
	}
	return acked
}

// placeKey is where a record's context keeps its place in the order of sending.
type placeKey struct{}

func toFranz(topic string, records []Record) []*kgo.Record {
	var out []*kgo.Record
	for i, r := range records {
		record := &kgo.Record{
			Topic: topic, Partition: r.Partition, Key: r.Key, Value: r.Value, Timestamp: time.UnixMilli(r.Timestamp),
			Context: context.WithValue(context.Background(), placeKey{}, i),
		}
		for _, h := range r.Headers {
			record.Headers = append(record.Headers, kgo.RecordHeader{Key: h.Name, Value: h.Value})
		}
		out = append(out, record)
	}
	return out
}

// franzCodec is a codec as franz-go is told to use it.
type franzCodec struct {
	name   string
	option kgo.Opt
}

func franzCodecs() []franzCodec {
	return []franzCodec{
		{"none", kgo.ProducerBatchCompression(kgo.NoCompression())},
		{"gzip", kgo.ProducerBatchCompression(kgo.GzipCompression())},
		{"snappy", kgo.ProducerBatchCompression(kgo.SnappyCompression())},
		{"lz4", kgo.ProducerBatchCompression(kgo.Lz4Compression())},
		{"zstd", kgo.ProducerBatchCompression(kgo.ZstdCompression())},
	}
}
