package cluster

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/metadata/embedded"
	"github.com/odradek/odradek/topic"
)

// A Redis that knows nothing comes in place of the old one: one agent names the era, all re-attach, it opens within
// seconds, and nobody is sealed.
func TestEra_FailoverWithAllAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, embedded.Open())
		a, b, c := p.join(), p.join(), p.join()
		p.settled("the first era", 20*time.Second, together(1, a, b, c))
		ps := p.topic(a, "orders", 30)
		time.Sleep(time.Second)
		members := []*member{a, b, c}
		for range 100 {
			for _, m := range members {
				p.write(m, p.ownedBy(m, ps)[:3]...)
			}
		}
		time.Sleep(time.Second)
		p.redis = embedded.Open()
		for _, m := range members {
			m.link.lead(p.redis)
		}
		took := p.settled("the second era", 20*time.Second, together(2, members...))
		if took > 3*time.Second {
			t.Errorf("open after %v", took)
		}
		if n := p.eras(); n != 2 {
			t.Errorf("%d eras", n)
		}
		if n := len(p.openOnes()); n != 3 {
			t.Errorf("%d journals are open", n)
		}
		for _, m := range members {
			inStep(t, p.redis, m.Engine, m.next)
		}
		time.Sleep(time.Minute)
		if n := p.eras(); n != 2 || len(p.openOnes()) != 3 {
			t.Errorf("a minute later: %d eras, %d journals open", n, len(p.openOnes()))
		}
	})
}

// The one that builds dies while it waits for the others: after 10 s without progress another one builds the next era,
// and the dead one's journal is sealed by that.
func TestEra_BuilderDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, embedded.Open())
		members := []*member{p.join(), p.join(), p.join()}
		p.settled("the first era", 20*time.Second, together(1, members...))
		ps := p.topic(members[0], "orders", 6)
		time.Sleep(time.Second)
		for _, m := range members {
			p.write(m, p.ownedBy(m, ps)...)
		}
		time.Sleep(time.Second)
		p.redis = embedded.Open()
		first := members[0]
		first.link.lead(p.redis) // alone sees the new one, and so it builds
		for _, m := range members[1:] {
			m.link.cut(true)
		}
		time.Sleep(2 * time.Second)
		if p.eras() != 2 {
			t.Fatalf("%d eras", p.eras())
		}
		first.kill()
		for _, m := range members[1:] {
			m.link.lead(p.redis)
			m.link.cut(false)
		}
		p.settled("the era after that", 45*time.Second, together(3, members[1:]...))
		if n := len(p.openOnes()); n != 2 {
			t.Errorf("%d journals are open, want those of the living", n)
		}
		ends := map[topic.Partition]topic.Offset{}
		for _, x := range ps {
			ends[x] = 1
		}
		inStep(t, p.redis, members[1].Engine, ends)
	})
}

// One dies together with Redis: it does not re-attach within two leases and is sealed by who builds.
func TestEra_AgentLostInTheSameMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, embedded.Open())
		a, b, c := p.join(), p.join(), p.join()
		p.settled("the first era", 20*time.Second, together(1, a, b, c))
		ps := p.topic(a, "orders", 6)
		time.Sleep(time.Second)
		mine := p.ownedBy(c, ps)
		p.write(c, mine...)
		c.kill()
		p.redis = embedded.Open()
		a.link.lead(p.redis)
		b.link.lead(p.redis)
		took := p.settled("the second era", 30*time.Second, together(2, a, b))
		if took > 2*p.lease+3*time.Second {
			t.Errorf("open after %v", took)
		}
		if n := len(p.openOnes()); n != 2 {
			t.Errorf("%d journals are open", n)
		}
		for _, x := range mine {
			if o, _ := p.state().State().Owner(x); o.Base != 1 || o.Epoch != 1 {
				t.Errorf("%s is assigned as %+v", x, o)
			}
		}
	})
}

// One re-attaches and then stands still short of what it named: it is sealed and indexed like the others, after two
// leases, however much is written and decided meanwhile.
func TestEra_AttachedAndStandingStillIsSealed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, embedded.Open())
		a, b, c := p.join(), p.join(), p.join()
		p.settled("the first era", 20*time.Second, together(1, a, b, c))
		ps := p.topic(a, "orders", 6)
		time.Sleep(time.Second)
		mine := p.ownedBy(c, ps)
		p.write(c, mine...)
		time.Sleep(time.Second)
		c.kill()
		p.redis = embedded.Open()
		run, replication, _ := p.redis.Identity(t.Context())
		pin := pinOf(mustEra(t, a))
		pin.Era, pin.RunID, pin.ReplicationID = 2, run, replication
		if err := p.redis.Reattach(t.Context(), pin, c.Journal(), 1); err != nil { // its last deed
			t.Fatal(err)
		}
		a.link.lead(p.redis)
		b.link.lead(p.redis)
		others, topics := p.ownedBy(a, ps), 0
		open := together(2, a, b)
		took := p.settled("the second era", 30*time.Second, func() bool {
			if open() {
				return true
			}
			p.write(a, others...)
			topics++
			a.topicOf(t, fmt.Sprintf("another-%d", topics), 1)
			return false
		})
		if took > 2*p.lease+3*time.Second {
			t.Errorf("open after %v, lease %v", took, p.lease)
		}
		if n := len(p.openOnes()); n != 2 {
			t.Errorf("%d journals are open", n)
		}
		ends := map[topic.Partition]topic.Offset{}
		for _, x := range mine {
			ends[x] = 1
		}
		inStep(t, p.redis, a.Engine, ends)
	})
}

