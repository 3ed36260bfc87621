package compaction

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/faulty"
	"github.com/odradek/odradek/objectstore/meter"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

// filled is a world with slots of two journals in two checkpoints, due to be compacted.
func filled(t *testing.T, slots int) (*stored, []topic.Partition) {
	w := newStored(t)
	a, b := w.openJournal(), w.openJournal()
	all := parts(w.createTopic(a, a, b, b), 4)
	maker := w.agent(a, w.bucket, soon())
	for range 2 {
		for range slots / 4 {
			w.put(a, 300, all[0], all[1])
			w.put(b, 300, all[2], all[3])
		}
		w.checkpointed(t, maker, maker)
	}
	time.Sleep(5 * time.Minute)
	return w, all
}

// failing is an agent whose compactor meets faults, and has looked at its groups long enough ago for all of them to be its.
func (w *stored) failing(t *testing.T, script faulty.Script) (*agent, *faulty.Store) {
	f := faulty.New(w.bucket, faulty.None)
	a := w.agent(w.state.OpenJournals()[0].ID, f, soon())
	a.look(t)
	f.SetScript(script)
	return a, f
}

// look has an agent see its groups, and lets so much time go by that all work is due and its own.
func (a *agent) look(t *testing.T) {
	t.Helper()
	a.groups.look(a.w.state, time.Now())
	time.Sleep(time.Hour)
}

// A compactor that fails at any of its calls, before the call took effect or after, leaves what can be read as it was; the
// next one does the job, and what the first one left behind goes in the end.
func TestCompact_FailingAtEachCall(t *testing.T) {
	for _, after := range []bool{false, true} {
		for n := 1; ; n++ {
			done := false
			synctest.Test(t, func(t *testing.T) {
				w, _ := filled(t, 8)
				ctx, die := context.WithCancel(t.Context())
				calls := 0
				a, _ := w.failing(t, func(faulty.Call) faulty.Fault {
					if calls++; calls != n {
						return faulty.Fault{}
					}
					die() // the process is gone with this call
					if after {
						return faulty.Fault{After: faulty.ErrLost}
					}
					return faulty.Fault{Before: faulty.ErrDown}
				})
				for {
					did, err := a.Compact(ctx)
					if err != nil && !errors.Is(err, context.Canceled) && ctx.Err() == nil {
						t.Fatalf("call %d: %v", n, err)
					}
					if !did || ctx.Err() != nil {
						break
					}
				}
				done = calls < n
				w.readAll()
				w.named(t, w.state)
				next := w.agent(w.state.OpenJournals()[1].ID, w.bucket, soon())
				next.look(t)
				next.compactAll(t)
				if at := w.readAll(); at.slots != 0 {
					t.Fatalf("call %d: %d extents are read from slots still", n, at.slots)
				}
				w.swept(t, next)
				w.readAll()
			})
			if done {
				if n < 10 {
					t.Fatalf("only %d calls", n)
				}
				break
			}
		}
	}
}

// swept has an agent look for garbage until no object is left that nothing names.
func (w *stored) swept(t *testing.T, a *agent) {
	t.Helper()
	j := w.state.OpenJournals()[0].ID
	for range 40 {
		if err := a.Collect(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Hour)
		owned := w.state.PartitionsOf(j)
		w.put(j, 10, owned[0].Partition)
		w.checkpointed(t, a, a)
	}
	for _, key := range w.keys(t, topic.CompactedPrefix) {
		o, err := topic.ParseObjectKey(key)
		if _, ok := w.state.Object(o); err != nil || !ok {
			t.Fatalf("%s is left, nothing names it, %v", key, err)
		}
	}
}

