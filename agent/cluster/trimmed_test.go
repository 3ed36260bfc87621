package cluster

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/odradek/odradek/checkpoint"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/index"
	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/metadata/embedded"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/faulty"
	"github.com/odradek/odradek/objectstore/memory"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

// compact puts what the newest checkpoint holds above what is compacted into a compacted object, as a compactor does.
func (o *owner) compact(t *testing.T, store objectstore.Store) {
	t.Helper()
	s := o.State()
	newest, _ := s.NewestCheckpoint()
	head, _, err := o.readHead(t.Context(), newest.Control, newest.ID)
	if err != nil {
		t.Fatal(err)
	}
	rows := newLedger()
	for p, c := range s.Compactions() {
		rows.SetRuns(p, c.Start, c.End, c.Runs)
	}
	if _, _, err := o.restored(t.Context(), s, rows); err != nil {
		t.Fatal(err)
	}
	m := control.Manifest{Output: topic.Object{Planned: s.Next() - 1, ID: topic.ObjectID(NewJournalID())}}
	var body []byte
	w := segment.NewObjectWriter(m.Output, func(part []byte) error { body = append(body, part...); return nil }, segment.None)
	for _, at := range head.Partitions {
		p, c := at.Partition, s.Compaction(at.Partition)
		extents := rows.Extents(p, max(c.End, at.Start), at.End)
		switch {
		case s.TopicDeleted(p.Topic) || at.End <= c.End:
			continue
		case len(extents) == 0:
			m.Parts = append(m.Parts, control.ManifestPart{Partition: p, From: c.End, To: at.End})
			continue
		}
		err := w.Begin(p, extents[0].Base, 1)
		for _, x := range extents {
			err = errors.Join(err, w.Append(batchesOf(t, store, p, slotlog.JournalKey(x.Journal, x.Slot), x)))
		}
		run, ended := w.End(at.End)
		if err = errors.Join(err, ended); err != nil {
			t.Fatal(err)
		}
		m.Parts = append(m.Parts, control.ManifestPart{Partition: p, From: c.End, To: at.End, Run: &run})
	}
	if m.Size, err = w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := store.Create(t.Context(), m.Output.Key(), objectstore.NewBody(body)); err != nil {
		t.Fatal(err)
	}
	o.must(t, m)
}