// An agent opens its journal while an era is built: it is waited for, re-attaches and is in the era when that opens.
func TestEra_NewcomerDuringTheBuild(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, embedded.Open())
		a, b := p.join(), p.join()
		p.settled("the first era", 20*time.Second, together(1, a, b))
		ps := p.topic(a, "orders", 6)
		time.Sleep(time.Second)
		p.redis = embedded.Open()
		b.link.cut(true)
		a.link.lead(p.redis)
		time.Sleep(2 * time.Second) // a builds and waits for b
		c := p.join()
		time.Sleep(time.Second)
		if c.Era() != 0 {
			t.Error("the newcomer keeps an era that is not complete")
		}
		b.link.lead(p.redis)
		b.link.cut(false)
		p.settled("the second era", 10*time.Second, together(2, a, b, c))
		if n := len(p.openOnes()); n != 3 {
			t.Errorf("%d journals are open", n)
		}
		more := p.topic(c, "more", 9)
		time.Sleep(time.Second)
		p.write(c, p.ownedBy(c, more)...)
		p.write(a, p.ownedBy(a, ps)...)
		p.settled("the index", 5*time.Second, together(2, a, b, c))
		inStep(t, p.redis, c.Engine, c.next)
	})
}

// Redis fails over again while an era is built: that one is never opened.
func TestEra_FailoverDuringTheBuild(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, embedded.Open())
		a, b := p.join(), p.join()
		p.settled("the first era", 20*time.Second, together(1, a, b))
		second := embedded.Open()
		b.link.cut(true)
		a.link.lead(second)
		time.Sleep(2 * time.Second)
		p.redis = embedded.Open()
		a.link.lead(p.redis)
		b.link.lead(p.redis)
		b.link.cut(false)
		p.settled("the third era", 10*time.Second, together(3, a, b))
		if status, _ := second.Current(t.Context(), 2); status.Open() {
			t.Error("the second era was opened")
		}
		if n := len(p.openOnes()); n != 2 {
			t.Errorf("%d journals are open", n)
		}
	})
}

// Redis fails over twice while an agent waits for the bucket: what it saw in between must not be named behind the era of
// the Redis that is there now, or nobody could work with that one.
func TestEra_IdentityThatIsGoneIsNotNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, embedded.Open())
		a, b := p.join(), p.join()
		p.settled("the first era", 20*time.Second, together(1, a, b))
		between := embedded.Open()
		a.bucket.open(false)
		b.link.cut(true)
		a.link.lead(between)
		time.Sleep(2 * time.Second) // a knows what Redis is there, and reads the control log
		p.redis = embedded.Open()
		a.link.lead(p.redis)
		b.link.lead(p.redis)
		b.link.cut(false)
		time.Sleep(2 * time.Second) // b names the second era
		a.bucket.open(true)
		p.settled("the second era", 10*time.Second, together(2, a, b))
		if n := p.eras(); n != 2 {
			t.Errorf("%d eras", n)
		}
	})
}

// Of those that hold a build up only who does not beat any more is sealed: the others may wait for its slots. Where all
// beat, it is one at a time.
func TestEra_OnlyWhoDoesNotBeatIsSealed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, embedded.Open())
		a, b, c := p.join(), p.join(), p.join()
		p.settled("the first era", 20*time.Second, together(1, a, b, c))
		c.kill()
		pin := pinOf(mustEra(t, a))
		beats, err := p.redis.Counters(t.Context(), pin)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		builds := builder{engine: a.Engine, pin: pin, beats: beats}
		for _, x := range []struct{ short, want []topic.JournalID }{
			{[]topic.JournalID{b.Journal(), c.Journal()}, []topic.JournalID{c.Journal()}},
			{[]topic.JournalID{b.Journal(), a.Journal()}, []topic.JournalID{b.Journal()}},
		} {
			if got, err := builds.guilty(t.Context(), x.short); err != nil || !slices.Equal(got, x.want) {
				t.Errorf("of %v: %v, %v, want %v", x.short, got, err, x.want)
			}
		}
	})
}

