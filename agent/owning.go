package agent

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/odradek/odradek/objectstore"

	"github.com/odradek/odradek/agent/cluster"
	"github.com/odradek/odradek/agent/ingest"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/topic"
)

const (
	retryGain = time.Second // before what a partition needs is loaded again
	gainAhead = 4096        // partitions whose state is loaded at once: they share what is read for it
)

// owning takes partitions over that other journals had: what they need is loaded off the control path, and only then
// does ingest own them (F5). A newer assignment ends a load that is under way.
type owning struct {
	s       *session
	load    chan struct{} // holds one for each load under way; capacity gainAhead
	between between       // clients that wait

	mu    sync.Mutex // guards what follows, and that ingest owns nothing that a newer assignment gave away
	gains map[topic.Partition]gain
}

// gain is a partition that is being taken over.
type gain struct {
	epoch  topic.Epoch
	cancel context.CancelFunc
}

func newOwning(s *session) *owning {
	return &owning{s: s, load: make(chan struct{}, gainAhead), between: between{s: s}, gains: make(map[topic.Partition]gain)}
}

// newest says whether an assignment is the newest one of its partition, and this journal's.
func (o *owning) newest(a control.Assignment) bool {
	now, ok := o.s.cluster.State().Owner(a.Partition)
	return ok && now.Epoch == a.Epoch && now.Journal == o.s.journal
}

// begin starts to take a partition over. Gained waits for whatever that needs; over is called when the partition is
// owned, or never will be under this assignment.
func (o *owning) begin(a control.Assignment, over func()) {
	ctx, cancel := context.WithCancel(o.s.life)
	o.mu.Lock()
	defer o.mu.Unlock()
	if was, ok := o.gains[a.Partition]; ok {
		if was.epoch >= a.Epoch {
			cancel()
			over()
			return
		}
		was.cancel()
	}
	o.gains[a.Partition] = gain{a.Epoch, cancel}
	o.s.background.Go(func() {
		defer over()
		defer cancel()
		o.take(ctx, a)
	})
}

// take loads what a partition needs, again until it is there, and owns it.
func (o *owning) take(ctx context.Context, a control.Assignment) {
	select {
	case o.load <- struct{}{}:
		defer func() { <-o.load }()
	case <-ctx.Done():
		return
	}
	began := time.Now()
	ctx = objectstore.Because(ctx, objectstore.ReasonRecovery)
	for {
		taken, err := o.s.cluster.Gained(ctx, a)
		if err == nil {
			o.own(a, taken, time.Since(began))
			return
		}
		if ctx.Err() != nil || !o.newest(a) {
			o.forget(a)
			return
		}
		slog.WarnContext(ctx, "partition not taken over yet, trying again", "partition", a.Partition.String(),
			"epoch", a.Epoch, "base", a.Base, "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(retryGain):
		}
	}
}

// own hands a partition to ingest, unless a newer assignment was applied meanwhile.
func (o *owning) own(a control.Assignment, taken cluster.Taken, took time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.drop(a)
	state := o.s.cluster.State()
	t, ok := state.TopicByID(a.Partition.Topic)
	if !ok || !o.newest(a) {
		return // whoever applies what came will tell, under the same lock: nothing is owned that was given away
	}
	start, _ := o.s.fetch.Bounds(a.Partition)
	o.s.ingest.Own(ingest.Ownership{
		Partition: a.Partition, Epoch: a.Epoch, Base: a.Base, Start: start, Producers: taken.Producers, Limits: o.s.limits(state, t),
	})
	o.s.agent.metrics.gained.Inc()
	slog.Debug("partition taken over", "partition", a.Partition.String(), "epoch", a.Epoch, "base", a.Base, "took", took)
	if holdsGroups(state, a.Partition) {
		o.s.groupLoads.start(a.Partition, a.Epoch)
	}
}

func (o *owning) forget(a control.Assignment) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.drop(a)
}

// drop takes a gain off the list, if it is this assignment's. The lock is held.
func (o *owning) drop(a control.Assignment) {
	if o.gains[a.Partition].epoch == a.Epoch {
		delete(o.gains, a.Partition)
	}
}

// lose ends what this journal does for a partition whose newest assignment has this epoch: nothing more is admitted under
// an older one. It does not block.
func (o *owning) lose(p topic.Partition, epoch topic.Epoch) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if g, ok := o.gains[p]; ok && g.epoch < epoch {
		g.cancel()
		delete(o.gains, p)
	}
	o.s.ingest.Lose(p, epoch)
}

// takeAll takes partitions over and returns when each of them is owned or somebody else's.
func (o *owning) takeAll(ctx context.Context, as []control.Assignment) error {
	var left sync.WaitGroup
	for _, a := range as {
		left.Add(1)
		o.begin(a, left.Done)
	}
	done := make(chan struct{})
	go func() { // ends with the session's life at the latest: every gain does
		defer close(done)
		left.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
