package agent

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/odradek/odradek/slotlog"
)

// lastWords is for how long clients are told who owns the partitions now, after this agent has given all of them away.
const lastWords = 300 * time.Millisecond

// leave gives up the journal of an agent that was told to stop, if there are others who take the partitions over: nothing
// more is admitted, everything that was counts, the journal is sealed by its own agent and the record of that names the
// new owners. Clients are answered all the while: NOT_LEADER_OR_FOLLOWER and NOT_COORDINATOR, then with the new owners.
//
// Whatever does not come to its end in time is left to those who watch: what the seal fixes is the truth. It is false,
// and nothing was done, where nobody is there to take over.
func (s *session) leave(ctx context.Context) bool {
	s.agent.current.set("stopping")
	if !s.serving.Load() || !s.others() {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	began := time.Now()
	s.groupLoads.stopAll()
	if err := s.ingest.Close(ctx); err != nil {
		slog.WarnContext(ctx, "not everything admitted is in the bucket, the wal keeps it", "error", err)
		return true
	}
	s.leaving.Store(true)
	if err := s.cluster.Leave(ctx, s.slots.End()); err != nil {
		slog.WarnContext(ctx, "partitions not given to others, those will take them over", "error", err)
		return true
	}
	slog.InfoContext(ctx, "partitions given to others", "seconds", time.Since(began).Seconds())
	select {
	case <-time.After(lastWords):
	case <-ctx.Done():
	}
	return true
}

// others says whether there is an agent that could take this one's partitions over.
func (s *session) others() bool {
	if !s.pooled() {
		return false
	}
	for _, j := range s.cluster.Live() {
		if j.ID != s.journal {
			return true
		}
	}
	return false
}

// unlessLeaving holds back the end of a part that met the seal which this agent has set itself: clients are answered
// until the session stops.
func (s *session) unlessLeaving(ctx context.Context, err error) error {
	if s.leaving.Load() && errors.Is(err, slotlog.ErrFenced) {
		<-ctx.Done()
		return nil
	}
	return err
}
