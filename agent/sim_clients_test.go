package agent

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/odradek/odradek/agent/api"
	"github.com/odradek/odradek/agent/fetch"
	"github.com/odradek/odradek/agent/group"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/sequence"
	"github.com/odradek/odradek/topic"
)

const (
	simGroups  = 3                // partitions of the offsets topic, and as many groups
	simTimeout = 10 * time.Second // of a client's request
	simLost    = 0.01             // share of answers that are lost between an agent and a client
)

// simClient is someone who works against the pool until ctx ends. settle ends what is under way; it says whether all of
// it is known.
type simClient interface {
	work(ctx context.Context)
	settle(ctx context.Context) bool
}

// clients makes all of a seed's clients.
func (p *simPool) clients() []simClient {
	var out []simClient
	for i := range int32(simPartitions) {
		out = append(out, &simProducer{p: p, r: p.draws(fmt.Sprintf("producer %d", i)), id: int64(100 + i), partition: i, idempotent: true})
	}
	for i := range int32(2) {
		out = append(out, &simProducer{p: p, r: p.draws(fmt.Sprintf("sender %d", i)), id: int64(200 + i), partition: i})
	}
	for i := range 3 {
		out = append(out, &simReader{p: p, r: p.draws(fmt.Sprintf("reader %d", i))})
	}
	out = append(out, &simAsker{p: p, r: p.draws("asker")})
	for i := range simGroups {
		out = append(out, &simCommitter{p: p, r: p.draws(fmt.Sprintf("committer %d", i)), group: fmt.Sprintf("group-%d", i)})
	}
	out = append(out, &simAdmin{p: p, r: p.draws("admin")}, &simDeleter{p: p, r: p.draws("deleter")}, newAger(p))
	return append(out, p.teams()...)
}

// rest sleeps for a while; ctx may end it.
func rest(ctx context.Context, r *rand.Rand, most time.Duration) {
	t := time.NewTimer(time.Millisecond + time.Duration(r.Int64N(int64(most))))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// producer writes to one partition. An idempotent one (acks=all) repeats what it was not told the end of, under the same
// sequence; another one (acks=1) sends everything once.
type simProducer struct {
	p          *simPool
	r          *rand.Rand
	id         int64
	partition  int32
	idempotent bool

	made     int
	sequence int32       // of the next batch to be made
	epoch    topic.Epoch // of the newest owner heard of: a client does not go back (KIP-951)
	unknown  []simBatch  // in order
}

// simBatch is a batch that is not acked.
type simBatch struct {
	sequence int32
	values   []string
}

func (c *simProducer) work(ctx context.Context) {
	for ctx.Err() == nil {
		for ahead := 1 + c.r.IntN(3); len(c.unknown) < ahead; {
			c.make()
			if !c.idempotent {
				break
			}
		}
		if !c.send(ctx) {
			rest(ctx, c.r, 300*time.Millisecond)
		}
		rest(ctx, c.r, c.p.pace())
	}
}

// make makes a batch of records that nobody else has.
func (c *simProducer) make() {
	b := simBatch{sequence: c.sequence}
	for range 1 + c.r.IntN(6) {
		c.made++
		b.values = append(b.values, fmt.Sprintf("%d-%d-%0*d", c.id, c.made, c.r.IntN(400), 0))
	}
	c.sequence += int32(len(b.values))
	c.unknown = append(c.unknown, b)
	c.p.book.sent(c, b.values)
}

// owner finds the process that owns the client's partition, as some agent says.
func (c *simProducer) owner() *simProcess {
	s := c.p.state(c.r)
	if s == nil {
		return nil
	}
	a, ok := s.Owner(c.p.partition(c.partition))
	if !ok || a.Epoch < c.epoch {
		return nil
	}
	c.epoch = a.Epoch
	return c.p.with(a.Journal)
}

// send sends what is unknown, in order and without waiting in between, and says whether all of it was acked.
func (c *simProducer) send(ctx context.Context) bool {
	if !c.idempotent {
		defer func() { c.unknown = nil }() // nobody will know
	}
	x := c.owner()
	if x == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, simTimeout)
	defer cancel()
	acked := 0
	x.ask(ctx, func(s *session) {
		pending := make([]api.Pending, len(c.unknown))
		for i, b := range c.unknown {
			pending[i] = (&apiLog{s}).Append(ctx, c.acks(), []api.PartitionBatch{{Partition: c.p.partition(c.partition), Records: c.batch(b)}})[0]
		}
		for i, w := range pending {
			r, err := w.Wait(ctx)
			if i == 0 && (errors.Is(err, sequence.ErrOutOfOrderSequence) || errors.Is(err, sequence.ErrInvalidProducerEpoch)) {
				c.p.wrong("%s tells producer %d: %v", x.name, c.id, err)
			}
			x.resumed(ctx)
			if err != nil || x.isDead() || c.r.Float64() < simLost {
				return
			}
			c.p.book.acked(c, r.Base, c.unknown[i].values)
			acked++
		}
	})
	all := acked == len(c.unknown)
	c.unknown = c.unknown[acked:]
	return all
}

