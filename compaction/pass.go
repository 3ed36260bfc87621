package compaction

import (
	"context"
	"slices"
	"time"

	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/topic"
)

// pass is the merging of what gathered at level 1 of a group: a job for each range of its partitions, each of which is
// swapped by a MANIFEST of its own, so that whoever dies loses one object's work. What is left of a pass that nobody ends
// is planned anew: the objects that it reads are those that gathered still.
type pass struct {
	jobs []runJob // not done yet
}

// next gives the next job, without what others changed since the pass was planned, and without what is being cleaned by key.
func (p *pass) next(s *control.State, cleaning *keyWork) (runJob, bool) {
	for len(p.jobs) > 0 {
		job := p.jobs[0]
		p.jobs = p.jobs[1:]
		job.parts = slices.DeleteFunc(job.parts, func(r runPart) bool {
			return cleaning.cleans(r.partition) || !standing(s, r.partition, r.runs)
		})
		if job.bytes = 0; len(job.parts) == 0 {
			continue
		}
		for _, part := range job.parts {
			for _, r := range part.runs {
				job.bytes += r.Size()
			}
		}
		return job, true
	}
	return runJob{}, false
}

// standing says whether a partition has these runs still, as neighbours.
func standing(s *control.State, p topic.Partition, runs []topic.Run) bool {
	if len(runs) == 0 {
		return true
	}
	have := s.Compaction(p).Runs
	i := slices.IndexFunc(have, func(r topic.Run) bool { return r.Base == runs[0].Base })
	return i >= 0 && len(have)-i >= len(runs) && slices.Equal(have[i:i+len(runs)], runs)
}

// gathered gives the pass of a group, planned if it is time for one.
func (c *Compactor) gathered(g *group, all []held, now time.Time) *pass {
	if len(g.pass.jobs) > 0 {
		return &g.pass
	}
	waited := func(o topic.Object) bool {
		if g.oldest != o {
			g.oldest, g.waits = o, now
		}
		return now.Sub(g.waits) >= c.cfg.Merge.Gather
	}
	g.pass.jobs = planRuns(all, waited, c.limits())
	return &g.pass
}

// memory is what a job may take: less while a cleaning by key has some.
func (c *Compactor) memory() int64 {
	if c.cleaning != nil {
		return c.cfg.Merge.InputBytes * 3 / 8
	}
	return c.cfg.Merge.InputBytes
}

// mergeOne does a job that makes one object of runs, and swaps it in.
func (c *Compactor) mergeOne(ctx context.Context, s *control.State, job runJob) (control.Manifest, error) {
	m, err := c.mergeRuns(ctx, s, job)
	if err == nil {
		err = c.swap(ctx, m)
	}
	return m, err
}
