package group

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/odradek/odradek/topic"
)

var errFenced = errors.New("journal is sealed")

// fakeLog is an offsets topic in memory. Batches count when the test says so.
type fakeLog struct {
	mu      sync.Mutex
	batches []*fakeBatch // appended, oldest first
	counted map[int32][]Record
	broken  error         // answers every wait and append from now on
	block   chan struct{} // appends wait for it, as for memory
	reading chan struct{} // reads wait for it
	readErr error
	proof   error
	proofs  int
	auto    bool // batches count at once
}

type fakeBatch struct {
	Batch
	done chan struct{} // closed when it is decided
	base topic.Offset
	err  error
}

func newFakeLog() *fakeLog { return &fakeLog{counted: map[int32][]Record{}} }

func (f *fakeLog) Append(ctx context.Context, b Batch) func(context.Context) (topic.Offset, error) {
	f.mu.Lock()
	block := f.block
	f.mu.Unlock()
	if block != nil {
		select {
		case <-block:
		case <-ctx.Done():
			return func(context.Context) (topic.Offset, error) { return 0, ctx.Err() }
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	x := &fakeBatch{Batch: b, done: make(chan struct{}), err: f.broken}
	switch {
	case f.broken != nil:
		close(x.done)
	case f.auto:
		f.count(x)
	default:
		f.batches = append(f.batches, x)
	}
	return func(ctx context.Context) (topic.Offset, error) {
		select {
		case <-x.done:
			return x.base, x.err
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// count makes a batch count. The caller holds the lock.
func (f *fakeLog) count(x *fakeBatch) {
	x.base = topic.Offset(len(f.counted[x.Partition]))
	f.counted[x.Partition] = append(f.counted[x.Partition], x.Records...)
	close(x.done)
}

// land makes the oldest n batches count and returns them; all with n < 0.
func (f *fakeLog) land(n int) []*fakeBatch {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n < 0 {
		n = len(f.batches)
	}
	done := f.batches[:n]
	f.batches = f.batches[n:]
	for _, x := range done {
		f.count(x)
	}
	return done
}

// pending is the number of batches that do not count yet.
func (f *fakeLog) pending() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.batches)
}

// breakDown loses what does not count; nothing is appended until repair.
func (f *fakeLog) breakDown() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.broken = errFenced
	for _, x := range f.batches {
		x.err = errFenced
		close(x.done)
	}
	f.batches = nil
}

// lose refuses the oldest batch and none behind it.
func (f *fakeLog) lose() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.batches[0].err = errFenced
	close(f.batches[0].done)
	f.batches = f.batches[1:]
}

func (f *fakeLog) set(change func(*fakeLog)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

func (f *fakeLog) Read(ctx context.Context, p int32, from topic.Offset, fn func(topic.Offset, []byte, []byte) error) (topic.Offset, error) {
	f.mu.Lock()
	reading := f.reading
	f.mu.Unlock()
	if reading != nil {
		select {
		case <-reading:
		case <-ctx.Done():
			return from, ctx.Err()
		}
	}
	f.mu.Lock()
	records, err := f.counted[p], f.readErr
	f.mu.Unlock()
	if err != nil {
		return from, err
	}
	for ; int(from) < len(records); from++ {
		if err := fn(from, records[from].Key, records[from].Value); err != nil {
			return from, err
		}
	}
	return from, nil
}

func (f *fakeLog) Proof(context.Context, time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.proofs++
	return f.proof
}