// batchesOf reads an extent.
func batchesOf(t *testing.T, store objectstore.Store, p topic.Partition, key string, x index.Entry) []byte {
	t.Helper()
	stored, err := store.GetRange(t.Context(), key, int64(x.Position), int64(x.Length))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := segment.ReadExtent(x.Extent(p), stored)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// trim trims every journal as far as that is right, and deletes the objects of the slots below. It gives each one's TRIM.
func (o *owner) trim(t *testing.T, store objectstore.Store) map[topic.JournalID]topic.Slot {
	t.Helper()
	kept := slices.DeleteFunc(o.State().Checkpoints(), func(c control.CheckpointInfo) bool { return !c.Verified })
	second := kept[len(kept)-2]
	newest, _, err := o.readHead(t.Context(), kept[len(kept)-1].Control, kept[len(kept)-1].ID)
	if err != nil {
		t.Fatal(err)
	}
	trims := make(map[topic.JournalID]topic.Slot)
	for j := range o.State().Journals() {
		to := j.Trim
		needed := func(x segment.Extent) bool {
			s := o.State()
			return !s.TopicDeleted(x.Partition.Topic) && x.Next > s.Compaction(x.Partition).End && x.Next > newest.Start(x.Partition)
		}
		err := o.slots(t.Context(), j.ID, j.Trim, second.Next(j.ID), func(x segment.SlotExtents) error {
			if slices.ContainsFunc(x.Extents, needed) {
				return errEnough
			}
			to = x.Slot + 1
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			t.Fatal(err)
		}
		if to > j.Trim {
			o.must(t, control.Trim{Journal: j.ID, Slot: to})
		}
		for slot := j.Trim; slot < to; slot++ {
			if err := store.Delete(t.Context(), slotlog.JournalKey(j.ID, slot)); err != nil {
				t.Fatal(err)
			}
		}
		trims[j.ID] = to
	}
	return trims
}

// age lets records grow old: what counts up to next is in a checkpoint, then in a compacted object, then in another
// checkpoint, and the slots that held it are gone.
func (o *owner) age(t *testing.T, store objectstore.Store, next map[topic.JournalID]topic.Slot) map[topic.JournalID]topic.Slot {
	t.Helper()
	if err := o.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.checkpoint(t, store, next)
	o.compact(t, store)
	o.checkpoint(t, store, next)
	return o.trim(t, store)
}

// records reads all that can be read of a partition: each batch by its base offset.
func (l *ledger) records(t *testing.T, store objectstore.Store, p topic.Partition) map[topic.Offset]string {
	t.Helper()
	start, end := l.Bounds(p)
	l.mu.Lock()
	runs := l.index.Runs(p, 0)
	l.mu.Unlock()
	var raw []byte
	for _, r := range runs {
		table, err := store.GetRange(t.Context(), r.Object.Key(), int64(r.Position)+int64(r.Length), int64(r.Table))
		if err != nil {
			t.Fatal(err)
		}
		extents, err := segment.ReadRunTable(p, r, table)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range extents {
			raw = append(raw, batchesOf(t, store, p, r.Object.Key(), index.NewRunEntry(r.Object, x))...)
		}
	}
	for _, x := range l.Extents(p, 0, end) {
		raw = append(raw, batchesOf(t, store, p, slotlog.JournalKey(x.Journal, x.Slot), x)...)
	}
	out := make(map[topic.Offset]string)
	for len(raw) > 0 {
		size := 12 + int(binary.BigEndian.Uint32(raw[8:]))
		if base := topic.Offset(binary.BigEndian.Uint64(raw)); base >= start {
			out[base] = string(raw[:size])
		}
		raw = raw[size:]
	}
	if len(out) != int(end-start) {
		t.Errorf("%s: %d batches in [%d,%d), of one record each", p, len(out), start, end)
	}
	return out
}

// remembered is what an agent that begins on a bucket knows of the log.
type remembered struct {
	history History
	records map[topic.Partition]map[topic.Offset]string
	starts  map[topic.Partition]topic.Offset
}

func remembers(t *testing.T, store objectstore.Store) (*Engine, remembered) {
	t.Helper()
	e, h, l := looks(t, store)
	r := remembered{h, make(map[topic.Partition]map[topic.Offset]string), make(map[topic.Partition]topic.Offset)}
	for p := range h.Ends {
		r.records[p] = l.records(t, store, p)
		r.starts[p], _ = l.Bounds(p)
	}
	return e, r
}

func (r remembered) same(t *testing.T, name string, as remembered) {
	t.Helper()
	if !maps.Equal(r.history.Ends, as.history.Ends) || !maps.Equal(r.history.Stands, as.history.Stands) || !maps.Equal(r.starts, as.starts) {
		t.Errorf("%s: ends %v at %v from %v, want %v at %v from %v", name,
			r.history.Ends, r.history.Stands, r.starts, as.history.Ends, as.history.Stands, as.starts)
	}
	if len(r.history.Producers) != len(as.history.Producers) {
		t.Errorf("%s: producers of %d partitions, want %d", name, len(r.history.Producers), len(as.history.Producers))
	}
	for p, want := range as.history.Producers {
		if got := r.history.Producers[p]; got == nil || !bytes.Equal(got.AppendSnapshot(nil), want.AppendSnapshot(nil)) {
			t.Errorf("%s: producers of %s differ", name, p)
		}
	}
	for p, want := range as.records {
		if !maps.Equal(r.records[p], want) {
			t.Errorf("%s: %d records of %s, %d are the log's, or others", name, len(r.records[p]), p, len(want))
		}
	}
}

// noneBelow checks that no object below TRIM was asked for.
func noneBelow(t *testing.T, calls []faulty.Call, trims map[topic.JournalID]topic.Slot) {
	t.Helper()
	n := 0
	for j, trim := range trims {
		for _, call := range calls {
			if strings.HasPrefix(call.Key, slotlog.JournalPrefix(j)) && call.Key < slotlog.JournalKey(j, trim) {
				t.Errorf("%s was asked for, trim is %d", call.Key, trim)
			}
		}
		n += int(trim)
	}
	if n == 0 {
		t.Error("nothing is trimmed")
	}
}

// Whose slots are gone is known from compacted objects and the newest checkpoint, whatever journals it came through; from
// the one before if that is damaged; and never from nothing.
func TestBoot_TrimmedSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		history(t, store)
		d := join(t, store, embedded.Open())
		for _, j := range d.State().OpenJournals() {
			if j.ID == d.Journal() {
				continue
			}
			if err := d.Takeover(t.Context(), j.ID); err != nil {
				t.Fatal(err)
			}
		}
		_, want := remembers(t, blind{store})
		trims := d.age(t, store, nil)
		counting := faulty.New(store, nil)
		e, got := remembers(t, counting)
		got.same(t, "whole", want)
		noneBelow(t, counting.Calls(), trims)

		second, newest := d.State().Checkpoints()[0], e.mirror.base
		for what, key := range map[string]string{"head": newest.Name().Key(), "part": newest.Parts[len(newest.Parts)-1].Key()} {
			counting := faulty.New(damaged{store, key, nil}, nil)
			e, got := remembers(t, counting)
			got.same(t, what+" gone", want)
			noneBelow(t, counting.Calls(), trims)
			if what == "head" && (e.mirror.base == nil || e.mirror.base.ID != second.ID) {
				t.Errorf("begun from %+v, want the checkpoint at %d", e.mirror.base, second.Control)
			}
		}
		both := damaged{damaged{store, newest.Name().Key(), nil}, checkpoint.Name{Control: second.Control, ID: second.ID}.Key(), nil}
		if _, err := bootOnce(t.Context(), t, among(), both, embedded.Open(), nobody); !errors.Is(err, ErrTrimmed) {
			t.Errorf("booted without a checkpoint: %v", err)
		}
	})
}

