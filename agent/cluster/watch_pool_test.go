package cluster

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/odradek/odradek/metadata/embedded"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

// One of three is killed: within a lease and a little its journal is sealed once, and each of its partitions goes on with
// one that lives, at the next epoch, from its end on.
func TestWatch_KilledAgentIsTakenOverOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, embedded.Open())
		a, b, c := p.join(), p.join(), p.join()
		p.settled("the first era", time.Second*20, together(1, a, b, c))
		ps := p.topic(a, "orders", 30)
		time.Sleep(time.Second)
		lost := p.ownedBy(b, ps)
		if len(lost) < 9 || len(lost) > 11 {
			t.Fatalf("one of three owns %d of 30 partitions", len(lost))
		}
		for range 7 {
			p.write(b, lost...)
		}
		p.write(b, lost[0])
		b.kill()
		took := p.settled("takeover", 8*time.Second, func() bool { return len(p.openOnes()) == 2 })
		if took < 4*time.Second || took > 7*time.Second {
			t.Errorf("taken over after %v with a lease of 5 s", took)
		}
		if seal := p.sealOf(b.Journal()); seal != 8 {
			t.Errorf("sealed at slot %d, want 8", seal)
		}
		s := p.state().State()
		owned := make(map[topic.JournalID]int)
		for i, x := range lost {
			want := topic.Offset(7)
			if i == 0 {
				want = 8
			}
			o, _ := s.Owner(x)
			if o.Epoch != 1 || o.Base != want {
				t.Errorf("%s is assigned as %+v, want epoch 1 at %d", x, o, want)
			}
			owned[o.Journal]++
		}
		if n := owned[a.Journal()]; n < len(lost)/2 || n > len(lost)/2+1 || n+owned[c.Journal()] != len(lost) {
			t.Errorf("partitions of the dead are with %v", owned)
		}
		if n := len(a.Live()); n != 2 {
			t.Errorf("%d live", n)
		}
		time.Sleep(time.Second) // the others go on, and the index with them
		for _, m := range []*member{a, c} {
			p.write(m, p.ownedBy(m, lost)...)
		}
		p.settled("the index", 5*time.Second, together(1, a, c))
		ends := map[topic.Partition]topic.Offset{}
		for i, x := range lost {
			ends[x] = 8
			if i == 0 {
				ends[x] = 9
			}
		}
		inStep(t, p.redis, a.Engine, ends)
		time.Sleep(time.Minute)
		if n := len(p.openOnes()); n != 2 {
			t.Errorf("%d journals are open, want the two that live", n)
		}
	})
}

// A journal that owns nothing, and one that was opened and never registered, are taken over, too; an agent that did not
// open its journal yet is nobody.
func TestWatch_EveryJournalIsMeant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, embedded.Open())
		a := p.join()
		p.settled("the first era", 20*time.Second, together(1, a))
		silent := p.boot() // never registers
		began := time.Now()
		time.Sleep(2*p.lease - time.Second)
		if n := len(p.openOnes()); n != 2 {
			t.Fatalf("%d journals are open before two leases are over", n)
		}
		p.settled("takeover", 5*time.Second, func() bool { return len(p.openOnes()) == 1 })
		if p.sealOf(silent.Journal()) != 0 {
			t.Error("sealed above its end")
		}
		if took := time.Since(began); took > 2*p.lease+3*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// While an agent keeps no open era, as it is between one that was lost and the next one, it judges nobody: who waits for
