package agent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/odradek/odradek/agent/api"
	"github.com/odradek/odradek/agent/fetch"
	"github.com/odradek/odradek/agent/ingest"
	"github.com/odradek/odradek/topic"
)

// syncTimeout bounds how long a fetch waits for a look at the index copy. Clients go to the owner then.
const syncTimeout = time.Second

// apiReader is fetch as agent/api's Reader.
type apiReader struct{ s *session }

// Read implements api.Reader.
func (r *apiReader) Read(ctx context.Context, q api.ReadRequest) []api.ReadResult {
	a, b, w := r.s.agent, &r.s.owning.between, new(waiting)
	b.arrive(ctx, len(q.Parts), func(i int) topic.Partition { return q.Parts[i].Partition })
	out := reader{pool: r.s, fetch: r.s.fetch, shown: &a.shown, zone: a.place.Zone}.Read(ctx, q)
	r.s.countFetched(q.Parts, out)
	for i, res := range out {
		if errors.Is(res.Err, ingest.ErrNotOwner) {
			b.leave(ctx, w, q.Parts[i].Partition)
		}
	}
	return out
}

// pool is what a reader asks about this agent and the others. session is the real one.
type pool interface {
	// owned says what keeps this agent from answering for a partition as its owner; ingest.ErrNotOwner if another agent
	// has to.
	owned(p topic.Partition) error
	// proved returns nil when this agent's journal was unsealed at some moment after the call (O1).
	proved(ctx context.Context) error
	// synced returns nil when what the index copy held after asked is known here.
	synced(ctx context.Context, asked time.Time) error
	// indexed gives where partitions end in the index copy now; -1 for one that it does not know.
	indexed(ctx context.Context, ps []topic.Partition) ([]topic.Offset, error)
	// zones are the agents that live, by where they are.
	zones() zones
	exists(id topic.ID) bool
	// changed is closed when this agent has lost partitions.
	changed() <-chan struct{}
}

// reader reads partitions for clients: as their owner, or for clients of this agent's zone whoever owns them (KIP-392).
type reader struct {
	pool  pool
	fetch *fetch.Engine
	shown *fetch.Shown
	zone  string // of this agent; empty when unknown
}

// reading is one request.
type reading struct {
	reader
	rack  string
	asked time.Time
	in    fetch.Request
	at    []int // at[i] is the place in the request of in.Parts[i]
	out   []api.ReadResult

	syncing, proving sync.Once // one look and one proof serve all parts
	syncErr, proof   error
	zones            func() zones
}

// Read answers every part. Only an owner answers that an offset is out of range, and only after a proof made since (O1,
// O2). What a part's answer shows as high watermark is never below what this agent showed before (I7).
func (r reader) Read(ctx context.Context, q api.ReadRequest) []api.ReadResult {
	f := &reading{reader: r, rack: q.Rack, asked: time.Now(), out: make([]api.ReadResult, len(q.Parts))}
	f.zones = sync.OnceValue(r.pool.zones)
	f.in = fetch.Request{MaxWait: q.MaxWait, MinBytes: q.MinBytes, MaxBytes: q.MaxBytes, Room: q.Room}
	f.in.Stop = r.pool.changed() // before anything is asked about owners: no change is missed
	for i, p := range q.Parts {
		f.admit(ctx, i, p)
	}
	if len(f.in.Parts) > 0 || f.in.MaxWait > 0 {
		results := f.fetch.Read(ctx, f.in)
		f.refuseAhead(ctx, results)
		for i, res := range results {
			f.out[f.at[i]] = f.answer(ctx, f.in.Parts[i], res)
		}
	}
	return f.out
}

// refuseAhead keeps a follower from showing what the index copy does not hold now, which it may know from a journal that is
// sealed or because it was the owner: another agent of the zone would show less a moment later (I7).
func (f *reading) refuseAhead(ctx context.Context, results []fetch.Result) {
	var followed []topic.Partition
	var at []int
	for i, p := range f.in.Parts {
		if p.Follow && results[i].Err == nil {
			followed, at = append(followed, p.Partition), append(at, i)
		}
	}
	if len(followed) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), syncTimeout)
	defer cancel()
	ends, err := f.pool.indexed(ctx, followed)
	for n, i := range at {
		switch {
		case err != nil:
			results[i].Err = fmt.Errorf("%w, and the index copy cannot be read: %w", ingest.ErrNotOwner, err)
		case ends[n] < results[i].HighWatermark:
			results[i].Err = fmt.Errorf("%w, and the index copy ends at %d, here at %d", ingest.ErrNotOwner, ends[n], results[i].HighWatermark)
		}
	}
}

