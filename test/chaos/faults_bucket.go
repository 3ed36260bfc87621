package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/odradek/odradek/test/chaos/link"
	"github.com/odradek/odradek/test/chaos/pool"
)

func bucketFaults() []fault {
	return []fault{
		trouble("bucket slow", 1, link.Slow, 1),
		trouble("bucket storms with 503s", 2, link.Storm, 0.7),
		trouble("bucket loses answers to PUTs", 2, link.Deaf, 0.3),
		trouble("bucket resets after the body", 2, link.Reset, 0.5),
		trouble("bucket cuts GETs short", 1, link.Truncate, 0.5),
		trouble("bucket turns bits of GETs", 1, link.Flip, 0.3),
		{name: "bucket takes PUTs late", class: ofBucket, weight: 13, do: func(ctx context.Context, d *damage) error {
			late := d.between(2*time.Second, d.late)
			var first sync.Once
			landed := func(status int) {
				d.landed(status)
				first.Do(func() { d.did(outage) })
			}
			return d.behave(ctx, link.Late, "late by "+late.Round(time.Second).String(), func(a *pool.Agent) { a.Bucket.Hold(0.5, late, landed) })
		}},
		{name: "bucket away", class: ofBucketLinks, weight: 10, do: func(ctx context.Context, d *damage) error {
			defer d.did(outage)
			return d.cutBucket(ctx, d.pool.Members(), d.between(2*time.Second, 12*time.Second))
		}},
		{name: "bucket away for a minute", class: ofBucketLinks, weight: 1, long: true, do: func(ctx context.Context, d *damage) error {
			defer d.did(outage)
			return d.cutBucket(ctx, d.pool.Members(), time.Minute)
		}},
		{name: "cut one from the bucket", class: ofBucketLinks, weight: 7, do: func(ctx context.Context, d *damage) error {
			a, err := d.target()
			if err != nil {
				return err
			}
			defer d.did(linkCut)
			return d.cutBucket(ctx, []*pool.Agent{a}, d.between(2*time.Second, 12*time.Second))
		}},
	}
}

// trouble is a fault that a link makes.
func trouble(name string, weight int, t link.Trouble, part float64) fault {
	return fault{name: name, class: ofBucket, weight: weight, do: func(ctx context.Context, d *damage) error {
		return d.behave(ctx, t, "", func(a *pool.Agent) { a.Bucket.Do(t, part) })
	}}
}

// done says how many requests of all agents met a trouble so far.
func (d *damage) done(t link.Trouble) (n int) {
	for _, a := range d.pool.Agents() {
		n += a.Bucket.Done()[t]
	}
	return n
}

// behave makes a trouble for some agents for a while.
func (d *damage) behave(ctx context.Context, trouble link.Trouble, more string, begin func(a *pool.Agent)) error {
	agents, t := d.some(), d.between(2*time.Second, 10*time.Second)
	d.tell(fmt.Sprintf("%s for %v %s", names(agents), t.Round(100*time.Millisecond), more))
	before := d.done(trouble)
	for _, a := range agents {
		begin(a)
	}
	sleep(ctx, t)
	for _, a := range agents {
		a.Bucket.Behave()
	}
	d.idle = d.done(trouble) == before
	return nil
}

// cutBucket cuts agents from the bucket for a while, with resets or with silence.
func (d *damage) cutBucket(ctx context.Context, agents []*pool.Agent, t time.Duration) error {
	silent := d.rng.IntN(2) == 0
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
