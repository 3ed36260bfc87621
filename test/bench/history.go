package main

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/odradek/odradek/test/harness"
)

const (
	historyTopic  = "t" // that produceFrame writes to
	historyBatch  = 200 // bytes of one partition's batch
	calmTime      = 10 * time.Minute
	calmLooks     = 8  // 2 s apart, without anything new; compaction looks every 5 s
	slotsOfChecks = 64 // fewer slots than this may stay above the newest checkpoint
)

// figureHistory: how long a start takes, and a Redis that is filled again, behind so many extents in
// slots; and how much longer behind ten times the slots when they are compacted.
func figureHistory(args []string) error {
	f := newFleetFlags("history", 1000, 0)
	slots := f.set.Int("slots", 1000, "slots, each with an extent of every partition, that stay as they are: the index has as many entries as their extents")
	compacted := f.set.Int("compacted", 200, "slots that are compacted, and then ten times as many")
	times := f.set.Int("rounds", 5, "starts of the agent and of an empty Redis, for each")
	f.set.Parse(args)
	fmt.Printf("history: one agent, slots with extents of %d partitions each, medians of %d, %s\n", f.partitions, *times, f.store)
	fmt.Printf("  %-38s %10s %10s %12s %10s %10s %15s\n", "", "ready s", "CPU s", "first ack s", "era s", "CPU s", "slots, numbers*")
	defer fmt.Println("  * above the newest checkpoint, in the end")
	whole, err := openHistory(f, "--compaction-interval", "168h", "--compaction-size", "4GiB", "--compaction-slots", "4096")
	if err == nil {
		_, err = whole.measure(*slots, *times, "in slots")
	}
	whole.close()
	if err != nil || *compacted == 0 {
		return err
	}
	h, err := openHistory(f, "--compaction-interval", "1s", "--compaction-slots", "64")
	defer h.close()
	if err != nil {
		return err
	}
	h.compacts = true
	once, err := h.measure(*compacted, *times, "compacted")
	if err != nil {
		return err
	}
	tenfold, err := h.measure(9**compacted, *times, "compacted, ten times as many")
	if err != nil {
		return err
	}
	fmt.Printf("  ten times the slots: a start takes %.2f of the time and %.2f of the CPU, an era %.2f and %.2f (to reach: at most 1.1)\n",
		tenfold.ready/once.ready, tenfold.readyCPU/once.readyCPU, tenfold.era/once.era, tenfold.eraCPU/once.eraCPU)
	return nil
}

// history is one agent with a Redis, and what it has behind it.
type history struct {
	fl       *fleet
	agent    *harness.Agent
	slots    int
	compacts bool
	jobs     int // of compaction that were done when it was looked last
}

// openHistory starts an agent that makes checkpoints soon. What it gives is to be closed in any case.
func openHistory(f *fleetFlags, flags ...string) (*history, error) {
	fl, err := startFleet(f, 1, append([]string{"--checkpoint-slots", "64", "--flush-interval", "5ms", "--gc-grace", "10s"}, flags...)...)
	h := &history{fl: fl}
	if err != nil {
		return h, err
	}
	h.agent = fl.agents[0]
	return h, createTopic(h.agent.Addr, historyTopic, int32(f.partitions))
}

func (h *history) close() {
	if h.fl != nil {
		h.fl.close()
	}
}

// write makes so many slots more, with batches of so many bytes, and waits until checkpoints hold them, and all are
// compacted if they are to be.
func (h *history) write(slots, batch int) error {
	var left atomic.Int64
	left.Store(int64(slots))
	if _, err := sendAll(h.agent.Addr, produceFrame(h.fl.flags.partitions, batch), &left); err != nil {
		return err
	}
	h.slots += slots
	calm := 0
	for began := time.Now(); calm < calmLooks; h.fl.sleep(2 * time.Second) {
		if calm++; h.agent.Metric("odradek_checkpoint_slots_since") >= slotsOfChecks || h.compacts && h.busy() {
			calm = 0
		}
		if h.fl.ctx.Err() != nil || time.Since(began) > calmTime {
			return errors.New("checkpoints do not keep up")
		}
	}
	return nil
}

// busy says whether jobs of compaction were done since it was asked last.
func (h *history) busy() bool {
	now := int(h.agent.Metric("odradek_compaction_jobs_total"))
	was := h.jobs
	h.jobs = now
	return now != was
}

// behind is what was measured behind a history: seconds, medians.
type behind struct{ ready, readyCPU, acked, era, eraCPU float64 }

func (h *history) measure(slots, times int, what string) (behind, error) {
	if err := h.write(slots, historyBatch); err != nil {
		return behind{}, err
	}
	var ready, readyCPU, acked, era, eraCPU []float64
	for range times {
		if _, status := h.agent.Terminate(); status != 0 {
			return behind{}, fmt.Errorf("agent ended with status %d\n%s", status, h.agent.Tail())
		}
		began := time.Now()
		h.agent.Restart()
		ready, readyCPU = append(ready, time.Since(began).Seconds()), append(readyCPU, h.cpu())
		if err := h.ack(); err != nil {
			return behind{}, err
		}
		acked = append(acked, time.Since(began).Seconds())
		took, cpu, err := h.empty()
		if err != nil {
			return behind{}, err
		}
		era, eraCPU = append(era, took), append(eraCPU, cpu)
	}
	b := behind{median(ready), median(readyCPU), median(acked), median(era), median(eraCPU)}
	fmt.Printf("  %-38s %10.2f %10.2f %12.2f %10.2f %10.2f %8.0f, %5.0f\n", fmt.Sprintf("%d slots %s", h.slots, what), b.ready, b.readyCPU, b.acked, b.era, b.eraCPU,
		h.agent.Metric("odradek_checkpoint_slots_since"), h.agent.Metric("odradek_checkpoint_control_since"))
	return b, nil
}

