package compaction

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
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

// keyed is a world with topics that are compacted by key, and what was written to them.
type keyed struct {
	*stored
	all map[topic.Partition][]recordbatch.Record // by offset
}

func newKeyed(t *testing.T) *keyed {
	return &keyed{newStored(t), make(map[topic.Partition][]recordbatch.Record)}
}

func (w *keyed) create(config topic.Config, owners ...topic.JournalID) topic.ID {
	w.next++
	id := topic.ID{w.next * 91, 15: w.next}
	w.append(control.TopicCreate{ID: id, Name: fmt.Sprintf("table-%d", w.next), Journals: owners, Config: config})
	return id
}

// set makes the next slot of a journal with a batch for each partition: "key=value", "key" for a tombstone.
func (w *keyed) set(j topic.JournalID, sets []string, partitions ...topic.Partition) {
	w.t.Helper()
	f := segment.Footer{Journal: j, Slot: topic.Slot(len(w.slots[j])), CreatedMs: time.Now().UnixMilli()}
	var runs []segment.Run
	for _, p := range partitions {
		a, _ := w.state.Owner(p)
		if a.Journal != j {
			w.t.Fatalf("%s is not %s's", p, j)
		}
		base := w.ends[p]
		var records []recordbatch.Record
		for _, s := range sets {
			key, value, ok := strings.Cut(s, "=")
			r := recordbatch.Record{Timestamp: time.Now().UnixMilli(), Key: []byte(key)}
			if ok {
				r.Value = []byte(value)
			}
			w.all[p] = append(w.all[p], r)
			records = append(records, r)
		}
		w.ends[p] = base + topic.Offset(len(records))
		b := recordbatch.Build(recordbatch.Draft{Base: base, Epoch: a.Epoch, Records: records})
		runs = append(runs, segment.Run{Partition: p, Epoch: a.Epoch, Base: base, Next: w.ends[p], Batches: [][]byte{b}})
	}
	o, err := segment.Build(f, runs, segment.S2)
	if err != nil {
		w.t.Fatal(err)
	}
	frozen := slotlog.Freeze(slotlog.Data, o.Parts...)
	if err := w.bucket.Create(w.t.Context(), slotlog.JournalKey(j, f.Slot), frozen.Body); err != nil {
		w.t.Fatal(err)
	}
	w.slots[j] = append(w.slots[j], o.Footer.Repeated())
}

// records reads what runs hold of a partition, by offset, and asks that each be as it was written, that what is dirty lack
// nothing, and that the newest record of each key be there, unless it is a tombstone.
func (w *keyed) records(p topic.Partition) map[topic.Offset]recordbatch.Record {
	w.t.Helper()
	c := w.state.Compaction(p)
	out := make(map[topic.Offset]recordbatch.Record)
	next := topic.Offset(0)
	for _, r := range c.Runs {
		if r.Base != next && c.Start < r.Base {
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
					if err != nil {
						w.t.Fatal(err)
					}
					was := w.all[p][one.Offset]
					if !bytes.Equal(one.Key, was.Key) || !bytes.Equal(one.Value, was.Value) || (one.Value == nil) != (was.Value == nil) {
						w.t.Fatalf("%s at %d: %s=%s, written was %s=%s", p, one.Offset, one.Key, one.Value, was.Key, was.Value)
					}
					out[one.Offset] = recordbatch.Record{Key: one.Key, Value: one.Value}
				}
				raw = raw[info.Size:]
			}
		}
	}
	if next != c.End {
		w.t.Fatalf("%s: runs end at %d, compacted is %d", p, next, c.End)
	}
	for o := max(cleanedTo(c.Runs), c.Start, w.starts[p]); o < c.End; o++ {
		if _, ok := out[o]; !ok {
			w.t.Fatalf("%s: offset %d is gone, cleaned is %d", p, o, cleanedTo(c.Runs))
		}
	}
	newest := make(map[string]topic.Offset)
	for o := range c.End {
		newest[string(w.all[p][o].Key)] = o
	}
	for key, o := range newest {
		if _, ok := out[o]; !ok && w.all[p][o].Value != nil && o >= w.starts[p] {
			w.t.Fatalf("%s: the newest record of key %s at %d is gone", p, key, o)
		}
		if w.all[p][o].Value == nil { // where the tombstone went, nothing older is left
			if _, ok := out[o]; !ok {
				for older := range out {
					if string(w.all[p][older].Key) == key && older >= w.starts[p] {
						w.t.Fatalf("%s: key %s is back at %d: its tombstone at %d is gone", p, key, older, o)
					}
				}
			}
		}
	}
	return out
}

