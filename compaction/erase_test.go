package compaction

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/faulty"
	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

// eraseLog is the log of one who erases: it has no journal, and reads slots that are trimmed as long as they are there.
type eraseLog struct{ *agent }

func (l eraseLog) Slots(ctx context.Context, j topic.JournalID, from, to topic.Slot, fn func(segment.SlotExtents) error) error {
	for slot := from; slot < to; slot++ {
		if _, err := l.w.bucket.Head(ctx, slotlog.JournalKey(j, slot)); err != nil {
			return err
		}
		var x segment.SlotExtents
		l.w.during(func() { x = l.w.slots[j][slot] })
		x.Extents, x.LogStarts = slices.Clone(x.Extents), slices.Clone(x.LogStarts)
		if err := fn(x); err != nil {
			return err
		}
	}
	return nil
}

// eraser makes one who erases, by way of a store.
func (w *world) eraser(t *testing.T, store objectstore.Store) *Eraser {
	cfg := soon()
	cfg.Grace = time.Minute
	return NewEraser(New(eraseLog{&agent{w: w}}, store, cfg), EraseConfig{
		Refresh: func(context.Context) error { return nil },
		End: func(_ context.Context, j *control.Journal) (end topic.Slot, _ error) {
			w.during(func() { end = topic.Slot(len(w.slots[j.ID])) })
			return end, nil
		},
		Patience: 10 * time.Second, Spans: 1000, MaxRaw: testMaxRaw, Tell: t.Logf,
	})
}