// Records grow old again and again, and what was compacted before stays.
func TestBoot_CompactedOnTopOfCompacted(t *testing.T) {
	store := memory.New()
	a := join(t, store, embedded.Open())
	ps := a.topicAt(t, "orders", 3)
	for round := range 4 {
		for range 70 {
			a.write(t, store, ps[0], ps[1+round%2])
		}
		if round == 2 {
			a.raise(t, store, ps[0], 100)
		}
		if a.age(t, store, map[topic.JournalID]topic.Slot{a.Journal(): a.slot}); a.State().Compaction(ps[0]).End != a.next[ps[0]] {
			t.Fatalf("compacted up to %d, want %d", a.State().Compaction(ps[0]).End, a.next[ps[0]])
		}
		a.write(t, store, ps...)
	}
	l := newLedger()
	e := New(alone(), store, embedded.Open())
	t.Cleanup(e.Stop)
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Boot(t.Context(), NewJournalID(), nobody, l); err != nil {
		t.Fatal(err)
	}
	for _, p := range ps {
		start, end := l.Bounds(p)
		if want := map[bool]topic.Offset{true: 100}[p == ps[0]]; end != a.next[p] || start != want {
			t.Errorf("%s: [%d,%d), want [%d,%d)", p, start, end, want, a.next[p])
		}
		l.records(t, store, p)
		if now, _ := e.State().Owner(p); now.Base != a.next[p] {
			t.Errorf("%s is assigned from %d, want %d", p, now.Base, a.next[p])
		}
	}
}

