package cluster

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"sync"

	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/topic"
)

// OffsetsTopic is the internal topic that holds consumer groups and their offsets (T1).
const OffsetsTopic = "__consumer_offsets"

// NewTopic is a topic to create; its name and settings were checked.
type NewTopic struct {
	Name       string
	Internal   bool
	Partitions int32
	Config     topic.Config
}

// owners picks the journals that own the partitions [from, from+count) of a topic first, among those that live.
func (e *Engine) owners(s *control.State, id topic.ID, from, count int32) []topic.JournalID {
	partitions := make([]topic.Partition, 0, max(count, 0))
	for i := range count {
		partitions = append(partitions, topic.Partition{Topic: id, Index: from + i})
	}
	return e.spread(s, partitions, topic.JournalID{})
}

// CreateTopic makes a topic and assigns its partitions in one record, and returns its id.
func (e *Engine) CreateTopic(ctx context.Context, t NewTopic) (topic.ID, error) {
	id := newTopicID()
	_, err := e.propose(ctx, func(s *control.State) (control.Record, error) {
		if have, ok := s.TopicCollidingWith(t.Name); ok {
			if have.Name == t.Name {
				return nil, ErrTopicExists
			}
			return nil, fmt.Errorf("%q: %w", have.Name, ErrCollision)
		}
		return control.TopicCreate{
			ID: id, Name: t.Name, Internal: t.Internal, Config: maps.Clone(t.Config),
			Journals: e.owners(s, id, 0, t.Partitions),
		}, nil
	})
	if err != nil {
		return topic.ID{}, fmt.Errorf("create topic %q: %w", t.Name, err)
	}
	return id, nil
}

// newTopicID draws an id that is neither zero nor one that Kafka reserves.
func newTopicID() topic.ID {
	for {
		var id topic.ID
		rand.Read(id[:])
		if id[0] != 0 && id.String()[0] != '-' { // a leading dash trips command lines, as Kafka knows, too
			return id
		}
	}
}

// DeleteTopic deletes a topic; its id is never used again.
func (e *Engine) DeleteTopic(ctx context.Context, id topic.ID) error {
	_, err := e.propose(ctx, func(s *control.State) (control.Record, error) {
		if _, ok := s.TopicByID(id); !ok {
			return nil, ErrUnknownTopic
		}
		return control.TopicDelete{ID: id}, nil
	})
	return err
}

// AddPartitions raises a topic's partitions from have to total.
func (e *Engine) AddPartitions(ctx context.Context, id topic.ID, have, total int32) error {
	_, err := e.propose(ctx, func(s *control.State) (control.Record, error) {
		if _, ok := s.TopicByID(id); !ok {
			return nil, ErrUnknownTopic
		}
		return control.PartitionsAdd{Topic: id, From: have, Journals: e.owners(s, id, have, total-have)}, nil
	})
	return err
}

// AlterTopic sets and deletes settings of a topic.
func (e *Engine) AlterTopic(ctx context.Context, id topic.ID, set topic.Config, remove []string) error {
	_, err := e.propose(ctx, func(s *control.State) (control.Record, error) {
		t, ok := s.TopicByID(id)
		if !ok {
			return nil, ErrUnknownTopic
		}
		return control.TopicConfig{Topic: id, Version: t.ConfigVersion, Set: set, Delete: remove}, nil
	})
	return err
}

// AlterCluster sets and deletes settings of the whole cluster.
func (e *Engine) AlterCluster(ctx context.Context, set topic.Config, remove []string) error {
	_, err := e.propose(ctx, func(s *control.State) (control.Record, error) {
		_, version := s.Config()
		return control.ClusterConfig{Version: version, Set: set, Delete: remove}, nil
	})
	return err
}

// propose appends one record and asks that it hold.
func (e *Engine) propose(ctx context.Context, decide func(*control.State) (control.Record, error)) (control.Record, error) {
	var record control.Record
	outcomes, err := e.Propose(ctx, func(s *control.State) ([]control.Record, error) {
		r, err := decide(s)
		if err != nil {
			return nil, err
		}
		if o := s.Judge(r); o.Void {
			return nil, fmt.Errorf("%w: %s", ErrVoid, o.Why)
		}
		record = r
		return []control.Record{r}, nil
	})
	if err != nil {
		return nil, err // decide may still write record
	}
	if outcomes[0].Void {
		return nil, fmt.Errorf("%w: %s", ErrVoid, outcomes[0].Why)
	}
	return record, nil
}

// producerBlock is how many producer ids an agent takes from the control log at a time.
const producerBlock = 1000

// ProducerIDs gives out producer ids that nobody had before, from blocks of the control log. Safe for concurrent use.
type ProducerIDs struct {
	engine *Engine

	mu         sync.Mutex // guards all below
	next, last int64      // [next, last) is left of the block
}

// NewProducerIDs makes a source of producer ids that has no block yet.
func NewProducerIDs(e *Engine) *ProducerIDs { return &ProducerIDs{engine: e} }

// Next gives a producer id.
func (p *ProducerIDs) Next(ctx context.Context) (int64, error) {
	for {
		if id, ok := p.take(); ok {
			return id, nil
		}
		r, err := p.engine.propose(ctx, func(s *control.State) (control.Record, error) {
			return control.ProducerIDs{From: s.NextProducerID(), Count: producerBlock, Journal: p.engine.journal}, nil
		})
		if err != nil {
			return 0, fmt.Errorf("take producer ids: %w", err)
		}
		block := r.(control.ProducerIDs)
		p.refill(block.From, block.From+int64(block.Count))
	}
}

func (p *ProducerIDs) take() (int64, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next == p.last {
		return 0, false
	}
	p.next++
	return p.next - 1, true
}

// refill begins a new block. When two ask at once the older block's rest is lost, which costs nothing.
func (p *ProducerIDs) refill(from, to int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next, p.last = from, to
}
