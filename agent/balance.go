package agent

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/odradek/odradek/agent/cluster"
	"github.com/odradek/odradek/agent/ingest"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/placement"
	"github.com/odradek/odradek/topic"
)

const (
	balanceEvery  = time.Second           // the cluster is looked at this often
	movesAtOnce   = 250                   // partitions released and assigned together at most
	movesLeast    = 300                   // moved in a second by all agents together, if there are so many to move
	movesMost     = 1000                  // and never more
	movesWithin   = 6                     // between the two, this part of all that is left moves in a second
	moveRest      = time.Minute           // before a partition that could not be moved is tried again
	retryAssign   = 50 * time.Millisecond // before released partitions are assigned again; twice as long each time
	retryAssignTo = 2 * time.Second       // and never longer
)

// balancer moves partitions of this journal to others: what was asked for by MOVE records, and what this journal has
// more of than its share (M1). Each owner looks at the whole cluster and moves its own surplus only.
type balancer struct {
	s    *session
	bell chan struct{} // capacity 1: moves were asked for

	mu    sync.Mutex // guards asked
	asked []control.Move

	resting map[topic.Partition]time.Time // could not be moved, until then; run only
	even    evenPool                      // run only
}

// evenPool is what nothing had to move in.
type evenPool struct {
	state *control.State
	loads []placement.Load
}

// batch is what is moved together, and how many partitions this agent may move in a second meanwhile.
type batch struct {
	to   map[topic.Partition]topic.JournalID
	pace int
}

// pace is how many of this agent's moves it makes in a second, if mine of all moves that the cluster needs are its own:
// all agents reckon the same of the same control state, so that all together keep to the bound.
func pace(mine, all int) int {
	return max(1, min(max(all/movesWithin, movesLeast), movesMost)*mine/all)
}

func newBalancer(s *session) *balancer {
	return &balancer{s: s, bell: make(chan struct{}, 1), resting: make(map[topic.Partition]time.Time)}
}

// ask notes moves to be made.
func (b *balancer) ask(moves []control.Move) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = append(b.asked, moves...)
	b.ring()
}

// ring has the cluster looked at soon.
func (b *balancer) ring() {
	select {
	case b.bell <- struct{}{}:
	default:
	}
}

// run moves partitions until ctx ends.
func (b *balancer) run(ctx context.Context) {
	pause := balanceEvery
	for {
		look := time.NewTimer(pause - rand.N(pause/10))
		select {
		case <-ctx.Done():
			look.Stop()
			return
		case <-b.bell:
		case <-look.C:
		}
		look.Stop()
		moves, began := b.wanted(), time.Now()
		pause = balanceEvery
		if len(moves.to) == 0 {
			continue
		}
		if err := b.move(ctx, moves.to); err != nil && ctx.Err() == nil {
			slog.WarnContext(ctx, "partitions not moved", "partitions", len(moves.to), "error", err)
		}
		rest := time.NewTimer(time.Duration(len(moves.to))*time.Second/time.Duration(moves.pace) - time.Since(began))
		select {
		case <-ctx.Done():
			rest.Stop()
			return
		case <-rest.C:
		}
		pause = balanceEvery / 100 // there may be more
	}
}

// wanted gives the moves to make now, by partition: those asked for, then this journal's surplus.
func (b *balancer) wanted() batch {
	state := b.s.cluster.State()
	moves := batch{to: make(map[topic.Partition]topic.JournalID), pace: movesLeast}
	var later []control.Move
	for _, m := range b.takeAsked(movesAtOnce) {
		a, ok := state.Owner(m.Partition)
		if !ok || a.Journal != b.s.journal || a.Epoch != m.Epoch {
			continue
		}
		if _, _, owned := b.s.ingest.Owns(m.Partition); owned {
			moves.to[m.Partition] = m.ToJournal
		} else {
			later = append(later, m) // it is being taken over still
		}
	}
	b.mu.Lock()
	more := len(b.asked) > 0
	b.asked = append(b.asked, later...)
	b.mu.Unlock()
	if len(moves.to) > 0 {
		if more {
			b.ring()
		}
		return moves
	}
	if _, ok := b.s.openEra(); !ok {
		return moves // who lives is not known (R4)
	}
	mine, all := b.surplus(state)
	if len(mine) == 0 {
		return moves
	}
	moves.pace = pace(len(mine), all)
	for _, m := range mine {
		if until, ok := b.resting[m.Partition]; ok && time.Now().Before(until) {
			continue
		}
		delete(b.resting, m.Partition)
		if _, _, owned := b.s.ingest.Owns(m.Partition); !owned {
			continue // it is being taken over still
		}
		if moves.to[m.Partition] = m.To; len(moves.to) == min(movesAtOnce, moves.pace) {
			break
		}
	}
	return moves
}

func (b *balancer) takeAsked(most int) []control.Move {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := min(most, len(b.asked))
	taken := b.asked[:n:n]
	b.asked = b.asked[n:]
	return taken
}

