package cluster

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"github.com/odradek/odradek/checkpoint"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/metadata/embedded"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

var (
	// ErrPlaceTaken says that something lives at a place where a fork was to be born.
	ErrPlaceTaken = errors.New("the place is taken")
	// ErrNoFork says that the cluster has no fork at a place.
	ErrNoFork = errors.New("no such fork")
	// ErrHasForks says that a cluster has snapshots or forks of its own, which must go first.
	ErrHasForks = errors.New("it has snapshots or forks")
)

// Fork makes another cluster of a snapshot, at another place of the same bucket: no record is copied. self is the place of this
// cluster, and heir its store. FORK counts here first, so that nothing the fork needs can go any more; then the fork is born by
// the creation of its control/0 (G7). Called again after it was broken off, it goes on. Errors: ErrNoSnapshot, ErrPlaceTaken,
// ErrVoid.
func (e *Engine) Fork(ctx context.Context, heir *Heir, self, place, snapshot string, open OpenPlace) (*control.Pin, error) {
	store, err := open(ctx, place)
	if err != nil {
		return nil, err
	}
	pin, err := e.declare(ctx, store, place, snapshot)
	if err != nil {
		return nil, fmt.Errorf("fork at %s: %w", place, err)
	}
	forked, err := e.forked(ctx, heir, self, pin)
	if err != nil {
		return nil, fmt.Errorf("fork at %s: %w", place, err)
	}
	payload, err := control.Encode([]control.Record{forked})
	if err != nil {
		return nil, err
	}
	err = slotlog.Decide(ctx, store, 0, payload)
	if errors.Is(err, slotlog.ErrFenced) {
		born, err := bornAs(ctx, store, pin.ID)
		switch {
		case err != nil:
			return nil, err
		case !born:
			return nil, fmt.Errorf("%w: another control/0 is at %s", ErrPlaceTaken, place)
		}
		return pin, nil
	}
	return pin, err
}

// declare appends FORK, unless it was before.
func (e *Engine) declare(ctx context.Context, store objectstore.Store, place, snapshot string) (*control.Pin, error) {
	from, ok := e.State().SnapshotNamed(snapshot)
	if had, forked := e.State().ForkAt(place); forked && (!ok || had.Snapshot == from.ID) {
		return had, nil
	}
	if !ok {
		return nil, fmt.Errorf("%w: %s", ErrNoSnapshot, snapshot)
	}
	if err := vacant(ctx, store); err != nil {
		return nil, err
	}
	r := control.Fork{Place: place, Snapshot: from.ID}
	rand.Read(r.ID[:])
	outcomes, err := e.Propose(ctx, func(s *control.State) ([]control.Record, error) {
		if o := s.Judge(r); o.Void {
			return nil, fmt.Errorf("%w: %s", ErrVoid, o.Why)
		}
		return []control.Record{r}, nil
	})
	if err == nil && outcomes[0].Void {
		err = fmt.Errorf("%w: %s", ErrVoid, outcomes[0].Why)
	}
	if err != nil {
		return nil, err
	}
	pin, _ := e.State().Pin(r.ID)
	return pin, nil
}

// vacant says whether a place holds nothing of a cluster.
func vacant(ctx context.Context, store objectstore.Store) error {
	found := errors.New("found")
	for _, prefix := range ownPrefixes {
		var key string
		err := store.List(ctx, prefix, func(i objectstore.Info) error {
			key = i.Key
			return found
		})
		if errors.Is(err, found) {
			return fmt.Errorf("%w: there is %s", ErrPlaceTaken, key)
		}
		if err != nil {
			return fmt.Errorf("list %s: %w", prefix, err)
		}
	}
	return nil
}

// ownPrefixes start the keys of what a cluster consists of.
var ownPrefixes = []string{slotlog.ControlPrefix, slotlog.JournalsPrefix, checkpoint.Prefix, topic.CompactedPrefix}

