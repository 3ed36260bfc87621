package verify

import (
	"context"
	"fmt"

	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/sequence"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

func sprint(format string, args ...any) string { return fmt.Sprintf(format, args...) }

// partition is what the walk knows of one partition.
type partition struct {
	name string // topic's name and index

	assignments []control.Assignment // by epoch
	asOf        *control.State       // whose assignments these are

	runs       map[topic.Epoch]*run
	compacted  topic.Offset // up to here it is in runs of compacted objects
	start, end topic.Offset
	startKey   string  // of the slot that says start
	trimmed    []trace // of what only slots below TRIM held
	records    int64
	stored     int64
	raw        int64

	joined    topic.Epoch    // producers holds all epochs up to it; -1 none
	producers sequence.State // at the end of epoch joined
	known     int            // producers in the newest checkpoint, if slots are trimmed
}

// run is what one journal holds of a partition under one epoch.
type run struct {
	journal    *journal
	base, next topic.Offset // its extents: [base, next)
	lost       int          // the journal's lost slots when it was extended last
	released   bool         // given away: nothing may follow
	producing
}

// trace tells that slots which are not needed any more held [base, next).
type trace struct {
	base, next topic.Offset
	key        string // of what shows it
}

// where finds the partition p and its assignment of an epoch, reading the control log on if they are not known yet. The
// partition is nil if its topic was deleted; what says why there is no assignment.
func (w *walk) where(ctx context.Context, p topic.Partition, epoch topic.Epoch) (s *partition, a control.Assignment, what string, err error) {
	for {
		s, a, what = w.look(p, epoch)
		if what == "" {
			return s, a, "", nil
		}
		if more, err := w.catchUp(ctx); err != nil || !more {
			return s, a, what, err
		}
	}
}

func (w *walk) look(p topic.Partition, epoch topic.Epoch) (*partition, control.Assignment, string) {
	t, ok := w.now.TopicByID(p.Topic)
	switch {
	case !ok && w.now.TopicDeleted(p.Topic):
		return nil, control.Assignment{}, ""
	case !ok:
		return nil, control.Assignment{}, fmt.Sprintf("topic %s is unknown", p.Topic)
	case p.Index >= t.Partitions():
		return nil, control.Assignment{}, fmt.Sprintf("topic %s has %d partitions, no %d", t.Name, t.Partitions(), p.Index)
	}
	s := w.parts[p]
	if s == nil {
		s = &partition{name: fmt.Sprintf("%s/%d", t.Name, p.Index), runs: make(map[topic.Epoch]*run), joined: -1,
			compacted: w.state.Compaction(p).End}
		w.parts[p] = s
	}
	if s.asOf != w.now {
		s.assignments, s.asOf = w.now.Assignments(p), w.now
	}
	for _, a := range s.assignments {
		if a.Epoch == epoch {
			return s, a, ""
		}
	}
	return s, control.Assignment{}, fmt.Sprintf("%s has no epoch %d with records, by the control log", s.name, epoch)
}

// takeFooter takes the extents and producers of a slot that counts.
func (w *walk) takeFooter(ctx context.Context, j *journal, key string, r slotRead) error {
	runs := make(map[topic.Partition]*run, len(r.footer.Extents))
	for _, x := range r.footer.Extents {
		w.report.Totals.Stored += int64(x.Length)
		w.report.Totals.Raw += int64(x.RawLength)
		w.report.Totals.Records += int64(x.Next - x.Base)
		if !w.whole {
			continue // without the whole control log nobody can tell whose it is
		}
		run, err := w.takeExtent(ctx, j, key, x)
		if err != nil {
			return err
		}
		if run != nil {
			runs[x.Partition] = run
			w.takeReplaced(x, key, r)
		}
	}
	for _, d := range r.deltas {
		if run := runs[d.Partition]; run != nil {
			w.takeDelta(w.parts[d.Partition], run, key, d)
		}
	}
	for _, l := range r.footer.LogStarts {
		if err := w.takeLogStart(ctx, key, l); err != nil {
			return err
		}
	}
	for _, e := range r.footer.Releases {
		w.takeRelease(key, j, r.footer.Slot, e)
	}
	return nil
}

// takeLogStart checks that a log start lies within what there was, and takes it. The journal of the epochs before may not
// have been walked yet: the control log says where they ended.
func (w *walk) takeLogStart(ctx context.Context, key string, l segment.LogStart) error {
	s, _, _ := w.look(l.Partition, 0)
	if s == nil {
		return nil // deleted
	}
	for l.Start > max(s.end, s.compacted, w.lastBase(l.Partition)) && !w.trims(s) {
		more, err := w.catchUp(ctx)
		if err != nil {
			return err
		}
		if !more {
			w.find(key, "%s: log start %d behind the end %d", s.name, l.Start, s.end)
			break
		}
	}
	if l.Start > s.start {
		s.start, s.startKey = l.Start, key
	}
	return nil
}

// lastBase is where the newest epoch of a partition began, as far as the control log is read.
func (w *walk) lastBase(p topic.Partition) topic.Offset {
	if of := w.now.Assignments(p); len(of) > 0 {
		return of[len(of)-1].Base
	}
	return 0
}

// takeExtent checks an extent against its assignment and against the end before it (I3), and adds it. It gives no run if
// the extent has none: its topic is deleted, or its epoch is none of this journal's.
func (w *walk) takeExtent(ctx context.Context, j *journal, key string, x segment.Extent) (*run, error) {
	s, a, what, err := w.where(ctx, x.Partition, x.Epoch)
	if err != nil {
		return nil, err
	}
	switch {
	case what != "":
		w.find(key, "extent [%d,%d) of %s at epoch %d: %s", x.Base, x.Next, x.Partition, x.Epoch, what)
		return nil, nil
	case s == nil:
		w.report.Totals.Deleted += int64(x.Length)
		return nil, nil
	case a.Journal != j.ID:
		w.find(key, "extent [%d,%d) of %s: epoch %d is assigned to journal %s, not to %s",
			x.Base, x.Next, s.name, x.Epoch, a.Journal, j.ID)
		return nil, nil
	}
	r := s.runs[x.Epoch]
	if r == nil {
		r = &run{journal: j, base: a.Base, next: a.Base, lost: j.lost}
		s.runs[x.Epoch] = r
		j.own[x.Partition] = r
		w.pending[s] = struct{}{}
		if j.trimmed() && x.Base > a.Base {
			s.trimmed = append(s.trimmed, trace{a.Base, x.Base, key})
			r.base, r.next = x.Base, x.Base
			r.forget()
		}
		if j.lost > 0 { // what came before may have been in a slot that is lost
			r.next = max(a.Base, x.Base)
			r.forget()
		}
	}
	if r.lost != j.lost {
		r.lost, r.next = j.lost, max(r.next, x.Base)
		r.forget()
	}
	switch {
	case r.released:
		w.find(key, "extent [%d,%d) of %s follows the RELEASE of epoch %d at %d", x.Base, x.Next, s.name, x.Epoch, r.next)
	case x.Base < r.next:
		w.find(key, "extent [%d,%d) of %s at epoch %d overlaps: the end before it is %d", x.Base, x.Next, s.name, x.Epoch, r.next)
	case x.Base > r.next:
		w.find(key, "extent [%d,%d) of %s at epoch %d leaves a gap: the end before it is %d", x.Base, x.Next, s.name, x.Epoch, r.next)
	}
	r.next = max(r.next, x.Next)
	s.end = max(s.end, x.Next)
	if x.Next <= s.compacted {
		w.report.Totals.Replaced += int64(x.Length)
		return r, nil
	}
	s.records += int64(x.Next - x.Base)
	s.stored += int64(x.Length)
	s.raw += int64(x.RawLength)
	return r, nil
}

// takeRelease checks that a partition is given away where it ends.
func (w *walk) takeRelease(key string, j *journal, slot topic.Slot, e segment.Release) {
	w.releases[released{e.Partition, e.Epoch, e.End, slot}] = j.ID
	s := w.parts[e.Partition]
	if s == nil {
		return
	}
	r := s.runs[e.Epoch]
	if r == nil || r.journal != j {
		return
	}
	if e.End != r.next && r.lost == j.lost {
		w.find(key, "RELEASE of %s at epoch %d says end %d, its extents end at %d", s.name, e.Epoch, e.End, r.next)
	}
	r.released = true
}

// checkEpochEnds checks that each epoch which is over ended where its journal ends: the next one began there (I3).
func (w *walk) checkEpochEnds() {
	if !w.whole {
		return
	}
	for t := range w.state.Topics() {
		for i := range t.Partitions() {
			p := topic.Partition{Topic: t.ID, Index: i}
			for _, a := range w.state.Assignments(p) {
				if a.End != control.EndOpen {
					w.checkEpochEnd(fmt.Sprintf("%s/%d", t.Name, i), p, a)
				}
			}
		}
	}
}

func (w *walk) checkEpochEnd(name string, p topic.Partition, a control.Assignment) {
	j, s := w.journals[a.Journal], w.parts[p]
	if j == nil || j.lost > 0 {
		return
	}
	object := slotlog.JournalPrefix(a.Journal)
	if j.Sealed {
		object = slotlog.ControlKey(j.SealedAt)
	}
	end := a.Base
	if s != nil && s.runs[a.Epoch] != nil {
		end = s.runs[a.Epoch].next
	} else if j.trimmed() { // all of the epoch lies below TRIM
		if s, _, _ = w.look(p, a.Epoch); s == nil {
			return // the topic was deleted meanwhile
		}
		s.trimmed = append(s.trimmed, trace{a.Base, a.End, object})
		return
	}
	if end == a.End {
		return
	}
	w.find(object, "%s: epoch %d begins at base %d, but epoch %d ends at %d in journal %s",
		name, a.Epoch+1, a.End, a.Epoch, end, a.Journal)
}

// trims says whether slots are trimmed that may have held something of the partition.
func (w *walk) trims(s *partition) bool {
	for _, a := range s.assignments {
		if j, ok := w.state.Journal(a.Journal); ok && j.Trim > 0 {
			return true
		}
	}
	return false
}

// checkTrimmed checks that what only slots below TRIM held lies in runs or below the log start (I2), and that no log start
// lies behind the end of what there is.
func (w *walk) checkTrimmed() {
	if !w.whole {
		return
	}
	for p, s := range w.parts {
		if _, exists := w.now.TopicByID(p.Topic); !exists {
			continue
		}
		stands := w.stands[p]
		start := max(s.start, stands.Start, w.state.Compaction(p).Start)
		for _, t := range s.trimmed {
			if t.next > max(start, s.compacted) {
				w.find(t.key, "%s: [%d,%d) lay in slots below TRIM, its runs end at %d and its log start is %d (I2)", s.name, t.base, t.next, s.compacted, start)
			}
		}
		if end := max(s.end, s.compacted, stands.End); s.start > end && w.trims(s) {
			w.find(s.startKey, "%s: log start %d behind the end %d", s.name, s.start, end)
		}
	}
}