// The index of one partition waits for the slots of another agent, which are in the log and not in Redis yet: nobody
// builds anew for that, and it goes on once that agent does, or is sealed.
func TestIndex_BehindWaitsForTheOwnerBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, embedded.Open())
		a, b, c := p.join(), p.join(), p.join()
		p.settled("the first era", 20*time.Second, together(1, a, b, c))
		ps := p.topic(a, "orders", 9)
		time.Sleep(time.Second)
		x := p.ownedBy(c, ps)[0]
		c.link.cut(true)
		p.write(c, x) // counts, and Redis does not know
		if err := a.Takeover(t.Context(), c.Journal()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		o, _ := a.State().Owner(x)
		heir := a
		if o.Journal == b.Journal() {
			heir = b
		}
		p.write(heir, x)
		p.settled("the index", 5*time.Second, together(1, a, b))
		inStep(t, p.redis, a.Engine, map[topic.Partition]topic.Offset{x: 2})
		if n := p.eras(); n != 1 {
			t.Errorf("%d eras", n)
		}
	})
}

func mustEra(t *testing.T, m *member) control.Era {
	t.Helper()
	era, ok := m.State().NewestEra()
	if !ok {
		t.Fatal("no era was named")
	}
	return era
}

// FLUSHALL: the same Redis, which forgot everything. The first time another era is named at once; a Redis that keeps
// forgetting is answered with pauses, so that the control log does not fill.
func TestEra_FlushedRedisIsBuiltAtOnceAndThenWithPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := embedded.Open()
		empty := first.Snapshot()
		p := newPool(t, first)
		members := []*member{p.join(), p.join(), p.join()}
		p.settled("the first era", 20*time.Second, together(1, members...))
		ps := p.topic(members[0], "orders", 9)
		time.Sleep(time.Second)
		for _, m := range members {
			p.write(m, p.ownedBy(m, ps)...)
		}
		flush := func() {
			p.redis = embedded.Restore(empty, empty.Identity())
			for _, m := range members {
				m.link.lead(p.redis)
			}
		}
		for i, most := range []time.Duration{3 * time.Second, 13 * time.Second, 23 * time.Second} {
			flush()
			took := p.settled("the next era", most, together(uint64(i+2), members...))
			if i > 0 && took < most-8*time.Second {
				t.Errorf("flush %d: built after %v, too soon", i+1, took)
			}
			for _, m := range members {
				inStep(t, p.redis, m.Engine, m.next)
			}
		}
		if n := p.eras(); n != 4 || len(p.openOnes()) != 3 {
			t.Errorf("%d eras, %d journals open", n, len(p.openOnes()))
		}
		time.Sleep(calmAfter + time.Minute)
		flush()
		p.settled("the next era after quiet times", 3*time.Second, together(5, members...))
	})
}

// A builder that stands still is followed at once, also where eras have to wait for each other: without an open era nobody
// who died is missed (R2).
func TestEra_BuilderDiesWhileErasHaveToWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := embedded.Open()
		empty := first.Snapshot()
		p := newPool(t, first)
		members := []*member{p.join(), p.join(), p.join()}
		p.settled("the first era", 20*time.Second, together(1, members...))
		for i := range 3 {
			p.redis = embedded.Restore(empty, empty.Identity())
			for _, m := range members {
				m.link.lead(p.redis)
			}
			p.settled("the next era", time.Minute, together(uint64(i+2), members...))
		}
		p.redis = embedded.Open()
		builder := members[0]
		builder.link.lead(p.redis)
		for _, m := range members[1:] {
			m.link.cut(true)
		}
		p.settled("the era is named", 5*time.Second, func() bool { return p.eras() == 5 })
		builder.kill()
		for _, m := range members[1:] {
			m.link.lead(p.redis)
			m.link.cut(false)
		}
		p.settled("the era after that", stoodStill10+2*p.lease+5*time.Second, together(6, members[1:]...))
	})
}

// It forgets everything while an era is built: all come in again.
func TestEra_FlushedDuringTheBuild(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, embedded.Open())
		a, b, c := p.join(), p.join(), p.join()
		p.settled("the first era", 20*time.Second, together(1, a, b, c))
		ps := p.topic(a, "orders", 9)
		time.Sleep(time.Second)
		for _, m := range []*member{a, b, c} {
			p.write(m, p.ownedBy(m, ps)...)
		}
		time.Sleep(time.Second)
		second := embedded.Open()
		empty := second.Snapshot()
		c.link.cut(true)
		a.link.lead(second)
		b.link.lead(second)
		time.Sleep(2 * time.Second)
		p.redis = embedded.Restore(empty, empty.Identity())
		for _, m := range []*member{a, b, c} {
			m.link.lead(p.redis)
		}
		c.link.cut(false)
		p.settled("an era", 15*time.Second, func() bool { return together(2, a, b, c)() || together(3, a, b, c)() })
		if n := len(p.openOnes()); n != 3 {
			t.Errorf("%d journals are open", n)
		}
		inStep(t, p.redis, a.Engine, c.next)
	})
}
