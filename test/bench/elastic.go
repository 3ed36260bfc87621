package main

import (
	"fmt"
	"time"
)

// figureElastic: a pool that grows from one agent to six and shrinks to two within two minutes, under constant load.
func figureElastic(args []string) error {
	f := newFleetFlags("elastic", 1000, 500*time.Millisecond)
	length := f.set.Duration("length", 2*time.Minute, "of the whole")
	f.set.Parse(args)
	fl, err := startFleet(f, 1)
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
	fs, err := startFollowers(fl, benchTopic, f.partitions, 1, 2)
	if err != nil {
		return err
	}
	defer fs.close()
	fmt.Printf("elastic: %d partitions, a record each every %v, a reader and a group of two, %s\n", f.partitions, f.every, f.store)
	fl.codes.take()
	p.silences(nil)
	e := &elastic{fl: fl, began: time.Now()}
	at := func(part float64) time.Duration { return time.Duration(part * float64(*length)) }
	for i := range 5 { // five come within a quarter of the time
		e.until(at(0.05 + 0.05*float64(i)))
		fl.add()
		e.change()
	}
	e.until(at(0.5))
	for i := range 4 { // four go within another
		e.until(at(0.5 + 0.05*float64(i)))
		a := fl.agents[i]
		if _, status := a.Terminate(); status != 0 {
			return fmt.Errorf("agent ended with status %d\n%s", status, a.Tail())
		}
		e.change()
	}
	e.until(*length)
	e.change()
	seen := fs.take()
	silent := samples(p.silences(p.all()))
	fmt.Printf("  read %d, longest silence of a partition for a reader %.3f s, commits %d, failed %d, slowest %.3f s, rebalances %d, errors %v\n",
		seen.read, seen.gap.Seconds(), seen.commits, seen.failed, seen.slowest.Seconds(), seen.rebalances, seen.errors)
	header("seconds without an ack")
	silent.row("each partition, its longest in the whole run")
	p.longOnes(e.began)
	return finishMoved(fl, p)
}

// elastic is the figure under way.
type elastic struct {
	fl     *fleet
	began  time.Time
	joined time.Time // when the last agent came or went
	even   time.Duration
}

// until looks at the spread until a time of the run.
func (e *elastic) until(at time.Duration) {
	for time.Since(e.began) < at && e.fl.ctx.Err() == nil {
		e.look()
		e.fl.sleep(min(500*time.Millisecond, at-time.Since(e.began)))
	}
}

// look notes when the partitions of each agent are within a fifth of its share.
func (e *elastic) look() {
	owners, err := e.fl.owners(e.fl.running()[len(e.fl.running())-1])
	if err != nil || e.joined.IsZero() || e.even > 0 {
		return
	}
	least, most, strays := e.fl.spread(owners)
	share := float64(len(owners)) / float64(len(e.fl.running()))
	if strays == 0 && float64(least) >= 0.8*share && float64(most) <= 1.2*share {
		e.even = time.Since(e.joined)
	}
}

// change ends the time since the last change and begins another.
func (e *elastic) change() {
	owners, err := e.fl.owners(e.fl.running()[len(e.fl.running())-1])
	least, most, strays := e.fl.spread(owners)
	if err != nil {
		fmt.Println("  owners:", err)
	}
	fmt.Printf("  %5.1f s: %d agents, %d to %d partitions each, %d of agents that are gone", time.Since(e.began).Seconds(), len(e.fl.running()), least, most, strays)
	if e.even > 0 {
		fmt.Printf("; after the change before, even within a fifth after at most %.1f s", e.even.Seconds())
	}
	fmt.Println()
	e.joined, e.even = time.Now(), 0
}