// admit takes a part into what is read, or answers it at once; the others do not wait then.
func (f *reading) admit(ctx context.Context, i int, p api.ReadPart) {
	part := fetch.Part{Partition: p.Partition, Offset: p.Offset, MaxBytes: p.MaxBytes}
	err := f.pool.owned(p.Partition)
	switch {
	case err == nil:
		if nodeID, ok := f.elsewhere(ctx, p); ok {
			start, end := f.fetch.Bounds(p.Partition)
			f.in.MaxWait = 0
			f.out[i] = f.show(p.Partition, api.ReadResult{HighWatermark: end, LastStable: end, LogStart: start, Preferred: nodeID})
			return
		}
	case errors.Is(err, ingest.ErrNotOwner) && f.rack != "" && f.rack == f.zone:
		if serr := f.sync(ctx); serr != nil {
			err = fmt.Errorf("%w, and the index copy cannot be read: %w", err, serr)
			break
		}
		part.Follow, err = true, nil
	}
	if err != nil {
		f.in.MaxWait = 0
		f.out[i] = refused(err)
		return
	}
	f.at = append(f.at, i)
	f.in.Parts = append(f.in.Parts, part)
}

// elsewhere names the agent that a client of another zone reads from instead. With Redis away there is none: that agent
// could not serve it.
func (f *reading) elsewhere(ctx context.Context, p api.ReadPart) (nodeID int32, ok bool) {
	if f.rack == "" || f.rack == f.zone {
		return 0, false
	}
	start, end := f.fetch.Bounds(p.Partition)
	if p.Offset < start || p.Offset > end {
		return 0, false // the owner has to answer this
	}
	if nodeID, ok = f.zones().nearest(p.Partition, f.rack); !ok || f.sync(ctx) != nil {
		return 0, false
	}
	return nodeID, true
}

func (f *reading) sync(ctx context.Context) error {
	f.syncing.Do(func() {
		ctx, cancel := context.WithTimeout(ctx, syncTimeout)
		defer cancel()
		f.syncErr = f.pool.synced(ctx, f.asked)
	})
	return f.syncErr
}

// answer judges what was read.
func (f *reading) answer(ctx context.Context, p fetch.Part, res fetch.Result) api.ReadResult {
	o := api.ReadResult{
		Records: res.Records, HighWatermark: res.HighWatermark, LastStable: res.HighWatermark, LogStart: res.LogStart,
		Err: res.Err,
	}
	if errors.Is(res.Err, fetch.ErrOutOfRange) {
		start, end := f.fetch.Bounds(p.Partition)
		if o.Err = f.decides(ctx, p.Partition); o.Err == nil && (p.Offset < start || p.Offset > end) {
			o.Err = res.Err
		}
		o.HighWatermark, o.LastStable, o.LogStart = end, end, start
	}
	if o.Err == nil && !p.Follow && len(o.Records) == 0 {
		o.Err = f.pool.owned(p.Partition) // it may have moved during the wait: the client looks up where to
	}
	if o.Err != nil {
		return refused(o.Err)
	}
	return f.show(p.Partition, o)
}

// decides says what keeps this agent from deciding about a partition that it owned when the request came. A journal that
// was unsealed since and has not released the partition still owns it: nobody else can have appended to it.
func (f *reading) decides(ctx context.Context, p topic.Partition) error {
	f.proving.Do(func() { f.proof = f.pool.proved(ctx) })
	if f.proof != nil {
		return unproved(f.proof)
	}
	return f.pool.owned(p)
}

// show lets an answer out unless it would take the high watermark back.
func (f *reading) show(p topic.Partition, o api.ReadResult) api.ReadResult {
	if err := f.shown.Raise(p, o.HighWatermark, f.pool.exists); err != nil {
		return refused(err)
	}
	return o
}

func refused(err error) api.ReadResult {
	return api.ReadResult{HighWatermark: -1, LastStable: -1, LogStart: -1, Err: err}
}
