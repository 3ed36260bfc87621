package agent

import (
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/odradek/odradek/agent/api"
	"github.com/odradek/odradek/agent/ingest"
	"github.com/odradek/odradek/agent/otlp"
	"github.com/odradek/odradek/agent/retention"
	"github.com/odradek/odradek/agent/wire"
	"github.com/odradek/odradek/compaction"
	"github.com/odradek/odradek/objectstore/meter"
)

// metrics are the agent's own, and the gatherer of all: those of the process and those of the session of the moment.
type metrics struct {
	process     *prometheus.Registry
	restarts    prometheus.Counter
	quarantined prometheus.Counter
	replayed    prometheus.Counter
	walClosed   prometheus.Gauge
	slots       prometheus.Counter
	stored      prometheus.Counter
	produced    prometheus.Counter

	owned  prometheus.Gauge
	gained prometheus.Counter
	lost   prometheus.Counter

	movesBegun  prometheus.Counter
	movesDone   prometheus.Counter
	movesFailed prometheus.Counter

	copiesWritten prometheus.Counter
	copiesDropped prometheus.Counter

	contradictions prometheus.Counter

	unfitCheckpoints prometheus.Counter

	dead      prometheus.Counter
	takenOver prometheus.Counter

	stageQueue, stagePut, stageCount prometheus.Observer // of odradek_ingest_slot_seconds

	redisSeconds prometheus.Histogram
	redisAway    prometheus.Counter

	spans *otlp.Metrics

	topics *topicBytes

	mu      sync.Mutex // guards current
	current *prometheus.Registry
}

func newMetrics(r prometheus.Registerer, a *agent) *metrics {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: "odradek", Name: name, Help: help})
		r.MustRegister(c)
		return c
	}
	m := &metrics{
		restarts:    counter("agent_journals_reopened_total", "Journals opened after the first, each because one was over."),
		spans:       otlp.NewMetrics(r),
		quarantined: counter("agent_wal_quarantined_total", "WALs set aside because they may not be replayed any more."),
		replayed:    counter("agent_wal_replayed_entries_total", "WAL entries of an earlier journal that were appended again."),
		slots:       counter("ingest_slots_counted_total", "Slots of this agent's journals that came to count."),
		stored:      counter("ingest_extent_bytes_total", "Bytes of extents as stored in slots that count."),
		produced:    counter("ingest_record_bytes_total", "Bytes of record batches in slots that count."),

		gained: counter("agent_partitions_gained_total", "Partitions taken over from other journals, with all that their producers did."),
		lost:   counter("agent_partitions_lost_total", "Partitions that went from this agent's journal to another's, moved or taken over."),

		movesBegun:  counter("agent_moves_begun_total", "Partitions that this agent began to move to another."),
		movesDone:   counter("agent_moves_done_total", "Moves of this agent's partitions that ended with another owner."),
		movesFailed: counter("agent_moves_failed_total", "Moves of this agent's partitions that ended without another owner."),
		owned: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "odradek", Name: "agent_partitions_owned", Help: "Partitions assigned to this agent's journal.",
		}),

		copiesWritten: counter("copies_written_total", "Copies of groups, committed offsets and producer state written to Redis."),
		copiesDropped: counter("copies_dropped_total", "Copies that could not be written when due; they follow later, as they are then."),
		contradictions: counter("agent_index_contradictions_total",
			"Journals given up because what counts did not fit the index in memory: a defect or damage; all is read from the bucket again."),
		unfitCheckpoints: counter("checkpoint_unfit_total",
			"Checkpoints that could not be used at a start or for an era, missing or damaged: the one before was, or the whole log."),
		walClosed: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "odradek", Name: "agent_wal_closed", Help: "1 once the disk failed and acks=1 waits for the bucket.",
		}),
	}
	m.dead = counter("cluster_dead_total", "Journals of other agents that this one began to take over since their heartbeat stood still for a lease.")
	m.takenOver = counter("cluster_takeovers_total", "Journals of dead agents that this one sealed and handed over.")
	slot := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: "odradek", Name: "ingest_slot_seconds", Buckets: stageBuckets,
		Help: "What an ack of acks=all is made of, for each slot: queue, from its first batch until it was frozen; put, its upload, " +
			"repeats and hedges included; count, from frozen until it counted, which is put and the wait for the slots below.",
	}, []string{"stage"})
	m.stageQueue, m.stagePut, m.stageCount = slot.WithLabelValues("queue"), slot.WithLabelValues("put"), slot.WithLabelValues("count")
	m.ofRedis(r)
	m.topics = newTopicBytes(r)
	r.MustRegister(m.walClosed, m.owned, slot)
	r.MustRegister(readyGauge(a))
	return m
}

// readyGauge tells whether the agent, or the compactor, does its work.
func readyGauge(a *agent) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "odradek", Name: "agent_ready", Help: "1 while clients are served.",
	}, func() float64 {
		if a.current.reasons() == nil {
			return 1
		}
		return 0
	})
}

// stageBuckets are bounds of the stages of a slot.
var stageBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .15, .25, .5, 1, 2.5, 5, 15, 60}

// ofRedis begins the metrics of Redis, which a compactor alone has too.
func (m *metrics) ofRedis(r prometheus.Registerer) {
	m.redisSeconds = prometheus.NewHistogram(prometheus.HistogramOpts{
		Namespace: "odradek", Name: "redis_request_seconds", Help: "Round trips to Redis, a pipeline being one.",
		Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1, 3},
	})
	m.redisAway = prometheus.NewCounter(prometheus.CounterOpts{
		Namespace: "odradek", Name: "redis_unanswered_total", Help: "Round trips to Redis that it did not answer.",
	})
	r.MustRegister(m.redisSeconds, m.redisAway)
}

// askedRedis counts a round trip.
func (m *metrics) askedRedis(took time.Duration, answered bool) {
	m.redisSeconds.Observe(took.Seconds())
	if !answered {
		m.redisAway.Inc()
	}
}

// session begins a registry for the parts of a new session, which takes the place of the one before.
func (m *metrics) session() prometheus.Registerer {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.current = prometheus.NewRegistry()
	return m.current
}

// Gather implements prometheus.Gatherer.
func (m *metrics) Gather() ([]*dto.MetricFamily, error) {
	m.mu.Lock()
	both := prometheus.Gatherers{m.process}
	if m.current != nil {
		both = append(both, m.current)
	}
	m.mu.Unlock()
	return both.Gather()
}

func (m *metrics) counted(seg ingest.Segment) {
	m.slots.Inc()
	m.stageQueue.Observe(seg.Queued.Seconds())
	m.stageCount.Observe(seg.Counts.Seconds())
	for _, x := range seg.Footer.Extents {
		m.stored.Add(float64(x.Length))
		m.produced.Add(float64(x.RawLength))
	}
}

// RegisterMetrics registers every metric of an agent without running one, for docs/metrics.md.
func RegisterMetrics(r prometheus.Registerer) error {
	newMetrics(r, &agent{})
	if _, err := meter.New(nil, r, meter.Free); err != nil {
		return err
	}
	api.NewMetrics(r)
	registerCheckpoints(r, func() standing { return standing{} }, func() compaction.Stats { return compaction.Stats{} })
	registerRetention(r, func() retention.Stats { return retention.Stats{} })
	registerSession(r, func() sample { return sample{} })
	r.MustRegister(&lagMetrics{})
	wire.New(nil, nil, wire.DefaultConfig(), slog.Default(), r)
	return nil
}
