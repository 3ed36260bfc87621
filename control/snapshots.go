package control

import (
	"encoding/hex"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/odradek/odradek/topic"
)

// PinID names a snapshot or a fork; ids are drawn at random and never given twice.
type PinID [16]byte

func (id PinID) String() string { return hex.EncodeToString(id[:]) }

// IsZero reports whether the id is that of nothing.
func (id PinID) IsZero() bool { return id == PinID{} }

func comparePins(a, b PinID) int { return slices.Compare(a[:], b[:]) }

const (
	// MaxPins is how many snapshots and forks a cluster has at most: whoever deletes looks at each.
	MaxPins = 1000
	// maxPinName bounds the name of a snapshot and the place of a fork, in bytes.
	maxPinName = 1024
)

// Moment is a moment of a cluster: the control state after Number, and of every journal that was open then the slots below
// Next, which all count. The end of any other journal is its seal.
type Moment struct {
	Number   topic.Slot
	Base     BaseCheckpoint // the newest verified checkpoint then; zero: there was none
	Journals []JournalNext  // the open ones, by journal id; shared, not to be changed
}

// BaseCheckpoint names a checkpoint by what its key is made of; zero for none.
type BaseCheckpoint struct {
	Control topic.Slot
	ID      CheckpointID
}

// Next gives the first slot of an open journal that is not part of the moment. It is not ok for a journal that was sealed
// by then, or not opened yet.
func (m Moment) Next(id topic.JournalID) (topic.Slot, bool) {
	i, ok := slices.BinarySearchFunc(m.Journals, id, func(j JournalNext, id topic.JournalID) int { return compareJournals(j.Journal, id) })
	if !ok {
		return 0, false
	}
	return m.Journals[i].Next, true
}

// Pin is a snapshot or a fork of a State: what keeps the objects that its moment names (I9). It never changes.
type Pin struct {
	ID       PinID
	Name     string     // of a snapshot; empty for a fork
	Place    string     // of a fork: where in the bucket it lives; empty for a snapshot
	Snapshot PinID      // that a fork began from; it may be deleted by now
	At       topic.Slot // control number of its SNAPSHOT or FORK
	Moment   Moment

	trims   tree[topic.JournalID, topic.Slot] // slots below are not pinned any more
	objects tree[topic.Object, struct{}]      // neither are these
}

// IsFork tells a fork from a snapshot.
func (p *Pin) IsFork() bool { return p.Place != "" }

// Unpinned gives the slot of a journal below which a fork needs nothing any more.
func (p *Pin) Unpinned(j topic.JournalID) topic.Slot {
	s, _ := p.trims.get(j)
	return s
}

// ObjectUnpinned reports whether a fork does not need a compacted object any more.
func (p *Pin) ObjectUnpinned(o topic.Object) bool { return p.objects.has(o) }

func newPin() *Pin {
	return &Pin{trims: newTree[topic.JournalID, topic.Slot](compareJournals), objects: newTree[topic.Object, struct{}](topic.Object.Compare)}
}

// Pins walks the snapshots and forks, by id.
func (s *State) Pins() iter.Seq[*Pin] {
	return func(yield func(*Pin) bool) {
		for _, p := range s.pins.all() {
			if !yield(p) {
				return
			}
		}
	}
}

// Pin finds a snapshot or a fork by its id.
func (s *State) Pin(id PinID) (*Pin, bool) { return s.pins.get(id) }

// SnapshotNamed finds a snapshot by its name.
func (s *State) SnapshotNamed(name string) (*Pin, bool) {
	return s.pinWhere(func(p *Pin) bool { return !p.IsFork() && p.Name == name })
}

// ForkAt finds a fork by its place.
func (s *State) ForkAt(place string) (*Pin, bool) {
	return s.pinWhere(func(p *Pin) bool { return p.IsFork() && p.Place == place })
}

func (s *State) pinWhere(is func(*Pin) bool) (*Pin, bool) {
	for p := range s.Pins() {
		if is(p) {
			return p, true
		}
	}
	return nil, false
}

// Snapshot keeps a moment of the cluster under a name. It holds if the moment is the one right before its own number, so
// that no MANIFEST, TRIM, SWEEP or deletion can lie between (G6); if it names exactly the open journals, each at least as far
// as TRIM and the newest verified checkpoint go; and if id and name are free.
type Snapshot struct {
	ID     PinID
	Name   string
	Moment Moment
}

func (Snapshot) Type() Type { return TypeSnapshot }

func (r Snapshot) String() string { return fmt.Sprintf("%q id %s %s", r.Name, r.ID, r.Moment) }

