package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"runtime/debug"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"github.com/odradek/odradek/agent/cluster"
	"github.com/odradek/odradek/agent/retention"
	"github.com/odradek/odradek/agent/settings"
	"github.com/odradek/odradek/agent/verify"
	"github.com/odradek/odradek/compaction"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/bucket"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

var (
	errNoCluster = errors.New("no cluster here")
	// errNoRedis says that nobody could tell which slots count, nor who else uses the bucket.
	errNoRedis = errors.New("--redis is missing: without the agents' Redis only a directory that no agent has can be compacted")
)

const (
	eraWait  = 30 * time.Second // until one run of the compactor gives up that an era opens
	endReads = 8                // ends of slots read at once where no Redis tells them
)

// RunCompactor looks after what a cluster stores, as an agent with the role compactor does, without serving anybody: it opens
// no journal and owns nothing. With once it does what there is to do now, and returns; else it goes on until ctx ends. A
// directory as bucket is shared with agents that have a Redis; without one it must be this process's alone.
func RunCompactor(ctx context.Context, s settings.Settings, once bool, out io.Writer) error {
	if err := clusterIn(ctx, s); err != nil {
		return err
	}
	share := divideAlone(s.Memory)
	debug.SetMemoryLimit(share.heap)
	a := &agent{settings: s, banner: out, registry: prometheus.NewRegistry()}
	a.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	a.metrics = &metrics{process: a.registry}
	a.metrics.ofRedis(a.registry)
	a.registry.MustRegister(readyGauge(a))
	a.settings.Roles = []string{settings.RoleCompactor} // what its metrics say it is
	a.current.set("starting")
	if err := a.chaos.begin(a.registry); err != nil {
		return err
	}
	stopOps, err := a.serveOps(ctx)
	if err != nil {
		return err
	}
	defer stopOps()
	defer a.printMetrics(ctx)()
	closeDevices, err := a.openShared(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil
	case err != nil:
		return err
	}
	defer closeDevices()
	c, err := a.newLone(ctx, share)
	if err != nil {
		return err
	}
	defer c.Stop()
	return c.run(ctx, once)
}

// clusterIn looks whether there is a cluster that can be compacted, before anything is locked or made.
func clusterIn(ctx context.Context, s settings.Settings) error {
	if s.Stores.Redis == settings.RedisEmbedded && !strings.HasPrefix(s.Stores.Bucket, "file:") {
		return errNoRedis
	}
	store, where, err := bucket.OpenToRead(ctx, s.Stores.Bucket)
	if err != nil {
		return err
	}
	_, err = store.Head(ctx, slotlog.ControlKey(0))
	if errors.Is(err, objectstore.ErrNotFound) {
		err = errNoCluster
	}
	if err != nil {
		return fmt.Errorf("%s: %w", where.Text, err)
	}
	return nil
}

// loneShares is --memory divided for a process that does nothing but compact.
type loneShares struct {
	merge int64 // what one job takes out of slots
	keys  int64 // the map of a cleaning by key
	heap  int64 // what the collector keeps the heap below; the rest is the program itself, and stacks
}

func divideAlone(memory settings.Bytes) loneShares {
	m := int64(memory)
	return loneShares{merge: min(m/8, mostMerge), keys: m * 3 / 8, heap: m - max(m/8, min(64<<20, m/2))}
}

// openShared opens and probes bucket and Redis. A directory is locked with others that have the same Redis, or alone.
func (a *agent) openShared(ctx context.Context) (func(), error) {
	closeDevices, err := a.openBucket(ctx)
	if err != nil {
		return nil, err
	}
	if a.meta, err = a.openMetadata(ctx); err != nil {
		closeDevices()
		return nil, err
	}
	a.meta = a.chaos.metadata(a.meta)
	return func() { a.meta.Close(); closeDevices() }, nil
}

// lone is a compactor without an agent.
type lone struct {
	*cluster.Engine
	agent     *agent
	peers     *peers // nil: the bucket is this process's alone
	ends      map[topic.JournalID]topic.Slot
	compactor *compaction.Compactor
}

func (a *agent) newLone(ctx context.Context, share loneShares) (*lone, error) {
	set := a.settings
	c := &lone{agent: a, ends: make(map[topic.JournalID]topic.Slot)}
	c.Engine = cluster.New(cluster.Config{Build: Build, Lease: set.Lease, Base: a.heir.Base()}, a.store.For(objectstore.ReasonControl), a.meta)
	if err := c.Start(ctx); err != nil {
		c.Stop()
		return nil, fmt.Errorf("read the control log: %w", err)
	}
	if set.Stores.Redis != settings.RedisEmbedded {
		c.peers = newPeers(a.meta, c.State, set.Lease)
	} else if err := c.findEnds(ctx); err != nil {
		c.Stop()
		return nil, err
	}
	cfg := compaction.Config{Slots: set.Checkpoint.Slots, Interval: set.Checkpoint.Interval}
	cfg = compacting(cfg, set)
	cfg.Merge.InputBytes, cfg.Keys.MapBytes = share.merge, share.keys
	if set.Memory >= largeHeap {
		cfg.Merge.ObjectBytes = stepsOfObject * share.merge
	}
	cfg.Open, cfg.Ranked = c.open, c.ranked
	cfg.Keys.Values = func(s *control.State, t *control.Topic) topic.Values {
		config, _ := s.Config()
		return topic.Values{Topic: t.Config, Cluster: topic.Cluster{config, set.Kafka}}
	}
	cfg.Keys.Now = func(ctx context.Context) (time.Time, error) { return retention.Time(ctx, a.clocks(c.peers != nil)) }
	cfg.Forks = forks{a.openPlace}
	c.compactor = compaction.New(c, a.store.For(objectstore.ReasonCompaction), cfg)
	registerCheckpoints(a.registry, c.standing, c.compactor.Stats)
	return c, nil
}

