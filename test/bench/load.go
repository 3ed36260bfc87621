package main

import (
	"bufio"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// load sends the same produce request over several connections, one at a time on each, and prints
// MiB/s, p50 ms and p99 ms.
func load(args []string) error {
	fs := flag.NewFlagSet("load", flag.ExitOnError)
	addr := fs.String("addr", "", "agent")
	conns := fs.Int("conns", 32, "connections")
	parts := fs.Int("parts", 16, "partitions in a request")
	batch := fs.Int("batch", 64<<10, "bytes of a batch")
	mib := fs.Int("mib", 1024, "to send")
	fs.Parse(args)
	frame := produceFrame(*parts, *batch)
	total := int64(*mib<<20) / int64(*parts**batch)
	var left atomic.Int64
	left.Store(total)
	var mu sync.Mutex
	var times []time.Duration
	var firstErr error
	var wg sync.WaitGroup
	began := time.Now()
	for range *conns {
		wg.Go(func() {
			t, err := sendAll(*addr, frame, &left)
			mu.Lock()
			defer mu.Unlock()
			times = append(times, t...)
			if firstErr == nil {
				firstErr = err
			}
		})
	}
	wg.Wait()
	if firstErr != nil {
		return firstErr
	}
	elapsed := time.Since(began).Seconds()
	slices.Sort(times)
	ms := func(q float64) float64 { return float64(times[int(q*float64(len(times)-1))].Microseconds()) / 1000 }
	fmt.Printf("%.0f %.1f %.1f\n", float64(total)*float64(*parts**batch)/(1<<20)/elapsed, ms(0.5), ms(0.99))
	return nil
}

func sendAll(addr string, frame []byte, left *atomic.Int64) ([]time.Duration, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	r := bufio.NewReader(c)
	var times []time.Duration
	for left.Add(-1) >= 0 {
		began := time.Now()
		if _, err := c.Write(frame); err != nil {
			return nil, err
		}
		if err := readAcks(r); err != nil {
			return nil, err
		}
		times = append(times, time.Since(began))
	}
	return times, nil
}

// readAcks reads one produce response and fails unless every partition was acked.
func readAcks(r io.Reader) error {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	body := make([]byte, int(binary.BigEndian.Uint32(head[:]))-4)
	if _, err := io.ReadFull(r, body); err != nil {
		return err
	}
	resp := kmsg.ProduceResponse{Version: produceV}
	if err := resp.ReadFrom(body); err != nil {
		return err
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if p.ErrorCode != 0 {
				return fmt.Errorf("%s/%d: error code %d", t.Topic, p.Partition, p.ErrorCode)
			}
		}
	}
	return nil
}

// produceFrame is a whole frame that produces one batch to each partition of topic t. Records say they are
// compressed by their producer (zstd) and are bytes that nothing can compress.
func produceFrame(parts, size int) []byte {
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = produceV, -1, 30_000
	t := kmsg.NewProduceRequestTopic()
	t.Topic = "t"
	random := rand.NewChaCha8([32]byte{7})
	for i := range parts {
		b := make([]byte, size)
		random.Read(b[61:])
		binary.BigEndian.PutUint32(b[8:], uint32(size-12))
		b[16] = 2
		binary.BigEndian.PutUint16(b[21:], 4) // zstd
		binary.BigEndian.PutUint32(b[23:], 63)
		now := uint64(time.Now().UnixMilli())
		binary.BigEndian.PutUint64(b[27:], now)
		binary.BigEndian.PutUint64(b[35:], now)
		for j := 43; j < 57; j++ {
			b[j] = 0xff // no producer id, epoch, sequence
		}
		binary.BigEndian.PutUint32(b[57:], 64)
		binary.BigEndian.PutUint32(b[17:], checksum(b[21:]))
		p := kmsg.NewProduceRequestTopicPartition()
		p.Partition, p.Records = int32(i), b
		t.Partitions = append(t.Partitions, p)
	}
	req.Topics = append(req.Topics, t)
	f := []byte{0, 0, 0, 0, 0, 0, 0, produceV, 0, 0, 0, 1, 0, 1, 'c'}
	f = req.AppendTo(f)
	binary.BigEndian.PutUint32(f, uint32(len(f)-4))
	return f
}
