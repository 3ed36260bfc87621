package compaction

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/odradek/odradek/checkpoint"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/faulty"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/topic"
)

// build makes a checkpoint and has it checked.
func (a *agent) build(t *testing.T) control.Checkpoint {
	t.Helper()
	state := a.w.state
	r, err := a.Build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if r.Control != state.Next()-1 {
		t.Fatalf("checkpoint stands at %d, want %d", r.Control, state.Next()-1)
	}
	a.w.check(state, r)
	return r
}

// pending gives the newest checkpoint.
func (w *world) pending(t *testing.T) control.CheckpointInfo {
	t.Helper()
	all := w.state.Checkpoints()
	if len(all) == 0 {
		t.Fatal("no checkpoint")
	}
	return all[len(all)-1]
}

func (a *agent) verifyNewest(t *testing.T) {
	t.Helper()
	info := a.w.pending(t)
	if err := a.Verify(t.Context(), info); err != nil {
		t.Fatal(err)
	}
	if newest, ok := a.w.state.NewestCheckpoint(); !ok || newest.ID != info.ID || newest.By != a.journal {
		t.Fatalf("newest verified checkpoint is %v, want %v by %s", newest, info, a.journal)
	}
}

// What one agent builds another one computes again, in whatever way the cluster grows: every byte is the same.
func TestBuild_HistoriesAtRandomAreVerifiedByAnother(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(seed, 1))
				w := newWorld(t)
				one, two := w.agent(w.openJournal(), w.bucket, Config{}), w.agent(w.openJournal(), w.bucket, Config{})
				made := 0
				for range 25 {
					for range rng.IntN(40) {
						w.step(rng)
					}
					if rng.IntN(5) == 0 {
						one.cfg.MostExtents = 1 + rng.IntN(20)
					}
					state := w.state
					r, err := one.Build(t.Context())
					if errors.Is(err, ErrNothing) {
						continue
					}
					if err != nil {
						t.Fatal(err)
					}
					if one.cfg.MostExtents < 1000 {
						one.cfg.MostExtents = 1 << 20 // not all was taken
					} else {
						w.check(state, r)
					}
					made++
					if rng.IntN(4) > 0 { // else it is never verified
						two.verifyNewest(t)
					}
					one, two = two, one
				}
				if made < 10 || w.swapped < 10 {
					t.Errorf("%d checkpoints made, %d manifests", made, w.swapped)
				}
			})
		})
	}
}

