package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/bucket"
	"github.com/odradek/odradek/test/harness"
)

const (
	steadyValue = 4 << 10                // bytes of a record that retention drops
	steadyTick  = 100 * time.Millisecond // between two bursts of records
	keyedTopic  = "keys"
	keyedKeys   = 5000 // of the compacted topic
	keyedEvery  = 10   // records of the other topic for each of this
	keyedParts  = 6
	keyedValue  = 200
	readerGroup = "steady-readers"
)

// steadyKinds are the places in the bucket that are told apart, by their prefixes.
var steadyKinds = []string{"journal", "compacted", "checkpoint", "control", "ledger"}

// figureSteady: an even load with retention, on agents whose checkpoints, compaction and deletion are quicker than by
// default: what the bucket and Redis hold must not grow once as much goes as comes.
func figureSteady(args []string) error {
	f := newFleetFlags("steady", 30, 0)
	minutes := f.set.Int("minutes", 60, "how long; the first third is left out of the verdict")
	rate := f.set.Float64("rate", 1.5, "MiB/s to send")
	retention := f.set.Duration("retention", 5*time.Minute, "retention.ms")
	flat := f.set.Float64("flat", 0.1, "the most that something may grow by within the last two thirds, as a part of its mean")
	f.set.Parse(args)
	fl, err := startFleet(f, 3, "--checkpoint-interval", "30s", "--compaction-interval", "30s", "--compaction-size", "16MiB", "--gc-grace", "30s",
		"--set", "log.retention.check.interval.ms=15000", "--set", "offsets.topic.num.partitions=6")
	if fl != nil {
		defer fl.close()
	}
	if err != nil {
		return err
	}
	s := &steady{fl: fl, rate: *rate, lastOf: make([]uint64, keyedKeys)}
	if err := s.open(*retention); err != nil {
		return err
	}
	defer s.close()
	fmt.Printf("steady: %d minutes, %.1f MiB/s of random bytes on %d partitions with retention.ms of %v, a record to a compacted topic for each %d, a group of two that commits; 3 agents, %s\n",
		*minutes, *rate, f.partitions, *retention, keyedEvery, f.store)
	fmt.Printf("  %6s %9s %9s |", "minute", "sent MiB", "kept MiB")
	for _, k := range steadyKinds {
		fmt.Printf(" %18s |", k)
	}
	fmt.Printf(" %10s %10s %8s\n", "Redis KiB", "index KiB", "RSS MiB")
	for m := 1; m <= *minutes && fl.ctx.Err() == nil; m++ {
		fl.sleep(time.Until(s.began.Add(time.Duration(m) * time.Minute)))
		if err := s.look(m); err != nil {
			return fmt.Errorf("minute %d: %w", m, err)
		}
	}
	return s.verdict(*flat)
}

// steady is the figure under way.
type steady struct {
	fl     *fleet
	rate   float64 // MiB/s
	store  objectstore.Store
	redis  *redis.Client
	client *kgo.Client // the producer
	admin  *kadm.Client
	group  []*kgo.Client
	cancel context.CancelFunc
	wg     sync.WaitGroup
	began  time.Time
	rows   []steadyRow

	mu     sync.Mutex // guards all below
	sent   int64      // bytes that were acked
	failed error
	lastOf []uint64 // by key: the newest number that was acked
	next   map[int32]int64
	read   int64
	holes  int64 // offsets that the group was not given
	pairs  int64 // offsets that it was given twice
}

// steadyRow is what was there at the end of a minute.
type steadyRow struct {
	bytes, objects map[string]int64 // by kind
	redis, index   int64            // bytes: of all, and of the data
	rss            float64          // MiB, of all agents
}

func (s *steady) open(retention time.Duration) error {
	fl := s.fl
	for _, e := range fl.options.Env { // for the store that is opened here
		name, value, _ := strings.Cut(e, "=")
		os.Setenv(name, value)
	}
	var err error
	if s.store, _, err = bucket.OpenToRead(fl.ctx, fl.options.Bucket); err != nil {
		return err
	}
	s.redis = redis.NewClient(&redis.Options{Addr: fl.redis.Addr})
	if s.client, err = fl.client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerLinger(50*time.Millisecond)); err != nil {
		return err
	}
	s.admin = kadm.NewClient(s.client)
	ms := fmt.Sprint(retention.Milliseconds())
	altered, err := s.admin.AlterTopicConfigs(fl.ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: &ms}}, benchTopic)
	if err != nil {
		return err
	}
	if _, err := altered.On(benchTopic, nil); err != nil {
		return err
	}
	policy := "compact"
	if _, err := s.admin.CreateTopic(fl.ctx, keyedParts, 1, map[string]*string{"cleanup.policy": &policy}, keyedTopic); err != nil {
		return err
	}
	s.next = make(map[int32]int64)
	ctx, cancel := context.WithCancel(fl.ctx)
	s.cancel = cancel
	for range 2 {
		c, err := fl.client(kgo.ConsumeTopics(benchTopic), kgo.ConsumerGroup(readerGroup), kgo.AutoCommitInterval(time.Second), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		if err != nil {
			return err
		}
		s.group = append(s.group, c)
		s.wg.Go(func() { s.follow(ctx, c) })
	}
	s.began = time.Now()
	s.wg.Go(func() { s.produce(ctx) })
	return nil
}