// forked makes the record that a fork begins with.
func (e *Engine) forked(ctx context.Context, heir *Heir, self string, pin *control.Pin) (control.Forked, error) {
	s, err := e.stateAt(ctx, pin.Moment)
	if err != nil {
		return control.Forked{}, err
	}
	var id topic.ID
	rand.Read(id[:])
	r := control.Forked{ClusterID: id.String(), Fork: pin.ID, Moment: pin.Moment}
	had := map[topic.JournalID][]control.Inherited{}
	if f, ok := heir.Forked(); ok { // this cluster is a fork itself
		r.Ancestors = slices.Clone(f.Ancestors)
		for _, j := range f.Journals {
			had[j.Journal] = append(had[j.Journal], j)
		}
	}
	of := len(r.Ancestors)
	r.Ancestors = append(r.Ancestors, control.Ancestor{Place: self, Last: pin.Moment.Number})
	for j := range s.Journals() {
		end, open := pin.Moment.Next(j.ID)
		if !open {
			end = j.SealSlot + 1
		}
		list := had[j.ID]
		r.Journals = append(r.Journals, list...)
		if n := len(list); n == 0 || end > list[n-1].End {
			r.Journals = append(r.Journals, control.Inherited{Journal: j.ID, Of: of, End: end})
		}
	}
	slices.SortStableFunc(r.Journals, func(a, b control.Inherited) int {
		return cmp.Or(bytes.Compare(a.Journal[:], b.Journal[:]), cmp.Compare(a.End, b.End))
	})
	if o := s.Judge(r); o.Void {
		return control.Forked{}, fmt.Errorf("%w: %s", ErrVoid, o.Why)
	}
	return r, nil
}

// stateAt gives the control state of a moment, whose checkpoint is kept for it.
func (e *Engine) stateAt(ctx context.Context, m control.Moment) (*control.State, error) {
	s := control.New()
	if !m.Base.ID.IsZero() {
		var err error
		if _, s, err = e.readHead(ctx, m.Base.Control, m.Base.ID); err != nil {
			return nil, err
		}
	}
	err := e.readNumbers(ctx, s.Next(), m.Number+1, func(n topic.Slot, payload []byte) error {
		records, err := control.Decode(payload)
		if err == nil {
			s, _, err = s.Apply(n, records)
		}
		if err != nil {
			return fmt.Errorf("control %d: %w", n, err)
		}
		return nil
	})
	return s, err
}

// bornAs says whether a place's control/0 is that of a fork.
func bornAs(ctx context.Context, store objectstore.Store, fork control.PinID) (bool, error) {
	forked, _, err := readBirth(ctx, store)
	if err != nil && !errors.Is(err, ErrEnded) {
		return false, err
	}
	return forked != nil && forked.Fork == fork, nil
}

// ForkLook is what is seen of a fork from outside.
type ForkLook struct {
	Born  bool           // its control/0 is there
	Never bool           // something else is: it can never be born
	Store *Heir          // of the fork, if it was born
	State *control.State // as far as its control log goes
}

// LookAtFork reads a fork's control log to its end. What the fork does not need it never needs again, so that an answer that
// is old by the time it is used is right (G8).
func LookAtFork(ctx context.Context, pin *control.Pin, open OpenPlace) (ForkLook, error) {
	store, err := open(ctx, pin.Place)
	if err != nil {
		return ForkLook{}, err
	}
	forked, there, err := readBirth(ctx, store)
	switch {
	case errors.Is(err, ErrEnded):
		return ForkLook{Never: true}, nil
	case err != nil:
		return ForkLook{}, err
	case forked == nil || forked.Fork != pin.ID:
		return ForkLook{Never: there}, nil
	}
	heir := NewHeir(store, open)
	if err := heir.Learn(ctx); err != nil {
		return ForkLook{}, err
	}
	meta := embedded.Open()
	defer meta.Close()
	e := New(Config{Base: heir.Base()}, heir, meta)
	defer e.Stop()
	if err := e.readControl(ctx); err != nil {
		return ForkLook{}, err
	}
	return ForkLook{Born: true, Store: heir, State: e.State()}, nil
}

// BuryFork sees to it that a fork can never be born, by a tombstone in place of its control/0: whoever creates that has decided
// (G7). never is false if the fork was born first.
func BuryFork(ctx context.Context, pin *control.Pin, open OpenPlace) (never bool, err error) {
	store, err := open(ctx, pin.Place)
	if err != nil {
		return false, err
	}
	payload, err := control.Encode([]control.Record{control.End{}})
	if err != nil {
		return false, err
	}
	if err := slotlog.Decide(ctx, store, 0, payload); !errors.Is(err, slotlog.ErrFenced) {
		return err == nil, err
	}
	born, err := bornAs(ctx, store, pin.ID)
	return err == nil && !born, err
}

