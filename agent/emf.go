package agent

import (
	"context"
	"log/slog"

	"github.com/odradek/odradek/agent/ops"
)

// printMetrics begins to print metrics beside the banner, where that is asked for. What it returns ends it, after a last
// line.
func (a *agent) printMetrics(ctx context.Context) (stop func()) {
	if !a.settings.Log.EMF {
		return func() {}
	}
	emf := ops.EMF{
		Out: a.banner, Metrics: a.metrics, Cluster: a.settings.Cluster, Roles: a.settings.Roles,
		Log: func(err error) { slog.WarnContext(ctx, "metrics line was not printed", "error", err) },
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		emf.Run(ctx)
	}()
	return func() { cancel(); <-done }
}
