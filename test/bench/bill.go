package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	billTick  = 20 * time.Millisecond // between two bursts of records
	billNoise = 64 << 20              // random bytes that records are cut from, one after the other: nothing repeats within a segment
	month     = 730 * time.Hour
)

// figureBill: what the cost meter says of an even load of bytes that nothing can compress, one group reading as they come.
func figureBill(args []string) error {
	f := newFleetFlags("bill", 12, 0)
	agents := f.set.Int("agents", 1, "of the pool")
	rate := f.set.Float64("rate", 1, "MiB/s to send")
	size := f.set.Int("size", 1024, "bytes of a record")
	minutes := f.set.Float64("minutes", 11, "how long; some more than ten for a checkpoint")
	f.set.Parse(args)
	fl, err := startFleet(f, *agents, "--prices", "aws-standard", "--wal-size", "512MiB", "--memory", "1GiB")
	if fl != nil {
		defer fl.close()
	}
	if err != nil {
		return err
	}
	fmt.Printf("bill: %g MiB/s of random bytes in records of %d to %d partitions for %g minutes, %d agents, %s\n",
		*rate, *size, f.partitions, *minutes, *agents, f.store)
	before, err := fl.bill()
	if err != nil {
		return err
	}
	sent, read, err := fl.feed(*rate*(1<<20), *size, time.Duration(*minutes*float64(time.Minute)))
	if err != nil {
		return err
	}
	after, err := fl.bill()
	if err != nil {
		return err
	}
	gib := float64(sent) / (1 << 30)
	fmt.Printf("  sent %.2f GiB, the group read %.2f\n", gib, float64(read)/(1<<30))
	fmt.Printf("  %-32s %10s %12s\n", "requests", "all", "for each GiB")
	for _, line := range slices.Sorted(maps.Keys(after)) {
		if n := after[line] - before[line]; n > 0 && line != dollars {
			fmt.Printf("  %-32s %10.0f %12.1f\n", line, n, n/gib)
		}
	}
	each := (after[dollars] - before[dollars]) / gib
	fmt.Printf("  dollars for each GiB %.5f, a month of it %.0f\n", each, each*(*rate)/1024*month.Seconds())
	return nil
}

// dollars is the line of a bill that has all of them.
const dollars = "dollars"

var billed = regexp.MustCompile(`(?m)^odradek_meter_(requests|dollars)_total\{kind="(\w+)",reason="(\w+)"\} (\S+)$`)

// bill adds up what the agents' meters say: requests by reason and kind, and dollars.
func (fl *fleet) bill() (map[string]float64, error) {
	sum := make(map[string]float64)
	for _, a := range fl.running() {
		for _, m := range billed.FindAllStringSubmatch(a.Get("/metrics"), -1) {
			n, err := strconv.ParseFloat(m[4], 64)
			if err != nil {
				return nil, err
			}
			if m[1] == "dollars" {
				sum[dollars] += n
			} else {
				sum[m[3]+" "+strings.ReplaceAll(m[2], "_", " ")] += n
			}
		}
	}
	return sum, nil
}

// feed sends so many bytes a second and reads them, and gives the bytes that were acked and those that were read.
func (fl *fleet) feed(rate float64, size int, length time.Duration) (acked, read int64, err error) {
	noise := make([]byte, billNoise)
	rand.Read(noise)
	producer, err := fl.client(kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerLinger(20*time.Millisecond),
		kgo.MaxBufferedBytes(256<<20), kgo.MaxBufferedRecords(1<<20), kgo.DefaultProduceTopic(benchTopic))
	if err != nil {
		return 0, 0, err
	}
	defer producer.Close()
	reader, err := fl.client(kgo.ConsumeTopics(benchTopic), kgo.ConsumerGroup("bill"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return 0, 0, err
	}
	ctx, cancel := context.WithCancel(fl.ctx)
	done := make(chan int64)
	go func() {
		var n int64
		for ctx.Err() == nil {
			reader.PollFetches(ctx).EachRecord(func(r *kgo.Record) { n += int64(len(r.Value)) })
		}
		reader.Close()
		done <- n
	}()
	var got atomic.Int64
	var failed atomic.Pointer[error]
	at, sent, began := 0, 0.0, time.Now()
	for time.Since(began) < length && fl.ctx.Err() == nil && failed.Load() == nil {
		for due := rate * time.Since(began).Seconds(); sent < due; sent += float64(size) {
			if at+size > len(noise) {
				at = 0
			}
			producer.Produce(ctx, &kgo.Record{Value: noise[at : at+size]}, func(r *kgo.Record, err error) {
				if err != nil {
					failed.Store(&err)
					return
				}
				got.Add(int64(len(r.Value)))
			})
			at += size
		}
		time.Sleep(billTick)
	}
	err = producer.Flush(fl.ctx)
	time.Sleep(2 * time.Second) // until the group has read it, and commits
	cancel()
	n := <-done
	if why := failed.Load(); why != nil {
		err = *why
	}
	return got.Load(), n, err
}