// Of two who do the same job one is void as it is applied, and its output goes once a SWEEP made sure that it stays void.
func TestCompact_OfTwoOneLoses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := filled(t, 24)
		slow, fast := w.agent(w.state.OpenJournals()[0].ID, w.bucket, soon()), w.agent(w.state.OpenJournals()[1].ID, w.bucket, soon())
		slow.look(t)
		fast.look(t)
		slow.before = func() { // its output is written, and its MANIFEST comes second
			slow.before = nil
			fast.compactAll(t)
		}
		if did, err := slow.Compact(t.Context()); !did || !errors.Is(err, ErrLost) {
			t.Fatalf("did %t, %v; want that it lost", did, err)
		}
		if s := slow.Stats(); s.JobsLost != 1 {
			t.Errorf("stats %+v", s)
		}
		if have, named := len(w.keys(t, topic.CompactedPrefix)), objects(w.state); have != named+1 {
			t.Fatalf("%d objects, %d named; want one orphan", have, named)
		}
		w.readAll()
		if w.state.Swept() != 0 {
			t.Fatal("swept")
		}
		if err := fast.Collect(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(23 * time.Hour)
		if err := fast.Collect(t.Context()); err != nil || len(w.keys(t, topic.CompactedPrefix)) != objects(w.state)+1 {
			t.Fatalf("the orphan went before a SWEEP, %v", err)
		}
		w.swept(t, fast)
		if w.state.Swept() == 0 {
			t.Error("no SWEEP")
		}
		w.readAll()
	})
}

func objects(s *control.State) (n int) {
	for range s.Objects() {
		n++
	}
	return n
}

// Of a job that takes longer than a SWEEP waits, the MANIFEST is void (G5): its output may be gone.
func TestCompact_ASlowJobIsVoidAfterSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := filled(t, 24)
		slow := w.agent(w.state.OpenJournals()[0].ID, w.bucket, soon())
		slow.look(t)
		slow.before = func() {
			slow.before = nil
			w.append(control.Sweep{Before: w.state.Next()})
		}
		if _, err := slow.Compact(t.Context()); !errors.Is(err, ErrLost) {
			t.Fatalf("%v, want that it lost", err)
		}
		if n := objects(w.state); n != 0 {
			t.Errorf("%d objects are named", n)
		}
		w.readAll()
	})
}

// What is damaged or missing is left as it is: no MANIFEST, no TRIM past it, an error that says so, and other groups go on.
func TestCompact_DamagedInputStays(t *testing.T) {
	for _, test := range []struct {
		name string
		do   func(w *stored, key string)
	}{
		{"a flipped bit", func(w *stored, key string) {
			b, err := w.bucket.Get(w.t.Context(), key)
			if err != nil {
				w.t.Fatal(err)
			}
			b[100] ^= 4
			w.replace(key, b)
		}},
		{"a slot that is gone", func(w *stored, key string) { w.replace(key, nil) }},
		{"a slot cut short", func(w *stored, key string) { w.replace(key, []byte("short")) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, all := filled(t, 24)
				owner, _ := w.state.Owner(all[0])
				test.do(w, slotlog.JournalKey(owner.Journal, 3))
				a := w.agent(w.state.OpenJournals()[0].ID, w.bucket, soon())
				a.look(t)
				for range 12 {
					a.Compact(t.Context())
					if err := a.Trim(t.Context()); err != nil {
						t.Fatal(err)
					}
					time.Sleep(10 * time.Minute)
				}
				if s := a.Stats(); s.JobsDamaged < 2 || s.JobsDamaged != s.JobsFailed || s.Jobs[FromSlots] != 1 {
					t.Errorf("stats %+v", s)
				}
				for _, p := range all {
					a, _ := w.state.Owner(p)
					if end := w.state.Compaction(p).End; (end == 0) != (a.Journal == owner.Journal) {
						t.Errorf("%s is compacted up to %d", p, end)
					}
				}
				if j, _ := w.state.Journal(owner.Journal); j.Trim != 0 {
					t.Errorf("trimmed to %d", j.Trim)
				}
			})
		})
	}
}

