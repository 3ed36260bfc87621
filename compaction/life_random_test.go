package compaction

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/objectstore/faulty"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

// grow lets something happen in the cluster that has bytes.
func (w *stored) grow(rng *rand.Rand) {
	open := w.state.OpenJournals()
	if len(open) < 2 {
		w.openJournal()
		return
	}
	mine, other := open[rng.IntN(len(open))].ID, open[rng.IntN(len(open))].ID
	owned := w.state.PartitionsOf(mine)
	switch n := rng.IntN(60); {
	case n == 0 && len(open) < 4:
		w.openJournal()
	case n == 1 || len(owned) == 0:
		w.createTopic(mine, other, mine)
	case n == 2 && other != mine:
		w.sealStored(mine, other)
	case n == 3 && len(w.ends) > 6:
		w.append(control.TopicDelete{ID: owned[rng.IntN(len(owned))].Partition.Topic})
	case n < 8 && other != mine:
		p := owned[rng.IntN(len(owned))].Partition
		a, _ := w.state.Owner(p)
		w.put(mine, 50, p)
		w.append(control.Assign{Partition: p, OldEpoch: a.Epoch, ToJournal: other, Base: w.ends[p], Released: topic.Slot(len(w.slots[mine]) - 1)})
	case n < 11:
		if p := owned[rng.IntN(len(owned))].Partition; w.ends[p] > w.starts[p] {
			w.raise(p, w.starts[p]+1+topic.Offset(rng.IntN(int(w.ends[p]-w.starts[p]))))
		}
	default:
		var some []topic.Partition
		for _, a := range owned {
			if rng.IntN(2) == 0 {
				some = append(some, a.Partition)
			}
		}
		w.put(mine, 20+rng.IntN(400), some...)
	}
}

// In whatever way the cluster grows, and whatever fails of two agents' work, every byte above the log start can be read as
// it was written, every checkpoint is computed twice alike, nobody reads a slot below TRIM, and in the end there is nothing
// left but what is needed.
func TestLife_HistoriesAtRandom(t *testing.T) {
	jobs := [kinds]int64{}
	deleted, failed, lost := int64(0), int64(0), int64(0)
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(seed, 7))
				w := newStored(t)
				cfg := soon()
				cfg.Merge = MergeConfig{Interval: 20 * time.Minute, InputBytes: 4 << 10, Objects: 3, ObjectBytes: 8 << 10, RestBytes: 4 << 10, Codec: cfg.Merge.Codec}
				cfg.MostExtents, cfg.Grace = 1<<20, time.Hour
				store := faulty.New(w.bucket, func(faulty.Call) faulty.Fault {
					switch rng.IntN(120) {
					case 0:
						return faulty.Fault{Before: faulty.ErrDown}
					case 1:
						return faulty.Fault{After: faulty.ErrLost}
					case 2:
						return faulty.Fault{Mangle: faulty.FlipBit(rng.IntN(1 << 20))}
					}
					return faulty.Fault{}
				})
				agents := []*agent{w.agent(w.openJournal(), store, cfg), w.agent(w.openJournal(), store, cfg)}
				for round := range 60 {
					for range rng.IntN(12) {
						w.grow(rng)
					}
					time.Sleep(time.Duration(rng.IntN(40)) * time.Minute)
					for i := range agents {
						if s, ok := w.state.Journal(agents[i].journal); !ok || s.Sealed { // its process began anew
							open := w.state.OpenJournals()
							agents[i] = w.agent(open[rng.IntN(len(open))].ID, store, cfg)
						}
					}
					a, b := agents[round%2], agents[(round+1)%2]
					if rng.IntN(3) > 0 {
						if _, err := a.Build(t.Context()); err == nil {
							err = b.Verify(t.Context(), w.pending(t))
							if errors.Is(err, ErrMismatch) && !errors.Is(err, faulty.ErrDown) {
								t.Fatal(err)
							}
						}
					}
					a.cfg.MostExtents = 1 + rng.IntN(200)
					if rng.IntN(3) == 0 { // the other one does the same meanwhile
						a.before = func() { a.before = nil; b.Compact(t.Context()) }
					}
					for n := range 10 {
						ctx, die := context.WithCancel(t.Context())
						switch rng.IntN(12) {
						case 0:
							die()
						case 1:
							store.Cut()
						}
						did, _ := a.Compact(ctx)
						die()
						store.Mend()
						if !did && n > 1 {
							break
						}
					}
					a.before, a.cfg.MostExtents = nil, 1<<20
					a.Trim(t.Context())
					a.Sweep(t.Context())
					a.Collect(t.Context())
					w.named(t, w.state)
					w.readAll()
				}
				store.SetScript(faulty.None)
				last := w.agent(w.state.OpenJournals()[0].ID, store, cfg)
				for round := range 60 { // nothing comes any more but what it takes to go on
					if round < 6 {
						for _, j := range w.state.OpenJournals() {
							if owned := w.state.PartitionsOf(j.ID); len(owned) > 0 {
								w.put(j.ID, 10, owned[0].Partition)
							}
						}
					}
					w.checkpointed(t, last, last)
					last.look(t)
					if n := last.compactAll(t); round > 20 && n > 0 {
						t.Errorf("round %d: %d jobs still", round, n)
					}
					if err := errors.Join(last.Trim(t.Context()), last.Sweep(t.Context()), last.Collect(t.Context())); err != nil {
						t.Fatal(err)
					}
				}
				w.readAll()
				for _, key := range w.keys(t, topic.CompactedPrefix) {
					o, err := topic.ParseObjectKey(key)
					if _, ok := w.state.Object(o); err != nil || !ok {
						t.Errorf("%s is left, nothing names it, %v", key, err)
					}
				}
				for _, key := range w.keys(t, slotlog.JournalsPrefix) {
					id, slot, err := slotlog.ParseJournalKey(key)
					j, ok := w.state.Journal(id)
					if newest, _ := w.state.NewestCheckpoint(); err != nil || !ok || slot < j.Trim || slot < newest.Next(id) {
						t.Errorf("%s is left, trim is %d of %d, %v", key, j.Trim, newest.Next(id), err)
					}
				}
				for _, a := range append(agents, last) {
					s := a.Stats()
					for k := range jobs {
						jobs[k] += s.Jobs[k]
					}
					deleted, failed, lost = deleted+s.GarbageObjects, failed+s.JobsFailed, lost+s.JobsLost
				}
			})
		})
	}
	if jobs[FromSlots] < 20 || jobs[FromRuns] < 10 || jobs[Drop] < 3 || deleted < 500 || failed < 5 || lost < 3 {
		t.Errorf("jobs %v, %d deleted, %d failed, %d lost: too little was tried", jobs, deleted, failed, lost)
	}
}
