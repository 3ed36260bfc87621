package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/odradek/odradek/test/harness"
)

const (
	massWindow = 31 * time.Second       // deaths within 30 s are counted together, and the second has two leases (F1)
	afterwards = 500 * time.Millisecond // watched on, once all is back
)

// figureUnavailability: for how long a producer gets no ack on the partitions that a fault concerns: those of the agent
// that is killed or stopped, those that are moved.
func figureUnavailability(args []string) error {
	f := newFleetFlags("unavailability", 30, 20*time.Millisecond)
	fault := f.set.String("fault", "kill", "kill: SIGKILL, started again once others own its partitions; again: SIGKILL, started again at once; term: SIGTERM; move: odradek cluster move")
	rounds := f.set.Int("rounds", 10, "how often; moves come in pairs")
	apart := f.set.Duration("apart", massWindow, "kills are at least this far from each other: a second death within 30s has two leases by rule F1")
	slow := f.set.Duration("slow", 0, "tell each silence that is longer, with its time")
	f.set.Parse(args)
	fl, err := startFleet(f, 3)
	if fl != nil {
		defer fl.close()
	}
	if err != nil {
		return err
	}
	p, err := startPulse(fl, pulseConfig{topic: benchTopic, partitions: f.partitions, every: f.every, size: 100})
	if err != nil {
		return err
	}
	defer p.close()
	fl.codes.take()
	u := &unavailability{fl: fl, p: p, apart: *apart, slow: *slow}
	step, ok := map[string]func() error{"kill": u.kill, "again": u.killAgain, "term": u.term, "move": u.move}[*fault]
	if !ok {
		return fmt.Errorf("no fault %q", *fault)
	}
	fmt.Printf("unavailability: %s, lease %v, %d partitions, a record each every %v, metadata at most every %v, %s\n", *fault, f.lease, f.partitions, f.every, f.minAge, f.store)
	for i := 0; i < *rounds && err == nil && fl.ctx.Err() == nil; i++ {
		if err = step(); err != nil {
			err = fmt.Errorf("round %d: %w", i+1, err)
		}
	}
	u.print()
	if err != nil {
		return err
	}
	if *fault == "term" || *fault == "move" {
		return finishMoved(fl, p)
	}
	return finish(fl, p)
}

// finishMoved is finish of a load of which clients may be told nothing but that something has another owner.
func finishMoved(fl *fleet, pulses ...*pulse) error {
	counts := fl.codes.take()
	for name, n := range counts {
		fl.codes.add(name, n)
	}
	if line, only := tell(counts); !only {
		return errOr(finish(fl, pulses...), fmt.Errorf("clients saw errors: %s", line))
	}
	return finish(fl, pulses...)
}

// finish ends the load, compares, and prints what was found and which codes clients saw.
func finish(fl *fleet, pulses ...*pulse) error {
	var failed error
	line, _ := tell(fl.codes.take())
	fmt.Printf("  codes that clients were answered: %s\n", line)
	for _, p := range pulses {
		if err := p.stop(time.Minute); err != nil {
			return err
		}
		v, err := p.check(fl)
		fmt.Printf("  %s: %v; given up by the client: %v\n", p.topic, v, p.errors())
		if err != nil || !v.clean(p.retried) {
			failed = errOr(failed, fmt.Errorf("%s: %v: %w", p.topic, v, errOr(err, errUnclean)))
		}
	}
	return failed
}

// unavailability is the figure under way.
type unavailability struct {
	fl    *fleet
	p     *pulse
	apart time.Duration
	slow  time.Duration
	next  int // agent
	last  time.Time

	affected samples // of each partition of the agent hit
	worst    samples // of each fault
	back     samples // of each partition that was moved by plan
	other    samples // of each round, the longest on partitions that it does not concern
}

func (u *unavailability) print() {
	header("seconds without an ack")
	u.affected.row("each affected partition")
	u.worst.row("each fault, its longest")
	u.back.row("each partition moved by plan")
	u.other.row("each fault, the longest of all other partitions")
}

// victim is the next agent in turn.
func (u *unavailability) victim() *harness.Agent {
	u.next++
	return u.fl.agents[u.next%len(u.fl.agents)]
}

// began begins a round with a balanced pool.
func (u *unavailability) began() (owners map[int32]string, at time.Time, err error) {
	if owners, err = u.fl.balanced(); err != nil {
		return nil, time.Time{}, err
	}
	u.fl.sleep(afterwards)
	u.p.silences(nil)
	return owners, time.Now(), nil
}

