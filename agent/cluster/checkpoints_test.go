package cluster

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/odradek/odradek/checkpoint"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/metadata/embedded"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/faulty"
	"github.com/odradek/odradek/objectstore/memory"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

// compute makes the checkpoint of everything that the control state of o knows and that next says of open journals, from
// the footers alone, and writes its objects.
func (o *owner) compute(t *testing.T, store objectstore.Store, next map[topic.JournalID]topic.Slot) *checkpoint.Head {
	t.Helper()
	s, rows := o.State(), newLedger()
	for p, c := range s.Compactions() {
		rows.SetRuns(p, c.Start, c.End, c.Runs)
	}
	f, base := newFolding(), (*checkpoint.Head)(nil)
	if outlived(s, nextInNone) != nil { // what lay below TRIM only the checkpoint before knows
		var err error
		if f, base, err = o.restored(t.Context(), s, rows); err != nil {
			t.Fatal(err)
		}
	}
	h := &checkpoint.Head{ID: control.CheckpointID(NewJournalID()), Control: s.Next() - 1, State: s.AppendSnapshot(nil)}
	for j := range s.Journals() {
		end := next[j.ID]
		if j.Sealed {
			end = j.SealSlot
		}
		if end == 0 {
			continue
		}
		h.Journals = append(h.Journals, checkpoint.Journal{ID: j.ID, Next: end})
		err := o.slots(t.Context(), j.ID, nextIn(base, j.ID), end, func(x segment.SlotExtents) error {
			x = present(s, x)
			return errors.Join(f.take(s, j.ID, x), rows.Add(j.ID, x))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(f.aside) > 0 {
		t.Fatal("the cut leaves gaps")
	}
	ps := slices.SortedFunc(maps.Keys(f.history.Ends), func(a, b topic.Partition) int {
		return bytes.Compare(append(a.Topic[:], byte(a.Index)), append(b.Topic[:], byte(b.Index)))
	})
	var news checkpoint.News
	for _, p := range ps {
		at := checkpoint.Partition{Partition: p, End: f.history.Ends[p]}
		at.Start, _ = rows.Bounds(p)
		at.From = min(max(at.Start, s.Compaction(p).End), at.End)
		h.Partitions = append(h.Partitions, at)
		if entries := rows.Extents(p, at.From, at.End); len(entries) > 0 {
			news.Extents = append(news.Extents, checkpoint.Row{Partition: p, Entries: entries})
		}
		if known := f.history.Producers[p]; known != nil {
			news.Producers = append(news.Producers, checkpoint.Row{Partition: p, Producers: known.AppendSnapshot(nil)})
		}
	}
	err := checkpoint.Compose(t.Context(), store, nil, h, news, func(p checkpoint.Part) (checkpoint.PartRef, error) {
		return p.Write(t.Context(), store)
	})
	if err == nil {
		err = checkpoint.WriteHead(t.Context(), store, h)
	}
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// checkpoint makes a checkpoint and has it verified.
func (o *owner) checkpoint(t *testing.T, store objectstore.Store, next map[topic.JournalID]topic.Slot) *checkpoint.Head {
	t.Helper()
	h := o.compute(t, store, next)
	o.name(t, h)
	o.must(t, control.Verified{Control: h.Control, ID: h.ID, By: o.Journal()})
	return h
}

// name appends the CHECKPOINT of a head.
func (o *owner) name(t *testing.T, h *checkpoint.Head) {
	t.Helper()
	before, _ := o.State().NewestCheckpoint()
	r := control.Checkpoint{Control: h.Control, ID: h.ID, Previous: before.Control}
	for _, j := range h.Journals {
		if j.Next > before.Next(j.ID) {
			r.Journals = append(r.Journals, control.JournalNext{Journal: j.ID, Next: j.Next})
		}
	}
	o.must(t, r)
}

// blind is a store in which no checkpoint is to be seen.
type blind struct{ objectstore.Store }

func (w blind) Get(ctx context.Context, key string) ([]byte, error) {
	if strings.HasPrefix(key, checkpoint.Prefix) {
		return nil, objectstore.ErrNotFound
	}
	return w.Store.Get(ctx, key)
}

func (w blind) List(ctx context.Context, prefix string, fn func(objectstore.Info) error) error {
	return w.Store.List(ctx, prefix, func(i objectstore.Info) error {
		if strings.HasPrefix(i.Key, checkpoint.Prefix) {
			return nil
		}
		return fn(i)
	})
}

// damaged is a store that gives one key in other bytes, for ever.
type damaged struct {
	objectstore.Store
	key   string
	spoil func([]byte) []byte // nil: the object is gone
}

func (d damaged) Get(ctx context.Context, key string) ([]byte, error) {
	b, err := d.Store.Get(ctx, key)
	if err != nil || key != d.key {
		return b, err
	}
	if d.spoil == nil {
		return nil, objectstore.ErrNotFound
	}
	return d.spoil(slices.Clone(b)), nil
}

// looks gives what an agent that begins on a store knows of the log, without opening a journal.
func looks(t *testing.T, store objectstore.Store) (*Engine, History, *ledger) {
	t.Helper()
	cfg := alone()
	e := New(cfg, store, embedded.Open())
	t.Cleanup(e.Stop)
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	var js []ended
	for j := range e.State().Journals() {
		if j.Sealed {
			js = append(js, ended{j, j.SealSlot})
		}
	}
	log := newLedger()
	h, base, err := e.fold(t.Context(), e.State(), js, log)
	if err != nil {
		t.Fatal(err)
	}
	e.mirror.base, e.log = base, log
	return e, h, log
}

// alike compares what two agents know of the log.
func alike(t *testing.T, name string, a, b *Engine, ha, hb History, la, lb *ledger) {
	t.Helper()
	if !bytes.Equal(a.State().AppendSnapshot(nil), b.State().AppendSnapshot(nil)) {
		t.Errorf("%s: the control states differ", name)
	}
	if !maps.Equal(ha.Ends, hb.Ends) || !maps.Equal(ha.Stands, hb.Stands) || len(ha.Producers) != len(hb.Producers) {
		t.Errorf("%s: histories differ: %v and %v, %v and %v", name, ha.Ends, hb.Ends, ha.Stands, hb.Stands)
	}
	for p, s := range ha.Producers {
		if o := hb.Producers[p]; o == nil || !bytes.Equal(s.AppendSnapshot(nil), o.AppendSnapshot(nil)) {
			t.Errorf("%s: producers of %s differ", name, p)
		}
	}
	for p, end := range ha.Stands {
		x, y := la.Extents(p, 0, end), lb.Extents(p, 0, end)
		if !slices.Equal(x, y) || len(x) == 0 {
			t.Errorf("%s: rows of %s differ:\n%v\n%v", name, p, x, y)
		}
	}
}

// history is a bucket in which partitions went from agent to agent, with two checkpoints on the way and slots behind.
func history(t *testing.T, store objectstore.Store) (older, newer *checkpoint.Head) {
	t.Helper()
	meta := embedded.Open()
	a, b := join(t, store, meta), join(t, store, meta)
	if err := a.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	wanders, stays, goes := a.topicAt(t, "wanders", 2), a.topicAt(t, "stays", 1)[0], a.topicAt(t, "goes", 1)[0]
	if err := b.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	from, to := a, b
	for round := range 8 {
		for range 12 {
			from.write(t, store, wanders[0])
			a.write(t, store, stays, wanders[1])
			a.write(t, store, goes)
		}
		from.give(t, store, to, wanders[0])
		from, to = to, from
		if err := errors.Join(a.CatchUp(t.Context()), b.CatchUp(t.Context())); err != nil {
			t.Fatal(err)
		}
		next := map[topic.JournalID]topic.Slot{a.Journal(): a.slot, b.Journal(): b.slot}
		switch round {
		case 2:
			older = b.checkpoint(t, store, next)
		case 4:
			newer = a.checkpoint(t, store, next)
			if err := b.CatchUp(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := b.DeleteTopic(t.Context(), goes.Topic); err != nil {
				t.Fatal(err)
			}
			goes = b.topicAt(t, "goes", 1)[0]
			if err := a.CatchUp(t.Context()); err != nil {
				t.Fatal(err)
			}
			b.give(t, store, a, goes)
		}
	}
	c := join(t, store, meta, a, b)
	c.write(t, store, stays)
	return older, newer
}

func TestBoot_CheckpointGivesWhatTheWholeLogDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // what comes damaged is asked for again, with pauses
		store := memory.New()
		older, newer := history(t, store)
		read, rh, rl := looks(t, blind{store})
		if len(rh.Ends) < 4 {
			t.Fatalf("only %d partitions: %v", len(rh.Ends), rh.Ends)
		}
		counting := faulty.New(store, nil)
		e, h, l := looks(t, counting)
		alike(t, "whole", read, e, rh, h, rl, l)
		if e.mirror.base == nil || e.mirror.base.ID != newer.ID {
			t.Errorf("begun from %+v, want the checkpoint at %d", e.mirror.base, newer.Control)
		}
		for _, call := range counting.Calls() {
			for _, j := range newer.Journals {
				if strings.HasPrefix(call.Key, slotlog.JournalPrefix(j.ID)) && call.Key < slotlog.JournalKey(j.ID, j.Next) {
					t.Errorf("%s was read, which the checkpoint holds", call.Key)
				}
			}
			if strings.HasPrefix(call.Key, slotlog.ControlPrefix) && call.Key <= slotlog.ControlKey(newer.Control) && call.Key != slotlog.ControlKey(0) {
				t.Errorf("%s was read, which the checkpoint holds", call.Key)
			}
		}

		flip := func(b []byte) []byte { b[len(b)/2] ^= 1; return b }
		cut := func(b []byte) []byte { return b[:len(b)-5] }
		for name, spoil := range map[string]func([]byte) []byte{"flipped": flip, "cut": cut, "gone": nil} {
			one := newer.Parts[0]
			parts := damaged{damaged{store, one.Key(), spoil}, one.Twin(), spoil}
			for what, bad := range map[string]objectstore.Store{"head": damaged{store, newer.Name().Key(), spoil}, "part and twin": parts} {
				e, h, l := looks(t, bad)
				alike(t, what+" "+name, read, e, rh, h, rl, l)
				if shared := slices.ContainsFunc(older.Parts, func(p checkpoint.PartRef) bool { return p.Key() == one.Key() }); shared && what != "head" {
					continue
				}
				if e.mirror.base == nil || e.mirror.base.ID != older.ID {
					t.Errorf("%s %s: begun from %+v, want the checkpoint at %d", what, name, e.mirror.base, older.Control)
				}
			}
			both := damaged{damaged{store, newer.Name().Key(), spoil}, older.Name().Key(), spoil}
			e, h, l := looks(t, both)
			alike(t, "both heads "+name, read, e, rh, h, rl, l)
			if e.mirror.base != nil {
				t.Errorf("both heads %s: begun from %+v", name, e.mirror.base)
			}
		}
	})
}

// Whichever object of all checkpoints is damaged, a start knows everything, also where the slots are gone that say it, and the
// control log's beginning.
func TestBoot_AnyOneObjectOfCheckpointsMayBeDamaged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		older, newer := history(t, store)
		read, rh, rl := looks(t, store)
		forget(t, store, older.Control)
		for _, j := range older.Journals {
			for slot := range j.Next {
				if err := store.Delete(t.Context(), slotlog.JournalKey(j.ID, slot)); err != nil {
					t.Fatal(err)
				}
			}
		}
		var keys []string
		err := store.List(t.Context(), checkpoint.Prefix, func(o objectstore.Info) error { keys = append(keys, o.Key); return nil })
		if err != nil || len(keys) < 8 {
			t.Fatalf("%v, %v", keys, err)
		}
		for name, spoil := range map[string]func([]byte) []byte{
			"flipped": func(b []byte) []byte { b[len(b)/2] ^= 1; return b }, "cut": func(b []byte) []byte { return b[:len(b)-5] }, "gone": nil,
		} {
			for _, key := range keys {
				e, h, l := looks(t, damaged{store, key, spoil})
				alike(t, key+" "+name, read, e, rh, h, rl, l)
				want := newer
				if key == newer.Name().Key() {
					want = older
				}
				if e.mirror.base == nil || e.mirror.base.ID != want.ID {
					t.Errorf("%s %s: begun from %+v, want the checkpoint at %d", key, name, e.mirror.base, want.Control)
				}
			}
		}
	})
}

