package control

import (
	"fmt"
	"math"
	"strings"

	"github.com/odradek/odradek/topic"
)

// Fork says that a cluster is to be born at a place of the same bucket, from a snapshot. It counts here first: from then on
// what the snapshot's moment names is kept for the fork as well, whatever becomes of the snapshot (G7). It holds if the
// snapshot is there, and id and place are free.
type Fork struct {
	ID       PinID
	Place    string
	Snapshot PinID
}

func (Fork) Type() Type { return TypeFork }

func (r Fork) String() string { return fmt.Sprintf("%s at %q from %s", r.ID, r.Place, r.Snapshot) }

func (r Fork) encode(w *writer) {
	w.id(r.ID)
	w.string(r.Place)
	w.id(r.Snapshot)
}

func decodeFork(r *reader) Record { return Fork{ID: r.id(), Place: r.string(), Snapshot: r.id()} }

func (r Fork) judge(s *State) string {
	if r.Place == "" || len(r.Place) > maxPinName {
		return fmt.Sprintf("fork at a place of %d bytes", len(r.Place))
	}
	if why := s.judgePin(r.ID); why != "" {
		return why
	}
	if from, ok := s.pins.get(r.Snapshot); !ok || from.IsFork() {
		return fmt.Sprintf("no snapshot %s", r.Snapshot)
	}
	if _, ok := s.ForkAt(r.Place); ok {
		return fmt.Sprintf("there is a fork at %q", r.Place)
	}
	return ""
}

func (r Fork) apply(s *State) {
	from, _ := s.pins.get(r.Snapshot)
	p := newPin()
	p.ID, p.Place, p.Snapshot, p.At, p.Moment = r.ID, r.Place, r.Snapshot, s.next, from.Moment
	s.pins = s.pins.put(p.ID, p)
}

// Ancestor is a cluster that a fork's log begins in: the control numbers up to Last, above those of the ancestor before, are
// its own, and so are the objects that were planned at them.
type Ancestor struct {
	Place string
	Last  topic.Slot
}

// Inherited is a journal that a fork has of an ancestor: the slots below End lie there, but for those below the End of an
// older ancestor. A journal that is an ancestor's own inheritance has more than one: its slots lie where it was written, its
// seal where it was sealed.
type Inherited struct {
	Journal topic.JournalID
	Of      int // place among the ancestors
	End     topic.Slot
}

// before says whether b may follow a in the list of a fork's journals.
func (a Inherited) before(b Inherited) bool {
	order := compareJournals(a.Journal, b.Journal)
	return order < 0 || order == 0 && a.Of < b.Of && a.End < b.End
}

// Forked begins a fork: it is the first record of its own, at the number that follows those it has of its ancestors, and
// the whole body of its control/0. It holds right behind the moment that it names, and makes of that state the beginning of
// another cluster: with an id of its own, without eras, snapshots and forks. Topics, configs, producer ids and journals are
// what they were; the journals that were open end where the moment ends.
type Forked struct {
	ClusterID string
	Fork      PinID // of the FORK in the parent
	Moment    Moment
	Ancestors []Ancestor  // oldest first; the last one is the parent
	Journals  []Inherited // all that the state knows, by id, then by end
}

func (Forked) Type() Type { return TypeForked }

func (r Forked) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "cluster %q fork %s %s of", r.ClusterID, r.Fork, r.Moment)
	for _, a := range r.Ancestors {
		fmt.Fprintf(&b, " %q up to %d", a.Place, a.Last)
	}
	fmt.Fprintf(&b, ", %d journals", len(r.Journals))
	return b.String()
}

func (r Forked) encode(w *writer) {
	w.string(r.ClusterID)
	w.id(r.Fork)
	w.slot(r.Moment.Number)
	w.base(r.Moment.Base)
	w.journalNexts(r.Moment.Journals)
	w.uint(uint64(len(r.Ancestors)))
	for _, a := range r.Ancestors {
		w.string(a.Place)
		w.slot(a.Last)
	}
	w.uint(uint64(len(r.Journals)))
	for _, j := range r.Journals {
		w.id(j.Journal)
		w.uint(uint64(j.Of))
		w.slot(j.End)
	}
}

