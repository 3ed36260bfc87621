package agent

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/odradek/odradek/agent/fetch"
	"github.com/odradek/odradek/wal"
)

// sample is what a session looks like at one moment.
type sample struct {
	wal      wal.Stats
	walSize  int64
	inFlight int
	stuck    time.Duration
	behind   int64 // slots that count and that the index in Redis does not hold yet
	agents   int   // journals that are open
	caches   []fetch.CacheStats
}

func (s *session) sample() sample {
	now := sample{
		wal: s.wal.Stats(), walSize: int64(s.agent.settings.WALSize), inFlight: s.slots.InFlight(), stuck: s.slots.Stuck(),
		behind: s.cluster.Behind(), caches: s.fetch.Caches(),
	}
	now.agents = len(s.cluster.State().OpenJournals())
	return now
}

// registerSession registers what is told of a session as it is. now is called at each scrape.
func registerSession(r prometheus.Registerer, now func() sample) {
	gauge := func(name, help string, value func(sample) float64) {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "odradek", Name: name, Help: help},
			func() float64 { return value(now()) }))
	}
	counter := func(name, help string, labels prometheus.Labels, value func(sample) float64) {
		r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: "odradek", Name: name, Help: help, ConstLabels: labels},
			func() float64 { return value(now()) }))
	}
	gauge("wal_used_bytes", "Bytes of the write-ahead log that hold what does not count in the bucket yet.",
		func(s sample) float64 { return float64(s.wal.UnreleasedBytes) })
	gauge("wal_size_bytes", "What the write-ahead log may grow to (--wal-size).", func(s sample) float64 { return float64(s.walSize) })
	counter("wal_fsyncs_total", "Syncs of the write-ahead log, for acks=1.", nil, func(s sample) float64 { return float64(s.wal.Fsyncs) })
	counter("wal_fsync_seconds_total", "Time that these took together.", nil, func(s sample) float64 { return s.wal.FsyncTime.Seconds() })
	counter("wal_written_bytes_total", "Bytes written to the write-ahead log.", nil, func(s sample) float64 { return float64(s.wal.WrittenBytes) })
	gauge("slotlog_slots_in_flight", "Slots of this agent's journal that were given out and do not count yet.",
		func(s sample) float64 { return float64(s.inFlight) })
	gauge("slotlog_stuck_seconds", "For how long slots have been in flight and none came to count: acks=all waits so long at least.",
		func(s sample) float64 { return s.stuck.Seconds() })
	gauge("cluster_index_behind_slots", "Slots of this agent's journal that count and that the index in Redis does not hold yet.",
		func(s sample) float64 { return float64(s.behind) })
	gauge("cluster_agents", "Agents with an open journal, by the control log that this agent has read.",
		func(s sample) float64 { return float64(s.agents) })
	cached := func(name string, value func(fetch.CacheStats) float64) func(sample) float64 {
		return func(s sample) float64 {
			for _, c := range s.caches {
				if c.Name == name {
					return value(c)
				}
			}
			return 0
		}
	}
	for _, name := range fetch.CacheNames {
		labels := prometheus.Labels{"cache": name}
		counter("fetch_cache_hits_total", "Look-ups in a cache of records that found them: tail holds segments that counted a moment ago, "+
			"catch_up what was read from the bucket.", labels, cached(name, func(c fetch.CacheStats) float64 { return float64(c.Hits) }))
		counter("fetch_cache_misses_total", "Look-ups in a cache of records that did not find them.", labels,
			cached(name, func(c fetch.CacheStats) float64 { return float64(c.Misses) }))
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: "odradek", Name: "fetch_cache_bytes", Help: "Bytes in a cache of records.", ConstLabels: labels,
		}, func() float64 {
			return cached(name, func(c fetch.CacheStats) float64 { return float64(c.Bytes) })(now())
		}))
	}
}