// erased runs an erasure to its end, and gives what was found.
func (w *world) erased(t *testing.T, what Erasing) []ErasePart {
	t.Helper()
	e := w.eraser(t, w.bucket)
	parts, err := e.Find(t.Context(), what)
	if err != nil {
		t.Fatal(err)
	}
	e.Add(parts...)
	if err := e.Run(t.Context(), func(context.Context) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if slots, objects := e.Left(); slots+objects > 0 {
		t.Fatalf("%d slots and %d objects are left", slots, objects)
	}
	return parts
}

// secret is a value of which no byte can be packed.
func secret(n uint64) string {
	rng := rand.New(rand.NewPCG(n, 77))
	b := make([]byte, 60)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return string(b)
}

// holding gives the objects of the bucket that have a text, unpacked or as they are.
func (w *keyed) holding(text string) (out []string) {
	w.t.Helper()
	look := func(prefix string, unpack func(key string, b []byte) []segment.Extent) {
		err := w.bucket.List(w.t.Context(), prefix, func(o objectstore.Info) error {
			b, err := w.bucket.Get(w.t.Context(), o.Key)
			if err != nil {
				return err
			}
			found := bytes.Contains(b, []byte(text))
			for _, e := range unpack(o.Key, b) {
				raw, err := segment.ReadExtent(e, b[e.Position:][:e.Length])
				if err != nil {
					return err
				}
				found = found || bytes.Contains(raw, []byte(text))
			}
			if found {
				out = append(out, o.Key)
			}
			return nil
		})
		if err != nil {
			w.t.Fatal(err)
		}
	}
	look(topic.CompactedPrefix, func(key string, b []byte) (all []segment.Extent) {
		f, err := segment.ReadObjectFooter(b, int64(len(b)))
		if err != nil {
			w.t.Fatal(err)
		}
		for _, r := range f.Runs {
			extents, err := segment.ReadRunTable(r.Partition, r.Run, b[int(r.Run.Position)+int(r.Run.Length):][:r.Run.Table])
			if err != nil {
				w.t.Fatal(err)
			}
			all = append(all, extents...)
		}
		return all
	})
	look(slotlog.JournalsPrefix, func(key string, _ []byte) []segment.Extent {
		j, slot, err := slotlog.ParseJournalKey(key)
		if err != nil || int(slot) >= len(w.slots[j]) {
			return nil // a seal
		}
		return w.slots[j][slot].Extents
	})
	for _, prefix := range []string{slotlog.ControlPrefix, LedgerPrefix, "checkpoint/"} {
		look(prefix, func(string, []byte) []segment.Extent { return nil })
	}
	return out
}

// left reads the offsets that runs hold of a partition. Every record is as it was written.
func (w *keyed) left(p topic.Partition) (out []topic.Offset) {
	w.t.Helper()
	next := topic.Offset(0)
	for _, r := range w.state.Compaction(p).Runs {
		if r.Base != next {
			w.t.Fatalf("%s: run at %d where %d is wanted", p, r.Base, next)
		}
		next = r.Next
		if r.Length == 0 {
			continue
		}
		b, err := w.bucket.GetRange(w.t.Context(), r.Object.Key(), int64(r.Position), r.Size())
		if err != nil {
			w.t.Fatal(err)
		}
		extents, err := segment.ReadRunTable(p, r, b[r.Length:])
		if err != nil {
			w.t.Fatal(err)
		}
		for _, e := range extents {
			raw, err := segment.ReadExtent(e, b[e.Position-r.Position:][:e.Length])
			if err != nil {
				w.t.Fatal(err)
			}
			for len(raw) > 0 {
				info, err := recordbatch.CheckStored(raw)
				if err != nil {
					w.t.Fatal(err)
				}
				for one, err := range recordbatch.Records(raw[:info.Size], testMaxRaw) {
					if was := w.all[p][one.Offset]; err != nil || !bytes.Equal(one.Key, was.Key) || !bytes.Equal(one.Value, was.Value) {
						w.t.Fatalf("%s at %d: %s=%s, %v, written was %s=%s", p, one.Offset, one.Key, one.Value, err, was.Key, was.Value)
					}
					out = append(out, one.Offset)
				}
				raw = raw[info.Size:]
			}
		}
	}
	return out
}

// without gives the offsets [0, end) but some.
func without(end topic.Offset, gone ...Span) (out []topic.Offset) {
	for o := range end {
		if !overlaps(gone, o, o+1) {
			out = append(out, o)
		}
	}
	return out
}

// A key's records go from everything, whether they lay in runs, in slots that a checkpoint holds, or in those behind it.
func TestErase_ByKeyFromRunsAndSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newKeyed(t)
		j := w.openJournal()
		one := w.agent(j, w.bucket, soon())
		all := parts(w.createTopic(j, j), 2)
		other := parts(w.createTopic(j), 1)[0]
		value := secret(1)
		for i := range 30 {
			w.set(j, []string{"a=1", "alice=" + value, "b=" + secret(100)}, all[0], other)
			w.set(j, []string{"c=1", fmt.Sprintf("d=%d", i)}, all[1])
			if i == 10 || i == 20 {
				w.checkpointed(t, one, one)
				time.Sleep(2 * time.Minute)
				if i == 10 {
					one.compactAll(t)
				}
			}
		}
		found := w.erased(t, Erasing{Topic: all[0].Topic, Partition: -1, Key: []byte("alice")})
		if len(found) != 1 || found[0].Partition != all[0] || found[0].Records != 30 || len(found[0].Offsets) != 30 {
			t.Fatalf("found %+v", found)
		}
		if got, want := w.left(all[0]), without(90, found[0].Offsets...); !slices.Equal(got, want) {
			t.Errorf("%v are left, want %v", got, want)
		}
		if got := w.left(all[1]); len(got) != 60 {
			t.Errorf("%d records are left of another partition", len(got))
		}
		for _, r := range w.state.Compaction(all[0]).Runs {
			if r.Erased == 0 || r.Cleaned != 0 {
				t.Errorf("%s: none erased, or key compaction would think that it was there", r)
			}
		}
		for _, key := range w.holding(value) { // the other topic's are there still
			if !strings.HasPrefix(key, topic.CompactedPrefix) {
				t.Errorf("%s holds it, where all slots were compacted", key)
			}
		}
		w.erased(t, Erasing{Topic: other.Topic, Partition: -1, Key: []byte("alice")})
		if keys := w.holding(value); len(keys) > 0 {
			t.Errorf("%v hold it still", keys)
		}
		if keys := w.holding(secret(100)); len(keys) == 0 {
			t.Error("what was not erased is not found either")
		}
		w.named(t, w.state)
		if again := w.erased(t, Erasing{Topic: all[0].Topic, Partition: -1, Key: []byte("alice")}); len(again) != 0 {
			t.Errorf("found again %+v", again)
		}
	})
}