// A checkpoint that nobody verified says nothing, however well it reads; one whose CHECKPOINT is not in the log neither.
func TestStart_UnverifiedCheckpointIsPassedOver(t *testing.T) {
	store := memory.New()
	a := join(t, store, embedded.Open())
	p := a.topicAt(t, "t", 1)[0]
	a.write(t, store, p)
	good := a.checkpoint(t, store, map[topic.JournalID]topic.Slot{a.Journal(): a.slot})
	a.write(t, store, p)
	a.topicAt(t, "u", 1)
	named := a.compute(t, store, map[topic.JournalID]topic.Slot{a.Journal(): a.slot})
	a.name(t, named)
	a.topicAt(t, "v", 1)
	a.compute(t, store, map[topic.JournalID]topic.Slot{a.Journal(): a.slot})
	e, _, _ := looks(t, store)
	if e.mirror.base == nil || e.mirror.base.ID != good.ID {
		t.Errorf("begun from %+v, want the checkpoint at %d", e.mirror.base, good.Control)
	}
	if !bytes.Equal(e.State().AppendSnapshot(nil), a.State().AppendSnapshot(nil)) {
		t.Error("the control states differ")
	}
}

func TestStart_CheckpointsWithoutControlZeroAreForeign(t *testing.T) {
	store := memory.New()
	history(t, store)
	if err := store.Delete(t.Context(), slotlog.ControlKey(0)); err != nil {
		t.Fatal(err)
	}
	e := New(alone(), store, embedded.Open())
	defer e.Stop()
	if err := e.Start(t.Context()); !errors.Is(err, ErrForeign) {
		t.Errorf("%v, want ErrForeign", err)
	}
	var rest []string
	_ = store.List(t.Context(), "", func(i objectstore.Info) error {
		if strings.HasPrefix(i.Key, slotlog.ControlPrefix) || strings.HasPrefix(i.Key, slotlog.JournalsPrefix) {
			rest = append(rest, i.Key)
		}
		return nil
	})
	for _, key := range rest {
		if err := store.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	e = New(alone(), store, embedded.Open())
	defer e.Stop()
	if err := e.Start(t.Context()); !errors.Is(err, ErrForeign) {
		t.Errorf("with checkpoints only: %v, want ErrForeign", err)
	}
}

// A partition was released and nobody took it, long before a checkpoint: no summary behind it tells its end any more. Who
// knows the journal from the checkpoint takes it over at its end all the same (I3).
func TestTakeover_EndOfAReleasedPartitionIsInTheCheckpoint(t *testing.T) {
	store, meta := memory.New(), embedded.Open()
	a := join(t, store, meta)
	p, other := a.topicAt(t, "released", 1)[0], a.topicAt(t, "other", 1)[0]
	a.write(t, store, p)
	a.write(t, store, p)
	owned, _ := a.State().Owner(p)
	a.count(t, store, segment.Footer{Releases: []segment.Release{{Partition: p, Epoch: owned.Epoch, End: 2}}}, nil)
	a.gone = p
	for range segment.SummaryEvery {
		a.write(t, store, other)
	}
	kept := a.next[p]
	a.checkpoint(t, store, map[topic.JournalID]topic.Slot{a.Journal(): a.slot})
	a.write(t, store, other)
	b := join(t, store, meta)
	_, ends := a.sealedBy(t, store, b)
	if ends[p] != kept {
		t.Errorf("%s ends at %d, want %d", p, ends[p], kept)
	}
	if now, _ := b.State().Owner(p); now.Base != kept {
		t.Errorf("epoch %d begins at %d, want %d", now.Epoch, now.Base, kept)
	}
}

// Effects of control numbers that a checkpoint stands for are read when an index is further behind than that.
func TestEffects_OfNumbersBelowTheCheckpoint(t *testing.T) {
	store := memory.New()
	history(t, store)
	whole, _, _ := looks(t, blind{store})
	e, _, _ := looks(t, store)
	for _, applied := range []topic.Slot{1, 5, e.mirror.base.Control - 1, e.mirror.base.Control, e.State().Next() - 2} {
		e, _, _ := looks(t, store)
		if _, ok := e.effects.after(applied); !ok {
			if err := e.rememberEffects(t.Context(), applied); err != nil {
				t.Fatal(err)
			}
		}
		got, ok := e.effects.after(applied)
		want, _ := whole.effects.after(applied)
		if !ok || len(got) != len(want) {
			t.Fatalf("above %d: %d effects, %t, want %d", applied, len(got), ok, len(want))
		}
		for i := range want {
			if !slices.Equal(got[i], want[i]) {
				t.Errorf("effects of %d: %v, want %v", int(applied)+1+i, got[i], want[i])
			}
		}
	}
}

// An era that is loaded from a checkpoint does not hold the slots below its cut one by one. Who follows and had not come as
// far reads them from the bucket: what others had shown is there for all who read that era (I7).
func TestEra_WhoLagsBehindItsCheckpointReadsTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, meta := memory.New(), embedded.Open()
		a := join(t, store, meta)
		p := a.topicAt(t, "t", 1)[0]
		b := join(t, store, meta)
		for range 5 {
			a.write(t, store, p)
		}
		if err := b.CatchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		h := a.checkpoint(t, store, map[topic.JournalID]topic.Slot{a.Journal(): a.slot})
		stopA, _ := a.running(t, a.Index)
		stopB, _ := b.running(t, b.Index)
		for range 100 {
			time.Sleep(100 * time.Millisecond)
			if a.Era() > 0 && b.Era() > 0 {
				break
			}
		}
		newest, _ := a.State().NewestEra()
		if newest.Checkpoint != h.Control || a.Era() == 0 {
			t.Fatalf("era %+v, want one from the checkpoint at %d", newest, h.Control)
		}
		inStep(t, meta, a.Engine, a.next)
		segments, err := meta.Segments(t.Context(), pinOf(newest), []metadata.Cursor{{Journal: a.Journal()}}, 100)
		if err != nil || len(segments) != 0 {
			t.Errorf("the era holds %d slots, %v, want none", len(segments), err)
		}
		if err := b.SyncIndex(t.Context(), time.Now()); err != nil {
			t.Fatal(err)
		}
		if end := b.sees(p); end != 5 {
			t.Errorf("%s is seen to %d, want 5", p, end)
		}
		stopA()
		stopB()
	})
}

// What an era is recovered from is chosen before it is named, and can be read then: a damaged head is passed over.
func TestEra_DamagedCheckpointIsNotNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		older, newer := history(t, store)
		for _, c := range []struct {
			store objectstore.Store
			want  topic.Slot
		}{
			{damaged{store, newer.Name().Key(), nil}, older.Control},
			{damaged{damaged{store, newer.Name().Key(), nil}, older.Name().Key(), nil}, 0},
			{store, newer.Control},
		} {
			e, _, _ := looks(t, c.store)
			runID, replicationID, err := embedded.Open().Identity(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			before, _ := e.State().NewestEra()
			if err := e.nameEra(t.Context(), control.Era{Number: before.Number + 1, RunID: runID, ReplicationID: replicationID}); err != nil {
				t.Fatal(err)
			}
			if newest, _ := e.State().NewestEra(); newest.Number != before.Number+1 || newest.Checkpoint != c.want {
				t.Errorf("%+v is named, want one from %d", newest, c.want)
			}
		}
	})
}
