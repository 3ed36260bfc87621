package cluster

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/metadata/embedded"
	"github.com/odradek/odradek/topic"
)

// An agent leaves: its journal is sealed where it ends, its partitions go to the others at once, and it is not taken for
// a death.
func TestLeave_GivesEverythingAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, embedded.Open())
		a, b, c := p.join(), p.join(), p.join()
		p.settled("the first era", 20*time.Second, together(1, a, b, c))
		ps := p.topic(a, "orders", 12)
		time.Sleep(time.Second)
		mine := p.ownedBy(c, ps)
		for range 5 {
			p.write(c, mine...)
		}
		if err := c.Leave(t.Context(), c.slot); err != nil {
			t.Fatal(err)
		}
		if seal := p.sealOf(c.Journal()); seal != 5 {
			t.Errorf("sealed at %d, want 5", seal)
		}
		got := make(map[topic.JournalID]int)
		for _, x := range mine {
			o, _ := p.state().State().Owner(x)
			if o.Base != 5 || o.Epoch != 1 {
				t.Errorf("%s is assigned as %+v", x, o)
			}
			got[o.Journal]++
		}
		if got[a.Journal()] != 2 || got[b.Journal()] != 2 {
			t.Errorf("4 partitions were spread as %v", got)
		}
		time.Sleep(10 * time.Second)
		select {
		case err := <-c.fenced:
			t.Errorf("the one that left is told of it: %v", err)
		default:
		}
		if ends, err := p.redis.Ends(t.Context(), pinOf(mustEra(t, a)), mine[:1]); err != nil || ends[0].Next != 5 {
			t.Errorf("the index has %+v, %v", ends, err)
		}
		if err := c.Leave(t.Context(), c.slot); err != nil {
			t.Errorf("a second time: %v", err)
		}
	})
}

func TestLeave_AloneChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, embedded.Open())
		a, b := p.join(), p.join()
		p.settled("the first era", 20*time.Second, together(1, a, b))
		b.kill()
		p.settled("takeover", 10*time.Second, func() bool { return len(p.openOnes()) == 1 })
		time.Sleep(5 * time.Second)
		if err := a.Leave(t.Context(), 0); !errors.Is(err, ErrNobody) {
			t.Errorf("%v, want ErrNobody", err)
		}
		if n := len(p.openOnes()); n != 1 {
			t.Errorf("%d journals are open", n)
		}
	})
}

// Those that drain and those that are dead get nothing new.
func TestLive_IsWhoMayBeGivenPartitions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, embedded.Open())
		a, b, c, d := p.join(), p.join(), p.join(), p.join()
		p.settled("the first era", 20*time.Second, together(1, a, b, c, d))
		if n := len(a.Live()); n != 4 {
			t.Fatalf("%d live, want 4", n)
		}
		if _, err := a.Propose(t.Context(), func(*control.State) ([]control.Record, error) {
			return []control.Record{control.Drain{Journal: b.Journal(), On: true}}, nil
		}); err != nil {
			t.Fatal(err)
		}
		c.link.cut(true) // does not beat
		time.Sleep(6200 * time.Millisecond)
		for _, j := range a.Live() {
			if j.ID == b.Journal() || j.ID == c.Journal() && len(p.openOnes()) == 4 {
				t.Errorf("journal %s may be given partitions", j.ID)
			}
		}
		ps := p.topic(a, "orders", 20)
		if n := len(p.ownedBy(a, ps)) + len(p.ownedBy(d, ps)); n != 20 {
			t.Errorf("%d of 20 partitions are with those that live and do not drain", n)
		}
	})
}

func TestAssign_TellsWhatBecameOfEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, embedded.Open())
		a, b := p.join(), p.join()
		p.settled("the first era", 20*time.Second, together(1, a, b))
		ps := p.topic(a, "orders", 4)
		time.Sleep(time.Second)
		mine := p.ownedBy(a, ps)
		as := []control.Assign{
			{Partition: mine[0], OldEpoch: 0, ToJournal: b.Journal(), Base: 0},
			{Partition: mine[1], OldEpoch: 7, ToJournal: b.Journal(), Base: 0},
		}
		before := a.State().Next()
		outcomes, err := a.Assign(t.Context(), as)
		if err != nil || len(outcomes) != 2 || outcomes[0].Void || !outcomes[1].Void {
			t.Fatalf("%+v, %v; want the second one void", outcomes, err)
		}
		if n := a.State().Next() - before; n != 1 {
			t.Errorf("%d control numbers", n)
		}
		outcomes, err = a.Assign(t.Context(), as)
		if err != nil || !outcomes[0].Void || !outcomes[1].Void || a.State().Next() != before+1 {
			t.Errorf("again: %+v, %v; want both void and nothing appended", outcomes, err)
		}
	})
}
