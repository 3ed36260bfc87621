package cluster

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
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
	"github.com/odradek/odradek/sequence"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

func TestStart_ForeignBucketIsRefused(t *testing.T) {
	for _, key := range []string{slotlog.ControlKey(1), slotlog.JournalKey(topic.JournalID{1}, 0)} {
		store := memory.New()
		if err := store.Create(t.Context(), key, slotlog.Freeze(slotlog.Data, []byte("old")).Body); err != nil {
			t.Fatal(err)
		}
		e := New(alone(), store, embedded.Open())
		defer e.Stop()
		if err := e.Start(t.Context()); !errors.Is(err, ErrForeign) {
			t.Errorf("beside %s: %v, want ErrForeign", key, err)
		}
		if _, err := store.Head(t.Context(), slotlog.ControlKey(0)); !errors.Is(err, objectstore.ErrNotFound) {
			t.Errorf("beside %s a cluster was born: %v", key, err)
		}
	}
}

func TestStart_RedisOfAnotherClusterIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		meta := embedded.Open()
		o := boot(t, memory.New(), meta)
		stop, _ := o.running(t, o.Index)
		synctest.Wait()
		stop()
		e := New(alone(), memory.New(), meta)
		defer e.Stop()
		if err := e.Start(t.Context()); !errors.Is(err, ErrForeign) {
			t.Errorf("an empty bucket beside a Redis that knows a cluster: %v, want ErrForeign", err)
		}
	})
}

// overtaken is a store in which a whole cluster comes into being between two calls of one agent.
type overtaken struct {
	objectstore.Store
	born func()
}

func (s *overtaken) List(ctx context.Context, prefix string, fn func(objectstore.Info) error) error {
	if born := s.born; born != nil {
		s.born = nil
		born()
	}
	return s.Store.List(ctx, prefix, fn)
}

// Agents that are started together on an empty bucket are one cluster, however slow one of them is.
func TestStart_ClusterThatWasJustBornIsNotForeign(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		below, meta := memory.New(), embedded.Open()
		var first *owner
		e := New(among(), &overtaken{Store: below, born: func() {
			first = boot(t, below, meta)
			first.write(t, below, first.topicOf(t, "t", 1)...)
			stop, _ := first.running(t, first.Index)
			synctest.Wait()
			stop()
		}}, meta)
		defer e.Stop()
		if err := e.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if id := e.State().ClusterID(); id == "" || id != first.State().ClusterID() {
			t.Errorf("cluster %q, want %q", id, first.State().ClusterID())
		}
	})
}

func TestStart_RacingAgentsMakeOneCluster(t *testing.T) {
	store := memory.New()
	ids := make([]string, 8)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			e := New(alone(), store, embedded.Open())
			defer e.Stop()
			if err := e.Start(t.Context()); err != nil {
				t.Error(err)
			}
			ids[i] = e.State().ClusterID()
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id == "" || id != ids[0] {
			t.Fatalf("clusters %v, want one", ids)
		}
	}
}

// One agent after the other: each takes all over from the end of the one before, with its producers, under the same id.
func TestBoot_ChainKeepsEndsAndProducers(t *testing.T) {
	store := memory.New()
	o := boot(t, store, embedded.Open())
	ps := o.topicOf(t, "orders", 3)
	ends := make(map[topic.Partition]topic.Offset)
	for epoch := range topic.Epoch(5) {
		for i := range 7 {
			o.write(t, store, ps[i%3])
			ends[ps[i%3]]++
		}
		before := o
		o = boot(t, store, embedded.Open())
		if o.opened.NodeID != 1 || len(o.opened.Sealed) != 1 || o.opened.Sealed[0] != before.Journal() {
			t.Fatalf("opened %+v, want node 1 and journal %s sealed", o.opened, before.Journal())
		}
		for _, p := range ps {
			a, ok := o.State().Owner(p)
			if !ok || a.Journal != o.Journal() || a.Epoch != epoch+1 || a.Base != ends[p] || o.opened.History.Ends[p] != ends[p] {
				t.Fatalf("%s is assigned as %+v, ends at %d; want epoch %d at %d", p, a, o.opened.History.Ends[p], epoch+1, ends[p])
			}
			newest := sequence.Delta{Partition: p, ProducerID: 5, FirstSequence: int32(ends[p]) - 1, Base: 0, Next: 1}
			if v, err := o.opened.History.Producers[p].Check(newest); err != nil || !v.Duplicate || v.Base != ends[p]-1 {
				t.Errorf("the newest batch of %s is judged %+v, %v", p, v, err)
			}
		}
	}
}