func (c *simProducer) acks() int8 {
	if c.idempotent {
		return -1
	}
	return 1
}

func (c *simProducer) batch(b simBatch) []byte {
	d := recordbatch.Draft{}
	for _, v := range b.values {
		d.Records = append(d.Records, recordbatch.Record{Timestamp: time.Now().UnixMilli(), Value: []byte(v)})
	}
	if c.idempotent {
		d.Producer = &recordbatch.Producer{ID: c.id, Sequence: b.sequence}
	}
	return recordbatch.Build(d)
}

func (c *simProducer) settle(ctx context.Context) bool {
	for c.idempotent && len(c.unknown) > 0 && ctx.Err() == nil {
		c.send(ctx)
		rest(ctx, c.r, 200*time.Millisecond)
	}
	return !c.idempotent || len(c.unknown) == 0
}

// reader reads partitions here and there, at owners and at others, as their zone allows.
type simReader struct {
	p *simPool
	r *rand.Rand
}

func (c *simReader) work(ctx context.Context) {
	for ctx.Err() == nil {
		xs := c.p.serving()
		if len(xs) == 0 {
			rest(ctx, c.r, 200*time.Millisecond)
			continue
		}
		x := xs[c.r.IntN(len(xs))]
		partition := int32(c.r.IntN(simPartitions))
		if c.r.IntN(2) == 0 {
			if s := c.p.state(c.r); s != nil {
				if a, ok := s.Owner(c.p.partition(partition)); ok && c.p.with(a.Journal) != nil {
					x = c.p.with(a.Journal)
				}
			}
		}
		c.follow(ctx, x, partition, 1+c.r.IntN(4))
		rest(ctx, c.r, 600*time.Millisecond)
	}
}

// follow reads on from some offset that is there, a few times.
func (c *simReader) follow(ctx context.Context, x *simProcess, partition int32, times int) {
	known := c.p.book.end(partition)
	offset := known
	if c.r.IntN(2) == 0 {
		start, _ := c.p.book.starts(partition)
		offset = start + topic.Offset(c.r.Int64N(int64(known-start)+1))
	}
	for range times {
		next, ok := c.read(ctx, x, partition, offset)
		if !ok {
			return
		}
		offset = next
	}
}

