package traffic

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/odradek/odradek/test/chaos/history"
)

// Reader fetches from one agent and no other, with the agent's own zone as rack.
type Reader struct {
	target Target
	client *kgo.Client
}

// Ask is a partition and the offset to fetch from.
type Ask struct {
	history.Partition
	From int64
}

// Answer is what an agent had of a partition.
type Answer struct {
	Ask
	Watermark int64
	Records   []history.Record
	Served    bool // false if the agent named another to fetch from
	Err       error
}

// OutOfRange reports whether the fetch offset was refused.
func (a Answer) OutOfRange() bool { return errors.Is(a.Err, kerr.OffsetOutOfRange) }

// NewReader makes a reader of an agent. It speaks the last version of Fetch that names topics.
func NewReader(target Target) (*Reader, error) {
	c, err := kgo.NewClient(kgo.SeedBrokers(target.Addr), kgo.MaxVersions(kversion.V3_0_0()), kgo.ClientID("reader"),
		kgo.DialTimeout(2*time.Second), kgo.RequestRetries(0), kgo.RequestTimeoutOverhead(3*time.Second))
	if err != nil {
		return nil, err
	}
	return &Reader{target, c}, nil
}

// Close ends the reader's connections.
func (r *Reader) Close() { r.client.Close() }

// Fetch asks for at most so many bytes of each partition, whole batches.
func (r *Reader) Fetch(ctx context.Context, asks []Ask, bytes int32) ([]Answer, error) {
	req := kmsg.NewPtrFetchRequest()
	req.ReplicaID, req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.SessionEpoch, req.Rack = -1, 100, 0, 64<<20, -1, r.target.Zone
	from := make(map[history.Partition]int64, len(asks))
	for _, a := range asks {
		from[a.Partition] = a.From
		if n := len(req.Topics); n == 0 || req.Topics[n-1].Topic != a.Topic {
			topic := kmsg.NewFetchRequestTopic()
			topic.Topic = a.Topic
			req.Topics = append(req.Topics, topic)
		}
		part := kmsg.NewFetchRequestTopicPartition()
		part.Partition, part.FetchOffset, part.PartitionMaxBytes, part.CurrentLeaderEpoch = a.Index, a.From, bytes, -1
		at := &req.Topics[len(req.Topics)-1]
		at.Partitions = append(at.Partitions, part)
	}
	got, err := r.client.SeedBrokers()[0].Request(ctx, req)
	if err != nil {
		return nil, err
	}
	resp := got.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nil, err
	}
	var out []Answer
	for _, rt := range resp.Topics {
		for i := range rt.Partitions {
			rp := &rt.Partitions[i]
			p := history.Partition{Topic: rt.Topic, Index: rp.Partition}
			a := Answer{Ask: Ask{p, from[p]}, Watermark: rp.HighWatermark, Err: kerr.ErrorForCode(rp.ErrorCode), Served: rp.PreferredReadReplica < 0}
			if a.Err == nil && a.Served {
				fp, _ := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{Topic: rt.Topic, Partition: rp.Partition, Offset: a.From}, rp,
					kgo.DefaultDecompressor(), nil)
				a.Err = fp.Err
				for _, rec := range fp.Records {
					a.Records = append(a.Records, history.Record{Offset: rec.Offset, Value: history.FromRecord(rec.Key, rec.Value), Epoch: rec.LeaderEpoch})
				}
			}
			out = append(out, a)
		}
	}
	return out, nil
}

// How ReadTo asks: for all partitions at once, since an object of the bucket holds records of many, and for so little of
// each that an agent that has none of it in memory answers in time.
const (
	readBytes   = 64 << 10 // of a partition in one answer
	readAskTime = 20 * time.Second
)

