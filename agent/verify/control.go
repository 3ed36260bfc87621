package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/odradek/odradek/checkpoint"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

// Number is one control number, read and applied.
type Number struct {
	N        topic.Slot
	Bytes    int64 // of the object
	Records  []control.Record
	Outcomes []control.Outcome
	Before   *control.State
	After    *control.State
}

// ControlError says what is wrong with the object of a control number.
type ControlError struct {
	N   topic.Slot
	Err error
}

func (e *ControlError) Error() string { return fmt.Sprintf("%s: %v", slotlog.ControlKey(e.N), e.Err) }
func (e *ControlError) Unwrap() error { return e.Err }

// EachControl reads the control log behind s, reads numbers at a time, and calls fn for each number in order up to the
// first that is not there. Errors: *ControlError for an object that cannot be read or applied, fn's, the store's.
func EachControl(ctx context.Context, store objectstore.Store, s *control.State, reads int, fn func(Number) error) error {
	from := s.Next()
	return ahead(ctx, from, endless, reads, func(ctx context.Context, n topic.Slot) ([]byte, error) {
		b, err := store.Get(ctx, slotlog.ControlKey(n))
		if errors.Is(err, objectstore.ErrNotFound) {
			return nil, nil
		}
		return b, err
	}, func(n topic.Slot, object []byte) (bool, error) {
		if object == nil {
			return false, nil
		}
		records, err := decodeControl(object)
		if err != nil {
			return false, &ControlError{n, err}
		}
		after, outcomes, err := s.Apply(n, records)
		if err != nil {
			return false, &ControlError{n, err}
		}
		err = fn(Number{N: n, Bytes: int64(len(object)), Records: records, Outcomes: outcomes, Before: s, After: after})
		s = after
		return err == nil, err
	})
}

func decodeControl(object []byte) ([]control.Record, error) {
	e, err := slotlog.Open(object)
	if err != nil {
		return nil, err
	}
	if e.Kind != slotlog.Data {
		return nil, fmt.Errorf("%w: a %s in the control log", slotlog.ErrCorrupt, e.Kind)
	}
	return control.Decode(e.Payload)
}

