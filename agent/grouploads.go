package agent

import (
	"context"
	"sync"

	"github.com/odradek/odradek/topic"
)

// groupLoads loads the groups of partitions of the offsets topic when this journal has come to own them, and unloads
// them when it gives them away. The calls for one partition take effect one after the other, the newest last.
type groupLoads struct {
	s *session

	mu      sync.Mutex // guards all below
	allowed bool       // what earlier WALs held is appended: the log says all that it will say
	newest  map[topic.Partition]*groupLoad
}

// groupLoad is a load or an unload.
type groupLoad struct {
	epoch  topic.Epoch // loads under this epoch, or unloads what was loaded under an older one
	unload bool
	cancel context.CancelFunc
	done   chan struct{} // closed when it is over; the groups stay loaded
}

func newGroupLoads(s *session) *groupLoads {
	return &groupLoads{s: s, newest: make(map[topic.Partition]*groupLoad)}
}

// start loads the groups of a partition that ingest owns. It does not wait for them: until they are loaded, they are told
// to come back.
func (g *groupLoads) start(p topic.Partition, epoch topic.Epoch) {
	g.mu.Lock()
	defer g.mu.Unlock()
	last := g.newest[p]
	if !g.allowed || last != nil && !last.unload && last.epoch >= epoch {
		return
	}
	g.follow(p, &groupLoad{epoch: epoch}, func(ctx context.Context) { g.s.loadGroup(ctx, p.Index, epoch) })
}

// stop unloads the groups of a partition that were loaded under an epoch below this one: who waits is told to look for
// the new coordinator. The channel is closed when that is done.
func (g *groupLoads) stop(p topic.Partition, epoch topic.Epoch) <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	last := g.newest[p]
	switch {
	case last == nil || !last.unload && last.epoch >= epoch:
		done := make(chan struct{})
		close(done)
		return done
	case last.unload:
		return last.done
	}
	l := &groupLoad{epoch: epoch, unload: true}
	g.follow(p, l, func(context.Context) { g.s.groups.Unload(p.Index) })
	return l.done
}

// stopAll unloads all groups, for good, and waits for it.
func (g *groupLoads) stopAll() {
	g.mu.Lock()
	g.allowed = false
	var loaded []topic.Partition
	for p := range g.newest {
		loaded = append(loaded, p)
	}
	g.mu.Unlock()
	var waits []<-chan struct{}
	for _, p := range loaded {
		waits = append(waits, g.stop(p, maxEpoch))
	}
	for _, done := range waits {
		<-done
	}
}

const maxEpoch = topic.Epoch(1<<31 - 1)

// follow runs l after what was asked of the partition before, which is cut short. The lock is held.
func (g *groupLoads) follow(p topic.Partition, l *groupLoad, run func(context.Context)) {
	ctx, cancel := context.WithCancel(g.s.life)
	l.cancel, l.done = cancel, make(chan struct{})
	last := g.newest[p]
	g.newest[p] = l
	if last != nil {
		last.cancel()
	}
	g.s.background.Go(func() {
		defer close(l.done)
		defer cancel()
		if last != nil {
			<-last.done
		}
		run(ctx)
	})
}

// allow begins to load groups: those of every partition that ingest owns now, and those that it comes to own later.
func (g *groupLoads) allow() {
	g.mu.Lock()
	g.allowed = true
	g.mu.Unlock()
	g.startOwned()
}

// startOwned loads the groups of every partition of the offsets topic that ingest owns, if they are not loaded.
func (g *groupLoads) startOwned() {
	t, ok := g.s.cluster.State().TopicByName(topic.ConsumerOffsets)
	if !ok {
		return
	}
	for i := range t.Partitions() {
		p := topic.Partition{Topic: t.ID, Index: i}
		if epoch, _, ok := g.s.ingest.Owns(p); ok {
			g.start(p, epoch)
		}
	}
}
