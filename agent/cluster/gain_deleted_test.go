package cluster

import (
	"context"
	"fmt"
	"testing"

	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/metadata/embedded"
	"github.com/odradek/odradek/objectstore/memory"
	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/topic"
)

// raise makes a slot count that holds nothing but a log start.
func (o *owner) raise(t *testing.T, store *memory.Store, p topic.Partition, start topic.Offset) {
	t.Helper()
	o.count(t, store, segment.Footer{LogStarts: []segment.LogStart{{Partition: p, Start: start}}}, nil)
}

func (o *owner) begins(p topic.Partition) topic.Offset {
	start, _ := o.log.Bounds(p)
	return start
}

// Producers are those of all that was ever written, also of what lies before the log start and is in no index any more (I8).
func TestGained_ProducersOfDeletedRecords(t *testing.T) {
	const end = 150
	for _, start := range []topic.Offset{1, 100, end - 1, end} {
		t.Run(fmt.Sprint(start), func(t *testing.T) {
			store, meta := memory.New(), embedded.Open()
			a := join(t, store, meta)
			b := join(t, store, meta)
			if err := a.CatchUp(t.Context()); err != nil {
				t.Fatal(err)
			}
			p := a.topicAt(t, "orders", 1)[0]
			for range end {
				a.write(t, store, p)
			}
			a.raise(t, store, p, start)
			a.sealedBy(t, store, b)
			taken := b.gains(t, p)
			if !isAt(&taken.Producers, p, end) {
				t.Error("the producers are not those of the log")
			}
			if got := b.begins(p); got != start {
				t.Errorf("begins at %d, want %d", got, start)
			}
		})
	}
}

