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
	out := make([]api.Pending, len(batches))
	for i, p := range l.s.ingest.Append(ctx, ingest.Acks(acks), in) {
		out[i] = apiPending{p}
	}
	return out
}

type apiPending struct{ ingest.Pending }

// Wait implements api.Pending.
func (p apiPending) Wait(ctx context.Context) (api.Appended, error) {
	r, err := p.Pending.Wait(ctx)
	return api.Appended{Base: r.Base, LogAppendTime: r.AppendTime, LogStart: r.LogStart}, err
}

// owned says what keeps this agent from answering for a partition, by the control state.
func (s *session) owned(p topic.Partition) error {
	switch a, ok := s.cluster.State().Owner(p); {
	case !ok:
		return api.ErrUnknownPartition
	case a.Journal != s.journal:
		return ingest.ErrNotOwner
	}
	return nil
}

// unproved is the answer of an owner that could not prove in time that it still is one (O1).
func unproved(err error) error { return fmt.Errorf("%w: %w", api.ErrUnproved, err) }

// apiReader is fetch as agent/api's Reader.
type apiReader struct{ s *session }

// Read implements api.Reader. OFFSET_OUT_OF_RANGE leaves this agent only after a proof that it owns the partition (O1).
func (r *apiReader) Read(ctx context.Context, q api.ReadRequest) []api.ReadResult {
	out := make([]api.ReadResult, len(q.Parts))
	in := fetch.Request{MaxWait: q.MaxWait, MinBytes: q.MinBytes, MaxBytes: q.MaxBytes, Room: q.Room}
	var at []int
	for i, p := range q.Parts {
		if out[i].Err = r.s.owned(p.Partition); out[i].Err != nil {
			out[i].HighWatermark, out[i].LastStable, out[i].LogStart = -1, -1, -1
			in.MaxWait = 0
			continue
		}
		at = append(at, i)
		in.Parts = append(in.Parts, fetch.Part{Partition: p.Partition, Offset: p.Offset, MaxBytes: p.MaxBytes})
	}
	if len(in.Parts) == 0 && in.MaxWait == 0 {
		return out
	}
	proved := false
	for i, res := range r.s.fetch.Read(ctx, in) {
		o := api.ReadResult{
			Records: res.Records, HighWatermark: res.HighWatermark, LastStable: res.HighWatermark, LogStart: res.LogStart,
			Err: res.Err,
		}
		if errors.Is(res.Err, fetch.ErrOutOfRange) {
			if !proved {
				if err := r.s.slots.Proof(ctx); err != nil {
					o.Err = unproved(err)
				}
				proved = errors.Is(o.Err, res.Err)
			}
			if start, end := r.s.fetch.Bounds(in.Parts[i].Partition); in.Parts[i].Offset >= start && in.Parts[i].Offset <= end {
				o.Err, o.HighWatermark, o.LastStable, o.LogStart = nil, end, end, start // it counts by now
			}
		}
		out[at[i]] = o
	}
	return out
}

// apiOffsets answers look-ups of offsets.
type apiOffsets struct{ s *session }

// Lookup implements api.Offsets. One proof serves all queries.
func (o *apiOffsets) Lookup(ctx context.Context, queries []api.OffsetQuery) []api.OffsetFound {
	out := make([]api.OffsetFound, len(queries))
	proof := o.s.slots.Proof(ctx)
	for i, q := range queries {
		err := o.s.owned(q.Partition)
		if err == nil && proof != nil {
			err = unproved(proof)
		}
		if err == nil {
			out[i], err = o.lookup(ctx, q)
		}
		if err != nil {
			out[i] = api.OffsetFound{Offset: -1, Time: -1, Epoch: -1, Err: err}
		}
	}
	return out
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
	proof := o.s.slots.Proof(ctx)
	for i, q := range queries {
		out[i] = api.EpochEnd{Epoch: -1, End: -1, Err: o.s.owned(q.Partition)}
		if out[i].Err == nil && proof != nil {
			out[i].Err = unproved(proof)
		}
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
