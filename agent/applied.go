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

	mu  sync.Mutex // guards all below
	now told
}

// told is the news of some control records.
type told struct {
	load    bool                 // the offsets topic came into being
	deleted []string             // names of deleted topics, for the groups; each topic is deleted once
	lost    []control.Assignment // partitions of the offsets topic that are another journal's now
	gained  []control.Assignment // this journal's newest
	moves   []control.Move       // asked of this journal
}

func newNews() *news { return &news{bell: make(chan struct{}, 1)} }

func (n *news) add(t told) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.now.load = n.now.load || t.load
	n.now.deleted = append(n.now.deleted, t.deleted...)
	n.now.lost = append(n.now.lost, t.lost...)
	n.now.gained = append(n.now.gained, t.gained...)
	n.now.moves = append(n.now.moves, t.moves...)
	select {
	case n.bell <- struct{}{}:
	default:
	}
}

func (n *news) take() told {
	n.mu.Lock()
	defer n.mu.Unlock()
	t := n.now
	n.now = told{}
	return t
}

// Applied implements cluster.Observer: ingest and fetch learn of topics, settings and assignments before anyone acts on
// them.
func (s *session) Applied(before, after *control.State, records []control.Record, outcomes []control.Outcome) {
	defer s.changedHands(before, after, records, outcomes)
	var moved []topic.Partition // perhaps
	for i, r := range records {
		if outcomes[i].Void {
			continue
		}
		switch r := r.(type) {
		case control.TopicCreate:
			s.ownNew(after, r.ID, 0, r.Journals)
			if r.Name == topic.ConsumerOffsets {
				s.news.add(told{load: true})
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
		case control.Assign:
			moved = append(moved, r.Partition)
		case control.JournalSealed:
			moved = append(moved, partitionsOf(r)...)
		case control.JournalOpen:
			for _, p := range r.Predecessors {
				moved = append(moved, partitionsOf(p)...)
			}
		case control.Move:
			s.news.add(told{moves: []control.Move{r}})
		}
	}
	s.reassigned(before, after, moved)
	if mine, ok := after.Journal(s.journal); ok {
		s.agent.metrics.owned.Set(float64(mine.Partitions()))
	}
}

func partitionsOf(r control.JournalSealed) []topic.Partition {
	ps := make([]topic.Partition, len(r.Parts))
	for i, part := range r.Parts {
		ps[i] = part.Partition
	}
	return ps
}

// reassigned compares who owns partitions: what this journal lost is not admitted from now on, what it gained is loaded
// (F5).
func (s *session) reassigned(before, after *control.State, ps []topic.Partition) {
	var t told
	for _, p := range ps {
		was, had := before.Owner(p)
		now, has := after.Owner(p)
		if !has || had && was.Epoch == now.Epoch {
			continue // deleted by a later record of the same number, or told of by an earlier one
		}
		mine := had && was.Journal == s.journal
		if mine {
			s.owning.lose(p, now.Epoch)
			s.agent.metrics.lost.Inc()
			if holdsGroups(after, p) {
				t.lost = append(t.lost, now)
			}
		}
		if now.Journal == s.journal {
			t.gained = append(t.gained, now)
		}
	}
	if len(t.lost)+len(t.gained) > 0 {
		s.news.add(t)
	}
}

// ownNew begins to take records for new partitions that were given to this journal.
func (s *session) ownNew(state *control.State, id topic.ID, from int32, journals []topic.JournalID) {
	t, ok := state.TopicByID(id)
	if !ok {
		return // deleted by a later record of the same number
	}
	for i, j := range journals {
		if j == s.journal && t.Owner(from+int32(i)).Epoch == 0 {
			p := topic.Partition{Topic: id, Index: from + int32(i)}
			s.ingest.Own(ingest.Ownership{Partition: p, Limits: s.limits(state, t)})
		}
	}
}

func (s *session) forget(before *control.State, id topic.ID) {
	s.agent.metrics.topics.forget(id)
	s.ingest.Disown(id)
	t, ok := before.TopicByID(id)
	if !ok {
		return // created by an earlier record of the same number
	}
	s.fetch.Drop(id, t.Partitions())
	if s.copies != nil {
		s.copies.Deleted(id, t.Partitions())
	}
	s.news.add(told{deleted: []string{t.Name}})
}

// hear acts on news until ctx ends.
func (s *session) hear(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.news.bell:
		}
		t := s.news.take()
		for _, a := range t.lost {
			s.groupLoads.stop(a.Partition, a.Epoch)
		}
		for _, a := range t.gained {
			s.owning.begin(a, func() {})
		}
		if t.load {
			s.groupLoads.startOwned()
		}
		if len(t.moves) > 0 {
			s.balancing.ask(t.moves)
		}
		if len(t.deleted) > 0 {
			s.background.Go(func() { s.deleteOffsets(ctx, t.deleted) })
		}
	}
}

// holdsGroups says whether a partition is one of the offsets topic.
func holdsGroups(state *control.State, p topic.Partition) bool {
	t, ok := state.TopicByID(p.Topic)
	return ok && t.Name == topic.ConsumerOffsets
}

func (s *session) deleteOffsets(ctx context.Context, topics []string) {
	if err := s.groups.TopicsDeleted(ctx, topics); err != nil && ctx.Err() == nil {
		slog.WarnContext(ctx, "offsets of deleted topics not deleted", "topics", topics, "error", err)
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
		MaxBatchBytes: int(v.MaxMessageBytes()), LogAppendTime: v.LogAppendTime(), Keyed: v.Compacts(),
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
