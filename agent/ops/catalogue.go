package ops

import (
	"cmp"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// Catalogue is a prometheus.Registerer that keeps what the metrics are called and mean instead of their values. The
// parts of an agent register with it as with any other; docs/metrics.md is written from what it holds then. Safe
// for concurrent use; the zero value is ready.
type Catalogue struct {
	mu      sync.Mutex
	metrics map[string]metric // guarded by mu; by name
}

// metric is one family of metrics.
type metric struct {
	name, kind, help string
	labels           []string
}

var _ prometheus.Registerer = (*Catalogue)(nil)

// Register notes the metrics of a collector. Registering the same names again is no error.
func (c *Catalogue) Register(collector prometheus.Collector) error {
	descs := make(chan *prometheus.Desc)
	go func() { collector.Describe(descs); close(descs) }()
	var err error
	c.mu.Lock()
	defer c.mu.Unlock()
	for desc := range descs {
		m, readErr := readDesc(desc)
		if readErr != nil {
			err = readErr
			continue
		}
		m.kind = kindOf(collector)
		if c.metrics == nil {
			c.metrics = map[string]metric{}
		}
		if before, ok := c.metrics[m.name]; ok {
			m.labels = slices.Compact(slices.Sorted(slices.Values(append(m.labels, before.labels...))))
		}
		c.metrics[m.name] = m
	}
	return err
}

// MustRegister registers several collectors; an unreadable one panics, as the interface wants it.
func (c *Catalogue) MustRegister(collectors ...prometheus.Collector) {
	for _, collector := range collectors {
		if err := c.Register(collector); err != nil {
			panic(err)
		}
	}
}

// Unregister does nothing: what was registered once exists.
func (c *Catalogue) Unregister(prometheus.Collector) bool { return false }

// WriteMarkdown writes docs/metrics.md.
func (c *Catalogue) WriteMarkdown(w io.Writer) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]metric, 0, len(c.metrics))
	for _, m := range c.metrics {
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b metric) int { return cmp.Compare(a.name, b.name) })
	var s strings.Builder
	s.WriteString(metricsHead)
	for _, m := range all {
		labels := ""
		if len(m.labels) > 0 {
			labels = "`" + strings.Join(m.labels, "`, `") + "`"
		}
		fmt.Fprintf(&s, "| `%s` | %s | %s | %s |\n", m.name, m.kind, labels, strings.ReplaceAll(m.help, "|", `\|`))
	}
	_, err := io.WriteString(w, s.String())
	return err
}

const metricsHead = `# Metrics

<!-- Written by ` + "`odradek docs metrics`" + ` from what the parts of an agent register. -->

An agent shows these under ` + "`/metrics`" + ` of its HTTP address, beside those of the Go runtime and the process.

| Metric | Kind | Labels | |
| --- | --- | --- | --- |
`

// descPattern reads prometheus.Desc.String, the only way to a description's parts.
var descPattern = regexp.MustCompile(`^Desc\{fqName: ("(?:[^"\\]|\\.)*"), help: ("(?:[^"\\]|\\.)*")(?:, unit: "[^"]*")?, constLabels: \{(.*)\}, variableLabels: \{(.*?)\}\}$`)

func readDesc(desc *prometheus.Desc) (metric, error) {
	parts := descPattern.FindStringSubmatch(desc.String())
	if parts == nil {
		return metric{}, fmt.Errorf("unreadable description %s", desc)
	}
	var m metric
	if _, err := fmt.Sscanf(parts[1]+" "+parts[2], "%q %q", &m.name, &m.help); err != nil {
		return metric{}, fmt.Errorf("unreadable description %s: %w", desc, err)
	}
	for _, constant := range constantLabel.FindAllStringSubmatch(parts[3], -1) {
		m.labels = append(m.labels, constant[1])
	}
	for label := range strings.SplitSeq(parts[4], ",") {
		if label = strings.TrimSpace(label); label != "" {
			m.labels = append(m.labels, label)
		}
	}
	slices.Sort(m.labels)
	return m, nil
}

var constantLabel = regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)="(?:[^"\\]|\\.)*"`)

// kindOf tells counters from gauges, histograms and summaries: by type where that says it, else by a sample.
func kindOf(collector prometheus.Collector) string {
	switch collector.(type) {
	case *prometheus.CounterVec:
		return "counter"
	case *prometheus.GaugeVec:
		return "gauge"
	case *prometheus.HistogramVec:
		return "histogram"
	case *prometheus.SummaryVec:
		return "summary"
	}
	if says, ok := collector.(interface{ Kind() string }); ok { // several of one kind
		return says.Kind()
	}
	if single, ok := collector.(prometheus.Metric); ok {
		var sample dto.Metric
		if single.Write(&sample) == nil {
			return kindOfSample(&sample)
		}
	}
	return ""
}

func kindOfSample(sample *dto.Metric) string {
	switch {
	case sample.Counter != nil:
		return "counter"
	case sample.Gauge != nil:
		return "gauge"
	case sample.Histogram != nil:
		return "histogram"
	case sample.Summary != nil:
		return "summary"
	}
	return ""
}
