package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const rounds = 3

// figureCPU: the same load on a bare agent and on ours, in turn, against the same kind of sink.
func figureCPU([]string) error {
	const mib = 2048
	fmt.Printf("cpu: 64 KiB batches compressed by their producer, 16 partitions, 32 connections, null bucket, %d MiB after 3072 MiB to warm up, medians of %d\n", mib, rounds)
	type row struct{ mibps, p50, user, system []float64 }
	rows := map[string]*row{"bare agent": {}, "odradek": {}}
	run := func(name string, open func(sink *process) (*process, error)) error {
		s, err := startSink()
		if err != nil {
			return err
		}
		defer s.stop()
		a, err := open(s)
		if err != nil {
			return err
		}
		defer a.stop()
		// The heap grows to its size first: what is measured is an agent that has run for a while.
		if err := self("load", "-addr", a.addr, "-mib", "3072").Run(); err != nil {
			return fmt.Errorf("warm up %s: %w", name, err)
		}
		u0, s0 := a.cpu()
		out, err := self("load", "-addr", a.addr, "-mib", strconv.Itoa(mib)).Output()
		if err != nil {
			return fmt.Errorf("load on %s: %w", name, err)
		}
		var mibps, p50, p99 float64
		fmt.Sscan(string(out), &mibps, &p50, &p99)
		u1, s1 := a.cpu()
		r := rows[name]
		gib := float64(mib) / 1024
		r.mibps, r.p50 = append(r.mibps, mibps), append(r.p50, p50)
		r.user, r.system = append(r.user, (u1-u0)/gib), append(r.system, (s1-s0)/gib)
		return nil
	}
	openOurs := func(s *process) (*process, error) {
		a, err := startAgent("--bucket", "s3://b/p?region=us-east-1&endpoint=http://"+s.addr)
		if err != nil {
			return nil, err
		}
		return a, createTopic(a.addr, "t", 16)
	}
	openBare := func(s *process) (*process, error) {
		addr := freeAddr()
		a, err := start(self("bare", "-addr", addr, "-sink", s.addr))
		if err != nil {
			return nil, err
		}
		a.addr = addr
		return a, reachable(addr)
	}
	for range rounds {
		if err := run("bare agent", openBare); err != nil {
			return err
		}
		if err := run("odradek", openOurs); err != nil {
			return err
		}
	}
	for _, name := range []string{"bare agent", "odradek"} {
		r := rows[name]
		fmt.Printf("  %-12s %6.0f MiB/s  p50 %6.1f ms  user %.2f + system %.2f = %.2f CPU s/GiB\n", name,
			median(r.mibps), median(r.p50), median(r.user), median(r.system), median(r.user)+median(r.system))
	}
	b, o := rows["bare agent"], rows["odradek"]
	fmt.Printf("  ratio %.2f (to reach: at most 2)\n", (median(o.user)+median(o.system))/(median(b.user)+median(b.system)))
	return nil
}

func createTopic(addr, name string, partitions int32) error {
	c, err := kgo.NewClient(kgo.SeedBrokers(addr))
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = kadm.NewClient(c).CreateTopic(context.Background(), partitions, 1, nil, name)
	return err
}

// figureLatency: one record at a time on an idle agent, beside a raw PUT of a small object to the same sink.
func figureLatency([]string) error {
	fmt.Println("latency: one produce request at a time, acks=all, bucket with 30 ms PUTs; a raw PUT beside it")
	s, err := startSink("-least", "30ms")
	if err != nil {
		return err
	}
	defer s.stop()
	a, err := startAgent("--bucket", "s3://b/p?region=us-east-1&endpoint=http://"+s.addr)
	if err != nil {
		return err
	}
	defer a.stop()
	c, err := kgo.NewClient(kgo.SeedBrokers(a.addr), kgo.AllowAutoTopicCreation(), kgo.ProducerLinger(0), kgo.DefaultProduceTopic("one"))
	if err != nil {
		return err
	}
	defer c.Close()
	var ours, raw []float64
	for i := range 60 {
		began := time.Now()
		if err := c.ProduceSync(context.Background(), kgo.StringRecord("value")).FirstErr(); err != nil {
			return err
		}
		ms := float64(time.Since(began).Microseconds()) / 1000
		began = time.Now()
		req, err := http.NewRequest(http.MethodPut, fmt.Sprintf("http://%s/b/raw-%d", s.addr, i), strings.NewReader(strings.Repeat("x", 400)))
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		resp.Body.Close()
		if i >= 10 { // the first find their way
			ours, raw = append(ours, ms), append(raw, float64(time.Since(began).Microseconds())/1000)
		}
		time.Sleep(300 * time.Millisecond)
	}
	fmt.Printf("  odradek p50 %.1f ms, raw PUT p50 %.1f ms, difference %.1f ms (to reach: at most 10)\n", median(ours), median(raw), median(ours)-median(raw))
	return nil
}

