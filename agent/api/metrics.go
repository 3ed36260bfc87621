package api

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Metrics counts what the router answers.
type Metrics struct {
	refused *prometheus.CounterVec // by error code
}

// NewMetrics makes and registers the router's metrics.
func NewMetrics(registerer prometheus.Registerer) *Metrics {
	m := &Metrics{
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "odradek_api_refused_batches_total", Help: "Partitions of Produce requests that were answered with an error, by its Kafka name.",
		}, []string{"error"}),
	}
	registerer.MustRegister(m.refused)
	return m
}

// refusedBatch counts a partition of a Produce request that was answered with code.
func (m *Metrics) refusedBatch(code int16) {
	if m != nil && code != 0 {
		m.refused.WithLabelValues(kerr.TypedErrorForCode(code).Message).Inc()
	}
}