// A journal is taken over whose slots are gone, some or all: by who followed it, and by who came later.
func TestTakeover_OfATrimmedJournal(t *testing.T) {
	for name, above := range map[string]int{"nothing above": 0, "some": 3, "more than a summary": 70} {
		for _, late := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/late=%v", name, late), func(t *testing.T) {
				store, meta := memory.New(), embedded.Open()
				a := join(t, store, meta)
				ps := a.topicAt(t, "orders", 3)
				counting := faulty.New(store, nil)
				var b *owner
				if !late {
					b = join(t, counting, meta)
				}
				for range 100 {
					a.write(t, store, ps[0], ps[1])
				}
				if !late { // as the index tells it, while it is there
					if err := b.mirrorFooters(t.Context(), b.following(a.Journal()), 0, a.slot); err != nil {
						t.Fatal(err)
					}
				}
				trims := a.age(t, store, map[topic.JournalID]topic.Slot{a.Journal(): a.slot})
				if trims[a.Journal()] != 100 {
					t.Fatalf("trimmed below %d", trims[a.Journal()])
				}
				for range above {
					a.write(t, store, ps[1], ps[2])
				}
				before := len(counting.Calls())
				if late {
					b = join(t, counting, meta)
				}
				if err := b.Takeover(t.Context(), a.Journal()); err != nil {
					t.Fatal(err)
				}
				for _, p := range ps {
					now, _ := b.State().Owner(p)
					if now.Journal != b.Journal() || now.Base != a.next[p] {
						t.Fatalf("%s is assigned as %+v, want from %d", p, now, a.next[p])
					}
					b.next[p] = now.Base
					taken := b.gains(t, p)
					if !isAt(&taken.Producers, p, now.Base) {
						t.Errorf("the producers of %s are not those of the log", p)
					}
					b.log.(*ledger).records(t, store, p)
				}
				b.write(t, store, ps...)
				noneBelow(t, counting.Calls()[before:], trims)
				if dead, _ := b.State().Journal(a.Journal()); dead.SealSlot != topic.Slot(100+above) {
					t.Errorf("sealed in slot %d, want %d", dead.SealSlot, 100+above)
				}
			})
		}
	}
}

// A TRIM between the look for a journal's end and the record makes that look worth nothing.
func TestTakeover_TrimmedWhileItsEndIsLookedFor(t *testing.T) {
	store, meta := memory.New(), embedded.Open()
	a := join(t, store, meta)
	p := a.topicAt(t, "orders", 1)[0]
	b := join(t, store, meta)
	for range 10 {
		a.write(t, store, p)
	}
	if err := b.mirrorFooters(t.Context(), b.following(a.Journal()), 0, a.slot); err != nil {
		t.Fatal(err)
	}
	saw, _ := b.State().Journal(a.Journal())
	trims := a.age(t, store, map[topic.JournalID]topic.Slot{a.Journal(): a.slot})
	seal, err := b.sealDead(t.Context(), saw) // it saw slots that are gone by now
	if err != nil || seal >= trims[a.Journal()] {
		t.Fatalf("sealed at %d, %v; the test wants a hole below %d", seal, err, trims[a.Journal()])
	}
	if _, err := b.handOver(t.Context(), a.Journal(), seal, saw.Trim, nil); !errors.Is(err, ErrVoid) || b.State().Next() != a.State().Next() {
		t.Errorf("handed over: %v, control log at %d, want no record behind %d", err, b.State().Next(), a.State().Next())
	}
	if err := b.Takeover(t.Context(), a.Journal()); err != nil {
		t.Fatal(err)
	}
	if dead, _ := b.State().Journal(a.Journal()); dead.SealSlot != a.slot {
		t.Errorf("sealed in slot %d, want %d", dead.SealSlot, a.slot)
	}
	if now, _ := b.State().Owner(p); now.Base != 10 {
		t.Errorf("assigned from %d, want 10", now.Base)
	}
}

// Who follows a journal and falls below its TRIM cannot know what the slots held, and says so: nothing is concluded from
// what it knows, and it begins anew.
func TestMirror_FallenBelowTrim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, meta := memory.New(), embedded.Open()
		a := join(t, store, meta)
		p := a.topicAt(t, "orders", 1)[0]
		b := join(t, store, meta)
		_, ended := b.running(t, b.Follow)
		for range 10 {
			a.write(t, store, p)
		}
		a.age(t, store, map[topic.JournalID]topic.Slot{a.Journal(): a.slot})
		if err := b.CatchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := b.Takeover(t.Context(), a.Journal()); !errors.Is(err, ErrTrimmed) {
			t.Errorf("taken over: %v", err)
		}
		if dead, _ := b.State().Journal(a.Journal()); dead.Sealed {
			t.Error("the journal is sealed in the control log")
		}
		if err := b.Sound(); !errors.Is(err, ErrTrimmed) {
			t.Errorf("sound: %v", err)
		}
		synctest.Wait()
		select {
		case err := <-ended:
			if !errors.Is(err, ErrTrimmed) {
				t.Errorf("ended with %v", err)
			}
		default:
			t.Error("it goes on")
		}
		c := join(t, store, meta, b)
		if err := c.Takeover(t.Context(), a.Journal()); err != nil {
			t.Fatal(err)
		}
		if now, _ := c.State().Owner(p); now.Base != 10 {
			t.Errorf("assigned from %d, want 10", now.Base)
		}
	})
}

