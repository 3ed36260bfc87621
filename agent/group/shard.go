package group

import (
	"bytes"
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
	defer s.c.copies.Unload(s.partition)
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

// load begins a life with what the copies and, from there on, the log say.
func (s *shard) load() (*life, error) {
	if from, records := s.c.copies.Load(s.ctx, s.partition); from > 0 {
		l, err := s.read(from, records)
		if err == nil || s.ctx.Err() != nil {
			return l, err
		}
		s.c.slog.Warn("copies of groups do not fit the log, reading all of it", slog.Int("partition", int(s.partition)), slog.Any("error", err))
		s.c.copies.Restart(s.partition)
	}
	return s.read(0, nil)
}

// read begins a life with what the log says: records below from, then what is read from there on.
func (s *shard) read(from topic.Offset, records []Record) (*life, error) {
	l := newLife(s)
	r := replay{machine: l.machine, began: time.Now(), copied: map[string]int32{}}
	for _, x := range records {
		if err := r.takeCopy(x); err != nil {
			return nil, fmt.Errorf("read the copies: %w", err)
		}
	}
	next, err := s.c.log.Read(s.ctx, s.partition, from, func(o topic.Offset, key, value []byte) error {
		if err := r.take(key, value); err != nil {
			return fmt.Errorf("offset %d: %w", o, err)
		}
		s.c.copies.Apply(s.partition, o, []Record{{Key: bytes.Clone(key), Value: bytes.Clone(value)}})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	s.c.copies.Loaded(s.partition, next)
	l.apply(l.machine.Loaded(time.Now()))
	if gone := l.machine.topicsGone(); len(gone) > 0 {
		l.apply(l.machine.TopicsDeleted(time.Now(), gone))
	}
	s.begin(l)
	if next > 0 {
		s.c.slog.Info("groups loaded", slog.Int("partition", int(s.partition)), slog.Int("groups", len(l.machine.groups)),
			slog.Int64("from", int64(from)), slog.Int64("records", int64(next-from)), slog.Int("skipped", r.skipped),
			slog.Duration("took", time.Since(r.began)))
	}
	return l, nil
}

// replay takes copies and then records of the log into a machine.
type replay struct {
	machine *Machine
	began   time.Time
	copied  map[string]int32 // generations of the groups that the copies tell of, until the log does
	skipped int              // records of a kind that is not known
}

var errGeneration = errors.New("group is at a lower generation in the log than in its copy")

func (r *replay) takeCopy(x Record) error {
	record, err := offsetsrecord.Decode(x.Key, x.Value)
	if err != nil {
		return err
	}
	if g := record.Group; g != nil && g.Value != nil {
		r.copied[g.Group] = g.Value.Generation
	}
	r.machine.Replay(r.began, record)
	return nil
}

func (r *replay) take(key, value []byte) error {
	record, err := offsetsrecord.Decode(key, value)
	if errors.Is(err, offsetsrecord.ErrUnknownKey) {
		r.skipped++
		return nil
	}
	if err != nil {
		return err
	}
	if g := record.Group; g != nil {
		if was, ok := r.copied[g.Group]; ok && g.Value != nil && g.Value.Generation < was {
			return fmt.Errorf("%w: %q, %d and %d", errGeneration, g.Group, g.Value.Generation, was)
		}
		delete(r.copied, g.Group)
	}
	r.machine.Replay(r.began, record)
	return nil
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