// String tells the moment in one line.
func (m Moment) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "after %d checkpoint %d", m.Number, m.Base.Control)
	for _, j := range m.Journals {
		fmt.Fprintf(&b, " %s<%d", j.Journal, j.Next)
	}
	return b.String()
}

func (r Snapshot) encode(w *writer) {
	w.id(r.ID)
	w.string(r.Name)
	w.slot(r.Moment.Number)
	w.base(r.Moment.Base)
	w.journalNexts(r.Moment.Journals)
}

func decodeSnapshot(r *reader) Record {
	return Snapshot{ID: r.id(), Name: r.string(), Moment: Moment{Number: r.slot(), Base: r.base(), Journals: r.journalNexts()}}
}

func (w *writer) base(b BaseCheckpoint) {
	w.slot(b.Control)
	w.id(b.ID)
}

func (r *reader) base() BaseCheckpoint { return BaseCheckpoint{Control: r.slot(), ID: r.id()} }

func (w *writer) journalNexts(list []JournalNext) {
	w.uint(uint64(len(list)))
	for _, j := range list {
		w.id(j.Journal)
		w.slot(j.Next)
	}
}

func (r *reader) journalNexts() []JournalNext {
	var list []JournalNext
	for range r.each(17) {
		list = append(list, JournalNext{r.id(), r.slot()})
	}
	return list
}

func (r Snapshot) judge(s *State) string {
	switch {
	case r.Name == "" || len(r.Name) > maxPinName:
		return fmt.Sprintf("snapshot with a name of %d bytes", len(r.Name))
	case r.Moment.Number+1 != s.next:
		return fmt.Sprintf("it stands after %d, own number is %d", r.Moment.Number, s.next)
	}
	if why := s.judgePin(r.ID); why != "" {
		return why
	}
	if _, ok := s.SnapshotNamed(r.Name); ok {
		return fmt.Sprintf("snapshot %q exists", r.Name)
	}
	newest, _ := s.NewestCheckpoint()
	if (BaseCheckpoint{newest.Control, newest.ID}) != r.Moment.Base {
		return fmt.Sprintf("newest verified checkpoint is at %d, not %d", newest.Control, r.Moment.Base.Control)
	}
	if len(r.Moment.Journals) != s.open.size {
		return fmt.Sprintf("%d journals are open, record names %d", s.open.size, len(r.Moment.Journals))
	}
	i := 0
	for id := range s.open.all() {
		named := r.Moment.Journals[i]
		i++
		if named.Journal != id {
			return fmt.Sprintf("journal %s where %s belongs", named.Journal, id)
		}
		j, _ := s.journals.get(id)
		if least := max(j.Trim, newest.Next(id)); named.Next < least {
			return fmt.Sprintf("journal %s up to %d, which is known up to %d", id, named.Next, least)
		}
	}
	return ""
}

// judgePin says why a pin of that id cannot be added.
func (s *State) judgePin(id PinID) string {
	switch {
	case id.IsZero():
		return "pin without id"
	case s.pins.has(id):
		return fmt.Sprintf("pin %s was given before", id)
	case s.pins.size >= MaxPins:
		return fmt.Sprintf("there are %d snapshots and forks", s.pins.size)
	}
	return ""
}

func (r Snapshot) apply(s *State) {
	p := newPin()
	p.ID, p.Name, p.At, p.Moment = r.ID, r.Name, s.next, r.Moment
	s.pins = s.pins.put(p.ID, p)
}

// Unpin says that something of a pin need not be kept any more. With Whole that is all of it: a snapshot is deleted, a fork
// has ended or was never born. Else the pin is a fork's, Trims are slots of its moment's journals below which it reads nothing
// any more, and Objects are compacted objects that neither its log, nor a checkpoint it keeps, nor a snapshot or fork of its
// own names: that only shrinks, so an old reading is right (G8). It holds if the pin is there and more is given up than before.
type Unpin struct {
	Pin     PinID
	Whole   bool
	Trims   []JournalNext  // by journal id
	Objects []topic.Object // in order
}

func (Unpin) Type() Type { return TypeUnpin }

func (r Unpin) String() string {
	if r.Whole {
		return fmt.Sprintf("%s whole", r.Pin)
	}
	var b strings.Builder
	b.WriteString(r.Pin.String())
	for _, j := range r.Trims {
		fmt.Fprintf(&b, " %s<%d", j.Journal, j.Next)
	}
	for _, o := range r.Objects {
		fmt.Fprintf(&b, " %s", o)
	}
	return b.String()
}

func (r Unpin) encode(w *writer) {
	w.id(r.Pin)
	w.bool(r.Whole)
	w.journalNexts(r.Trims)
	w.uint(uint64(len(r.Objects)))
	for _, o := range r.Objects {
		w.object(o)
	}
}

