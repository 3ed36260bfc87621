package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/metadata/embedded"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/faulty"
	"github.com/odradek/odradek/objectstore/memory"
	"github.com/odradek/odradek/topic"
)

// Two agents append at once: every record is decided once, on what is so at its number (S4).
func TestPropose_TwoEnginesOnOneStore(t *testing.T) {
	store, meta := memory.New(), embedded.Open()
	cfg := Config{Window: 4}
	var engines [2]*Engine
	for i := range engines {
		engines[i] = New(cfg, store, meta)
		defer engines[i].Stop()
		if err := engines[i].Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		engines[i].journal = NewJournalID()
		if err := engines[i].open(t.Context(), engines[i].journal, 0, nil, History{}); err != nil {
			t.Fatal(err)
		}
	}
	const topics = 40
	var wg sync.WaitGroup
	var mu sync.Mutex
	made := make(map[string]int)
	var ids []int64
	for i, e := range engines {
		wg.Go(func() {
			for n := range topics {
				name := fmt.Sprint("both-", n)
				switch _, err := e.CreateTopic(t.Context(), NewTopic{Name: name, Partitions: 2}); {
				case err == nil:
					mu.Lock()
					made[name]++
					mu.Unlock()
				case !errors.Is(err, ErrTopicExists):
					t.Errorf("agent %d: %v", i, err)
				}
				if _, err := e.CreateTopic(t.Context(), NewTopic{Name: fmt.Sprint("own-", i, "-", n), Partitions: 1}); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			source := NewProducerIDs(e)
			for range 3 * producerBlock {
				id, err := source.Next(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				ids = append(ids, id)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for name, n := range made {
		if n != 1 {
			t.Errorf("topic %s was made %d times", name, n)
		}
	}
	if len(made) != topics {
		t.Errorf("%d topics of both, want %d", len(made), topics)
	}
	slices.Sort(ids)
	if n := len(ids); n != len(slices.Compact(ids)) {
		t.Errorf("%d producer ids, some given twice", n)
	}
	for i, e := range engines {
		if err := e.CatchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := e.State().TopicCount(); n != 3*topics {
			t.Errorf("agent %d knows %d topics, want %d", i, n, 3*topics)
		}
	}
	if a, b := engines[0].State().Next(), engines[1].State().Next(); a != b {
		t.Errorf("agents stand at %d and %d", a, b)
	}
}

func TestIndex_FollowsTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, meta := memory.New(), embedded.Open()
		o := boot(t, store, meta)
		o.running(t, o.Index)
		ps := o.topicOf(t, "orders", 3)
		for i := range 200 {
			o.write(t, store, ps[i%3])
			if i == 100 {
				ps = append(ps, o.topicOf(t, "more", 1)...)
				o.write(t, store, ps[3])
			}
		}
		time.Sleep(time.Second)
		inStep(t, meta, o.Engine, o.next)
		if n := o.Behind(); n != 0 {
			t.Errorf("%d slots behind", n)
		}
		if err := o.DeleteTopic(t.Context(), ps[3].Topic); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		newest, _ := o.State().NewestEra()
		if ends, err := meta.Ends(t.Context(), pinOf(newest), ps[3:]); err != nil || ends[0].Known {
			t.Errorf("a deleted topic's partition is %+v, %v", ends, err)
		}
		if newest.Number != 1 {
			t.Errorf("%d eras in quiet times, want 1", newest.Number)
		}
	})
}

// With Redis away slots wait, more than memory keeps and in spite of control records; then all of it is indexed.
func TestIndex_RedisAwayThenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, meta := memory.New(), &redis{Store: embedded.Open()}
		o := boot(t, store, meta)
		o.running(t, o.Index)
		p := o.topicOf(t, "orders", 1)[0]
		o.write(t, store, p)
		time.Sleep(2 * time.Second)
		meta.away.Store(true)
		for range queueSlots + 300 {
			o.write(t, store, p)
		}
		gone := o.topicOf(t, "made and deleted meanwhile", 1)[0]
		o.write(t, store, gone, p)
		if err := o.DeleteTopic(t.Context(), gone.Topic); err != nil {
			t.Fatal(err)
		}
		delete(o.next, gone)
		time.Sleep(time.Hour)
		if n := o.Behind(); n != queueSlots+301 {
			t.Errorf("%d slots behind, want %d", n, queueSlots+301)
		}
		meta.away.Store(false)
		time.Sleep(5 * time.Second)
		inStep(t, meta, o.Engine, o.next)
		if newest, _ := o.State().NewestEra(); newest.Number != 1 || o.Behind() != 0 {
			t.Errorf("era %d, %d slots behind; an outage is no reason to build anew", newest.Number, o.Behind())
		}
	})
}