// count takes the silences of partitions that a fault concerned, and of all others.
func (u *unavailability) count(what string, at time.Time, of []int32) {
	concerned := make(map[int32]bool)
	for _, p := range of {
		concerned[p] = true
	}
	var longest, others time.Duration
	for i, s := range u.p.silences(u.p.all()) {
		if !concerned[int32(i)] {
			others = max(others, s)
			continue
		}
		u.affected = append(u.affected, s)
		longest = max(longest, s)
	}
	u.worst, u.other = append(u.worst, longest), append(u.other, others)
	if u.slow > 0 && max(longest, others) > u.slow {
		fmt.Printf("  %s %s: %.3f s, others %.3f s\n", at.UTC().Format("15:04:05.000"), what, longest.Seconds(), others.Seconds())
	}
}

// returned waits until the pool is balanced again and takes the silences of those partitions that moved meanwhile.
func (u *unavailability) returned(before map[int32]string) error {
	at := time.Now()
	after, err := u.fl.balanced()
	if err != nil {
		return err
	}
	u.fl.sleep(afterwards)
	moved := changed(before, after)
	for i, s := range u.p.silences(moved) {
		u.back = append(u.back, s)
		if u.slow > 0 && s > u.slow {
			fmt.Printf("  %s partition %d moved back: %.3f s\n", at.UTC().Format("15:04:05.000"), moved[i], s.Seconds())
		}
	}
	return nil
}

// kill kills an agent and starts it again once its partitions are acked by others.
func (u *unavailability) kill() error {
	u.fl.sleep(u.apart - time.Since(u.last))
	owners, at, err := u.began()
	if err != nil {
		return err
	}
	a := u.victim()
	hit := ownedBy(owners, a.Addr)
	a.Kill()
	if err := u.p.settled(u.fl.ctx, u.p.all(), time.Now(), stuckAfter); err != nil {
		return err
	}
	u.last = time.Now()
	u.fl.sleep(afterwards)
	u.count("SIGKILL of "+a.Addr, at, hit)
	return u.restart(a)
}

// restart starts an agent again, and waits until it has its share.
func (u *unavailability) restart(a *harness.Agent) error {
	before, err := u.fl.owners(u.fl.running()[0])
	if err != nil {
		return err
	}
	a.Restart()
	return u.returned(before)
}

// killAgain kills an agent and starts it again at once: it finds its own WAL, and waits for no lease (B3).
func (u *unavailability) killAgain() error {
	owners, at, err := u.began()
	if err != nil {
		return err
	}
	a := u.victim()
	hit := ownedBy(owners, a.Addr)
	a.Kill()
	killed := time.Now()
	a.Restart()
	if err := u.p.settled(u.fl.ctx, u.p.all(), killed, stuckAfter); err != nil {
		return err
	}
	u.fl.sleep(afterwards)
	u.count("SIGKILL of "+a.Addr, at, hit)
	return nil
}

// term stops an agent and starts it again.
func (u *unavailability) term() error {
	owners, at, err := u.began()
	if err != nil {
		return err
	}
	a := u.victim()
	hit := ownedBy(owners, a.Addr)
	if _, status := a.Terminate(); status != 0 {
		return fmt.Errorf("agent ended with status %d\n%s", status, a.Tail())
	}
	if err := u.p.settled(u.fl.ctx, u.p.all(), time.Now(), stuckAfter); err != nil {
		return err
	}
	u.fl.sleep(afterwards)
	u.count("SIGTERM of "+a.Addr, at, hit)
	return u.restart(a)
}

// move has two agents exchange a partition each.
func (u *unavailability) move() error {
	owners, _, err := u.began()
	if err != nil {
		return err
	}
	from, to := u.victim(), u.fl.agents[(u.next+1)%len(u.fl.agents)]
	x, y := ownedBy(owners, from.Addr), ownedBy(owners, to.Addr)
	var both sync.WaitGroup
	var errs [2]error
	both.Go(func() { errs[0] = u.fl.askMove(x[rand.IntN(len(x))], to) })
	both.Go(func() { errs[1] = u.fl.askMove(y[rand.IntN(len(y))], from) })
	both.Wait()
	if err := errOr(errs[0], errs[1]); err != nil {
		return err
	}
	return u.returned(owners)
}

// askMove is odradek cluster move. The balancer may be quicker and give the partition to somebody else: it moved, then.
func (fl *fleet) askMove(p int32, to *harness.Agent) error {
	node, err := fl.nodeID(to)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(fl.ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, harness.Binary(fl.t), "cluster", "move", "--bucket", fl.options.Bucket, "--redis", fl.options.Redis, benchTopic, fmt.Sprint(p), fmt.Sprint(node))
	cmd.Env = append(cmd.Environ(), fl.options.Env...)
	if out, err := cmd.CombinedOutput(); err != nil && !strings.Contains(string(out), "instead") {
		return fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args[1:], " "), err, out)
	}
	return nil
}
