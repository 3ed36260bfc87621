package agent

import (
	"context"
	"log/slog"
	"time"

	"github.com/odradek/odradek/agent/otlp"
	"github.com/odradek/odradek/agent/settings"
	"github.com/odradek/odradek/trace"
)

// lastTraces is for how long an agent that ends sends the spans that are left.
const lastTraces = 3 * time.Second

// traceRequests begins to record requests, where that is asked for. What it returns ends it.
func (a *agent) traceRequests(ctx context.Context) (stop func(), err error) {
	traces := a.settings.Traces
	if traces.To == settings.None {
		return func() {}, nil
	}
	cfg := otlp.Config{Endpoint: traces.Endpoint, Ratio: traces.Ratio, Cluster: a.settings.Cluster, Version: Build}
	if cfg.Endpoint == settings.Auto {
		cfg.Endpoint = ""
	}
	t, err := otlp.Open(ctx, cfg, a.metrics.spans)
	if err != nil {
		return nil, err
	}
	a.traces = t
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastTraces)
		defer cancel()
		if err := t.Close(ctx); err != nil {
			slog.WarnContext(ctx, "the last traces were not sent", "error", err)
		}
	}, nil
}

// tracer is what records requests; nil if nothing does.
func (a *agent) tracer() trace.Tracer {
	if a.traces == nil {
		return nil
	}
	return a.traces
}