func (s *steady) close() {
	s.cancel()
	s.wg.Wait()
	for _, c := range append(s.group, s.client) {
		c.Close()
	}
	s.redis.Close()
}

// produce sends evenly, until the context ends.
func (s *steady) produce(ctx context.Context) {
	random := rand.New(rand.NewPCG(7, 7))
	bytes := rand.NewChaCha8([32]byte{7})
	tick := time.NewTicker(steadyTick)
	defer tick.Stop()
	var given, number uint64
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		due := uint64(time.Since(s.began).Seconds() * s.rate * (1 << 20) / steadyValue)
		for ; given < due && ctx.Err() == nil; given++ {
			value := make([]byte, steadyValue)
			bytes.Read(value)
			s.client.Produce(ctx, &kgo.Record{Topic: benchTopic, Partition: int32(given) % int32(s.fl.flags.partitions), Value: value}, s.acked)
			if given%keyedEvery == 0 {
				number++
				s.sendKey(ctx, random.IntN(keyedKeys), number, bytes)
			}
		}
	}
}

func (s *steady) acked(r *kgo.Record, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && !errors.Is(err, context.Canceled) {
		s.failed = errOr(s.failed, err)
		return
	}
	s.sent += int64(len(r.Value))
}

// sendKey gives a key another number.
func (s *steady) sendKey(ctx context.Context, key int, number uint64, bytes *rand.ChaCha8) {
	value := make([]byte, keyedValue)
	bytes.Read(value)
	binary.BigEndian.PutUint64(value, number)
	r := &kgo.Record{Topic: keyedTopic, Partition: int32(key % keyedParts), Key: fmt.Appendf(nil, "key-%d", key), Value: value}
	s.client.Produce(ctx, r, func(r *kgo.Record, err error) {
		s.acked(r, err)
		s.mu.Lock()
		defer s.mu.Unlock()
		if err == nil {
			s.lastOf[key] = max(s.lastOf[key], number)
		}
	})
}

// follow reads as a member of the group: it must be given every offset, as it is never further behind than retention.
func (s *steady) follow(ctx context.Context, c *kgo.Client) {
	for ctx.Err() == nil {
		fetches := c.PollFetches(ctx)
		s.mu.Lock()
		fetches.EachRecord(func(r *kgo.Record) {
			switch next := s.next[r.Partition]; {
			case r.Offset > next:
				s.holes += r.Offset - next
			case r.Offset < next:
				s.pairs++
			}
			s.next[r.Partition] = max(s.next[r.Partition], r.Offset+1)
			s.read++
		})
		s.mu.Unlock()
	}
}

// look prints a row.
func (s *steady) look(minute int) error {
	ctx, cancel := context.WithTimeout(s.fl.ctx, time.Minute)
	defer cancel()
	row := steadyRow{bytes: make(map[string]int64), objects: make(map[string]int64)}
	for _, kind := range steadyKinds {
		if err := s.store.List(ctx, kind+"/", func(o objectstore.Info) error {
			row.bytes[kind] += o.Size
			row.objects[kind]++
			return nil
		}); err != nil {
			return err
		}
	}
	memory, err := redisMemory(ctx, s.redis)
	if err != nil {
		return err
	}
	row.redis, row.index = memory["used_memory"], memory["used_memory_dataset"]
	for _, a := range s.fl.agents {
		row.rss += residentMiB(a.Pid())
	}
	starts, err := s.admin.ListStartOffsets(ctx, benchTopic)
	if err != nil {
		return err
	}
	ends, err := s.admin.ListEndOffsets(ctx, benchTopic)
	if err != nil {
		return err
	}
	kept := int64(0)
	ends.Each(func(e kadm.ListedOffset) {
		if start, ok := starts.Lookup(e.Topic, e.Partition); ok {
			kept += e.Offset - start.Offset
		}
	})
	s.rows = append(s.rows, row)
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Printf("  %6d %9.0f %9.0f |", minute, float64(s.sent)/(1<<20), float64(kept)*steadyValue/(1<<20))
	for _, k := range steadyKinds {
		fmt.Printf(" %7.1f MiB %6d |", float64(row.bytes[k])/(1<<20), row.objects[k])
	}
	fmt.Printf(" %10d %10d %8.0f\n", row.redis>>10, row.index>>10, row.rss)
	return errOr(s.failed, s.fl.ctx.Err())
}

