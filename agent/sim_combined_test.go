package agent

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/metadata/embedded"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/faulty"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

// Faults that chance would bring about too seldom: several things that happen to several agents in one order.

// isolated cuts an agent from bucket and metadata store, while clients still reach it: others take over from it and
// decide, and it learns of nothing.
func (f *simFault) isolated(p *simPool) {
	x := f.victim(p, false)
	if x == nil {
		return
	}
	f.begins(p, x.name)
	defer p.book.troubles(x)()
	x.bucket.Cut()
	x.meta.Cut()
	time.Sleep(2*p.lease + f.lasts)
	if !x.isDead() {
		x.bucket.Mend()
		x.meta.Mend()
	}
}

// damagedReads lets some of what agents read from the bucket arrive cut short or with a byte changed, as a bad disk or a
// proxy would. Nothing says so but the checksums.
func (f *simFault) damagedReads(p *simPool) {
	xs, share := f.some(p), f.r.Float64()*0.06
	f.begins(p, names(xs))
	defer p.book.troubles(xs...)()
	for _, x := range xs {
		r := p.draws(fmt.Sprintf("damage %d of %s", f.number, x.name))
		x.bucket.SetScript(func(c faulty.Call) faulty.Fault {
			of := x.bucketScript(c)
			if c.Kind != objectstore.KindGet && c.Kind != objectstore.KindGetRange || r.Float64() >= share {
				return of
			}
			at, with, short := r.Float64(), byte(1+r.IntN(255)), r.IntN(2) == 0
			of.Mangle = func(b []byte) []byte {
				p.book.extra[simDamaged].Add(1)
				return damaged(b, at, with, short)
			}
			return of
		})
	}
	time.Sleep(f.lasts)
	for _, x := range xs {
		x.bucket.SetScript(x.bucketScript)
	}
}

// damaged gives a copy of b that ends at a place in it, or has another byte there. Half of the places are in the last 64
// bytes, where the smallest of what is read says what the rest is.
func damaged(b []byte, at float64, with byte, short bool) []byte {
	if len(b) == 0 {
		return b
	}
	i := int(at * float64(len(b)))
	if at < 0.5 {
		i = max(0, len(b)-1-int(at*128))
	}
	if short {
		return slices.Clone(b[:i])
	}
	b = slices.Clone(b)
	b[i] ^= with
	return b
}

// copyBehind lets the index copy lack what it had of an owner's slots, and keeps the owner from indexing them again: it
// is cut from the copy, which goes back without a sign, or is lost and begun anew. Meanwhile an agent that read from the
// copy before opens a new journal, and another one joins: both know of the owner only what the copy tells.
func (f *simFault) copyBehind(p *simPool) {
	i := int32(f.r.IntN(simPartitions))
	owner, reader, third := f.three(p, i)
	if owner == nil {
		return
	}
	how := []string{"goes back unseen", "is lost", "goes back and is promoted"}[f.r.IntN(3)]
	f.begins(p, fmt.Sprintf("the copy %s, %s is cut from it, %s reads partition %d", how, owner.name, reader.name, i))
	old := p.world.Snapshot()
	look := &simReader{p: p, r: f.r}
	look.look(reader, i, time.Second+f.lasts/8)
	defer p.book.troubles(owner, reader)()
	if !f.reborn(p, reader, third) {
		return
	}
	owner.meta.Cut()
	switch how {
	case "goes back unseen":
		p.book.wentBack()
		p.world.RollBack(old, p.world.Snapshot().Identity())
	case "is lost":
		p.book.troubles()()
		p.world.Forget()
	default:
		p.book.troubles()()
		p.world.RollBack(old, embedded.Identity{RunID: old.Identity().RunID, ReplicationID: embedded.NewIdentity().ReplicationID})
	}
	if !reader.isDead() {
		reader.meta.Mend()
	}
	look.look(reader, i, 2*p.lease+2*time.Second)
	if !owner.isDead() {
		owner.meta.Mend()
	}
}

// reborn lets an agent lose its journal to another one and open the next, while it is cut from the index copy. It says
// whether the agent serves again.
func (f *simFault) reborn(p *simPool, x, by *simProcess) bool {
	s, of := by.session(), x.session()
	if s == nil || of == nil {
		return false
	}
	x.meta.Cut()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if s.cluster.Takeover(ctx, of.journal) == nil {
		for range 50 {
			time.Sleep(100 * time.Millisecond)
			if now := x.session(); now != nil && now != of {
				return true
			}
		}
	}
	if !x.isDead() {
		x.meta.Mend()
	}
	return false
}

// three gives the owner of a partition and two others that serve; nil if there are not as many.
func (f *simFault) three(p *simPool, i int32) (owner, second, third *simProcess) {
	s := p.state(f.r)
	if s == nil {
		return nil, nil, nil
	}
	a, ok := s.Owner(p.partition(i))
	if owner = p.with(a.Journal); !ok || owner == nil {
		return nil, nil, nil
	}
	xs := slices.DeleteFunc(p.serving(), func(x *simProcess) bool { return x == owner })
	if len(xs) < 2 {
		return nil, nil, nil
	}
	f.r.Shuffle(len(xs), func(a, b int) { xs[a], xs[b] = xs[b], xs[a] })
	return owner, xs[0], xs[1]
}

