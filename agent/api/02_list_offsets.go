package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/odradek/odradek/topic"
)

func init() { register(1, 11, (*Router).listOffsets) }

// The timestamps that stand for something else.
const (
	timestampLatest         = -1
	timestampEarliest       = -2
	timestampMax            = -3 // version 7, KIP-734
	timestampEarliestLocal  = -4 // version 8, KIP-405
	timestampLatestTiered   = -5 // version 9, KIP-1005
	timestampEarliestUpload = -6 // version 11, KIP-1023
)

// listOffsets answers on the writer: the owner proves first that it owns (O1). The answer is that of a log without
// tiers: its local start is its start, and nothing is tiered or waits for upload.
func (rt *Router) listOffsets(_ context.Context, c *call, req *kmsg.ListOffsetsRequest) (answer, error) {
	return func(ctx context.Context) (kmsg.Response, error) {
		resp := kmsg.NewPtrListOffsetsResponse()
		l := locator{rt: rt, state: rt.Cluster.State()}
		var queries []OffsetQuery
		var at []place
		seen := map[fetchKey]int{}
		for _, t := range req.Topics {
			for _, p := range t.Partitions {
				seen[fetchKey{name: t.Topic, index: p.Partition}]++
			}
		}
		for i, t := range req.Topics {
			found, code := findTopic(l.state, false, topic.ID{}, t.Topic)
			out := kmsg.NewListOffsetsResponseTopic()
			out.Topic = t.Topic
			for j, p := range t.Partitions {
				rp := kmsg.NewListOffsetsResponseTopicPartition()
				rp.Partition, rp.Timestamp, rp.Offset = p.Partition, -1, -1
				q, ok, specialCode := offsetQuery(c.version, p.Timestamp)
				q.ReadCommitted = req.IsolationLevel == 1
				current := p.CurrentLeaderEpoch
				if !ok {
					current = -1 // an answer without a query rests on no epoch
				}
				var refused int16
				q.Partition, refused = l.find(ctx, found, code, p.Partition, current)
				switch {
				case seen[fetchKey{name: t.Topic, index: p.Partition}] > 1:
					rp.ErrorCode = kerr.InvalidRequest.Code
				case refused != 0:
					rp.ErrorCode = refused
				case specialCode != 0:
					rp.ErrorCode = specialCode
				case ok:
					queries = append(queries, q)
					at = append(at, place{i, j})
				}
				out.Partitions = append(out.Partitions, rp)
			}
			resp.Topics = append(resp.Topics, out)
		}
		if len(queries) == 0 {
			return resp, nil
		}
		for k, f := range rt.Offsets.Lookup(ctx, queries) {
			rp := &resp.Topics[at[k].topic].Partitions[at[k].partition]
			if rp.ErrorCode = rt.code(c, f.Err); rp.ErrorCode == 0 {
				rp.Offset, rp.Timestamp, rp.LeaderEpoch = int64(f.Offset), f.Time, int32(f.Epoch)
			}
		}
		return resp, ctx.Err()
	}, nil
}

// place is where in a response the answer of a query belongs.
type place struct{ topic, partition int }

// offsetQuery reads a timestamp. ok is false for what has an answer without a query, which is no offset.
func offsetQuery(version int16, timestamp int64) (q OffsetQuery, ok bool, code int16) {
	var since int16
	switch timestamp {
	case timestampLatest:
		return OffsetQuery{Kind: OffsetLatest}, true, 0
	case timestampEarliest:
		return OffsetQuery{Kind: OffsetEarliest}, true, 0
	case timestampMax:
		q, ok, since = OffsetQuery{Kind: OffsetMaxTimestamp}, true, 7
	case timestampEarliestLocal:
		q, ok, since = OffsetQuery{Kind: OffsetEarliest}, true, 8
	case timestampLatestTiered:
		since = 9
	case timestampEarliestUpload:
		since = 11
	default:
		if timestamp < 0 {
			return OffsetQuery{}, false, kerr.UnsupportedVersion.Code
		}
		return OffsetQuery{Kind: OffsetByTime, Time: timestamp}, true, 0
	}
	if version < since {
		return OffsetQuery{}, false, kerr.UnsupportedVersion.Code
	}
	return q, ok, 0
}
