package hardening

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/odradek/odradek/test/harness"
)

// bystander is an honest producer with a consumer that reads along while a test does its worst.
type bystander struct {
	t     *testing.T
	topic string
	stop  context.CancelFunc
	done  sync.WaitGroup

	mu    sync.Mutex // guards all below
	acked []*kgo.Record
	read  []*kgo.Record
	err   error
	worst time.Duration // from a record to its ack
}

// stand starts a bystander. content decides later whether it noticed anything.
func stand(t *testing.T, a *harness.Agent) *bystander {
	t.Helper()
	b := &bystander{t: t, topic: "bystander"}
	var ctx context.Context
	ctx, b.stop = context.WithCancel(context.Background())
	producer, err := kgo.NewClient(kgo.SeedBrokers(a.Addr), kgo.AllowAutoTopicCreation(), kgo.DefaultProduceTopic(b.topic),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))
	if err != nil {
		t.Fatal(err)
	}
	if err := producer.ProduceSync(ctx, b.record(0)).FirstErr(); err != nil {
		t.Fatalf("bystander: %v", err)
	}
	consumer, err := kgo.NewClient(kgo.SeedBrokers(a.Addr), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
		b.topic: {0: kgo.NewOffset().At(1)},
	}))
	if err != nil {
		t.Fatal(err)
	}
	b.done.Go(func() { b.produce(ctx, producer) })
	b.done.Go(func() { b.consume(ctx, consumer) })
	t.Cleanup(func() {
		b.stop()
		b.done.Wait()
		producer.Close()
		consumer.Close()
	})
	return b
}

func (b *bystander) record(n int) *kgo.Record {
	return &kgo.Record{Key: fmt.Appendf(nil, "%d", n), Value: bytes.Repeat([]byte{byte(n)}, n%2000)}
}

func (b *bystander) produce(ctx context.Context, c *kgo.Client) {
	for n := 1; ctx.Err() == nil; n++ {
		began := time.Now()
		r, err := c.ProduceSync(context.Background(), b.record(n)).First()
		b.mu.Lock()
		b.worst = max(b.worst, time.Since(began))
		if err != nil {
			b.err = fmt.Errorf("record %d: %w", n, err)
			b.mu.Unlock()
			return
		}
		b.acked = append(b.acked, r)
		b.mu.Unlock()
		time.Sleep(5 * time.Millisecond)
	}
}

func (b *bystander) consume(ctx context.Context, c *kgo.Client) {
	for ctx.Err() == nil {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil && ctx.Err() == nil {
			b.mu.Lock()
			b.err = fmt.Errorf("consume: %w", err)
			b.mu.Unlock()
			return
		}
		b.mu.Lock()
		b.read = append(b.read, fetches.Records()...)
		b.mu.Unlock()
	}
}

// content waits until the consumer has read all that was acked so far, and compares.
func (b *bystander) content() {
	b.t.Helper()
	b.mu.Lock()
	want := len(b.acked)
	b.mu.Unlock()
	eventually(b.t, time.Minute, func() error {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.err == nil && len(b.read) < want {
			return fmt.Errorf("%d of %d records read", len(b.read), want)
		}
		return nil
	})
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		b.t.Fatalf("bystander: %v", b.err)
	}
	for i := range min(len(b.acked), len(b.read)) {
		got, want := b.read[i], b.acked[i]
		if got.Offset != want.Offset || !bytes.Equal(got.Key, want.Key) || !bytes.Equal(got.Value, want.Value) {
			b.t.Fatalf("bystander read %s at %d, acked %s at %d", got.Key, got.Offset, want.Key, want.Offset)
		}
	}
	b.t.Logf("bystander: %d records, slowest ack %v", len(b.acked), b.worst.Round(time.Millisecond))
}
