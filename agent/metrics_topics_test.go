package agent

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/odradek/odradek/topic"
)

// counters gives a metric's values by the label topic.
func counters(t *testing.T, r *prometheus.Registry, name string) map[string]float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := make(map[string]float64)
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			values[labels(m)] = m.GetCounter().GetValue()
		}
	}
	return values
}

func labels(m *dto.Metric) string {
	var all []string
	for _, l := range m.GetLabel() {
		all = append(all, l.GetValue())
	}
	return strings.Join(all, ",")
}

// What a topic sent is told under its name, a thousand of them, and the rest together: what a client names its topics cannot
// fill a monitoring system.
func TestTopicBytes_NamesAThousand(t *testing.T) {
	r := prometheus.NewRegistry()
	b := newTopicBytes(r)
	id := func(n int) topic.ID { return topic.ID{byte(n), byte(n >> 8), 1} }
	for n := range mostTopics + 5 {
		b.of(id(n), func() string { return fmt.Sprint("t", n) }).produced.Add(10)
	}
	values := counters(t, r, "odradek_ingest_topic_record_bytes_total")
	if len(values) != mostTopics+1 || values["t0"] != 10 || values["t999"] != 10 || values[otherTopics] != 50 {
		t.Errorf("%d names, t0 %v, t999 %v, others %v", len(values), values["t0"], values["t999"], values[otherTopics])
	}
	b.of(id(0), func() string { t.Error("the name of a known topic was asked for"); return "" }).produced.Add(1)
	if got := counters(t, r, "odradek_ingest_topic_record_bytes_total")["t0"]; got != 11 {
		t.Errorf("t0 has %v, want 11", got)
	}
}

// A topic that is deleted is told of no more, and its place is another's. One whose name is not known yet, or that is among the
// others, takes nothing with it.
func TestTopicBytes_Forget(t *testing.T) {
	r := prometheus.NewRegistry()
	b := newTopicBytes(r)
	named, nameless := topic.ID{1}, topic.ID{2}
	b.of(named, func() string { return "orders" }).fetched.Add(3)
	b.of(nameless, func() string { return "" }).fetched.Add(4)
	b.forget(named)
	b.forget(nameless)
	b.forget(topic.ID{3})
	values := counters(t, r, "odradek_fetch_topic_bytes_total")
	if len(values) != 1 || values[otherTopics] != 4 || len(b.known) != 0 {
		t.Errorf("told %v, %d known", values, len(b.known))
	}
	b.of(topic.ID{4}, func() string { return "orders" }).fetched.Add(1)
	if got := counters(t, r, "odradek_fetch_topic_bytes_total")["orders"]; got != 1 {
		t.Errorf("a new topic of that name begins at %v, want 1", got)
	}
}