// run works until ctx ends, or until nothing is left to do.
func (c *lone) run(ctx context.Context, once bool) error {
	inner, stop := context.WithCancel(ctx)
	defer stop()
	g, inner := errgroup.WithContext(inner)
	g.Go(func() error { return c.Follow(inner) })
	if c.peers != nil {
		g.Go(func() error { return c.peers.run(inner) })
	}
	c.agent.current.ready()
	fmt.Fprintf(c.agent.banner, "odradek %s compacts cluster %s (%s) in %s\n", Build, c.agent.settings.Cluster, c.State().ClusterID(), c.agent.where.Text)
	done := false
	g.Go(func() error {
		if !once {
			return c.compactor.Run(inner)
		}
		defer stop()
		if err := c.awaitEra(inner); err != nil {
			return err
		}
		if err := c.compactor.Once(inner); err != nil {
			return err
		}
		done = true
		return nil
	})
	err := g.Wait()
	switch {
	case done:
		c.tellDone()
		return nil
	case ctx.Err() != nil:
		return nil
	}
	return err
}

// awaitEra waits until an era is open, as far as this process knows.
func (c *lone) awaitEra(ctx context.Context) error {
	limit := time.NewTimer(eraWait)
	defer limit.Stop()
	tick := time.NewTicker(eraWait / 300)
	defer tick.Stop()
	for !c.open() {
		select {
		case <-tick.C:
		case <-limit.C:
			return fmt.Errorf("%w in %s: nothing is compacted before agents have built its index", compaction.ErrNoEra, c.agent.settings.Stores.Redis)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

func (c *lone) tellDone() {
	s := c.compactor.Stats()
	jobs := int64(0)
	for _, n := range s.Jobs {
		jobs += n
	}
	fmt.Fprintf(c.agent.banner, "checkpoints made: %d; jobs done: %d, which read %d bytes and wrote %d; journals trimmed: %d\n",
		s.Built, jobs, s.Read, s.Written, s.Trims)
	slog.Debug("compacted", "stats", s)
}

// open says whether an era is open, or nobody but this process can be there, who would build one (R4).
func (c *lone) open() bool {
	if c.peers == nil {
		return true
	}
	return c.peers.open()
}

// Counted implements compaction.Log: what agents can read by the open era, or what is in a bucket that nobody writes to.
func (c *lone) Counted(j topic.JournalID) topic.Slot {
	if known, ok := c.State().Journal(j); ok && known.Sealed {
		return known.SealSlot
	}
	if c.peers == nil {
		return c.ends[j]
	}
	return c.peers.indexed(j)
}

// ranked shares the work with others of its kind.
func (c *lone) ranked(_ *control.State, item topic.JournalID) (place, of int) {
	if c.peers == nil {
		return 0, 1
	}
	return c.peers.rank(item)
}

// findEnds finds how far open journals got: nobody goes on with them while the bucket is this process's.
func (c *lone) findEnds(ctx context.Context) error {
	for _, j := range c.State().OpenJournals() {
		from, err := slotlog.FirstToSeal(ctx, c.agent.store.For(objectstore.ReasonIndex), j.ID, j.Trim, j.K)
		if err != nil {
			return fmt.Errorf("find the end of journal %s: %w", j.ID, err)
		}
		c.ends[j.ID] = from
		err = verify.EachTail(ctx, c.agent.store.For(objectstore.ReasonIndex), j.ID, from, math.MaxUint64, endReads, func(t verify.Tail) (bool, error) {
			if t.Kind != slotlog.Data {
				return false, nil
			}
			c.ends[j.ID] = t.Slot + 1
			return true, nil
		})
		if err != nil {
			return fmt.Errorf("find the end of journal %s: %w", j.ID, err)
		}
	}
	return nil
}

// standing implements what an agent's session tells of checkpoints.
func (c *lone) standing() standing { return standingAt(c.State(), c.Counted) }

// clocks are what says what is old.
func (a *agent) clocks(redis bool) []retention.Witness {
	witnesses := []retention.Witness{
		{Name: "this machine", Now: func(context.Context) (time.Time, error) { return time.Now(), nil }},
		{Name: "bucket", Now: func(ctx context.Context) (time.Time, error) { return objectstore.Date(ctx, a.store) }},
	}
	if redis {
		witnesses = append(witnesses, retention.Witness{
			Name: "redis", Now: func(ctx context.Context) (time.Time, error) { return metadata.Time(ctx, a.meta) },
		})
	}
	return witnesses
}
