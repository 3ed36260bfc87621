package traffic

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/odradek/odradek/test/chaos/history"
)

// Target is an agent that is asked for itself.
type Target struct {
	Name string
	Addr string
	Zone string
	Life int
}

// Config says what traffic there is.
type Config struct {
	Log       *history.Log
	Seeds     []string
	Topics    map[string]int32          // that live as long as the run, with their partitions
	Fading    map[string]history.Fading // the same, of which the log starts rise
	Producers int                       // idempotent ones
	AcksOne   int                       // producers that do with acks=1
	Rate      int                       // records a second for each producer
	Consumers int                       // assigned ones; the second has the zone of the first target
	Groups    int                       // of two members each
	Admin     bool                      // creates and deletes topics meanwhile
	Targets   func() []Target           // agents that are up
}

// Traffic is the clients. Safe for concurrent use.
type Traffic struct {
	c   Config
	all map[string]int32 // topics that live as long as the run
	log *history.Log

	producing context.CancelFunc
	reading   context.CancelFunc
	producers sync.WaitGroup
	readers   sync.WaitGroup
	admin     sync.WaitGroup

	mu       sync.Mutex // guards all below
	pending  map[string]history.Event
	closed   bool // producers were given up
	watches  map[*Watch]bool
	latency  []time.Duration // of acks since Latencies was last called
	acked    int
	failed   int
	read     int
	groupPos map[string]map[history.Partition]int64 // where a group stands, as it was handed records
	position map[string]map[history.Partition]int64 // where an assigned consumer stands
	ends     map[history.Partition]int64            // newest that was told
	starts   map[history.Partition]int64            // highest that was told
	owners   map[history.Partition]string
	readBack map[history.Partition][]history.Record
	notes    []string // what went wrong without being a violation by itself
}

// New prepares traffic.
func New(c Config) *Traffic {
	return &Traffic{
		c: c, all: c.All(), log: c.Log, pending: make(map[string]history.Event), watches: make(map[*Watch]bool),
		groupPos: make(map[string]map[history.Partition]int64), position: make(map[string]map[history.Partition]int64),
		ends: make(map[history.Partition]int64), starts: make(map[history.Partition]int64), owners: make(map[history.Partition]string),
		readBack: make(map[history.Partition][]history.Record),
	}
}

// All gives the topics that live as long as the run, with their partitions.
func (c Config) All() map[string]int32 {
	out := make(map[string]int32)
	maps.Copy(out, c.Topics)
	for name, f := range c.Fading {
		out[name] = f.Partitions
	}
	return out
}

// Partitions are those of the topics that live as long as the run, in order.
func (t *Traffic) Partitions() []history.Partition {
	var out []history.Partition
	for _, name := range slices.Sorted(maps.Keys(t.all)) {
		for i := range t.all[name] {
			out = append(out, history.Partition{Topic: name, Index: i})
		}
	}
	return out
}

// Start creates the topics and starts the clients.
func (t *Traffic) Start(ctx context.Context) error {
	c, err := t.client("setup")
	if err != nil {
		return err
	}
	defer c.Close()
	for _, name := range slices.Sorted(maps.Keys(t.all)) {
		if err := createTopic(ctx, kadm.NewClient(c), name, t.all[name], t.c.Fading[name].Config()); err != nil {
			return fmt.Errorf("create topic %s: %w", name, err)
		}
	}
	producing, stop := context.WithCancel(ctx)
	reading, end := context.WithCancel(ctx)
	t.producing, t.reading = stop, end
	for i := range t.c.Producers {
		t.producers.Go(func() { t.produce(producing, fmt.Sprintf("p%d", i+1), -1) })
	}
	for i := range t.c.AcksOne {
		t.producers.Go(func() { t.produce(producing, fmt.Sprintf("q%d", i+1), 1) })
	}
	for i := range t.c.Consumers {
		rack := ""
		if targets := t.c.Targets(); i > 0 && len(targets) > 0 {
			rack = targets[(i-1)%len(targets)].Zone
		}
		t.readers.Go(func() { t.consume(reading, fmt.Sprintf("c%d", i+1), rack, t.c.Topics, kgo.NoResetOffset()) })
	}
	if len(t.c.Fading) > 0 {
		t.readers.Go(func() { t.consume(reading, "f1", "", t.fading(), kgo.NewOffset().AtStart()) })
		t.readers.Go(func() { t.probeStarts(reading) })
		t.admin.Go(func() { t.cut(producing) })
	}
	for i := range t.c.Groups {
		group := fmt.Sprintf("g%d", i+1)
		for m := range 2 {
			t.readers.Go(func() { t.member(reading, group, m) })
		}
	}
	if t.c.Admin {
		t.admin.Go(func() { t.administer(producing) })
	}
	t.readers.Go(func() { t.probeEnds(reading) })
	t.readers.Go(func() { t.probeCommitted(reading) })
	t.readers.Go(func() { t.probeLeaders(reading) })
	t.readers.Go(func() { t.probeAgents(reading) })
	return nil
}

