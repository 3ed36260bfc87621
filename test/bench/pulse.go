package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	pulseOpen  = 100              // records under way for a partition at most, unless told
	readTime   = 5 * time.Minute  // to read everything in the end
	stuckAfter = 90 * time.Second // without an ack on a partition: given up

	longSilence = time.Second // and more is remembered with its time
	mostLong    = 100_000
)

// pulse writes numbered records to every partition all the time, and knows for how long each of them was silent. Its
// methods may be called concurrently, but for close.
type pulse struct {
	topic   string
	every   time.Duration
	size    int
	most    int // records under way for a partition
	retried bool
	clients []*kgo.Client // partition p is client p mod n's, so that its numbers are in order

	cancel context.CancelFunc
	wg     sync.WaitGroup
	open   sync.WaitGroup // records under way

	mu     sync.Mutex // guards all below
	random *rand.ChaCha8
	parts  []beatOf
	long   []silence      // longer than longSilence
	failed map[string]int // records that a client gave up, by error
}

// silence is a time without an ack on a partition.
type silence struct {
	partition int32
	ended     time.Time
	took      time.Duration
}

// beatOf is what is known of one partition.
type beatOf struct {
	sent     uint64 // the newest number
	newest   uint64 // the highest number that was acked
	acked    bits   // which were
	acks     int
	open     int
	last     time.Time // of the newest ack
	gap      time.Duration
	answered time.Time // when the newest record that was acked had been sent
	since    time.Time // watched for the first ack of a record sent later
	first    time.Time // when that came
	resumed  time.Time // when the first ack came of any record since then
}

type pulseConfig struct {
	topic      string
	partitions int
	every      time.Duration
	size       int  // of a record's value, at least 8
	open       int  // records under way for a partition at most
	writers    int  // clients
	retried    bool // the client may send a record twice, as it has no producer id
	opts       []kgo.Opt
}

func startPulse(fl *fleet, c pulseConfig) (*pulse, error) {
	p := &pulse{topic: c.topic, every: c.every, size: max(8, c.size), most: c.open, retried: c.retried, parts: make([]beatOf, c.partitions), failed: make(map[string]int), random: rand.NewChaCha8([32]byte{7})}
	if p.most == 0 {
		p.most = pulseOpen
	}
	for range max(1, c.writers) {
		client, err := fl.client(append([]kgo.Opt{
			kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DefaultProduceTopic(c.topic), kgo.ProducerLinger(0),
			kgo.MaxBufferedRecords(1 << 20), kgo.ProducerBatchCompression(kgo.NoCompression()),
		}, c.opts...)...)
		if err != nil {
			return nil, err
		}
		p.clients = append(p.clients, client)
	}
	now := time.Now()
	for i := range p.parts {
		p.parts[i].last = now
	}
	ctx, cancel := context.WithCancel(fl.ctx)
	p.cancel = cancel
	for w := range p.clients {
		p.wg.Go(func() { p.run(ctx, w) })
	}
	if err := p.settled(fl.ctx, p.all(), now, stuckAfter); err != nil {
		p.close()
		return nil, err
	}
	p.silences(p.all())
	return p, nil
}

// run writes to the partitions of one client, evenly over the interval.
func (p *pulse) run(ctx context.Context, w int) {
	const slices = 10
	steps := 1
	if p.every >= 200*time.Millisecond {
		steps = slices // so many partitions at once would come in waves
	}
	tick := time.NewTicker(p.every / time.Duration(steps))
	defer tick.Stop()
	for step := 0; ; step = (step + 1) % steps {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for i := w; i < len(p.parts); i += len(p.clients) {
			if (i/len(p.clients))%steps == step {
				p.send(int32(i))
			}
		}
	}
}

// once sends a record to every partition now.
func (p *pulse) once() {
	for i := range p.parts {
		p.send(int32(i))
	}
}

