package main

import (
	"fmt"
	"maps"
	"strings"
	"syscall"
	"time"

	"github.com/odradek/odradek/test/harness"
)

// eraPause lies between two FLUSHALLs: eras at one identity of Redis wait for up to a minute after each other (R1).
const eraPause = 61 * time.Second

// figureRedisAway: what producers, consumers and groups notice of a Redis that hangs or is gone for a minute.
func figureRedisAway(args []string) error {
	f := newFleetFlags("redis-away", 30, 20*time.Millisecond)
	away := f.set.Duration("away", time.Minute, "how long")
	quiet := f.set.Duration("quiet", 20*time.Second, "before, to compare, and after")
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
	fs, err := startFollowers(fl, benchTopic, f.partitions, 6, 2)
	if err != nil {
		return err
	}
	defer fs.close()
	fmt.Printf("redis-away: %v, lease %v, %d partitions, a record each every %v, 6 groups of 2 members that commit every %v, %s\n", *away, f.lease, f.partitions, f.every, commitEvery, f.store)
	fmt.Printf("  %-22s %8s %8s %8s %8s %8s %8s %8s %8s  %s\n", "", "acked", "silent s", "read", "silent s", "commits", "failed", "slowest", "rebal.", "codes and errors")
	fl.codes.take()
	p.silences(nil)
	acks, members := p.acks(), fs.take().members
	look := func(name string) {
		now := p.acks()
		seen := fs.take()
		line, _ := tell(fl.codes.take())
		if len(seen.errors) > 0 {
			line += fmt.Sprintf("; %v", seen.errors)
		}
		fmt.Printf("  %-22s %8d %8.3f %8d %8.3f %8d %8d %8.3f %8d  %s\n", name, now-acks, samples(p.silences(p.all())).most().Seconds(),
			seen.read, seen.gap.Seconds(), seen.commits, seen.failed, seen.slowest.Seconds(), seen.rebalances, line)
		acks = now
		if len(members) > 1 && !maps.Equal(members, seen.members) {
			fmt.Printf("  members or generations changed: %v, then %v\n", members, seen.members)
		}
		members = seen.members
	}
	fl.sleep(*quiet)
	look("quiet")
	syscall.Kill(fl.redis.Pid(), syscall.SIGSTOP)
	fl.sleep(*away)
	look("SIGSTOP")
	syscall.Kill(fl.redis.Pid(), syscall.SIGCONT)
	fl.sleep(*quiet)
	look("goes on")
	fl.redis.Kill()
	fl.sleep(*away)
	look("killed")
	fl.redis.Restart()
	fl.sleep(*quiet)
	look("started, empty")
	fmt.Printf("  %d members of groups, generations %v\n", len(members), generations(members))
	return finish(fl, p)
}

// generations counts members by generation.
func generations(members map[string]int32) map[int32]int {
	out := make(map[int32]int)
	for _, g := range members {
		out[g]++
	}
	return out
}

// figureRedisLost: how soon a pool has a new era after Redis forgot everything, and how soon every partition acks.
func figureRedisLost(args []string) error {
	f := newFleetFlags("redis-lost", 1000, time.Second)
	rounds := f.set.Int("rounds", 3, "of each kind")
	kinds := f.set.String("kinds", "flush,empty,flush+kill,empty+kill", "what happens: FLUSHALL or Redis killed and started empty; with an agent killed in the same moment")
	f.set.Parse(args)
	fl, err := startFleet(f, 3)
	if fl != nil {
		defer fl.close()
	}
	if err != nil {
		return err
	}
	p, err := startPulse(fl, pulseConfig{topic: benchTopic, partitions: f.partitions, every: f.every, size: 100, writers: 4})
	if err != nil {
		return err
	}
	defer p.close()
	fmt.Printf("redis-lost: lease %v, %d partitions, a record each every %v and one when it happens, %s\n", f.lease, f.partitions, f.every, f.store)
	fl.codes.take()
	l := &redisLost{fl: fl, p: p, opened: make(map[string]samples), acked: make(map[string]samples), silent: make(map[string]samples)}
	for range *rounds {
		for kind := range strings.SplitSeq(*kinds, ",") {
			if err = l.round(kind); err != nil {
				err = fmt.Errorf("%s: %w", kind, err)
				break
			}
		}
		if err != nil {
			break
		}
	}
	header("seconds")
	for kind := range strings.SplitSeq(*kinds, ",") {
		l.opened[kind].row(kind + ": until the new era is open")
		l.acked[kind].row(kind + ": until every partition acked")
		l.silent[kind].row(kind + ": longest silence of a partition")
	}
	if err != nil {
		return err
	}
	return finish(fl, p)
}

// redisLost is the figure under way.
type redisLost struct {
	fl     *fleet
	p      *pulse
	killed time.Time
	wiped  time.Time
	next   int

	opened, acked, silent map[string]samples // by kind
}

func (l *redisLost) round(kind string) error {
	loss, kill := strings.CutSuffix(kind, "+kill")
	if kill {
		l.fl.sleep(massWindow - time.Since(l.killed))
	}
	if loss == "flush" {
		l.fl.sleep(eraPause - time.Since(l.wiped))
	}
	if _, err := l.fl.balanced(); err != nil {
		return err
	}
	l.fl.sleep(2 * time.Second) // the era before is in step
	eras := l.fl.eras()
	l.p.silences(nil)
	began := time.Now()
	var victim *harness.Agent
	if kill {
		l.next++
		victim = l.fl.agents[l.next%len(l.fl.agents)]
		victim.Kill()
	}
	switch loss {
	case "flush":
		l.wiped = time.Now()
		if err := l.fl.flushRedis(); err != nil {
			return err
		}
	case "empty":
		l.fl.redis.Restart() // it keeps nothing on disk
	default:
		return fmt.Errorf("no loss %q: flush or empty", loss)
	}
	l.p.watch()
	l.p.once()
	var opened time.Duration
	var acked time.Time
	for acked.IsZero() || opened == 0 {
		l.fl.sleep(10 * time.Millisecond)
		_, acked = l.p.firsts()
		if opened == 0 && l.fl.eras() > eras {
			opened = time.Since(began)
		}
		if l.fl.ctx.Err() != nil || time.Since(began) > stuckAfter {
			return fmt.Errorf("after %v: every partition acked %v, era open after %v (0: not)", time.Since(began), !acked.IsZero(), opened)
		}
	}
	l.opened[kind] = append(l.opened[kind], opened)
	l.acked[kind] = append(l.acked[kind], acked.Sub(began))
	l.silent[kind] = append(l.silent[kind], samples(l.p.silences(l.p.all())).most())
	if victim != nil {
		l.killed = time.Now()
		victim.Restart()
	}
	return nil
}

// eras counts the eras that agents have opened.
func (fl *fleet) eras() int {
	n := 0
	for _, a := range fl.agents {
		n += strings.Count(a.Log(), `msg="era open"`)
	}
	return n
}
