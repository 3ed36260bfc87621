package agent

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/odradek/odradek/agent/api"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/topic"
)

const (
	simNames     = 2 // of topics that come and go
	simMostParts = 5
)

// simAdmin creates topics, gives them more partitions, writes to them, reads them and deletes them, again and again under
// the same names. It does one thing after the other, so that what it was told orders all that follows.
type simAdmin struct {
	p *simPool
	r *rand.Rand

	topics []*simTopicLife // all that were heard of, in that order
	made   int
}

// simTopicLife is one topic from its creation to its deletion: a name has many.
type simTopicLife struct {
	name       string
	id         topic.ID
	partitions int32 // at least
	deleting   bool  // it was asked for, and perhaps is done
	deleted    bool
	acked      map[spot]string
	ends       map[int32]topic.Offset // at least
}

func (c *simAdmin) work(ctx context.Context) {
	for ctx.Err() == nil {
		rest(ctx, c.r, 800*time.Millisecond)
		name := fmt.Sprintf("passing-%d", c.r.IntN(simNames))
		t := c.living(name)
		switch n := c.r.IntN(12); {
		case n < 2:
			c.look(ctx)
		case t == nil:
			c.create(ctx, name)
		case n < 7:
			c.write(ctx, t)
		case n < 9 && len(c.topics) > 0:
			c.read(ctx, c.topics[c.r.IntN(len(c.topics))])
		case n < 11:
			c.grow(ctx, t)
		default:
			c.remove(ctx, t)
		}
	}
}

// living gives the topic that has a name, as far as is known.
func (c *simAdmin) living(name string) *simTopicLife {
	for _, t := range c.topics {
		if t.name == name && !t.deleted {
			return t
		}
	}
	return nil
}

// ask calls some agent; ok says that there is an answer.
func (c *simAdmin) ask(ctx context.Context, fn func(context.Context, *session)) (x *simProcess, ok bool) {
	xs := c.p.serving()
	if len(xs) == 0 {
		return nil, false
	}
	ctx, cancel := context.WithTimeout(ctx, simTimeout)
	defer cancel()
	x = xs[c.r.IntN(len(xs))]
	ok = x.ask(ctx, func(s *session) { fn(ctx, s) })
	return x, ok && ctx.Err() == nil && c.r.Float64() >= simLost
}

func (c *simAdmin) create(ctx context.Context, name string) {
	parts := 1 + c.r.Int32N(3)
	var made api.CreatedTopic
	_, ok := c.ask(ctx, func(ctx context.Context, s *session) {
		made = (&apiAdmin{s}).CreateTopics(ctx, []api.NewTopic{{Name: name, Partitions: parts}})[0]
	})
	if ok && made.Err == nil {
		c.born(name, made.ID, parts)
		return
	}
	c.look(ctx) // it may be there
}

func (c *simAdmin) born(name string, id topic.ID, partitions int32) *simTopicLife {
	for _, t := range c.topics {
		if t.id == id {
			c.p.wrong("topic %s is made with the id of %s: %v", name, t.name, id)
		}
	}
	t := &simTopicLife{name: name, id: id, partitions: partitions, acked: make(map[spot]string), ends: make(map[int32]topic.Offset)}
	c.topics = append(c.topics, t)
	c.p.book.extra[simTopicsMade].Add(1)
	return t
}

func (c *simAdmin) grow(ctx context.Context, t *simTopicLife) {
	if t.deleting || t.partitions >= simMostParts {
		return
	}
	total := t.partitions + 1 + c.r.Int32N(2)
	var err error
	if _, ok := c.ask(ctx, func(ctx context.Context, s *session) {
		err = (&apiAdmin{s}).CreatePartitions(ctx, []api.MorePartitions{{Topic: t.id, Have: t.partitions, Total: total}})[0]
	}); ok && err == nil {
		t.partitions = total
	}
}

func (c *simAdmin) remove(ctx context.Context, t *simTopicLife) {
	t.deleting = true
	var err error
	if _, ok := c.ask(ctx, func(ctx context.Context, s *session) {
		err = (&apiAdmin{s}).DeleteTopics(ctx, []topic.ID{t.id})[0]
	}); ok && err == nil {
		t.deleted = true
		c.p.book.extra[simTopicsDeleted].Add(1)
	}
}

// look lets an agent read the control log to its end: then it knows all that was answered before.
func (c *simAdmin) look(ctx context.Context) {
	var s *control.State
	x, ok := c.ask(ctx, func(ctx context.Context, of *session) {
		if of.cluster.CatchUp(ctx) == nil {
			s = of.cluster.State()
		}
	})
	if ok && s != nil {
		c.judge(x, s)
	}
}

// judge compares what an agent knows of topics with what was answered before it looked.
func (c *simAdmin) judge(x *simProcess, s *control.State) {
	for _, t := range c.topics {
		now, there := s.TopicByID(t.id)
		switch {
		case t.deleted && there:
			c.p.wrong("%s knows topic %s (%v), which was deleted", x.name, t.name, t.id)
		case t.deleting && !there && !t.deleted:
			t.deleted = true // the answer was lost
			c.p.book.extra[simTopicsDeleted].Add(1)
		case !there && !t.deleted:
			c.p.wrong("%s does not know topic %s (%v), which was made", x.name, t.name, t.id)
			t.deleted = true
		case there && now.Partitions() < t.partitions:
			c.p.wrong("%s knows %d partitions of topic %s, there were %d", x.name, now.Partitions(), t.name, t.partitions)
		case there:
			t.partitions = now.Partitions()
		}
	}
	for i := range simNames {
		name := fmt.Sprintf("passing-%d", i)
		now, there := s.TopicByName(name)
		switch t := c.living(name); {
		case there && t == nil:
			c.born(name, now.ID, now.Partitions()) // the answer was lost
		case there && t.id != now.ID:
			c.p.wrong("%s knows topic %s as %v, it is %v", x.name, name, now.ID, t.id)
		}
	}
}

