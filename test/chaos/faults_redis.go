package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/odradek/odradek/test/chaos/pool"
)

func redisFaults() []fault {
	return []fault{
		{name: "flushall", class: ofRedis, weight: 12, do: func(_ context.Context, d *damage) error {
			d.tell("redis")
			err := d.pool.Redis.Flush()
			if err == nil {
				d.did(flushed)
			}
			return err
		}},
		{name: "redis killed, its file torn", class: ofRedis, weight: 2, do: func(ctx context.Context, d *damage) error {
			d.pool.Redis.Kill()
			d.tell("redis")
			sleep(ctx, d.between(0, 3*time.Second))
			_, err := d.pool.Redis.RestartTorn()
			return err
		}},
		{name: "redis killed and restarted", class: ofRedis, weight: 2, away: true, do: func(ctx context.Context, d *damage) error {
			t := d.between(time.Second, 8*time.Second)
			d.tell("redis for " + t.Round(100*time.Millisecond).String())
			d.pool.Redis.Kill()
			sleep(ctx, t)
			d.pool.Redis.Restart()
			return nil
		}},
		{name: "failover to a lagging replica", class: ofRedis, weight: 23, do: func(ctx context.Context, d *damage) error {
			lag := d.between(500*time.Millisecond, 4*time.Second)
			d.tell("redis, " + lag.Round(100*time.Millisecond).String() + " behind")
			lost, err := d.pool.Redis.Failover(ctx, lag)
			if lost > 0 { // slots that the old master had answered for and the new one has never heard of
				d.did(failedOver)
			}
			return err
		}},
		{name: "rollback to an older snapshot", class: ofRedis, weight: 3, do: func(ctx context.Context, d *damage) error {
			age := d.between(time.Second, 6*time.Second)
			d.tell("redis, " + age.Round(100*time.Millisecond).String() + " old")
			return d.pool.Redis.Rollback(ctx, age)
		}},
		{name: "two masters", class: ofRedis, weight: 2, do: func(ctx context.Context, d *damage) error {
			return d.split(ctx, d.between(2*time.Second, 12*time.Second))
		}},
		{name: "two masters for a minute", class: ofRedis, weight: 1, long: true, do: func(ctx context.Context, d *damage) error {
			return d.split(ctx, time.Minute)
		}},
		{name: "redis stopped", class: ofRedis, weight: 2, away: true, do: func(ctx context.Context, d *damage) error {
			t := d.between(time.Second, 10*time.Second)
			d.tell("redis for " + t.Round(100*time.Millisecond).String())
			d.pool.Redis.Stop()
			sleep(ctx, t)
			d.pool.Redis.Continue()
			return nil
		}},
		{name: "redis out of memory", class: ofRedis, weight: 2, do: func(ctx context.Context, d *damage) error {
			t := d.between(2*time.Second, 10*time.Second)
			d.tell("redis for " + t.Round(100*time.Millisecond).String())
			err := d.pool.Redis.Fill()
			sleep(ctx, t)
			if mended := d.pool.Redis.Empty(); err == nil {
				err = mended
			}
			return err
		}},
		{name: "cut half from redis", class: ofRedisLinks, weight: 3, do: func(ctx context.Context, d *damage) error {
			agents := d.pool.Members()
			d.rng.Shuffle(len(agents), func(i, j int) { agents[i], agents[j] = agents[j], agents[i] })
			return d.cutRedis(ctx, agents[:(len(agents)+1)/2]...)
		}},
		{name: "cut all from redis", class: ofRedisLinks, weight: 2, away: true, do: func(ctx context.Context, d *damage) error {
			return d.cutRedis(ctx, d.pool.Members()...)
		}},
	}
}

// split has two masters for a while.
func (d *damage) split(ctx context.Context, t time.Duration) error {
	second := d.rng.IntN(2) == 0
	d.tell(fmt.Sprintf("redis for %v, then the %s", t.Round(100*time.Millisecond), map[bool]string{true: "second", false: "first"}[second]))
	heal, err := d.pool.Redis.Split(ctx, second)
	if err != nil {
		return err
	}
	sleep(ctx, t)
	heal()
	return nil
}

// cutRedis cuts agents from Redis for a while, with resets or with silence.
func (d *damage) cutRedis(ctx context.Context, agents ...*pool.Agent) error {
	t, silent := d.between(time.Second, 2*d.lease), d.rng.IntN(2) == 0
	d.tell(names(agents) + " for " + t.Round(100*time.Millisecond).String())
	for _, a := range agents {
		if silent {
			a.Redis.Swallow()
		} else {
			a.Redis.Cut()
		}
	}
	sleep(ctx, t)
	d.did(linkCut)
	var mending sync.WaitGroup
	for _, a := range agents {
		mending.Go(a.Redis.Mend)
	}
	mending.Wait()
	return nil
}
