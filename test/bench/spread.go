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
	runs := f.set.Int("runs", 3, "of each; medians are printed")
	many := f.set.Int("many", 1000, "partitions, to compare with few")
	f.set.Parse(args)
	few := f.partitions
	fmt.Printf("spread: %d MiB in records of 10 KiB from 8 idempotent producers, PUTs of %v to %v, medians of %d\n", *mib, *least, *most, *runs)
	fmt.Printf("  %-32s %10s %14s %12s %12s\n", "", "MiB/s", "PUTs per GiB", "of them idle", "CPU s/GiB")
	speed := make(map[string]float64)
	for _, c := range []struct{ agents, partitions int }{{1, few}, {3, few}, {1, *many}, {3, *many}} {
		var rate, puts, idle, cpu []float64
		f.partitions = c.partitions
		for range *runs {
			r, err := spreadOnce(f, c.agents, *mib, *least, *most)
			if err != nil {
				return err
			}
			gib := float64(*mib) / 1024
			rate, puts, idle, cpu = append(rate, r.rate), append(puts, r.puts/gib), append(idle, r.idle), append(cpu, r.cpu/gib)
		}
		name := fmt.Sprintf("%d agents, %d partitions", c.agents, c.partitions)
		speed[fmt.Sprint(c.agents, c.partitions)] = median(rate)
		fmt.Printf("  %-32s %10.1f %14.0f %12.0f %12.2f\n", name, median(rate), median(puts), median(idle), median(cpu))
	}
	fmt.Printf("  three agents beside one: %.2f with %d partitions, %.2f with %d (to reach: at least 1)\n",
		speed[fmt.Sprint(3, few)]/speed[fmt.Sprint(1, few)], few, speed[fmt.Sprint(3, *many)]/speed[fmt.Sprint(1, *many)], *many)
	return nil
}

// spreadRun is one measurement.
type spreadRun struct {
	rate, puts, cpu float64
	idle            float64 // PUTs in as long a time without load, after it
}

func spreadOnce(f *fleetFlags, agents, mib int, least, most time.Duration) (spreadRun, error) {
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
	if err := flow(fl, 64); err != nil { // connections, producer ids
		return spreadRun{}, err
	}
	fl.sleep(2 * time.Second)
	var r spreadRun
	before, _, err := s.counts()
	used := fl.cpu()
	began := time.Now()
	if err = errors.Join(err, flow(fl, mib)); err != nil {
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

// flow sends so many MiB, evenly over all partitions, as fast as they are acked.
func flow(fl *fleet, mib int) error {
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
			for i := s; left.Add(-1) >= 0 && failed.Load() == nil; i++ {
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