// One compact topic from slots to a cleaned run, its tombstone gone at the first cleaning after delete.retention.ms.
func TestKeys_SupersededRecordsGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newKeyed(t)
		j := w.openJournal()
		one := w.agent(j, w.bucket, soon())
		table := parts(w.create(topic.Config{"cleanup.policy": "compact", "delete.retention.ms": "3600000"}, j, j), 2)
		plain := parts(w.createTopic(j), 1)[0]
		for i := range 30 {
			w.set(j, []string{fmt.Sprintf("a=%d", i), fmt.Sprintf("b=%d", i), "gone=1"}, table[0], table[1], plain)
		}
		w.set(j, []string{"gone"}, table...)
		w.checkpointed(t, one, one)
		if n := one.compactAll(t); n != 0 {
			t.Fatalf("%d jobs before they are due", n)
		}
		time.Sleep(2 * time.Minute)
		if n := one.compactAll(t); n != 2 {
			t.Fatalf("%d jobs, want one from slots and one by key", n)
		}
		for _, p := range table {
			left := w.records(p)
			if c := w.state.Compaction(p); len(left) != 3 || c.Start != 0 || c.End != 91 || len(c.Runs) != 1 || cleanedTo(c.Runs) != 91 {
				t.Fatalf("%s: %d records left, compacted %+v", p, len(left), c)
			}
		}
		if len(w.records(plain)) != 90 {
			t.Fatalf("%d records left of a topic that is not compacted", len(w.records(plain)))
		}
		for _, at := range []struct {
			wait time.Duration
			want int // records
		}{{30 * time.Minute, 3}, {2 * time.Hour, 2}} {
			time.Sleep(at.wait)
			for i := range 60 { // dirty enough
				w.set(j, []string{fmt.Sprintf("a=%d again", i), fmt.Sprintf("b=%d again", i)}, table...)
			}
			w.checkpointed(t, one, one)
			time.Sleep(2 * time.Minute)
			one.compactAll(t)
			for _, p := range table {
				if left := w.records(p); len(left) != at.want {
					t.Fatalf("%s: %d records left, want %d", p, len(left), at.want)
				}
			}
		}
		if s := one.Stats(); s.Jobs[Keys] != 3 || s.KeyDropped == 0 || s.KeyTombstones != 2 || s.JobsFailed > 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

// A map with room for few keys takes many rounds, objects with room for little many stretches. Whenever a compactor ends, what
// it left is right, and another goes on.
func TestKeys_RoundsAndStretches(t *testing.T) {
	for seed := range uint64(4) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			w := newKeyed(t)
			j, other := w.openJournal(), w.openJournal()
			cfg := soon()
			cfg.Merge.ObjectBytes, cfg.Merge.InputBytes = 4<<10, 8<<10
			cfg.Keys = KeysConfig{MapBytes: 24 * 30, MaxRaw: 1 << 20}
			maker := w.agent(j, w.bucket, cfg)
			table := parts(w.create(topic.Config{"cleanup.policy": "compact", "delete.retention.ms": "60000"}, j, j, other), 3)
			for range 6 {
				for range 20 {
					for _, p := range table {
						var sets []string
						for range 1 + rng.IntN(12) {
							key := fmt.Sprint("key-", rng.IntN(100))
							if rng.IntN(8) > 0 {
								key += "=" + string(w.payload(p, topic.Offset(rng.IntN(1000)), rng.IntN(60)))
							}
							sets = append(sets, key)
						}
						a, _ := w.state.Owner(p)
						w.set(a.Journal, sets, p)
					}
				}
				w.checkpointed(t, maker, maker)
				time.Sleep(5 * time.Minute)
				f := faulty.New(w.bucket, faulty.None)
				a := w.agent(j, f, cfg)
				a.look(t)
				ctx, die := context.WithCancel(t.Context())
				calls, last := 0, rng.IntN(60)
				f.SetScript(func(faulty.Call) faulty.Fault {
					if calls++; calls < last {
						return faulty.Fault{}
					}
					die()
					return []faulty.Fault{{Before: faulty.ErrDown}, {After: faulty.ErrLost}}[calls%2]
				})
				for {
					did, err := a.Compact(ctx)
					if err != nil && !errors.Is(err, context.Canceled) && ctx.Err() == nil {
						t.Fatal(err)
					}
					for _, p := range table {
						w.records(p)
					}
					if !did || ctx.Err() != nil {
						break
					}
				}
				die()
				next := w.agent(other, w.bucket, cfg)
				next.look(t)
				next.compactAll(t)
				for _, p := range table {
					left := w.records(p)
					if c := w.state.Compaction(p); cleanedTo(c.Runs) < c.End/2 {
						t.Fatalf("%s is cleaned up to %d of %d", p, cleanedTo(c.Runs), c.End)
					} else if len(left) > 120+int(c.End-cleanedTo(c.Runs)) {
						t.Fatalf("%s: %d records left of 100 keys, %d of them not cleaned", p, len(left), c.End-cleanedTo(c.Runs))
					}
				}
			}
			w.swept(t, w.agent(other, w.bucket, cfg))
		})
	}
}

