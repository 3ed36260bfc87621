package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	outageLook = 5 * time.Second        // between two lines
	rssLook    = 250 * time.Millisecond // between two looks at resident memory
)

// figureOutage: a bucket that is gone for a minute, with more load than the agents' memory and WALs can hold meanwhile.
func figureOutage(args []string) error {
	f := newFleetFlags("outage", 30, 20*time.Millisecond)
	f.store = "minio"
	away := f.set.Duration("away", time.Minute, "how long")
	quiet := f.set.Duration("quiet", 20*time.Second, "before and after")
	rounds := f.set.Int("rounds", 1, "outages")
	memory := f.set.Int("memory", 512, "--memory of the agents, in MiB")
	wal := f.set.Int("wal", 64, "--wal-size of the agents, in MiB")
	hang := f.set.Bool("hang", false, "packets are lost; else connections are refused")
	f.set.Parse(args)
	if f.store != "minio" {
		return errors.New("a directory has no outages: -store minio")
	}
	fl, err := startFleet(f, 3, "--memory", fmt.Sprintf("%dMiB", *memory), "--wal-size", fmt.Sprintf("%dMiB", *wal))
	if fl != nil {
		defer fl.close()
	}
	if err != nil {
		return err
	}
	o := &outage{fl: fl}
	defer o.close()
	if err := o.load(); err != nil {
		return err
	}
	// The setting's own words: two fifths more, 64 MiB, and a little for each connection.
	limit := float64(*memory)*1.4 + 64
	fmt.Printf("outage: %v (hang: %v), 3 agents with --memory %dMiB (limit of a process %.0f MiB) and --wal-size %dMiB; %d partitions each: acks=all %d bytes, acks=all %d KiB, acks=1 %d KiB, a record each every %v, %v, %v\n",
		*away, *hang, *memory, limit, *wal, f.partitions, o.beat.size, o.flood.size>>10, o.one.size>>10, o.beat.every, o.flood.every, o.one.every)
	fmt.Printf("  %-10s %12s %12s %12s %10s  %s\n", "", "acks=all", "acks=all big", "acks=1", "RSS MiB", "codes that clients were answered")
	for range *rounds {
		o.watch(*quiet, "quiet")
		if *hang {
			fl.bucket.Swallow()
		} else {
			fl.bucket.Cut()
		}
		o.watch(*away, "away")
		if err = o.mend(*quiet); err != nil {
			break
		}
	}
	header("seconds from the end of the outage, until every partition")
	o.resumed[0].row("acked with acks=all")
	o.resumed[1].row("acked with acks=1")
	o.caughtUp[0].row("acked with acks=all what was sent after it")
	o.caughtUp[1].row("acked with acks=1 what was sent after it")
	if err != nil {
		return err
	}
	fmt.Printf("  largest RSS of an agent %.0f MiB, limit %.0f MiB\n", o.peak, limit)
	err = finish(fl, o.beat, o.flood, o.one)
	if o.peak > limit {
		err = errors.Join(err, fmt.Errorf("an agent had %.0f MiB resident, limit %.0f", o.peak, limit))
	}
	return err
}

// outage is the figure under way.
type outage struct {
	fl               *fleet
	beat, flood, one *pulse
	acked            [3]int
	peak             float64 // MiB resident

	// From the end of an outage until every partition acked anything, and what was sent after it: acks=all, acks=1.
	resumed, caughtUp [2]samples
}

// mend ends an outage and waits until every partition acks, and what waited in the clients was sent.
func (o *outage) mend(quiet time.Duration) error {
	mended := o.beat.watch()
	o.one.watch()
	o.fl.bucket.Mend()
	for o.watch(quiet, "back"); ; o.watch(outageLook, "back") {
		done := true
		for _, p := range []*pulse{o.beat, o.one} {
			_, first := p.firsts()
			done = done && !first.IsZero()
		}
		if done {
			break
		}
		if time.Since(mended) > stuckAfter || o.fl.ctx.Err() != nil {
			return fmt.Errorf("not every partition acked within %v after the outage", stuckAfter)
		}
	}
	for i, p := range []*pulse{o.beat, o.one} {
		resumed, first := p.firsts()
		o.resumed[i] = append(o.resumed[i], resumed.Sub(mended))
		o.caughtUp[i] = append(o.caughtUp[i], first.Sub(mended))
	}
	return nil
}

func (o *outage) load() error {
	n := o.fl.flags.partitions
	for _, name := range []string{"flood", "acks1"} {
		if err := createTopic(o.fl.agents[0].Addr, name, int32(n)); err != nil {
			return err
		}
	}
	o.fl.sleep(5 * time.Second) // they are spread
	var err error
	if o.beat, err = startPulse(o.fl, pulseConfig{topic: benchTopic, partitions: n, every: o.fl.flags.every, size: 100}); err != nil {
		return err
	}
	if o.flood, err = startPulse(o.fl, pulseConfig{topic: "flood", partitions: n, every: 50 * o.fl.flags.every, size: 200 << 10, open: 100, writers: n}); err != nil {
		return err
	}
	o.one, err = startPulse(o.fl, pulseConfig{
		topic: "acks1", partitions: n, every: o.fl.flags.every, size: 4 << 10, open: 1000, writers: 3, retried: true,
		opts: []kgo.Opt{kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite()},
	})
	o.fl.codes.take()
	return err
}

func (o *outage) close() {
	for _, p := range []*pulse{o.beat, o.flood, o.one} {
		if p != nil {
			p.close()
		}
	}
}

// watch prints for a while what is acked, and what the agents hold.
func (o *outage) watch(d time.Duration, name string) {
	for began := time.Now(); time.Since(began) < d && o.fl.ctx.Err() == nil; {
		largest := 0.0
		for look := time.Now(); time.Since(look) < outageLook; o.fl.sleep(rssLook) {
			for _, a := range o.fl.agents {
				largest = max(largest, residentMiB(a.Pid()))
			}
			if o.fl.ctx.Err() != nil {
				return
			}
		}
		o.peak = max(o.peak, largest)
		var rate [3]float64
		for i, p := range []*pulse{o.beat, o.flood, o.one} {
			n := p.acks()
			rate[i], o.acked[i] = float64(n-o.acked[i])/outageLook.Seconds(), n
		}
		line, _ := tell(o.fl.codes.take())
		fmt.Printf("  %-4s %3.0f s %10.0f/s %10.0f/s %10.0f/s %10.0f  %s\n", name, time.Since(began).Seconds(), rate[0], rate[1], rate[2], largest, line)
	}
}

// residentMiB is the resident memory of a process.
func residentMiB(pid int) float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kib / 1024
		}
	}
	return 0
}
