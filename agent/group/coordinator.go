package group

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
	"unicode/utf16"

	"github.com/odradek/odradek/topic"
)

// Record is a record of the offsets topic; a nil Value deletes.
type Record struct {
	Key, Value []byte
}

// Batch is what is appended to one partition of the offsets topic. It becomes one record batch.
type Batch struct {
	Partition   int32
	Epoch       topic.Epoch // of the assignment that the group was loaded under: appended under this one or not at all
	TimeMs      int64       // of all its records
	Records     []Record
	OffsetsOnly bool // committed offsets and nothing else: it may wait up to 1 s for company (T2)
}

// Log is the offsets topic of the agent, as the caller keeps it. All methods are safe for concurrent use.
type Log interface {
	// Append admits a batch, in the order of the calls for a partition, and takes it over. It blocks only for memory.
	// The wait returns the batch's first offset when it counts. Its error means that the batch does not count; then the
	// coordinator waits for all it has appended, throws away what it knows and reads the partition again.
	// The slices in it are never changed.
	Append(ctx context.Context, b Batch) (wait func(context.Context) (topic.Offset, error))
	// Read calls fn with every record in [from, end) that counts, in order, and returns the end: that of all batches whose
	// wait has returned, and of all that earlier owners wrote. The slices are only
	// lent to fn; a nil value is a tombstone. An error of fn ends it and is returned.
	Read(ctx context.Context, partition int32, from topic.Offset,
		fn func(o topic.Offset, key, value []byte) error) (next topic.Offset, err error)
	// Proof proves that this agent owned its partitions at a moment after asked (O1).
	Proof(ctx context.Context, asked time.Time) error
}

// Copies are kept of what the log says, for others to read; when a partition is loaded they may tell a part of it. All
// methods but Load return at once. Each partition's calls come one after the other.
type Copies interface {
	// Load begins the copies of a partition and gives what the log says below from: the newest record of each key, no
	// tombstones. from is 0 when there are none to rely on.
	Load(ctx context.Context, partition int32) (from topic.Offset, records []Record)
	// Restart is for copies that the log disagreed with: every record of it comes again.
	Restart(partition int32)
	// Apply takes in records at [base, base+len(records)) that count. It keeps them and does not change them.
	Apply(partition int32, base topic.Offset, records []Record)
	// Loaded says that everything below end was applied.
	Loaded(partition int32, end topic.Offset)
	// Unload ends the copies of a partition.
	Unload(partition int32)
}

// Coordinator coordinates the groups of those partitions of the offsets topic that this agent owns.
//
// Each loaded partition has one goroutine that owns its machine; all calls for its groups go through its queue and
// are served in the order in which they were admitted. Safe for concurrent use.
type Coordinator struct {
	cfg    Config
	log    Log
	copies Copies
	slog   *slog.Logger

	mu     sync.RWMutex // guards what follows; never held across a wait
	shards map[int32]*shard
	closed bool
}

// New makes a coordinator that has loaded nothing. The settings must be valid. A nil copies keeps none.
func New(log Log, copies Copies, cfg Config, logger *slog.Logger) *Coordinator {
	if copies == nil {
		copies = noCopies{}
	}
	return &Coordinator{cfg: cfg, log: log, copies: copies, slog: logger, shards: map[int32]*shard{}}
}

// Run waits for ctx to end, then unloads every partition and returns when their goroutines are over.
func (c *Coordinator) Run(ctx context.Context) error {
	<-ctx.Done()
	c.mu.Lock()
	c.closed = true
	var owned []int32
	for p := range c.shards {
		owned = append(owned, p)
	}
	c.mu.Unlock()
	for _, p := range owned {
		c.Unload(p)
	}
	return nil
}

// PartitionFor names the partition of the offsets topic that a group belongs to, as Kafka does: by Java's hash code of
// the group id, over UTF-16 code units.
func (c *Coordinator) PartitionFor(group string) int32 { return PartitionFor(group, c.partitions()) }

// partitions counts those of the offsets topic.
func (c *Coordinator) partitions() int32 {
	if c.cfg.Count != nil {
		if n := c.cfg.Count(); n > 0 {
			return n
		}
	}
	return c.cfg.Partitions
}

// PartitionFor is Coordinator.PartitionFor for an offsets topic of n partitions.
func PartitionFor(group string, n int32) int32 {
	var h int32
	for _, unit := range utf16.Encode([]rune(group)) {
		h = 31*h + int32(unit)
	}
	if h == -1<<31 {
		return 0
	}
	return max(h, -h) % n
}

// Load makes this agent the coordinator of a partition's groups: it starts the partition's goroutine and returns when
// the log is read. Groups go on with the members they had. On an error nothing is loaded. A partition that is loaded
// under an older epoch is unloaded first.
func (c *Coordinator) Load(ctx context.Context, partition int32, epoch topic.Epoch) error {
	if n := c.partitions(); partition < 0 || partition >= n {
		return fmt.Errorf("load groups of partition %d: the offsets topic has %d", partition, n)
	}
	c.Unload(partition)
	s := newShard(c, partition, epoch)
	c.mu.Lock()
	switch {
	case c.closed:
		c.mu.Unlock()
		return fmt.Errorf("load groups of partition %d: %w", partition, ErrNotCoordinator)
	case c.shards[partition] != nil:
		c.mu.Unlock()
		return fmt.Errorf("load groups of partition %d: another load is under way", partition)
	}
	c.shards[partition] = s
	c.mu.Unlock()

	go s.run()
	var err error
	select {
	case err = <-s.loaded:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		c.unload(partition, s)
		return fmt.Errorf("load groups of partition %d: %w", partition, err)
	}
	return nil
}

// Unload ends this agent's coordination of a partition's groups. Everything known of them is thrown away; those who
// wait get ErrNotCoordinator. It returns when the partition's goroutine is over, at once when nothing is loaded.
func (c *Coordinator) Unload(partition int32) {
	c.mu.RLock()
	s := c.shards[partition]
	c.mu.RUnlock()
	if s != nil {
		c.unload(partition, s)
	}
}

func (c *Coordinator) unload(partition int32, s *shard) {
	c.mu.Lock()
	if c.shards[partition] == s {
		delete(c.shards, partition)
	}
	c.mu.Unlock()
	s.cancel()
	<-s.done
}

// find gives the life that serves a group now.
func (c *Coordinator) find(group string) (*life, error) {
	c.mu.RLock()
	s := c.shards[c.PartitionFor(group)]
	c.mu.RUnlock()
	if s == nil {
		return nil, ErrNotCoordinator
	}
	l := s.life.Load()
	if l == nil {
		return nil, ErrLoadInProgress
	}
	return l, nil
}

// owned lists the loaded and loading partitions.
func (c *Coordinator) owned() []*shard {
	c.mu.RLock()
	defer c.mu.RUnlock()
	out := make([]*shard, 0, len(c.shards))
	for _, s := range c.shards {
		out = append(out, s)
	}
	return out
}

// notCoordinator says why an answer cannot be given, in the words of the client's error.
func notCoordinator(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrNotCoordinator) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrNotCoordinator, err)
}
