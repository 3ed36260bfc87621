package ops

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// Of the lines that EMF prints: what CloudWatch files them under, and how often they come.
const (
	emfNamespace = "Odradek"
	emfInterval  = time.Minute
	emfLeast     = time.Second // a rate over less is noise
)

// EMF prints metrics as lines of CloudWatch's embedded metric format, so that whoever takes in the log makes metrics
// of them and no agent needs a library or permission for that. It is a short selection: what scales a pool and what
// raises an alarm. All else is under /metrics.
//
// Rates are of the time since the line before. The dimensions are few and do not name the agent: each set of values is
// a metric that is paid for, and agents come and go; the log's stream tells which one it was.
type EMF struct {
	Out     io.Writer
	Metrics prometheus.Gatherer
	Cluster string
	Roles   []string
	Log     func(error) // told of what could not be gathered or printed
}

// emfMetric is one metric of a line.
type emfMetric struct {
	name, unit string
	of         string // family of Prometheus that it is made from
	where      string // label and value of the samples that count, as outcome=error; "" for all
	kind       emfKind
}

// emfKind says what becomes of a family's sum.
type emfKind int

const (
	emfGauge   emfKind = iota // as it is
	emfRate                   // its growth, by the second
	emfGrowth                 // its growth
	emfPercent                // its growth by the second, of the processors that there are
)

// emfMetrics are named by alarms and scaling policies outside this repository too: a name that changes breaks them.
var emfMetrics = []emfMetric{
	{name: "Ready", unit: "Count", of: "odradek_agent_ready"},
	{name: "BytesIn", unit: "Bytes/Second", of: "odradek_wire_read_bytes_total", kind: emfRate},
	{name: "BytesOut", unit: "Bytes/Second", of: "odradek_wire_written_bytes_total", kind: emfRate},
	{name: "CPU", unit: "Percent", of: "process_cpu_seconds_total", kind: emfPercent},
	{name: "Memory", unit: "Bytes", of: "process_resident_memory_bytes"},
	{name: "Connections", unit: "Count", of: "odradek_wire_connections"},
	{name: "PartitionsOwned", unit: "Count", of: "odradek_agent_partitions_owned"},
	{name: "BucketRequests", unit: "Count", of: "odradek_objectstore_requests_total", kind: emfGrowth},
	{name: "BucketErrors", unit: "Count", of: "odradek_objectstore_requests_total", where: "outcome=error", kind: emfGrowth},
	{name: "WALClosed", unit: "Count", of: "odradek_agent_wal_closed"},
	{name: "CompactionDamaged", unit: "Count", of: "odradek_compaction_jobs_damaged_total", kind: emfGrowth},
}

// Run prints a line a minute, and a last one when ctx ends, so that what happened until then is counted.
func (e EMF) Run(ctx context.Context) {
	ticker := time.NewTicker(emfInterval)
	defer ticker.Stop()
	before, since := e.gather(), time.Now()
	for {
		ended := false
		select {
		case <-ctx.Done():
			ended = true
		case <-ticker.C:
		}
		now, at := e.gather(), time.Now()
		if took := at.Sub(since); took >= emfLeast {
			if err := e.print(before, now, at, took); err != nil {
				e.Log(err)
			}
		}
		if ended {
			return
		}
		before, since = now, at
	}
}

// gather gives the sum of each metric's samples. What is not there is not in it.
func (e EMF) gather() map[string]float64 {
	families, err := e.Metrics.Gather()
	if err != nil {
		e.Log(fmt.Errorf("gather metrics: %w", err))
	}
	sums := make(map[string]float64)
	for _, family := range families {
		for _, m := range emfMetrics {
			if m.of != family.GetName() {
				continue
			}
			sums[m.name] += 0
			for _, sample := range family.GetMetric() {
				if m.where == "" || hasLabel(sample, m.where) {
					sums[m.name] += sample.GetCounter().GetValue() + sample.GetGauge().GetValue()
				}
			}
		}
	}
	return sums
}

func hasLabel(sample *dto.Metric, where string) bool {
	for _, label := range sample.GetLabel() {
		if label.GetName()+"="+label.GetValue() == where {
			return true
		}
	}
	return false
}

// value is what a line says of a metric after took. A counter that is lower than before began anew, at zero.
func (m emfMetric) value(before, now float64, took time.Duration) float64 {
	if m.kind == emfGauge {
		return now
	}
	grown := now - before
	if grown < 0 {
		grown = now
	}
	switch m.kind {
	case emfRate:
		return grown / took.Seconds()
	case emfPercent:
		return 100 * grown / took.Seconds() / float64(runtime.GOMAXPROCS(0))
	}
	return grown
}

// emfDirective tells CloudWatch which members of a line are metrics, and which their dimensions.
type emfDirective struct {
	Timestamp         int64 // ms since 1970
	CloudWatchMetrics []emfSet
}

type emfSet struct {
	Namespace  string
	Dimensions [][]string
	Metrics    []emfUnit
}

type emfUnit struct{ Name, Unit string }

func (e EMF) print(before, now map[string]float64, at time.Time, took time.Duration) error {
	line := map[string]any{"Cluster": e.Cluster, "Role": strings.Join(e.Roles, ",")}
	set := emfSet{Namespace: emfNamespace, Dimensions: [][]string{{"Cluster", "Role"}}}
	for _, m := range emfMetrics {
		sum, there := now[m.name]
		if !there {
			continue
		}
		line[m.name] = m.value(before[m.name], sum, took)
		set.Metrics = append(set.Metrics, emfUnit{m.name, m.unit})
	}
	line["_aws"] = emfDirective{Timestamp: at.UnixMilli(), CloudWatchMetrics: []emfSet{set}}
	text, err := json.Marshal(line)
	if err != nil {
		return fmt.Errorf("metrics line: %w", err)
	}
	if _, err := e.Out.Write(append(text, '\n')); err != nil { // in one piece: the log's lines lie between
		return fmt.Errorf("print metrics: %w", err)
	}
	return nil
}
