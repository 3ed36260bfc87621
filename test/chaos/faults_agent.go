package main

import (
	"context"
	"syscall"
	"time"
)

const (
	fewestAgents = 2
	mostAgents   = 5
	stopTime     = 60 * time.Second // until a process is gone after SIGTERM
)

func agentFaults() []fault {
	return []fault{
		{name: "kill and restart", class: ofAgents, weight: 9, do: func(ctx context.Context, d *damage) error {
			return d.kill(ctx, 1, d.between(0, 2*time.Second))
		}},
		{name: "kill until taken over", class: ofAgents, weight: 9, do: func(ctx context.Context, d *damage) error {
			return d.kill(ctx, 1, d.lease+d.between(2*time.Second, 4*time.Second))
		}},
		{name: "kill two", class: ofAgents, weight: 4, do: func(ctx context.Context, d *damage) error {
			return d.kill(ctx, 2, d.between(time.Second, 2*d.lease))
		}},
		{name: "kill all", class: ofAgents, weight: 2, do: func(ctx context.Context, d *damage) error {
			return d.kill(ctx, mostAgents, d.between(0, 2*time.Second))
		}},
		{name: "terminate and restart", class: ofAgents, weight: 3, do: terminate},
		{name: "stop for a second", class: ofPauses, weight: 2, do: func(ctx context.Context, d *damage) error { return d.stop(ctx, time.Second) }},
		{name: "stop for a lease and a second", class: ofPauses, weight: 23, do: func(ctx context.Context, d *damage) error {
			return d.stop(ctx, d.lease+time.Second)
		}},
		{name: "stop for two leases and more", class: ofPauses, weight: 10, do: func(ctx context.Context, d *damage) error {
			return d.stop(ctx, 2*d.lease+d.between(time.Second, 4*time.Second))
		}},
		{name: "stop for a minute", class: ofPauses, weight: 1, long: true, do: func(ctx context.Context, d *damage) error {
			return d.stop(ctx, time.Minute)
		}},
		{name: "cut one from redis", class: ofRedisLinks, weight: 6, do: func(ctx context.Context, d *damage) error {
			a, err := d.target()
			if err != nil {
				return err
			}
			return d.cutRedis(ctx, a)
		}},
		{name: "cut one from its clients", class: ofClientLinks, weight: 5, do: cutClients},
		{name: "join", class: ofAgents, weight: 2, do: join},
		{name: "leave", class: ofAgents, weight: 2, do: leave},
	}
}

// kill kills up to n agents and starts them again after a while.
func (d *damage) kill(ctx context.Context, n int, after time.Duration) error {
	agents := d.take(n)
	d.tell(names(agents) + " for " + after.Round(100*time.Millisecond).String())
	killed := false
	for _, a := range agents {
		killed = a.Kill() || killed
	}
	if d.idle = !killed; killed {
		d.did(sigkill)
	}
	sleep(ctx, after)
	for _, a := range agents {
		a.Launch()
	}
	return nil
}

func terminate(ctx context.Context, d *damage) error {
	a, err := d.agent()
	if err != nil {
		return err
	}
	d.tell(a.Name)
	_, err = a.Terminate(stopTime)
	sleep(ctx, d.between(0, 3*time.Second))
	a.Launch()
	return err
}

// stop stops an agent for a while: it holds connections and knows nothing of the time that passes.
func (d *damage) stop(ctx context.Context, t time.Duration) error {
	a, err := d.agent()
	if err != nil {
		return err
	}
	d.tell(a.Name + " for " + t.String())
	a.Signal(syscall.SIGSTOP)
	sleep(ctx, t)
	if d.idle = !a.Stopped(); !d.idle && t > d.lease {
		d.did(sigstop)
	}
	a.Signal(syscall.SIGCONT)
	return nil
}

func cutClients(ctx context.Context, d *damage) error {
	a, err := d.target()
	if err != nil {
		return err
	}
	t := d.between(time.Second, 6*time.Second)
	d.tell(a.Name + " for " + t.Round(100*time.Millisecond).String())
	if d.rng.IntN(2) == 0 {
		a.Client.Cut()
	} else {
		a.Client.Swallow()
	}
	sleep(ctx, t)
	d.did(linkCut)
	a.Client.Mend()
	return nil
}

// join adds an agent, or starts one again that left.
func join(_ context.Context, d *damage) error {
	if len(d.pool.Members()) >= mostAgents {
		d.tell("nobody: there are enough")
		d.idle = true
		return nil
	}
	for _, a := range d.pool.Agents() {
		if a.Left() {
			d.tell(a.Name + " again")
			a.Launch()
			return nil
		}
	}
	a := d.pool.Add()
	d.tell(a.Name)
	a.Launch()
	return nil
}

// leave ends an agent for good.
func leave(_ context.Context, d *damage) error {
	if len(d.pool.Members()) <= fewestAgents {
		d.tell("nobody: there are too few")
		d.idle = true
		return nil
	}
	a, err := d.agent()
	if err != nil {
		return err
	}
	d.tell(a.Name)
	a.Leave()
	_, err = a.Terminate(stopTime)
	return err
}