func decodeUnpin(r *reader) Record {
	return Unpin{Pin: r.id(), Whole: r.bool(), Trims: r.journalNexts(), Objects: r.objectTable()}
}

func (r Unpin) judge(s *State) string {
	p, ok := s.pins.get(r.Pin)
	parts := len(r.Trims) + len(r.Objects)
	switch {
	case !ok:
		return fmt.Sprintf("no pin %s", r.Pin)
	case r.Whole && parts > 0:
		return "a pin given up whole and in parts"
	case r.Whole:
		return ""
	case !p.IsFork():
		return fmt.Sprintf("snapshot %q is kept whole or not at all", p.Name)
	case parts == 0:
		return "nothing given up"
	}
	for i, j := range r.Trims {
		if i > 0 && compareJournals(r.Trims[i-1].Journal, j.Journal) >= 0 {
			return fmt.Sprintf("journal %s out of order", j.Journal)
		}
		if !s.journals.has(j.Journal) {
			return fmt.Sprintf("no journal %s", j.Journal)
		}
		if had := p.Unpinned(j.Journal); j.Next <= had {
			return fmt.Sprintf("journal %s was given up below %d before", j.Journal, had)
		}
	}
	for i, o := range r.Objects {
		switch {
		case i > 0 && r.Objects[i-1].Compare(o) >= 0:
			return fmt.Sprintf("object %s out of order", o)
		case o.Planned > p.Moment.Number:
			return fmt.Sprintf("object %s is not of the time before %d", o, p.Moment.Number)
		case p.ObjectUnpinned(o):
			return fmt.Sprintf("object %s was given up before", o)
		}
	}
	return ""
}

func (r Unpin) apply(s *State) {
	if r.Whole {
		s.pins = s.pins.drop(r.Pin)
		return
	}
	had, _ := s.pins.get(r.Pin)
	p := *had
	for _, j := range r.Trims {
		p.trims = p.trims.put(j.Journal, j.Next)
	}
	for _, o := range r.Objects {
		p.objects = p.objects.put(o, struct{}{})
	}
	s.pins = s.pins.put(p.ID, &p)
}

// encodeSnapshot writes of a pin what the state cannot know otherwise.
func (p *Pin) encodeSnapshot(w *snapshotWriter) {
	w.id(p.ID)
	w.string(p.Name)
	w.string(p.Place)
	w.id(p.Snapshot)
	w.slot(p.At)
	w.slot(p.Moment.Number)
	w.base(p.Moment.Base)
	w.uint(uint64(len(p.Moment.Journals)))
	for _, j := range p.Moment.Journals {
		w.journal(j.Journal)
		w.slot(j.Next)
	}
	w.uint(uint64(p.trims.size))
	for id, below := range p.trims.all() {
		w.journal(id)
		w.slot(below)
	}
	w.uint(uint64(p.objects.size))
	for o := range p.objects.all() {
		w.object(o)
	}
}

// addPins reads what the state keeps, where it comes from, and whether it is over.
func (r *snapshotReader) addPins(s *State) {
	for range r.each(57) {
		p := newPin()
		p.ID, p.Name, p.Place, p.Snapshot, p.At = r.id(), r.string(), r.string(), r.id(), r.slot()
		p.Moment = Moment{Number: r.slot(), Base: r.base()}
		for range r.each(2) {
			j := JournalNext{r.journal(), r.slot()}
			if n := len(p.Moment.Journals); n > 0 && compareJournals(p.Moment.Journals[n-1].Journal, j.Journal) >= 0 {
				r.fail("pin %s: journal %s out of order", p.ID, j.Journal)
			}
			p.Moment.Journals = append(p.Moment.Journals, j)
		}
		for range r.each(2) {
			id, below := r.journal(), r.slot()
			p.trims = p.trims.put(id, below)
		}
		for range r.each(17) {
			p.objects = p.objects.put(r.object(), struct{}{})
		}
		switch {
		case r.err != nil:
			return
		case (p.Name == "") == (p.Place == ""):
			r.fail("pin %s is %q and at %q", p.ID, p.Name, p.Place)
		case p.At >= s.next || p.Moment.Number >= p.At:
			r.fail("pin %s of %d after %d, next is %d", p.ID, p.At, p.Moment.Number, s.next)
		}
		s.pins = s.pins.put(p.ID, p)
	}
	s.born, s.fork = r.slot(), r.id()
	if s.born > 0 && s.born >= s.next || (s.born == 0) != s.fork.IsZero() {
		r.fail("fork %s born at %d, next is %d", s.fork, s.born, s.next)
	}
	if s.ended = r.bool(); s.ended && s.born == 0 {
		r.fail("a cluster that is no fork ended")
	}
}