// the next era does not beat in this one, and lives.
func TestWatch_NobodyIsJudgedWithoutAnOpenEra(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, embedded.Open())
		a := p.join()
		p.settled("the first era", 20*time.Second, together(1, a))
		b := p.boot() // has none of the goroutines that keep an era: one being built would have it sealed
		if err := b.CatchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		pin := pinOf(mustEra(t, b))
		if err := p.redis.Register(t.Context(), pin, b.Journal(), "b"); err != nil {
			t.Fatal(err)
		}
		a.pause()
		w := newWatcher(b.Engine)
		look := func() (dead []topic.JournalID) {
			for range 40 {
				if err := p.redis.Beat(t.Context(), pin, b.Journal()); err != nil {
					t.Fatal(err)
				}
				dead = append(dead, w.look(t.Context())...)
				time.Sleep(p.lease / 10)
			}
			return dead
		}
		if dead := look(); len(dead) > 0 {
			t.Errorf("%v are judged dead without an open era", dead)
		}
		b.era.Store(pin.Era)
		if dead := look(); len(dead) == 0 || dead[0] != a.Journal() {
			t.Errorf("%v are judged dead with one, want %v", dead, a.Journal())
		}
	})
}

// The owner stood still for longer than a lease and goes on: its journal is sealed, it says so and stops.
func TestWatch_PausedOwnerIsFenced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, embedded.Open())
		a, b := p.join(), p.join()
		p.settled("the first era", 20*time.Second, together(1, a, b))
		ps := p.topic(a, "orders", 8)
		time.Sleep(time.Second)
		mine := p.ownedBy(b, ps)
		p.write(b, mine...)
		b.pause()
		time.Sleep(3 * time.Second)
		b.resume()
		time.Sleep(20 * time.Second)
		if n := len(p.openOnes()); n != 2 {
			t.Fatalf("%d journals are open after a pause shorter than the lease", n)
		}
		b.pause()
		p.settled("takeover", 10*time.Second, func() bool { return len(p.openOnes()) == 1 })
		b.resume()
		select {
		case err := <-b.fenced:
			if !errors.Is(err, slotlog.ErrFenced) {
				t.Errorf("%v, want ErrFenced", err)
			}
		case <-time.After(10 * time.Second):
			t.Error("goes on with a sealed journal")
		}
		for _, x := range mine {
			if o, _ := p.state().State().Owner(x); o.Base != 1 || o.Journal != a.Journal() {
				t.Errorf("%s is assigned as %+v", x, o)
			}
		}
	})
}

// The one who watches stood still itself: everybody has a lease anew when it goes on.
func TestWatch_WhoSleptJudgesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, embedded.Open())
		a, b := p.join(), p.join()
		p.settled("the first era", 20*time.Second, together(1, a, b))
		for range 5 {
			a.pause()
			b.pause()
			time.Sleep(time.Minute)
			a.resume()
			b.resume()
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(20 * time.Second)
		if n := len(p.openOnes()); n != 2 {
			t.Errorf("%d journals are open", n)
		}
	})
}

// Four of six die at once, which is hard to believe: they have one more lease.
func TestWatch_MassDeathWaitsOneMoreLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, embedded.Open())
		var members []*member
		for range 6 {
			members = append(members, p.join())
		}
		p.settled("the first era", 20*time.Second, together(1, members...))
		time.Sleep(2 * time.Second)
		for _, m := range members[2:] {
			m.kill()
		}
		time.Sleep(2*p.lease - 1500*time.Millisecond)
		if n := len(p.openOnes()); n != 6 {
			t.Fatalf("%d of 6 journals are open before two leases are over", n)
		}
		if n := len(members[0].Live()); n != 2 {
			t.Errorf("%d are thought alive meanwhile", n)
		}
		p.settled("takeovers", 5*time.Second, func() bool { return len(p.openOnes()) == 2 })
	})
}

// Two die, one a little after the other: the first is taken over at once, and the second counts together with it.
func TestWatch_DeathsWithinHalfAMinuteCountTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, embedded.Open())
		var members []*member
		for range 4 {
			members = append(members, p.join())
		}
		p.settled("the first era", 20*time.Second, together(1, members...))
		members[3].kill()
		p.settled("the first takeover", 8*time.Second, func() bool { return len(p.openOnes()) == 3 })
		members[2].kill()
		time.Sleep(2*p.lease - 1500*time.Millisecond)
		if n := len(p.openOnes()); n != 3 {
			t.Errorf("%d journals are open before the second one's two leases are over", n)
		}
		p.settled("the second takeover", 5*time.Second, func() bool { return len(p.openOnes()) == 2 })
	})
}

