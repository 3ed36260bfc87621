package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/odradek/odradek/agent/chaos"
	"github.com/odradek/odradek/test/chaos/pool"
)

const (
	passTime   = 25 * time.Second // until some compactor passed an armed point, or none does
	mostPasses = 12               // of a point that is passed many times in one job
)

// crashCompactor has whichever agent passes a point of compaction end there by SIGKILL. Deletes come many at a time:
// there it ends amid them.
func crashCompactor(ctx context.Context, d *damage) error {
	armed, pass := d.pool.Members(), 1
	if _, what, _ := strings.Cut(d.point, " "); what == chaos.Delete || what == chaos.Forget {
		pass += d.rng.IntN(mostPasses)
	}
	said := make(map[*pool.Agent]int)
	for _, a := range armed {
		said[a] = a.CrashedAt(d.point)
	}
	d.arm(armed, pass)
	how := "anybody"
	if pass > 1 {
		how = fmt.Sprintf("anybody, pass %d", pass)
	}
	d.awaitCrash(ctx, armed, said, passTime, how)
	return nil
}

// holdCompactor has whichever agent passes a point of compaction wait there, longer than the others wait before they do its
// work: two compact, trim or delete at once, and the slower one goes on with what it knew.
func holdCompactor(ctx context.Context, d *damage) error {
	held, t := d.pool.Members(), d.between(20*time.Second, 45*time.Second)
	said := make(map[*pool.Agent]int)
	for _, a := range held {
		said[a] = a.HeldAt(d.point)
		if !a.Up() {
			continue // it would heed it when it goes on
		}
		if err := a.Hold(d.point, t); err != nil && a.Up() {
			d.note("%v", err)
		}
	}
	var who []string
	for began := time.Now(); time.Since(began) < passTime && len(who) == 0 && ctx.Err() == nil; sleep(ctx, 50*time.Millisecond) {
		for _, a := range held {
			if a.HeldAt(d.point) > said[a] {
				who = append(who, a.Name)
			}
		}
	}
	for _, a := range held {
		if a.Running() {
			a.Disarm() // whoever waits already waits on
		}
	}
	if len(who) == 0 {
		d.tell(d.point + ": nobody passed")
		d.idle = true
		return nil
	}
	d.tell(fmt.Sprintf("%s: %s for %v", d.point, strings.Join(who, "+"), t.Round(100*time.Millisecond)))
	d.held(d.point, t)
	return nil // it goes on while others are struck
}