// A hole below a TRIM that was not read yet is not the end of a journal: log starts may lie behind it.
func TestGained_HoleBelowATrimNotReadYet(t *testing.T) {
	store, meta := memory.New(), embedded.Open()
	a := join(t, store, meta)
	b := join(t, store, meta)
	if err := a.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	p := a.topicAt(t, "orders", 1)[0]
	for range 5 {
		a.write(t, store, p)
	}
	a.raise(t, store, p, 3)
	a.give(t, store, b, p) // the last that b reads of the control log
	asked := b.State().Next()
	a.age(t, store, map[topic.JournalID]topic.Slot{a.Journal(): a.slot})
	now, _ := b.State().Owner(p)
	f := b.following(a.Journal())
	if err := b.readOpen(t.Context(), f, now, asked); !errors.Is(err, ErrTrimmed) {
		t.Errorf("read: %v", err)
	}
	if b.reaches(now, asked) {
		t.Error("the log start is thought to be known")
	}
}

// Producers of a partition that was always another's come from a checkpoint once the slots are gone: from the newest, or
// from the one before and the slots above it.
func TestGained_ProducersOfTrimmedSlots(t *testing.T) {
	for _, spoilt := range []string{"", "head", "part"} {
		for _, moved := range []bool{false, true} {
			t.Run(fmt.Sprintf("spoilt=%s/moved=%v", spoilt, moved), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					store, meta := memory.New(), embedded.Open()
					a := join(t, store, meta)
					broken := &damaged{Store: store}
					counting := faulty.New(broken, nil)
					b := join(t, counting, meta)
					if err := a.CatchUp(t.Context()); err != nil {
						t.Fatal(err)
					}
					p := a.topicAt(t, "orders", 1)[0]
					if err := b.CatchUp(t.Context()); err != nil {
						t.Fatal(err)
					}
					follow := func() {
						f := b.following(a.Journal())
						if err := b.mirrorFooters(t.Context(), f, b.mirror.next(f), a.slot); err != nil {
							t.Fatal(err)
						}
					}
					for range 50 {
						a.write(t, store, p)
					}
					follow()
					next := map[topic.JournalID]topic.Slot{a.Journal(): a.slot}
					a.checkpoint(t, store, next)
					for range 20 {
						a.write(t, store, p)
					}
					a.raise(t, store, p, 60)
					follow()
					next[a.Journal()] = a.slot
					newest := a.checkpoint(t, store, next)
					a.compact(t, store) // above what the second newest holds
					trims := a.trim(t, store)
					if trims[a.Journal()] != 50 {
						t.Fatalf("trimmed below %d", trims[a.Journal()])
					}
					a.write(t, store, p)
					follow()
					switch spoilt {
					case "head":
						broken.key = newest.Name().Key()
					case "part":
						broken.key = newest.Parts[len(newest.Parts)-1].Key()
					}
					before := len(counting.Calls())
					if moved {
						a.give(t, store, b, p)
					} else {
						a.sealedBy(t, store, b)
					}
					taken := b.gains(t, p)
					if !isAt(&taken.Producers, p, 71) {
						t.Error("the producers are not those of the log")
					}
					if b.begins(p) != 60 {
						t.Errorf("begins at %d, want 60", b.begins(p))
					}
					noneBelow(t, counting.Calls()[before:], trims)
				})
			})
		}
	}
}

