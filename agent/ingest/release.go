package ingest

import (
	"context"
	"errors"
	"fmt"

	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/topic"
)

// ErrManyProducers says that a partition cannot be released: its producer state does not fit into a footer.
var ErrManyProducers = errors.New("producer state too large to be released")

// Released is a partition that this journal has given away: nothing is appended behind End under Epoch (M1).
type Released struct {
	Partition topic.Partition
	Epoch     topic.Epoch
	End       topic.Offset
	Slot      topic.Slot // that holds the RELEASE, and counts
}

// release is a RELEASE on its way to count.
type release struct {
	Released
	state []byte        // of the producers, until the slot is frozen
	done  chan struct{} // closed when the slot counts, or the journal is over
	err   error         // valid once done is closed
}

// settle tells who waits how it ended.
func (r *release) settle(err error) {
	r.err = err
	close(r.done)
}

// Release gives partitions away: from the call on none of their batches is admitted, and the slot that follows all those
// that were, or carries the last of them, says where each partition ends and what its producers have done. That slot does
// not wait for the budget. Release returns when it counts; a partition that the caller asks for again joins.
//
// Partitions that the journal does not own are passed over. With an error some of them may have been released or will
// be: nothing takes that back but a newer assignment (P5). ErrManyProducers concerns the partitions that are not in
// the answer, which the journal goes on with.
func (j *Journal) Release(ctx context.Context, ps []topic.Partition) ([]Released, error) {
	leaving, refused := j.leave(ps)
	out := make([]Released, 0, len(leaving))
	for _, r := range leaving {
		select {
		case <-r.done:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if r.err != nil {
			return nil, r.err
		}
		out = append(out, r.Released)
	}
	return out, refused
}

// leave ends the admission of partitions and puts their RELEASEs behind all that was admitted.
func (j *Journal) leave(ps []topic.Partition) (leaving []*release, refused error) {
	defer j.wake()
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err != nil {
		return nil, j.err
	}
	for _, p := range ps {
		r, s := j.released[p], j.partitions[p]
		if r == nil && s != nil {
			// The state is that of everything admitted: all of it lies in slots up to the one that will hold this (M1).
			state := s.admitted.AppendSnapshot(nil)
			if len(state) > maxReleaseBytes {
				refused = errors.Join(refused, fmt.Errorf("%s: %w: %d bytes, at most %d", p, ErrManyProducers, len(state), maxReleaseBytes))
				continue
			}
			r = &release{Released: Released{Partition: p, Epoch: s.epoch, End: s.next}, state: state, done: make(chan struct{})}
			s.leaving = true
			j.released[p] = r
			j.enter(r)
		}
		if r != nil {
			leaving = append(leaving, r)
		}
	}
	return leaving, refused
}

// enter puts a RELEASE into the open buffer. The lock is held.
func (j *Journal) enter(r *release) {
	size := len(r.state) + releaseBytes
	if !j.open.fitsRelease(size) {
		j.close()
	}
	b := j.open
	b.releases = append(b.releases, r)
	b.released += size
	if s := j.partitions[r.Partition]; s.raised > 0 {
		// The slot repeats the log start: the owners to come need to know none of the slots before it (M1).
		b.setStart(segment.LogStart{Partition: r.Partition, Start: s.raised})
	}
	b.urgent, b.lazy = true, false // T3: it overdraws the budget
	if size > sharedReleaseBytes {
		j.close() // a footer of this size leaves no room for a full buffer
	}
}

// freezeReleases takes the RELEASEs of a buffer that is being frozen. From here on nothing is appended under their
// epochs, and not even a duplicate is answered, whatever becomes of the move (P5). The lock is held.
func (j *Journal) freezeReleases(b *buffer) []segment.Release {
	out := make([]segment.Release, 0, len(b.releases))
	for _, r := range b.releases {
		r.Slot = b.slot
		out = append(out, segment.Release{Partition: r.Partition, Epoch: r.Epoch, End: r.End, ProducerState: r.state})
		r.state = nil
		if s := j.partitions[r.Partition]; s != nil && s.epoch == r.Epoch {
			delete(j.partitions, r.Partition)
		}
	}
	return out
}

// Lose forgets partitions whose newest assignment is another journal's, at a higher epoch than this journal's. Most were
// released before.
func (j *Journal) Lose(p topic.Partition, epoch topic.Epoch) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if s := j.partitions[p]; s != nil && s.epoch < epoch {
		delete(j.partitions, p)
	}
	if r := j.released[p]; r != nil && r.Epoch < epoch {
		delete(j.released, p)
	}
}

// Close admits nothing more and returns when all that was admitted counts. Whoever comes later is told to look the owner
// up; a duplicate of what was admitted is answered as before.
func (j *Journal) Close(ctx context.Context) error {
	j.mu.Lock()
	j.closing = true
	j.mu.Unlock()
	return j.Flush(ctx)
}
