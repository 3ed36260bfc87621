package agent

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/odradek/odradek/metadata/embedded"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/faulty"
)

// An agent names a replica that is gone by the time its ERA counts, when all else is mended: the master is what an older era
// names (R2), and the pool promotes it again.
func TestPool_AMasterThatIsLeftBehindIsPromoted(t *testing.T) {
	defer drawFrom(1)()
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1, t.TempDir())
		for range 2 {
			p.start(p.newDisk())
		}
		defer p.end()
		if !p.prepare() {
			return
		}
		x := p.living()[0]
		x.bucket.SetScript(func(c faulty.Call) faulty.Fault {
			of := x.bucketScript(c)
			if c.Kind == objectstore.KindCreate && strings.HasPrefix(c.Key, "control/") {
				of.Delay += 10 * time.Second
			}
			return of
		})
		p.world.Split(p.world.Snapshot(), embedded.NewIdentity(), x.meta)
		time.Sleep(5 * time.Second)
		p.calm()
		if s, _, err := p.controlLog(); err != nil || len(s.Eras()) != 1 {
			t.Fatalf("%d eras are named before the ERA counts (%v)", len(s.Eras()), err)
		}
		defer p.tended()()
		time.Sleep(10 * time.Second)
		if _, ok := p.converge(); !ok {
			return
		}
		s, _, err := p.controlLog()
		if err != nil || len(s.Eras()) < 3 {
			t.Fatalf("%d eras are named (%v), of the master, the replica and the master that is promoted at least three", len(s.Eras()), err)
		}
		now, _ := s.NewestEra()
		if run, replication, _ := p.world.Main().Identity(t.Context()); now.RunID != run || now.ReplicationID != replication {
			t.Errorf("era %d is not the master's", now.Number)
		}
	})
}

// When the index copy goes back under its own identity, agents may be taken over until owners no longer wait for what it lost.
func TestBook_AnIndexCopyThatWentBackUnseenExcusesTakeovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1, t.TempDir())
		x := &simProcess{p: p}
		before := time.Now()
		time.Sleep(time.Second)
		p.book.wentBack()
		at, while := time.Now(), 10*time.Second
		for _, c := range []struct {
			at   time.Time
			want bool
		}{{before, false}, {at.Add(simUnseen), true}, {at.Add(simUnseen + while - 1), true}, {at.Add(simUnseen + while), false}} {
			if got := p.book.excused(x, c.at, while); got != c.want {
				t.Errorf("a takeover %v after it went back is excused: %t", c.at.Sub(at), got)
			}
		}
	})
}