// surplus gives the moves from this journal that even the cluster out, and how many there are in all.
func (b *balancer) surplus(state *control.State) (mine []placement.Move, all int) {
	var loads []placement.Load
	for _, j := range b.s.cluster.Live() {
		loads = append(loads, cluster.Load(j))
	}
	for _, j := range state.OpenJournals() {
		if j.Draining {
			loads = append(loads, cluster.Load(j))
		}
	}
	if state == b.even.state && slices.Equal(loads, b.even.loads) {
		return nil, 0
	}
	moves := placement.Balance(loads, func(id topic.JournalID) []topic.Partition {
		j, _ := state.Journal(id)
		return j.Owned()
	})
	if len(moves) == 0 {
		b.even = evenPool{state, loads}
	}
	for _, m := range moves {
		if m.From == b.s.journal {
			mine = append(mine, m)
		}
	}
	return mine, len(moves)
}

// move releases partitions and assigns them to where they are wanted. The groups of those of the offsets topic are
// unloaded before: the next owner goes on with what the log says.
func (b *balancer) move(ctx context.Context, wanted map[topic.Partition]topic.JournalID) error {
	metrics := b.s.agent.metrics
	metrics.movesBegun.Add(float64(len(wanted)))
	began, ps := time.Now(), make([]topic.Partition, 0, len(wanted))
	for p := range wanted {
		ps = append(ps, p)
	}
	stopped := b.stopGroups(ps)
	released, err := b.s.ingest.Release(ctx, ps)
	if err != nil && !errors.Is(err, ingest.ErrManyProducers) {
		metrics.movesFailed.Add(float64(len(ps)))
		return err
	}
	b.rest(wanted, released, stopped)
	metrics.movesFailed.Add(float64(len(ps) - len(released)))
	moved := b.assign(ctx, released, wanted)
	metrics.movesDone.Add(float64(moved))
	metrics.movesFailed.Add(float64(len(released) - moved))
	slog.InfoContext(ctx, "partitions moved", "partitions", moved, "of", len(ps), "seconds", time.Since(began).Seconds())
	return err
}

// stopGroups unloads the groups of partitions of the offsets topic and gives the epochs that those have.
func (b *balancer) stopGroups(ps []topic.Partition) map[topic.Partition]topic.Epoch {
	state := b.s.cluster.State()
	stopped := make(map[topic.Partition]topic.Epoch)
	var waits []<-chan struct{}
	for _, p := range ps {
		if a, ok := state.Owner(p); ok && holdsGroups(state, p) {
			stopped[p] = a.Epoch
			waits = append(waits, b.s.groupLoads.stop(p, a.Epoch+1))
		}
	}
	for _, done := range waits {
		<-done
	}
	return stopped
}

// rest leaves the partitions alone for a while that were not released, and loads their groups again.
func (b *balancer) rest(wanted map[topic.Partition]topic.JournalID, released []ingest.Released, stopped map[topic.Partition]topic.Epoch) {
	gone := make(map[topic.Partition]bool, len(released))
	for _, r := range released {
		gone[r.Partition] = true
	}
	for p := range wanted {
		if gone[p] {
			continue
		}
		epoch, _, owned := b.s.ingest.Owns(p)
		if !owned {
			continue // it is being taken over still, or was deleted
		}
		b.resting[p] = time.Now().Add(moveRest)
		if was, ok := stopped[p]; ok && was == epoch {
			b.s.groupLoads.start(p, epoch)
		}
	}
}

// assign gives released partitions to the journals they are wanted by, or to others that live, until each has another
// epoch: nothing can be appended under the one that was released (P5). It returns how many went to another journal.
func (b *balancer) assign(ctx context.Context, released []ingest.Released, wanted map[topic.Partition]topic.JournalID) (moved int) {
	for pause := retryAssign; ; pause = min(2*pause, retryAssignTo) {
		state := b.s.cluster.State()
		var as []control.Assign
		moved = 0
		for _, r := range released {
			a, ok := state.Owner(r.Partition)
			switch {
			case ok && a.Journal == b.s.journal && a.Epoch == r.Epoch:
				as = append(as, control.Assign{
					Partition: r.Partition, OldEpoch: r.Epoch, ToJournal: b.target(state, r.Partition, wanted[r.Partition]),
					Base: r.End, Released: r.Slot,
				})
			case ok && a.Journal != b.s.journal:
				moved++
			}
		}
		if len(as) == 0 {
			return moved
		}
		outcomes, err := b.s.cluster.Assign(ctx, as)
		if err == nil && !slices.ContainsFunc(outcomes, func(o control.Outcome) bool { return o.Void }) {
			continue
		}
		if err != nil && ctx.Err() == nil { // what was void is decided anew
			slog.WarnContext(ctx, "released partitions not assigned yet, trying again", "partitions", len(as), "error", err)
		}
		select {
		case <-ctx.Done():
			return moved // the seal of this journal will give them to others
		case <-time.After(pause):
		}
	}
}

// target gives the journal that a released partition goes to: the one that it is wanted by if that can take it, else one
// that lives, else this one again.
func (b *balancer) target(state *control.State, p topic.Partition, wanted topic.JournalID) topic.JournalID {
	if j, ok := state.Journal(wanted); ok && !j.Sealed && !j.Draining {
		return wanted
	}
	var live []topic.JournalID
	for _, j := range b.s.cluster.Live() {
		if now, ok := state.Journal(j.ID); ok && !now.Sealed && now.Weight > 0 {
			live = append(live, j.ID)
		}
	}
	if to, ok := placement.Owner(p, live); ok {
		return to
	}
	return b.s.journal
}