// Offsets: the first and the last of a partition, a whole extent, all of a partition.
func TestErase_Offsets(t *testing.T) {
	for name, gone := range map[string]Span{
		"first": {0, 1}, "last": {29, 30}, "within a batch": {4, 5}, "an extent": {3, 6}, "over some": {2, 13}, "all": {0, 30},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newKeyed(t)
				j := w.openJournal()
				all := parts(w.createTopic(j, j), 2)
				values := map[topic.Offset]string{}
				for i := range 10 {
					var sets []string
					for k := range 3 {
						o := topic.Offset(3*i + k)
						values[o] = secret(uint64(o))
						sets = append(sets, "k="+values[o])
					}
					w.set(j, sets, all[0])
					w.set(j, []string{"x=y"}, all[1])
				}
				found := w.erased(t, Erasing{Topic: all[0].Topic, Partition: 0, Offsets: []Span{gone}})
				if len(found) != 1 || found[0].Records != int64(gone.To-gone.From) {
					t.Fatalf("found %+v", found)
				}
				if got, want := w.left(all[0]), without(30, gone); !slices.Equal(got, want) {
					t.Errorf("%v are left, want %v", got, want)
				}
				for o, v := range values {
					if keys := w.holding(v); (len(keys) == 0) != (o >= gone.From && o < gone.To) {
						t.Errorf("offset %d is held by %v", o, keys)
					}
				}
				if c := w.state.Compaction(all[0]); c.End != 30 || c.Start != 0 {
					t.Errorf("compacted %+v", c)
				}
			})
		})
	}
}

func TestErase_OffsetsThatAreNotThereAreRefused(t *testing.T) {
	w := newKeyed(t)
	j := w.openJournal()
	p := parts(w.createTopic(j), 1)[0]
	e := w.eraser(t, w.bucket)
	if _, err := e.Find(t.Context(), Erasing{Topic: p.Topic, Offsets: []Span{{0, 1}}}); !errors.Is(err, ErrOffsets) {
		t.Errorf("of an empty partition: %v", err)
	}
	for range 4 {
		w.set(j, []string{"a=1", "b=2"}, p)
	}
	w.raise(p, 3)
	for _, s := range []Span{{2, 4}, {7, 9}, {8, 9}, {0, 1}} {
		if _, err := e.Find(t.Context(), Erasing{Topic: p.Topic, Offsets: []Span{s}}); !errors.Is(err, ErrOffsets) {
			t.Errorf("%v: %v", s, err)
		}
	}
	found, err := e.Find(t.Context(), Erasing{Topic: p.Topic, Offsets: []Span{{3, 8}}})
	if err != nil || len(found) != 1 || found[0].Records != 5 {
		t.Errorf("%+v, %v", found, err)
	}
	if _, err := e.Find(t.Context(), Erasing{Topic: topic.ID{9}, Offsets: []Span{{3, 8}}}); !errors.Is(err, ErrOffsets) {
		t.Errorf("of no topic: %v", err)
	}
}

// What ends the log stays known by its batch's head.
func TestErase_KeepsTheHeadOfTheLastBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newKeyed(t)
		j := w.openJournal()
		p := parts(w.createTopic(j), 1)[0]
		for range 3 {
			w.set(j, []string{"k=" + secret(1)}, p)
		}
		w.erased(t, Erasing{Topic: p.Topic, Partition: -1, Key: []byte("k")})
		runs := w.state.Compaction(p).Runs
		if len(runs) != 1 || runs[0].Length == 0 || runs[0].Erased != 3 {
			t.Fatalf("runs %v, want the last batch's head", runs)
		}
		if keys := w.holding(secret(1)); len(keys) > 0 {
			t.Errorf("%v hold it still", keys)
		}
	})
}

// killedAt is a store by which whoever works gets to its n-th call and no further: every second one takes effect still.
func killedAt(store objectstore.Store, n int) objectstore.Store {
	killed := errors.New("killed")
	return faulty.Unrecorded(store, func(c faulty.Call) faulty.Fault {
		switch {
		case c.N < n:
			return faulty.Fault{}
		case c.N == n && n%2 == 0:
			return faulty.Fault{After: killed}
		}
		return faulty.Fault{Before: killed}
	})
}

// attempt is what the command does: find, go on with what was begun, erase, write a receipt.
func (w *keyed) attempt(t *testing.T, store objectstore.Store, what Erasing) error {
	e := w.eraser(t, store)
	r := Receipt{TopicID: what.Topic.String(), KeySHA256: HashKey(what.Key), Begun: time.Now()}
	found, err := e.Find(t.Context(), what)
	if err != nil {
		return err
	}
	x, _, _, err := Resume(t.Context(), store, w.now().Next()-1, &r)
	if err != nil {
		return err
	}
	r.Give(e, what.Topic)
	e.Add(found...)
	if r.Take(e); r.Records == 0 {
		return nil
	}
	note := func(ctx context.Context) error {
		r.Take(e)
		return x.Note(ctx, r)
	}
	if err := note(t.Context()); err != nil {
		return err
	}
	if err := e.Run(t.Context(), note); err != nil {
		return err
	}
	r.Take(e)
	_, err = x.Finish(t.Context(), r)
	return err
}

