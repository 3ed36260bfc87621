package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/odradek/odradek/agent/cluster"
	"github.com/odradek/odradek/agent/settings"
	"github.com/odradek/odradek/compaction"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/metadata/embedded"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/bucket"
	"github.com/odradek/odradek/topic"
)

// settled is how old a slot must be that agents without Redis are taken to know of.
const settled = 5 * time.Second

// follower follows a cluster and works in it as a compactor does, without a journal of its own. For one goroutine.
type follower struct {
	*cluster.Engine
	store   objectstore.Store
	redis   metadata.Store // nil: none
	alone   bool           // no agent runs: it would have locked the bucket
	counted map[topic.JournalID]topic.Slot
	fresh   map[topic.JournalID]topic.Slot // that may be taken as counted from then on
	then    time.Time
	open    bool // the newest era
}

// Counted implements compaction.Log: slots that others may not see yet must not be compacted, so in a pool the index says.
func (f *follower) Counted(j topic.JournalID) topic.Slot { return f.counted[j] }

// follow begins to follow the cluster, to look only or to work in it.
func (p pool) follow(ctx context.Context, look bool) (*follower, func(), error) {
	seen, text, err := p.open(ctx)
	if err != nil {
		return nil, nil, err
	}
	s, err := state(ctx, seen)
	switch {
	case err != nil:
		return nil, nil, err
	case s.Next() == 0:
		return nil, nil, fmt.Errorf("%s: %w", text, errNoCluster)
	}
	f := &follower{store: seen}
	if f.redis, _, err = p.redis(ctx); err != nil {
		return nil, nil, err
	}
	meta := f.redis
	if meta == nil {
		meta = embedded.Open() // nobody hears its doorbell: agents look at the control log by themselves
	}
	done := func() { meta.Close() }
	if open := s.OpenJournals(); f.redis == nil && len(open) > 1 {
		done()
		return nil, nil, usagef("--redis: %d agents share this bucket, give the Redis that they use", len(open))
	}
	if !look {
		unlock, err := p.openLocked(ctx, f)
		if err != nil {
			done()
			return nil, nil, err
		}
		done = func() { meta.Close(); unlock() }
	}
	slog.SetLogLoggerLevel(slog.LevelWarn) // what the engine did, the command prints
	f.Engine = cluster.New(cluster.Config{Build: version, Lease: settings.Defaults().Lease}, f.store, meta)
	if err := f.Start(ctx); err != nil {
		f.Stop()
		done()
		return nil, nil, fmt.Errorf("read the control log: %w", oneLine(err))
	}
	return f, func() { f.Stop(); done() }, nil
}

// openLocked opens the bucket to work in it. A directory is shared with the agents that share it; without a Redis, there must
// be none.
func (p pool) openLocked(ctx context.Context, f *follower) (unlock func(), err error) {
	at, err := p.bucket()
	if err != nil {
		return nil, err
	}
	store, where, err := bucket.Open(ctx, at)
	if err != nil {
		return nil, err
	}
	f.store = store
	if where.Directory == nil {
		return func() {}, nil
	}
	take := where.Directory.LockShared
	if f.alone = f.redis == nil; f.alone {
		take = where.Directory.Lock
	}
	lock, err := take()
	if err != nil {
		return nil, fmt.Errorf("%w: stop that agent first; agents that have a Redis need not stop, if --redis tells which", err)
	}
	return func() { lock.Unlock() }, nil
}

// eraser makes what erases.
func (f *follower) eraser(flags eraseFlags, tell func(string, ...any)) *compaction.Eraser {
	c := compaction.New(f, f.store, compaction.Config{Grace: flags.grace, Open: func() bool { return f.open },
		Garbage: compaction.GarbageConfig{Trim: time.Second}})
	patience := flags.patience
	if f.alone {
		patience = time.Nanosecond // there is nobody else
	}
	return compaction.NewEraser(c, compaction.EraseConfig{
		Refresh: f.refresh, Patience: patience, Tell: tell,
		End: func(ctx context.Context, j *control.Journal) (topic.Slot, error) {
			end, _, err := endOf(ctx, f.store, j)
			return end, err
		},
	})
}

// refresh reads the control log to its end, and finds out up to where everybody may know of slots.
func (f *follower) refresh(ctx context.Context) error {
	if err := f.CatchUp(ctx); err != nil {
		return fmt.Errorf("read the control log: %w", err)
	}
	if f.redis != nil {
		return f.askRedis(ctx)
	}
	f.open = true
	if !f.alone && time.Since(f.then) < settled {
		return nil
	}
	f.counted = f.fresh
	f.fresh, f.then = make(map[topic.JournalID]topic.Slot), time.Now()
	for _, j := range f.State().OpenJournals() {
		end, _, err := endOf(ctx, f.store, j)
		if err != nil {
			return err
		}
		f.fresh[j.ID] = end
	}
	if f.alone {
		f.counted = f.fresh
	}
	return nil
}

// askRedis takes from the open era what is indexed. Redis may be away for a while.
func (f *follower) askRedis(ctx context.Context) error {
	f.open = false
	era, ok := f.State().NewestEra()
	if !ok {
		return nil
	}
	status, err := f.redis.Current(ctx, uint64(era.Number))
	if err != nil || !status.Open() || status.RunID != era.RunID || status.ReplicationID != era.ReplicationID {
		return context.Cause(ctx)
	}
	f.open, f.counted = true, make(map[topic.JournalID]topic.Slot)
	for j, at := range status.Journals {
		f.counted[j] = at.Next
	}
	return nil
}

// mostAstray is how many objects behind the ends of journals a receipt names.
const mostAstray = 100

// notReached says, for people, where copies may be that this program cannot delete.
func (f *follower) notReached(ctx context.Context, e *compaction.Eraser) []string {
	var out []string
	kept, err := objectstore.Versioning(ctx, f.store)
	switch {
	case err != nil:
		out = append(out, fmt.Sprintf("earlier versions of the objects deleted, if the bucket keeps versions: %v", oneLine(err)))
	case kept:
		out = append(out, "earlier versions of the objects deleted: the bucket keeps versions, or did; delete those of the keys above")
	}
	out = append(out,
		"copies of the bucket that the store or others make: replicas, backups, snapshots of disks",
		"the write-ahead logs of agents, on their own disks: files are written over as they are reused; quarantined ones stay until somebody deletes them",
		"the memory of agents: what was read or written a while ago",
		"what consumers read before, and where they put it")
	if all := e.Astray(); len(all) > 0 {
		out = append(out, fmt.Sprintf("%s behind the ends of journals, which agents wrote in vain as they were fenced; nobody reads or deletes them: %s",
			count(int64(len(all)), "object"), joined(all, mostAstray)))
	}
	return out
}

// joined lists the first of all.
func joined(all []string, most int) string {
	text := ""
	for i, s := range all {
		if i == most {
			return fmt.Sprintf("%s and %d more", text, len(all)-most)
		}
		if i > 0 {
			text += ", "
		}
		text += s
	}
	return text
}
