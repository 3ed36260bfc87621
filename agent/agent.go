package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/semaphore"

	"github.com/odradek/odradek/agent/cluster"
	"github.com/odradek/odradek/agent/fetch"
	"github.com/odradek/odradek/agent/ops"
	"github.com/odradek/odradek/agent/otlp"
	"github.com/odradek/odradek/agent/place"
	"github.com/odradek/odradek/agent/settings"
	"github.com/odradek/odradek/compaction"
	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/metadata/embedded"
	"github.com/odradek/odradek/metadata/redis"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/bucket"
	"github.com/odradek/odradek/objectstore/local"
	"github.com/odradek/odradek/objectstore/meter"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
	"github.com/odradek/odradek/wal"
)

const (
	probeTime        = 15 * time.Second // of one probe: a bucket that swallows requests is away, too
	retryOpen        = 2 * time.Second  // between attempts to reach a bucket that is away at start
	retrySession     = time.Second      // before the next journal is opened; twice as long each time that fails
	retrySessionMost = 5 * time.Second
	maxSegments      = 48 << 20 // largest flush size that leaves room for a batch and a footer in a slot
)

// errNothingToRun is of an agent without the role that makes it one.
var errNothingToRun = fmt.Errorf("an agent has the role %s; to look after what is stored and nothing else, run `odradek compact`", settings.RoleBroker)

// Build names this build, for people.
var Build = "dev"

// Last keeps the newest warnings and errors of the process's log, for `odradek debug bundle`. Whoever makes the log fills it.
var Last ops.Last

// agent is the devices that outlive a journal.
type agent struct {
	settings   settings.Settings
	banner     io.Writer
	registry   *prometheus.Registry
	metrics    *metrics
	store      *meter.Store
	where      bucket.Description
	heir       *cluster.Heir // below store: what a fork has of its ancestors
	meta       metadata.Store
	disk       *wal.Directory
	frames     *semaphore.Weighted
	pending    *semaphore.Weighted // bytes admitted that do not count yet
	place      place.Place
	opened     map[topic.JournalID]bool // journals opened by this process
	shown      fetch.Shown
	current    health
	compaction compaction.Config    // when checkpoints are made: the default, but in tests
	elapsed    func() time.Duration // a clock that never jumps; nil: this machine's, but in tests
	traces     *otlp.Tracer         // nil unless requests are traced
	chaos      injection            // nothing, unless this binary is built to break
}

// Run is an agent from start to end. It returns nil after ctx ended and everything acked is safe.
func Run(ctx context.Context, s settings.Settings, banner io.Writer) error {
	if !s.Has(settings.RoleBroker) {
		return errNothingToRun
	}
	limitHeap(s.Memory)
	share := divide(s.Memory)
	a := &agent{
		settings: s, banner: banner, registry: prometheus.NewRegistry(), opened: make(map[topic.JournalID]bool),
		frames: semaphore.NewWeighted(share.frames), pending: semaphore.NewWeighted(share.pending),
	}
	a.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	a.metrics = newMetrics(a.registry, a)
	a.metrics.process = a.registry
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
	stopTraces, err := a.traceRequests(ctx)
	if err != nil {
		return err
	}
	defer stopTraces()
	defer a.serveDebug(ctx)()
	closeDevices, err := a.openDevices(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil // it was told to stop while it waited for its bucket
	case err != nil:
		return err
	}
	defer closeDevices()
	return a.sessions(ctx)
}