func TestCut_ASlotWaitsForWhatItRestsOn(t *testing.T) {
	for _, test := range []struct {
		name string
		make func(w *world, a, b topic.JournalID)
		want [2]topic.Slot // of a and b
	}{
		{"a partition that moved waits for the slots of its owner before", func(w *world, a, b topic.JournalID) {
			p := topic.Partition{Topic: w.createTopic(a)}
			w.write(a, p)
			w.write(a, p)
			w.move(p, b) // slot 2 of a
			w.write(b, p)
			w.lag[a] = 2 // slot 1 is not seen yet
		}, [2]topic.Slot{1, 0}},
		{"and is taken with them", func(w *world, a, b topic.JournalID) {
			p := topic.Partition{Topic: w.createTopic(a)}
			w.write(a, p)
			w.move(p, b)
			w.write(b, p)
		}, [2]topic.Slot{2, 1}},
		{"back and forth", func(w *world, a, b topic.JournalID) {
			p := topic.Partition{Topic: w.createTopic(a)}
			for range 5 {
				w.write(a, p)
				w.move(p, b)
				w.write(b, p)
				w.move(p, a)
			}
		}, [2]topic.Slot{10, 10}},
		{"two journals wait for each other in turn", func(w *world, a, b topic.JournalID) {
			id := w.createTopic(a, b)
			p, q := topic.Partition{Topic: id}, topic.Partition{Topic: id, Index: 1}
			w.write(a, p)
			w.write(b, q)
			w.move(p, b)
			w.move(q, a)
			w.write(a, q) // behind slot 0 of b
			w.write(b, p) // behind slot 0 of a
			w.move(p, a)
			w.move(q, b)
			w.write(b, q)
			w.write(a, p)
		}, [2]topic.Slot{5, 5}},
		{"two that wait for each other for ever end the cut", func(w *world, a, b topic.JournalID) {
			id := w.createTopic(a, b)
			p, q := topic.Partition{Topic: id}, topic.Partition{Topic: id, Index: 1}
			w.write(a, p)
			w.write(b, q)
			w.write(a, p)
			w.write(b, q)
			// Each journal's slot 0 is given what the other one's slot 1 holds: no owner writes such a thing.
			x, y := w.slots[a], w.slots[b]
			x[0].Extents[0].Partition, y[0].Extents[0].Partition = q, p
			x[0].Extents[0].Base, x[0].Extents[0].Next = 1, 5
			y[0].Extents[0].Base, y[0].Extents[0].Next = 1, 5
			x[0].Producers, y[0].Producers = nil, nil
			w.write(w.openJournal()) // something that can be taken
		}, [2]topic.Slot{0, 0}},
		{"extents of a deleted topic are passed over", func(w *world, a, b topic.JournalID) {
			gone, stays := w.createTopic(a, b), w.createTopic(a)
			w.write(a, topic.Partition{Topic: gone})
			w.write(a, topic.Partition{Topic: gone}, topic.Partition{Topic: stays})
			w.write(b, topic.Partition{Topic: gone, Index: 1})
			w.append(control.TopicDelete{ID: gone})
			w.slots[a][0].Extents[0].Base = 77 // whatever they say
		}, [2]topic.Slot{2, 1}},
		{"a summary's worth of slots behind one that waits", func(w *world, a, b topic.JournalID) {
			id := w.createTopic(a, b)
			p, q := topic.Partition{Topic: id}, topic.Partition{Topic: id, Index: 1}
			w.write(b, q)
			w.move(q, a)
			w.write(a, q)
			for range 200 {
				w.write(a, p, q)
			}
		}, [2]topic.Slot{201, 2}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				a, b := w.openJournal(), w.openJournal()
				if a[0] > b[0] {
					t.Fatal("journal ids")
				}
				test.make(w, a, b)
				r := w.agent(a, w.bucket, Config{LeastRecords: 1}).build(t)
				h := w.check(w.state, r)
				if got := [2]topic.Slot{h.Next(a), h.Next(b)}; got != test.want {
					t.Errorf("cut at %v, want %v", got, test.want)
				}
				w.agent(b, w.bucket, Config{}).verifyNewest(t)
			})
		})
	}
}

// What was written under a topic, a partition or an epoch that the control state does not know waits for the next checkpoint.
func TestCut_NothingIsAheadOfItsControlState(t *testing.T) {
	for _, test := range []struct {
		name string
		make func(w *world, a, b topic.JournalID, p topic.Partition)
	}{
		{"topic", func(w *world, a, b topic.JournalID, p topic.Partition) {
			w.write(a, topic.Partition{Topic: w.createTopic(a)}, p)
		}},
		{"partition", func(w *world, a, b topic.JournalID, p topic.Partition) {
			w.append(control.PartitionsAdd{Topic: p.Topic, From: 1, Journals: []topic.JournalID{a}})
			w.write(a, p, topic.Partition{Topic: p.Topic, Index: 1})
		}},
		{"epoch", func(w *world, a, b topic.JournalID, p topic.Partition) {
			w.move(p, b)
			w.move(p, a)
			w.write(a, p)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				a, b := w.openJournal(), w.openJournal()
				p := topic.Partition{Topic: w.createTopic(a)}
				w.write(a, p)
				before := w.state
				seen := topic.Slot(len(w.slots[a]))
				test.make(w, a, b, p)
				if test.name == "epoch" {
					seen++ // the RELEASE holds no extent
				}
				cut, err := newCut(t.Context(), w.bucket, w.agent(a, w.bucket, Config{}), before, nil)
				if err != nil {
					t.Fatal(err)
				}
				err = cut.advance(t.Context(), 1<<20, func(j *control.Journal) topic.Slot { return topic.Slot(len(w.slots[j.ID])) })
				if err != nil {
					t.Fatal(err)
				}
				if next := cut.head(control.CheckpointID{}).Next(a); next != seen {
					t.Errorf("cut at slot %d, want %d", next, seen)
				}
				r := w.agent(a, w.bucket, Config{}).build(t) // with the newest state
				if h := w.check(w.state, r); h.Next(a) != topic.Slot(len(w.slots[a])) {
					t.Errorf("with the newest state cut at %d, want %d", h.Next(a), len(w.slots[a]))
				}
			})
		})
	}
}