// A Redis that lost everything gets a new era, built from the bucket, journals before this one included.
func TestIndex_EmptyRedisIsBuiltFromTheBucket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		o := boot(t, store, embedded.Open())
		stop, _ := o.running(t, o.Index)
		ps := o.topicOf(t, "orders", 2)
		for range 70 {
			o.write(t, store, ps...)
		}
		time.Sleep(time.Second)
		stop()
		meta := embedded.Open()
		o = boot(t, store, meta)
		o.running(t, o.Index)
		o.write(t, store, ps[1])
		time.Sleep(5 * time.Second)
		inStep(t, meta, o.Engine, o.next)
		if newest, _ := o.State().NewestEra(); newest.Number != 2 {
			t.Errorf("era %d, want 2", newest.Number)
		}
	})
}

// An index that contradicts the log is built anew, and one that keeps doing so does not fill the control log with eras.
func TestIndex_ContradictionBuildsAnewWithPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, meta := memory.New(), &contrary{Store: embedded.Open()}
		o := boot(t, store, meta)
		o.running(t, o.Index)
		p := o.topicOf(t, "orders", 1)[0]
		time.Sleep(time.Second)
		meta.contradict(true)
		o.write(t, store, p)
		time.Sleep(30 * time.Minute)
		newest, _ := o.State().NewestEra()
		if newest.Number < 2 || newest.Number > 45 {
			t.Errorf("%d eras in half an hour of contradictions", newest.Number)
		}
		meta.contradict(false)
		time.Sleep(2 * time.Minute)
		inStep(t, meta, o.Engine, o.next)
	})
}

// contrary is a metadata store that says conflict to every slot.
type contrary struct {
	metadata.Store
	mu sync.Mutex
	on bool
}

func (c *contrary) contradict(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.on = on
}

func (c *contrary) Index(ctx context.Context, pin metadata.Pin, n topic.Slot, s []metadata.Segment) ([]metadata.Outcome, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.on {
		return []metadata.Outcome{metadata.Conflict}, nil
	}
	return c.Store.Index(ctx, pin, n, s)
}

// Another agent's journal is open and never re-attaches: it is sealed after two leases, and the era opens.
func TestIndex_EraWaitsTwoLeasesForJournalsToReattach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, meta := memory.New(), embedded.Open()
		cfg := Config{Window: 4, Lease: time.Second}
		var engines [2]*owner // the first is silent
		for i := range engines {
			o, err := bootOnce(t.Context(), t, cfg, store, meta, nobody)
			if err != nil {
				t.Fatal(err)
			}
			engines[i] = o
		}
		e := engines[1]
		e.running(t, e.Index)
		time.Sleep(1900 * time.Millisecond)
		if e.Era() != 0 || len(openOnes(t, store, meta)) != 2 {
			t.Errorf("era %d is kept before two leases are over", e.Era())
		}
		time.Sleep(time.Second)
		newest, _ := e.State().NewestEra()
		if open := openOnes(t, store, meta); newest.Number != 1 || e.Era() != 1 || len(open) != 1 || open[0].ID != e.Journal() {
			t.Errorf("era %d named, %d kept, %d journals open; want the first one complete without the silent agent", newest.Number, e.Era(), len(open))
		}
	})
}

func TestIndex_FencedAgentNamesNoEra(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		old := boot(t, store, embedded.Open())
		boot(t, store, embedded.Open())
		old.meta = embedded.Open()
		old.running(t, old.Index)
		time.Sleep(time.Minute)
		if _, ok := old.State().NewestEra(); ok {
			t.Error("an agent whose journal is sealed named an era")
		}
	})
}

// A stuck owner stops beating, so that others take over; one whose PUTs land again goes on.
func TestIndex_StuckOwnerDoesNotBeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, meta := memory.New(), embedded.Open()
		var mu sync.Mutex
		var stuck time.Duration
		cfg := alone()
		cfg.Stuck = func() time.Duration { mu.Lock(); defer mu.Unlock(); return stuck }
		o, err := bootOnce(t.Context(), t, cfg, store, meta, nobody)
		if err != nil {
			t.Fatal(err)
		}
		o.running(t, o.Index)
		beats := func() uint64 {
			newest, _ := o.State().NewestEra()
			c, err := meta.Counters(t.Context(), pinOf(newest))
			if err != nil {
				t.Fatal(err)
			}
			return c[o.Journal()]
		}
		time.Sleep(10 * time.Second)
		before := beats()
		if before < 5 {
			t.Errorf("%d beats in 10 s", before)
		}
		mu.Lock()
		stuck = stuckPut
		mu.Unlock()
		time.Sleep(time.Minute)
		if n := beats(); n > before+1 {
			t.Errorf("%d beats while stuck", n-before)
		}
	})
}

