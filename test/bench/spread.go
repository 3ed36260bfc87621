package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// figureSpread: the same load on one agent and on three, and the same bytes on ten partitions and on a thousand: MiB/s, and
// PUTs per GiB.
func figureSpread(args []string) error {
	f := newFleetFlags("spread", 10, 0)
	mib := f.set.Int("mib", 1024, "to send, each time")
	least := f.set.Duration("least", 30*time.Millisecond, "least time of a PUT")
	most := f.set.Duration("most", 115*time.Millisecond, "longest time of a PUT")
	rate := f.set.Int("rate", 0, "MiB/s to send; 0: as fast as it is acked, which on few cores tells what is left of them for the agents")
	runs := f.set.Int("runs", 3, "of each; medians are printed")
	many := f.set.Int("many", 1000, "partitions, to compare with few")
	f.set.Parse(args)
	few := f.partitions
	fmt.Printf("spread: %d MiB in records of 10 KiB from 8 idempotent producers, %d MiB/s (0: as fast as acked), PUTs of %v to %v, medians of %d\n", *mib, *rate, *least, *most, *runs)
	fmt.Printf("  %-32s %10s %14s %12s %12s\n", "", "MiB/s", "PUTs per GiB", "of them idle", "CPU s/GiB")
	type setup struct{ agents, partitions int }
	setups := []setup{{1, few}, {3, few}, {1, *many}, {3, *many}}
	got := make(map[setup][]spreadRun)
	for range *runs { // in turn, so that what else the machine does concerns all of them
		for _, c := range setups {
			f.partitions = c.partitions
			r, err := spreadOnce(f, c.agents, *mib, *rate, *least, *most)
			if err != nil {
				return err
			}
			got[c] = append(got[c], r)
		}
	}
	middle := func(c setup, of func(spreadRun) float64) float64 {
		var v []float64
		for _, r := range got[c] {
			v = append(v, of(r))
		}
		return median(v)
	}
	speed := func(r spreadRun) float64 { return r.rate }
	gib := float64(*mib) / 1024
	for _, c := range setups {
		fmt.Printf("  %-32s %10.1f %14.0f %12.0f %12.2f\n", fmt.Sprintf("%d agents, %d partitions", c.agents, c.partitions), middle(c, speed),
			middle(c, func(r spreadRun) float64 { return r.puts })/gib, middle(c, func(r spreadRun) float64 { return r.idle }), middle(c, func(r spreadRun) float64 { return r.cpu })/gib)
	}
	fmt.Printf("  three agents beside one: %.2f with %d partitions, %.2f with %d (to reach: at least 1)\n",
		middle(setups[1], speed)/middle(setups[0], speed), few, middle(setups[3], speed)/middle(setups[2], speed), *many)
	return nil
}

// spreadRun is one measurement.
type spreadRun struct {
	rate, puts, cpu float64
	idle            float64 // PUTs in as long a time without load, after it
}

func spreadOnce(f *fleetFlags, agents, mib, rate int, least, most time.Duration) (spreadRun, error) {
	s, err := startSink("-least", least.String(), "-most", most.String())
	if err != nil {
		return spreadRun{}, err
	}
	defer s.stop()
	f.store = "s3://b/p?region=us-east-1&endpoint=http://" + s.addr
	fl, err := startFleet(f, agents, "--compression", "none", "--memory", "1GiB", "--wal-size", "1GiB")
	if fl != nil {
		defer fl.close()
	}
	if err != nil {
		return spreadRun{}, err
	}
	if err := flow(fl, 64, 0); err != nil { // connections, producer ids
		return spreadRun{}, err
	}
	fl.sleep(2 * time.Second)
	var r spreadRun
	before, _, err := s.counts()
	used := fl.cpu()
	began := time.Now()
	if err = errors.Join(err, flow(fl, mib, rate)); err != nil {
		return r, err
	}
	took := time.Since(began)
	r.rate, r.cpu = float64(mib)/took.Seconds(), fl.cpu()-used
	after, _, err := s.counts()
	if err != nil {
		return r, err
	}
	r.puts = after - before
	fl.sleep(2 * time.Second)
	still, _, err := s.counts()
	fl.sleep(min(took, 10*time.Second))
	end, _, err2 := s.counts()
	r.idle = end - still
	return r, errors.Join(err, err2)
}

// flow sends so many MiB, evenly over all partitions, as fast as they are acked or so many a second.
func flow(fl *fleet, mib, rate int) error {
	const size, senders = 10 << 10, 8
	var left atomic.Int64
	left.Store(int64(mib) << 20 / size)
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	for s := range senders {
		c, err := fl.client(kgo.DefaultProduceTopic(benchTopic), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(5*time.Millisecond),
			kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.MaxBufferedRecords(2000))
		if err != nil {
			return err
		}
		defer c.Close()
		wg.Go(func() {
			random := rand.NewChaCha8([32]byte{byte(s)})
			value := make([]byte, size)
			random.Read(value)
			began := time.Now()
			for i := s; left.Add(-1) >= 0 && failed.Load() == nil; i++ {
				if rate > 0 {
					time.Sleep(time.Until(began.Add(time.Duration(i-s) * senders * size * time.Second / time.Duration(rate<<20))))
				}
				c.Produce(context.Background(), &kgo.Record{Partition: int32(i % fl.flags.partitions), Value: value}, func(_ *kgo.Record, err error) {
					if err != nil {
						failed.Store(&err)
					}
				})
			}
			if err := c.Flush(fl.ctx); err != nil {
				failed.Store(&err)
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

// cpu is what the agents have used so far, in seconds.
func (fl *fleet) cpu() float64 {
	sum := 0.0
	for _, a := range fl.agents {
		u, s := cpuOf(a.Pid())
		sum += u + s
	}
	return sum
}
