package meter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/odradek/odradek/objectstore"
)

// listPage is how many keys S3 returns for one request.
const listPage = 1000

// Outcome is how a request ended.
type Outcome string

// The outcomes. OutcomeError is every answer that means unknown.
const (
	OutcomeOK        Outcome = "ok"
	OutcomeExists    Outcome = "exists"
	OutcomeNotFound  Outcome = "not_found"
	OutcomeRange     Outcome = "range"
	OutcomeCancelled Outcome = "cancelled"
	OutcomeError     Outcome = "error"
)

// Outcomes lists every outcome.
var Outcomes = []Outcome{OutcomeOK, OutcomeExists, OutcomeNotFound, OutcomeRange, OutcomeCancelled, OutcomeError}

// Store passes calls on to another store and counts them. Safe for concurrent use.
type Store struct {
	store objectstore.Store
	kinds map[objectstore.Kind]*counts // complete and read-only after New
}

var _ objectstore.Store = (*Store)(nil)

// New wraps store and registers the metrics. The error is the registerer's, as when it has them already.
func New(store objectstore.Store, registerer prometheus.Registerer) (*Store, error) {
	s := &Store{store: store, kinds: make(map[objectstore.Kind]*counts)}
	for _, kind := range objectstore.Kinds {
		s.kinds[kind] = newCounts(kind)
	}
	for _, c := range s.kinds {
		for _, collector := range c.collectors {
			if err := registerer.Register(collector); err != nil {
				return nil, fmt.Errorf("objectstore metrics: %w", err)
			}
		}
	}
	return s, nil
}

// Requests is how many requests of a kind ended with an outcome.
func (s *Store) Requests(kind objectstore.Kind, outcome Outcome) int64 {
	return s.kinds[kind].requests[outcome].Load()
}

// AllRequests is how many requests of a kind there were.
func (s *Store) AllRequests(kind objectstore.Kind) int64 {
	var n int64
	for _, outcome := range Outcomes {
		n += s.Requests(kind, outcome)
	}
	return n
}

// Bytes is how many bytes of bodies requests of a kind carried.
func (s *Store) Bytes(kind objectstore.Kind) int64 { return s.kinds[kind].bytes.Load() }

// Create implements objectstore.Store. Its bytes count whatever came of it: they were sent.
func (s *Store) Create(ctx context.Context, key string, body objectstore.Body) error {
	start := time.Now()
	err := s.store.Create(ctx, key, body)
	s.kinds[objectstore.KindCreate].add(start, 1, body.Size, err)
	return err
}

// Get implements objectstore.Store.
func (s *Store) Get(ctx context.Context, key string) ([]byte, error) {
	start := time.Now()
	data, err := s.store.Get(ctx, key)
	s.kinds[objectstore.KindGet].add(start, 1, int64(len(data)), err)
	return data, err
}

// GetRange implements objectstore.Store.
func (s *Store) GetRange(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	start := time.Now()
	data, err := s.store.GetRange(ctx, key, offset, length)
	s.kinds[objectstore.KindGetRange].add(start, 1, int64(len(data)), err)
	return data, err
}

// Head implements objectstore.Store.
func (s *Store) Head(ctx context.Context, key string) (objectstore.Info, error) {
	start := time.Now()
	info, err := s.store.Head(ctx, key)
	s.kinds[objectstore.KindHead].add(start, 1, 0, err)
	return info, err
}

// List implements objectstore.Store. An error of fn is not the store's and counts as ok.
func (s *Store) List(ctx context.Context, prefix string, fn func(objectstore.Info) error) error {
	start := time.Now()
	listed, stopped := 0, false
	err := s.store.List(ctx, prefix, func(info objectstore.Info) error {
		listed++
		err := fn(info)
		stopped = err != nil
		return err
	})
	outcome := err
	if stopped {
		outcome = nil
	}
	s.kinds[objectstore.KindList].add(start, 1+max(0, listed-1)/listPage, 0, outcome)
	return err
}

// Delete implements objectstore.Store.
func (s *Store) Delete(ctx context.Context, key string) error {
	start := time.Now()
	err := s.store.Delete(ctx, key)
	s.kinds[objectstore.KindDelete].add(start, 1, 0, err)
	return err
}

func outcomeOf(err error) Outcome {
	switch {
	case err == nil:
		return OutcomeOK
	case errors.Is(err, objectstore.ErrExists):
		return OutcomeExists
	case errors.Is(err, objectstore.ErrNotFound), errors.Is(err, objectstore.ErrUploadGone):
		return OutcomeNotFound
	case errors.Is(err, objectstore.ErrRange):
		return OutcomeRange
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return OutcomeCancelled
	}
	return OutcomeError
}
