package hardening

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/test/harness"
)

const memory = 256 * mib

var withMemory = []string{"--memory", "256MiB"}

func noise(n int) []byte {
	b := make([]byte, n)
	var seed [32]byte
	binary.BigEndian.PutUint64(seed[:], rand.Uint64())
	rand.NewChaCha8(seed).Read(b)
	return b
}

// TestMemory_ProducersFasterThanTheBucket: clients are slowed down, nothing fails, nothing is lost.
func TestMemory_ProducersFasterThanTheBucket(t *testing.T) {
	bucket := slowBucket(t, 400*time.Millisecond)
	a := harness.Start(t, harness.Options{Bucket: bucket.URL("overload"), Env: bucket.Env(), Flags: withMemory})
	createTopic(t, a, "flood", 8)
	connections, each := 200, either(5, 20)
	records := noise(64 << 10)
	var wg sync.WaitGroup
	errs := make(chan error, connections)
	began := time.Now()
	for i := range connections {
		wg.Go(func() { errs <- flood(a, int32(i%8), i, each, records) })
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d MiB in %v", connections*each, time.Since(began).Round(time.Millisecond))
	bounded(t, a, memory)
	seen := make(map[string]bool)
	for r := range readTopic(t, a, "flood", 8, connections*each) {
		if seen[string(r.Key)] {
			t.Fatalf("record %s is there twice", r.Key)
		}
		seen[string(r.Key)] = true
	}
	if len(seen) != connections*each {
		t.Fatalf("%d records read, %d acked", len(seen), connections*each)
	}
	bounded(t, a, memory)
}

// flood sends n requests of 1 MiB on a connection, all in flight, and wants each acked.
func flood(a *harness.Agent, partition int32, id, n int, noise []byte) error {
	w, err := connect(a)
	if err != nil {
		return err
	}
	defer w.Close()
	sent := make(chan error, 1)
	go func() {
		for i := range n {
			value := bytes.Repeat(noise, mib/len(noise))
			batch := batchOf(recordbatch.Record{Key: fmt.Appendf(nil, "%d-%d", id, i), Value: value[:mib-200]})
			if _, err := w.Write(w.request(produceRequest("flood", partition, batch), int32(i))); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	for i := range n {
		b, err := w.answerWithin(3 * time.Minute)
		if err != nil {
			return fmt.Errorf("connection %d answer %d: %w", id, i, err)
		}
		resp, err := decode(produceRequest("", 0, nil), b)
		if err != nil {
			return err
		}
		if code := resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode; code != 0 {
			return fmt.Errorf("connection %d answer %d: code %d", id, i, code)
		}
	}
	return <-sent
}

// TestMemory_SlowReaders: a hundred clients ask for 50 MiB and take a trickle.
func TestMemory_SlowReaders(t *testing.T) {
	a := harness.Start(t, harness.Options{Flags: withMemory})
	fill(t, a, "archive", 4, either(400, 1000))
	b := stand(t, a)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 100 {
		w := dial(t, a)
		w.SetReadBuffer()
		req := fetchRequest("archive", int32(i%4), int64(i%80), 50*mib)
		for range 3 {
			if _, err := w.Write(w.request(req, int32(i))); err != nil {
				t.Fatal(err)
			}
		}
		wg.Go(func() { trickle(w, 1<<10, stop) })
	}
	time.Sleep(either(12*time.Second, time.Minute))
	bounded(t, a, memory)
	// Honest readers get their part beside them.
	began := time.Now()
	n := 0
	for range readTopic(t, a, "archive", 4, either(400, 1000)) {
		n++
	}
	t.Logf("%d MiB read beside them in %v", n, time.Since(began).Round(time.Millisecond))
	close(stop)
	b.content()
	bounded(t, a, memory)
	wg.Wait()
}

// TestMemory_IdleConnections says what a connection costs that says nothing.
func TestMemory_IdleConnections(t *testing.T) {
	a := harness.Start(t, harness.Options{Flags: withMemory})
	before, _ := resident(t, a)
	n := 1000
	for range n {
		ask[*kmsg.ApiVersionsResponse](t, dial(t, a), versionsRequest())
	}
	after, _ := resident(t, a)
	each := (after - before) / int64(n)
	t.Logf("%d bytes for each of %d idle connections", each, n)
	if each > 128<<10 {
		t.Errorf("an idle connection takes %d bytes, want at most 128 KiB", each)
	}
	bounded(t, a, memory)
}

// TestMemory_CatchUp: consumers that read a long log from its start do not need it in memory.
func TestMemory_CatchUp(t *testing.T) {
	a := harness.Start(t, harness.Options{Flags: withMemory})
	records := either(600, 2048)
	fill(t, a, "archive", 8, records)
	a.Restart()
	var wg sync.WaitGroup
	began := time.Now()
	for range 8 {
		wg.Go(func() {
			n := 0
			for range readTopic(t, a, "archive", 8, records) {
				n++
			}
			if n != records {
				t.Errorf("%d of %d records read", n, records)
			}
		})
	}
	wg.Wait()
	t.Logf("8 times %d MiB in %v; %.0f MiB read from the bucket in %.0f requests", records, time.Since(began).Round(time.Millisecond),
		a.Metric("odradek_objectstore_bytes_total", `kind="get_range"`)/mib, a.Metric("odradek_objectstore_requests_total", `kind="get_range"`))
	bounded(t, a, memory)
}

// fill produces so many records of 1 MiB.
func fill(t *testing.T, a *harness.Agent, topic string, partitions int32, records int) {
	t.Helper()
	createTopic(t, a, topic, partitions)
	c, err := kgo.NewClient(kgo.SeedBrokers(a.Addr), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.MaxBufferedRecords(32), kgo.ProducerBatchMaxBytes(mib))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	value := noise(mib - 1024)
	var first error
	var mu sync.Mutex
	for i := range records {
		c.Produce(t.Context(), &kgo.Record{Topic: topic, Partition: int32(i) % partitions, Key: fmt.Appendf(nil, "%d", i), Value: value},
			func(_ *kgo.Record, err error) {
				mu.Lock()
				defer mu.Unlock()
				if first == nil {
					first = err
				}
			})
	}
	if err := c.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if first != nil {
		t.Fatal(first)
	}
}
