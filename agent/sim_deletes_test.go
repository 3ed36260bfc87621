package agent

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/odradek/odradek/agent/api"
	"github.com/odradek/odradek/agent/ingest"
	"github.com/odradek/odradek/topic"
)

// simDeleter deletes the oldest records of every other partition, a part of them at a time.
type simDeleter struct {
	p *simPool
	r *rand.Rand
}

func (c *simDeleter) work(ctx context.Context) {
	for ctx.Err() == nil {
		rest(ctx, c.r, 3*time.Second)
		partition := int32(c.r.IntN(simPartitions/2)*2 + 1)
		s := c.p.state(c.r)
		if s == nil {
			continue
		}
		if a, ok := s.Owner(c.p.partition(partition)); ok {
			if x := c.p.with(a.Journal); x != nil {
				c.deletes(ctx, x, partition)
			}
		}
	}
}

// deletes asks an agent for a log start between the one that is known and the end that is.
func (c *simDeleter) deletes(ctx context.Context, x *simProcess, partition int32) {
	ctx, cancel := context.WithTimeout(ctx, simTimeout)
	defer cancel()
	known := c.p.book.end(partition)
	least, _ := c.p.book.starts(partition)
	to := least + topic.Offset(c.r.Int64N(int64(known-least)/3+1))
	c.p.book.deleting(partition, to)
	var told api.Raised
	if !x.ask(ctx, func(s *session) {
		told = (&apiStarts{s}).Raise(ctx, []api.LogStart{{Partition: c.p.partition(partition), Start: to}})[0]
	}) || c.r.Float64() < simLost {
		return
	}
	switch {
	case errors.Is(told.Err, ingest.ErrAhead):
		c.p.wrong("%s says that %d of partition %d lies above the high watermark, it was known to reach %d", x.name, to, partition, known)
	case told.Err == nil:
		c.p.book.begins(x, partition, max(least, to), told.Start)
		c.p.book.extra[simDeletions].Add(1)
	}
}

func (*simDeleter) settle(context.Context) bool { return true }

// deleting notes that somebody asks for a log start: from now on it may be that, whatever he is told.
func (b *simBook) deleting(partition int32, to topic.Offset) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.most[partition] = max(b.most[partition], to)
}

// starts gives what the log start of a partition is at least, and at most.
func (b *simBook) starts(partition int32) (least, most topic.Offset) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.least[partition], b.most[partition]
}

// begins judges an answer of an owner about a log start, asked for when it was least: it only rises, and never above what was
// asked for.
func (b *simBook) begins(x *simProcess, partition int32, least, start topic.Offset) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if start < least || start > b.most[partition] {
		b.p.wrong("%s says that partition %d begins at %d, it was known to begin at %d, and %d is the highest that was asked for",
			x.name, partition, start, least, b.most[partition])
	}
	b.least[partition] = max(b.least[partition], start)
}

// deleted says whether a record may be gone. The lock is held.
func (b *simBook) deleted(at spot) bool { return at.offset < b.least[at.partition] }