// A checkpoint that TRIM has passed is not what an era is built from, nor is a journal indexed from below its TRIM: a new
// era names a newer checkpoint.
func TestEra_TrimmedSlotsAreNotIndexed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, meta := memory.New(), embedded.Open()
		a := join(t, store, meta)
		p := a.topicAt(t, "orders", 1)[0]
		for range 10 {
			a.write(t, store, p)
		}
		runID, replicationID, err := meta.Identity(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		a.must(t, control.Era{Number: 1, RunID: runID, ReplicationID: replicationID}) // of no checkpoint
		a.age(t, store, map[topic.JournalID]topic.Slot{a.Journal(): a.slot})
		if _, err := a.readSegments(t.Context(), a.Journal(), 5, 10); !errors.Is(err, errRebuild) {
			t.Errorf("slots below TRIM read for the index: %v", err)
		}
		a.eras.named = 1
		if err := a.build(t.Context(), pinOf(mustEra(t, &member{owner: a}))); !errors.Is(err, errRebuild) {
			t.Errorf("built from nothing: %v", err)
		}
		stop, _ := a.running(t, a.Index)
		defer stop()
		time.Sleep(2 * time.Minute)
		newest, _ := a.State().NewestCheckpoint()
		if era, _ := a.State().NewestEra(); era.Number < 2 || era.Checkpoint != newest.Control || a.Era() != uint64(era.Number) {
			t.Fatalf("era %+v, kept is %d; want one from the checkpoint at %d", era, a.Era(), newest.Control)
		}
		inStep(t, meta, a.Engine, a.next)
		a.write(t, store, p)
		time.Sleep(5 * time.Second)
		inStep(t, meta, a.Engine, a.next)
	})
}

