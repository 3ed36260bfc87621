package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/odradek/odradek/agent/api"
	"github.com/odradek/odradek/agent/cluster"
	"github.com/odradek/odradek/agent/copies"
	"github.com/odradek/odradek/agent/fetch"
	"github.com/odradek/odradek/agent/group"
	"github.com/odradek/odradek/agent/ingest"
	"github.com/odradek/odradek/agent/ops"
	"github.com/odradek/odradek/agent/place"
	"github.com/odradek/odradek/agent/retention"
	"github.com/odradek/odradek/agent/settings"
	"github.com/odradek/odradek/agent/wire"
	"github.com/odradek/odradek/compaction"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
	"github.com/odradek/odradek/wal"
)

const (
	endpointKafka = "kafka" // name of the endpoint that clients use
	endpointHTTP  = "http"  // of the one that tells health and metrics, for the commands that ask agents
	watchWALEvery = time.Second
	drainTimeout  = 20 * time.Second // for what is admitted to count when the agent stops
)

var (
	errListen    = errors.New("cannot listen")
	errNotOpened = errors.New("boot") // the journal was not opened
)

// session is the life of one journal and of everything that belongs to it.
type session struct {
	agent   *agent
	journal topic.JournalID
	cluster *cluster.Engine
	ids     *cluster.ProducerIDs
	fetch   *fetch.Engine
	slots   *slotlog.Writer
	ingest  *ingest.Journal
	wal     *wal.WAL
	groups  *group.Coordinator
	copies  *copies.Writer // nil with the index in memory
	news    *news          // what control records ask of parts that may block
	turns   turnover       // of partitions that were lost
	moves   moves          // that were asked for

	owning     *owning
	groupLoads *groupLoads
	balancing  *balancer             // runs where there may be other agents
	compactor  *compaction.Compactor // nil if this agent is told to leave that to others
	retention  *retention.Engine
	replayed   chan struct{}        // closed when what earlier WALs held is appended
	unready    []control.Assignment // assigned to the journal as it was opened, and not all of their log was read

	life       context.Context // of the session's goroutines; set by run before any starts
	background sync.WaitGroup  // partitions that are taken over, loads of groups
	serving    atomic.Bool     // clients are served: what earlier WALs held is appended
	leaving    atomic.Bool     // the agent stops, and seals its journal by itself
}

// session opens a journal, serves with it and returns why it is over.
func (a *agent) session(ctx context.Context) error {
	listener, err := net.Listen("tcp", a.settings.Network.Listen)
	if err != nil {
		return fmt.Errorf("%w: kafka: %w", errListen, err)
	}
	defer listener.Close()
	found := place.Find(ctx, place.Request{
		Listen: a.settings.Network.Listen, Port: listener.Addr().(*net.TCPAddr).Port,
		Advertise: a.settings.Network.Advertise, Zone: a.settings.Zone,
	}, place.Here())
	if found.Address() != a.place.Address() || found.Zone != a.place.Zone {
		slog.InfoContext(ctx, "place found", "place", found)
	}
	a.place = found

	s := a.newSession()
	defer s.cluster.Stop()
	opened, rings, err := s.boot(objectstore.Because(ctx, objectstore.ReasonRecovery))
	if err != nil {
		return fmt.Errorf("%w: %w", errNotOpened, err)
	}
	defer s.wal.Close()
	return s.run(ctx, listener, opened, rings)
}

// endpoints are the addresses that the control log tells of this agent. Its HTTP side has the advertised host, unless it listens
// on loopback: then only a command on this machine reaches it.
func (a *agent) endpoints() []control.Endpoint {
	all := []control.Endpoint{{Name: endpointKafka, Host: a.place.Host, Port: int32(a.place.Port)}}
	host, port, err := net.SplitHostPort(a.settings.Network.HTTP)
	number, perr := strconv.ParseUint(port, 10, 16)
	if err != nil || perr != nil || number == 0 { // none, or one that the kernel chose
		return all
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = a.place.Host
	}
	return append(all, control.Endpoint{Name: endpointHTTP, Host: host, Port: int32(number)})
}

