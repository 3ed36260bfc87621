package api

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/odradek/odradek/topic"
)

// Version 0 is shown though only 3 and above are accepted: older librdkafka turns compression off otherwise
// (KAFKA-18659).
func init() { register(0, 13, (*Router).produce).accepted = 3 }

// produce admits on the reader, so that the order of a connection's requests is the order of its records, and waits
// for durability on the writer.
func (rt *Router) produce(ctx context.Context, c *call, req *kmsg.ProduceRequest) (answer, error) {
	p := &producing{rt: rt, c: c, req: req, acks: int8(req.Acks)}
	if req.Acks < -1 || req.Acks > 1 {
		p.refuse = kerr.InvalidRequiredAcks.Code
		return p.answer, nil
	}
	state := rt.Cluster.State()
	var batches []PartitionBatch
	for i := range req.Topics {
		rtopic := &req.Topics[i]
		t, code := findTopic(state, c.version >= 13, rtopic.TopicID, rtopic.Topic)
		for j := range rtopic.Partitions {
			rp := &rtopic.Partitions[j]
			entry := produced{topic: i, partition: rp.Partition, code: code, batch: -1}
			switch {
			case code != 0:
			case rp.Partition < 0 || rp.Partition >= t.Partitions:
				entry.code = kerr.UnknownTopicOrPartition.Code
			case t.Internal:
				entry.code = kerr.InvalidTopicException.Code
			case len(rp.Records) == 0:
				entry.code = kerr.InvalidRecord.Code
			default:
				entry.id = topic.Partition{Topic: t.ID, Index: rp.Partition}
				entry.batch = len(batches)
				batches = append(batches, PartitionBatch{Partition: entry.id, Records: rp.Records, Frame: len(c.frame.Bytes)})
			}
			p.entries = append(p.entries, entry)
		}
	}
	if len(batches) > 0 {
		p.pending = rt.Log.Append(ctx, p.acks, batches)
		if len(p.pending) != len(batches) {
			return nil, fmt.Errorf("append answered %d of %d batches", len(p.pending), len(batches))
		}
	}
	c.frame.Release()
	return p.answer, nil
}

// produced is one partition of a request and what became of it.
type produced struct {
	id        topic.Partition
	topic     int // index in the request
	partition int32
	code      int16
	batch     int // index of its Pending, -1 for none
}

// producing is a request between its halves.
type producing struct {
	rt      *Router
	c       *call
	req     *kmsg.ProduceRequest
	acks    int8
	refuse  int16 // answers every partition when not 0
	entries []produced
	pending []Pending
}

// answer waits for every batch. The request's time-out answers the client; the batch goes on (P4).
func (p *producing) answer(ctx context.Context) (kmsg.Response, error) {
	wait := ctx
	if p.acks != 0 {
		var cancel context.CancelFunc
		wait, cancel = context.WithDeadline(ctx, p.c.received.Add(time.Duration(p.req.TimeoutMillis)*time.Millisecond))
		defer cancel()
	}
	resp := kmsg.NewPtrProduceResponse()
	resp.Topics = make([]kmsg.ProduceResponseTopic, len(p.req.Topics))
	for i := range p.req.Topics {
		resp.Topics[i] = kmsg.NewProduceResponseTopic()
		resp.Topics[i].Topic, resp.Topics[i].TopicID = p.req.Topics[i].Topic, p.req.Topics[i].TopicID
		if p.refuse != 0 {
			for _, rp := range p.req.Topics[i].Partitions {
				resp.Topics[i].Partitions = append(resp.Topics[i].Partitions, refusedPartition(rp.Partition, p.refuse))
			}
		}
	}
	for _, e := range p.entries {
		rp, err := p.wait(wait, e)
		if err != nil && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		p.rt.cfg.Metrics.refusedBatch(rp.ErrorCode)
		if p.acks == 0 && rp.ErrorCode != 0 {
			return nil, fmt.Errorf("%w: produce: %w", ErrNoReply, kerr.ErrorForCode(rp.ErrorCode))
		}
		resp.Topics[e.topic].Partitions = append(resp.Topics[e.topic].Partitions, rp)
	}
	if p.acks == 0 {
		if p.refuse != 0 {
			return nil, fmt.Errorf("%w: produce: %w", ErrNoReply, kerr.ErrorForCode(p.refuse))
		}
		return nil, nil
	}
	p.hint(resp)
	return resp, nil
}

// hint adds who owns what this agent does not (KIP-951). The control state is that after the waits: an owner that gave a
// partition away meanwhile names the new one.
func (p *producing) hint(resp *kmsg.ProduceResponse) {
	if p.c.version < 10 {
		return
	}
	hints := leaders{state: p.rt.Cluster.State(), self: p.rt.Cluster.NodeID()}
	at := make([]int, len(resp.Topics)) // how many partitions of a topic were passed
	for _, e := range p.entries {
		rp := &resp.Topics[e.topic].Partitions[at[e.topic]]
		at[e.topic]++
		if !isLeaderError(rp.ErrorCode) {
			continue
		}
		if o, ok := hints.hint(e.id, rp.ErrorCode); ok {
			rp.CurrentLeader.LeaderID, rp.CurrentLeader.LeaderEpoch = o.NodeID, int32(o.Epoch)
		}
	}
	for _, a := range hints.agents() {
		resp.Brokers = append(resp.Brokers, kmsg.ProduceResponseBroker{NodeID: a.NodeID, Host: a.Host, Port: a.Port, Rack: rack(a)})
	}
}

// wait answers one partition; the error is that of its batch.
func (p *producing) wait(ctx context.Context, e produced) (kmsg.ProduceResponseTopicPartition, error) {
	if e.batch < 0 {
		return refusedPartition(e.partition, e.code), nil
	}
	at, err := p.pending[e.batch].Wait(ctx)
	if err != nil {
		rp := refusedPartition(e.partition, p.rt.code(p.c, err))
		if !errors.Is(err, context.DeadlineExceeded) {
			rp.ErrorMessage = messageOf(err)
		}
		return rp, err
	}
	rp := kmsg.NewProduceResponseTopicPartition()
	rp.Partition = e.partition
	rp.BaseOffset, rp.LogAppendTime, rp.LogStartOffset = int64(at.Base), at.LogAppendTime, int64(at.LogStart)
	return rp, nil
}

func refusedPartition(index int32, code int16) kmsg.ProduceResponseTopicPartition {
	rp := kmsg.NewProduceResponseTopicPartition()
	rp.Partition, rp.ErrorCode = index, code
	rp.BaseOffset, rp.LogAppendTime, rp.LogStartOffset = -1, -1, -1
	return rp
}
