package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const commitEvery = 500 * time.Millisecond // of a group member

// followers read what a pulse writes: one reader of all partitions, and groups whose members commit all the time. Safe for
// concurrent use.
type followers struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup
	all    []*follower
}

// follower is one client that reads.
type follower struct {
	group  string // empty: the reader
	client *kgo.Client

	mu         sync.Mutex // guards all below
	last       map[int32]time.Time
	gap        time.Duration // longest time without a record of some partition
	read       int
	commits    int
	failed     int           // commits
	slowest    time.Duration // commit
	rebalances int           // assignments taken away or given
	errors     map[string]int
	generation int32
	member     string
}

// startFollowers starts the reader and the groups, and waits until every one has read something from each of its partitions.
func startFollowers(fl *fleet, topic string, partitions, groups, members int) (*followers, error) {
	ctx, cancel := context.WithCancel(fl.ctx)
	fs := &followers{cancel: cancel}
	for g := range groups + 1 {
		for range members {
			f := &follower{last: make(map[int32]time.Time), errors: make(map[string]int)}
			opts := []kgo.Opt{kgo.ConsumeTopics(topic), kgo.KeepRetryableFetchErrors(), kgo.FetchMaxWait(500 * time.Millisecond), kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd())}
			if g > 0 {
				f.group = fmt.Sprintf("group-%d", g)
				opts = append(opts, kgo.ConsumerGroup(f.group), kgo.DisableAutoCommit(), kgo.SessionTimeout(20*time.Second), kgo.HeartbeatInterval(time.Second),
					kgo.OnPartitionsAssigned(f.assigned), kgo.OnPartitionsRevoked(f.revoked), kgo.OnPartitionsLost(f.revoked))
			}
			var err error
			if f.client, err = fl.client(opts...); err != nil {
				fs.close()
				return nil, err
			}
			fs.all = append(fs.all, f)
			fs.wg.Go(func() { f.run(ctx) })
			if g == 0 {
				break
			}
		}
	}
	for began := time.Now(); ; fl.sleep(100 * time.Millisecond) {
		if n := fs.reading(); n == partitions*(groups+1) {
			break
		} else if time.Since(began) > time.Minute || fl.ctx.Err() != nil {
			fs.close()
			return nil, fmt.Errorf("readers have %d of %d partitions after a minute", n, partitions*(groups+1))
		}
	}
	fl.sleep(5 * time.Second) // members that came late are in
	fs.take()
	return fs, nil
}

// reading counts the partitions that somebody reads.
func (fs *followers) reading() int {
	n := 0
	for _, f := range fs.all {
		f.mu.Lock()
		n += len(f.last)
		f.mu.Unlock()
	}
	return n
}

func (fs *followers) close() {
	fs.cancel()
	fs.wg.Wait()
	for _, f := range fs.all {
		f.client.Close()
	}
}

func (f *follower) assigned(context.Context, *kgo.Client, map[string][]int32) { f.rebalanced(nil) }

func (f *follower) revoked(_ context.Context, _ *kgo.Client, gone map[string][]int32) {
	f.rebalanced(gone)
}

func (f *follower) rebalanced(gone map[string][]int32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rebalances++
	for _, ps := range gone {
		for _, p := range ps {
			delete(f.last, p)
		}
	}
}

func (f *follower) run(ctx context.Context) {
	committed := time.Now()
	for ctx.Err() == nil {
		poll, cancel := context.WithTimeout(ctx, commitEvery)
		fetches := f.client.PollFetches(poll)
		cancel()
		f.note(fetches)
		if f.group != "" && time.Since(committed) >= commitEvery {
			committed = time.Now()
			err := f.client.CommitUncommittedOffsets(ctx)
			f.committed(ctx, err, time.Since(committed))
		}
	}
}

func (f *follower) note(fetches kgo.Fetches) {
	now := time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		switch {
		case p.Err != nil && !errors.Is(p.Err, context.DeadlineExceeded) && !errors.Is(p.Err, context.Canceled):
			f.errors[p.Err.Error()]++
		case len(p.Records) > 0:
			if last, ok := f.last[p.Partition]; ok {
				f.gap = max(f.gap, now.Sub(last))
			}
			f.last[p.Partition] = now
			f.read += len(p.Records)
		}
	})
}

func (f *follower) committed(ctx context.Context, err error, took time.Duration) {
	member, generation := f.client.GroupMetadata()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.member, f.generation = member, generation
	f.slowest = max(f.slowest, took)
	switch {
	case err == nil:
		f.commits++
	case ctx.Err() == nil:
		f.failed++
		f.errors["commit: "+err.Error()]++
	}
}

// followed is what all followers saw in a time.
type followed struct {
	read, commits, failed, rebalances int
	gap, slowest                      time.Duration
	errors                            map[string]int
	members                           map[string]int32 // generation by member
}

// take gives what was seen since it was asked last.
func (fs *followers) take() followed {
	now := time.Now()
	out := followed{errors: make(map[string]int), members: make(map[string]int32)}
	for _, f := range fs.all {
		f.mu.Lock()
		for _, last := range f.last {
			f.gap = max(f.gap, now.Sub(last))
		}
		out.read, out.commits, out.failed, out.rebalances = out.read+f.read, out.commits+f.commits, out.failed+f.failed, out.rebalances+f.rebalances
		out.gap, out.slowest = max(out.gap, f.gap), max(out.slowest, f.slowest)
		for text, n := range f.errors {
			out.errors[text] += n
		}
		if f.group != "" {
			out.members[f.member] = f.generation
		}
		f.gap, f.slowest, f.read, f.commits, f.failed, f.rebalances, f.errors = 0, 0, 0, 0, 0, 0, make(map[string]int)
		f.mu.Unlock()
	}
	return out
}