func decodeForked(r *reader) Record {
	rec := Forked{ClusterID: r.string(), Fork: r.id(), Moment: Moment{Number: r.slot(), Base: r.base(), Journals: r.journalNexts()}}
	for range r.each(2) {
		a := Ancestor{Place: r.string(), Last: r.slot()}
		if n := len(rec.Ancestors); a.Place == "" || n > 0 && a.Last <= rec.Ancestors[n-1].Last {
			r.fail("ancestor %q up to %d", a.Place, a.Last)
		}
		rec.Ancestors = append(rec.Ancestors, a)
	}
	for range r.each(18) {
		j := Inherited{Journal: r.id(), Of: int(r.uint(math.MaxInt32)), End: r.slot()}
		if n := len(rec.Journals); n > 0 && !rec.Journals[n-1].before(j) || j.Of >= len(rec.Ancestors) {
			r.fail("journal %s of ancestor %d up to %d", j.Journal, j.Of, j.End)
		}
		rec.Journals = append(rec.Journals, j)
	}
	if n := len(rec.Ancestors); n == 0 || rec.Ancestors[n-1].Last != rec.Moment.Number {
		r.fail("%d ancestors of a fork that stands after %d", n, rec.Moment.Number)
	}
	return rec
}

func (r Forked) judge(s *State) string {
	switch {
	case s.clusterID == "":
		return "nothing to begin from"
	case r.Fork.IsZero() || r.ClusterID == "" || r.ClusterID == s.clusterID:
		return "fork without an id of its own"
	case r.Moment.Number+1 != s.next:
		return fmt.Sprintf("it stands after %d, own number is %d", r.Moment.Number, s.next)
	}
	named := 0
	for i, j := range r.Journals {
		if i+1 < len(r.Journals) && r.Journals[i+1].Journal == j.Journal {
			continue // the last one says where it ends
		}
		named++
		known, ok := s.journals.get(j.Journal)
		if !ok {
			return fmt.Sprintf("no journal %s", j.Journal)
		}
		end, open := r.Moment.Next(j.Journal)
		if known.Sealed == open || known.Sealed && j.End != known.SealSlot+1 || open && j.End != end {
			return fmt.Sprintf("journal %s does not end at %d", j.Journal, j.End)
		}
	}
	if named != s.journals.size {
		return fmt.Sprintf("%d journals are known, record names %d", s.journals.size, named)
	}
	return ""
}

func (r Forked) apply(s *State) {
	s.clusterID, s.born, s.fork = r.ClusterID, s.next, r.Fork
	s.eras, s.eraOf = nil, newTree[string, int32](strings.Compare)
	s.pins = newTree[PinID, *Pin](comparePins)
	var kept []CheckpointInfo
	for _, c := range s.checkpoints {
		if c.Verified { // what the parent had not verified is not kept for the fork
			kept = append(kept, c)
		}
	}
	s.checkpoints = kept
	s.dropCheckpoints()
}

// Born gives the control number at which this cluster began as a fork, and the id of its FORK in the parent; 0 for a cluster
// that is none. What has a lower number is its ancestors'.
func (s *State) Born() (topic.Slot, PinID) { return s.born, s.fork }

// Inherits reports whether a journal is an ancestor's: no agent of this cluster ever wrote it.
func (s *State) Inherits(j *Journal) bool { return j.Opened < s.born }

// End deletes a fork: it is the last record of its control log that means anything. It holds if the cluster is a fork that
// has neither snapshots nor forks of its own. Alone in a control/0 it is a tombstone: nothing can be born there any more (G7).
type End struct{}

func (End) Type() Type { return TypeEnd }

func (End) String() string { return "of the cluster" }

func (End) encode(*writer) {}

func decodeEnd(*reader) Record { return End{} }

func (End) judge(s *State) string {
	switch {
	case s.born == 0:
		return "the cluster is no fork"
	case s.pins.size > 0:
		return fmt.Sprintf("the cluster has %d snapshots and forks", s.pins.size)
	}
	return ""
}

func (End) apply(s *State) { s.ended = true }

// Ended reports whether an END held: nothing is decided here any more.
func (s *State) Ended() bool { return s.ended }
