package api

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/odradek/odradek/topic"
)

func init() { register(4, 18, (*Router).fetch) }

// fetched is the answer for one partition of a fetch.
type fetched struct {
	key                                 fetchKey
	code                                int16
	highWatermark, lastStable, logStart int64
	records                             [][]byte
	size                                int // bytes of records
	leader                              Owner
	hinted                              bool  // leader is set
	preferred                           int32 // node id of the agent to read from instead, 0 for none
}

// fetch answers on the writer, where it may wait for records. An owner sends clients of another zone to an agent of
// theirs, and agents serve clients of their own zone whoever owns the partition (KIP-392).
func (rt *Router) fetch(_ context.Context, c *call, req *kmsg.FetchRequest) (answer, error) {
	return func(ctx context.Context) (kmsg.Response, error) {
		resp := &fetchResponse{FetchResponse: kmsg.NewPtrFetchResponse()}
		fc, code := rt.sessions.open(req)
		if code != 0 {
			resp.ErrorCode = code
			return resp, nil
		}
		answers := rt.read(ctx, c, req, fc.parts)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		hints := leaders{state: rt.Cluster.State(), self: rt.Cluster.NodeID()} // after the wait
		for i := range answers {
			hintLeader(&hints, c, &answers[i])
		}
		resp.agents = hints.agents()
		if fc.create {
			resp.SessionID = rt.sessions.create(fc.parts, answers, c.version >= 13)
		}
		if fc.session != nil {
			resp.SessionID = fc.session.id
			answers = onlyNews(fc.session.news(fc.parts, answers), answers)
		}
		resp.answers = answers
		return resp, nil
	}, nil
}

// read asks the engine for the partitions that exist and fills in the errors of those that do not.
func (rt *Router) read(ctx context.Context, c *call, req *kmsg.FetchRequest, parts []fetchPart) []fetched {
	r := ReadRequest{
		MaxWait:  max(0, time.Duration(req.MaxWaitMillis)*time.Millisecond),
		MinBytes: int(req.MinBytes),
		MaxBytes: int(min(max(req.MaxBytes, 0), rt.fetchMaxBytes)),
		Parts:    make([]ReadPart, 0, len(parts)),
		Rack:     req.Rack,
	}
	l := locator{rt: rt, state: rt.Cluster.State()}
	answers := make([]fetched, len(parts))
	at := make([]int, 0, len(parts)) // at[i] is the index in parts of r.Parts[i]
	for i, p := range parts {
		answers[i] = fetched{key: p.key, highWatermark: -1, lastStable: -1, logStart: -1}
		t, code := findTopic(l.state, c.version >= 13, p.key.id, p.key.name)
		// Every negative epoch is none in a Fetch; elsewhere only -1 is, in Kafka too.
		id, code := l.find(ctx, t, code, p.key.index, max(p.currentEpoch, -1))
		if answers[i].code = code; code != 0 {
			continue
		}
		r.Parts = append(r.Parts, ReadPart{Partition: id, Offset: topic.Offset(p.offset), MaxBytes: int(max(p.maxBytes, 0))})
		at = append(at, i)
	}
	if len(r.Parts) == 0 {
		return answers
	}
	wait, cancel := c.untilDraining(ctx)
	defer cancel()
	var held *granted
	r.Room = func(ctx context.Context, want int) (int, error) {
		var err error
		if held, err = rt.answers.grant(ctx, c.conn, want); err != nil {
			return 0, err
		}
		c.frame.onRelease(held.release)
		return int(held.n), nil
	}
	for i, res := range rt.Reader.Read(wait, r) {
		a := &answers[at[i]]
		if wait.Err() != nil && res.Err != nil && ctx.Err() == nil {
			a.code = kerr.NotLeaderForPartition.Code // the agent stops, or its journal is over: the client looks elsewhere
			continue
		}
		a.fill(rt.code(c, res.Err), res)
	}
	if held != nil {
		size := 0
		for i := range answers {
			size += answers[i].size
		}
		held.settle(size)
	}
	return answers
}

func (a *fetched) fill(code int16, res ReadResult) {
	a.code = code
	if code != 0 {
		return
	}
	a.highWatermark, a.lastStable, a.logStart = int64(res.HighWatermark), int64(res.LastStable), int64(res.LogStart)
	a.records, a.preferred = res.Records, res.Preferred
	for _, r := range res.Records {
		a.size += len(r)
	}
}

// untilDraining gives a context that ends also when the agent stops.
func (c *call) untilDraining(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	if c.conn.OnDrain == nil {
		return ctx, cancel
	}
	forget := c.conn.OnDrain(cancel)
	return ctx, func() { forget(); cancel() }
}

// hintLeader adds who owns a partition to an error that sends the client elsewhere (KIP-951).
func hintLeader(hints *leaders, c *call, a *fetched) {
	if c.version < 12 || !isLeaderError(a.code) {
		return
	}
	t, code := findTopic(hints.state, c.version >= 13, a.key.id, a.key.name)
	if code != 0 {
		return
	}
	a.leader, a.hinted = hints.hint(topic.Partition{Topic: t.ID, Index: a.key.index}, a.code)
}

func onlyNews(news []bool, answers []fetched) []fetched {
	kept := answers[:0]
	for i, a := range answers {
		if news[i] {
			kept = append(kept, a)
		}
	}
	return kept
}