// ReadTo reads partitions from where they start, 0 where nothing is said, up to their ends. What the agent did not serve before
// the limit is left out, and the error says why.
func (r *Reader) ReadTo(ctx context.Context, starts, ends map[history.Partition]int64, limit time.Duration) (map[history.Partition][]history.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	out, last := make(map[history.Partition][]history.Record), make(map[history.Partition]error)
	for p := range ends {
		out[p] = []history.Record{}
	}
	for {
		var asks []Ask
		for _, p := range slices.SortedFunc(maps.Keys(ends), compare) {
			if from := max(starts[p], next(out[p])); from < ends[p] {
				asks = append(asks, Ask{p, from})
			}
		}
		if len(asks) == 0 {
			return out, nil
		}
		if ctx.Err() != nil {
			return out, r.unread(ctx, asks, ends, last, out)
		}
		ask, cancel := context.WithTimeout(ctx, readAskTime)
		answers, err := r.Fetch(ask, asks, readBytes)
		cancel()
		if err != nil {
			for _, a := range asks {
				last[a.Partition] = err
			}
		}
		more := false
		for _, a := range answers {
			switch last[a.Partition] = a.Err; {
			case a.Err != nil:
			case !a.Served:
				last[a.Partition] = errors.New("named another agent to read from")
			case len(a.Records) > 0:
				out[a.Partition], more = append(out[a.Partition], a.Records...), true
			}
		}
		if !more {
			wait(ctx, 100*time.Millisecond)
		}
	}
}

// next is the offset behind records.
func next(records []history.Record) int64 {
	if len(records) == 0 {
		return 0
	}
	return records[len(records)-1].Offset + 1
}

// unread tells what an agent did not serve, and takes partitions of which it served nothing out.
func (r *Reader) unread(ctx context.Context, asks []Ask, ends map[history.Partition]int64, last map[history.Partition]error, out map[history.Partition][]history.Record) error {
	var errs []error
	for _, a := range asks {
		errs = append(errs, fmt.Errorf("%s: %s/%d at %d of %d: %w", r.target.Name, a.Topic, a.Index, a.From, ends[a.Partition],
			errors.Join(ctx.Err(), last[a.Partition])))
		if len(out[a.Partition]) == 0 {
			delete(out, a.Partition)
		}
	}
	return errors.Join(errs...)
}

func compare(x, y history.Partition) int {
	if x.Topic != y.Topic {
		if x.Topic < y.Topic {
			return -1
		}
		return 1
	}
	return int(x.Index - y.Index)
}

// Ends asks for the ends of all partitions of topics, again and again until each is told.
func Ends(ctx context.Context, admin *kadm.Client, topics map[string]int32, limit time.Duration) (map[history.Partition]int64, error) {
	return bounds(ctx, admin.ListEndOffsets, topics, limit)
}

// bounds asks for a bound of all partitions of topics, again and again until each is told.
func bounds(ctx context.Context, list func(context.Context, ...string) (kadm.ListedOffsets, error), topics map[string]int32,
	limit time.Duration) (map[history.Partition]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		ask, stop := context.WithTimeout(ctx, askTime)
		listed, err := list(ask, slices.Sorted(maps.Keys(topics))...)
		stop()
		told := make(map[history.Partition]int64)
		listed.Each(func(o kadm.ListedOffset) {
			if o.Err == nil && o.Offset >= 0 {
				told[history.Partition{Topic: o.Topic, Index: o.Partition}] = o.Offset
			} else {
				err = o.Err
			}
		})
		want := 0
		for _, n := range topics {
			want += int(n)
		}
		if len(told) == want {
			return told, nil
		}
		if !wait(ctx, 100*time.Millisecond) {
			return told, fmt.Errorf("offsets of %d of %d partitions: %w", len(told), want, err)
		}
	}
}

// ReadAll reads everything of the topics from every target, and gives why something was not served.
func ReadAll(ctx context.Context, targets []Target, starts, ends map[history.Partition]int64, limit time.Duration) (map[string]map[history.Partition][]history.Record, error) {
	out := make(map[string]map[history.Partition][]history.Record)
	var errs []error
	for _, target := range targets {
		r, err := NewReader(target)
		if err != nil {
			return nil, err
		}
		out[target.Name], err = r.ReadTo(ctx, starts, ends, limit)
		r.Close()
		if err != nil {
			errs = append(errs, err)
		}
	}
	return out, errors.Join(errs...)
}
