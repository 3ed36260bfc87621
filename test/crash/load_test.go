//go:build linux

package crash

import (
	"context"
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// loadTopic is where producers write.
const loadTopic = "load"

// load is a number of producers at work.
type load struct {
	*ledger
	t       *testing.T
	stop    context.CancelFunc
	wg      sync.WaitGroup
	clients []*kgo.Client
}

// loadConfig says what producers do. The zero value means eight idempotent producers with acks=all.
type loadConfig struct {
	addr      string
	producers int
	first     int           // number of the first
	rate      time.Duration // one record each
	large     bool          // records of 64 KiB that do not compress
	opts      []kgo.Opt
	once      bool // a record whose answer is lost is given up: a producer without idempotence would store it twice
}

var codecs = []kgo.CompressionCodec{
	kgo.NoCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression(), kgo.GzipCompression(),
}

// startLoad starts producers. They write until the end of the test, or until finish or abandon is called.
func startLoad(t *testing.T, l *ledger, c loadConfig) *load {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	w := &load{ledger: l, t: t, stop: stop}
	t.Cleanup(func() {
		w.stop()
		for _, c := range w.clients {
			c.Close()
		}
		w.wg.Wait()
	})
	if c.producers == 0 {
		c.producers = 8
	}
	if c.rate == 0 {
		c.rate = 4 * time.Millisecond
	}
	for i := range c.producers {
		opts := []kgo.Opt{
			kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(codecs[i%len(codecs)]),
			kgo.MaxBufferedRecords(2000), kgo.ProducerLinger(0),
			kgo.ProducerOnDataLossDetected(func(topic string, p int32) { t.Errorf("producer %d met data loss in %s/%d", i, topic, p) }),
		}
		if c.once {
			opts = append(opts, kgo.DisableIdempotentWrite(), kgo.RecordRetries(0), kgo.MaxProduceRequestsInflightPerBroker(1))
		}
		client := clientOf(t, c.addr, append(opts, c.opts...)...)
		w.clients = append(w.clients, client)
		w.wg.Go(func() { w.produce(ctx, client, c.first+i, c) })
	}
	return w
}

// produce writes numbered records, a few at a time.
func (w *load) produce(ctx context.Context, client *kgo.Client, producer int, c loadConfig) {
	tick := time.NewTicker(5 * c.rate)
	defer tick.Stop()
	for n := 0; ; n++ {
		r := record(producer, n)
		if c.large {
			r.Value = noise(64 << 10)
		}
		w.send(r)
		client.Produce(context.Background(), r, w.promise) // it ends with an ack, or when the client is closed
		if n%5 != 4 {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// partitions of the load topic.
const partitions = 6

// record makes the n-th record of a producer, unlike any other.
func record(producer, n int) *kgo.Record {
	value := fmt.Sprintf(`{"producer":%d,"n":%d,"nonce":%q,"text":%q}`, producer, n, rand.Text(), strings.Repeat("odradek ", mathrand.IntN(60)))
	if n%97 == 96 { // now and then a large one that does not compress
		value = string(noise(64 << 10))
	}
	return &kgo.Record{
		Topic: loadTopic, Partition: int32((producer + n/5) % partitions),
		Key: fmt.Appendf(nil, "p%d-%d", producer, n), Value: []byte(value), Timestamp: time.UnixMilli(time.Now().UnixMilli()),
		Headers: []kgo.RecordHeader{{Key: "producer", Value: fmt.Append(nil, producer)}, {Key: "empty", Value: []byte{}}},
	}
}

// progress waits until n more records were acked.
func (w *load) progress(n int, limit time.Duration) {
	w.t.Helper()
	want := w.count() + n
	eventually(w.t, limit, func() error {
		if have := w.count(); have < want {
			return fmt.Errorf("%d records acked, want %d", have, want)
		}
		return nil
	})
}

// finish stops the producers once all that they sent was acked, and fails if anything was not.
func (w *load) finish(limit time.Duration) {
	w.t.Helper()
	w.stop()
	w.wg.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	for i, c := range w.clients {
		if err := c.Flush(ctx); err != nil {
			w.t.Fatalf("producer %d: %d records still wait for an ack after %v", i, c.BufferedProduceRecords(), limit)
		}
	}
	w.t.Logf("%d records acked", w.count())
	c := new(complaints)
	for _, err := range w.failures() {
		c.addf("producer was told: %v", err)
	}
	if len(c.lines) > 0 {
		w.t.Error(c)
	}
}

// abandon stops the producers and gives up what was not acked yet.
func (w *load) abandon() {
	w.stop()
	for _, c := range w.clients {
		c.Close()
	}
	w.wg.Wait()
}
