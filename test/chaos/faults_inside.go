package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/odradek/odradek/agent/chaos"
	"github.com/odradek/odradek/test/chaos/pool"
)

// insideFaults are those that need agents built to be broken from inside; the last one, an agent whose data is on a small
// disk as well.
func insideFaults() []fault {
	return []fault{
		{name: "crash at a point", class: ofAgents, weight: 14, points: chaos.Protocol, do: crashAtPoint},
		{name: "crash a compactor", class: ofAgents, weight: 12, points: chaos.Compaction, do: crashCompactor},
		{name: "hold a compactor", class: ofAgents, weight: 5, points: chaos.Compaction, do: holdCompactor},
		{name: "clock of one jumps", class: ofAgents, weight: 2, do: func(ctx context.Context, d *damage) error {
			a, err := d.agent()
			if err != nil {
				return err
			}
			return d.jump(ctx, a)
		}},
		{name: "clock of all jumps", class: ofAgents, weight: 1, do: func(ctx context.Context, d *damage) error {
			return d.jump(ctx, d.take(mostAgents)...)
		}},
		{name: "disk error", class: ofAgents, weight: 3, do: diskError},
		{name: "torn tail", class: ofAgents, weight: 3, do: tornTail},
	}
}

// smallDiskFaults need an agent whose data is on a small disk, and a bucket behind a link.
func smallDiskFaults() []fault {
	return []fault{{name: "WAL full", class: ofBucket, weight: 2, alone: true, do: walFull}}
}

const (
	crashTime = 12 * time.Second // until somebody passed an armed point, or nobody does
	fullTime  = 40 * time.Second // until a WAL is full
	fullStill = 2 * time.Second  // without an ack: it is
)

// crashAtPoint has a process end by SIGKILL where the point that was dealt says, and does what makes somebody pass there.
func crashAtPoint(ctx context.Context, d *damage) error {
	_, what, _ := strings.Cut(d.point, " ")
	victim, err := d.agent()
	if err != nil {
		return err
	}
	armed := d.pool.Members()
	said := make(map[*pool.Agent]int)
	for _, a := range armed {
		said[a] = a.CrashedAt(d.point)
	}
	arm := func(agents []*pool.Agent) { d.arm(agents, 1) }
	others := slices.DeleteFunc(slices.Clone(armed), func(a *pool.Agent) bool { return a == victim })
	var how string
	switch what {
	case chaos.Release, chaos.Assign:
		how = victim.Name + " comes back" // and is given its share; who leaves gives away by its seal
		if _, err := victim.Terminate(stopTime); err != nil {
			return err
		}
		arm(others)
		victim.Launch()
	case chaos.Seal, chaos.JournalSealed, chaos.GetCopies:
		how = victim.Name + " is killed"
		arm(others)
		victim.Kill()
	case chaos.JournalOpen, chaos.Register:
		how = victim.Name + " starts"
		victim.Kill()
		victim.LaunchArmed(d.point)
	case chaos.Era, chaos.Begin, chaos.Loaded, chaos.Reattach, chaos.Open:
		how = "redis is flushed"
		arm(armed)
		if err := victim.Forget(ctx); err != nil {
			how = "redis is away" // another fault: nobody may pass
		}
	case chaos.Topic, chaos.Apply, chaos.GroupCommit, chaos.PutCopies:
		how = "anybody"
		arm(armed)
	default:
		how = victim.Name
		arm([]*pool.Agent{victim})
	}
	d.awaitCrash(ctx, armed, said, crashTime, how)
	return nil
}

// arm has agents end at a pass of the point. Those that are stopped are left out: they would heed it when they go on.
func (d *damage) arm(agents []*pool.Agent, pass int) {
	for _, a := range agents {
		if !a.Up() {
			continue
		}
		if err := a.Arm(d.point, pass); err != nil && a.Up() {
			d.note("%v", err)
		}
	}
}

// awaitCrash waits until one of the agents that are armed has ended at the point, for a while, and starts them again.
func (d *damage) awaitCrash(ctx context.Context, armed []*pool.Agent, said map[*pool.Agent]int, limit time.Duration, how string) {
	var crashed []string
	for began := time.Now(); time.Since(began) < limit && len(crashed) == 0 && ctx.Err() == nil; sleep(ctx, 50*time.Millisecond) {
		for _, a := range armed {
			if !a.Running() && a.CrashedAt(d.point) > said[a] {
				crashed = append(crashed, a.Name)
			}
		}
	}
	for _, a := range armed {
		if a.Running() {
			a.Disarm() // one that ends meanwhile needs none
		}
	}
	if len(crashed) == 0 {
		d.tell(fmt.Sprintf("%s: nobody passed (%s)", d.point, how))
		d.idle = true
	} else {
		d.tell(fmt.Sprintf("%s: %s (%s)", d.point, strings.Join(crashed, "+"), how))
		d.did(sigkill)
		d.crashed(d.point)
	}
	sleep(ctx, d.between(0, 2*time.Second))
	for _, a := range armed {
		if !a.Running() {
			a.Launch()
		}
	}
}

