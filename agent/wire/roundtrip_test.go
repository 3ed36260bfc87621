package wire_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/semaphore"

	"github.com/odradek/odradek/agent/api"
	"github.com/odradek/odradek/agent/api/apitest"
	"github.com/odradek/odradek/agent/wire"
)

// broker is a server over fakes on a loopback port.
type broker struct {
	fake     *apitest.Fake
	addr     string
	memory   *semaphore.Weighted
	registry *prometheus.Registry
	stop     context.CancelFunc
	done     chan error
}

const memoryBytes = 256 << 20

func start(t *testing.T, change func(*wire.Config)) *broker {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	b := &broker{
		fake: apitest.New("127.0.0.1", int32(port)), addr: listener.Addr().String(),
		memory: semaphore.NewWeighted(memoryBytes), registry: prometheus.NewRegistry(), done: make(chan error, 1),
	}
	cfg := wire.DefaultConfig()
	if change != nil {
		change(&cfg)
	}
	log := slog.New(slog.DiscardHandler)
	server := wire.New(api.New(b.fake.Engines(), api.DefaultConfig(), log), b.memory, cfg, log, b.registry)
	ctx, stop := context.WithCancel(context.Background())
	b.stop = stop
	go func() { b.done <- server.Serve(ctx, listener) }()
	t.Cleanup(func() {
		stop()
		if err := <-b.done; err != nil {
			t.Errorf("serve: %v", err)
		}
		if !b.memory.TryAcquire(memoryBytes) {
			t.Error("frames were not released")
		}
		b.done <- nil
	})
	return b
}

func (b *broker) client(t *testing.T, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(b.addr), kgo.RetryTimeout(10 * time.Second)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestRoundTrip_FranzGoReadsWhatItWrote(t *testing.T) {
	b := start(t, nil)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	producer := b.client(t, kgo.AllowAutoTopicCreation(), kgo.DisableIdempotentWrite(), kgo.RequiredAcks(kgo.AllISRAcks()))
	const n = 1000
	for i := range n {
		producer.Produce(ctx, &kgo.Record{Topic: "events", Key: fmt.Appendf(nil, "k%d", i%50), Value: fmt.Appendf(nil, "v%d", i)},
			func(_ *kgo.Record, err error) {
				if err != nil {
					t.Errorf("produce: %v", err)
				}
			})
	}
	if err := producer.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	consumer := b.client(t, kgo.ConsumeTopics("events"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	lastOf := map[string]int{}
	for got := 0; got < n; {
		fetches := consumer.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			got++
			var i int
			fmt.Sscanf(string(r.Value), "v%d", &i)
			if last, ok := lastOf[string(r.Key)]; ok && last >= i {
				t.Errorf("key %s: value %d after %d", r.Key, i, last)
			}
			lastOf[string(r.Key)] = i
		})
	}
}

func TestRoundTrip_KadmAdministers(t *testing.T) {
	b := start(t, nil)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	admin := kadm.NewClient(b.client(t))
	created, err := admin.CreateTopic(ctx, 3, 3, map[string]*string{"retention.ms": kadm.StringPtr("9000")}, "orders")
	if err != nil || created.NumPartitions != 3 {
		t.Fatalf("created %+v, %v", created, err)
	}
	topics, err := admin.ListTopics(ctx)
	if err != nil || len(topics["orders"].Partitions) != 3 || topics["orders"].ID != created.ID {
		t.Errorf("topics %+v, %v", topics, err)
	}
	configs, err := admin.DescribeTopicConfigs(ctx, "orders")
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, c := range configs[0].Configs {
		found = found || c.Key == "retention.ms" && c.MaybeValue() == "9000"
	}
	if !found {
		t.Errorf("configs %+v", configs)
	}
	if _, err := admin.UpdatePartitions(ctx, 5, "orders"); err != nil {
		t.Error(err)
	}
	if ends, err := admin.ListEndOffsets(ctx, "orders"); err != nil || len(ends["orders"]) != 5 {
		t.Errorf("ends %v, %v", ends, err)
	}
	if _, err := admin.DeleteTopic(ctx, "orders"); err != nil {
		t.Error(err)
	}
	brokers, err := admin.BrokerMetadata(ctx)
	if err != nil || brokers.Cluster != apitest.ClusterID || len(brokers.Brokers) != 1 {
		t.Errorf("brokers %+v, %v", brokers, err)
	}
}

func TestRoundTrip_IdempotentProducerAndSession(t *testing.T) {
	b := start(t, nil)
	b.fake.AddTopic("events", 8, nil)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	consumer := b.client(t, kgo.ConsumeTopics("events"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(time.Second))
	producer := b.client(t)
	for round := range 5 { // the consumer's session outlives the rounds
		records := make([]*kgo.Record, 100)
		for i := range records {
			records[i] = &kgo.Record{Topic: "events", Key: fmt.Appendf(nil, "%d", i), Value: fmt.Appendf(nil, "%d/%d", round, i)}
		}
		if err := producer.ProduceSync(ctx, records...).FirstErr(); err != nil {
			t.Fatal(err)
		}
		for got := 0; got < len(records); {
			fetches := consumer.PollFetches(ctx)
			if err := fetches.Err(); err != nil {
				t.Fatal(err)
			}
			got += fetches.NumRecords()
		}
	}
}