func TestBoot_DeletedTopicsArePassedOver(t *testing.T) {
	store := memory.New()
	o := boot(t, store, embedded.Open())
	gone, stays := o.topicOf(t, "gone", 1)[0], o.topicOf(t, "stays", 1)[0]
	o.write(t, store, gone, stays)
	if err := o.DeleteTopic(t.Context(), gone.Topic); err != nil {
		t.Fatal(err)
	}
	if err := o.DeleteTopic(t.Context(), gone.Topic); !errors.Is(err, ErrUnknownTopic) {
		t.Errorf("deleted twice: %v", err)
	}
	again := boot(t, store, embedded.Open())
	if _, there := again.opened.History.Ends[gone]; there || again.opened.History.Ends[stays] != 1 {
		t.Errorf("ends %v", again.opened.History.Ends)
	}
	if _, there := again.opened.History.Producers[gone]; there {
		t.Error("producers of a deleted topic")
	}
}

// A boot that loses any single answer or request of the store, or dies there, leaves what the next boot can go on with.
func TestBoot_EveryStoreCallFailsOnceOrIsTheLast(t *testing.T) {
	calls := bootUnder(t, faulty.None, 0)
	for n := 1; n <= calls; n++ {
		for name, f := range map[string]faulty.Fault{"before": {Before: faulty.ErrRefused}, "after": {After: faulty.ErrLost}, "late": {Late: true}} {
			t.Run(fmt.Sprintf("call %d fails %s", n, name), func(t *testing.T) { bootUnder(t, faulty.Nth(n, f), 0) })
		}
		t.Run(fmt.Sprintf("dies before call %d", n), func(t *testing.T) { bootUnder(t, dead(n), n) })
		t.Run(fmt.Sprintf("dies after call %d", n), func(t *testing.T) { bootUnder(t, dead(n+1), n+1) })
	}
}

// dead is a store from which nothing is heard any more from call n on.
func dead(n int) faulty.Script {
	return func(c faulty.Call) faulty.Fault {
		if c.N >= n {
			return faulty.Fault{Before: faulty.ErrDown}
		}
		return faulty.Fault{}
	}
}

// bootUnder makes a log of two journals, boots under the script until that succeeds or the agent dies, and boots once more.
func bootUnder(t *testing.T, script faulty.Script, diesAt int) (calls int) {
	synctest.Test(t, func(t *testing.T) {
		below, meta := memory.New(), embedded.Open()
		first := boot(t, below, meta)
		p := first.topicOf(t, "orders", 1)[0]
		for range 3 {
			first.write(t, below, p)
		}
		second := boot(t, below, meta)
		second.write(t, below, p)

		store := faulty.New(below, script)
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		for try := 0; ; try++ {
			o, err := bootOnce(ctx, t, alone(), store, meta, nobody)
			if err == nil {
				if end := o.opened.History.Ends[p]; end != 4 {
					t.Errorf("ends at %d, want 4", end)
				}
				break
			}
			if ctx.Err() != nil || diesAt > 0 {
				break
			}
			if try == 3 {
				t.Fatal(err)
			}
		}
		store.Land(context.Background()) // what was in the network arrives after all
		calls = len(store.Calls())

		last := boot(t, below, meta)
		if a, _ := last.State().Owner(p); a.Journal != last.Journal() || a.Base != 4 || last.opened.History.Ends[p] != 4 {
			t.Errorf("assigned as %+v, ends %v; want base 4", a, last.opened.History.Ends)
		}
		last.write(t, below, p)
		if open := openOnes(t, below, meta); len(open) != 1 || open[0].ID != last.Journal() {
			t.Errorf("%d journals are open, want the last one", len(open))
		}
	})
	return calls
}

