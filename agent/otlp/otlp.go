package otlp

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	otel "go.opentelemetry.io/otel/trace"

	"github.com/odradek/odradek/trace"
)

const (
	maxQueue  = 8192 // spans that wait to be sent
	maxSend   = 512  // of them in one request
	sendEvery = 2 * time.Second
	scope     = "github.com/odradek/odradek"
)

// Config says what is recorded and where it goes.
type Config struct {
	Endpoint string  // URL of the collector; empty: what OTEL_EXPORTER_OTLP_ENDPOINT says, or port 4318 of this machine
	Ratio    float64 // of the requests that are recorded, 0 to 1
	Cluster  string
	Version  string
}

// Metrics count spans.
type Metrics struct{ sent, failed prometheus.Counter }

// NewMetrics registers them.
func NewMetrics(registerer prometheus.Registerer) *Metrics {
	spans := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "odradek_otlp_spans_total",
		Help: "Spans of traces, by what became of them: sent to the collector, or failed, which are gone.",
	}, []string{"outcome"})
	registerer.MustRegister(spans)
	return &Metrics{sent: spans.WithLabelValues("sent"), failed: spans.WithLabelValues("failed")}
}

// Tracer is a trace.Tracer. Safe for concurrent use.
type Tracer struct {
	ratio    float64
	provider *sdk.TracerProvider
	tracer   otel.Tracer
}

var _ trace.Tracer = (*Tracer)(nil)

// Open begins to record. It does not ask whether the collector is there: it may come and go.
func Open(ctx context.Context, cfg Config, metrics *Metrics) (*Tracer, error) {
	var options []otlptracehttp.Option
	if cfg.Endpoint != "" {
		u, err := url.Parse(cfg.Endpoint)
		if err != nil {
			return nil, fmt.Errorf("traces: %w", err)
		}
		if strings.Trim(u.Path, "/") == "" {
			u.Path = "/v1/traces" // as the variables of the standard mean it
		}
		options = append(options, otlptracehttp.WithEndpointURL(u.String()))
	}
	exporter, err := otlptracehttp.New(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("traces: %w", err)
	}
	about, err := resource.New(ctx,
		resource.WithTelemetrySDK(), resource.WithHost(),
		resource.WithAttributes(attribute.String("service.name", "odradek"), attribute.String("service.namespace", cfg.Cluster),
			attribute.String("service.version", cfg.Version)),
		resource.WithFromEnv(), // wins over what stands before it
	)
	if err != nil {
		return nil, fmt.Errorf("traces: %w", err)
	}
	t := &Tracer{ratio: cfg.Ratio, provider: sdk.NewTracerProvider(
		sdk.WithResource(about), sdk.WithSampler(sdk.AlwaysSample()),
		sdk.WithBatcher(&counted{SpanExporter: exporter, metrics: metrics},
			sdk.WithMaxQueueSize(maxQueue), sdk.WithMaxExportBatchSize(maxSend), sdk.WithBatchTimeout(sendEvery)),
	)}
	t.tracer = t.provider.Tracer(scope, otel.WithInstrumentationVersion(cfg.Version))
	return t, nil
}

// Close sends what waits, until ctx ends.
func (t *Tracer) Close(ctx context.Context) error { return t.provider.Shutdown(ctx) }

// Begin implements trace.Tracer.
func (t *Tracer) Begin(name string, at time.Time) trace.Span {
	if rand.Float64() >= t.ratio {
		return trace.Span{}
	}
	_, s := t.tracer.Start(context.Background(), name, otel.WithTimestamp(at), otel.WithSpanKind(otel.SpanKindServer),
		otel.WithAttributes(attribute.String("messaging.system", "kafka")))
	return trace.Of(span{t, s})
}

// counted is an exporter that counts, and logs an outage of the collector once.
type counted struct {
	sdk.SpanExporter
	metrics *Metrics
	away    atomic.Bool
}

// ExportSpans implements sdk.SpanExporter. It answers for its errors: nothing else looks at them.
func (c *counted) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	err := c.SpanExporter.ExportSpans(ctx, spans)
	if err != nil {
		c.metrics.failed.Add(float64(len(spans)))
		if !c.away.Swap(true) {
			slog.WarnContext(ctx, "traces are not taken, they are dropped until they are", "error", err)
		}
		return nil
	}
	c.metrics.sent.Add(float64(len(spans)))
	if c.away.Swap(false) {
		slog.InfoContext(ctx, "traces are taken again")
	}
	return nil
}
