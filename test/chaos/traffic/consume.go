package traffic

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/odradek/odradek/test/chaos/history"
)

// consume reads all partitions of some topics from their beginning, once. reset is where it goes on when what it asks for is
// not there.
func (t *Traffic) consume(ctx context.Context, name, rack string, topics map[string]int32, reset kgo.Offset) {
	offsets := make(map[string]map[int32]kgo.Offset)
	for topic, n := range topics {
		offsets[topic] = make(map[int32]kgo.Offset)
		for i := range n {
			offsets[topic][i] = kgo.NewOffset().At(0)
		}
	}
	opts := []kgo.Opt{kgo.ConsumePartitions(offsets), kgo.ConsumeResetOffset(reset), kgo.FetchMaxWait(250 * time.Millisecond)}
	if rack != "" {
		opts = append(opts, kgo.Rack(rack))
	}
	c, err := t.client(name, opts...)
	if err != nil {
		t.note("consumer %s: %v", name, err)
		return
	}
	defer c.Close()
	for ctx.Err() == nil {
		start := t.log.Now()
		fetches := c.PollRecords(ctx, 5000)
		t.handed(fetches, start, name, "")
	}
}

// handed notes what a consumer was given, and where it or its group stands. It gives the offsets behind the records.
func (t *Traffic) handed(fetches kgo.Fetches, start time.Duration, name, group string) map[string]map[int32]kgo.EpochOffset {
	end := t.log.Now()
	next := make(map[string]map[int32]kgo.EpochOffset)
	fetches.EachPartition(func(fp kgo.FetchTopicPartition) {
		p := history.Partition{Topic: fp.Topic, Index: fp.Partition}
		if fp.Err != nil {
			t.refused(p, start, name, group, fp.Err)
		}
		if len(fp.Records) == 0 {
			return
		}
		records := make([]history.Record, len(fp.Records))
		for i, r := range fp.Records {
			records[i] = history.Record{Offset: r.Offset, Value: history.FromRecord(r.Key, r.Value), Epoch: r.LeaderEpoch}
		}
		last := records[len(records)-1]
		t.log.Add(history.Event{Kind: history.Read, Client: name, Group: group, Start: start, End: end, Partition: p, Records: records})
		if next[p.Topic] == nil {
			next[p.Topic] = make(map[int32]kgo.EpochOffset)
		}
		next[p.Topic][p.Index] = kgo.EpochOffset{Epoch: last.Epoch, Offset: last.Offset + 1}
		t.mu.Lock()
		defer t.mu.Unlock()
		t.read += len(records)
		at := t.position
		key := name
		if group != "" {
			at, key = t.groupPos, group
		}
		if at[key] == nil {
			at[key] = make(map[history.Partition]int64)
		}
		at[key][p] = max(at[key][p], last.Offset+1)
	})
	return next
}

// refused notes an error that a consumer was shown. franz-go deals with the retriable ones by itself.
func (t *Traffic) refused(p history.Partition, start time.Duration, name, group string, err error) {
	if errors.Is(err, context.Canceled) || errors.Is(err, kgo.ErrClientClosed) {
		return
	}
	var loss *kgo.ErrDataLoss
	t.mu.Lock()
	at := t.position[name][p]
	if group != "" {
		at = t.groupPos[group][p]
	}
	t.mu.Unlock()
	if errors.Is(err, kerr.OffsetOutOfRange) || errors.As(err, &loss) {
		t.log.Add(history.Event{
			Kind: history.OutOfRange, Client: name, Group: group, Start: start, End: t.log.Now(), Partition: p, From: at, Error: err.Error(),
		})
	}
	t.note("%s reads %s/%d: %v", name, p.Topic, p.Index, err)
}

// member is one of the two members of a group. The second leaves now and then and comes back.
func (t *Traffic) member(ctx context.Context, group string, m int) {
	for life := 1; ctx.Err() == nil; life++ {
		name := fmt.Sprintf("%s-m%d-%d", group, m+1, life)
		stay, cancel := ctx, context.CancelFunc(func() {})
		if m > 0 {
			stay, cancel = context.WithTimeout(ctx, 20*time.Second+rand.N(40*time.Second))
		}
		t.belong(stay, group, name)
		cancel()
		wait(ctx, time.Second)
	}
}

// belong reads as a member of a group and commits what it was handed, until ctx is done.
func (t *Traffic) belong(ctx context.Context, group, name string) {
	var topics []string
	for topic := range t.c.Topics {
		topics = append(topics, topic)
	}
	c, err := t.client(name, kgo.ConsumerGroup(group), kgo.ConsumeTopics(topics...), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()), kgo.ConsumeResetOffset(kgo.NoResetOffset()), kgo.FetchMaxWait(250*time.Millisecond),
		kgo.SessionTimeout(10*time.Second), kgo.HeartbeatInterval(time.Second), kgo.RebalanceTimeout(15*time.Second))
	if err != nil {
		t.note("member %s: %v", name, err)
		return
	}
	defer c.CloseAllowingRebalance()
	for ctx.Err() == nil {
		start := t.log.Now()
		fetches := c.PollRecords(ctx, 5000)
		if next := t.handed(fetches, start, name, group); len(next) > 0 {
			t.commit(c, group, name, next)
		}
		c.AllowRebalance()
		wait(ctx, 100*time.Millisecond)
	}
}

// commit commits offsets and notes what became of each.
func (t *Traffic) commit(c *kgo.Client, group, name string, next map[string]map[int32]kgo.EpochOffset) {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	start := t.log.Now()
	outcomes := make(map[history.Partition]error)
	var whole error
	c.CommitOffsetsSync(ctx, next, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
		whole = err
		if resp == nil {
			return
		}
		for _, rt := range resp.Topics {
			for _, rp := range rt.Partitions {
				outcomes[history.Partition{Topic: rt.Topic, Index: rp.Partition}] = kerr.ErrorForCode(rp.ErrorCode)
			}
		}
	})
	end := t.log.Now()
	for topic, parts := range next {
		for index, at := range parts {
			p := history.Partition{Topic: topic, Index: index}
			e := history.Event{Kind: history.Committed, Client: name, Group: group, Start: start, End: end, Partition: p, Offset: at.Offset, Outcome: history.OK}
			err, answered := outcomes[p]
			switch {
			case whole != nil || !answered:
				e.Outcome, e.Error = history.Unknown, fmt.Sprint(whole)
			case err != nil: // refused this time; an earlier attempt, that was not answered, may have been done
				e.Outcome, e.Error = history.Unknown, err.Error()
			}
			t.log.Add(e)
		}
	}
}