// What a VERIFIED lets the index forget, those who follow read from the bucket: also of a journal where nothing was written
// since (I7).
func TestSyncIndex_ReadsWhatTheIndexDropped(t *testing.T) {
	store, meta := memory.New(), embedded.Open()
	a := join(t, store, meta)
	b := join(t, store, meta)
	if err := a.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	p := a.topicAt(t, "orders", 1)[0]
	pin := openEra(t, meta, a, b)
	for range 10 {
		a.write(t, store, p)
	}
	a.publish(t, pin, a.slot)
	next := map[topic.JournalID]topic.Slot{a.Journal(): a.slot}
	a.checkpoint(t, store, next)
	a.publish(t, pin, a.slot)
	held := func() []metadata.Segment {
		t.Helper()
		segments, err := meta.Segments(t.Context(), pin, []metadata.Cursor{{Journal: a.Journal()}}, 100)
		if err != nil {
			t.Fatal(err)
		}
		return segments
	}
	if n := len(held()); n != 10 {
		t.Fatalf("%d slots are held after one checkpoint, want all 10", n)
	}
	a.compact(t, store)
	a.checkpoint(t, store, next)
	a.publish(t, pin, a.slot)
	if s := held(); len(s) != 1 || s[0].Slot != 9 {
		t.Fatalf("held after two checkpoints: %+v, want slot 9 alone", s)
	}
	inStep(t, meta, a.Engine, a.next)
	if err := b.SyncIndex(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if b.sees(p) != 10 || b.mirror.next(b.following(a.Journal())) != 10 {
		t.Errorf("sees %d, follows to slot %d; want 10 of each", b.sees(p), b.mirror.next(b.following(a.Journal())))
	}
	a.trim(t, store)
	a.write(t, store, p)
	a.publish(t, pin, a.slot)
	if s := held(); len(s) != 1 || s[0].Slot != 10 {
		t.Errorf("held after TRIM: %+v, want slot 10 alone", s)
	}
	if err := b.SyncIndex(t.Context(), time.Now()); err != nil || b.sees(p) != 11 {
		t.Errorf("sees %d, %v; want 11", b.sees(p), err)
	}
	b.log.(*ledger).records(t, store, p)
}

// The effects of VERIFIED and TRIM on the index are bounded by what changed.
func TestEffects_DropWhatTwoCheckpointsHold(t *testing.T) {
	store := memory.New()
	a := join(t, store, embedded.Open())
	p := a.topicAt(t, "orders", 1)[0]
	last := func() []metadata.Effect {
		all, _ := a.effects.after(a.State().Next() - 2)
		return all[0]
	}
	next := map[topic.JournalID]topic.Slot{}
	var verified [][]metadata.Effect
	for n := range 4 {
		if n != 2 {
			a.write(t, store, p)
		}
		next[a.Journal()] = a.slot
		a.checkpoint(t, store, next)
		verified = append(verified, last())
	}
	dropped := func(below topic.Slot) []metadata.Effect {
		return []metadata.Effect{metadata.SegmentsDropped{Journal: a.Journal(), Below: below}}
	}
	for n, want := range [][]metadata.Effect{nil, dropped(1), dropped(2), nil} {
		if !slices.Equal(verified[n], want) {
			t.Errorf("checkpoint %d drops %v, want %v", n, verified[n], want)
		}
	}
	a.compact(t, store)
	a.must(t, control.Trim{Journal: a.Journal(), Slot: 1})
	if !slices.Equal(last(), dropped(1)) {
		t.Errorf("TRIM drops %v", last())
	}
}

// An agent is killed, another boots, Redis forgets everything, while the slots of all of them are compacted, trimmed and
// deleted: every record is read, and every partition goes on with the producers that it had.
func TestPool_LivesOnTrimmedJournals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, embedded.Open())
		a, b, c := p.join(), p.join(), p.join()
		p.settled("the first era", 20*time.Second, together(1, a, b, c))
		ps := p.topic(a, "orders", 12)
		time.Sleep(time.Second)
		wrote := make(map[topic.Partition]topic.Offset)
		write := func(times int, members ...*member) {
			t.Helper()
			for range times {
				for _, m := range members {
					owned := p.ownedBy(m, ps)
					p.write(m, owned...)
					for _, x := range owned {
						wrote[x] = m.next[x]
					}
				}
			}
			time.Sleep(2 * time.Second)
		}
		// age ends with the slots of all members deleted that count so far.
		age := func(members ...*member) {
			t.Helper()
			next := make(map[topic.JournalID]topic.Slot)
			for _, m := range members {
				next[m.Journal()] = m.slot
			}
			trims := members[0].age(p.T, p.store, next)
			for _, m := range members {
				if m.slot > 0 && trims[m.Journal()] == 0 {
					t.Fatalf("journal %s is not trimmed", m.Journal())
				}
			}
			time.Sleep(10 * time.Second)
			for _, m := range members {
				if err := m.Sound(); err != nil {
					t.Fatal(err)
				}
			}
		}
		whole := func(when string, members ...*member) {
			t.Helper()
			for _, m := range members {
				if err := m.SyncIndex(t.Context(), time.Now()); err != nil {
					t.Fatalf("%s: %v", when, err)
				}
				for _, x := range ps {
					if got := m.sees(x); got != wrote[x] {
						t.Errorf("%s: %s is seen up to %d, want %d", when, x, got, wrote[x])
					}
					m.log.(*ledger).records(p.T, p.store, x)
				}
			}
			inStep(p.T, p.redis, members[0].Engine, wrote)
		}
		// dies ends a member; what it owned is gained by those who are left.
		dies := func(m *member, left ...*member) {
			t.Helper()
			lost := p.ownedBy(m, ps)
			m.kill()
			p.settled("takeover", 8*time.Second, func() bool { return len(p.openOnes()) == len(left) })
			for _, x := range lost {
				for _, by := range left {
					if now, _ := p.state().State().Owner(x); now.Journal != by.Journal() {
						continue
					}
					taken := by.gains(p.T, x)
					if !isAt(&taken.Producers, x, wrote[x]) {
						t.Errorf("the producers of %s are not those of the log", x)
					}
				}
			}
			time.Sleep(massWindow)
		}

		write(100, a, b, c)
		age(a, b, c)
		whole("trimmed", a, b, c)

		write(3, a, b, c)
		dies(b, a, c)
		write(80, a, c)
		age(a, c)
		whole("after a takeover", a, c)

		d := p.join()
		p.settled("another agent", 20*time.Second, together(1, a, c, d))
		whole("booted", a, c, d)
		dies(c, a, d)
		write(70, a, d)

		p.redis = embedded.Open()
		a.link.lead(p.redis)
		d.link.lead(p.redis)
		p.settled("the second era", 20*time.Second, together(2, a, d))
		whole("in the second era", a, d)
		age(a, d)
		whole("trimmed in the second era", a, d)

		dies(a, d)
		e := p.join()
		write(5, d)
		whole("the last one", d, e)
		if n := p.eras(); n != 2 {
			t.Errorf("%d eras", n)
		}
	})
}
