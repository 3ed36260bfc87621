package meter

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/odradek/odradek/objectstore"
)

// counts are the counters of one kind of request, and the metrics that show them.
type counts struct {
	requests   map[Outcome]*atomic.Int64 // complete and read-only after newCounts
	bytes      atomic.Int64
	seconds    prometheus.Histogram
	collectors []prometheus.Collector // of all of these
}

func newCounts(kind objectstore.Kind) *counts {
	c := &counts{requests: make(map[Outcome]*atomic.Int64)}
	for _, outcome := range Outcomes {
		n := new(atomic.Int64)
		c.requests[outcome] = n
		c.collectors = append(c.collectors, prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name:        "odradek_objectstore_requests_total",
			Help:        "Requests to the bucket by kind and outcome.",
			ConstLabels: prometheus.Labels{"kind": string(kind), "outcome": string(outcome)},
		}, func() float64 { return float64(n.Load()) }))
	}
	c.collectors = append(c.collectors, prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name:        "odradek_objectstore_bytes_total",
		Help:        "Bytes of object bodies sent to and received from the bucket by kind of request.",
		ConstLabels: prometheus.Labels{"kind": string(kind)},
	}, func() float64 { return float64(c.bytes.Load()) }))
	c.seconds = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:        "odradek_objectstore_request_seconds",
		Help:        "Duration of requests to the bucket by kind.",
		ConstLabels: prometheus.Labels{"kind": string(kind)},
		Buckets:     []float64{.001, .002, .005, .01, .02, .03, .05, .075, .1, .15, .25, .5, 1, 2.5, 5, 15, 60},
	})
	c.collectors = append(c.collectors, c.seconds)
	return c
}

// add counts n requests that took one call.
func (c *counts) add(start time.Time, n int, bytes int64, err error) {
	c.seconds.Observe(time.Since(start).Seconds())
	c.requests[outcomeOf(err)].Add(int64(n))
	c.bytes.Add(bytes)
}