func (c *simReader) read(ctx context.Context, x *simProcess, partition int32, offset topic.Offset) (next topic.Offset, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, simTimeout)
	defer cancel()
	next = offset
	known := c.p.book.end(partition)
	answered := x.ask(ctx, func(s *session) {
		shown, era := c.p.book.watermark(x, partition), newestEra(s)
		elsewhere := ownedElsewhere(s, c.p.partition(partition))
		mirrored := c.p.book.mirrored(era, partition)
		r := (&apiReader{s}).Read(ctx, api.ReadRequest{
			MaxWait: 500 * time.Millisecond, MinBytes: 1, MaxBytes: 64 << 10, Rack: x.on.zone,
			Parts: []api.ReadPart{{Partition: c.p.partition(partition), Offset: offset, MaxBytes: 64 << 10}},
		})[0]
		if _, most := c.p.book.starts(partition); errors.Is(r.Err, fetch.ErrOutOfRange) && offset <= known && offset >= most {
			c.p.wrong("%s says that %d of partition %d is out of range [%d, %d], it was acked up to %d",
				x.name, offset, partition, r.LogStart, r.HighWatermark, known)
		}
		if r.Err != nil {
			return
		}
		c.p.book.showed(x, partition, shown, r.HighWatermark)
		if _, most := c.p.book.starts(partition); r.LogStart > most {
			c.p.wrong("%s shows log start %d of partition %d, no more than %d was asked for", x.name, r.LogStart, partition, most)
		}
		if elsewhere != 0 && elsewhere == ownedElsewhere(s, c.p.partition(partition)) {
			c.p.book.showedCopy(x, newestEra(s), partition, mirrored, r.HighWatermark)
		}
		for _, row := range r.Records {
			next = c.p.book.read(x, partition, row)
		}
		if next > r.HighWatermark && len(r.Records) > 0 {
			c.p.wrong("%s gives records of partition %d up to %d, the high watermark is %d", x.name, partition, next, r.HighWatermark)
		}
		ok = true
	})
	return next, ok && answered
}

// ownedElsewhere is one more than the epoch under which a session knows a partition as another's; 0 if it knows it as its own,
// which it may have taken over and lost again between two looks, or not at all.
func ownedElsewhere(s *session, p topic.Partition) topic.Epoch {
	a, ok := s.cluster.State().Owner(p)
	if !ok || a.Journal == s.journal {
		return 0
	}
	return a.Epoch + 1
}

// newestEra is the number of the newest era that a session knows.
func newestEra(s *session) int32 {
	era, _ := s.cluster.State().NewestEra()
	return era.Number
}

func (*simReader) settle(context.Context) bool { return true }

// asker asks where partitions begin and end, mostly where they are owned: what is answered never goes back.
type simAsker struct {
	p *simPool
	r *rand.Rand
}

func (c *simAsker) work(ctx context.Context) {
	for ctx.Err() == nil {
		rest(ctx, c.r, 400*time.Millisecond)
		xs := c.p.serving()
		if len(xs) == 0 {
			continue
		}
		x := xs[c.r.IntN(len(xs))]
		for partition := range int32(simPartitions) {
			if s := x.session(); s == nil || c.r.IntN(4) > 0 && s.owned(c.p.partition(partition)) != nil {
				continue
			}
			c.ask(ctx, x, partition)
		}
	}
}

func (c *simAsker) ask(ctx context.Context, x *simProcess, partition int32) {
	ctx, cancel := context.WithTimeout(ctx, simTimeout)
	defer cancel()
	var found []api.OffsetFound
	least := c.p.book.end(partition)
	start, _ := c.p.book.starts(partition)
	if !x.ask(ctx, func(s *session) {
		of := c.p.partition(partition)
		found = (&apiOffsets{s}).Lookup(ctx, []api.OffsetQuery{{Partition: of, Kind: api.OffsetLatest}, {Partition: of, Kind: api.OffsetEarliest}})
	}) {
		return
	}
	if found[0].Err == nil {
		c.p.book.ended(x, partition, least, found[0].Offset)
	}
	if found[1].Err == nil {
		c.p.book.begins(x, partition, start, found[1].Offset)
	}
}

func (*simAsker) settle(context.Context) bool { return true }

// committer commits rising offsets for a group of its own, and reads them back.
type simCommitter struct {
	p     *simPool
	r     *rand.Rand
	group string

	last    topic.Offset // tried last; every committed offset is at most this
	counted topic.Offset // committed and acked
}