// look reads a partition from an agent's copy of the index again and again.
func (c *simReader) look(x *simProcess, partition int32, d time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	for ctx.Err() == nil {
		c.read(ctx, x, partition, topic.Offset(0))
		rest(ctx, c.r, 100*time.Millisecond)
	}
}

// sealedInAMove lets a move come as far as its RELEASE, and then another agent seals the owner's journal, whose ASSIGN is
// on its way for longer. The owner hears of the seal last where it would say that the partition is another's.
func (f *simFault) sealedInAMove(p *simPool) {
	i := int32(f.r.IntN(simPartitions))
	owner, to, third := f.three(p, i)
	if owner == nil {
		return
	}
	f.begins(p, fmt.Sprintf("%s gives partition %d away", owner.name, i))
	defer p.book.troubles(owner)()
	var caught atomic.Bool
	slow := time.Second + time.Duration(f.r.Int64N(int64(time.Second)))
	owner.bucket.SetScript(func(c faulty.Call) faulty.Fault {
		of := owner.bucketScript(c)
		switch {
		case c.Kind != objectstore.KindCreate:
		case strings.HasPrefix(c.Key, "control/"):
			if !caught.Swap(true) {
				of.Delay += slow
			}
		case caught.Load():
			of.Delay += 3 * slow
		}
		return of
	})
	f.moveTo(p, simTopic, i, third, to)
	for wait := 0; wait < 100 && !caught.Load(); wait++ {
		time.Sleep(20 * time.Millisecond)
	}
	if s, of := third.session(), owner.session(); caught.Load() && s != nil && of != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		err := s.cluster.Takeover(ctx, of.journal)
		cancel()
		if err == nil {
			p.book.extra[simSealedInAMove].Add(1)
		}
	}
	time.Sleep(3 * slow)
	owner.bucket.SetScript(owner.bucketScript)
}

// simJournal is a journal and the process that opened it.
type simJournal struct {
	of     *simProcess
	opened time.Time
}

// simTrouble is a time in which a process, or with nil everyone, may be taken for dead and nobody is to blame.
type simTrouble struct {
	of       *simProcess
	from, to time.Time // to is zero while it lasts
}

// opens notes that a process serves with a journal.
func (b *simBook) opens(x *simProcess, j topic.JournalID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.journals[j] = simJournal{x, time.Now()}
}

// troubles notes that something happens to processes from now on, or to all if none is named, until the end is called.
func (b *simBook) troubles(xs ...*simProcess) (end func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(xs) == 0 {
		xs = []*simProcess{nil}
	}
	first := len(b.trouble)
	for _, x := range xs {
		b.trouble = append(b.trouble, simTrouble{of: x, from: time.Now()})
	}
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		for i := range xs {
			b.trouble[first+i].to = time.Now()
		}
	}
}

// simUnseen is for how long, at most, owners wait in vain for slots of others when the index copy went back under the identity
// of now (agent/cluster, behindMost). Who follows it may be behind TRIM by then, so that it begins anew.
const simUnseen = 30 * time.Second

// wentBack notes that the index copy goes back under the identity of now: no era follows before somebody has waited in vain,
// and what others show from it may be less than before.
func (b *simBook) wentBack() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.unseen = true
	b.trouble = append(b.trouble, simTrouble{from: time.Now(), to: time.Now().Add(simUnseen)})
}

// wentBackUnseen says whether the index copy went back without a sign.
func (b *simBook) wentBackUnseen() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.unseen
}

// excused says whether something that ended less than a time before at may have made others think that x is dead.
func (b *simBook) excused(x *simProcess, at time.Time, within time.Duration) bool {
	for _, t := range b.trouble {
		if (t.of == nil || t.of == x) && t.from.Before(at) && (t.to.IsZero() || at.Sub(t.to) < within) {
			return true
		}
	}
	return false
}

// needless judges takeovers: an agent that lives, to whom nothing happened for a while, is not taken over (F1). It may cost
// no record, but clients their owner.
func (p *simPool) needless(s *control.State) {
	p.book.mu.Lock()
	defer p.book.mu.Unlock()
	for j := range s.Journals() {
		of, ok := p.book.journals[j.ID]
		if !j.Sealed || !ok {
			continue
		}
		by, at, err := p.sealOf(j)
		if err != nil {
			p.wrong("seal of journal %s: %v", j.ID, err)
			continue
		}
		while := 2*p.lease + 10*time.Second
		if strings.HasPrefix(by, "taken over by journal") && at.Sub(of.opened) > while && !p.book.excused(of.of, at, while) {
			p.wrong("%s is taken over at %v though nothing is wrong with it (%s)", of.of.name, at.Sub(p.began), by)
		}
	}
}

// sealOf tells who sealed a journal, and when.
func (p *simPool) sealOf(j *control.Journal) (by string, at time.Time, err error) {
	key := slotlog.JournalKey(j.ID, j.SealSlot)
	e, err := slotlog.Read(context.Background(), p.bucket, key)
	if err != nil {
		return "", time.Time{}, err
	}
	info, err := p.bucket.Head(context.Background(), key)
	return string(e.Payload), info.Modified, err
}