// Every call of the store fails once while an era is built and the log is indexed.
func TestIndex_EveryStoreCallFailsOnce(t *testing.T) {
	calls := indexUnder(t, faulty.None)
	for n := 1; n <= calls; n++ {
		indexUnder(t, faulty.Nth(n, faulty.Fault{Before: faulty.ErrRefused}))
		indexUnder(t, faulty.Nth(n, faulty.Fault{After: faulty.ErrLost}))
	}
}

func indexUnder(t *testing.T, script faulty.Script) (calls int) {
	synctest.Test(t, func(t *testing.T) {
		below := memory.New()
		o := boot(t, below, embedded.Open())
		p := o.topicOf(t, "orders", 1)[0]
		for range 10 {
			o.write(t, below, p)
		}
		store, meta := faulty.New(below, nil), embedded.Open()
		again, err := bootOnce(t.Context(), t, alone(), store, meta, nobody)
		if err != nil {
			t.Fatal(err)
		}
		before := len(store.Calls())
		store.SetScript(func(c faulty.Call) faulty.Fault { c.N -= before; return script(c) })
		again.running(t, again.Index)
		again.running(t, again.Follow)
		again.write(t, below, p)
		time.Sleep(8 * time.Second)
		calls = min(len(store.Calls())-before, 12)
		inStep(t, meta, again.Engine, again.next)
	})
	return calls
}

func TestEffectLog_ForgetsTheOldestBeyondItsCap(t *testing.T) {
	var l effectLog
	for n := range topic.Slot(3 * maxEffects) {
		l.add(n, []metadata.Effect{metadata.JournalOpened{First: n}})
	}
	if len(l.list) > maxEffects {
		t.Fatalf("%d numbers are remembered", len(l.list))
	}
	if _, ok := l.after(5); ok {
		t.Error("what was forgotten is known")
	}
	const from = 3*maxEffects - 10
	effects, ok := l.after(from)
	if !ok || len(effects) != 9 || effects[0][0].(metadata.JournalOpened).First != from+1 {
		t.Errorf("after %d: %d numbers, %v", from, len(effects), ok)
	}
	l.forget(3*maxEffects - 2)
	if effects, ok := l.after(3*maxEffects - 2); !ok || len(effects) != 1 {
		t.Errorf("the last alone: %d numbers, %v", len(effects), ok)
	}
}

func TestAlter_OvertakenChangeIsVoid(t *testing.T) {
	store := memory.New()
	o := boot(t, store, embedded.Open())
	p := o.topicOf(t, "orders", 1)[0]
	if err := o.AddPartitions(t.Context(), p.Topic, 5, 9); !errors.Is(err, ErrVoid) {
		t.Errorf("partitions added to a number it has not: %v, want ErrVoid", err)
	}
	if err := o.AddPartitions(t.Context(), p.Topic, 1, 4); err != nil {
		t.Error(err)
	}
	if err := o.AlterTopic(t.Context(), p.Topic, topic.Config{"retention.ms": "5"}, nil); err != nil {
		t.Error(err)
	}
	if err := o.AlterTopic(t.Context(), topic.ID{9}, nil, nil); !errors.Is(err, ErrUnknownTopic) {
		t.Errorf("unknown topic: %v", err)
	}
	if _, err := o.CreateTopic(t.Context(), NewTopic{Name: "orders", Partitions: 1}); !errors.Is(err, ErrTopicExists) {
		t.Errorf("same name: %v", err)
	}
	o.topicOf(t, "a.b", 1)
	if _, err := o.CreateTopic(t.Context(), NewTopic{Name: "a_b", Partitions: 1}); !errors.Is(err, ErrCollision) {
		t.Errorf("colliding name: %v", err)
	}
	next := o.State().Next()
	if n, err := o.Propose(t.Context(), func(*control.State) ([]control.Record, error) { return nil, nil }); n != nil || err != nil || o.State().Next() != next {
		t.Errorf("nothing to propose: %v, %v", n, err)
	}
}

var _ objectstore.Store = (*faulty.Store)(nil)