func (p *pulse) send(i int32) {
	p.mu.Lock()
	b := &p.parts[i]
	if b.open >= p.most {
		p.mu.Unlock()
		return
	}
	b.open++
	b.sent++
	value := make([]byte, p.size)
	p.random.Read(value) // nothing that compresses
	number := b.sent
	binary.BigEndian.PutUint64(value, number)
	sent := time.Now()
	// The order of numbers is that of Produce: the lock is held on.
	p.open.Add(1)
	p.clients[int(i)%len(p.clients)].TryProduce(context.Background(), &kgo.Record{Partition: i, Value: value}, func(_ *kgo.Record, err error) {
		p.acked(i, number, sent, err)
		p.open.Done()
	})
	p.mu.Unlock()
}

func (p *pulse) acked(i int32, number uint64, sent time.Time, err error) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	b := &p.parts[i]
	b.open--
	if err != nil {
		p.failed[err.Error()]++
		return
	}
	if gap := now.Sub(b.last); gap > longSilence && len(p.long) < mostLong {
		p.long = append(p.long, silence{i, now, gap})
	}
	b.gap = max(b.gap, now.Sub(b.last))
	b.last, b.newest = now, max(b.newest, number)
	b.acked.set(number)
	b.acks++
	if sent.After(b.answered) {
		b.answered = sent
	}
	if b.resumed.IsZero() {
		b.resumed = now
	}
	if b.first.IsZero() && sent.After(b.since) {
		b.first = now
	}
}

func (p *pulse) all() []int32 {
	out := make([]int32, len(p.parts))
	for i := range out {
		out[i] = int32(i)
	}
	return out
}

// silences gives the longest time without an ack of each of some partitions since it was asked last, and begins anew for
// all. A silence that began before belongs to the time in which it ends.
func (p *pulse) silences(of []int32) []time.Duration {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]time.Duration, 0, len(of))
	for _, i := range of {
		out = append(out, max(p.parts[i].gap, now.Sub(p.parts[i].last)))
	}
	for i := range p.parts {
		p.parts[i].gap = 0
	}
	return out
}

// longOnes prints the long silences by the second in which they ended.
func (p *pulse) longOnes(began time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	bySecond := make(map[int]samples)
	for _, s := range p.long {
		if second := int(s.ended.Sub(began).Seconds()); !s.ended.Before(began) {
			bySecond[second] = append(bySecond[second], s.took)
		}
	}
	fmt.Printf("  silences of more than %v, by the second in which they ended:", longSilence)
	for _, second := range slices.Sorted(maps.Keys(bySecond)) {
		fmt.Printf(" %d s: %d up to %.1f s;", second, len(bySecond[second]), bySecond[second].most().Seconds())
	}
	fmt.Println()
}

// missing counts the partitions that have no ack of a record sent after a time, and names one.
func (p *pulse) missing(of []int32, since time.Time) (n int, one int32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, i := range of {
		if !p.parts[i].answered.After(since) {
			n, one = n+1, i
		}
	}
	return n, one
}

// watch begins to wait for the first ack of a record sent from now on, on every partition, and gives that time.
func (p *pulse) watch() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for i := range p.parts {
		p.parts[i].since, p.parts[i].first, p.parts[i].resumed = now, time.Time{}, time.Time{}
	}
	return now
}

// firsts gives when the last partition had its first ack since watch began, and its first one of a record that was sent
// since then; zero if not all had one.
func (p *pulse) firsts() (resumed, first time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return latest(p.parts, func(b *beatOf) time.Time { return b.resumed }), latest(p.parts, func(b *beatOf) time.Time { return b.first })
}

// latest is the latest of some times, zero if one of them is.
func latest(parts []beatOf, at func(*beatOf) time.Time) time.Time {
	var last time.Time
	for i := range parts {
		t := at(&parts[i])
		if t.IsZero() {
			return t
		}
		if t.After(last) {
			last = t
		}
	}
	return last
}