// jump makes wall clocks wrong by an hour, either way, for a while. A bucket that checks signatures refuses whoever is
// wrong by more than a quarter of an hour. Those that are only starting are left out.
func (d *damage) jump(ctx context.Context, agents ...*pool.Agent) error {
	by, t := time.Hour, d.between(2*time.Second, 8*time.Second)
	if d.rng.IntN(2) == 0 {
		by = -by
	}
	d.tell(fmt.Sprintf("%s by %v for %v", names(agents), by, t.Round(100*time.Millisecond)))
	var errs []error
	var shifted []*pool.Agent
	for _, a := range agents {
		if err := a.ShiftClock(by); err == nil {
			shifted = append(shifted, a)
		} else if a.Ready() {
			errs = append(errs, err)
		}
	}
	d.idle = len(shifted) == 0
	sleep(ctx, t)
	for _, a := range shifted {
		r, err := a.Report()
		if err == nil && r.Clock != by.String() {
			err = fmt.Errorf("%s: its clock is wrong by %s, want %v", a.Name, r.Clock, by)
		}
		errs = append(errs, err, a.ShiftClock(0))
	}
	return errors.Join(errs...)
}

// diskError has the disk of an agent's WAL fail for a while.
func diskError(ctx context.Context, d *damage) error {
	a, err := d.agent()
	if err != nil {
		return err
	}
	all := []chaos.DiskFault{chaos.FailWrites, chaos.FailSyncs, chaos.NoSpace, chaos.SlowSync}
	f, t, slow := all[d.rng.IntN(len(all))], d.between(time.Second, 5*time.Second), d.between(20*time.Millisecond, time.Second)
	calls, err := failDisk(ctx, a, f, slow, t)
	d.idle = calls == 0
	if err != nil && !a.Ready() { // another fault had ended it just before, or ended it meanwhile
		d.tell(fmt.Sprintf("%s of %s, which is only starting", f, a.Name))
		return nil
	}
	d.tell(fmt.Sprintf("%s of %s for %v: %d calls", f, a.Name, t.Round(100*time.Millisecond), calls))
	return err
}

// failDisk makes the disk of an agent's WAL fail for a while, and says how many calls that met. What it met in a process that ended
// is not known.
func failDisk(ctx context.Context, a *pool.Agent, f chaos.DiskFault, slow, t time.Duration) (calls int, err error) {
	before, err := a.Report()
	if err != nil {
		return 0, err
	}
	if err := a.FailDisk(f, slow); err != nil {
		return 0, err
	}
	sleep(ctx, t)
	after, err := a.Report()
	if err != nil {
		return 0, err
	}
	return max(0, after.Faults["disk"]-before.Faults["disk"]), a.FailDisk("", 0)
}

// tornTail kills an agent, leaves behind the newest entry of its WAL what a torn write leaves, and starts it again.
func tornTail(ctx context.Context, d *damage) error {
	a, err := d.agent()
	if err != nil {
		return err
	}
	all := []pool.Tear{pool.Garbage, pool.Half, pool.Cut}
	t := all[d.rng.IntN(len(all))]
	if a.Kill() {
		d.did(sigkill)
	}
	where, err := a.TearWAL(t)
	if errors.Is(err, pool.ErrNoEntry) {
		where, err, d.idle = "nothing: all of it counts", nil, true
	}
	d.tell(a.Name + ", " + where)
	sleep(ctx, d.between(0, time.Second))
	a.Launch()
	return err
}

// walFull takes the bucket away from all, and the room on its disk from one agent, and sends that one records with acks=1
// until it takes no more.
func walFull(ctx context.Context, d *damage) (err error) {
	i := slices.IndexFunc(d.pool.Members(), func(a *pool.Agent) bool { return a.Small() && a.Up() })
	if i < 0 {
		d.tell("nobody: the agent with a small disk is away")
		d.idle = true
		return nil
	}
	a := d.pool.Members()[i]
	for _, m := range d.pool.Members() {
		m.Bucket.Cut()
	}
	began := time.Now()
	filled := a.FillDisk()
	b, err := d.traffic.Burst(ctx, fmt.Sprintf("full%d", d.serial), a.Client.Addr)
	if err != nil {
		return err
	}
	acked, full := 0, false
	for time.Since(began) < fullTime && ctx.Err() == nil && !full {
		sleep(ctx, 100*time.Millisecond)
		n, last := b.Acked()
		acked, full = n, n > 0 && time.Since(last) > fullStill
	}
	took := time.Since(began)
	freed := a.FreeDisk()
	for _, m := range d.pool.Members() {
		m.Bucket.Mend()
	}
	stopped := b.Stop(recoverTime)
	d.did(outage)
	what := fmt.Sprintf("%s after %d records of %.1f s", a.Name, acked, took.Seconds())
	if d.idle = !full; !full {
		what = fmt.Sprintf("%s was not full after %d records of %.1f s", a.Name, acked, took.Seconds())
	}
	d.tell(what)
	return errors.Join(filled, freed, stopped)
}
