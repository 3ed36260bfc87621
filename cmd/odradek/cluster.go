package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/odradek/odradek/agent/cluster"
	"github.com/odradek/odradek/agent/settings"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/metadata/embedded"
	"github.com/odradek/odradek/objectstore/bucket"
)

// pool is what all cluster commands share.
type pool struct {
	bucket func() (string, error) // its URL
	open   opened
	redis  reached
	beside bool // what is appended is decided by the control log alone: an agent that has a directory for itself may go on
}

func clusterCommand(w world) *cobra.Command {
	cmd := &cobra.Command{
		Use: "cluster", Short: "Look at the agents of a cluster, and tell them what to do",
		Long: "Look at the agents of a cluster, and tell them what to do, by its bucket. With --redis also at heartbeats and index.",
		Args: subcommand, RunE: help,
	}
	p := poolFlags(cmd, w)
	cmd.AddCommand(clusterInfo(p), clusterHealth(p), clusterDrain(p), clusterMove(p), clusterTakeover(p), clusterCost(p))
	return cmd
}

// poolFlags adds the flags that say which cluster.
func poolFlags(cmd *cobra.Command, w world) pool {
	p := pool{open: bucketFlag(cmd, w), redis: redisFlags(cmd, w)}
	p.bucket = func() (string, error) { return bucketURL(cmd.PersistentFlags().Lookup("bucket").Value.String(), w) }
	return p
}

// errNoCluster says that there is no control log.
var errNoCluster = errors.New("no cluster here")

// change runs do with an engine that has read the control log and can append to it.
func (p pool) change(cmd *cobra.Command, do func(context.Context, *cluster.Engine) error) error {
	return p.changeHeir(cmd, func(ctx context.Context, e *cluster.Engine, _ *cluster.Heir) error { return do(ctx, e) })
}

// changeHeir is change for who needs the store, too.
func (p pool) changeHeir(cmd *cobra.Command, do func(context.Context, *cluster.Engine, *cluster.Heir) error) error {
	ctx := cmd.Context()
	store, done, err := p.openToWrite(ctx)
	if err != nil {
		return err
	}
	defer done()
	meta, _, err := p.redis(ctx)
	if err != nil {
		return err
	}
	if meta == nil {
		meta = embedded.Open() // nobody hears its doorbell: agents look at the control log by themselves
	}
	defer meta.Close()
	slog.SetLogLoggerLevel(slog.LevelWarn) // what the engine did, the command prints
	e := cluster.New(cluster.Config{Build: version, Lease: settings.Defaults().Lease, Base: store.Base()}, store, meta)
	defer e.Stop()
	if err := e.Start(ctx); err != nil {
		return fmt.Errorf("read the control log: %w", oneLine(err))
	}
	return do(ctx, e, store)
}

// openToWrite opens the bucket, which must hold a cluster: a command never makes one. A directory is shared with the
// agents that share it, and not with one that has it alone.
func (p pool) openToWrite(ctx context.Context) (*cluster.Heir, func(), error) {
	seen, text, err := p.open(ctx)
	if err != nil {
		return nil, nil, err
	}
	if s, err := state(ctx, seen); err != nil {
		return nil, nil, err
	} else if s.Next() == 0 {
		return nil, nil, fmt.Errorf("%s: %w", text, errNoCluster)
	}
	return p.reopen(ctx)
}

func (p pool) reopen(ctx context.Context) (*cluster.Heir, func(), error) {
	at, err := p.bucket()
	if err != nil {
		return nil, nil, err
	}
	store, where, err := bucket.Open(ctx, at)
	if err != nil {
		return nil, nil, err
	}
	heir, err := inherit(ctx, at, store)
	if err != nil || where.Directory == nil || p.beside {
		return heir, func() {}, err
	}
	lock, err := where.Directory.LockShared()
	if err != nil {
		return nil, nil, fmt.Errorf("an agent without Redis has this bucket for itself: %w", err)
	}
	return heir, func() { lock.Unlock() }, nil
}

// agentNamed finds the open journal of a node id given on the command line.
func agentNamed(s *control.State, name string) (*control.Journal, error) {
	id, err := strconv.ParseInt(name, 10, 32)
	if err != nil || id < 0 {
		return nil, usagef("%s is no node id", name)
	}
	j, ok := s.OpenJournalOf(int32(id))
	if !ok {
		return nil, fmt.Errorf("no open journal of node %d; `odradek cluster info` lists the agents", id)
	}
	return j, nil
}
