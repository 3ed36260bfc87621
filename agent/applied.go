package agent

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/odradek/odradek/agent/ingest"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/topic"
)

// newsQueue bounds what control records ask of parts that may block; more of it makes applying wait.
const newsQueue = 1024

// news is what a control record asks of a part that may block.
type news struct {
	deleted string // name of a deleted topic, for the groups
	load    bool   // the offsets topic came into being
}

// Applied implements cluster.Observer: ingest and fetch learn of topics and settings before anyone acts on them.
func (s *session) Applied(before, after *control.State, records []control.Record, outcomes []control.Outcome) {
	for i, r := range records {
		if outcomes[i].Void {
			continue
		}
		switch r := r.(type) {
		case control.TopicCreate:
			s.ownNew(after, r.ID, 0, r.Journals)
			if r.Name == topic.ConsumerOffsets {
				s.news <- news{load: true}
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
	s.news <- news{deleted: t.Name}
}

// hear acts on news until ctx ends.
func (s *session) hear(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case n := <-s.news:
			if n.load {
				s.loadGroups()
			}
			if n.deleted != "" {
				if err := s.groups.TopicsDeleted(ctx, []string{n.deleted}); err != nil && ctx.Err() == nil {
					slog.WarnContext(ctx, "offsets of a deleted topic not deleted", "topic", n.deleted, "error", err)
				}
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
