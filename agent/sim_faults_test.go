package agent

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/metadata/embedded"
	metafaulty "github.com/odradek/odradek/metadata/faulty"
	"github.com/odradek/odradek/topic"
)

// simFault is something that goes wrong at a time, and mostly is mended after a while.
type simFault struct {
	kind   string
	at     time.Duration // after the clients began
	lasts  time.Duration
	r      *rand.Rand // of its own
	number int
	began  bool // something happened to somebody; the pool's mu guards it
}

// simFaults is all that can happen. What is drawn for a kind is drawn from the fault's own chance when it happens, from
// those who live then.
var simFaults = []struct {
	kind   string
	happen func(f *simFault, p *simPool)
}{
	{"kill, same disk", (*simFault).killSameDisk},
	{"kill, other disk", (*simFault).killOtherDisk},
	{"kill for good", (*simFault).killForGood},
	{"pause", (*simFault).pause},
	{"bucket faults", (*simFault).bucketFaults},
	{"bucket outage", (*simFault).bucketOutage},
	{"metadata faults", (*simFault).metaFaults},
	{"cut from metadata, one", (*simFault).cutOne},
	{"cut from metadata, some", (*simFault).cutSome},
	{"cut from metadata, all", (*simFault).cutAll},
	{"forget", (*simFault).forget},
	{"roll back, same identity", (*simFault).rollBackUnseen},
	{"roll back, restarted", (*simFault).rollBackRestarted},
	{"roll back, promoted", (*simFault).rollBackPromoted},
	{"split", (*simFault).split},
	{"leave", (*simFault).leave},
	{"join", (*simFault).join},
	{"move", (*simFault).move},
	{"drain", (*simFault).drain},
	{"takeover by hand", (*simFault).takeover},
	{"isolated", (*simFault).isolated},
	{"damaged reads", (*simFault).damagedReads},
	{"index copy behind an owner", (*simFault).copyBehind},
	{"sealed in a move", (*simFault).sealedInAMove},
	{"checkpoints damaged", (*simFault).checkpointsDamaged},
	{"checkpoints hidden", (*simFault).checkpointsHidden},
	{"checkpoints slow", (*simFault).checkpointsSlow},
	{"killed at a checkpoint", (*simFault).killedAtCheckpoint},
	{"compacted objects damaged", (*simFault).compactedDamaged},
	{"compacted objects slow", (*simFault).compactedSlow},
	{"killed at compaction", (*simFault).killedAtCompaction},
	{"compacts for another", (*simFault).compactsForAnother},
}

// draw makes the seed's faults: at least three, of any kinds, within a time.
func (p *simPool) draw(within time.Duration) {
	for range simFewest + p.rand.IntN(6) {
		p.drawOne(within)
	}
}

// drawOne adds a fault to the plan.
func (p *simPool) drawOne(within time.Duration) *simFault {
	i := len(p.plan)
	f := &simFault{
		kind: simFaults[p.rand.IntN(len(simFaults))].kind, at: time.Duration(p.rand.Int64N(int64(within))),
		lasts: time.Second + time.Duration(p.rand.Int64N(int64(4*time.Second+2*p.lease))), r: p.draws(fmt.Sprintf("fault %d", i)), number: i,
	}
	p.plan = append(p.plan, f)
	p.note("plan %d: %s at %v for %v", i, f.kind, f.at, f.lasts)
	return f
}

// begun is how many faults happened to somebody.
func (p *simPool) begun() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, of := range p.kinds {
		n += of
	}
	return n
}

func (f *simFault) happen(p *simPool) {
	time.Sleep(f.at)
	for _, k := range simFaults {
		if k.kind == f.kind {
			k.happen(f, p)
		}
	}
	p.note("fault %d is over", f.number)
}

// begins notes what happens to whom. A fault that finds nobody, or nothing to break, does not come to that and does not
// count.
func (f *simFault) begins(p *simPool, to string) {
	p.note("fault %d: %s: %s", f.number, f.kind, to)
	p.mu.Lock()
	defer p.mu.Unlock()
	if !f.began && to != "" {
		f.began = true
		p.kinds[f.kind]++
	}
}

// victim picks one who lives, nil if it would be the last one and must not be.
func (f *simFault) victim(p *simPool, mayBeLast bool) *simProcess {
	xs := p.living()
	if len(xs) == 0 || len(xs) == 1 && !mayBeLast {
		return nil
	}
	return xs[f.r.IntN(len(xs))]
}

// again starts an agent on a disk that one had, unless another fault of the same agent did so before.
func (p *simPool) again(m *simMachine) {
	if !slices.ContainsFunc(p.living(), func(x *simProcess) bool { return x.on == m }) {
		p.start(m)
	}
}

func (f *simFault) killSameDisk(p *simPool) {
	x := f.victim(p, true)
	if x == nil {
		return
	}
	f.begins(p, x.name)
	p.book.troubles(x)
	x.kill()
	time.Sleep(f.lasts)
	p.again(x.on)
}

