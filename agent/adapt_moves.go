package agent

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/odradek/odradek/agent/api"
	"github.com/odradek/odradek/agent/cluster"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/sequence"
	"github.com/odradek/odradek/topic"
)

// moves remembers the planned moves that anybody asked for until they are done: control records ask, and the control
// state does not keep it. The zero moves remembers none. Safe for concurrent use.
type moves struct {
	mu    sync.Mutex // guards asked
	asked map[topic.Partition]control.Move
}

// applied takes note of what control records ask for, and forgets what they bring about.
func (m *moves) applied(after *control.State, records []control.Record, outcomes []control.Outcome) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, r := range records {
		if move, ok := r.(control.Move); ok && !outcomes[i].Void {
			if m.asked == nil {
				m.asked = make(map[topic.Partition]control.Move)
			}
			m.asked[move.Partition] = move
		}
	}
	maps.DeleteFunc(m.asked, func(_ topic.Partition, move control.Move) bool { return after.Judge(move).Void })
}

// underWay lists the moves that still hold.
func (m *moves) underWay() []control.Move {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.SortedFunc(maps.Values(m.asked), func(a, b control.Move) int {
		return cmp.Or(bytes.Compare(a.Partition.Topic[:], b.Partition.Topic[:]), cmp.Compare(a.Partition.Index, b.Partition.Index))
	})
}

// changedHands wakes the long polls of partitions that this agent owned and has lost, and keeps the list of moves.
func (s *session) changedHands(before, after *control.State, records []control.Record, outcomes []control.Outcome) {
	s.moves.applied(after, records, outcomes)
	for _, r := range records {
		if a, ok := r.(control.Assign); ok {
			if was, _ := before.Owner(a.Partition); was.Journal == s.journal {
				s.turns.turn()
				return
			}
		}
	}
}

// apiMoves is cluster as agent/api's Moves.
type apiMoves struct{ s *session }

// Move implements api.Moves: one control number holds all that can be asked for.
func (a *apiMoves) Move(ctx context.Context, list []api.Move) []error {
	var last asking // of the decision that was appended
	outcomes, err := a.s.cluster.Propose(ctx, func(s *control.State) ([]control.Record, error) {
		last = ask(s, list)
		return last.records, nil
	})
	if err != nil { // the decision may still be under way
		errs := make([]error, len(list))
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	for k, o := range outcomes {
		if o.Void {
			last.errs[last.at[k]] = fmt.Errorf("%w: %s", cluster.ErrVoid, o.Why)
		}
	}
	return last.errs
}

// asking is the records that ask for moves: records[k] is of the move at[k].
type asking struct {
	records []control.Record
	at      []int
	errs    []error
}

func ask(s *control.State, list []api.Move) asking {
	out := asking{errs: make([]error, len(list))}
	for i, m := range list {
		to, open := s.OpenJournalOf(m.To)
		owner, known := s.Owner(m.Partition)
		r := control.Move{Partition: m.Partition, Epoch: owner.Epoch}
		switch {
		case !known:
			out.errs[i] = api.ErrUnknownPartition
			continue
		case !open || to.Draining:
			out.errs[i] = fmt.Errorf("%d: %w", m.To, api.ErrNoTarget)
			continue
		case to.ID == owner.Journal:
			continue // it is there already
		}
		r.ToJournal = to.ID
		if o := s.Judge(r); o.Void {
			out.errs[i] = fmt.Errorf("%w: %s", cluster.ErrVoid, o.Why)
			continue
		}
		out.records, out.at = append(out.records, r), append(out.at, i)
	}
	return out
}

// UnderWay implements api.Moves.
func (a *apiMoves) UnderWay() []api.Move {
	state := a.s.cluster.State()
	var list []api.Move
	for _, m := range a.s.moves.underWay() {
		owner, _ := state.Owner(m.Partition)
		from, known := state.Journal(owner.Journal)
		to, open := state.Journal(m.ToJournal)
		if known && open {
			list = append(list, api.Move{Partition: m.Partition, From: from.NodeID, To: to.NodeID})
		}
	}
	return list
}

// apiHoldings is fetch and ingest as agent/api's Holdings.
type apiHoldings struct{ s *session }

// Size implements api.Holdings.
func (h *apiHoldings) Size(p topic.Partition) (int64, bool) {
	if h.s.owned(p) != nil {
		return 0, false
	}
	return h.s.fetch.Size(p), true
}

// Producers implements api.Holdings.
func (h *apiHoldings) Producers(p topic.Partition) ([]sequence.Producer, error) {
	if err := h.s.owned(p); err != nil {
		return nil, err
	}
	snapshot, _, _ := h.s.ingest.ProducerState(p)
	state, err := sequence.Restore(snapshot)
	return state.Producers(), err
}
