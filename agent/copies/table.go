package copies

import (
	"errors"
	"sync"

	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/topic"
)

// Entry is one thing that a record of the offsets topic says.
type Entry struct {
	Kind  metadata.CopyKind // CopyGroup or CopyOffset
	Key   string
	Value []byte // empty: deleted. Nobody changes it any more
}

type name struct {
	kind metadata.CopyKind
	key  string
}

// item is the newest value of a name.
type item struct {
	value  []byte // empty: deleted, and the tombstone is not in Redis yet
	digest uint64 // what it adds to the table's digest, 0 if nothing yet
}

// table is what the records of one partition say, as of an offset, and which of it Redis lacks.
type table struct {
	partition topic.Partition

	mu        sync.Mutex   // guards all below
	position  topic.Offset // the table is what the log below says
	following bool         // loaded: it is kept in Redis from now on
	broken    bool         // records are missing in it
	items     map[name]*item
	live      uint64 // items that are not deleted
	digest    uint64 // of the live ones but for those changed
	changed   map[name]struct{}
	stands    metadata.Pin // the era whose copies are this table but for changed; none if they must be written whole
	deleted   uint64       // tombstones written there
}

func newTable(p topic.Partition) *table {
	return &table{partition: p, items: make(map[name]*item), changed: make(map[name]struct{})}
}

// apply takes in records at [base, base+n). Once the table is followed they must follow what it stands at; if they do
// not, it ends there. It is false at the record where that is found.
func (t *table) apply(base topic.Offset, entries []Entry) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.broken {
		return true
	}
	if t.following && base != t.position {
		t.broken = true
		return false
	}
	for _, e := range entries {
		t.set(name{e.Kind, e.Key}, e.Value)
	}
	t.position = base + topic.Offset(len(entries))
	return true
}

func (t *table) set(n name, value []byte) {
	x := t.items[n]
	if n.kind == 0 || x == nil && len(value) == 0 {
		return
	}
	if x == nil {
		x = &item{}
		t.items[n] = x
	}
	if len(x.value) > 0 {
		t.live--
	}
	if len(value) > 0 {
		t.live++
	}
	x.value = value
	t.changed[n] = struct{}{}
}

// round is one writing of a table.
type round struct {
	table  *table
	pin    metadata.Pin
	whole  bool // everything: what is there is dropped first
	names  []name
	copies []metadata.Copy // of names, then the head
}

// take gives what Redis lacks in an era; no copies when it lacks nothing. Until done is told how it went, what was taken
// counts as written.
func (t *table) take(pin metadata.Pin) round {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := round{table: t, pin: pin, whole: t.stands != pin || t.deleted > t.live+spareDeleted}
	if !t.following || t.broken || !r.whole && len(t.changed) == 0 {
		return round{}
	}
	t.settle()
	from := t.changed
	if r.whole {
		t.stands = metadata.Pin{}
		from = make(map[name]struct{}, len(t.items))
		for n, x := range t.items {
			if len(x.value) == 0 {
				delete(t.items, n)
				continue
			}
			from[n] = struct{}{}
		}
	}
	t.changed = make(map[name]struct{})
	for n := range from {
		r.names = append(r.names, n)
		r.copies = append(r.copies, metadata.Copy{
			Kind: n.kind, Partition: t.partition, Key: n.key, Position: t.position, Value: t.items[n].value,
		})
	}
	h := head{position: t.position, live: t.live, digest: t.digest}
	r.copies = append(r.copies, metadata.Copy{Kind: metadata.CopyHead, Partition: t.partition, Position: t.position, Value: h.append(nil)})
	return r
}

// settle brings the digest up to date.
func (t *table) settle() {
	for n := range t.changed {
		x := t.items[n]
		t.digest -= x.digest
		x.digest = 0
		if len(x.value) > 0 {
			x.digest = digestOf(n, x.value)
		}
		t.digest += x.digest
	}
}

// done tells how the writing of a round went.
func (t *table) done(r round, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case err != nil && r.whole: // stands is none: all of it again
	case errors.Is(err, metadata.ErrEra): // nothing of it is there any more
		t.stands = metadata.Pin{}
	case err != nil:
		for _, n := range r.names {
			t.changed[n] = struct{}{}
		}
	default:
		if r.whole {
			t.stands, t.deleted = r.pin, 0
		}
		t.forgetDeleted(r.names)
	}
}

// forgetDeleted drops the items whose tombstones are written.
func (t *table) forgetDeleted(written []name) {
	for _, n := range written {
		if x := t.items[n]; x != nil && len(x.value) == 0 {
			if _, again := t.changed[n]; !again {
				delete(t.items, n)
				t.deleted++
			}
		}
	}
}

// restore fills an empty table with copies, if they fit together.
func (t *table) restore(pin metadata.Pin, h head, copies []metadata.Copy) ([]Entry, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	entries, err := fit(h, copies)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		n := name{e.Kind, e.Key}
		t.items[n] = &item{value: e.Value, digest: digestOf(n, e.Value)}
	}
	t.position, t.live, t.digest, t.stands = h.position, h.live, h.digest, pin
	t.deleted = uint64(len(copies)) - h.live
	return entries, nil
}