func TestBoot_NodeIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, meta := memory.New(), embedded.Open()
		cfg := Config{Window: 4, Lease: time.Second, NodeID: 7}
		seven, err := bootOnce(t.Context(), t, cfg, store, meta, nobody)
		if err != nil || seven.opened.NodeID != 7 {
			t.Fatalf("%+v, %v; want node 7", seven, err)
		}
		seven.running(t, seven.Index) // lives, and beats
		time.Sleep(3 * time.Second)
		if _, err := bootOnce(t.Context(), t, cfg, store, meta, nobody); !errors.Is(err, ErrNodeID) {
			t.Errorf("a second node 7: %v, want ErrNodeID", err)
		}
		cfg.NodeID = 0
		eight, err := bootOnce(t.Context(), t, cfg, store, meta, nobody)
		if err != nil || eight.opened.NodeID != 8 || len(eight.opened.Sealed) != 0 {
			t.Fatalf("%+v, %v; want node 8, nobody sealed", eight, err)
		}
		// Eight dies; who comes next is not eight, unless the disk says so.
		back, err := bootOnce(t.Context(), t, cfg, store, meta, func(j topic.JournalID) bool { return j == eight.Journal() })
		if err != nil || back.opened.NodeID != 8 {
			t.Fatalf("%+v, %v; want node 8 back", back, err)
		}
		began := time.Now()
		other, err := bootOnce(t.Context(), t, cfg, store, meta, nobody)
		if err != nil || other.opened.NodeID != 9 || len(other.opened.Sealed) != 0 || time.Since(began) > 0 {
			t.Fatalf("%+v, %v after %v; want node 9 at once, nobody sealed", other, err, time.Since(began))
		}
		// Eight is dead, its disk is lost, and somebody is told to be eight.
		cfg.NodeID = 8
		eight, err = bootOnce(t.Context(), t, cfg, store, meta, nobody)
		if took := time.Since(began); err != nil || eight.opened.NodeID != 8 || len(eight.opened.Sealed) != 1 || took != 2*cfg.Lease {
			t.Fatalf("%+v, %v after %v; want node 8, which sealed the one before after two leases", eight, err, took)
		}
	})
}

func TestBoot_EarlierNodeIDThatIsInUseIsNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, meta := memory.New(), embedded.Open()
		cfg := Config{Window: 4, Lease: time.Second}
		first, err := bootOnce(t.Context(), t, cfg, store, meta, nobody)
		if err != nil {
			t.Fatal(err)
		}
		thief := cfg
		thief.NodeID = first.opened.NodeID
		second, err := bootOnce(t.Context(), t, thief, store, meta, nobody) // first is dead by then
		if err != nil {
			t.Fatal(err)
		}
		second.running(t, second.Index)
		time.Sleep(2 * time.Second)
		back, err := bootOnce(t.Context(), t, cfg, store, meta, func(j topic.JournalID) bool { return j == first.Journal() })
		if err != nil || back.opened.NodeID == first.opened.NodeID {
			t.Fatalf("%+v, %v; want a node id of its own", back, err)
		}
	})
}

// Another's journal is no concern of a boot, dead or alive: who asks for its node id finds out which.
func TestBoot_OnlyADeadJournalGivesItsNodeIDAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, meta := memory.New(), &redis{Store: embedded.Open()}
		cfg := Config{Window: 4, Lease: 5 * time.Second}
		first, err := bootOnce(t.Context(), t, cfg, store, meta, nobody)
		if err != nil {
			t.Fatal(err)
		}
		stop, _ := first.running(t, first.Index)
		time.Sleep(3 * time.Second)
		same := cfg
		same.NodeID = first.opened.NodeID
		began := time.Now()
		if _, err := bootOnce(t.Context(), t, same, store, meta, nobody); !errors.Is(err, ErrNodeID) {
			t.Fatalf("the node id of one that lives: %v, want ErrNodeID", err)
		}
		if took := time.Since(began); took < 2*cfg.Lease {
			t.Errorf("judged after %v, want two leases", took)
		}
		stop()
		meta.away.Store(true)
		if _, err := bootOnce(t.Context(), t, same, store, meta, nobody); !errors.Is(err, ErrNodeID) {
			t.Fatalf("with Redis away nobody is judged: %v, want ErrNodeID", err)
		}
		meta.away.Store(false)
		again, err := bootOnce(t.Context(), t, same, store, meta, nobody)
		if err != nil || len(again.opened.Sealed) != 1 || again.opened.Sealed[0] != first.Journal() {
			t.Fatalf("%+v, %v; want the dead one sealed", again, err)
		}
	})
}