func (f *simFault) killOtherDisk(p *simPool) {
	x := f.victim(p, true)
	if x == nil {
		return
	}
	f.begins(p, x.name)
	p.book.troubles(x)
	x.kill()
	time.Sleep(f.lasts / 4)
	p.start(p.newDisk())
}

func (f *simFault) killForGood(p *simPool) {
	if x := f.victim(p, false); x != nil {
		f.begins(p, x.name)
		p.book.troubles(x)
		x.kill()
	}
}

// pause holds a process for longer than a lease: others take over what it owns, and it does not know.
func (f *simFault) pause(p *simPool) {
	x := f.victim(p, true)
	if x == nil {
		return
	}
	d := p.lease + f.lasts/2
	if f.r.IntN(4) == 0 {
		d = f.lasts / 10 // a hiccup
	}
	f.begins(p, fmt.Sprintf("%s for %v", x.name, d))
	defer p.book.troubles(x)()
	x.hold(d)
	time.Sleep(d)
}

func (f *simFault) bucketFaults(p *simPool) {
	xs, w := f.some(p), simWeather{bucket: f.r.Float64() * 0.3, slow: time.Duration(f.r.Int64N(int64(400 * time.Millisecond)))}
	f.begins(p, names(xs))
	defer p.book.troubles(xs...)()
	for _, x := range xs {
		x.setWeather(w)
	}
	time.Sleep(f.lasts)
	for _, x := range xs {
		x.setWeather(simWeather{})
	}
}

func (f *simFault) bucketOutage(p *simPool) {
	xs := f.some(p)
	f.begins(p, names(xs))
	defer p.book.troubles(xs...)()
	for _, x := range xs {
		x.bucket.Cut()
	}
	time.Sleep(f.lasts)
	for _, x := range xs {
		if !x.isDead() {
			x.bucket.Mend()
		}
	}
}

func (f *simFault) metaFaults(p *simPool) {
	xs, w := f.some(p), simWeather{meta: f.r.Float64() * 0.4}
	f.begins(p, names(xs))
	defer p.book.troubles(xs...)()
	for _, x := range xs {
		x.setWeather(w)
	}
	time.Sleep(f.lasts)
	for _, x := range xs {
		x.setWeather(simWeather{})
	}
}

func (f *simFault) cutOne(p *simPool) {
	if x := f.victim(p, true); x != nil {
		f.cut(p, []*simProcess{x})
	}
}

func (f *simFault) cutSome(p *simPool) { f.cut(p, f.some(p)) }
func (f *simFault) cutAll(p *simPool)  { f.cut(p, p.living()) }

func (f *simFault) cut(p *simPool, xs []*simProcess) {
	f.begins(p, names(xs))
	defer p.book.troubles(xs...)()
	for _, x := range xs {
		x.meta.Cut()
	}
	time.Sleep(f.lasts)
	for _, x := range xs {
		if !x.isDead() {
			x.meta.Mend()
		}
	}
}

func (f *simFault) forget(p *simPool) {
	f.begins(p, "everything")
	p.book.troubles()()
	p.world.Forget()
}

// past takes a snapshot and lets it grow old.
func (f *simFault) past(p *simPool) *embedded.Snapshot {
	old := p.world.Snapshot()
	time.Sleep(f.lasts / 2)
	return old
}

func (f *simFault) rollBackUnseen(p *simPool) {
	old := f.past(p)
	f.begins(p, "under the identity of now")
	p.book.wentBack()
	p.world.RollBack(old, p.world.Snapshot().Identity())
}

func (f *simFault) rollBackRestarted(p *simPool) {
	old := f.past(p)
	f.begins(p, "under a new identity")
	p.book.troubles()()
	p.world.RollBack(old, embedded.NewIdentity())
}

func (f *simFault) rollBackPromoted(p *simPool) {
	old := f.past(p)
	f.begins(p, "with its old run id and a new replication id")
	p.book.troubles()()
	p.world.RollBack(old, embedded.Identity{RunID: old.Identity().RunID, ReplicationID: embedded.NewIdentity().ReplicationID})
}

// split promotes a replica, which lags, for a part of the agents; then either of the two becomes everybody's.
func (f *simFault) split(p *simPool) {
	old := f.past(p)
	var links []*metafaulty.Store
	xs := f.some(p)
	for _, x := range xs {
		links = append(links, x.meta)
	}
	replicaWins := f.r.IntN(2) == 0
	f.begins(p, fmt.Sprintf("%s see a replica, which wins: %t", names(xs), replicaWins))
	defer p.book.troubles()()
	replica := p.world.Split(old, embedded.NewIdentity(), links...)
	time.Sleep(f.lasts)
	if replicaWins {
		last := replica.Snapshot()
		p.world.RollBack(last, last.Identity())
	} else {
		p.world.Heal()
	}
	p.promoted()
}

