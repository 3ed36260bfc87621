package agent

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/odradek/odradek/agent/api"
	"github.com/odradek/odradek/agent/ingest"
	"github.com/odradek/odradek/agent/settings"
	"github.com/odradek/odradek/topic"
)

// mostTopics is how many topics an agent tells of by name; the rest are one, as a topic cannot be named.
const (
	mostTopics  = 1000
	otherTopics = "(others)"
)

// topicBytes counts the bytes of topics. Safe for concurrent use.
type topicBytes struct {
	produced, stored, fetched *prometheus.CounterVec

	mu    sync.Mutex // guards known
	known map[topic.ID]*topicCounters
}

type topicCounters struct {
	name                      string
	produced, stored, fetched prometheus.Counter
}

func newTopicBytes(r prometheus.Registerer) *topicBytes {
	vec := func(name, help string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "odradek", Name: name, Help: help}, []string{"topic"})
		r.MustRegister(v)
		return v
	}
	return &topicBytes{
		produced: vec("ingest_topic_record_bytes_total", "Bytes of record batches of a topic in slots that count. (others): what an agent "+
			"does not tell by name, having a thousand names."),
		stored:  vec("ingest_topic_extent_bytes_total", "Bytes of a topic's extents as stored in slots that count."),
		fetched: vec("fetch_topic_bytes_total", "Bytes of record batches of a topic in answers to clients."),
		known:   make(map[topic.ID]*topicCounters),
	}
}

// of gives the counters of a topic that is called name.
func (b *topicBytes) of(id topic.ID, name func() string) *topicCounters {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c := b.known[id]; c != nil {
		return c
	}
	c := &topicCounters{name: otherTopics}
	if len(b.known) < mostTopics {
		if c.name = name(); c.name == "" {
			c.name = otherTopics
		}
		b.known[id] = c
	}
	c.produced, c.stored, c.fetched = b.produced.WithLabelValues(c.name), b.stored.WithLabelValues(c.name), b.fetched.WithLabelValues(c.name)
	return c
}

// forget drops a topic that was deleted.
func (b *topicBytes) forget(id topic.ID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.known[id]
	delete(b.known, id)
	if c == nil || c.name == otherTopics {
		return
	}
	for _, v := range []*prometheus.CounterVec{b.produced, b.stored, b.fetched} {
		v.DeleteLabelValues(c.name)
	}
}

// topicCounters gives the counters of a topic, nil if none are to be told.
func (s *session) topicCounters(id topic.ID) *topicCounters {
	if s.agent.settings.Detail == settings.DetailAgent {
		return nil
	}
	return s.agent.metrics.topics.of(id, func() string {
		if t, ok := s.cluster.State().TopicByID(id); ok {
			return t.Name
		}
		return ""
	})
}

// countTopics counts what a segment holds of each topic.
func (s *session) countTopics(seg ingest.Segment) {
	for _, x := range seg.Footer.Extents {
		if c := s.topicCounters(x.Partition.Topic); c != nil {
			c.produced.Add(float64(x.RawLength))
			c.stored.Add(float64(x.Length))
		}
	}
}

// countFetched counts what an answer holds of each topic.
func (s *session) countFetched(parts []api.ReadPart, out []api.ReadResult) {
	for i, res := range out {
		n := 0
		for _, row := range res.Records {
			n += len(row)
		}
		if n == 0 {
			continue
		}
		if c := s.topicCounters(parts[i].Partition.Topic); c != nil {
			c.fetched.Add(float64(n))
		}
	}
}