// The living agent names a new era while it is watched, as after a FLUSHALL: its counter stands at nothing in the old
// one, and that is not death.
func TestBoot_NewEraBeginsTheWatchAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, meta := memory.New(), &redis{Store: embedded.Open()}
		cfg := Config{Window: 4, Lease: 5 * time.Second}
		living, err := bootOnce(t.Context(), t, cfg, store, meta, nobody)
		if err != nil {
			t.Fatal(err)
		}
		stop, _ := living.running(t, living.Index)
		time.Sleep(3 * time.Second)
		stop()
		lost := embedded.Open() // Redis comes back empty; the living agent sees it a little later
		same := New(cfg, store, lost)
		t.Cleanup(same.Stop)
		if err := same.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		same.journal = living.Journal()
		go func() {
			time.Sleep(9500 * time.Millisecond) // and has not beaten there yet at the second look
			same.running(t, same.Index)
		}()
		cfg.NodeID = living.opened.NodeID
		if _, err := bootOnce(t.Context(), t, cfg, store, lost, nobody); !errors.Is(err, ErrNodeID) {
			t.Fatalf("%v; want ErrNodeID: it lives", err)
		}
	})
}

func TestFollow_SealedAgentStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		old := boot(t, store, embedded.Open())
		_, ended := old.running(t, old.Follow)
		boot(t, store, embedded.Open())
		began := time.Now()
		if err := <-ended; !errors.Is(err, slotlog.ErrFenced) {
			t.Errorf("follow: %v, want ErrFenced", err)
		}
		if took := time.Since(began); took > 2*pollControl {
			t.Errorf("noticed after %v", took)
		}
	})
}

func TestFollow_UnreadableLogEndsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		o := boot(t, store, embedded.Open())
		_, ended := o.running(t, o.Follow)
		if err := slotlog.Decide(t.Context(), store, o.State().Next(), []byte{0xff, 0xff, 0xff}); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-ended:
			if err == nil {
				t.Error("ended without an error")
			}
		case <-time.After(time.Minute):
			t.Error("goes on behind what it cannot read")
		}
	})
}

func TestFollow_ImpostorInTheControlLogStopsTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		below := memory.New()
		store := &cloning{Store: below}
		o := boot(t, store, embedded.Open())
		_, ended := o.running(t, o.Follow)
		store.clone = true
		if _, err := o.CreateTopic(t.Context(), NewTopic{Name: "x", Partitions: 1}); !errors.Is(err, slotlog.ErrImpostor) {
			t.Errorf("create: %v, want ErrImpostor", err)
		}
		if err := <-ended; !errors.Is(err, slotlog.ErrImpostor) {
			t.Errorf("follow: %v, want ErrImpostor", err)
		}
	})
}

// cloning is a store where a clone of this machine is always first: same nonce, other bytes.
type cloning struct {
	*memory.Store
	clone bool
}

func (s *cloning) Create(ctx context.Context, key string, body objectstore.Body) error {
	if s.clone {
		payload, err := control.Encode([]control.Record{control.ClusterConfig{Set: topic.Config{"num.partitions": "3"}}})
		if err != nil {
			return err
		}
		ours := body.Parts[len(body.Parts)-1]
		other := slotlog.Freeze(slotlog.Data, payload)
		b := bytes.Join(other.Body.Parts, nil)
		copy(b[len(b)-32:], ours[16:32]) // the nonce
		binary.BigEndian.PutUint32(b[len(b)-4:], crc32.Checksum(b[:len(b)-4], crc32.MakeTable(crc32.Castagnoli)))
		if err := s.Store.Create(ctx, key, objectstore.NewBody(b)); err != nil {
			return err
		}
	}
	return s.Store.Create(ctx, key, body)
}

var _ metadata.Store = (*redis)(nil)