// settled waits until each of some partitions has an ack of a record that was sent after a time.
func (p *pulse) settled(ctx context.Context, of []int32, since time.Time, limit time.Duration) error {
	for began := time.Now(); ; {
		n, one := p.missing(of, since)
		if n == 0 {
			return nil
		}
		if time.Since(began) > limit {
			return fmt.Errorf("no ack on %d of %d partitions within %v, one is %d", n, len(of), limit, one)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// acks is how many records were acked so far.
func (p *pulse) acks() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for i := range p.parts {
		n += p.parts[i].acks
	}
	return n
}

// errors gives how many records were given up, by error.
func (p *pulse) errors() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make(map[string]int)
	for k, n := range p.failed {
		out[k] = n
	}
	return out
}

// stop ends the writing and waits until everything under way was answered.
func (p *pulse) stop(limit time.Duration) error {
	p.cancel()
	p.wg.Wait()
	done := make(chan struct{})
	go func() { // ends with the clients at the latest
		defer close(done)
		p.open.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-time.After(limit):
		return fmt.Errorf("records without an answer %v after the last was sent", limit)
	}
}

func (p *pulse) close() {
	p.cancel()
	p.wg.Wait()
	for _, c := range p.clients {
		c.Close()
	}
}

// verdict is what became of what was acked.
type verdict struct{ acked, read, lost, doubled, disordered int }

func (v verdict) String() string {
	return fmt.Sprintf("acked %d, read %d, lost %d, doubled %d, out of order %d", v.acked, v.read, v.lost, v.doubled, v.disordered)
}

// clean says whether nothing is lost, and nothing doubled or out of order unless that may be.
func (v verdict) clean(retried bool) bool {
	return v.lost == 0 && (retried || v.doubled == 0 && v.disordered == 0) && v.read > 0
}

// check reads the topic from its start and compares: each number that was acked must be there, none twice, and none
// behind a higher one of its partition.
func (p *pulse) check(fl *fleet) (verdict, error) {
	c, err := fl.client(kgo.ConsumeTopics(p.topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxBytes(16<<20))
	if err != nil {
		return verdict{}, err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(fl.ctx, readTime)
	defer cancel()
	p.mu.Lock()
	parts := slices.Clone(p.parts)
	p.mu.Unlock()
	var v verdict
	left := 0 // partitions whose newest acked record was not read yet
	for _, b := range parts {
		v.acked += b.acks
		if b.newest > 0 {
			left++
		}
	}
	seen, newest := make([]bits, len(parts)), make([]uint64, len(parts))
	for left > 0 && err == nil {
		fs := c.PollFetches(ctx)
		if ctx.Err() != nil {
			err = fmt.Errorf("%d partitions could not be read to the newest acked record: %w", left, context.Cause(ctx))
			break
		}
		for _, e := range fs.Errors() {
			err = errors.Join(err, fmt.Errorf("read %s/%d: %w", e.Topic, e.Partition, e.Err))
		}
		fs.EachRecord(func(r *kgo.Record) {
			n, was, want := binary.BigEndian.Uint64(r.Value), newest[r.Partition], parts[r.Partition].newest
			v.read++
			if seen[r.Partition].has(n) {
				v.doubled++
			} else if n < was {
				v.disordered++
			}
			seen[r.Partition].set(n)
			if newest[r.Partition] = max(was, n); was < want && n >= want {
				left--
			}
		})
	}
	for i, b := range parts {
		for n := uint64(1); n <= b.newest; n++ {
			if b.acked.has(n) && !seen[i].has(n) {
				v.lost++
			}
		}
	}
	return v, err
}

// bits is a set of numbers.
type bits []uint64

func (b *bits) set(n uint64) {
	for uint64(len(*b)) <= n/64 {
		*b = append(*b, 0)
	}
	(*b)[n/64] |= 1 << (n % 64)
}

func (b bits) has(n uint64) bool { return n/64 < uint64(len(b)) && b[n/64]&(1<<(n%64)) != 0 }
