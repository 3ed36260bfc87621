package agent

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/odradek/odradek/agent/api"
	"github.com/odradek/odradek/agent/fetch"
	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/topic"
)

const (
	simAging      = "aging" // a topic whose records are dropped by age
	simAgingParts = 2
	simAge        = 4 * time.Second // its retention.ms
)

// simAger writes records to the topic whose records age, asks where it begins, and reads it. It does one thing after the other,
// so that what it was told orders all that follows.
type simAger struct {
	p     *simPool
	r     *rand.Rand
	made  int
	parts [simAgingParts]simAgingPart
}

// simAgingPart is what is known of a partition.
type simAgingPart struct {
	acked map[topic.Offset]simDated
	start topic.Offset // it begins there at least
	end   topic.Offset // it ends there at least
}

// simDated is a record that was acked, and its timestamp.
type simDated struct {
	value string
	at    time.Time
}

func newAger(p *simPool) *simAger {
	c := &simAger{p: p, r: p.draws("ager")}
	for i := range c.parts {
		c.parts[i].acked = make(map[topic.Offset]simDated)
	}
	return c
}

func (c *simAger) work(ctx context.Context) {
	for ctx.Err() == nil {
		rest(ctx, c.r, 900*time.Millisecond)
		i := int32(c.r.IntN(simAgingParts))
		x := c.owner(i)
		if x == nil {
			continue
		}
		switch c.r.IntN(4) {
		case 0, 1:
			c.write(ctx, x, i)
		case 2:
			c.look(ctx, x, i)
		default:
			if xs := c.p.serving(); len(xs) > 0 && c.r.IntN(2) == 0 {
				x = xs[c.r.IntN(len(xs))]
			}
			c.read(ctx, x, i)
		}
	}
}

func (c *simAger) of(i int32) topic.Partition { return topic.Partition{Topic: c.p.aging, Index: i} }

// owner finds the process that owns a partition, as some agent says.
func (c *simAger) owner(i int32) *simProcess {
	s := c.p.state(c.r)
	if s == nil {
		return nil
	}
	a, ok := s.Owner(c.of(i))
	if !ok {
		return nil
	}
	return c.p.with(a.Journal)
}

func (c *simAger) write(ctx context.Context, x *simProcess, i int32) {
	ctx, cancel := context.WithTimeout(ctx, simTimeout)
	defer cancel()
	c.made++
	at := time.Now().Truncate(time.Millisecond)
	v := fmt.Sprintf("aging %d", c.made)
	batch := recordbatch.Build(recordbatch.Draft{Records: []recordbatch.Record{{Timestamp: at.UnixMilli(), Value: []byte(v)}}})
	var done api.Appended
	err := errNoAnswer
	if x.ask(ctx, func(s *session) {
		done, err = (&apiLog{s}).Append(ctx, -1, []api.PartitionBatch{{Partition: c.of(i), Records: batch}})[0].Wait(ctx)
	}) && err == nil {
		part := &c.parts[i]
		if was, ok := part.acked[done.Base]; ok {
			c.p.wrong("%d of partition %d of %s was acked for %q and for %q", done.Base, i, simAging, was.value, v)
		}
		part.acked[done.Base] = simDated{v, at}
		part.end = max(part.end, done.Base+1)
	}
}

// look asks the owner where a partition begins, and says whether he answers.
func (c *simAger) look(ctx context.Context, x *simProcess, i int32) bool {
	ctx, cancel := context.WithTimeout(ctx, simTimeout)
	defer cancel()
	var found []api.OffsetFound
	if !x.ask(ctx, func(s *session) {
		found = (&apiOffsets{s}).Lookup(ctx, []api.OffsetQuery{{Partition: c.of(i), Kind: api.OffsetEarliest}})
	}) || found[0].Err != nil {
		return false
	}
	if start := c.parts[i].start; found[0].Offset < start {
		c.p.wrong("%s says that partition %d of %s begins at %d, it was known to begin at %d", x.name, i, simAging, found[0].Offset, start)
	}
	c.begins(x, i, found[0].Offset)
	return true
}