// EndFork deletes the fork at a place: END is the last record of its control log, then it is given up here, then its objects go
// but for its control log (G8). Called again after it was broken off, it goes on. It gives how many objects and bytes went.
// Errors: ErrNoFork, ErrHasForks.
func (e *Engine) EndFork(ctx context.Context, place string, open OpenPlace) (objects int, freed int64, err error) {
	pin, known := e.State().ForkAt(place)
	store, err := open(ctx, place)
	if err != nil {
		return 0, 0, err
	}
	if !known { // given up before, perhaps, and broken off then
		return e.clear(ctx, store, place)
	}
	look, err := LookAtFork(ctx, pin, open)
	if err != nil {
		return 0, 0, fmt.Errorf("fork at %s: %w", place, err)
	}
	switch {
	case look.Born && !look.State.Ended():
		if err := appendEnd(ctx, look); err != nil {
			return 0, 0, fmt.Errorf("fork at %s: %w", place, err)
		}
	case !look.Born && !look.Never:
		if never, err := BuryFork(ctx, pin, open); err != nil || !never {
			return 0, 0, fmt.Errorf("fork at %s: it was born this moment: try again: %w", place, cmp.Or(err, ErrVoid))
		}
	}
	if err := e.giveUp(ctx, pin.ID); err != nil {
		return 0, 0, err
	}
	if look.Never {
		return 0, 0, nil // what lives there is another's
	}
	return clearOut(ctx, store)
}

// clear removes what is left of a fork that ended.
func (e *Engine) clear(ctx context.Context, store objectstore.Store, place string) (int, int64, error) {
	heir := NewHeir(store, func(context.Context, string) (objectstore.Store, error) { return store, nil })
	forked, _, err := readBirth(ctx, heir)
	if err != nil && !errors.Is(err, ErrEnded) || forked == nil {
		return 0, 0, fmt.Errorf("%w at %s", ErrNoFork, place)
	}
	ended := false
	err = e.readFork(ctx, store, *forked, func(r control.Record) { ended = ended || r.Type() == control.TypeEnd })
	if err != nil {
		return 0, 0, err
	}
	if !ended {
		return 0, 0, fmt.Errorf("%w of this cluster at %s", ErrNoFork, place)
	}
	return clearOut(ctx, store)
}

// readFork tells fn of the records of a fork's own control numbers.
func (e *Engine) readFork(ctx context.Context, store objectstore.Store, f control.Forked, fn func(control.Record)) error {
	for n := f.Moment.Number + 2; ; n++ {
		payload, err := slotlog.ReadControl(ctx, store, n)
		if errors.Is(err, slotlog.ErrHole) {
			return nil
		}
		if err != nil {
			return err
		}
		records, err := control.Decode(payload)
		if err != nil {
			return fmt.Errorf("control %d: %w", n, err)
		}
		for _, r := range records {
			fn(r)
		}
	}
}

// appendEnd appends END to a fork's control log.
func appendEnd(ctx context.Context, look ForkLook) error {
	meta := embedded.Open()
	defer meta.Close()
	e := New(Config{Base: look.Store.Base()}, look.Store, meta)
	defer e.Stop()
	if err := e.readControl(ctx); err != nil {
		return err
	}
	outcomes, err := e.Propose(ctx, func(s *control.State) ([]control.Record, error) {
		if s.Ended() {
			return nil, nil
		}
		if o := s.Judge(control.End{}); o.Void {
			return nil, fmt.Errorf("%w: %s", ErrHasForks, o.Why)
		}
		return []control.Record{control.End{}}, nil
	})
	if err == nil && len(outcomes) > 0 && outcomes[0].Void {
		err = fmt.Errorf("%w: %s", ErrHasForks, outcomes[0].Why)
	}
	return err
}

// giveUp appends UNPIN of all of a pin.
func (e *Engine) giveUp(ctx context.Context, id control.PinID) error {
	_, err := e.Propose(ctx, func(s *control.State) ([]control.Record, error) {
		if _, ok := s.Pin(id); !ok {
			return nil, nil
		}
		return []control.Record{control.Unpin{Pin: id, Whole: true}}, nil
	})
	return err
}

// clearOut deletes everything of a cluster but its control log.
func clearOut(ctx context.Context, store objectstore.Store) (objects int, freed int64, err error) {
	for _, prefix := range append(slices.Clone(ownPrefixes), "ledger/") {
		if prefix == slotlog.ControlPrefix {
			continue
		}
		var keys []string
		err := store.List(ctx, prefix, func(i objectstore.Info) error {
			keys = append(keys, i.Key)
			freed += i.Size
			return nil
		})
		if err != nil {
			return objects, freed, fmt.Errorf("list %s: %w", prefix, err)
		}
		for _, key := range keys {
			if err := store.Delete(ctx, key); err != nil {
				return objects, freed, fmt.Errorf("delete %s: %w", key, err)
			}
			objects++
		}
	}
	return objects, freed, nil
}