// Redis is away: nobody beats, and nobody is judged. Then all have their lease anew.
func TestWatch_RedisAwayIsNoDeath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, embedded.Open())
		a, b, c := p.join(), p.join(), p.join()
		p.settled("the first era", 20*time.Second, together(1, a, b, c))
		for range 3 {
			for _, m := range []*member{a, b, c} {
				m.link.cut(true)
			}
			time.Sleep(time.Minute)
			for i, m := range []*member{a, b, c} { // some are back before others
				m.link.cut(false)
				time.Sleep(time.Duration(i) * time.Second)
			}
			time.Sleep(10 * time.Second)
		}
		if n := len(p.openOnes()); n != 3 {
			t.Errorf("%d journals are open", n)
		}
		if n := p.eras(); n != 1 {
			t.Errorf("%d eras; an outage is no reason for another one", n)
		}
	})
}

// Redis answers and takes no writes, as one that is full: all counters stand still, and that is no death.
func TestWatch_RedisThatTakesNoBeatsIsNoDeath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, embedded.Open())
		members := []*member{p.join(), p.join(), p.join()}
		p.settled("the first era", 20*time.Second, together(1, members...))
		for _, m := range members {
			m.link.full.Store(true)
		}
		time.Sleep(2 * time.Minute)
		for _, m := range members {
			m.link.full.Store(false)
			time.Sleep(500 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		if n := len(p.openOnes()); n != 3 {
			t.Errorf("%d journals are open", n)
		}
		members[0].kill()
		p.settled("takeover", 8*time.Second, func() bool { return len(p.openOnes()) == 2 })
	})
}

// The bucket is away for all, and comes back to one after the other: owners stop beating, being stuck, and nobody is judged
// by who is stuck too, nor by who has nothing to store and cannot read the control log.
func TestWatch_BucketAwayIsNoDeath(t *testing.T) {
	for _, idle := range []int{0, 1, 3} {
		bucketAway(t, idle, 5*time.Second)
		bucketAway(t, idle, 1500*time.Millisecond) // less than what the bucket's return takes from one to the next
	}
}

func bucketAway(t *testing.T, idle int, lease time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, embedded.Open())
		p.lease = lease
		members := []*member{p.join(), p.join(), p.join()}
		p.settled("the first era", 20*time.Second, together(1, members...))
		for i, m := range members {
			m.bucket.cut(true)
			if i < idle {
				continue
			}
			began := time.Now()
			stuck := func() time.Duration {
				m.bucket.mu.Lock()
				defer m.bucket.mu.Unlock()
				if m.bucket.down {
					return time.Since(began)
				}
				return 0
			}
			m.stuck.Store(&stuck)
		}
		time.Sleep(3 * time.Minute)
		for _, m := range members {
			m.bucket.cut(false)
			time.Sleep(1500 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		if n := len(p.openOnes()); n != 3 {
			t.Errorf("%d idle, lease %v: %d journals are open", idle, lease, n)
		}
	})
}

// One is cut from the bucket alone and cannot store what it took: after a while others go on in its place.
func TestWatch_CutFromTheBucketIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, embedded.Open())
		a, b, c := p.join(), p.join(), p.join()
		p.settled("the first era", 20*time.Second, together(1, a, b, c))
		began := time.Now()
		stuck := func() time.Duration { return time.Since(began) }
		c.stuck.Store(&stuck)
		c.bucket.cut(true)
		time.Sleep(stuckPut)
		if n := len(p.openOnes()); n != 3 {
			t.Errorf("%d journals are open after %v", n, stuckPut)
		}
		p.settled("takeover", p.lease+2*rankPause+time.Second, func() bool { return len(p.openOnes()) == 2 })
		if slices.Contains(p.openOnes(), c.Journal()) {
			t.Error("another one was sealed")
		}
	})
}