// begins judges where a partition is said to begin: no record below is younger than simAge.
func (c *simAger) begins(x *simProcess, i int32, start topic.Offset) {
	part := &c.parts[i]
	for o, v := range part.acked {
		if age := time.Since(v.at); o < start && age < simAge {
			c.p.wrong("%s says that partition %d of %s begins at %d, but %d is only %v old", x.name, i, simAging, start, o, age)
		}
	}
	if start > part.start {
		part.start = start
		c.p.book.extra[simAged].Add(1)
	}
}

// read reads a partition from where it is known to begin; ok says whether its end, as far as known, was reached.
func (c *simAger) read(ctx context.Context, x *simProcess, i int32) (ok bool) {
	ctx, cancel := context.WithTimeout(ctx, simTimeout)
	defer cancel()
	part := &c.parts[i]
	for next := part.start; next < part.end; {
		var r api.ReadResult
		was := next
		if !x.ask(ctx, func(s *session) {
			r = (&apiReader{s}).Read(ctx, api.ReadRequest{
				MaxBytes: 64 << 10, Rack: x.on.zone, Parts: []api.ReadPart{{Partition: c.of(i), Offset: next, MaxBytes: 64 << 10}},
			})[0]
		}) || r.Err != nil && !errors.Is(r.Err, fetch.ErrOutOfRange) {
			return false
		}
		if r.Err == nil {
			c.begins(x, i, r.LogStart)
		} else if next = c.outOfRange(ctx, x, i, was); next == was {
			return false
		} else {
			continue
		}
		if next = c.taken(x, i, was, r.Records); next == was {
			return false
		}
	}
	return true
}

// outOfRange judges that an agent says so of an offset below the end: the owner knows by now that the partition begins behind it,
// and where. It gives the same offset if he does not answer.
func (c *simAger) outOfRange(ctx context.Context, x *simProcess, i int32, at topic.Offset) (next topic.Offset) {
	owner := c.owner(i)
	if owner == nil || !c.look(ctx, owner, i) {
		return at
	}
	if c.parts[i].start <= at {
		c.p.wrong("%s says that %d of partition %d of %s is out of range, which begins at %d and reaches %d", x.name, at, i, simAging,
			c.parts[i].start, c.parts[i].end)
		return at
	}
	return c.parts[i].start
}

// taken judges what was read from an offset on, and gives the offset behind it: nothing that was acked is left out.
func (c *simAger) taken(x *simProcess, i int32, from topic.Offset, rows [][]byte) (next topic.Offset) {
	part, seen := &c.parts[i], make(map[topic.Offset]bool)
	next = from
	for _, row := range rows {
		err := recordbatch.Each(row, 1<<20, func(batch []byte, info recordbatch.Info) error {
			next = max(next, info.Next())
			for r, err := range recordbatch.Records(batch, 1<<20) {
				if err != nil {
					return err
				}
				seen[r.Offset] = true
				if v, ok := part.acked[r.Offset]; ok && v.value != string(r.Value) {
					c.p.wrong("%s gives %q at %d of partition %d of %s, acked was %q", x.name, r.Value, r.Offset, i, simAging, v.value)
				}
			}
			return nil
		})
		if err != nil {
			c.p.wrong("%s gives what cannot be read of partition %d of %s from %d on: %v", x.name, i, simAging, from, err)
		}
	}
	for o := from; o < next; o++ {
		if v, ok := part.acked[o]; ok && !seen[o] {
			c.p.wrong("%s leaves out %d of partition %d of %s, which is %q", x.name, o, i, simAging, v.value)
		}
	}
	return next
}

// settle reads all that is left, from somebody.
func (c *simAger) settle(ctx context.Context) bool {
	for i := range int32(simAgingParts) {
		for {
			if xs := c.p.serving(); len(xs) > 0 && c.read(ctx, xs[c.r.IntN(len(xs))], i) {
				break
			}
			if ctx.Err() != nil {
				return false
			}
			rest(ctx, c.r, 300*time.Millisecond)
		}
	}
	return true
}