func (a *agent) newSession() *session {
	s := &session{agent: a, journal: cluster.NewJournalID(), news: newNews(), replayed: make(chan struct{})}
	s.owning, s.groupLoads, s.balancing = newOwning(s), newGroupLoads(s), newBalancer(s)
	set := a.settings
	s.cluster = cluster.New(cluster.Config{
		NodeID: set.NodeID, Zone: a.place.Zone, Weight: set.Weight, Window: set.Flush.SlotsInFlight, Build: Build, Lease: set.Lease,
		Alone: set.Stores.Redis == settings.RedisEmbedded,
		Stuck: func() time.Duration { return s.slots.Stuck() },
		Unfit: a.metrics.unfitCheckpoints.Inc, Base: a.heir.Base(),
		Events:    cluster.Events{Dead: a.metrics.dead.Inc, TakenOver: a.metrics.takenOver.Inc},
		Endpoints: a.endpoints(),
	}, a.store.For(objectstore.ReasonControl), a.meta)
	a.chaos.internal(func(id topic.ID) bool {
		t, ok := s.cluster.State().TopicByID(id)
		return ok && t.Internal
	})
	s.ids = cluster.NewProducerIDs(s.cluster)
	share := divide(set.Memory)
	s.fetch = fetch.New(a.store.For(objectstore.ReasonFetch), fetch.Config{TailBytes: share.tail, CatchUpBytes: share.catchUp, Refresh: s.cluster.CatchUp})
	s.slots = slotlog.NewWriter(a.store.For(objectstore.ReasonProduce), s.journal, set.Flush.SlotsInFlight)
	s.slots.Heed(s.cluster)
	s.slots.Tell(func(put time.Duration) { a.metrics.stagePut.Observe(put.Seconds()) })
	s.compactor = s.newCompactor()
	s.retention = s.newRetention()
	log := &groupLog{s}
	var kept group.Copies
	if set.Stores.Redis != settings.RedisEmbedded {
		s.copies = s.newCopies()
		kept = &groupCopies{s, log}
	}
	s.groups = group.New(log, kept, s.groupConfig(), slog.Default())
	return s
}

// boot reads the cluster, opens the WAL and then the journal, and takes over what the journals before it owned.
func (s *session) boot(ctx context.Context) (cluster.Opened, []ring, error) {
	a := s.agent
	a.current.set("reading the control log")
	if err := s.cluster.Start(ctx); err != nil {
		return cluster.Opened{}, nil, err
	}
	rings, err := a.disk.Recover()
	if err != nil {
		return cluster.Opened{}, nil, fmt.Errorf("recover wal: %w", err)
	}
	mine := make(map[topic.JournalID]bool)
	for _, r := range rings {
		if errors.Is(r.Err, wal.ErrVersion) { // before the journal is sealed: what it acked is another build's to replay
			return cluster.Opened{}, nil, fmt.Errorf("recover wal: %w", r.Err)
		}
		mine[topic.JournalID(r.Identity)] = true
	}
	before := s.cluster.State()
	s.wal, err = a.disk.Open(wal.Config{Identity: wal.Identity(s.journal), MaxBytes: int64(a.settings.WALSize)})
	if err != nil {
		return cluster.Opened{}, nil, fmt.Errorf("open wal: %w", err)
	}
	a.current.set("taking over the journals before")
	opened, err := s.cluster.Boot(ctx, s.journal, func(j topic.JournalID) bool { return mine[j] || a.opened[j] }, s.fetch)
	if err != nil {
		s.wal.Close()
		if errors.Is(err, cluster.ErrUndecided) { // it may be open: without its WAL the next boot would not know it as ours
			return cluster.Opened{}, nil, err
		}
		if rerr := a.disk.Remove(wal.Identity(s.journal)); rerr != nil {
			slog.WarnContext(ctx, "unused wal not removed", "error", rerr)
		}
		return cluster.Opened{}, nil, err
	}
	a.opened[s.journal] = true
	s.own(opened)
	return opened, judge(before, opened, rings), nil
}

