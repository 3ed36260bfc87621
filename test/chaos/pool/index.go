package pool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/odradek/odradek/agent/verify"
	"github.com/odradek/odradek/metadata/redis"
	"github.com/odradek/odradek/objectstore"
)

// clusterName is what agents that are given no other name of their cluster call their keys in Redis.
const clusterName = "odradek"

// Index is what Redis holds beside what the bucket gives, as `odradek verify --redis` sees it.
type Index struct {
	Slots, Ends int      // that were compared and are the same
	Differs     []string // what is wrong, was not compared or is missing
}

// Index compares the index in Redis with the bucket while agents run, until nothing is missing there or the time is over.
// Nobody produces meanwhile.
func (p *Pool) Index(ctx context.Context, limit time.Duration) (Index, error) {
	store, err := p.Bucket(ctx)
	if err != nil {
		return Index{}, err
	}
	for began := time.Now(); ; sleep(ctx, time.Second) {
		i, err := p.index(ctx, verify.Options{Fast: true}, store)
		if err != nil || len(i.Differs) == 0 || time.Since(began) > limit || ctx.Err() != nil {
			return i, err
		}
	}
}

func (p *Pool) index(ctx context.Context, opt verify.Options, store objectstore.Store) (out Index, err error) {
	index, err := redis.Open(ctx, redis.Config{URL: "redis://" + p.Redis.Addr(), Cluster: clusterName, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return Index{}, err
	}
	defer func() { err = errors.Join(err, index.Close()) }()
	opt.Index = index
	report, err := verify.Run(ctx, store, opt)
	if err != nil {
		return Index{}, err
	}
	out.Slots, out.Ends = report.Index.Slots, report.Index.Ends
	for _, f := range report.Findings {
		out.Differs = append(out.Differs, f.String())
	}
	out.Differs = append(out.Differs, report.Index.Lag...)
	partitions := 0
	for _, t := range report.Topics {
		partitions += len(t.Partitions)
	}
	switch {
	case report.Index.NotChecked != "":
		out.Differs = append(out.Differs, "not compared: "+report.Index.NotChecked)
	case out.Ends < partitions:
		out.Differs = append(out.Differs, fmt.Sprintf("the ends of %d partitions of %d were compared", out.Ends, partitions))
	}
	return out, nil
}
