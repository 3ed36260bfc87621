package group

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/odradek/odradek/agent/group/offsetsrecord"
	"github.com/odradek/odradek/topic"
)

// reloadDelay is the pause before a partition is read again after its log failed.
const reloadDelay = time.Second

// shard is one partition of the offsets topic, from Load to Unload. Its goroutine reads the log and serves the groups,
// one life after the other: a life ends when the log fails, with all it knew.
type shard struct {
	c         *Coordinator
	partition int32
	epoch     topic.Epoch

	ctx    context.Context // ends with Unload
	cancel context.CancelFunc
	loaded chan error           // cap 1: how the first load went
	done   chan struct{}        // closed when the goroutine is over
	life   atomic.Pointer[life] // nil while the log is read

	mu      sync.Mutex // guards deleted, and life against being set while it is looked at
	deleted []string   // topics deleted while the log was read
}

func newShard(c *Coordinator, partition int32, epoch topic.Epoch) *shard {
	ctx, cancel := context.WithCancel(context.Background())
	return &shard{c: c, partition: partition, epoch: epoch,
		ctx: ctx, cancel: cancel, loaded: make(chan error, 1), done: make(chan struct{})}
}

func (s *shard) run() {
	defer close(s.done)
	l, err := s.load()
	s.loaded <- err
	if err != nil {
		return
	}
	for {
		err := l.serve(s.ctx)
		l.end()
		s.life.Store(nil)
		for s.ctx.Err() == nil {
			s.c.slog.Warn("group log failed, reading it again", slog.Int("partition", int(s.partition)), slog.Any("error", err))
			select {
			case <-s.ctx.Done():
			case <-time.After(reloadDelay):
			}
			if l, err = s.load(); err == nil {
				break
			}
		}
		if s.ctx.Err() != nil {
			return
		}
	}
}

// load reads the log and begins a life.
func (s *shard) load() (*life, error) {
	l := newLife(s)
	began := time.Now()
	skipped := 0
	next, err := s.c.log.Read(s.ctx, s.partition, 0, func(o topic.Offset, key, value []byte) error {
		r, err := offsetsrecord.Decode(key, value)
		switch {
		case errors.Is(err, offsetsrecord.ErrUnknownKey):
			skipped++
			return nil
		case err != nil:
			return fmt.Errorf("offset %d: %w", o, err)
		}
		l.machine.Replay(began, r)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	l.apply(l.machine.Loaded(time.Now()))
	s.begin(l)
	if next > 0 {
		s.c.slog.Info("groups loaded", slog.Int("partition", int(s.partition)), slog.Int("groups", len(l.machine.groups)),
			slog.Int64("records", int64(next)), slog.Int("skipped", skipped), slog.Duration("took", time.Since(began)))
	}
	return l, nil
}

// begin opens the life to calls.
func (s *shard) begin(l *life) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.deleted) > 0 {
		l.apply(l.machine.TopicsDeleted(time.Now(), s.deleted))
		s.deleted = nil
	}
	s.life.Store(l)
}

// topicsDeleted tells the groups, now or when they are loaded.
func (s *shard) topicsDeleted(ctx context.Context, names []string) error {
	s.mu.Lock()
	l := s.life.Load()
	if l == nil {
		s.deleted = append(s.deleted, names...)
	}
	s.mu.Unlock()
	if l == nil {
		return nil
	}
	return l.put(ctx, event{step: func(m *Machine, now time.Time, _ Call) Decision { return m.TopicsDeleted(now, names) }})
}
