package group

import (
	"context"
	"sync"
	"time"

	"github.com/odradek/odradek/agent/group/offsetsrecord"
	"github.com/odradek/odradek/topic"
)

const (
	// maxFlights is how many batches of one partition may be on their way into the log; then its queue waits.
	maxFlights = 64
	// batchBytes is the size at which records go into a batch of their own.
	batchBytes = 512 << 10
)

// step is what a call does to the machine.
type step func(m *Machine, now time.Time, call Call) Decision

// event is a step in the queue. A nil answer wants none.
type event struct {
	step   step
	answer chan<- Reply // cap 1
}

// flight is one or more batches under way. Their records count when all do.
type flight struct {
	seq     uint64
	waits   []func(context.Context) (topic.Offset, error)
	batches [][]Record // of waits
}

// landing is how a flight went: the first offsets of its batches if all of them count.
type landing struct {
	bases []topic.Offset
	err   error
}

// life serves the groups of a partition from one load to the end of it. All but the queue, over and ended belongs to the
// shard's goroutine.
type life struct {
	shard *shard
	queue chan event
	over  chan struct{} // closed when nothing is served any more
	ended sync.Once     // closes over

	machine *Machine
	timers  *timers
	waiters map[Call]chan<- Reply
	calls   Call                   // the last one drawn
	records []offsetsrecord.Record // decided on and not appended yet
	seq     uint64                 // of the newest of records
	flights []flight               // oldest first; a goroutine waits for the first one
	counted chan landing           // cap 1: how the first flight went
	waiting sync.WaitGroup         // that goroutine
}

func newLife(s *shard) *life {
	return &life{
		shard:   s,
		queue:   make(chan event, s.c.cfg.MaxQueue),
		over:    make(chan struct{}),
		machine: NewMachine(s.c.cfg),
		timers:  newTimers(),
		waiters: map[Call]chan<- Reply{},
		counted: make(chan landing, 1),
	}
}

// put admits an event. It blocks while the queue is full.
func (l *life) put(ctx context.Context, e event) error {
	select {
	case l.queue <- e:
		return nil
	case <-l.over:
		return ErrNotCoordinator
	case <-ctx.Done():
		return ctx.Err()
	}
}

// serve works the queue, the timers and the log until ctx ends or the log fails.
func (l *life) serve(ctx context.Context) error {
	defer l.waiting.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	clock := time.NewTimer(0)
	defer clock.Stop()
	for {
		l.append(ctx)
		queue, alarm := l.queue, clock.C
		if len(l.flights) >= maxFlights {
			queue, alarm = nil, nil // nobody is heard of now, and so nobody is missed
		}
		clock.Reset(l.untilNext())
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e := <-queue:
			l.take(e)
			l.takeMore()
		case how := <-l.counted:
			if how.err != nil {
				l.end()
				l.settle(ctx)
				return how.err
			}
			l.land(ctx, how.bases)
		case <-alarm:
			l.takeMore() // who is in the queue was heard of in time, even if the log has held this goroutine up
			l.fire()
		}
	}
}

// untilNext is the time to the next timer; an hour when there is none.
func (l *life) untilNext() time.Duration {
	at, ok := l.timers.next()
	if !ok {
		return time.Hour
	}
	return max(time.Until(at), 0)
}

// take runs one event.
func (l *life) take(e event) {
	l.calls++
	if e.answer != nil {
		l.waiters[l.calls] = e.answer
	}
	l.apply(e.step(l.machine, time.Now(), l.calls))
}

// takeMore runs the events that wait already, so that their records share a batch.
func (l *life) takeMore() {
	for range cap(l.queue) {
		select {
		case e := <-l.queue:
			l.take(e)
		default:
			return
		}
	}
}

func (l *life) fire() {
	now := time.Now()
	for {
		t, ok := l.timers.due(now)
		if !ok {
			return
		}
		l.apply(l.machine.Fire(now, t))
	}
}

// apply does what the machine decided, but for the records, which append takes along.
func (l *life) apply(d Decision) {
	for _, r := range d.Replies {
		if w := l.waiters[r.Call]; w != nil {
			delete(l.waiters, r.Call)
			w <- r
		}
	}
	now := time.Now()
	for _, c := range d.Timers {
		l.timers.change(now, c)
	}
	if d.Seq != 0 {
		l.records = append(l.records, d.Records...)
		l.seq = d.Seq
	}
}

// append sends the records decided on to the log, in order.
func (l *life) append(ctx context.Context) {
	if len(l.records) == 0 {
		return
	}
	f := flight{seq: l.seq}
	b := l.newBatch()
	size := 0
	for _, r := range l.records {
		key, value := offsetsrecord.Encode(r)
		if n := len(key) + len(value); size > 0 && size+n > batchBytes {
			l.send(ctx, &f, b)
			b, size = l.newBatch(), 0
		}
		size += len(key) + len(value)
		b.OffsetsOnly = b.OffsetsOnly && r.Commit != nil
		b.Records = append(b.Records, Record{Key: key, Value: value})
	}
	l.send(ctx, &f, b)
	l.records = nil
	l.flights = append(l.flights, f)
	if len(l.flights) == 1 {
		l.watch(ctx)
	}
}

func (l *life) send(ctx context.Context, f *flight, b Batch) {
	f.waits = append(f.waits, l.shard.c.log.Append(ctx, b))
	f.batches = append(f.batches, b.Records)
}

func (l *life) newBatch() Batch {
	return Batch{Partition: l.shard.partition, Epoch: l.shard.epoch, TimeMs: time.Now().UnixMilli(), OffsetsOnly: true}
}

// watch starts the goroutine that waits for the first flight.
func (l *life) watch(ctx context.Context) {
	waits := l.flights[0].waits
	l.waiting.Go(func() { l.counted <- waitAll(ctx, waits) })
}

// waitAll waits for every batch to be decided, also behind one that does not count.
func waitAll(ctx context.Context, waits []func(context.Context) (topic.Offset, error)) landing {
	var how landing
	for _, wait := range waits {
		base, err := wait(ctx)
		if err != nil && how.err == nil {
			how.err = err
		}
		how.bases = append(how.bases, base)
	}
	return how
}

// settle waits until everything under way is decided, after the first flight was lost: what is read from the log then
// holds all of it that counts, although nobody was answered for it.
func (l *life) settle(ctx context.Context) {
	for _, f := range l.flights[1:] {
		waitAll(ctx, f.waits) // lost or not: the log will tell
	}
}

// land tells the machine and the copies that the first flight counts.
func (l *life) land(ctx context.Context, bases []topic.Offset) {
	seq := l.flights[0].seq
	for i, records := range l.flights[0].batches {
		l.shard.c.copies.Apply(l.shard.partition, bases[i], records)
	}
	l.flights[0] = flight{}
	l.flights = l.flights[1:]
	if len(l.flights) > 0 {
		l.watch(ctx)
	}
	l.apply(l.machine.Counted(time.Now(), seq))
}

// end turns away everybody who waits and who comes. It may be called again.
func (l *life) end() { l.ended.Do(func() { close(l.over) }) }
