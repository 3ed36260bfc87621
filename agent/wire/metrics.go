package wire

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	connections        prometheus.Gauge
	refusedConnections prometheus.Counter
	refused            *prometheus.CounterVec
	seconds            *prometheus.HistogramVec
	read, written      prometheus.Counter
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	m := &metrics{
		connections: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "odradek_wire_connections", Help: "Open client connections.",
		}),
		refusedConnections: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "odradek_wire_refused_connections_total", Help: "Connections closed because too many were open.",
		}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "odradek_wire_refused_frames_total",
			Help: "Frames that closed their connection, by reason: size, truncated, stalled, malformed, unsupported, amplified, memory, no_reply, slow, panic.",
		}, []string{"reason"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "odradek_wire_request_seconds",
			Help:    "Time from the last byte of a request to the last byte of its reply, waiting included, by API key.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"api"}),
		read: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "odradek_wire_read_bytes_total", Help: "Bytes of the frames read from clients.",
		}),
		written: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "odradek_wire_written_bytes_total", Help: "Bytes of the replies written to clients.",
		}),
	}
	registerer.MustRegister(m.connections, m.refusedConnections, m.refused, m.seconds, m.read, m.written)
	return m
}