// Whoever owned a partition may have raised its log start behind its last record there: the next owner knows it before it
// answers, however far the index in Redis is, and however often the partition moved since, unwritten.
func TestGained_LogStartsOfAllOwnersBefore(t *testing.T) {
	for name, indexed := range map[string]topic.Slot{
		"no era": 0, "nothing of it": 1, "up to the last record": 5, "the log start": 6, "all": 7,
	} {
		t.Run(name, func(t *testing.T) {
			store, meta := memory.New(), embedded.Open()
			a := join(t, store, meta)
			b := join(t, store, meta)
			c := join(t, store, meta)
			for _, o := range []*owner{a, b} {
				if err := o.CatchUp(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			p := a.topicAt(t, "orders", 1)[0]
			for range 5 {
				a.write(t, store, p)
			}
			a.raise(t, store, p, 3)
			a.give(t, store, b, p)
			if indexed > 0 {
				pin := openEra(t, meta, a, b, c)
				a.publish(t, pin, indexed)
			}
			b.gains(t, p)
			b.give(t, store, c, p)
			taken := c.gains(t, p)
			if b.begins(p) != 3 || c.begins(p) != 3 {
				t.Errorf("begins at %d for the second owner, at %d for the third; want 3", b.begins(p), c.begins(p))
			}
			if !isAt(&taken.Producers, p, 5) {
				t.Error("the producers are not those of the log")
			}
			c.raise(t, store, p, 5)
			if err := a.CatchUp(t.Context()); err != nil {
				t.Fatal(err)
			}
			c.sealedBy(t, store, a)
			if a.gains(t, p); a.begins(p) != 5 {
				t.Errorf("begins at %d for the first owner again, want 5", a.begins(p))
			}
		})
	}
}

// An epoch that wrote no record is forgotten by the control state, not so the log start that was set under it.
func TestGained_LogStartsOfForgottenEpochs(t *testing.T) {
	for name, pass := range map[string]func(t *testing.T, store *memory.Store, p topic.Partition, a, b, c, d *owner){
		"given on, then taken over": func(t *testing.T, store *memory.Store, p topic.Partition, a, b, c, d *owner) {
			a.give(t, store, b, p)
			b.gains(t, p)
			b.raise(t, store, p, 3)
			b.give(t, store, c, p)
			c.sealedBy(t, store, d)
		},
		"taken over twice": func(t *testing.T, store *memory.Store, p topic.Partition, a, b, c, d *owner) {
			a.give(t, store, b, p)
			b.gains(t, p)
			b.raise(t, store, p, 3)
			b.sealedBy(t, store, c)
			c.sealedBy(t, store, d) // before c could own it
		},
		"given on twice": func(t *testing.T, store *memory.Store, p topic.Partition, a, b, c, d *owner) {
			a.give(t, store, b, p)
			b.gains(t, p)
			b.raise(t, store, p, 3)
			b.give(t, store, c, p)
			c.gains(t, p)
			c.give(t, store, d, p)
		},
		"given back before, then taken over": func(t *testing.T, store *memory.Store, p topic.Partition, a, b, c, d *owner) {
			a.give(t, store, b, p)
			b.gains(t, p)
			b.raise(t, store, p, 3)
			b.give(t, store, a, p)
			a.gains(t, p)
			a.give(t, store, c, p)
			c.sealedBy(t, store, d)
		},
	} {
		t.Run(name, func(t *testing.T) {
			store, meta := memory.New(), embedded.Open()
			var all []*owner
			for range 4 {
				all = append(all, join(t, store, meta))
			}
			for _, o := range all {
				if err := o.CatchUp(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			a, d := all[0], all[3]
			p := a.topicAt(t, "orders", 1)[0]
			for range 5 {
				a.write(t, store, p)
			}
			pass(t, store, p, a, all[1], all[2], d)
			for _, epoch := range d.State().Assignments(p)[1:] {
				if epoch.End != control.EndOpen {
					t.Fatalf("epoch %d is listed", epoch.Epoch)
				}
			}
			if err := d.readUpTo(t, a.Journal(), 5); err != nil { // all records, not the log start
				t.Fatal(err)
			}
			if _, ok := d.Known(mustOwner(t, d, p)); ok && d.begins(p) != 3 {
				t.Errorf("known, and begins at %d", d.begins(p))
			}
			d.gains(t, p)
			if got := d.begins(p); got != 3 {
				t.Errorf("begins at %d, want 3", got)
			}
		})
	}
}

// readUpTo mirrors the slots of a journal below one.
func (o *owner) readUpTo(t *testing.T, id topic.JournalID, slot topic.Slot) error {
	t.Helper()
	f := o.following(id)
	if f == nil {
		return nil
	}
	return o.mirrorFooters(t.Context(), f, o.mirror.next(f), slot)
}

// A boot folds log starts in, those of a journal before the extents of another that they lie behind included.
func TestBoot_LogStartsComeBeforeWhatTheyLieBehind(t *testing.T) {
	store, meta := memory.New(), embedded.Open()
	a := join(t, store, meta)
	b := join(t, store, meta)
	if err := a.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	p := b.topicAt(t, "orders", 1)[0]
	for range 4 {
		b.write(t, store, p)
	}
	b.give(t, store, a, p)
	a.gains(t, p)
	a.raise(t, store, p, 4) // in the journal that was opened first, and is read first
	for _, o := range []*owner{a, b} {
		if err := o.CatchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	e := join(t, store, meta, a, b)
	if got, end := e.begins(p), e.sees(p); got != 4 || end != 4 {
		t.Errorf("[%d,%d), want [4,4)", got, end)
	}
	if got, ok := e.State().Owner(p); !ok || got.Journal != e.Journal() {
		t.Fatalf("owned as %+v", got)
	}
	if _, ok := e.Known(mustOwner(t, e, p)); !ok {
		t.Error("a partition that was read whole is not known")
	}
}

// Whose log starts are not known yet is not known.
func TestKnown_NotWithoutTheLogStartsBefore(t *testing.T) {
	store, meta := memory.New(), embedded.Open()
	a := join(t, store, meta)
	b := join(t, store, meta)
	if err := a.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	p := a.topicAt(t, "orders", 1)[0]
	for range 3 {
		a.write(t, store, p)
	}
	next := a.slot
	a.raise(t, store, p, 2)
	a.give(t, store, b, p)
	f := b.following(a.Journal())
	if err := b.mirrorFooters(context.Background(), f, 0, next); err != nil {
		t.Fatal(err)
	}
	b.past.set(p, 3, producersOf(p, 3))
	if _, ok := b.Known(mustOwner(t, b, p)); ok {
		t.Error("known before the log start was seen")
	}
	if err := b.mirrorFooters(context.Background(), f, next, a.slot); err != nil {
		t.Fatal(err)
	}
	if _, ok := b.Known(mustOwner(t, b, p)); !ok || b.begins(p) != 2 {
		t.Errorf("known: %v, begins at %d", ok, b.begins(p))
	}
}

func mustOwner(t *testing.T, o *owner, p topic.Partition) control.Assignment {
	t.Helper()
	a, ok := o.State().Owner(p)
	if !ok {
		t.Fatalf("%s is nobody's", p)
	}
	return a
}

// A checkpoint has no row of a partition all of whose records lie in compacted objects and that no producer numbers: where
// it begins is known from the checkpoint all the same.
func TestBoot_LogStartWithinCompactedObjects(t *testing.T) {
	store, meta := memory.New(), embedded.Open()
	a := boot(t, store, meta)
	p := a.topicAt(t, "orders", 1)[0]
	for base := range topic.Offset(3) {
		a.count(t, store, segment.Footer{}, []segment.Run{{Partition: p, Base: base, Next: base + 1, Batches: [][]byte{
			recordbatch.Build(recordbatch.Draft{Base: base, Records: []recordbatch.Record{{Timestamp: 1}}}),
		}}})
	}
	a.next[p] = 3
	a.checkpoint(t, store, map[topic.JournalID]topic.Slot{a.Journal(): a.slot})
	a.compact(t, store)
	a.raise(t, store, p, 2)
	head := a.checkpoint(t, store, map[topic.JournalID]topic.Slot{a.Journal(): a.slot})
	if c := a.State().Compaction(p); c.End != 3 || c.Start != 0 || head.Start(p) != 2 {
		t.Fatalf("compacted %+v, begins at %d in the checkpoint", c, head.Start(p))
	}
	b := boot(t, store, meta)
	if start, end := b.log.Bounds(p); start != 2 || end != 3 {
		t.Errorf("[%d,%d), want [2,3)", start, end)
	}
}
