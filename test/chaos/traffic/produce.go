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

	mu     sync.Mutex // guards all below
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
	r := &kgo.Record{Topic: p.Topic, Partition: p.Index, Value: history.Body(value)}
	s.client.Produce(context.Background(), r, func(r *kgo.Record, err error) {
		s.mu.Lock()
		s.open[p]--
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
