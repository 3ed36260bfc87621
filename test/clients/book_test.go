package clients

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// consumer is a member of a group.
type consumer interface {
	Terminate()
	Kill()
}

// book notes what was acked in a topic and which member of a group read and committed what. It is safe for concurrent
// use.
type book struct {
	topic, group string

	mu     sync.Mutex // guards all below
	sent   []Record
	read   map[consumer][]Record
	failed error
}

func newBook(topic, group string) *book {
	return &book{topic: topic, group: group, read: make(map[consumer][]Record)}
}

func (b *book) acked(r *kgo.Record, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		b.failed = errors.Join(b.failed, fmt.Errorf("produce: %w", err))
		return
	}
	b.sent = append(b.sent, fromFranz(r))
}

func (b *book) committed(by consumer, records ...Record) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.read[by] = append(b.read[by], records...)
}

// follow notes what a probe prints until it ends.
func (b *book) follow(p *Probe) {
	go func() {
		for text := range p.lines {
			var said struct {
				Record
				Done     bool
				Error    string
				Assigned []int
			}
			if err := json.Unmarshal(text, &said); err != nil || said.Error != "" {
				b.mu.Lock()
				b.failed = errors.Join(b.failed, fmt.Errorf("%s: %s", p.name, text))
				b.mu.Unlock()
				continue
			}
			if said.Assigned == nil && !said.Done {
				b.committed(p, said.Record)
			}
		}
	}()
}

// count is how many records a member read and committed.
func (b *book) count(by consumer) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.read[by])
}

// total is how many records all members read and committed.
func (b *book) total() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.all())
}

// complete reports whether as many were read and committed as were acked, or more.
func (b *book) complete() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.all()) >= len(b.sent)
}

func (b *book) failure() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failed
}

// String tells how far the book is, for a test that waited in vain.
func (b *book) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := fmt.Sprintf("%d acked, committed by the members:", len(b.sent))
	for _, records := range b.read {
		s += fmt.Sprintf(" %d", len(records))
	}
	if b.failed != nil {
		s += fmt.Sprintf("; failed: %v", b.failed)
	}
	return s
}

func (b *book) all() []Record {
	var all []Record
	for _, records := range b.read {
		all = append(all, records...)
	}
	return all
}

// check wants that everything acked was read and committed once, and in order by each member.
func (b *book) check() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if diff := difference(b.sent, b.all()); diff != "" {
		return fmt.Errorf("committed (+) is not what was acked (-), %d and %d records:\n%s", len(b.all()), len(b.sent), diff)
	}
	return nil
}

// franzMember starts members in this process.
type franzMember struct{ balancer kgo.GroupBalancer }

type franzConsumer struct {
	client *kgo.Client
	book   *book
	cancel context.CancelFunc
	done   chan struct{}

	mu          sync.Mutex // guards uncommitted
	uncommitted map[int32][]Record
}

func (m franzMember) join(t *testing.T, addr string, b *book) consumer {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	c := &franzConsumer{book: b, cancel: cancel, done: make(chan struct{}), uncommitted: make(map[int32][]Record)}
	drop := func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, p := range partitions[b.topic] {
			delete(c.uncommitted, p)
		}
	}
	c.client = franz(t, addr, kgo.ConsumerGroup(b.group), kgo.ConsumeTopics(b.topic), kgo.Balancers(m.balancer), kgo.DisableAutoCommit(),
		kgo.SessionTimeout(sessionTimeout), kgo.HeartbeatInterval(sessionTimeout/12), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.BlockRebalanceOnPoll(), kgo.OnPartitionsRevoked(drop), kgo.OnPartitionsLost(drop))
	go func() {
		defer close(c.done)
		for ctx.Err() == nil {
			c.poll(ctx)
		}
	}()
	t.Cleanup(func() { cancel(); <-c.done })
	return c
}

// poll reads and commits, and lets rebalances happen only between the two polls.
func (c *franzConsumer) poll(ctx context.Context) {
	fetches := c.client.PollRecords(ctx, 100)
	defer c.client.AllowRebalance()
	c.mu.Lock()
	fetches.EachRecord(func(r *kgo.Record) { c.uncommitted[r.Partition] = append(c.uncommitted[r.Partition], fromFranz(r)) })
	offsets := map[int32]kgo.EpochOffset{}
	for p, records := range c.uncommitted {
		offsets[p] = kgo.EpochOffset{Epoch: -1, Offset: records[len(records)-1].Offset + 1}
	}
	c.mu.Unlock()
	if len(offsets) > 0 {
		c.commit(offsets)
	}
}

func (c *franzConsumer) Terminate() {
	c.cancel()
	<-c.done
	c.client.CloseAllowingRebalance()
}

// Kill leaves the group in good order too: this process must live on.
func (c *franzConsumer) Kill() { c.Terminate() }

// commit commits offsets and notes the records of the partitions where that came through.
func (c *franzConsumer) commit(offsets map[int32]kgo.EpochOffset) {
	c.client.CommitOffsetsSync(context.Background(), map[string]map[int32]kgo.EpochOffset{c.book.topic: offsets},
		func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, response *kmsg.OffsetCommitResponse, err error) {
			if err != nil {
				return
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			for _, p := range response.Topics[0].Partitions {
				switch kerr.ErrorForCode(p.ErrorCode) {
				case nil:
					c.book.committed(c, c.uncommitted[p.Partition]...)
					delete(c.uncommitted, p.Partition)
				case kerr.RebalanceInProgress: // a later commit covers them
				default:
					delete(c.uncommitted, p.Partition)
				}
			}
		})
}