// Without a time that can be trusted nothing goes by key, and all else is done (G3).
func TestKeys_NothingGoesWithoutATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newKeyed(t)
		j := w.openJournal()
		cfg := soon()
		noTime := errors.New("no two clocks agree")
		cfg.Keys.Now = func(context.Context) (time.Time, error) { return time.Now(), noTime }
		one := w.agent(j, w.bucket, cfg)
		table := parts(w.create(topic.Config{"cleanup.policy": "compact"}, j), 1)[0]
		for i := range 5 {
			for range 10 {
				w.set(j, []string{"a=1", "b=2"}, table)
			}
			w.checkpointed(t, one, one)
			one.compactAll(t)
			time.Sleep(2 * time.Minute)
			one.compactAll(t)
			if left := w.records(table); len(left) != 20*(i+1) {
				t.Fatalf("%d records left of %d", len(left), 20*(i+1))
			}
		}
		if s := one.Stats(); s.Jobs[FromSlots] != 5 || s.Jobs[FromRuns] == 0 || s.Jobs[Keys] != 0 {
			t.Errorf("stats %+v", s)
		}
		noTime = nil
		time.Sleep(2 * time.Minute)
		one.compactAll(t)
		if left := w.records(table); len(left) != 2 {
			t.Errorf("%d records left, want 2", len(left))
		}
	})
}

// What is damaged stays as it is and does not keep other partitions of its group waiting.
func TestKeys_ADamagedPartitionKeepsNoOtherWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newKeyed(t)
		j := w.openJournal()
		f := faulty.New(w.bucket, faulty.None)
		one := w.agent(j, f, soon())
		bad := parts(w.create(topic.Config{"cleanup.policy": "compact"}, j), 1)[0]
		for range 10 {
			w.set(j, []string{"a=1", "b=2"}, bad)
		}
		w.checkpointed(t, one, one)
		one.compactAll(t)
		time.Sleep(2 * time.Minute)
		if did, err := one.Compact(t.Context()); !did || err != nil { // from slots
			t.Fatal(did, err)
		}
		key := w.state.Compaction(bad).Runs[0].Object.Key()
		f.SetScript(func(c faulty.Call) faulty.Fault {
			if c.Key == key {
				return faulty.Fault{Before: objectstore.ErrNotFound}
			}
			return faulty.Fault{}
		})
		good := parts(w.create(topic.Config{"cleanup.policy": "compact"}, j), 1)[0]
		for range 10 {
			w.set(j, []string{"a=1", "b=2"}, good)
		}
		w.checkpointed(t, one, one)
		for range 20 {
			if _, err := one.Compact(t.Context()); err != nil && !errors.Is(err, objectstore.ErrNotFound) {
				t.Fatal(err)
			}
			time.Sleep(20 * time.Second)
		}
		if left := w.records(good); len(left) != 2 {
			t.Errorf("%d records left, want 2", len(left))
		}
		if left := w.records(bad); len(left) != 20 {
			t.Errorf("%d records left of what is damaged, want 20", len(left))
		}
		if s := one.Stats(); s.JobsDamaged == 0 || s.JobsDamaged != s.JobsFailed {
			t.Errorf("stats %+v", s)
		}
	})
}

// A large cleaning is done in slices: what else there is to do for the same agent's groups comes in between, and nobody moves
// the runs that are being cleaned.
func TestKeysJob_ALargeCleaningTakesTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newKeyed(t)
		j := w.openJournal()
		cfg := soon()
		cfg.Merge.ObjectBytes, cfg.Merge.Objects = 4<<10, 1<<10
		a := w.agent(j, w.bucket, cfg)
		table := parts(w.create(topic.Config{"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.01"}, j), 1)[0]
		other := parts(w.createTopic(j), 1)[0]
		ready := a.cfg.Keys.Values
		a.cfg.Keys.Now = func(context.Context) (time.Time, error) { return time.Time{}, errors.New("not yet") }
		for range 30 {
			for k := range 20 {
				w.set(j, []string{fmt.Sprintf("key-%d=%d %x", k, w.ends[table], w.payload(table, w.ends[table], 100))}, table)
			}
			w.checkpointed(t, a, a)
			a.look(t)
			a.compactAll(t)
		}
		a.cfg.Keys.Values, a.cfg.Keys.Now = ready, func(context.Context) (time.Time, error) { return time.Now(), nil }
		a.cfg.Merge.Objects = 2 // what is being cleaned would be merged, too
		if n := len(w.state.Compaction(table).Runs); n < 20 {
			t.Fatalf("%d runs", n)
		}
		before := a.Stats()
		slices, between := 0, 0
		for {
			if slices%2 == 0 { // another job is due all the time
				w.put(j, 100, other)
				w.checkpointed(t, a, a)
				time.Sleep(2 * time.Minute)
			}
			cleaning := a.cleaning != nil
			if !a.step(t) {
				break
			}
			s := a.Stats()
			if a.cleaning != nil || cleaning {
				slices++
				between = int(s.Jobs[FromSlots] - before.Jobs[FromSlots])
			} else if s.Jobs[Keys] > before.Jobs[Keys] {
				break
			}
			w.records(table)
		}
		s := a.Stats()
		if s.Jobs[Keys]-before.Jobs[Keys] < 4 || slices < 8 || between < 4 || s.JobsLost > 0 || s.JobsFailed > 0 {
			t.Errorf("%d slices, %d jobs of others between them; stats %+v", slices, between, s)
		}
		if left := len(w.records(table)); left > 60 {
			t.Errorf("%d records are left of 20 keys", left)
		}
	})
}