// own hands the partitions that the journal owns to ingest.
func (s *session) own(opened cluster.Opened) {
	codec, err := segment.ParseCodec(s.agent.settings.Flush.Compression)
	if err != nil {
		codec = segment.None // settings were validated
	}
	flush := s.agent.settings.Flush
	s.ingest = ingest.New(ingest.Config{
		Journal: s.journal, FlushInterval: flush.Interval, FlushBytes: int(min(flush.Size, maxSegments)),
		MemoryBytes: divide(s.agent.settings.Memory).pending, Codec: codec,
	}, s.slots, s.wal, s.agent.pending, &tail{s})
	state := s.cluster.State()
	for _, a := range state.PartitionsOf(s.journal) {
		o := ingest.Ownership{Partition: a.Partition, Epoch: a.Epoch, Base: a.Base}
		o.Start, _ = s.fetch.Bounds(a.Partition)
		if s.pooled() {
			taken, ok := s.cluster.Known(a)
			if !ok {
				s.unready = append(s.unready, a) // an agent that lives wrote some of what is below the base
				continue
			}
			o.Producers = taken.Producers
		} else if p := opened.History.Producers[a.Partition]; p != nil {
			o.Producers = *p
		}
		if t, ok := state.TopicByID(a.Partition.Topic); ok {
			o.Limits = s.limits(state, t)
		}
		s.ingest.Own(o)
	}
	s.agent.metrics.owned.Set(float64(len(state.PartitionsOf(s.journal))))
	s.cluster.Observe(s)
}

// pooled says whether other agents may be there.
func (s *session) pooled() bool { return s.agent.settings.Stores.Redis != settings.RedisEmbedded }

// run starts the session's goroutines, replays, serves, and stops them in order: no new requests, replies leave, what
// is admitted counts, then the rest. Where there are others, the journal is given up before the clients are let go.
func (s *session) run(ctx context.Context, listener net.Listener, opened cluster.Opened, rings []ring) error {
	core, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	g, core := errgroup.WithContext(core)
	s.life = core
	defer s.fetch.Close()
	defer s.background.Wait()
	run := func(part func(context.Context) error) {
		g.Go(func() error { return s.unlessLeaving(core, part(core)) })
	}
	run(s.runWAL)
	run(func(ctx context.Context) error { return s.slots.Run(ctx, s.ingest.Counted) })
	run(s.ingest.Run)
	run(s.cluster.Follow)
	run(because(objectstore.ReasonIndex, s.cluster.Index))
	run(s.groups.Run)
	run(s.hear)
	run(s.retain)
	if s.compactor != nil {
		run(s.compact)
	}
	balancing, endBalance := context.WithCancel(core)
	defer endBalance()
	var moving sync.WaitGroup
	if s.pooled() {
		run(because(objectstore.ReasonIndex, s.cluster.Mirror))
		run(because(objectstore.ReasonRecovery, s.cluster.Watch))
		run(s.copies.Run)
		moving.Go(func() { s.moveAway(balancing) })
	}
	g.Go(func() error {
		defer stop()
		serving, end := context.WithCancelCause(context.WithoutCancel(ctx))
		defer end(nil)
		defer context.AfterFunc(core, func() { end(context.Cause(core)) })()
		var leaving sync.WaitGroup
		given := false
		leaving.Go(func() {
			select {
			case <-ctx.Done():
				endBalance()
				moving.Wait()
				given = s.leave(core)
			case <-serving.Done():
			}
			end(nil)
		})
		err := s.serve(serving, listener, opened, rings)
		end(nil)
		leaving.Wait()
		if ctx.Err() != nil && err == nil && !given {
			err = s.drain(core)
		}
		return err
	})
	err := g.Wait()
	if errors.Is(err, cluster.ErrContradiction) {
		s.agent.metrics.contradictions.Inc()
	}
	endBalance()
	moving.Wait()
	if err == nil || ctx.Err() == nil {
		return err
	}
	return nil
}

// because makes what a part asks the bucket for count for a reason.
func because(why objectstore.Reason, part func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error { return part(objectstore.Because(ctx, why)) }
}

// moveAway gives partitions to others until ctx ends, once what earlier WALs held is appended: a RELEASE says where its
// partition ends, and what the WALs hold lies below that (B3, M1).
func (s *session) moveAway(ctx context.Context) {
	select {
	case <-s.replayed:
		s.balancing.run(ctx)
	case <-ctx.Done():
	}
}

// runWAL keeps the session alive when the disk fails: acks=1 then waits for the bucket.
func (s *session) runWAL(ctx context.Context) error {
	s.agent.metrics.walClosed.Set(0)
	watched, stop := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() { s.watchWAL(watched) })
	defer watching.Wait()
	defer stop()
	if err := s.wal.Run(ctx); err != nil {
		slog.ErrorContext(ctx, "wal closed for good, acks=1 waits for the bucket from now on", "error", err)
		s.agent.metrics.walClosed.Set(1)
	}
	<-ctx.Done()
	return nil
}