// Whoever erases is killed at every call once: another one goes on from what the bucket says.
func TestErase_GoesOnWhereverItStopped(t *testing.T) {
	done := false
	for n := 1; !done; n += 1 + n/12 {
		synctest.Test(t, func(t *testing.T) {
			w := newKeyed(t)
			j := w.openJournal()
			p := parts(w.createTopic(j), 1)[0]
			for range 12 {
				w.set(j, []string{"a=1", "k=" + secret(1)}, p)
			}
			what := Erasing{Topic: p.Topic, Partition: -1, Key: []byte("k")}
			done = w.attempt(t, killedAt(w.bucket, n), what) == nil
			if !done {
				if err := w.attempt(t, w.bucket, what); err != nil {
					t.Fatalf("after call %d failed: %v", n, err)
				}
			}
			if keys := w.holding(secret(1)); len(keys) > 0 {
				t.Errorf("after call %d failed %v hold it still", n, keys)
			}
			if got := w.left(p); len(got) != 12 {
				t.Errorf("after call %d failed %v are left", n, got)
			}
			receipts := w.keys(t, ErasedPrefix)
			if notes := w.keys(t, ErasingPrefix); len(notes) > 0 || len(receipts) != 1 {
				t.Fatalf("after call %d failed: receipts %v, notes %v", n, receipts, notes)
			}
			var r Receipt
			b, err := w.bucket.Get(t.Context(), receipts[0])
			if err == nil {
				err = json.Unmarshal(b, &r)
			}
			if err != nil || r.Records != 12 || len(r.Deleted) < 12 || bytes.Contains(b, []byte(`"k"`)) {
				t.Errorf("after call %d failed: %s, %v", n, b, err)
			}
		})
	}
}

// While agents compact, clean by key and write on: nothing that was erased comes back, and nothing else goes.
func TestErase_BesideAgentsThatCompact(t *testing.T) {
	for seed := range uint64(4) {
		synctest.Test(t, func(t *testing.T) {
			w := newKeyed(t)
			j, k := w.openJournal(), w.openJournal()
			config := topic.Config{"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.01"}
			table := parts(w.create(config, j, k), 2)
			plain := parts(w.createTopic(j, k), 2)
			cfg := soon()
			cfg.Slots, cfg.Interval, cfg.Look, cfg.Sweep, cfg.Grace = 10, 20*time.Second, time.Second, 5*time.Second, 30*time.Second
			cfg.Merge.Interval, cfg.Stagger = 3*time.Second, time.Second
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan struct{})
			for _, one := range []topic.JournalID{j, k} {
				a := w.agent(one, w.bucket, cfg)
				log := eraseLog{a}
				a.Compactor = New(log, w.bucket, a.Compactor.cfg)
				go func() {
					_ = a.Run(ctx)
					ended <- struct{}{}
				}()
			}
			rng := rand.New(rand.NewPCG(seed, 5))
			write := func() {
				w.during(func() {
					n := rng.IntN(2)
					w.set([]topic.JournalID{j, k}[n], []string{fmt.Sprintf("a=%s", secret(rng.Uint64N(50)+200)), "alice=" + secret(1), fmt.Sprintf("b%d=1", rng.IntN(20))}, table[n], plain[n])
				})
				time.Sleep(time.Duration(rng.IntN(1500)) * time.Millisecond)
			}
			for range 60 {
				write()
			}
			stop := make(chan struct{})
			go func() {
				defer close(stop)
				for range 200 {
					w.during(func() {
						n := rng.IntN(2)
						w.set([]topic.JournalID{j, k}[n], []string{"a=1", "c=2"}, table[n], plain[n])
					})
					time.Sleep(time.Duration(rng.IntN(1500)) * time.Millisecond)
				}
			}()
			for _, id := range []topic.ID{table[0].Topic, plain[0].Topic} {
				if err := w.attempt(t, w.bucket, Erasing{Topic: id, Partition: -1, Key: []byte("alice")}); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
			}
			<-stop
			cancel()
			<-ended
			<-ended
			if keys := w.holding(secret(1)); len(keys) > 0 {
				t.Errorf("seed %d: %v hold it still", seed, keys)
			}
			for _, p := range plain {
				var want []topic.Offset
				for o, r := range w.all[p][:w.state.Compaction(p).End] {
					if string(r.Key) != "alice" {
						want = append(want, topic.Offset(o))
					}
				}
				if got := w.left(p); !slices.Equal(got, want) {
					t.Errorf("seed %d: %d records of %s are left, want %d", seed, len(got), p, len(want))
				}
			}
			for _, p := range table {
				w.left(p)
			}
		})
	}
}