func TestCut_LogStartsRiseAndWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b := w.openJournal(), w.openJournal()
		p := topic.Partition{Topic: w.createTopic(a)}
		for range 9 {
			w.write(a, p)
		}
		w.move(p, b)
		w.write(b)
		end := w.ends[p]
		w.slots[b][0].LogStarts = []segment.LogStart{{Partition: p, Start: end - 1}}
		one := w.agent(a, w.bucket, Config{})
		w.lag[a] = 5
		r := one.build(t)
		h, err := checkpoint.ReadHead(t.Context(), w.bucket, r.Control, r.ID)
		if err != nil {
			t.Fatal(err)
		}
		if h.Next(b) != 0 || h.Start(p) != 0 {
			t.Errorf("journal b up to %d, log start %d: it lies behind the end", h.Next(b), h.Start(p))
		}
		w.agent(b, w.bucket, Config{}).verifyNewest(t)
		w.lag[a] = 0
		if r, err = one.Build(t.Context()); err != nil {
			t.Fatal(err)
		}
		if h, err = checkpoint.ReadHead(t.Context(), w.bucket, r.Control, r.ID); err != nil {
			t.Fatal(err)
		}
		if h.Next(b) != 1 || h.Start(p) != end-1 || h.End(p) != end {
			t.Errorf("journal b up to %d, partition [%d,%d), want [%d,%d)", h.Next(b), h.Start(p), h.End(p), end-1, end)
		}
		rows := 0
		err = h.Rows(t.Context(), w.bucket, func(row checkpoint.Row) error { rows += len(row.Entries); return nil })
		if err != nil || rows != 1 {
			t.Errorf("%d extents behind the log start, want 1: %v", rows, err)
		}
		w.agent(b, w.bucket, Config{}).verifyNewest(t)
	})
}

func TestBuild_ALogThatContradictsItselfIsNoCheckpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.openJournal()
		p := topic.Partition{Topic: w.createTopic(a)}
		w.write(a, p)
		w.write(a, p)
		w.slots[a][1].Extents[0].Base--
		if _, err := w.agent(a, w.bucket, Config{}).Build(t.Context()); !errors.Is(err, segment.ErrCorrupt) {
			t.Errorf("got %v, want segment.ErrCorrupt", err)
		}
		if len(w.state.Checkpoints()) > 0 {
			t.Error("there is a checkpoint")
		}
	})
}

// A builder that reads something else than the log gets no checkpoint that counts.
func TestVerify_WhatTheLogDoesNotSayIsRefused(t *testing.T) {
	for name, lie := range map[string]func(x *segment.SlotExtents){
		"crc":       func(x *segment.SlotExtents) { x.Extents[0].CRC32C++ },
		"position":  func(x *segment.SlotExtents) { x.Extents[0].Position++ },
		"end":       func(x *segment.SlotExtents) { x.Extents[0].Next++ },
		"producer":  func(x *segment.SlotExtents) { x.Producers[0].ProducerID += 5 },
		"no delta":  func(x *segment.SlotExtents) { x.Producers = nil },
		"no extent": func(x *segment.SlotExtents) { x.Extents = nil; x.Producers = nil },
		"log start": func(x *segment.SlotExtents) {
			x.LogStarts = []segment.LogStart{{Partition: x.Extents[0].Partition, Start: 2}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				a, b := w.openJournal(), w.openJournal()
				p := topic.Partition{Topic: w.createTopic(a)}
				for range 5 {
					w.write(a, p)
				}
				liar := w.agent(a, w.bucket, Config{})
				liar.lie = func(_ topic.JournalID, x segment.SlotExtents) segment.SlotExtents {
					if x.Slot == 4 {
						x.Extents, x.Producers = slices.Clone(x.Extents), slices.Clone(x.Producers)
						lie(&x)
					}
					return x
				}
				if _, err := liar.Build(t.Context()); err != nil {
					t.Fatal(err)
				}
				honest := w.agent(b, w.bucket, Config{})
				if err := honest.Verify(t.Context(), w.pending(t)); !errors.Is(err, ErrMismatch) {
					t.Fatalf("got %v, want ErrMismatch", err)
				}
				if _, ok := w.state.NewestCheckpoint(); ok {
					t.Fatal("it counts")
				}
				honest.build(t) // and another one takes its place
				w.agent(a, w.bucket, Config{}).verifyNewest(t)
			})
		})
	}
}

