package agent

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/odradek/odradek/agent/retention"
	"github.com/odradek/odradek/compaction"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/faulty"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

// Faults of what compaction makes, and of those who make it.

// compactedDamaged changes or takes away compacted objects that records are read from, for a while.
func (f *simFault) compactedDamaged(p *simPool) {
	state, _, err := p.controlLog()
	if err != nil {
		return
	}
	var keys []string
	for o := range state.Objects() {
		if f.r.IntN(2) == 0 {
			keys = append(keys, o.Key())
		}
	}
	if len(keys) == 0 {
		return
	}
	f.begins(p, fmt.Sprintf("%d objects", len(keys)))
	defer p.book.troubles()()
	var backs []func()
	for _, key := range keys {
		var with []byte
		if was, err := p.bucket.Get(context.Background(), key); err == nil && f.r.IntN(2) == 0 {
			with = damaged(was, f.r.Float64(), byte(1+f.r.IntN(255)), f.r.IntN(2) == 0)
		}
		backs = append(backs, p.swap(key, with))
	}
	if f.r.IntN(3) == 0 { // who begins anew has nothing of them in memory
		f.needed(p)
	}
	time.Sleep(f.lasts)
	for _, back := range backs {
		back()
	}
	p.book.extra[simCompactedSpoiled].Add(int64(len(keys)))
}

// compactedSlow lets what agents read and write of compacted objects take so long that others come first; some of what they
// write lands later, when it is garbage.
func (f *simFault) compactedSlow(p *simPool) {
	xs := f.some(p)
	f.begins(p, names(xs))
	defer p.book.troubles(xs...)()
	for _, x := range xs {
		r := p.draws(fmt.Sprintf("slow compaction %d of %s", f.number, x.name))
		x.bucket.SetScript(func(c faulty.Call) faulty.Fault {
			of := x.bucketScript(c)
			if strings.HasPrefix(c.Key, topic.CompactedPrefix) {
				of.Delay += time.Duration(r.Int64N(int64(3 * time.Second)))
				of.Late = of.Late || c.Kind == objectstore.KindCreate && r.IntN(4) == 0
				if of.Late {
					time.AfterFunc(time.Duration(r.Int64N(int64(20*time.Second))), func() { x.bucket.Land(context.Background()) })
				}
			}
			return of
		})
	}
	time.Sleep(2 * f.lasts)
	for _, x := range xs {
		x.bucket.SetScript(x.bucketScript)
	}
}

// The steps after which an agent is killed.
var simSteps = [...]string{"an output is there", "its MANIFEST counts", "a TRIM counts", "some garbage is deleted"}

// killedAtCompaction kills an agent between two steps of compaction.
func (f *simFault) killedAtCompaction(p *simPool) {
	x := f.victim(p, true)
	if x == nil {
		return
	}
	step, after := f.r.IntN(len(simSteps)), 1+f.r.IntN(3)
	var caught atomic.Bool
	var wrote []string // keys of objects and of control numbers
	deletes := 0
	x.bucket.SetScript(func(c faulty.Call) faulty.Fault {
		switch {
		case c.Kind == objectstore.KindDelete && !strings.HasPrefix(c.Key, "checkpoint"):
			if deletes++; step == 3 && deletes > after {
				caught.Store(true)
			}
		case c.Kind == objectstore.KindCreate && (strings.HasPrefix(c.Key, topic.CompactedPrefix) || strings.HasPrefix(c.Key, slotlog.ControlPrefix)):
			x.mu.Lock()
			wrote = append(wrote, c.Key)
			x.mu.Unlock()
		}
		return x.bucketScript(c)
	})
	for wait := 0; wait < 2000 && !caught.Load() && !x.isDead(); wait++ {
		time.Sleep(5 * time.Millisecond)
		x.mu.Lock()
		keys := wrote
		wrote = nil
		x.mu.Unlock()
		for _, key := range keys {
			is, arrived := p.stepOf(key)
			if !arrived {
				x.mu.Lock()
				wrote = append(wrote, key)
				x.mu.Unlock()
			} else if is == step {
				caught.Store(true)
			}
		}
	}
	if !caught.Load() || x.isDead() {
		x.bucket.SetScript(x.bucketScript)
		return
	}
	f.begins(p, x.name+" when "+simSteps[step])
	p.book.troubles(x)
	x.kill()
	p.book.extra[simKilledAtCompaction].Add(1)
	time.Sleep(f.lasts / 4)
	p.again(x.on)
}

// stepOf says which step of compaction an object is, if it is there.
func (p *simPool) stepOf(key string) (step int, arrived bool) {
	ctx := context.Background()
	n, err := slotlog.ParseControlKey(key)
	if err != nil {
		_, err := p.bucket.Head(ctx, key)
		return 0, err == nil
	}
	payload, err := slotlog.ReadControl(ctx, p.bucket, n)
	if err != nil {
		return -1, false
	}
	records, err := control.Decode(payload)
	if err != nil {
		return -1, true
	}
	for _, r := range records {
		switch r.(type) {
		case control.Manifest:
			return 1, true
		case control.Trim:
			return 2, true
		}
	}
	return -1, true
}

// compactsForAnother lets an agent do another one's share of compaction and garbage beside its own, as one does that takes
// itself for alone: two work at the same at once.
func (f *simFault) compactsForAnother(p *simPool) {
	x, of := f.victim(p, true), f.victim(p, true)
	if x == nil || x == of {
		return
	}
	s, other := x.session(), of.session()
	if s == nil || other == nil {
		return
	}
	f.begins(p, fmt.Sprintf("%s for %s", x.name, of.name))
	set := s.agent.settings
	cfg := s.agent.compaction
	cfg.Journal, cfg.Slots, cfg.Interval = other.journal, set.Checkpoint.Slots, set.Checkpoint.Interval
	cfg = compacting(cfg, set)
	cfg.Open, cfg.Keys.Values = s.eraOpen, s.values
	cfg.Keys.Now = func(ctx context.Context) (time.Time, error) { return retention.Time(ctx, s.witnesses()) }
	ctx, cancel := context.WithTimeout(context.Background(), 2*f.lasts)
	defer cancel()
	c := compaction.New(compactionLog{s.cluster}, s.agent.store, cfg)
	_ = c.Run(ctx)
	did := c.Stats()
	for _, n := range did.Jobs {
		p.book.extra[simJobsForAnother].Add(n)
	}
	p.book.extra[simJobsLost].Add(did.JobsLost)
}
