package redis_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/metadata/embedded"
	"github.com/odradek/odradek/test/servers"
	"github.com/odradek/odradek/topic"
)

// Redis and memory mean the same: whatever is asked in whatever order, both answer alike.
func TestStore_AnswersAsTheEmbeddedOne(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inRedis, inMemory := open(t, servers.SharedRedis(t)), embedded.Open()
			for n := range 600 {
				// The same draws twice: one generator per store, seeded alike.
				ask, got := question(t.Context(), rand.New(rand.NewPCG(seed, uint64(n))), inRedis)
				_, want := question(t.Context(), rand.New(rand.NewPCG(seed, uint64(n))), inMemory)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("question %d, %s (-memory +redis):\n%s", n, ask, diff)
				}
			}
		})
	}
}

var sentinels = []error{
	metadata.ErrEra, metadata.ErrNotLoaded, metadata.ErrNotOpen, metadata.ErrNotReady, metadata.ErrOutOfTurn,
	metadata.ErrNotRegistered, metadata.ErrSegment, metadata.ErrCopy,
}

// question asks a store something drawn from r and returns what was asked and the answer, the identity left out.
func question(ctx context.Context, r *rand.Rand, s metadata.Store) (ask string, answer []any) {
	run, replication, _ := s.Identity(ctx)
	pin := metadata.Pin{Era: 1 + r.Uint64N(3), RunID: run, ReplicationID: replication}
	j := topic.JournalID{byte(r.IntN(3))}
	var err error
	var value any
	switch kind := r.IntN(16); kind {
	case 0, 1, 2, 3:
		segments := drawSegments(r, j)
		ask = fmt.Sprintf("index %d: %+v", pin.Era, segments)
		value, err = s.Index(ctx, pin, topic.Slot(r.IntN(5)), segments)
	case 4, 5, 6:
		status, _ := s.Current(ctx, pin.Era)
		first := status.Applied + topic.Slot(r.IntN(3))
		effects := [][]metadata.Effect{drawEffects(r), drawEffects(r)}[:1+r.IntN(2)]
		ask = fmt.Sprintf("apply %d from %d: %+v", pin.Era, first, effects)
		value, err = s.Apply(ctx, pin, first, effects)
	case 7:
		ask, err = "begin", s.Begin(ctx, pin)
	case 8:
		ask, err = "load", s.Load(ctx, pin, drawEffects(r))
	case 9:
		ask, err = "loaded", s.Loaded(ctx, pin, topic.Slot(r.IntN(2)))
	case 10:
		ask, err = "re-attach", s.Reattach(ctx, pin, j, topic.Slot(r.IntN(3)))
	case 11:
		ask, err = "open", s.Open(ctx, pin, topic.Slot(r.IntN(3)), []metadata.Expected{{Journal: j}}[:r.IntN(2)])
	case 12:
		ask, err = "register", s.Register(ctx, pin, j, "")
		err = errors.Join(err, s.Beat(ctx, pin, topic.JournalID{byte(r.IntN(3))}))
		value, _ = s.Counters(ctx, pin)
	case 13:
		c := metadata.Copy{Kind: metadata.CopyKind(1 + r.IntN(2)), Key: fmt.Sprint(r.IntN(3)), Position: topic.Offset(r.IntN(9)), Value: []byte{byte(r.IntN(9))}}
		ask, err = "put", s.Put(ctx, pin, []metadata.Copy{c})
		value, _ = s.All(ctx, pin, c.Kind, c.Partition)
	case 14:
		ask = "segments"
		value, err = s.Segments(ctx, pin, []metadata.Cursor{{Journal: topic.JournalID{1}, From: topic.Slot(r.IntN(4))}, {Journal: j}}, 1+r.IntN(3))
	case 15:
		ask = "sweep"
		_, err = s.Sweep(ctx, pin, 1000)
	}
	status, _ := s.Current(ctx, pin.Era)
	status.RunID, status.ReplicationID = "", ""
	ends, _ := s.Ends(ctx, pin, []topic.Partition{{}, {Index: 1}, {Index: 2}})
	return ask, []any{value, sentinel(err), status, ends}
}

// sentinel names the sentinel that an error wraps.
func sentinel(err error) string {
	for _, s := range sentinels {
		if errors.Is(err, s) {
			return s.Error()
		}
	}
	return fmt.Sprint(err)
}

func drawSegments(r *rand.Rand, j topic.JournalID) []metadata.Segment {
	segments := make([]metadata.Segment, 1+r.IntN(2))
	slot := topic.Slot(r.IntN(4))
	for i := range segments {
		segments[i] = metadata.Segment{Journal: j, Slot: slot + topic.Slot(i)}
		for p := range r.IntN(3) {
			base := topic.Offset(r.IntN(4))
			segments[i].Extents = append(segments[i].Extents, metadata.Extent{
				Partition: topic.Partition{Index: int32(p)}, Base: base, Next: base + 1 + topic.Offset(r.IntN(2)),
			})
		}
		if r.IntN(4) == 0 {
			segments[i].LogStarts = []metadata.LogStart{{Start: topic.Offset(r.IntN(5))}}
		}
	}
	return segments
}

func drawEffects(r *rand.Rand) []metadata.Effect {
	var effects []metadata.Effect
	for range r.IntN(4) {
		j, p := topic.JournalID{byte(r.IntN(3))}, topic.Partition{Index: int32(r.IntN(3))}
		switch r.IntN(9) {
		case 0, 1, 2:
			effects = append(effects, metadata.JournalOpened{Journal: j, First: topic.Slot(r.IntN(2))})
		case 3, 4:
			effects = append(effects, metadata.PartitionAdded{Partition: p, Next: topic.Offset(r.IntN(2))})
		case 5:
			effects = append(effects, metadata.LogStartMoved{Partition: p, Start: topic.Offset(r.IntN(3))})
		case 6:
			effects = append(effects, metadata.JournalSealed{Journal: j, Seal: topic.Slot(r.IntN(4))})
		case 7:
			effects = append(effects, metadata.PartitionDropped{Partition: p})
		case 8:
			effects = append(effects, metadata.SegmentsDropped{Journal: j, Below: topic.Slot(r.IntN(5))})
		}
	}
	return effects
}