// write writes a record to one of a topic's partitions, by name: the agent that owns it says which topic that is.
func (c *simAdmin) write(ctx context.Context, t *simTopicLife) {
	i := c.r.Int32N(t.partitions)
	s := c.p.state(c.r)
	if s == nil {
		return
	}
	now, ok := s.TopicByName(t.name)
	if !ok || i >= now.Partitions() {
		return
	}
	x := c.p.with(now.Owner(i).Journal)
	if x == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, simTimeout)
	defer cancel()
	var id topic.ID
	var value string
	var done api.Appended
	err := errNoAnswer
	if !x.ask(ctx, func(s *session) {
		at, ok := s.cluster.State().TopicByName(t.name)
		if !ok {
			return
		}
		c.made++
		id, value = at.ID, fmt.Sprintf("%v/%d/%d", at.ID, i, c.made)
		batch := recordbatch.Build(recordbatch.Draft{Records: []recordbatch.Record{{Timestamp: time.Now().UnixMilli(), Value: []byte(value)}}})
		done, err = (&apiLog{s}).Append(ctx, -1, []api.PartitionBatch{{Partition: topic.Partition{Topic: id, Index: i}, Records: batch}})[0].Wait(ctx)
	}) || err != nil {
		return
	}
	for _, of := range c.topics {
		if of.id == id {
			of.acked[spot{i, done.Base}] = value
			of.ends[i] = max(of.ends[i], done.Base+1)
		}
	}
}

// read reads one of a topic's partitions somewhere. What was deleted before an agent looked at the control log it does not
// give.
func (c *simAdmin) read(ctx context.Context, t *simTopicLife) {
	i, gone := c.r.Int32N(t.partitions), t.deleted
	c.ask(ctx, func(ctx context.Context, s *session) {
		if !gone || s.cluster.CatchUp(ctx) == nil {
			_, _ = c.readAt(ctx, s, t, i, 0, gone) // an error is an answer, too
		}
	})
}

// readAt reads what an agent has of a partition from an offset on, and gives the offset behind that.
func (c *simAdmin) readAt(ctx context.Context, s *session, t *simTopicLife, i int32, from topic.Offset, gone bool) (next topic.Offset, err error) {
	r := (&apiReader{s}).Read(ctx, api.ReadRequest{
		MaxBytes: 64 << 10, Rack: s.agent.place.Zone,
		Parts: []api.ReadPart{{Partition: topic.Partition{Topic: t.id, Index: i}, Offset: from, MaxBytes: 64 << 10}},
	})[0]
	next = from
	if r.Err != nil {
		return next, r.Err
	}
	if gone {
		c.p.wrong("%s gives partition %d of topic %s (%v), which was deleted", s.agent.place.Host, i, t.name, t.id)
	}
	for _, row := range r.Records {
		err := recordbatch.Each(row, 1<<20, func(batch []byte, info recordbatch.Info) error {
			next = info.Next()
			for r, err := range recordbatch.Records(batch, 1<<20) {
				if err != nil {
					return err
				}
				v := string(r.Value)
				if !strings.HasPrefix(v, fmt.Sprintf("%v/%d/", t.id, i)) {
					c.p.wrong("partition %d of topic %s (%v) holds %q at %d", i, t.name, t.id, v, r.Offset)
				}
				if was, ok := t.acked[spot{i, r.Offset}]; ok && was != v {
					c.p.wrong("partition %d of topic %s (%v) holds %q at %d, acked was %q", i, t.name, t.id, v, r.Offset, was)
				}
			}
			return nil
		})
		if err != nil {
			c.p.wrong("partition %d of topic %s cannot be read: %v", i, t.name, err)
		}
	}
	return next, nil
}

// settle waits until all agents give all that was acked, and know the same topics.
func (c *simAdmin) settle(ctx context.Context) bool {
	for _, x := range c.p.living() {
		if !c.settled(ctx, x) {
			return false
		}
	}
	return true
}

func (c *simAdmin) settled(ctx context.Context, x *simProcess) bool {
	looked := false
	for ctx.Err() == nil && !looked {
		if s := x.session(); s != nil && s.cluster.CatchUp(ctx) == nil {
			c.judge(x, s.cluster.State())
			looked = true
		} else {
			rest(ctx, c.r, 200*time.Millisecond)
		}
	}
	var why error
	for _, t := range c.topics {
		if t.deleting {
			continue
		}
		for i := range t.partitions {
			for next := topic.Offset(0); next < t.ends[i]; {
				if ctx.Err() != nil {
					c.p.wrong("%s does not give partition %d of topic %s at %d of %d: %v", x.name, i, t.name, next, t.ends[i], why)
					return false
				}
				s := x.session()
				if s == nil {
					rest(ctx, c.r, 200*time.Millisecond)
					continue
				}
				was := next
				if next, why = c.readAt(ctx, s, t, i, next, false); why != nil || next == was {
					rest(ctx, c.r, 200*time.Millisecond)
				}
			}
		}
	}
	return looked
}
