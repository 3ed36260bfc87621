package agent

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/odradek/odradek/agent/cluster"
	"github.com/odradek/odradek/compaction"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/bucket"
	"github.com/odradek/odradek/slotlog"
)

// openPlace opens another place of this agent's bucket, where a fork lives. What is asked of it is on this agent's bill.
func (a *agent) openPlace(ctx context.Context, place string) (objectstore.Store, error) {
	at, err := bucket.At(a.settings.Stores.Bucket, place)
	if err != nil {
		return nil, err
	}
	store, _, err := bucket.Open(ctx, at)
	if err != nil {
		return nil, err
	}
	return a.store.Of(store).For(objectstore.ReasonCompaction), nil
}

// openToRead opens the place of a cluster that this one is a fork of.
func (a *agent) openToRead(ctx context.Context, place string) (objectstore.Store, error) {
	at, err := bucket.At(a.settings.Stores.Bucket, place)
	if err != nil {
		return nil, err
	}
	store, _, err := bucket.OpenToRead(ctx, at)
	return store, err
}

// learn finds out whether this cluster is a fork, and of what. A bucket that is away is waited for.
func (a *agent) learn(ctx context.Context) error {
	for {
		err := a.heir.LearnBy(objectstore.Because(ctx, objectstore.ReasonRecovery), a.store)
		if err == nil || errors.Is(err, cluster.ErrEnded) || errors.Is(err, control.ErrUnknownRecord) || errors.Is(err, control.ErrCorrupt) ||
			errors.Is(err, slotlog.ErrCorrupt) || a.where.Scheme == "file" {
			return err
		}
		slog.ErrorContext(ctx, "control/0 cannot be read yet, trying again", "bucket", a.where.Text, "error", err)
		a.current.set("waiting for the bucket")
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(retryOpen):
		}
	}
}

// forks is what compaction sees of this cluster's forks.
type forks struct{ open cluster.OpenPlace }

// Look implements compaction.Forks.
func (f forks) Look(ctx context.Context, pin *control.Pin) (compaction.ForkLook, error) {
	look, err := cluster.LookAtFork(ctx, pin, f.open)
	if err != nil || !look.Born {
		return compaction.ForkLook{Never: look.Never}, err
	}
	return compaction.ForkLook{Store: look.Store, State: look.State}, nil
}

// Bury implements compaction.Forks.
func (f forks) Bury(ctx context.Context, pin *control.Pin) (bool, error) {
	return cluster.BuryFork(ctx, pin, f.open)
}
