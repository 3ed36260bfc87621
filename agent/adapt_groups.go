package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/odradek/odradek/objectstore"

	"github.com/odradek/odradek/agent/api"
	"github.com/odradek/odradek/agent/cluster"
	"github.com/odradek/odradek/agent/fetch"
	"github.com/odradek/odradek/agent/group"
	"github.com/odradek/odradek/agent/ingest"
	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/topic"
)

const (
	readGroups    = 4 << 20         // bytes of the offsets topic that are read at a time
	retryLoad     = time.Second     // before groups that could not be loaded are tried again; twice as long each time
	retryLoadMost = 8 * time.Second // and never longer
)

// groupLog is the offsets topic as agent/group's Log.
type groupLog struct{ s *session }

// Append implements group.Log.
func (l *groupLog) Append(ctx context.Context, b group.Batch) func(context.Context) (topic.Offset, error) {
	p, err := l.partition(b.Partition)
	if err != nil {
		return func(context.Context) (topic.Offset, error) { return 0, err }
	}
	records := make([]recordbatch.Record, len(b.Records))
	for i, r := range b.Records {
		records[i] = recordbatch.Record{Timestamp: b.TimeMs, Key: r.Key, Value: r.Value}
	}
	pending := l.s.ingest.Append(ctx, ingest.AcksAll, []ingest.PartitionBatch{{
		Partition: p, Records: recordbatch.Build(recordbatch.Draft{Records: records}), Lazy: b.OffsetsOnly, Internal: true, Epoch: b.Epoch,
	}})[0]
	return func(ctx context.Context) (topic.Offset, error) {
		r, err := pending.Wait(ctx)
		return r.Base, err
	}
}

// Read implements group.Log.
func (l *groupLog) Read(ctx context.Context, partition int32, from topic.Offset,
	fn func(o topic.Offset, key, value []byte) error) (topic.Offset, error) {
	ctx = objectstore.Because(ctx, objectstore.ReasonGroup)
	p, err := l.partition(partition)
	if err != nil {
		return 0, err
	}
	for next := from; ; {
		res := l.s.fetch.Read(ctx, fetch.Request{
			MaxBytes: readGroups, Parts: []fetch.Part{{Partition: p, Offset: next, MaxBytes: readGroups}},
		})[0]
		if res.Err != nil || len(res.Records) == 0 {
			return next, res.Err
		}
		for _, row := range res.Records {
			if next, err = readRow(row, next, fn); err != nil {
				return next, err
			}
		}
	}
}

// readRow gives the records at and above from of a row of batches to fn, and returns the offset behind the row.
func readRow(row []byte, from topic.Offset, fn func(o topic.Offset, key, value []byte) error) (topic.Offset, error) {
	next := from
	err := recordbatch.EachStored(row, ingest.MaxBatchBytes, func(b []byte, info recordbatch.Info) error {
		for r, err := range recordbatch.Records(b, ingest.MaxBatchBytes) {
			if err != nil {
				return err
			}
			if r.Offset < from || info.IsControl() {
				continue
			}
			if err := fn(r.Offset, r.Key, r.Value); err != nil {
				return err
			}
		}
		next = info.Next()
		return nil
	})
	return next, err
}

// Proof implements group.Log.
func (l *groupLog) Proof(ctx context.Context, asked time.Time) error {
	return l.s.provedSince(ctx, asked)
}

func (l *groupLog) partition(index int32) (topic.Partition, error) {
	t, ok := l.s.cluster.State().TopicByName(topic.ConsumerOffsets)
	if !ok {
		return topic.Partition{}, errNoTopic(topic.ConsumerOffsets)
	}
	return topic.Partition{Topic: t.ID, Index: index}, nil
}

func (s *session) groupConfig() group.Config {
	c := group.Defaults()
	v := topic.Cluster{s.agent.settings.Kafka}
	ms := func(name string) time.Duration { return time.Duration(v.Int64(name)) * time.Millisecond }
	c.Partitions = int32(v.Int64("offsets.topic.num.partitions"))
	c.Count = func() int32 {
		if t, ok := s.cluster.State().TopicByName(topic.ConsumerOffsets); ok {
			return t.Partitions()
		}
		return 0
	}
	c.MinSessionTimeout = ms("group.min.session.timeout.ms")
	c.MaxSessionTimeout = ms("group.max.session.timeout.ms")
	c.InitialRebalanceDelay = ms("group.initial.rebalance.delay.ms")
	c.OffsetsRetention = time.Duration(v.Int64("offsets.retention.minutes")) * time.Minute
	c.RetentionCheck = ms("offsets.retention.check.interval.ms")
	c.MaxMetadataBytes = int(v.Int64("offset.metadata.max.bytes"))
	c.MaxGroupSize = min(c.MaxGroupSize, int(v.Int64("group.max.size")))
	c.TopicExists = func(name string) bool { // a commit was for a topic whose record lies before the one that assigned the group here
		_, ok := s.cluster.State().TopicByName(name)
		return ok
	}
	return c
}

// loadGroup loads the groups of one partition. What was replayed from an earlier WAL counts first: the coordinator must
// know all that the log will hold below its own first record.
func (s *session) loadGroup(ctx context.Context, partition int32, epoch topic.Epoch) {
	for pause := retryLoad; ; pause = min(2*pause, retryLoadMost) {
		err := s.ingest.Flush(ctx)
		if err == nil {
			err = s.groups.Load(ctx, partition, epoch)
		}
		if err == nil || ctx.Err() != nil {
			return
		}
		slog.ErrorContext(ctx, "groups not loaded, trying again", "partition", partition, "error", err, "in", pause)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// coordinators tells which agent coordinates a group.
type coordinators struct{ s *session }

// Coordinator implements api.Coordinators.
func (c *coordinators) Coordinator(ctx context.Context, name string) (api.Agent, error) {
	t, ok := c.s.cluster.State().TopicByName(topic.ConsumerOffsets)
	if !ok {
		if err := c.create(ctx); err != nil {
			return api.Agent{}, fmt.Errorf("%w: %w", api.ErrCoordinatorNotAvailable, err)
		}
		if t, ok = c.s.cluster.State().TopicByName(topic.ConsumerOffsets); !ok {
			return api.Agent{}, api.ErrCoordinatorNotAvailable
		}
	}
	a := t.Owner(group.PartitionFor(name, t.Partitions()))
	j, ok := c.s.cluster.State().Journal(a.Journal)
	if !ok || j.Sealed {
		return api.Agent{}, api.ErrCoordinatorNotAvailable
	}
	return agentOf(j), nil
}

// create makes the offsets topic, with the settings that tools expect of it.
func (c *coordinators) create(ctx context.Context) error {
	_, err := c.s.cluster.CreateTopic(ctx, cluster.NewTopic{
		Name: topic.ConsumerOffsets, Internal: true, Partitions: c.s.groupConfig().Partitions,
		Config: topic.Config{"cleanup.policy": "compact", "segment.bytes": "104857600", "compression.type": "producer"},
	})
	if errors.Is(err, cluster.ErrTopicExists) {
		return nil
	}
	return err
}
