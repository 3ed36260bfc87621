package ops

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
)

// emfLine is a line of the format, with its members beside the directive.
type emfLine struct {
	AWS    emfDirective `json:"_aws"`
	others map[string]any
}

func readEMF(t *testing.T, text string) []emfLine {
	t.Helper()
	var lines []emfLine
	for text := range strings.Lines(text) {
		var line emfLine
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if err := json.Unmarshal([]byte(text), &line.others); err != nil {
			t.Fatal(err)
		}
		delete(line.others, "_aws")
		lines = append(lines, line)
	}
	return lines
}

func TestEMF_ALineAMinuteAndOneAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := prometheus.NewRegistry()
		read := prometheus.NewCounter(prometheus.CounterOpts{Name: "odradek_wire_read_bytes_total"})
		requests := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "odradek_objectstore_requests_total"}, []string{"kind", "outcome"})
		ready := prometheus.NewGauge(prometheus.GaugeOpts{Name: "odradek_agent_ready"})
		registry.MustRegister(read, requests, ready)
		read.Add(1e9) // what was before is not of the first minute

		var out bytes.Buffer
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		began := time.Now()
		go func() {
			defer close(ended)
			EMF{
				Out: &out, Metrics: registry, Cluster: "c", Roles: []string{"broker"},
				Log: func(err error) { t.Error(err) },
			}.Run(ctx)
		}()
		synctest.Wait()
		ready.Set(1)
		read.Add(600)
		requests.WithLabelValues("create", "ok").Add(7)
		requests.WithLabelValues("create", "error").Add(2)
		requests.WithLabelValues("get", "error").Add(3)
		time.Sleep(time.Minute)
		synctest.Wait()
		registry.Unregister(read) // as a new session does: the counter begins anew
		read = prometheus.NewCounter(prometheus.CounterOpts{Name: "odradek_wire_read_bytes_total"})
		registry.MustRegister(read)
		read.Add(300)
		time.Sleep(30 * time.Second)
		cancel()
		<-ended

		lines := readEMF(t, out.String())
		if len(lines) != 2 {
			t.Fatalf("%d lines: %s", len(lines), out.String())
		}
		units := []emfUnit{
			{"Ready", "Count"}, {"BytesIn", "Bytes/Second"}, {"BucketRequests", "Count"}, {"BucketErrors", "Count"},
		}
		for i, want := range []struct {
			after  time.Duration
			values map[string]any
		}{
			{time.Minute, map[string]any{"Ready": 1.0, "BytesIn": 10.0, "BucketRequests": 12.0, "BucketErrors": 5.0}},
			{90 * time.Second, map[string]any{"Ready": 1.0, "BytesIn": 10.0, "BucketRequests": 0.0, "BucketErrors": 0.0}},
		} {
			want.values["Cluster"], want.values["Role"] = "c", "broker"
			if diff := cmp.Diff(want.values, lines[i].others); diff != "" {
				t.Errorf("line %d (-want +got):\n%s", i, diff)
			}
			directive := emfDirective{began.Add(want.after).UnixMilli(), []emfSet{{"Odradek", [][]string{{"Cluster", "Role"}}, units}}}
			if diff := cmp.Diff(directive, lines[i].AWS); diff != "" {
				t.Errorf("line %d (-want +got):\n%s", i, diff)
			}
		}
	})
}

func TestEMF_AnAgentThatEndsAtOncePrintsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		e := EMF{Out: &out, Metrics: prometheus.NewRegistry(), Log: func(err error) { t.Error(err) }}
		if e.Run(ctx); out.Len() != 0 {
			t.Errorf("printed %q", out.String())
		}
	})
}

// A metric that no part of an agent has would be missing from every line, and an alarm on it never raised.
func TestEMF_EveryMetricHasItsSource(t *testing.T) {
	units := map[string]bool{"Count": true, "Bytes": true, "Bytes/Second": true, "Percent": true} // CloudWatch's words
	seen := make(map[string]bool)
	for _, m := range emfMetrics {
		if seen[m.name] || !units[m.unit] || m.of == "" || m.where != "" && !strings.Contains(m.where, "=") {
			t.Errorf("metric %+v", m)
		}
		seen[m.name] = true
	}
}