func (w *world) keys(t *testing.T, prefix string) []string {
	t.Helper()
	var keys []string
	err := w.bucket.List(t.Context(), prefix, func(o objectstore.Info) error { keys = append(keys, o.Key); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// spoil changes the bytes of an object, or removes it.
func (w *world) spoil(t *testing.T, key string, mangle func([]byte) []byte) {
	t.Helper()
	b, err := w.bucket.Get(t.Context(), key)
	if err == nil {
		err = w.bucket.Delete(t.Context(), key)
	}
	if err != nil {
		t.Fatal(err)
	}
	if b = mangle(b); b != nil {
		if err := w.bucket.Create(t.Context(), key, objectstore.NewBody(b)); err != nil {
			t.Fatal(err)
		}
	}
}

var damages = map[string]func([]byte) []byte{
	"missing":   func([]byte) []byte { return nil },
	"truncated": func(b []byte) []byte { return b[:len(b)*2/3] },
	"flipped":   func(b []byte) []byte { b[len(b)-9] ^= 16; return b },
}

// busy lets some agents work on a cluster that has two verified checkpoints and some slots more.
func busy(t *testing.T) (w *world, one, two *agent, p topic.Partition) {
	t.Helper()
	w = newWorld(t)
	a, b := w.openJournal(), w.openJournal()
	p = topic.Partition{Topic: w.createTopic(a)}
	one, two = w.agent(a, w.bucket, Config{}), w.agent(b, w.bucket, Config{})
	for range 2 {
		for range 30 {
			w.write(a, p)
		}
		one.build(t)
		two.verifyNewest(t)
	}
	for range 5 {
		w.write(a, p)
	}
	return w, one, two, p
}

func TestVerify_DamagedObjectsAreFoundOut(t *testing.T) {
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, one, two, _ := busy(t)
				before := w.keys(t, checkpoint.Prefix)
				one.build(t)
				tried := 0
				for _, key := range w.keys(t, checkpoint.Prefix) {
					if slices.Contains(before, key) {
						continue
					}
					tried++
					whole, err := w.bucket.Get(t.Context(), key)
					if err != nil {
						t.Fatal(err)
					}
					w.spoil(t, key, damage)
					err = two.Verify(t.Context(), w.pending(t))
					if !errors.Is(err, ErrMismatch) || !strings.Contains(err.Error(), key) {
						t.Errorf("%s: got %v, want ErrMismatch that names it", key, err)
					}
					_ = w.bucket.Delete(t.Context(), key)
					if err := w.bucket.Create(t.Context(), key, objectstore.NewBody(whole)); err != nil {
						t.Fatal(err)
					}
				}
				if tried < 2 {
					t.Fatalf("%d objects were damaged", tried)
				}
				two.verifyNewest(t)
			})
		})
	}
}

// A part that stays from the checkpoint before must be there still, too. Its twin mends it; without that nothing does.
func TestVerify_AMissingOldPartIsMendedOrFoundOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, one, two, _ := busy(t)
		r := one.build(t)
		h, err := checkpoint.ReadHead(t.Context(), w.bucket, r.Control, r.ID)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(h.Parts, func(p checkpoint.PartRef) bool { return p.Planned < h.Control })
		if i < 0 {
			t.Fatal("no part stayed")
		}
		whole, err := w.bucket.Get(t.Context(), h.Parts[i].Key())
		if err != nil {
			t.Fatal(err)
		}
		for _, damage := range []string{"missing", "truncated"} {
			for _, key := range h.Parts[i].Keys() {
				w.spoil(t, key, damages[damage])
				if err := h.Parts[i].Present(t.Context(), w.bucket); err != nil {
					t.Fatalf("%s %s: %v", key, damage, err)
				}
				if mended, err := w.bucket.Get(t.Context(), key); err != nil || !bytes.Equal(mended, whole) {
					t.Fatalf("%s %s: %d bytes, %v; want %d", key, damage, len(mended), err, len(whole))
				}
			}
		}
		w.spoil(t, h.Parts[i].Twin(), damages["missing"])
		w.spoil(t, h.Parts[i].Key(), damages["missing"])
		if err := two.Verify(t.Context(), w.pending(t)); !errors.Is(err, ErrMismatch) || !errors.Is(err, checkpoint.ErrMissing) {
			t.Errorf("got %v, want ErrMismatch of a missing object", err)
		}
	})
}

