package main

import (
	"context"
	"fmt"
	"time"

	"github.com/odradek/odradek/test/chaos/link"
	"github.com/odradek/odradek/test/chaos/pool"
)

func bucketFaults() []fault {
	return []fault{
		trouble("bucket slow", link.Slow, 1),
		trouble("bucket storms with 503s", link.Storm, 0.7),
		trouble("bucket loses answers to PUTs", link.Deaf, 0.3),
		trouble("bucket resets after the body", link.Reset, 0.5),
		trouble("bucket cuts GETs short", link.Truncate, 0.5),
		trouble("bucket turns bits of GETs", link.Flip, 0.3),
		{name: "bucket takes PUTs late", class: ofBucket, do: func(ctx context.Context, d *damage) error {
			late := d.between(2*time.Second, 2*d.long)
			return d.behave(ctx, "late by "+late.Round(time.Second).String(), func(a *pool.Agent) { a.Bucket.Hold(0.5, late) })
		}},
		{name: "bucket away", class: ofBucket, do: func(ctx context.Context, d *damage) error { return d.cutBucket(ctx, d.pool.Members()) }},
		{name: "cut one from the bucket", class: ofBucket, do: func(ctx context.Context, d *damage) error {
			a, err := d.agent()
			if err != nil {
				return err
			}
			return d.cutBucket(ctx, []*pool.Agent{a})
		}},
	}
}

// trouble is a fault that a link makes.
func trouble(name string, t link.Trouble, part float64) fault {
	return fault{name: name, class: ofBucket, do: func(ctx context.Context, d *damage) error {
		return d.behave(ctx, "", func(a *pool.Agent) { a.Bucket.Do(t, part) })
	}}
}

// behave makes trouble for some agents for a while.
func (d *damage) behave(ctx context.Context, more string, begin func(a *pool.Agent)) error {
	agents, t := d.some(), d.between(2*time.Second, 10*time.Second)
	d.tell(fmt.Sprintf("%s for %v %s", names(agents), t.Round(100*time.Millisecond), more))
	for _, a := range agents {
		begin(a)
	}
	sleep(ctx, t)
	for _, a := range agents {
		a.Bucket.Behave()
	}
	return nil
}

// cutBucket cuts agents from the bucket for a while, with resets or with silence.
func (d *damage) cutBucket(ctx context.Context, agents []*pool.Agent) error {
	t, silent := d.between(2*time.Second, d.long), d.rng.IntN(2) == 0
	d.tell(names(agents) + " for " + t.Round(100*time.Millisecond).String())
	for _, a := range agents {
		if silent {
			a.Bucket.Swallow()
		} else {
			a.Bucket.Cut()
		}
	}
	sleep(ctx, t)
	for _, a := range agents {
		a.Bucket.Mend()
	}
	return nil
}