// figurePipeline: a lone idempotent producer with five requests of 1 MiB in flight, against PUTs of 30 to 115 ms. What
// latency allows: 5 MiB per mean PUT, as the sink measured them.
func figurePipeline([]string) error {
	const mib = 256
	fmt.Println("pipeline: one idempotent producer, 5 in flight x 1 MiB, PUTs of 30 to 115 ms")
	s, err := startSink("-least", "30ms", "-most", "115ms")
	if err != nil {
		return err
	}
	defer s.stop()
	a, err := startAgent("--bucket", "s3://b/p?region=us-east-1&endpoint=http://"+s.addr)
	if err != nil {
		return err
	}
	defer a.stop()
	if err := createTopic(a.addr, "p", 1); err != nil {
		return err
	}
	c, err := kgo.NewClient(kgo.SeedBrokers(a.addr), kgo.DefaultProduceTopic("p"), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.ProducerBatchMaxBytes(1<<20), kgo.MaxBufferedRecords(64), kgo.ProducerLinger(0))
	if err != nil {
		return err
	}
	defer c.Close()
	value := make([]byte, 1<<20-200)
	rand.NewChaCha8([32]byte{1}).Read(value)
	produce := func(n int) error {
		var wg sync.WaitGroup
		var mu sync.Mutex
		var first error
		for range n {
			wg.Add(1)
			c.Produce(context.Background(), &kgo.Record{Value: value}, func(_ *kgo.Record, err error) {
				defer wg.Done()
				mu.Lock()
				defer mu.Unlock()
				if first == nil {
					first = err
				}
			})
		}
		wg.Wait()
		return first
	}
	if err := produce(16); err != nil {
		return err
	}
	puts0, nanos0, err := s.counts()
	if err != nil {
		return err
	}
	began := time.Now()
	if err := produce(mib); err != nil {
		return err
	}
	got := mib / time.Since(began).Seconds()
	puts1, nanos1, err := s.counts()
	if err != nil {
		return err
	}
	mean := (nanos1 - nanos0) / (puts1 - puts0) / 1e9
	fmt.Printf("  %.1f MiB/s in %.0f PUTs of %.0f ms on average; 5 MiB per mean PUT is %.1f: %.2f of it (to reach: at least 0.8)\n",
		got, puts1-puts0, mean*1000, 5/mean, got*mean/5)
	return nil
}

// figureJSON: JSON lines sent uncompressed, and what they take in a directory bucket.
func figureJSON([]string) error {
	const lines = 40_000
	fmt.Printf("json: %d JSON lines of about 1 KiB sent uncompressed\n", lines)
	for _, codec := range []string{"s2", "zstd"} {
		a, err := startAgent("--compression", codec)
		if err != nil {
			return err
		}
		sent, err := sendJSON(a.addr, lines)
		if err == nil {
			var stored int64
			stored, err = treeBytes(filepath.Join(a.dir, "bucket"))
			fmt.Printf("  %-4s %.1f MiB sent, %.1f MiB in the bucket: %.2f (to reach: at most 0.55)\n", codec,
				float64(sent)/(1<<20), float64(stored)/(1<<20), float64(stored)/float64(sent))
		}
		a.stop()
		if err != nil {
			return err
		}
	}
	return nil
}

func sendJSON(addr string, lines int) (int64, error) {
	c, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.AllowAutoTopicCreation(), kgo.DefaultProduceTopic("json"),
		kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		return 0, err
	}
	defer c.Close()
	var sent int64
	var mu sync.Mutex
	var first error
	r := rand.New(rand.NewPCG(7, 7))
	for range lines {
		line := jsonLine(r)
		sent += int64(len(line))
		c.Produce(context.Background(), &kgo.Record{Value: line}, func(_ *kgo.Record, err error) {
			mu.Lock()
			defer mu.Unlock()
			if first == nil {
				first = err
			}
		})
	}
	if err := c.Flush(context.Background()); err != nil {
		return 0, err
	}
	return sent, first
}

// jsonLine makes a log event of about 600 to 1,000 bytes that mixes what repeats with what does not.
func jsonLine(r *rand.Rand) []byte {
	pick := func(s ...string) string { return s[r.IntN(len(s))] }
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"time":%d,"level":%q,"service":%q,"host":"ip-10-%d-%d-%d","trace":"%016x%016x","user":%d,"ms":%.3f,"path":"/v1/%s/%d","status":%d,"text":"`,
		time.Now().UnixMilli(), pick("INFO", "WARN", "ERROR", "DEBUG"), pick("orders", "carts", "search", "login", "billing", "stock"),
		r.IntN(8), r.IntN(255), r.IntN(255), r.Uint64(), r.Uint64(), r.IntN(1e7), r.ExpFloat64()*20,
		pick("orders", "carts", "items"), r.IntN(1e5), []int{200, 200, 200, 404, 500}[r.IntN(5)])
	for range 60 {
		b.WriteString(pick("request ", "done ", "by ", "worker ", "again ", "cache ", "missed ", "late ", "upstream ", "fine "))
		if r.IntN(4) == 0 {
			fmt.Fprintf(&b, "%x ", r.Uint32())
		}
	}
	b.WriteString(`"}`)
	return b.Bytes()
}

func treeBytes(dir string) (total int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			total += info.Size()
		}
		return err
	})
	return total, err
}

// figureStart: from the start of the process to the first acknowledged record on a new directory bucket, and memory.
func figureStart([]string) error {
	fmt.Printf("start: a new directory bucket, medians of %d\n", rounds)
	if _, err := binaryPath(); err != nil {
		return err
	}
	var ready, acked, rss []float64
	for range rounds {
		began := time.Now()
		a, err := startAgent()
		if err != nil {
			return err
		}
		ready = append(ready, time.Since(began).Seconds())
		c, err := kgo.NewClient(kgo.SeedBrokers(a.addr), kgo.AllowAutoTopicCreation(), kgo.DefaultProduceTopic("first"))
		if err == nil {
			err = c.ProduceSync(context.Background(), kgo.StringRecord("hello")).FirstErr()
			acked = append(acked, time.Since(began).Seconds())
			c.Close()
		}
		time.Sleep(2 * time.Second)
		rss = append(rss, a.rss())
		a.stop()
		if err != nil {
			return err
		}
	}
	fmt.Printf("  ready after %.3f s, first record acked after %.3f s (to reach: 1 s), RSS 2 s later %.0f MiB (to reach: 60 MiB)\n", median(ready), median(acked), median(rss))
	return nil
}
