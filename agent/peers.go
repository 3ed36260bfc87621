package agent

import (
	"context"
	"crypto/rand"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/placement"
	"github.com/odradek/odradek/topic"
)

const (
	beatsPerLease = 5               // of a compactor
	peersMost     = time.Second     // between two looks at Redis
	peersTimeout  = 5 * time.Second // of one of them
)

// peers is what Redis tells a compactor that is no agent: whether the newest era is open, up to where agents can read
// each journal, and which other compactors live. Each beats there under an id of its own, as journals do; no journal has it.
// It decides who works first, and proves nothing: two who do the same work make some garbage. Safe for concurrent use.
type peers struct {
	meta  metadata.Store
	state func() *control.State
	lease time.Duration
	me    topic.JournalID

	mu       sync.Mutex // guards all below
	era      metadata.Pin
	seen     time.Time                      // that era was open then; zero: it is not
	next     map[topic.JournalID]topic.Slot // slots below were indexed: they count for ever
	counters map[topic.JournalID]uint64
	moved    map[topic.JournalID]time.Time // when a peer's counter was first seen there
}

func newPeers(meta metadata.Store, state func() *control.State, lease time.Duration) *peers {
	p := &peers{
		meta: meta, state: state, lease: lease, next: make(map[topic.JournalID]topic.Slot),
		counters: make(map[topic.JournalID]uint64), moved: make(map[topic.JournalID]time.Time),
	}
	rand.Read(p.me[:])
	return p
}

// run looks and beats until ctx ends, and then says that it is gone.
func (p *peers) run(ctx context.Context) error {
	tick := time.NewTicker(min(p.lease/beatsPerLease, peersMost))
	defer tick.Stop()
	for {
		if err := p.look(ctx); err != nil && ctx.Err() == nil {
			slog.DebugContext(ctx, "redis does not tell what is indexed", "error", err)
		}
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			if pin := p.pin(); pin.Era > 0 {
				_ = p.meta.Remove(last, pin, []topic.JournalID{p.me}) // a counter that stands still says the same, later
			}
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

func (p *peers) pin() metadata.Pin {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.era
}

// look asks Redis once.
func (p *peers) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, peersTimeout)
	defer cancel()
	newest, ok := p.state().NewestEra()
	if !ok {
		return metadata.ErrNotOpen
	}
	pin := metadata.Pin{Era: uint64(newest.Number), RunID: newest.RunID, ReplicationID: newest.ReplicationID}
	asked := time.Now()
	status, err := p.meta.Current(ctx, pin.Era)
	if err != nil {
		return err
	}
	if !status.Open() || status.RunID != pin.RunID || status.ReplicationID != pin.ReplicationID {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.seen = time.Time{}
		return metadata.ErrNotOpen
	}
	if p.pin() != pin {
		if err := p.meta.Register(ctx, pin, p.me, "compactor"); err != nil {
			return err
		}
	}
	if err := p.meta.Beat(ctx, pin, p.me); err != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.era = metadata.Pin{} // registered anew by the next look
		return err
	}
	counters, err := p.meta.Counters(ctx, pin)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.era, p.seen = pin, asked
	for j, at := range status.Journals {
		p.next[j] = max(p.next[j], at.Next)
	}
	for id, n := range counters {
		if have, ok := p.counters[id]; !ok || have != n {
			p.moved[id] = asked
		}
	}
	for id := range p.moved {
		if _, ok := counters[id]; !ok {
			delete(p.moved, id)
		}
	}
	p.counters = counters
	return nil
}

// open says whether the newest era was open a moment ago (R4).
func (p *peers) open() bool {
	newest, ok := p.state().NewestEra()
	p.mu.Lock()
	defer p.mu.Unlock()
	return ok && p.era.Era == uint64(newest.Number) && !p.seen.IsZero() && time.Since(p.seen) < 2*p.lease
}

// indexed gives the first slot of a journal that was not in the index when that was looked at.
func (p *peers) indexed(j topic.JournalID) topic.Slot {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.next[j]
}

// rank gives this compactor's place among those that live.
func (p *peers) rank(item topic.JournalID) (place, of int) {
	s := p.state()
	p.mu.Lock()
	defer p.mu.Unlock()
	live := []topic.JournalID{p.me}
	for id, at := range p.moved {
		if _, journal := s.Journal(id); !journal && id != p.me && time.Since(at) < p.lease {
			live = append(live, id)
		}
	}
	return slices.Index(placement.Rank(item, live), p.me), len(live)
}
