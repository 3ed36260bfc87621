package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/odradek/odradek/control"
)

const (
	scrapeTime = 10 * time.Second // for an agent to answer
	maxScrape  = 64 << 20         // bytes of an answer that are read
)

// scraped are the metrics of an agent at one moment, by name.
type scraped map[string]*dto.MetricFamily

// scrapeAgent asks an agent for its metrics.
func scrapeAgent(ctx context.Context, address string) (scraped, error) {
	body, err := askAgent(ctx, address, "/metrics")
	if err != nil {
		return nil, err
	}
	defer body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(io.LimitReader(body, maxScrape))
	if err != nil {
		return nil, fmt.Errorf("metrics of %s: %w", address, err)
	}
	return families, nil
}

// askAgent asks a path of an agent's HTTP side. The caller closes the answer.
func askAgent(ctx context.Context, address, path string) (io.ReadCloser, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		return nil, err
	}
	client := http.Client{Timeout: scrapeTime}
	answer, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		answer.Body.Close()
		return nil, fmt.Errorf("http://%s%s: %s", address, path, answer.Status)
	}
	return answer.Body, nil
}

// each calls fn for every series of a metric.
func (s scraped) each(name string, fn func(labels map[string]string, value float64)) {
	for _, m := range s[name].GetMetric() {
		labels := make(map[string]string, len(m.GetLabel()))
		for _, l := range m.GetLabel() {
			labels[l.GetName()] = l.GetValue()
		}
		switch {
		case m.Counter != nil:
			fn(labels, m.Counter.GetValue())
		case m.Gauge != nil:
			fn(labels, m.Gauge.GetValue())
		case m.Untyped != nil:
			fn(labels, m.Untyped.GetValue())
		}
	}
}

// sum adds up the series of a metric.
func (s scraped) sum(name string) (sum float64) {
	s.each(name, func(_ map[string]string, value float64) { sum += value })
	return sum
}

// httpOf lists where the agents of a cluster tell their metrics, by what the control log says, and those that tell none.
func httpOf(s *control.State) (addresses, silent []string) {
	for _, j := range s.OpenJournals() {
		if e, ok := j.Endpoint("http"); ok {
			addresses = append(addresses, net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port))))
		} else {
			silent = append(silent, fmt.Sprintf("node %d", j.NodeID))
		}
	}
	return addresses, silent
}