// An agent that is left on an old master sees nobody alive there, and seals nobody.
func TestWatch_IsolatedMasterSealsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, promoted := embedded.Open(), embedded.Open()
		p := newPool(t, old)
		a, b, c := p.join(), p.join(), p.join()
		p.settled("the first era", 20*time.Second, together(1, a, b, c))
		for _, m := range []*member{a, b} {
			m.link.lead(promoted)
		}
		p.settled("the second era with the journals that are there", 30*time.Second, together(2, a, b))
		open := p.openOnes()
		if !slices.Contains(open, a.Journal()) || !slices.Contains(open, b.Journal()) {
			t.Errorf("open are %v: the isolated agent sealed somebody", open)
		}
		if slices.Contains(open, c.Journal()) {
			t.Error("the isolated agent's journal is open: it did not re-attach")
		}
		if n := p.eras(); n != 2 {
			t.Errorf("%d eras, want 2", n)
		}
		// A new agent on the old master: that identity was named by an older era only, so it is away.
		late := &member{link: newLink(old), bucket: newGate(p.store)}
		o, err := bootOnce(t.Context(), t, Config{Window: 4, Lease: p.lease}, late.bucket, late.link, nobody)
		if err != nil {
			t.Fatal(err)
		}
		late.owner = o
		p.start(late)
		time.Sleep(time.Minute)
		if n := p.eras(); n != 2 || late.Era() != 0 {
			t.Errorf("%d eras, the one on the old master keeps %d", n, late.Era())
		}
		if open := p.openOnes(); !slices.Contains(open, a.Journal()) || !slices.Contains(open, b.Journal()) {
			t.Errorf("open are %v", open)
		}
	})
}

// Takeover needs no Redis, no journal of its own and no heartbeats: that is what the command does.
func TestTakeover_ByWhoHasNoJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, embedded.Open())
		a, b := p.join(), p.join()
		p.settled("the first era", 20*time.Second, together(1, a, b))
		ps := p.topic(a, "orders", 6)
		time.Sleep(time.Second)
		mine := p.ownedBy(b, ps)
		for range 70 {
			p.write(b, mine...)
		}
		b.kill()
		link := newLink(p.redis)
		link.cut(true)
		command := New(Config{}, p.store, link)
		t.Cleanup(command.Stop)
		if err := command.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := command.Takeover(t.Context(), topic.JournalID{7}); !errors.Is(err, ErrUnknownJournal) {
			t.Errorf("a journal that never was: %v", err)
		}
		for range 2 {
			if err := command.Takeover(t.Context(), b.Journal()); err != nil {
				t.Fatal(err)
			}
		}
		for _, x := range mine {
			if o, _ := p.state().State().Owner(x); o.Base != 70 || o.Journal != a.Journal() || o.Epoch != 1 {
				t.Errorf("%s is assigned as %+v", x, o)
			}
		}
		if err := command.Takeover(t.Context(), a.Journal()); !errors.Is(err, ErrNobody) {
			t.Errorf("the last one that could own anything: %v, want ErrNobody", err)
		}
	})
}

// Two take over at once what is not dead at all and keeps writing: they agree on the seal, and one record holds.
func TestTakeover_RacingTakersAgree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, embedded.Open())
		a, b, c := p.join(), p.join(), p.join()
		p.settled("the first era", 20*time.Second, together(1, a, b, c))
		ps := p.topic(a, "orders", 9)
		time.Sleep(time.Second)
		mine := p.ownedBy(c, ps)
		p.write(c, mine...)
		errs := make(chan error, 2)
		for _, m := range []*member{a, b} {
			go func() { errs <- m.Takeover(t.Context(), c.Journal()) }()
		}
		for range 2 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		if seal := p.sealOf(c.Journal()); seal != 1 {
			t.Errorf("sealed at %d, want 1", seal)
		}
		for _, x := range mine {
			if o, _ := p.state().State().Owner(x); o.Epoch != 1 || o.Base != 1 {
				t.Errorf("%s is assigned as %+v", x, o)
			}
		}
	})
}
