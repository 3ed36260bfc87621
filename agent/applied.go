package agent

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/odradek/odradek/agent/ingest"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/topic"
)

// news is what control records ask of parts that may block. Who applies a record leaves it here and never waits.
type news struct {
	bell chan struct{} // capacity 1: there is something

	mu      sync.Mutex // guards all below
	load    bool       // the offsets topic came into being
	deleted []string   // names of deleted topics, for the groups; each topic is deleted once
}

func newNews() *news { return &news{bell: make(chan struct{}, 1)} }

func (n *news) add(load bool, deleted ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.load = n.load || load
	n.deleted = append(n.deleted, deleted...)
	select {
	case n.bell <- struct{}{}:
	default:
	}
}

func (n *news) take() (load bool, deleted []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	load, deleted = n.load, n.deleted
	n.load, n.deleted = false, nil
	return load, deleted
}

// Applied implements cluster.Observer: ingest and fetch learn of topics and settings before anyone acts on them.
func (s *session) Applied(before, after *control.State, records []control.Record, outcomes []control.Outcome) {
	defer s.changedHands(before, after, records, outcomes)
	for i, r := range records {
		if outcomes[i].Void {
			continue
		}
		switch r := r.(type) {
		case control.TopicCreate:
			s.ownNew(after, r.ID, 0, r.Journals)
			if r.Name == topic.ConsumerOffsets {
				s.news.add(true)
			}
		case control.PartitionsAdd:
			s.ownNew(after, r.Topic, r.From, r.Journals)
		case control.TopicDelete:
			s.forget(before, r.ID)
		case control.TopicConfig:
			if t, ok := after.TopicByID(r.Topic); ok {
				s.ingest.SetLimits(t.ID, s.limits(after, t))
			}
		case control.ClusterConfig:
			for t := range after.Topics() {
				s.ingest.SetLimits(t.ID, s.limits(after, t))
			}
		}
	}
}

// ownNew begins to take records for new partitions that were given to this journal.
func (s *session) ownNew(state *control.State, id topic.ID, from int32, journals []topic.JournalID) {
	t, ok := state.TopicByID(id)
	if !ok {
		return // deleted by a later record of the same number
	}
	for i, j := range journals {
		if j == s.journal {
			p := topic.Partition{Topic: id, Index: from + int32(i)}
			s.ingest.Own(ingest.Ownership{Partition: p, Limits: s.limits(state, t)})
		}
	}
}

func (s *session) forget(before *control.State, id topic.ID) {
	s.ingest.Disown(id)
	t, ok := before.TopicByID(id)
	if !ok {
		return // created by an earlier record of the same number
	}
	s.fetch.Drop(id, t.Partitions())
	if s.copies != nil {
		s.copies.Deleted(id, t.Partitions())
	}
	s.news.add(false, t.Name)
}

// hear acts on news until ctx ends.
func (s *session) hear(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.news.bell:
		}
		load, deleted := s.news.take()
		if load {
			s.loadGroups()
		}
		if len(deleted) > 0 {
			if err := s.groups.TopicsDeleted(ctx, deleted); err != nil && ctx.Err() == nil {
				slog.WarnContext(ctx, "offsets of deleted topics not deleted", "topics", deleted, "error", err)
			}
		}
	}
}

// values are the settings of a topic: its own, the cluster's, those of this agent, the defaults.
func (s *session) values(state *control.State, t *control.Topic) topic.Values {
	return topic.Values{Topic: t.Config, Cluster: s.clusterValues(state)}
}

func (s *session) clusterValues(state *control.State) topic.Cluster {
	config, _ := state.Config()
	return topic.Cluster{config, s.agent.settings.Kafka}
}

func (s *session) limits(state *control.State, t *control.Topic) ingest.Limits {
	v := s.values(state, t)
	return ingest.Limits{
		MaxBatchBytes: int(v.MaxMessageBytes()), LogAppendTime: v.LogAppendTime(),
		Before: milliseconds(v.TimestampBeforeMaxMs()), After: milliseconds(v.TimestampAfterMaxMs()),
	}
}

// milliseconds makes a bound of a setting; one that no duration can hold is none.
func milliseconds(ms int64) time.Duration {
	if ms > int64(100*365*24*time.Hour/time.Millisecond) {
		return 0
	}
	return time.Duration(ms) * time.Millisecond
}

func errNoTopic(name string) error { return fmt.Errorf("topic %s is not there", name) }