// replace puts other bytes under a key, or none.
func (w *stored) replace(key string, b []byte) {
	w.t.Helper()
	err := w.bucket.Delete(w.t.Context(), key)
	if err == nil && b != nil {
		err = w.bucket.Create(w.t.Context(), key, objectstore.NewBody(b))
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// What came damaged is asked for again (C2).
func TestCompact_DamageOnTheWayIsReadAgain(t *testing.T) {
	for _, kind := range []Kind{FromSlots, FromRuns} {
		t.Run(kind.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, _ := filled(t, 24)
				n := 0
				a, f := w.failing(t, faulty.None)
				if kind == FromRuns {
					a.cfg.Merge.Objects = 1 << 20
					a.compactAll(t)
					a.cfg.Merge.Objects = 1
					a.look(t)
				}
				f.SetScript(func(c faulty.Call) faulty.Fault {
					if c.Kind != objectstore.KindGetRange {
						return faulty.Fault{}
					}
					if n++; n%3 != 0 {
						return faulty.Fault{Mangle: faulty.FlipBit(n * 1234)}
					}
					return faulty.Fault{}
				})
				a.compactAll(t)
				if s := a.Stats(); s.Jobs[kind] == 0 || s.JobsFailed > 0 {
					t.Errorf("stats %+v", s)
				}
				if at := w.readAll(); at.slots != 0 {
					t.Errorf("%d extents are read from slots still", at.slots)
				}
			})
		})
	}
}

// While no era is open nothing is compacted, trimmed or deleted (R4).
func TestCompact_NotWithoutAnEra(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := filled(t, 24)
		a := w.agent(w.state.OpenJournals()[0].ID, w.bucket, soon())
		a.look(t)
		a.cfg.Open = func() bool { return false }
		before := w.state
		if did, err := a.Compact(t.Context()); did || err != nil {
			t.Errorf("compacted: %t, %v", did, err)
		}
		if err := errors.Join(a.Trim(t.Context()), a.Collect(t.Context())); err != nil || w.state != before {
			t.Errorf("state %p, was %p; %v", w.state, before, err)
		}
	})
}

// What compaction costs at 1/128 of the default sizes, with a thousand partitions in all slots and records that cannot be
// packed: bytes written for each that was ingested, requests for each GiB at full size, and how many runs are left.
func TestCompact_Amplification(t *testing.T) {
	const scale, partitions = 128, 1000
	w := newStored(t)
	w.noise = true
	j := w.openJournal()
	m, err := meter.New(w.bucket, prometheus.NewRegistry(), meter.Free)
	if err != nil {
		t.Fatal(err)
	}
	cfg := soon()
	cfg.Merge = MergeConfig{Interval: time.Hour, Slots: 1 << 20}.withDefaults()
	for _, size := range []*int64{&cfg.Merge.Bytes, &cfg.Merge.InputBytes, &cfg.Merge.ReadBytes, &cfg.Merge.GatherBytes, &cfg.Merge.ObjectBytes, &cfg.Merge.RestBytes} {
		*size /= scale
	}
	cfg.Merge.InputBytes, cfg.Merge.ObjectBytes = 120<<20/scale, 240<<20/scale // as an agent does it
	a := w.agent(j, m, cfg)
	all := parts(w.createTopic(journalsOf(j, partitions)...), partitions)
	sent := func() int64 { return m.Bytes(objectstore.KindCreate) + m.Bytes(objectstore.KindPart) }
	asked := func() int64 { return m.AllRequests(objectstore.KindGet) + m.AllRequests(objectstore.KindGetRange) }
	gets, bytes := int64(0), int64(0)
	perGiB := func() float64 { return float64(runsOf(w.state)) * (1 << 30) / float64(w.written) / scale }
	gathered := 0.0
	for first := true; a.Stats().Jobs[FromRuns] == 0; first = false {
		if !first {
			gathered = max(gathered, perGiB())
		}
		for i := range 128 { // slots of 8 MiB at full size; eight jobs from one checkpoint to the next, as under load
			from := i % 8 * partitions / 8
			w.put(j, 400, all[from:from+partitions/8]...)
		}
		w.checkpointed(t, a, a)
		g, b := asked(), sent()
		a.compactAll(t)
		gets, bytes = gets+asked()-g, bytes+sent()-b
	}
	puts := int64(0)
	for _, info := range everyObject(t, w) {
		if puts += 2; info.Size*scale > 2*objectstore.PartSize { // it and its MANIFEST
			puts += 1 + (info.Size*scale+objectstore.PartSize-1)/objectstore.PartSize
		}
	}
	gib := float64(w.written) * scale / (1 << 30)
	s := a.Stats()
	amplification := float64(bytes) / float64(w.written)
	dollars := float64(puts)/gib*0.005/1000 + float64(gets)/gib*0.0004/1000
	t.Logf("%.2f GiB at full size, jobs %v: %.2f bytes written for each, %.0f PUTs and %.0f GETs for each GiB, $%.5f; %.0f runs per GiB, %.0f before they are merged",
		gib, s.Jobs, amplification, float64(puts)/gib, float64(gets)/gib, dollars, perGiB(), gathered)
	if amplification > 2.2 || dollars > 0.0005 {
		t.Errorf("%.2f bytes written for each, $%.5f for each GiB", amplification, dollars)
	}
	if s.Jobs[FromRuns] < 20 || perGiB() > 250 {
		t.Errorf("jobs %v, %.0f runs per GiB", s.Jobs, perGiB())
	}
	w.read(all[0])
	w.read(all[partitions-1])
}