// With the newest checkpoint damaged the next one is computed from the one before, and with that one damaged too from the
// beginning of the log (G1).
func TestBuild_DamagedCheckpointsArePassedOver(t *testing.T) {
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, _, _, p := busy(t)
				all := w.state.Checkpoints()
				a, b := w.state.OpenJournals()[0].ID, w.state.OpenJournals()[1].ID
				for i, previous := range []topic.Slot{all[0].Control, 0} {
					w.spoil(t, nameOf(all[1-i]).Key(), damage)
					r := w.agent(a, w.bucket, Config{}).build(t)
					h, err := checkpoint.ReadHead(t.Context(), w.bucket, r.Control, r.ID)
					if err != nil {
						t.Fatal(err)
					}
					if h.Previous != previous || r.Previous != all[1].Control || h.End(p) != w.ends[p] {
						t.Errorf("computed from %d to %d, appended behind %d; want %d, %d, %d", h.Previous, h.End(p), r.Previous, previous, w.ends[p], all[1].Control)
					}
				}
				w.agent(b, w.bucket, Config{}).verifyNewest(t)
			})
		})
	}
}

// Every call to the store fails once, before and after it took effect, and comes damaged once.
func TestBuildAndVerify_EveryCallFailsOnce(t *testing.T) {
	calls := 0
	run := func(t *testing.T, script faulty.Script) {
		w, _, _, _ := busy(t)
		a, b := w.state.OpenJournals()[0].ID, w.state.OpenJournals()[1].ID
		store := faulty.New(w.bucket, script)
		state := w.state
		r, err := w.agent(a, store, Config{}).Build(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		w.check(state, r)
		w.agent(b, store, Config{}).verifyNewest(t)
		calls = len(store.Calls())
	}
	synctest.Test(t, func(t *testing.T) { run(t, faulty.None) })
	if calls < 8 {
		t.Fatalf("%d calls", calls)
	}
	for n := 1; n <= calls; n++ {
		for name, f := range map[string]faulty.Fault{
			"before": {Before: faulty.ErrRefused}, "after": {After: faulty.ErrLost}, "flipped": {Mangle: faulty.FlipBit(-7)},
		} {
			t.Run(fmt.Sprintf("%d-%s", n, name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { run(t, faulty.Nth(n, f)) })
			})
		}
	}
}

func TestBuild_WhoComesSecondLosesAndCostsGarbageOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, one, two, _ := busy(t)
		raced := false
		race := &racing{agent: one, before: func() {
			if !raced {
				raced = true
				two.build(t)
			}
		}}
		one.Compactor.log = race
		if _, err := one.Build(t.Context()); !errors.Is(err, ErrLost) {
			t.Errorf("got %v, want ErrLost", err)
		}
		if s := one.Stats(); s.Lost != 1 || s.Built != 2 {
			t.Errorf("stats %+v", s)
		}
		one.verifyNewest(t)
		if _, err := one.Build(t.Context()); !errors.Is(err, ErrNothing) {
			t.Errorf("another one at once: got %v, want ErrNothing", err)
		}
	})
}

// racing is an agent that another one is faster than.
type racing struct {
	*agent
	before func()
}

func (r *racing) Propose(ctx context.Context, decide func(*control.State) ([]control.Record, error)) ([]control.Outcome, error) {
	r.before()
	return r.agent.Propose(ctx, decide)
}

// A checkpoint that takes in too much at once is made of several.
func TestBuild_ALongLogTakesSeveralCheckpoints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.openJournal()
		p := topic.Partition{Topic: w.createTopic(a)}
		for range 300 {
			w.write(a, p)
		}
		one := w.agent(a, w.bucket, Config{MostExtents: 100})
		for n := topic.Slot(100); n <= 300; n += 100 {
			if _, err := one.Build(t.Context()); err != nil {
				t.Fatal(err)
			}
			one.verifyNewest(t)
			if newest, _ := w.state.NewestCheckpoint(); newest.Next(a) != n {
				t.Errorf("checkpoint up to slot %d, want %d", newest.Next(a), n)
			}
		}
	})
}