// watchWAL tells people when the disk has no room for the WAL to grow: acks=1 then outlives a shorter outage.
func (s *session) watchWAL(ctx context.Context) {
	tick := time.NewTicker(watchWALEvery)
	defer tick.Stop()
	for small := false; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		stats := s.wal.Stats()
		if stats.GrowErr != nil && !small {
			slog.WarnContext(ctx, "wal cannot grow, it stays smaller than it may be", "files", stats.Files, "of", stats.MaxFiles, "error", stats.GrowErr)
		} else if stats.GrowErr == nil && small {
			slog.InfoContext(ctx, "wal grows again", "files", stats.Files, "of", stats.MaxFiles)
		}
		small = stats.GrowErr != nil
	}
}

// serve takes over what others have written, replays earlier WALs and then answers clients until ctx ends.
func (s *session) serve(ctx context.Context, listener net.Listener, opened cluster.Opened, rings []ring) error {
	s.agent.current.set("taking partitions over")
	if err := s.owning.takeAll(ctx, s.unready); err != nil {
		return err
	}
	s.agent.current.set("replaying the wal")
	if err := s.replay(ctx, rings); err != nil {
		return err
	}
	close(s.replayed)
	metrics := s.agent.metrics.session()
	cfg := s.apiConfig()
	cfg.Metrics = api.NewMetrics(metrics)
	registerCheckpoints(metrics, s.standing, s.checkpointStats)
	registerRetention(metrics, s.retention.Stats)
	registerSession(metrics, s.sample)
	if s.agent.settings.Detail != settings.DetailAgent {
		metrics.MustRegister(&lagMetrics{s})
	}
	router := api.New(s.engines(), cfg, slog.Default())
	server := wire.New(router, s.agent.frames, s.wireConfig(), slog.Default(), metrics)
	s.groupLoads.allow()
	s.agent.current.ready()
	s.serving.Store(true)
	if err := s.announce(opened); err != nil {
		slog.WarnContext(ctx, "banner not printed", "error", err)
	}
	err := server.Serve(ctx, listener)
	s.agent.current.set("stopping")
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// drain waits until everything admitted counts, so that the WAL is not needed any more, and deletes it.
func (s *session) drain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	if err := s.ingest.Flush(ctx); err != nil {
		slog.WarnContext(ctx, "not everything admitted is in the bucket, the wal keeps it", "error", err)
		return nil
	}
	return nil
}

func (s *session) announce(opened cluster.Opened) error {
	a := s.agent
	b := ops.Banner{
		Version: Build, Cluster: a.settings.Cluster + " (" + s.cluster.State().ClusterID() + ")", NodeID: opened.NodeID,
		Kafka: net.JoinHostPort(a.place.Host, strconv.Itoa(a.place.Port)), KafkaFrom: a.place.HostFrom,
		Zone: a.place.Zone, Bucket: a.where.Text, Index: "in memory",
		WAL: fmt.Sprintf("%s, up to %s", a.walPath(), a.settings.WALSize),
	}
	if a.settings.Network.HTTP != settings.None {
		b.HTTP = a.settings.Network.HTTP
	}
	if a.settings.Stores.Redis != settings.RedisEmbedded {
		b.Index = a.settings.Stores.Redis
	}
	slog.Info("serving", "journal", s.journal.String(), "node_id", opened.NodeID, "sealed", len(opened.Sealed), "checkpoint", opened.Checkpoint)
	return b.Write(a.banner)
}

// tail makes segments that count visible.
type tail struct{ s *session }

// Counted implements ingest.Tail.
func (t *tail) Counted(seg ingest.Segment) {
	if err := t.s.fetch.AddTail(seg.Footer.Journal, seg.Footer.Repeated(), seg.Runs); err != nil {
		t.s.cluster.Contradicted(err) // the slot counts, and the next journal reads it from the bucket
	}
	t.s.cluster.Counted(seg.Footer)
	t.s.touched(seg)
	t.s.agent.metrics.counted(seg)
	t.s.countTopics(seg)
}
