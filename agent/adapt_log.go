package agent

import (
	"context"
	"errors"
	"fmt"

	"github.com/odradek/odradek/agent/api"
	"github.com/odradek/odradek/agent/fetch"
	"github.com/odradek/odradek/agent/ingest"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/topic"
)

// apiLog is ingest as agent/api's Log.
type apiLog struct{ s *session }

// Append implements api.Log.
func (l *apiLog) Append(ctx context.Context, acks int8, batches []api.PartitionBatch) []api.Pending {
	in := make([]ingest.PartitionBatch, len(batches))
	for i, b := range batches {
		in[i] = ingest.PartitionBatch{Partition: b.Partition, Records: b.Records, Frame: b.Frame}
	}
	l.s.owning.between.arrive(ctx, len(batches), func(i int) topic.Partition { return batches[i].Partition })
	out, w := make([]api.Pending, len(batches)), new(waiting)
	for i, p := range l.s.ingest.Append(ctx, ingest.Acks(acks), in) {
		out[i] = apiPending{p, l.s, batches[i].Partition, w}
	}
	return out
}

type apiPending struct {
	ingest.Pending
	s         *session
	partition topic.Partition
	waiting   *waiting // of the request
}

// Wait implements api.Pending.
func (p apiPending) Wait(ctx context.Context) (api.Appended, error) {
	r, err := p.Pending.Wait(ctx)
	if errors.Is(err, ingest.ErrNotOwner) {
		p.s.owning.between.leave(ctx, p.waiting, p.partition)
	}
	return api.Appended{Base: r.Base, LogAppendTime: r.AppendTime, LogStart: r.LogStart}, err
}

// unproved is the answer of an owner that could not prove in time that it still is one (O1).
func unproved(err error) error { return fmt.Errorf("%w: %w", api.ErrUnproved, err) }

// apiOffsets answers look-ups of offsets.
type apiOffsets struct{ s *session }

// Lookup implements api.Offsets.
func (o *apiOffsets) Lookup(ctx context.Context, queries []api.OffsetQuery) []api.OffsetFound {
	out := make([]api.OffsetFound, len(queries))
	decides := o.decides(ctx, len(queries), func(i int) topic.Partition { return queries[i].Partition })
	for i, q := range queries {
		err := decides(q.Partition)
		if err == nil {
			out[i], err = o.lookup(ctx, q)
		}
		if err != nil {
			out[i] = api.OffsetFound{Offset: -1, Time: -1, Epoch: -1, Err: err}
		}
	}
	return out
}

// decides gives what says whether this agent may decide about one of n partitions, each of which was asked about before
// the call (O1): its journal was unsealed since, and it has not released the partition. One proof serves all, and none
// is made where nothing is owned.
func (o *apiOffsets) decides(ctx context.Context, n int, at func(int) topic.Partition) func(topic.Partition) error {
	var proof error
	for i := range n {
		if o.s.owned(at(i)) == nil {
			proof = o.s.proved(ctx)
			break
		}
	}
	return func(p topic.Partition) error {
		if err := o.s.owned(p); err != nil || proof == nil {
			return err
		}
		return unproved(proof)
	}
}

func (o *apiOffsets) lookup(ctx context.Context, q api.OffsetQuery) (api.OffsetFound, error) {
	start, end := o.s.fetch.Bounds(q.Partition)
	var found fetch.Found
	var ok bool
	var err error
	switch q.Kind {
	case api.OffsetEarliest:
		return api.OffsetFound{Offset: start, Time: -1, Epoch: o.epochAt(q.Partition, start)}, nil
	case api.OffsetLatest:
		return api.OffsetFound{Offset: end, Time: -1, Epoch: o.epochAt(q.Partition, end)}, nil
	case api.OffsetMaxTimestamp:
		found, ok, err = o.s.fetch.MaxTime(ctx, q.Partition)
	default:
		found, ok, err = o.s.fetch.ByTime(ctx, q.Partition, q.Time)
	}
	if err != nil || !ok {
		return api.OffsetFound{Offset: -1, Time: -1, Epoch: -1}, err
	}
	return api.OffsetFound{Offset: found.Offset, Time: found.Time, Epoch: found.Epoch}, nil
}

// epochAt is the partition epoch under which an offset is or will be written.
func (o *apiOffsets) epochAt(p topic.Partition, offset topic.Offset) topic.Epoch {
	epoch := topic.Epoch(-1)
	for _, a := range o.s.cluster.State().Assignments(p) {
		if a.Base <= offset {
			epoch = a.Epoch
		}
	}
	return epoch
}

// EpochEnds implements api.Offsets, from the assignments (C3).
func (o *apiOffsets) EpochEnds(ctx context.Context, queries []api.EpochQuery) []api.EpochEnd {
	out := make([]api.EpochEnd, len(queries))
	decides := o.decides(ctx, len(queries), func(i int) topic.Partition { return queries[i].Partition })
	for i, q := range queries {
		out[i] = api.EpochEnd{Epoch: -1, End: -1, Err: decides(q.Partition)}
		if out[i].Err != nil {
			continue
		}
		epoch, end, ok := o.s.cluster.State().EpochEnd(q.Partition, q.Epoch)
		if !ok {
			continue
		}
		if end == control.EndOpen {
			_, end = o.s.fetch.Bounds(q.Partition)
		}
		out[i].Epoch, out[i].End = epoch, end
	}
	return out
}
