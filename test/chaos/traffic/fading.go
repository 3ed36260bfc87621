package traffic

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/odradek/odradek/test/chaos/history"
)

const (
	askStarts = 600 * time.Millisecond
	cutPause  = 3 * time.Second // between two DeleteRecords
)

// fading gives the topics whose log starts rise, with their partitions.
func (t *Traffic) fading() map[string]int32 {
	out := make(map[string]int32)
	for name, f := range t.c.Fading {
		out[name] = f.Partitions
	}
	return out
}

// probeStarts asks where the topics begin whose log starts rise.
func (t *Traffic) probeStarts(ctx context.Context) {
	c, err := t.client("starts")
	if err != nil {
		t.note("probe: %v", err)
		return
	}
	defer c.Close()
	admin, names := kadm.NewClient(c), slices.Sorted(maps.Keys(t.c.Fading))
	for wait(ctx, askStarts) {
		ask, cancel := context.WithTimeout(ctx, askTime)
		start := t.log.Now()
		listed, _ := admin.ListStartOffsets(ask, names...) // each partition has its own error
		cancel()
		end := t.log.Now()
		listed.Each(func(o kadm.ListedOffset) {
			if o.Err == nil && o.Offset >= 0 {
				t.started("starts", start, end, history.Partition{Topic: o.Topic, Index: o.Partition}, o.Offset)
			}
		})
	}
}

// started notes that somebody was told where a log begins.
func (t *Traffic) started(name string, start, end time.Duration, p history.Partition, offset int64) {
	t.log.Add(history.Event{Kind: history.Started, Client: name, Start: start, End: end, Partition: p, Offset: offset, Outcome: history.OK})
	t.mu.Lock()
	defer t.mu.Unlock()
	t.starts[p] = max(t.starts[p], offset)
}

// cut deletes the oldest records of the topics that are cut, some at a time.
func (t *Traffic) cut(ctx context.Context) {
	c, err := t.client("cutter")
	if err != nil {
		t.note("admin: %v", err)
		return
	}
	defer c.Close()
	admin := kadm.NewClient(c)
	for wait(ctx, cutPause) {
		offsets := make(kadm.Offsets)
		t.mu.Lock()
		for name, f := range t.c.Fading {
			for i := range f.Partitions {
				p := history.Partition{Topic: name, Index: i}
				if from, end := t.starts[p], t.ends[p]; f.Cut && end > from {
					offsets.Add(kadm.Offset{Topic: name, Partition: i, At: from + rand.Int64N(end-from)/2, LeaderEpoch: -1})
				}
			}
		}
		t.mu.Unlock()
		if len(offsets) == 0 {
			continue
		}
		ask, cancel := context.WithTimeout(context.Background(), 15*time.Second)
		start := t.log.Now()
		answers, err := admin.DeleteRecords(ask, offsets)
		cancel()
		end := t.log.Now()
		offsets.Each(func(o kadm.Offset) {
			e := history.Event{
				Kind: history.Cut, Client: "cutter", Start: start, End: end, Partition: history.Partition{Topic: o.Topic, Index: o.Partition},
				From: o.At, Outcome: history.Unknown, Error: fmt.Sprint(err),
			}
			if a, ok := answers[o.Topic][o.Partition]; ok {
				if e.Error = fmt.Sprint(a.Err); a.Err == nil {
					e.Outcome, e.Offset, e.Error = history.OK, a.LowWatermark, ""
				}
			}
			t.log.Add(e)
		})
	}
}

// Keep ends it that records are deleted for their age or the size of their partition, so that what is there can be read.
func (t *Traffic) Keep(ctx context.Context, limit time.Duration) error {
	c, err := t.client("keep")
	if err != nil {
		return err
	}
	defer c.Close()
	admin := kadm.NewClient(c)
	never := "-1"
	for deadline := time.Now().Add(limit); ; {
		ask, cancel := context.WithTimeout(ctx, askTime)
		answers, err := admin.AlterTopicConfigs(ask, []kadm.AlterConfig{
			{Op: kadm.SetConfig, Name: "retention.ms", Value: &never}, {Op: kadm.SetConfig, Name: "retention.bytes", Value: &never},
		}, slices.Sorted(maps.Keys(t.c.Fading))...)
		cancel()
		for _, a := range answers {
			if err == nil {
				err = a.Err
			}
		}
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) || !wait(ctx, 200*time.Millisecond) {
			return fmt.Errorf("keep records: %w", err)
		}
	}
}

// Starts asks where the logs begin, again and again until each is told, and notes it.
func (t *Traffic) Starts(ctx context.Context, admin *kadm.Client, limit time.Duration) (map[history.Partition]int64, error) {
	start := t.log.Now()
	starts, err := bounds(ctx, admin.ListStartOffsets, t.fading(), limit)
	end := t.log.Now()
	for p, offset := range starts {
		t.started("last", start, end, p, offset)
	}
	return starts, err
}