// readControl reads the control log from its beginning, or from the checkpoint that stands for it.
func (w *walk) readControl(ctx context.Context) error {
	w.whole = true
	s, base, err := Beginning(ctx, w.store, w.opt.Reads)
	if errors.Is(err, ErrForgotten) {
		w.whole = false
		w.find(slotlog.ControlKey(1), "%v", err)
		return nil
	}
	if err != nil {
		return err
	}
	if s.Next() > 0 {
		w.beginAt(s, base)
		if err := w.checkGenesis(ctx); err != nil {
			return err
		}
	}
	given := ids{next: s.NextProducerID()}
	err = EachControl(ctx, w.store, w.state, w.opt.Reads, func(n Number) error {
		w.report.Control.Numbers++
		w.report.Control.Bytes += n.Bytes
		for i, r := range n.Records {
			w.report.Control.Records++
			if n.Outcomes[i].Void {
				w.void(n.N, r, n.Outcomes[i].Why)
			} else if block, ok := r.(control.ProducerIDs); ok {
				w.report.Control.ProducerIDsHeld++
				if why := given.give(block); why != "" {
					w.find(slotlog.ControlKey(n.N), "%s", why)
				}
			} else if _, ok := r.(control.TopicDelete); ok {
				w.report.Control.DeletedTopics++
			} else if a, ok := r.(control.Assign); ok {
				w.takeMove(n, a)
			} else if m, ok := r.(control.Manifest); ok && !m.Output.IsZero() {
				w.compaction.swapped[m.Output] = struct{}{}
			}
			if !n.Outcomes[i].Void {
				w.takePolicy(r)
				w.takePins(n, r)
			}
			w.knownJournals(n, i)
		}
		w.state = n.After
		w.keepState(n)
		return nil
	})
	w.now = w.state
	var broken *ControlError
	if errors.As(err, &broken) {
		w.whole = false
		w.find(slotlog.ControlKey(broken.N), "%v; nothing behind it was applied", broken.Err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the control log: %w", err)
	}
	if end := w.state.Next(); end < w.listed.control {
		w.whole = false
		w.find(slotlog.ControlKey(end), "control number missing, though %s is there", slotlog.ControlKey(w.listed.control-1))
	} else if end == 0 {
		w.whole = false
		w.find(slotlog.ControlKey(0), "no GENESIS: this bucket holds no cluster")
	}
	return nil
}

// beginAt begins the walk of the control log behind a checkpoint. What is known of before is what its state says.
func (w *walk) beginAt(s *control.State, base checkpoint.Name) {
	w.state = s
	w.report.Control.From = s.Next()
	if _, ok := w.standing[base.Control]; ok {
		w.standing[base.Control] = s
	}
	for o := range s.Objects() {
		w.compaction.swapped[o] = struct{}{}
	}
	for t := range s.Topics() {
		w.takePolicy(control.TopicConfig{Topic: t.ID, Set: t.Config})
	}
	for p, c := range s.Compactions() {
		if slices.ContainsFunc(c.Runs, func(r topic.Run) bool { return r.Cleaned > 0 }) {
			w.compaction.byKey[p.Topic] = struct{}{}
		}
	}
	set, _ := s.Config()
	w.takePolicy(control.ClusterConfig{Set: set})
}

// checkGenesis checks that control/0 is there, which nothing stands for, and is of this cluster (S5). That of a fork stands
// behind its ancestors' numbers (G7).
func (w *walk) checkGenesis(ctx context.Context) error {
	born, fork := w.state.Born()
	key := slotlog.ControlKey(born)
	b, err := w.store.Get(ctx, key)
	if errors.Is(err, objectstore.ErrNotFound) {
		w.find(key, "missing: it is never deleted")
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", key, err)
	}
	records, err := decodeControl(b)
	if err != nil {
		w.find(key, "%v", err)
		return nil
	}
	if forked, ok := records[0].(control.Forked); ok && born > 0 {
		if forked.ClusterID != w.state.ClusterID() || forked.Fork != fork {
			w.find(key, "is of fork %s, cluster %s, the checkpoints are of fork %s, cluster %s", forked.Fork, forked.ClusterID, fork, w.state.ClusterID())
		}
		return nil
	}
	if s, _, err := control.New().Apply(0, records); err != nil {
		w.find(key, "%v", err)
	} else if s.ClusterID() != w.state.ClusterID() {
		w.find(key, "is of cluster %s, the checkpoints are of %s", s.ClusterID(), w.state.ClusterID())
	}
	return nil
}

// takePolicy remembers what was ever to be compacted by key: there records may be missing.
func (w *walk) takePolicy(r control.Record) {
	byKey := func(c topic.Config, name string) bool { return strings.Contains(c[name], "compact") }
	switch r := r.(type) {
	case control.TopicCreate:
		if byKey(r.Config, "cleanup.policy") {
			w.compaction.byKey[r.ID] = struct{}{}
		}
	case control.TopicConfig:
		if byKey(r.Set, "cleanup.policy") {
			w.compaction.byKey[r.Topic] = struct{}{}
		}
	case control.ClusterConfig:
		w.compaction.allByKey = w.compaction.allByKey || byKey(r.Set, "log.cleanup.policy")
	}
}

func (w *walk) void(n topic.Slot, r control.Record, why string) {
	if len(w.report.Control.Void) >= w.opt.MaxFindings {
		w.unlisted("void")
		return
	}
	w.report.Control.Void = append(w.report.Control.Void, Void{Number: n, Record: control.Describe(r), Why: why})
}

// catchUp reads what a running agent has appended to the control log meanwhile. It reports whether there was any.
func (w *walk) catchUp(ctx context.Context) (bool, error) {
	if !w.whole {
		return false, nil
	}
	before := w.now.Next()
	err := EachControl(ctx, w.store, w.now, w.opt.Reads, func(n Number) error {
		w.now = n.After
		return nil
	})
	var broken *ControlError
	if err != nil && !errors.As(err, &broken) {
		return false, fmt.Errorf("read the control log: %w", err)
	}
	return w.now.Next() > before, nil
}

// knownJournals finds a record that names a journal which was never opened. No agent decides on one: a race for a number
// makes journals sealed, never unknown.
func (w *walk) knownJournals(n Number, i int) {
	for _, id := range journalsOf(n.Records[i]) {
		if known(n, i, id) {
			continue
		}
		w.find(slotlog.ControlKey(n.N), "%s record names journal %s, which was never opened", n.Records[i].Type(), id)
		return
	}
}

// known reports whether a journal was open once when record i was applied.
func known(n Number, i int, id topic.JournalID) bool {
	if _, ok := n.Before.Journal(id); ok {
		return true
	}
	for _, r := range n.Records[:i+1] {
		if open, ok := r.(control.JournalOpen); ok && open.ID == id {
			return true
		}
	}
	return false
}

// journalsOf lists the journals that a record gives something to or takes something from.
func journalsOf(r control.Record) []topic.JournalID {
	switch r := r.(type) {
	case control.TopicCreate:
		return r.Journals
	case control.PartitionsAdd:
		return r.Journals
	case control.Assign:
		return []topic.JournalID{r.ToJournal}
	case control.Move:
		return []topic.JournalID{r.ToJournal}
	case control.Drain:
		return []topic.JournalID{r.Journal}
	case control.ProducerIDs:
		return []topic.JournalID{r.Journal}
	case control.JournalSealed:
		return sealedNames(r)
	case control.JournalOpen:
		var all []topic.JournalID
		for _, p := range r.Predecessors {
			all = append(all, sealedNames(p)...)
		}
		return all
	}
	return nil
}

func sealedNames(r control.JournalSealed) []topic.JournalID {
	all := []topic.JournalID{r.Journal}
	for _, p := range r.Parts {
		all = append(all, p.ToJournal)
	}
	return all
}

// ids is the end of the producer ids given away so far.
type ids struct{ next int64 }

// give takes a block that holds and says what is wrong with it.
func (g *ids) give(r control.ProducerIDs) string {
	from := g.next
	g.next = max(g.next, r.From+int64(r.Count))
	if r.From < from {
		return fmt.Sprintf("producer ids [%d,%d) overlap those below %d, which were given away before", r.From, r.From+int64(r.Count), from)
	}
	return ""
}