// sessions runs one journal after the other until ctx ends. A fenced journal is followed by a new one, except where
// the index is in memory: there another process has taken the bucket over, and this one goes (B5).
func (a *agent) sessions(ctx context.Context) error {
	var damaged damage
	for pause := retrySession; ; {
		err := a.session(ctx)
		if ctx.Err() != nil {
			return nil
		}
		switch {
		case errors.Is(err, slotlog.ErrImpostor), !retriable(err), damaged.lasts(err):
			return err
		case errors.Is(err, slotlog.ErrFenced) && a.settings.Stores.Redis == settings.RedisEmbedded:
			return fmt.Errorf("another agent has taken this bucket over: %w", err)
		}
		if errors.Is(err, errNotOpened) {
			slog.ErrorContext(ctx, "no journal can be opened yet, trying again", "error", err, "in", pause)
			a.current.set(fmt.Sprintf("waiting until a journal can be opened: %v", err))
		} else {
			slog.ErrorContext(ctx, "journal is over, opening a new one", "error", err)
			a.current.set("opening a new journal")
			a.metrics.restarts.Inc()
			pause = retrySession
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		pause = min(2*pause, retrySessionMost)
	}
}

// retriable tells a journal that ended, or a bucket that is away, from what a person must mend.
func retriable(err error) bool {
	for _, final := range []error{
		cluster.ErrForeign, cluster.ErrForgotten, cluster.ErrNodeID, cluster.ErrUnreadable, cluster.ErrEnded, errListen, wal.ErrLocked, wal.ErrVersion,
	} {
		if errors.Is(err, final) {
			return false
		}
	}
	return true
}

// openBucket opens and probes the bucket, which is locked if it is a directory.
func (a *agent) openBucket(ctx context.Context) (func(), error) {
	store, where, err := bucket.Open(ctx, a.settings.Stores.Bucket)
	if err != nil {
		return nil, err
	}
	a.where, a.heir = where, cluster.NewHeir(store, a.openToRead)
	prices, err := meter.PricesFor(a.settings.Prices, a.settings.Stores.Bucket)
	if err != nil {
		return nil, err
	}
	if a.store, err = meter.New(a.chaos.bucket(a.heir), a.registry, prices); err != nil {
		return nil, err
	}
	lock, err := a.lockBucket()
	if err != nil {
		return nil, err
	}
	unlock := func() {}
	if lock != nil {
		unlock = func() { lock.Unlock() }
	}
	if err := a.probe(ctx); err != nil {
		unlock()
		return nil, err
	}
	if err := a.learn(ctx); err != nil {
		unlock()
		return nil, err
	}
	return unlock, nil
}

// openDevices opens and probes bucket, Redis and data directory.
func (a *agent) openDevices(ctx context.Context) (func(), error) {
	var closers []func()
	closeAll := func() {
		for i := len(closers) - 1; i >= 0; i-- {
			closers[i]()
		}
	}
	unlock, err := a.openBucket(ctx)
	if err != nil {
		return nil, err
	}
	closers = append(closers, unlock)
	if a.meta, err = a.openMetadata(ctx); err != nil {
		closeAll()
		return nil, err
	}
	a.meta = a.chaos.metadata(a.meta)
	closers = append(closers, func() { a.meta.Close() })
	a.disk, err = wal.OpenDirectory(a.settings.DataDir, a.chaos.disk(wal.OSDisk{}))
	if err != nil {
		closeAll()
		return nil, err
	}
	closers = append(closers, func() { a.disk.Close() })
	return closeAll, nil
}

// lockBucket takes a directory bucket: alone with the index in memory, shared with a Redis.
func (a *agent) lockBucket() (*local.Lock, error) {
	switch {
	case a.where.Directory == nil:
		return nil, nil
	case a.settings.Stores.Redis == settings.RedisEmbedded:
		return a.where.Directory.Lock()
	}
	return a.where.Directory.LockShared()
}

// probe makes sure that the bucket decides between two writers (B1). A bucket that is away is waited for.
func (a *agent) probe(ctx context.Context) error {
	for {
		limited, cancel := context.WithTimeout(ctx, probeTime)
		err := bucket.Probe(limited, a.store.For(objectstore.ReasonProbe))
		cancel()
		if err == nil || errors.Is(err, bucket.ErrUnconditional) {
			return err
		}
		if a.where.Scheme == "file" && !errors.Is(err, syscall.ENOSPC) {
			return err // a person must mend that; a full disk may be emptied while this waits
		}
		slog.ErrorContext(ctx, "bucket cannot be used yet, trying again", "bucket", a.where.Text, "error", err)
		a.current.set("waiting for the bucket")
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(retryOpen):
		}
	}
}

func (a *agent) openMetadata(ctx context.Context) (metadata.Store, error) {
	if a.settings.Stores.Redis == settings.RedisEmbedded {
		return embedded.Open(), nil
	}
	return redis.Open(ctx, redis.Config{
		URL: a.settings.Stores.Redis, Password: a.settings.Stores.RedisPassword.Reveal(), Cluster: a.heir.IndexName(a.settings.Cluster),
		Observe: a.metrics.askedRedis,
	})
}

// serveOps starts the HTTP side, which lives as long as the process: an agent that waits for its bucket says so there.
func (a *agent) serveOps(ctx context.Context) (stop func(), err error) {
	if a.settings.Network.HTTP == settings.None {
		return func() {}, nil
	}
	l, err := net.Listen("tcp", a.settings.Network.HTTP)
	if err != nil {
		return nil, fmt.Errorf("http: %w", err)
	}
	cfg := a.opsConfig()
	cfg.Pprof, cfg.Also = a.settings.Network.Pprof, a.chaos.paths()
	return runServer(ctx, ops.NewServer(l, cfg)), nil
}

func (a *agent) opsConfig() ops.Config {
	return ops.Config{Ready: a.current.reasons, Metrics: a.metrics, Log: slog.Default()}
}

// serveDebug starts what `odradek debug bundle` asks, on a socket in the data directory. An agent does without it where that
// cannot be: another agent has the directory, or its path is too long for a socket.
func (a *agent) serveDebug(ctx context.Context) (stop func()) {
	err := os.MkdirAll(a.settings.DataDir, 0o755)
	var l net.Listener
	if err == nil {
		l, err = ops.ListenDebug(a.settings.DataDir)
	}
	if err != nil {
		slog.InfoContext(ctx, "no socket for odradek debug", "error", err)
		return func() {}
	}
	return runServer(ctx, ops.NewDebugServer(l, ops.Debug{
		Config: a.opsConfig(), Version: Build, Settings: a.settings.Lines(), Last: &Last,
	}))
}

// runServer runs a server until the function that it returns is called.
func runServer(ctx context.Context, server *ops.Server) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Run(ctx); err != nil {
			slog.ErrorContext(ctx, "http ended", "error", err)
		}
	}()
	return func() { cancel(); <-done }
}

// walPath is where the rings are, for people.
func (a *agent) walPath() string { return filepath.Clean(a.settings.DataDir) }