// ack has one record acked.
func (h *history) ack() error {
	c, err := h.fl.client(kgo.DefaultProduceTopic(benchTopic))
	if err != nil {
		return err
	}
	defer c.Close()
	return c.ProduceSync(h.fl.ctx, kgo.StringRecord("x")).FirstErr()
}

// empty has Redis start anew, with nothing in it, and waits until the next era is open. It gives the seconds that the agent
// took to build it, and those of its CPU from the start of Redis on.
func (h *history) empty() (took, cpu float64, err error) {
	eras, used, began := h.fl.eras(), h.cpu(), time.Now()
	h.fl.redis.Restart() // it keeps nothing on disk, and has another identity: no pause between eras (R1)
	for h.fl.eras() == eras {
		if h.fl.ctx.Err() != nil || time.Since(began) > stuckAfter {
			return 0, 0, fmt.Errorf("no era is open after %v", time.Since(began))
		}
		h.fl.sleep(10 * time.Millisecond)
	}
	log := h.agent.Log()
	_, last, _ := strings.Cut(log[strings.LastIndex(log, `msg="era open"`):], "took=")
	text, _, _ := strings.Cut(last, "\n")
	built, err := time.ParseDuration(text)
	return built.Seconds(), h.cpu() - used, err
}

// cpu is what the agent's process has used so far, in seconds.
func (h *history) cpu() float64 {
	u, s := cpuOf(h.agent.Pid())
	return u + s
}

// figureRetained: the memory that Redis needs for what agents hold, when it is compacted: by the number of partitions in
// each slot, and by bytes. What is newer than the checkpoint before the last one has an entry for each slot there, and is
// told apart: it does not grow with what is retained.
func figureRetained(args []string) error {
	f := newFleetFlags("retained", 0, 0)
	mib := f.set.Int("mib", 128, "to send, and then as much again")
	counts := f.set.String("counts", "1,100,1000", "numbers of partitions")
	f.set.Parse(args)
	fmt.Printf("retained: one agent, %d MiB in slots of about 1 MiB and as much again, compacted\n", *mib)
	fmt.Printf("  %10s %26s %26s %24s %24s\n", "partitions", "KiB beside entries, once", "twice", "more for each GiB, KiB", "bytes of entry an extent")
	var failed error
	for text := range strings.SplitSeq(*counts, ",") {
		if _, err := fmt.Sscan(text, &f.partitions); err != nil {
			return err
		}
		if err := retainedBy(f, *mib); err != nil {
			failed = errors.Join(failed, fmt.Errorf("%d partitions: %w", f.partitions, err))
		}
	}
	return failed
}

const mostRetained = 64.0 // KiB that Redis may need for each GiB that is compacted

func retainedBy(f *fleetFlags, mib int) error {
	h, err := openHistory(f, "--compaction-interval", "1s", "--compaction-slots", "64", "--compression", "none")
	defer h.close()
	if err != nil {
		return err
	}
	h.compacts = true
	var held [2]holding
	for i := range held {
		if err := h.write(mib, 1<<20/f.partitions); err != nil {
			return err
		}
		if held[i], err = h.redisHolds(); err != nil {
			return err
		}
	}
	once, twice := held[0], held[1]
	more := float64(twice.others-once.others) / 1024 / (float64(mib) / 1024)
	fmt.Printf("  %10d %26.1f %26.1f %24.1f %24.1f\n", f.partitions, float64(once.others)/1024, float64(twice.others)/1024, more,
		float64(twice.logs)/float64(max(1, twice.entries))/float64(f.partitions))
	if more > mostRetained {
		return fmt.Errorf("%.1f KiB for each GiB", more)
	}
	return nil
}

// holding is what the keys in Redis take, in bytes.
type holding struct {
	logs, entries int64 // those of entries of slots, and how many there are
	others        int64
}

func (h *history) redisHolds() (all holding, err error) {
	c := redis.NewClient(&redis.Options{Addr: h.fl.redis.Addr})
	defer c.Close()
	keys := c.Scan(h.fl.ctx, 0, "*", 1000).Iterator()
	for keys.Next(h.fl.ctx) {
		n, err := c.MemoryUsage(h.fl.ctx, keys.Val(), 0).Result()
		if err != nil {
			return all, err
		}
		if !strings.Contains(keys.Val(), ":log:") {
			all.others += n
			continue
		}
		entries, err := c.LLen(h.fl.ctx, keys.Val()).Result()
		if err != nil {
			return all, err
		}
		all.logs, all.entries = all.logs+n, all.entries+entries
	}
	return all, keys.Err()
}
