package traffic

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/odradek/odradek/test/chaos/history"
)

// How often the probes ask.
const (
	askEnds      = 400 * time.Millisecond
	askCommitted = 700 * time.Millisecond
	askLeaders   = 500 * time.Millisecond
	askAgents    = 500 * time.Millisecond
	askTime      = 4 * time.Second // until a probe gives a question up
)

// probeEnds asks for the ends of all partitions: the high watermark and the last stable offset in turn.
func (t *Traffic) probeEnds(ctx context.Context) {
	c, err := t.client("ends")
	if err != nil {
		t.note("probe: %v", err)
		return
	}
	defer c.Close()
	admin := kadm.NewClient(c)
	for i := 0; wait(ctx, askEnds); i++ {
		ask, cancel := context.WithTimeout(ctx, askTime)
		list := admin.ListEndOffsets
		if i%2 == 1 {
			list = admin.ListCommittedOffsets
		}
		start := t.log.Now()
		listed, _ := list(ask, t.topics()...) // each partition has its own error
		cancel()
		end := t.log.Now()
		listed.Each(func(o kadm.ListedOffset) {
			if o.Err != nil || o.Offset < 0 {
				return
			}
			p := history.Partition{Topic: o.Topic, Index: o.Partition}
			t.log.Add(history.Event{Kind: history.Ended, Client: "ends", Start: start, End: end, Partition: p, Offset: o.Offset, Outcome: history.OK})
			t.mu.Lock()
			t.ends[p] = o.Offset
			t.mu.Unlock()
		})
	}
}

// probeCommitted asks for the committed offsets of the groups.
func (t *Traffic) probeCommitted(ctx context.Context) {
	c, err := t.client("committed")
	if err != nil {
		t.note("probe: %v", err)
		return
	}
	defer c.Close()
	admin := kadm.NewClient(c)
	for wait(ctx, askCommitted) {
		for i := range t.c.Groups {
			group := fmt.Sprintf("g%d", i+1)
			ask, cancel := context.WithTimeout(ctx, askTime)
			start := t.log.Now()
			offsets, err := admin.FetchOffsetsForTopics(ask, group, t.topics()...)
			cancel()
			if err != nil {
				continue
			}
			end := t.log.Now()
			offsets.Each(func(o kadm.OffsetResponse) {
				if o.Err != nil {
					return
				}
				t.log.Add(history.Event{
					Kind: history.Looked, Client: "committed", Group: group, Start: start, End: end,
					Partition: history.Partition{Topic: o.Topic, Index: o.Partition}, Offset: o.At, Outcome: history.OK,
				})
			})
		}
	}
}

// probeLeaders asks who leads, and notes changes.
func (t *Traffic) probeLeaders(ctx context.Context) {
	c, err := t.client("leaders")
	if err != nil {
		t.note("probe: %v", err)
		return
	}
	defer c.Close()
	admin := kadm.NewClient(c)
	epochs := make(map[history.Partition]int32)
	for wait(ctx, askLeaders) {
		ask, cancel := context.WithTimeout(ctx, askTime)
		start := t.log.Now()
		m, err := admin.Metadata(ask, t.topics()...)
		cancel()
		if err != nil {
			continue
		}
		end := t.log.Now()
		addrs := make(map[int32]string)
		for _, b := range m.Brokers {
			addrs[b.NodeID] = fmt.Sprintf("%s:%d", b.Host, b.Port)
		}
		m.Topics.EachPartition(func(d kadm.PartitionDetail) {
			p := history.Partition{Topic: d.Topic, Index: d.Partition}
			if last, known := epochs[p]; d.Err != nil || known && last >= d.LeaderEpoch {
				return
			}
			epochs[p] = d.LeaderEpoch
			t.mu.Lock()
			t.owners[p] = addrs[d.Leader]
			t.mu.Unlock()
			t.log.Add(history.Event{
				Kind: history.Led, Client: "leaders", Start: start, End: end, Partition: p, Agent: addrs[d.Leader], Epoch: d.LeaderEpoch,
			})
		})
	}
}

// probeAgents asks every agent for itself: its high watermark, and the last records below it.
func (t *Traffic) probeAgents(ctx context.Context) {
	var asking sync.WaitGroup
	defer asking.Wait()
	var mu sync.Mutex
	busy := make(map[string]bool)
	readers := make(map[string]*Reader)
	marks := make(map[string]map[history.Partition]int64) // highest shown, by agent
	defer func() {
		asking.Wait()
		for _, r := range readers {
			r.Close()
		}
	}()
	for wait(ctx, askAgents) {
		for _, target := range t.c.Targets() {
			mu.Lock()
			r := readers[target.Name]
			if r == nil {
				var err error
				if r, err = NewReader(target); err != nil {
					mu.Unlock()
					continue
				}
				readers[target.Name], marks[target.Name] = r, make(map[history.Partition]int64)
			}
			skip := busy[target.Name]
			busy[target.Name] = true
			shown := marks[target.Name]
			mu.Unlock()
			if skip {
				continue
			}
			asking.Go(func() {
				t.ask(ctx, r, target, shown)
				mu.Lock()
				busy[target.Name] = false
				mu.Unlock()
			})
		}
	}
}

// ask fetches a little from one agent, at or somewhat below the end that it showed. shown is this call's alone.
func (t *Traffic) ask(ctx context.Context, r *Reader, target Target, shown map[history.Partition]int64) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	var asks []Ask
	for _, p := range t.Partitions() {
		asks = append(asks, Ask{p, max(0, shown[p]-rand.Int64N(20))})
	}
	start := t.log.Now()
	answers, err := r.Fetch(ctx, asks, 4096)
	if err != nil {
		return
	}
	end := t.log.Now()
	for _, a := range answers {
		e := history.Event{Client: "agents", Start: start, End: end, Partition: a.Partition, Agent: target.Name, Life: target.Life, From: a.From}
		switch {
		case a.OutOfRange():
			e.Kind, e.Error = history.OutOfRange, a.Err.Error()
			t.log.Add(e)
		case a.Err == nil && a.Served:
			shown[a.Partition] = max(shown[a.Partition], a.Watermark)
			e.Kind, e.Offset = history.Shown, a.Watermark
			t.log.Add(e)
			if len(a.Records) > 0 {
				e.Kind, e.Offset, e.From, e.Records = history.Read, 0, 0, a.Records
				t.log.Add(e)
			}
		}
	}
}

func (t *Traffic) topics() []string { return slices.Sorted(maps.Keys(t.all)) }
