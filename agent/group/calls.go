package group

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"
)

// The calls of clients. Each admits the request, in the order of the calls, and returns at once unless the partition's
// queue is full; the answer is waited for with Pending.Wait.

// Join admits a JoinGroup.
func (c *Coordinator) Join(ctx context.Context, r JoinRequest) *Pending[JoinReply] {
	return call[JoinReply](ctx, c, r.Group, func(m *Machine, now time.Time, n Call) Decision { return m.Join(now, n, r) })
}

// Sync admits a SyncGroup. While the groups are being loaded the rebalance under way is lost: the member is told to
// join again, in an error that old clients know.
func (c *Coordinator) Sync(ctx context.Context, r SyncRequest) *Pending[SyncReply] {
	p := call[SyncReply](ctx, c, r.Group, func(m *Machine, now time.Time, n Call) Decision { return m.Sync(now, n, r) })
	if errors.Is(p.err, ErrLoadInProgress) {
		return answered(SyncReply{Err: ErrRebalanceInProgress})
	}
	return p
}

// Heartbeat admits a Heartbeat. While the groups are being loaded it is answered without a look.
func (c *Coordinator) Heartbeat(ctx context.Context, r HeartbeatRequest) *Pending[HeartbeatReply] {
	p := call[HeartbeatReply](ctx, c, r.Group, func(m *Machine, now time.Time, n Call) Decision { return m.Heartbeat(now, n, r) })
	if errors.Is(p.err, ErrLoadInProgress) {
		return answered(HeartbeatReply{})
	}
	return p
}

// Leave admits a LeaveGroup.
func (c *Coordinator) Leave(ctx context.Context, r LeaveRequest) *Pending[LeaveReply] {
	return call[LeaveReply](ctx, c, r.Group, func(m *Machine, now time.Time, n Call) Decision { return m.Leave(now, n, r) })
}

// Commit admits an OffsetCommit.
func (c *Coordinator) Commit(ctx context.Context, r CommitRequest) *Pending[CommitReply] {
	return call[CommitReply](ctx, c, r.Group, func(m *Machine, now time.Time, n Call) Decision { return m.Commit(now, n, r) })
}

// Fetch admits an OffsetFetch of one group.
func (c *Coordinator) Fetch(ctx context.Context, r FetchRequest) *Pending[FetchReply] {
	return call[FetchReply](ctx, c, r.Group, func(m *Machine, now time.Time, n Call) Decision { return m.Fetch(now, n, r) })
}

// Describe admits a DescribeGroups of one group.
func (c *Coordinator) Describe(ctx context.Context, r DescribeRequest) *Pending[DescribeReply] {
	return call[DescribeReply](ctx, c, r.Group, func(m *Machine, now time.Time, n Call) Decision { return m.Describe(now, n, r) })
}

// Delete admits a DeleteGroups of one group.
func (c *Coordinator) Delete(ctx context.Context, r DeleteRequest) *Pending[DeleteReply] {
	return call[DeleteReply](ctx, c, r.Group, func(m *Machine, now time.Time, n Call) Decision { return m.Delete(now, n, r) })
}

// DeleteOffsets admits an OffsetDelete.
func (c *Coordinator) DeleteOffsets(ctx context.Context, r DeleteOffsetsRequest) *Pending[DeleteOffsetsReply] {
	return call[DeleteOffsetsReply](ctx, c, r.Group, func(m *Machine, now time.Time, n Call) Decision { return m.DeleteOffsets(now, n, r) })
}

func call[T any](ctx context.Context, c *Coordinator, group string, step step) *Pending[T] {
	l, err := c.find(group)
	if err != nil {
		return refused[T](err)
	}
	return admit[T](ctx, l, step)
}

// List lists the groups of all loaded partitions by id. With ErrLoadInProgress the list lacks those still being read.
func (c *Coordinator) List(ctx context.Context) ([]Listing, error) {
	return c.list(ctx, (*Pending[ListReply]).Wait)
}

// Look is List from memory, without a proof that this agent is their coordinator still: for metrics, not for clients.
func (c *Coordinator) Look(ctx context.Context) ([]Listing, error) {
	return c.list(ctx, (*Pending[ListReply]).Look)
}

func (c *Coordinator) list(ctx context.Context, wait func(*Pending[ListReply], context.Context) (ListReply, error)) ([]Listing, error) {
	var out []Listing
	var pending []*Pending[ListReply]
	var incomplete error
	for _, s := range c.owned() {
		l := s.life.Load()
		if l == nil {
			incomplete = ErrLoadInProgress
			continue
		}
		pending = append(pending, admit[ListReply](ctx, l, func(m *Machine, now time.Time, n Call) Decision { return m.List(now, n) }))
	}
	for _, p := range pending {
		r, err := wait(p, ctx)
		if errors.Is(err, ErrNotCoordinator) {
			continue // moved away meanwhile
		}
		if err != nil {
			return nil, err
		}
		out = append(out, r.Groups...)
	}
	slices.SortFunc(out, func(a, b Listing) int { return cmp.Compare(a.Group, b.Group) })
	return out, incomplete
}

// TopicsDeleted deletes what the groups of this agent have committed for topics that exist no longer. It returns when
// every loaded partition has taken it into its queue.
func (c *Coordinator) TopicsDeleted(ctx context.Context, names []string) error {
	var errs []error
	for _, s := range c.owned() {
		if err := s.topicsDeleted(ctx, names); err != nil && !errors.Is(err, ErrNotCoordinator) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
