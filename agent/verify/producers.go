package verify

import (
	"cmp"
	"maps"
	"slices"

	"github.com/odradek/odradek/sequence"
	"github.com/odradek/odradek/topic"
)

// keepDeltas is how many deltas a run gathers before it drops those that producer state does not rest on.
const keepDeltas = 256

// producing is what a run says of its producers. Journals are walked as they were opened, which may not be the order in
// which a partition's epochs follow one another; so each run is checked by itself, and joined to those before it later.
type producing struct {
	state  sequence.State
	first  map[int64]firstBatch
	deltas []sequence.Delta // the newest of each producer
	kept   int
	broken bool // what came before deltas is not known
}

// firstBatch is the first batch of a producer in a run.
type firstBatch struct {
	delta sequence.Delta
	key   string // of its slot
}

// forget drops what is known of the producers so far: batches are missing before what comes next.
func (r *producing) forget() { *r = producing{broken: true} }

// takeDelta takes a batch of an idempotent producer and checks that its sequence follows (I8).
func (w *walk) takeDelta(s *partition, r *run, key string, d sequence.Delta) {
	if _, seen := r.first[d.ProducerID]; !seen {
		if r.first == nil {
			r.first = make(map[int64]firstBatch)
		}
		r.first[d.ProducerID] = firstBatch{d, key}
	} else {
		w.checkSequence(s, &r.state, key, d)
	}
	r.state.Apply(d)
	r.deltas = append(r.deltas, d)
	if len(r.deltas) >= 2*r.kept+keepDeltas {
		recent := sequence.Recent(r.deltas)
		r.deltas = slices.Clone(recent)
		r.kept = len(recent)
	}
}

func (w *walk) checkSequence(s *partition, known *sequence.State, key string, d sequence.Delta) {
	v, err := known.Check(d)
	switch {
	case err != nil:
		w.find(key, "%s [%d,%d): %v", s.name, d.Base, d.Next, err)
	case v.Duplicate:
		w.find(key, "%s [%d,%d): sequence %d of producer %d epoch %d is in the log at [%d,%d) already",
			s.name, d.Base, d.Next, d.FirstSequence, d.ProducerID, d.ProducerEpoch, v.Base, v.Next)
	}
}

// joinProducers joins runs to the epochs before them, as far as the journals of these were walked; at the end all of them.
func (w *walk) joinProducers(all bool) {
	for s := range w.pending {
		open := false
		for _, epoch := range slices.Sorted(maps.Keys(s.runs)) {
			if epoch <= s.joined {
				continue
			}
			if !all && !w.walkedUpTo(s, epoch) {
				open = true
				break
			}
			w.join(s, epoch)
		}
		if !open {
			delete(w.pending, s)
		}
	}
}

// walkedUpTo reports whether all journals that own epochs of the partition up to this one were walked.
func (w *walk) walkedUpTo(s *partition, epoch topic.Epoch) bool {
	for _, a := range s.assignments {
		if a.Epoch > s.joined && a.Epoch <= epoch && (w.journals[a.Journal] == nil || !w.journals[a.Journal].walked) {
			return false
		}
	}
	return true
}

func (w *walk) join(s *partition, epoch topic.Epoch) {
	r := s.runs[epoch]
	if r.broken || w.lostBetween(s, epoch) {
		s.producers = sequence.State{}
	}
	firsts := slices.SortedFunc(maps.Values(r.first), func(a, b firstBatch) int { return cmp.Compare(a.delta.Base, b.delta.Base) })
	for _, f := range firsts {
		w.checkSequence(s, &s.producers, f.key, f.delta)
	}
	for _, d := range r.deltas {
		s.producers.Apply(d)
	}
	if r.lost != r.journal.lost { // what followed in this run may have been in a slot that is lost
		s.producers = sequence.State{}
	}
	s.joined = epoch
	r.producing = producing{}
}

// lostBetween reports whether what an epoch without a run held may have been lost or trimmed, above the one joined last and below
// this one.
func (w *walk) lostBetween(s *partition, epoch topic.Epoch) bool {
	for _, a := range s.assignments {
		j := w.journals[a.Journal]
		if a.Epoch > s.joined && a.Epoch < epoch && j != nil && (j.lost > 0 || j.trimmed()) {
			return true
		}
	}
	return false
}