// promoted promotes the master anew if an older era than the newest names its identity: agents take it for a master that
// was left behind (R2), and in no failover does one come back under the identity it had.
func (p *simPool) promoted() {
	state, _, err := p.controlLog()
	if err != nil {
		return
	}
	eras := state.Eras()
	if len(eras) == 0 {
		return
	}
	runID, replicationID, _ := p.world.Main().Identity(context.Background())
	named := func(e control.Era) bool { return e.RunID == runID && e.ReplicationID == replicationID }
	if last := len(eras) - 1; !named(eras[last]) && slices.ContainsFunc(eras[:last], named) {
		p.note("the master is promoted again")
		p.book.troubles()()
		p.world.RollBack(p.world.Snapshot(), embedded.Identity{RunID: runID, ReplicationID: embedded.NewIdentity().ReplicationID})
	}
}

// tended promotes the master again, until the end is called, as often as it is left behind: an ERA that an agent wrote when it
// saw a replica may come to count long after the replica is gone.
func (p *simPool) tended() (end func()) {
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			p.promoted()
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
	})
	return func() {
		stop()
		wg.Wait()
	}
}

// leave stops an agent as an operator does; it comes back later, on its disk.
func (f *simFault) leave(p *simPool) {
	x := f.victim(p, true)
	if x == nil {
		return
	}
	f.begins(p, x.name)
	defer p.book.troubles(x)()
	x.stop()
	time.Sleep(f.lasts)
	if f.r.IntN(3) > 0 || len(p.living()) == 0 {
		p.again(x.on)
	}
}

func (f *simFault) join(p *simPool) {
	if len(p.living()) < 6 {
		f.begins(p, "a new agent")
		p.start(p.newDisk())
	}
}

// move asks an owner to move some partitions, one after the other, to somebody.
func (f *simFault) move(p *simPool) {
	for range 1 + f.r.IntN(8) {
		name, i := simTopic, int32(f.r.IntN(simPartitions))
		if f.r.IntN(3) == 0 {
			name, i = topic.ConsumerOffsets, int32(f.r.IntN(simGroups))
		}
		from, to := f.victim(p, true), f.victim(p, true)
		if from == nil {
			return
		}
		f.moveTo(p, name, i, from, to)
		time.Sleep(f.lasts / 10)
	}
}

// moveTo lets an agent ask for a move of a partition.
func (f *simFault) moveTo(p *simPool, name string, i int32, by, to *simProcess) {
	f.propose(p, by, fmt.Sprintf("%d of %s to %s", i, name, to.name), func(s *control.State) control.Record {
		target := to.session()
		t, ok := s.TopicByName(name)
		if target == nil || !ok {
			return nil
		}
		a := t.Owner(i)
		return control.Move{Partition: a.Partition, Epoch: a.Epoch, ToJournal: target.journal}
	})
}

func (f *simFault) drain(p *simPool) {
	x := f.victim(p, false)
	if x == nil {
		return
	}
	s := x.session()
	if s == nil {
		return
	}
	for _, on := range []bool{true, false} {
		if by := f.victim(p, true); by != nil {
			f.propose(p, by, fmt.Sprintf("%s %t", x.name, on), func(*control.State) control.Record {
				return control.Drain{Journal: s.journal, On: on}
			})
		}
		time.Sleep(f.lasts)
	}
}

// propose lets an agent append a control record, if it still holds then.
func (f *simFault) propose(p *simPool, by *simProcess, what string, decide func(*control.State) control.Record) {
	s := by.session()
	if s == nil {
		return
	}
	f.begins(p, what)
	ctx, cancel := context.WithTimeout(context.Background(), simTimeout)
	defer cancel()
	_, _ = s.cluster.Propose(ctx, func(s *control.State) ([]control.Record, error) {
		if r := decide(s); r != nil && !s.Judge(r).Void {
			return []control.Record{r}, nil
		}
		return nil, nil
	})
}

// takeover lets an agent take a living one's partitions over, as an operator may who is mistaken.
func (f *simFault) takeover(p *simPool) {
	by, of := f.victim(p, false), f.victim(p, false)
	if by == nil || by == of {
		return
	}
	s, victim := by.session(), of.session()
	if s == nil || victim == nil {
		return
	}
	f.begins(p, fmt.Sprintf("%s takes over from %s", by.name, of.name))
	defer p.book.troubles(of)()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.cluster.Takeover(ctx, victim.journal); err != nil {
		p.note("fault %d: no takeover", f.number)
	}
}

// some picks one, more or all of those who live.
func (f *simFault) some(p *simPool) []*simProcess {
	xs := p.living()
	if len(xs) == 0 {
		return nil
	}
	f.r.Shuffle(len(xs), func(a, b int) { xs[a], xs[b] = xs[b], xs[a] })
	return xs[:1+f.r.IntN(len(xs))]
}

func names(xs []*simProcess) string {
	out := ""
	for _, x := range xs {
		out += x.name + " "
	}
	return out
}

// calm mends everything: what is in the network arrives, and there are enough agents.
func (p *simPool) calm() {
	p.world.Heal()
	for _, x := range p.all() {
		x.bucket.Land(context.Background())
		if x.isDead() {
			continue
		}
		x.setWeather(simWeather{})
		x.bucket.SetScript(x.bucketScript)
		x.bucket.Mend()
		x.meta.Mend()
	}
	for len(p.living()) < 2 {
		p.start(p.newDisk())
	}
	p.note("calm, %d agents live", len(p.living()))
}