func runsOf(s *control.State) (n int) {
	for _, c := range s.Compactions() {
		n += len(c.Runs)
	}
	return n
}

// everyObject gives all compacted objects there are.
func everyObject(t *testing.T, w *stored) map[topic.Object]objectstore.Info {
	t.Helper()
	out := make(map[topic.Object]objectstore.Info)
	err := w.bucket.List(t.Context(), topic.CompactedPrefix, func(info objectstore.Info) error {
		o, err := topic.ParseObjectKey(info.Key)
		out[o] = info
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A partition alone rests at once: it is written once more, not twice.
func TestCompact_LargeRunsRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newStored(t)
		j := w.openJournal()
		cfg := soon()
		cfg.Merge = MergeConfig{Bytes: 1 << 20, Interval: time.Hour, InputBytes: 1 << 20, Objects: 4, ObjectBytes: 4 << 20, RestBytes: 256 << 10, Codec: segment.S2}
		a := w.agent(j, w.bucket, cfg)
		p := parts(w.createTopic(j), 1)
		for range 80 {
			w.put(j, 100<<10, p...)
		}
		w.checkpointed(t, a, a)
		a.compactAll(t)
		if s := a.Stats(); s.Jobs[FromSlots] < 3 || s.Jobs[FromRuns] != 0 {
			t.Errorf("jobs %v", s.Jobs)
		}
		w.readAll()
	})
}

// Retention and deletion of topics give bytes back: runs below the log start go, and objects of which little is left are
// written anew.
func TestLife_BytesComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newStored(t)
		j := w.openJournal()
		cfg := soon()
		cfg.Merge.RestBytes, cfg.Merge.Objects, cfg.Merge.ObjectBytes = 1<<20, 2, 8<<20
		a := w.agent(j, w.bucket, cfg)
		kept, gone := w.createTopic(j, j), w.createTopic(journalsOf(j, 6)...)
		all := append(parts(kept, 2), parts(gone, 6)...)
		for range 6 {
			for range 40 {
				w.put(j, 9<<10, all...)
			}
			w.checkpointed(t, a, a)
			a.look(t)
			a.compactAll(t)
		}
		full, _ := w.size(t, topic.CompactedPrefix)
		w.append(control.TopicDelete{ID: gone})
		w.raise(all[0], w.ends[all[0]]-3)
		for range 30 {
			w.put(j, 10, all[1])
			w.checkpointed(t, a, a)
			a.look(t)
			a.compactAll(t)
			if err := errors.Join(a.Trim(t.Context()), a.Collect(t.Context())); err != nil {
				t.Fatal(err)
			}
		}
		left, _ := w.size(t, topic.CompactedPrefix)
		slots, _ := w.size(t, slotlog.JournalsPrefix)
		s := a.Stats()
		t.Logf("%d KiB of runs, %d after; jobs %v, %d KiB of slots left", full>>10, left>>10, s.Jobs, slots>>10)
		if left > full/5 || slots > full/20 || s.Jobs[Drop] == 0 || s.Jobs[Rewrite] == 0 {
			t.Errorf("%d of %d bytes of runs are left, %d of slots, jobs %v", left, full, slots, s.Jobs)
		}
		w.read(all[0])
		w.read(all[1])
	})
}