// StopProducing ends producers and the admin, and waits until everything sent was answered or a limit is reached. It says
// how many records nobody was answered for.
func (t *Traffic) StopProducing(limit time.Duration) int {
	t.producing()
	t.admin.Wait()
	for deadline := time.Now().Add(limit); time.Now().Before(deadline) && t.Pending() > 0; {
		time.Sleep(20 * time.Millisecond)
	}
	t.mu.Lock()
	t.closed = true
	left := t.pending
	t.pending = make(map[string]history.Event)
	t.mu.Unlock()
	for _, e := range left {
		e.End, e.Outcome = history.Never, history.Unknown
		t.log.Add(e)
	}
	t.producers.Wait()
	return len(left)
}

// Drain waits until the assigned consumers and the groups were handed everything up to the ends.
func (t *Traffic) Drain(ctx context.Context, limit time.Duration) error {
	c, err := t.client("drain")
	if err != nil {
		return err
	}
	defer c.Close()
	ends, err := Ends(ctx, kadm.NewClient(c), t.c.Topics, limit)
	if err != nil {
		return err
	}
	deadline := time.Now().Add(limit)
	for {
		behind := t.behind(ends)
		if behind == "" {
			return nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return fmt.Errorf("after %v: %s", limit, behind)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// behind names somebody who has not read up to the ends.
func (t *Traffic) behind(ends map[history.Partition]int64) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	look := func(kind, name string, pos map[history.Partition]int64) string {
		for p, end := range ends {
			if pos[p] < end {
				return fmt.Sprintf("%s %s stands at %d of %s/%d, which ends at %d", kind, name, pos[p], p.Topic, p.Index, end)
			}
		}
		return ""
	}
	for i := range t.c.Consumers {
		name := fmt.Sprintf("c%d", i+1)
		if s := look("consumer", name, t.position[name]); s != "" {
			return s
		}
	}
	for i := range t.c.Groups {
		name := fmt.Sprintf("g%d", i+1)
		if s := look("group", name, t.groupPos[name]); s != "" {
			return s
		}
	}
	return ""
}

// Stop ends everything and waits for it.
func (t *Traffic) Stop() {
	t.producing()
	t.reading()
	t.producers.Wait()
	t.admin.Wait()
	t.readers.Wait()
}

// Pending is how many records are under way.
func (t *Traffic) Pending() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.pending)
}

// Counts gives how many records were acked, were not, and were handed to consumers.
func (t *Traffic) Counts() (acked, failed, read int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.acked, t.failed, t.read
}

// Latencies gives how long acks took since the last call.
func (t *Traffic) Latencies() []time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := t.latency
	t.latency = nil
	return out
}

// Lag is how many records a group has not been handed yet, by the newest ends that were told.
func (t *Traffic) Lag(group string) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	lag := int64(0)
	for p, end := range t.ends {
		if _, ok := t.c.Topics[p.Topic]; ok {
			lag += max(0, end-t.groupPos[group][p])
		}
	}
	return lag
}

// Owners gives the address of each partition's leader, as last told.
func (t *Traffic) Owners() map[history.Partition]string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.owners)
}

// ReadBack is what the admin read of topics before it deleted them.
func (t *Traffic) ReadBack() map[history.Partition][]history.Record {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.readBack)
}

// Notes are what went wrong at clients without being a violation by itself.
func (t *Traffic) Notes() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.notes)
}

func (t *Traffic) note(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.notes) < 1000 {
		t.notes = append(t.notes, fmt.Sprintf("%.1fs ", t.log.Now().Seconds())+fmt.Sprintf(format, args...))
	}
}

// client makes a client that finds the pool again quickly.
func (t *Traffic) client(name string, opts ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(t.c.Seeds...),
		kgo.ClientID(name),
		kgo.MetadataMinAge(100 * time.Millisecond),
		kgo.MetadataMaxAge(5 * time.Second),
		kgo.RetryBackoffFn(func(int) time.Duration { return 100 * time.Millisecond }),
		kgo.RetryTimeout(time.Minute),
		kgo.RequestRetries(1000),
		kgo.DialTimeout(2 * time.Second),
		kgo.RequestTimeoutOverhead(4 * time.Second),
		kgo.UnknownTopicRetries(-1),
	}, opts...)...)
}

// wait sleeps, and reports whether ctx still holds.
func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