// verdict says what grew, and whether everything that must be there is.
func (s *steady) verdict(flat float64) error {
	late := s.rows[len(s.rows)/3:]
	var failed error
	fmt.Printf("  the last %d minutes: mean, and what was added in that time by the line of least squares, as a part of the mean\n", len(late))
	judge := func(name string, unit float64, of func(steadyRow) int64) {
		mean, grown := growth(late, of)
		fmt.Printf("  %-34s %12.1f %+8.1f %%\n", name, mean/unit, 100*grown/mean)
		if grown > flat*mean {
			failed = errors.Join(failed, fmt.Errorf("%s grew by %.1f %%", name, 100*grown/mean))
		}
	}
	// Control records stay for a week and ledgers for a month by rule, longer than any such run: told, not judged.
	judged := []string{"journal", "compacted", "checkpoint"}
	sum := func(of func(steadyRow) map[string]int64) func(steadyRow) int64 {
		return func(r steadyRow) (n int64) {
			for _, k := range judged {
				n += of(r)[k]
			}
			return n
		}
	}
	judge("bucket, MiB", 1<<20, sum(func(r steadyRow) map[string]int64 { return r.bytes }))
	judge("bucket, objects", 1, sum(func(r steadyRow) map[string]int64 { return r.objects }))
	judge("Redis, used_memory, KiB", 1<<10, func(r steadyRow) int64 { return r.redis })
	judge("Redis, used_memory_dataset, KiB", 1<<10, func(r steadyRow) int64 { return r.index })
	for _, k := range []string{"control", "ledger"} {
		_, n := growth(late, func(r steadyRow) int64 { return r.objects[k] })
		_, b := growth(late, func(r steadyRow) int64 { return r.bytes[k] })
		fmt.Printf("  %s: %.1f objects and %.1f KiB a minute\n", k, n/float64(max(1, len(late)-1)), b/float64(max(1, len(late)-1))/1024)
	}
	s.cancel()
	s.wg.Wait()
	if err := s.client.Flush(s.fl.ctx); err != nil {
		return err
	}
	wrong, err := s.wrongKeys()
	failed = errors.Join(failed, err)
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Printf("  group: %d records, %d offsets left out, %d given twice; keys whose newest value is not the one acked last: %d of %d\n", s.read, s.holes, s.pairs, wrong, keyedKeys)
	if s.read == 0 || s.holes > 0 || wrong > 0 {
		failed = errors.Join(failed, errUnclean)
	}
	for _, a := range s.fl.agents {
		a.Terminate()
	}
	out, status := harness.Run(s.fl.t, s.fl.options.Env, "verify", "--bucket", s.fl.options.Bucket)
	fmt.Printf("  odradek verify: status %d\n", status)
	if status != 0 {
		failed = errors.Join(failed, fmt.Errorf("verify: %s", out))
	}
	return failed
}

// growth gives the mean of some rows, and by how much the line of least squares rises from the first to the last.
func growth(rows []steadyRow, of func(steadyRow) int64) (mean, grown float64) {
	n := float64(len(rows))
	for _, r := range rows {
		mean += float64(of(r)) / n
	}
	var up, across float64
	for i, r := range rows {
		x := float64(i) - (n-1)/2
		up += x * (float64(of(r)) - mean)
		across += x * x
	}
	if across == 0 {
		return mean, 0
	}
	return mean, up / across * (n - 1)
}

// wrongKeys reads the compacted topic and counts the keys whose newest record is not the newest one that was acked.
func (s *steady) wrongKeys() (wrong int, err error) {
	c, err := s.fl.client(kgo.ConsumeTopics(keyedTopic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return 0, err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(s.fl.ctx, readTime)
	defer cancel()
	ends, err := s.admin.ListEndOffsets(ctx, keyedTopic)
	if err != nil {
		return 0, err
	}
	found := make([]uint64, keyedKeys)
	next := make([]int64, keyedParts)
	done := func() bool {
		for p, n := range next {
			if end, ok := ends.Lookup(keyedTopic, int32(p)); !ok || n < end.Offset {
				return false
			}
		}
		return true
	}
	for !done() {
		fetches := c.PollFetches(ctx)
		if ctx.Err() != nil {
			return 0, fmt.Errorf("read %s: %w", keyedTopic, context.Cause(ctx))
		}
		fetches.EachRecord(func(r *kgo.Record) {
			var key int
			fmt.Sscanf(string(r.Key), "key-%d", &key)
			found[key] = max(found[key], binary.BigEndian.Uint64(r.Value))
			next[r.Partition] = r.Offset + 1
		})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, number := range s.lastOf {
		if found[key] < number {
			wrong++
		}
	}
	return wrong, nil
}

// redisMemory is what INFO memory says in numbers.
func redisMemory(ctx context.Context, c *redis.Client) (map[string]int64, error) {
	text, err := c.Info(ctx, "memory").Result()
	if err != nil {
		return nil, err
	}
	out := make(map[string]int64)
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		var n int64
		if _, err := fmt.Sscanf(value, "%d", &n); err == nil {
			out[name] = n
		}
	}
	return out, nil
}