func (c *simCommitter) work(ctx context.Context) {
	for ctx.Err() == nil {
		rest(ctx, c.r, 400*time.Millisecond)
		x := c.coordinator()
		if x == nil {
			continue
		}
		if c.r.IntN(2) == 0 {
			c.commit(ctx, x)
		} else {
			c.fetch(ctx, x)
		}
	}
}

// coordinator finds the group's coordinator: where some agent says, or one that takes itself for it, or now and then
// somebody who is not.
func (c *simCommitter) coordinator() *simProcess {
	xs := c.p.serving()
	if len(xs) == 0 {
		return nil
	}
	switch c.r.IntN(6) {
	case 0:
		return xs[c.r.IntN(len(xs))]
	case 1, 2, 3:
		xs = slices.DeleteFunc(xs, func(x *simProcess) bool { return !x.coordinates(c.group) })
		if len(xs) == 0 {
			return nil
		}
		return xs[c.r.IntN(len(xs))]
	}
	s := c.p.state(c.r)
	if s == nil {
		return nil
	}
	j, _ := coordinatorOf(s, c.group)
	return c.p.with(j)
}

// coordinatorOf gives the journal whose agent coordinates a group, by a picture of the cluster.
func coordinatorOf(s *control.State, of string) (topic.JournalID, bool) {
	t, ok := s.TopicByName(topic.ConsumerOffsets)
	if !ok {
		return topic.JournalID{}, false
	}
	return t.Owner(group.PartitionFor(of, t.Partitions())).Journal, true
}

// coordinates says whether a process takes itself for a group's coordinator.
func (x *simProcess) coordinates(of string) bool {
	s := x.session()
	if s == nil {
		return false
	}
	j, ok := coordinatorOf(s.cluster.State(), of)
	return ok && j == s.journal
}

func (c *simCommitter) commit(ctx context.Context, x *simProcess) bool {
	ctx, cancel := context.WithTimeout(ctx, simTimeout)
	defer cancel()
	c.last++
	offset, ok := c.last, false
	answered := x.ask(ctx, func(s *session) {
		r, err := s.groups.Commit(ctx, group.CommitRequest{
			Group: c.group, Generation: group.NoGeneration,
			Offsets: []group.CommitOffset{{TopicPartition: group.TopicPartition{Topic: simTopic}, Offset: offset, LeaderEpoch: -1}},
		}).Wait(ctx)
		ok = err == nil && r.Err == nil && r.Errs[0] == nil
	})
	if answered && ok {
		c.counted = offset
		c.p.book.committed()
	}
	return answered && ok
}

func (c *simCommitter) fetch(ctx context.Context, x *simProcess) bool {
	ctx, cancel := context.WithTimeout(ctx, simTimeout)
	defer cancel()
	var found topic.Offset
	ok := false
	answered := x.ask(ctx, func(s *session) {
		r, err := s.groups.Fetch(ctx, group.FetchRequest{Group: c.group, Parts: []group.TopicPartition{{Topic: simTopic}}}).Wait(ctx)
		if ok = err == nil && r.Err == nil; ok {
			found = r.Offsets[0].Offset
		}
	})
	if !answered || !ok {
		return false
	}
	if none := c.counted == 0 && found == -1; !none && (found < c.counted || found > c.last) {
		c.p.wrong("%s says that %s committed %d; acked was %d, the last that was tried %d", x.name, c.group, found, c.counted, c.last)
	}
	c.counted = max(c.counted, found) // I7: nobody may see less from now on
	return true
}

func (c *simCommitter) settle(ctx context.Context) bool {
	for ctx.Err() == nil {
		if x := c.coordinator(); x != nil && c.commit(ctx, x) && c.fetch(ctx, x) {
			return true
		}
		rest(ctx, c.r, 300*time.Millisecond)
	}
	return false
}
