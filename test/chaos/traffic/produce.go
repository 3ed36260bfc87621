package traffic

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/odradek/odradek/test/chaos/history"
)

// underWay is how many records a producer has under way for one partition at most.
const underWay = 5

// sender is a producer and its numbers.
type sender struct {
	t      *Traffic
	name   string
	acks   int
	client *kgo.Client
	pad    []kgo.RecordHeader // of each record

	mu     sync.Mutex // guards all below
	acked  int
	last   time.Time // of the newest ack
	number map[history.Partition]int64
	open   map[history.Partition]int
}

// newSender makes a producer: idempotent with acks -1. No record is ever given up while the run lasts.
func (t *Traffic) newSender(name string, acks int) (*sender, error) {
	opts := []kgo.Opt{
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(5 * time.Millisecond),
		kgo.MaxBufferedRecords(100000), kgo.ProduceRequestTimeout(10 * time.Second),
	}
	if acks == 1 {
		opts = append(opts, kgo.DisableIdempotentWrite(), kgo.RequiredAcks(kgo.LeaderAck()), kgo.MaxProduceRequestsInflightPerBroker(1))
	}
	c, err := t.client(name, opts...)
	if err != nil {
		return nil, err
	}
	return &sender{t: t, name: name, acks: acks, client: c, number: make(map[history.Partition]int64), open: make(map[history.Partition]int)}, nil
}

// send produces one record, unless enough for the partition are under way.
func (s *sender) send(p history.Partition) bool {
	s.mu.Lock()
	if s.open[p] >= underWay {
		s.mu.Unlock()
		return false
	}
	s.open[p]++
	s.number[p]++
	value := history.Value{Client: s.name, Partition: p, Number: s.number[p]}.String()
	s.mu.Unlock()
	e := history.Event{Kind: history.Produced, Client: s.name, Start: s.t.log.Now(), Partition: p, Value: value, Acks: s.acks}
	s.t.began(e)
	r := &kgo.Record{Topic: p.Topic, Partition: p.Index, Key: []byte(history.Key(value)), Value: history.Body(value), Headers: s.pad}
	s.client.Produce(context.Background(), r, func(r *kgo.Record, err error) {
		s.mu.Lock()
		s.open[p]--
		if err == nil {
			s.acked, s.last = s.acked+1, time.Now()
		}
		s.mu.Unlock()
		s.t.ended(e, r.Offset, err)
	})
	return true
}

// produce sends to all partitions in turn by chance until ctx is done, and then waits for what is under way.
func (t *Traffic) produce(ctx context.Context, name string, acks int) {
	s, err := t.newSender(name, acks)
	if err != nil {
		t.note("producer %s: %v", name, err)
		return
	}
	defer s.client.Close()
	parts := t.Partitions()
	tick := time.NewTicker(time.Second / time.Duration(t.c.Rate))
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
			s.send(parts[rand.IntN(len(parts))])
		}
	}
	for !t.done() {
		time.Sleep(20 * time.Millisecond)
	}
}

// Burst is a producer that sends large records with acks=1 to one agent until it is stopped.
type Burst struct {
	s    *sender
	stop context.CancelFunc
	done chan struct{}
}

// burstBytes is how much a record of a Burst carries besides its value.
const burstBytes = 60 << 10

// Burst starts one, under a name that no other producer has, to the partitions that the agent at addr leads as last told.
func (t *Traffic) Burst(ctx context.Context, name, addr string) (*Burst, error) {
	s, err := t.newSender(name, 1)
	if err != nil {
		return nil, err
	}
	pad := make([]byte, burstBytes)
	for i := range pad {
		pad[i] = byte(rand.Uint32()) // nothing that compresses
	}
	s.pad = []kgo.RecordHeader{{Key: "pad", Value: pad}}
	ctx, stop := context.WithCancel(ctx)
	b := &Burst{s, stop, make(chan struct{})}
	go func() {
		defer close(b.done)
		for wait(ctx, 5*time.Millisecond) {
			for p, owner := range t.Owners() {
				if owner == addr && t.c.Topics[p.Topic] > p.Index {
					s.send(p)
				}
			}
		}
	}()
	return b, nil
}

// Acked says how many records were acked, and when the newest was.
func (b *Burst) Acked() (int, time.Time) {
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	return b.s.acked, b.s.last
}

// Stop ends it and waits until all it sent is answered, or a limit is reached.
func (b *Burst) Stop(limit time.Duration) error {
	b.stop()
	<-b.done
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	err := b.s.client.Flush(ctx)
	b.s.client.Close()
	return err
}

// done reports whether nothing is under way any more, or was given up.
func (t *Traffic) done() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.closed || len(t.pending) == 0
}

// began notes a record that is about to be sent.
func (t *Traffic) began(e history.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pending[e.Value] = e
}

// ended notes what a producer was told. An error leaves open whether the record is in the log.
func (t *Traffic) ended(e history.Event, offset int64, err error) {
	e.End, e.Offset, e.Outcome = t.log.Now(), offset, history.OK
	if err != nil {
		e.Outcome, e.Error, e.Offset, e.End = history.Unknown, err.Error(), 0, history.Never
		t.note("%s: %s: %v", e.Client, e.Value, err)
	}
	t.mu.Lock()
	_, open := t.pending[e.Value]
	delete(t.pending, e.Value)
	if !open { // given up, and noted as such
		t.mu.Unlock()
		return
	}
	if err != nil {
		t.failed++
	} else {
		t.acked++
		t.latency = append(t.latency, e.End-e.Start)
		for w := range t.watches {
			w.ack(e)
		}
	}
	t.mu.Unlock()
	t.log.Add(e)
}
