package agent

import (
	"context"
	"errors"

	"github.com/odradek/odradek/agent/api"
	"github.com/odradek/odradek/agent/ingest"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/topic"
)

// apiStarts is ingest as agent/api's Starts.
type apiStarts struct{ s *session }

// Raise implements api.Starts. What no slot of this call proves, that there is nothing left to delete or that an offset is
// above the high watermark, this agent says only after a proof that it is the owner still (O1).
func (a *apiStarts) Raise(ctx context.Context, to []api.LogStart) []api.Raised {
	b, w := &a.s.owning.between, new(waiting)
	b.arrive(ctx, len(to), func(i int) topic.Partition { return to[i].Partition })
	in := make([]segment.LogStart, len(to))
	for i, l := range to {
		in[i] = segment.LogStart(l)
	}
	out := make([]api.Raised, len(to))
	var said []int // answers that rest on this agent's word
	for i, r := range a.s.ingest.Raise(ctx, in) {
		out[i] = api.Raised{Start: r.Start, Err: r.Err}
		switch {
		case r.Err == nil && !r.Proved, errors.Is(r.Err, ingest.ErrAhead):
			said = append(said, i)
		case errors.Is(r.Err, ingest.ErrNotOwner):
			b.leave(ctx, w, to[i].Partition)
		}
	}
	decides := (&apiOffsets{a.s}).decides(ctx, len(said), func(k int) topic.Partition { return to[said[k]].Partition })
	for _, i := range said {
		if err := decides(to[i].Partition); err != nil {
			out[i].Err = err
		}
	}
	return out
}
