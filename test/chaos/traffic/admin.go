package traffic

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/odradek/odradek/test/chaos/history"
)

const (
	adminTime   = 5 * time.Minute // until an admin gives a topic up: longer than any outage
	adminPause  = 3 * time.Second // between topics
	adminWrites = 40              // records for each half of a topic's partitions
)

// administer makes topics, one after the other, each with a life of its own.
func (t *Traffic) administer(ctx context.Context) {
	for i := 1; wait(ctx, adminPause); i++ {
		name := fmt.Sprintf("passing-%d", i)
		if err := t.passing(ctx, name); err != nil {
			t.note("admin: %s: %v", name, err)
		}
	}
}

// passing creates a topic, writes, adds partitions, writes there too, reads everything back and deletes the topic.
func (t *Traffic) passing(ctx context.Context, name string) error {
	s, err := t.newSender("admin-"+name, -1)
	if err != nil {
		return err
	}
	defer s.client.Close()
	step, cancel := context.WithTimeout(context.Background(), adminTime)
	defer cancel()
	admin := kadm.NewClient(s.client)
	if err := createTopic(step, admin, name, 2, nil); err != nil {
		return fmt.Errorf("create: %w", err)
	}
	if err := t.write(ctx, step, s, name, 0, 2); err != nil {
		return err
	}
	if err := addPartitions(step, admin, name, 4); err != nil {
		return fmt.Errorf("add partitions: %w", err)
	}
	if err := everywhere(step, admin, name, 4); err != nil {
		return fmt.Errorf("partitions added: %w", err)
	}
	more, err := t.newSender(s.name, -1) // one that has never heard of fewer partitions
	if err != nil {
		return err
	}
	defer more.client.Close()
	if err := t.write(ctx, step, more, name, 2, 4); err != nil {
		return err
	}
	if err := t.readBackAll(step, name, 4); err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	start := t.log.Now()
	e := history.Event{Kind: history.Deleted, Client: s.name, Start: start, Partition: history.Partition{Topic: name}, Outcome: history.OK}
	resp, err := admin.DeleteTopics(step, name)
	if err == nil {
		err = resp[name].Err
	}
	if err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) {
		e.Outcome, e.Error = history.Unknown, err.Error()
	}
	e.End = t.log.Now()
	t.log.Add(e)
	return nil
}

// write sends records to partitions [from, to) and waits until all were answered.
func (t *Traffic) write(ctx, step context.Context, s *sender, name string, from, to int32) error {
	for range adminWrites {
		for i := from; i < to; i++ {
			for !s.send(history.Partition{Topic: name, Index: i}) {
				if !wait(step, 10*time.Millisecond) {
					return fmt.Errorf("write to %s/%d: %w", name, i, step.Err())
				}
			}
		}
		wait(ctx, 20*time.Millisecond)
	}
	if err := s.client.Flush(step); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	return nil
}

// readBackAll reads a topic as a consumer does, up to its ends.
func (t *Traffic) readBackAll(ctx context.Context, name string, partitions int32) error {
	admin, err := t.client("admin")
	if err != nil {
		return err
	}
	defer admin.Close()
	ends, err := Ends(ctx, kadm.NewClient(admin), map[string]int32{name: partitions}, adminTime)
	if err != nil {
		return err
	}
	offsets := map[string]map[int32]kgo.Offset{name: {}}
	want := int64(0)
	for p, end := range ends {
		offsets[name][p.Index] = kgo.NewOffset().At(0)
		want += end
	}
	c, err := t.client("reader-"+name, kgo.ConsumePartitions(offsets), kgo.ConsumeResetOffset(kgo.NoResetOffset()), kgo.FetchMaxWait(250*time.Millisecond))
	if err != nil {
		return err
	}
	defer c.Close()
	got := make(map[history.Partition][]history.Record)
	for n := int64(0); n < want; {
		start := t.log.Now()
		fetches := c.PollRecords(ctx, 5000)
		if ctx.Err() != nil {
			return fmt.Errorf("%d of %d records: %w", n, want, ctx.Err())
		}
		t.handed(fetches, start, "reader-"+name, "")
		fetches.EachRecord(func(r *kgo.Record) {
			n++
			p := history.Partition{Topic: name, Index: r.Partition}
			got[p] = append(got[p], history.Record{Offset: r.Offset, Value: history.FromRecord(r.Key, r.Value), Epoch: r.LeaderEpoch})
		})
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for p := range ends {
		t.readBack[p] = got[p]
	}
	return nil
}

// createTopic makes a topic, again and again until it is there.
func createTopic(ctx context.Context, admin *kadm.Client, name string, partitions int32, config map[string]*string) error {
	for {
		ask, cancel := context.WithTimeout(ctx, 10*time.Second)
		_, err := admin.CreateTopic(ask, partitions, 1, config, name)
		cancel()
		if err == nil || errors.Is(err, kerr.TopicAlreadyExists) {
			return nil
		}
		if !wait(ctx, 200*time.Millisecond) {
			return err
		}
	}
}

// addPartitions brings a topic to a number of partitions, again and again until it has them.
func addPartitions(ctx context.Context, admin *kadm.Client, name string, total int) error {
	for {
		ask, cancel := context.WithTimeout(ctx, 10*time.Second)
		resp, err := admin.UpdatePartitions(ask, total, name)
		cancel()
		if err == nil {
			err = resp[name].Err
		}
		if err == nil {
			return nil
		}
		ask, cancel = context.WithTimeout(ctx, 10*time.Second)
		m, merr := admin.Metadata(ask, name)
		cancel()
		if merr == nil && len(m.Topics[name].Partitions) == total { // an attempt that was not answered was done
			return nil
		}
		if !wait(ctx, 200*time.Millisecond) {
			return err
		}
	}
}

// everywhere waits until a topic has its partitions in several answers in a row: each comes from an agent of chance, and one
// that has not read the control log yet would have a producer give up records.
func everywhere(ctx context.Context, admin *kadm.Client, name string, partitions int) error {
	for same := 0; same < 10; {
		ask, cancel := context.WithTimeout(ctx, askTime)
		m, err := admin.Metadata(ask, name)
		cancel()
		same++
		if err != nil || len(m.Topics[name].Partitions) != partitions {
			same = 0
		}
		if !wait(ctx, 200*time.Millisecond) {
			return ctx.Err()
		}
	}
	return nil
}
