package meter

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/trace"
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
	store  objectstore.Store
	kinds  map[objectstore.Kind]*counts // complete and read-only after New
	bill   *bill
	tells  bool               // the store tells of each request it sends
	reason objectstore.Reason // of calls whose context says none
}

var _ objectstore.Store = (*Store)(nil)

// New wraps store and registers the metrics. The error is the registerer's, as when it has them already.
func New(store objectstore.Store, registerer prometheus.Registerer, prices Prices) (*Store, error) {
	s := &Store{
		store: store, kinds: make(map[objectstore.Kind]*counts), bill: newBill(prices),
		tells: objectstore.TellsAttempts(store), reason: objectstore.ReasonOther,
	}
	for _, kind := range objectstore.Kinds {
		s.kinds[kind] = newCounts(kind)
	}
	collectors := s.bill.collectors()
	for _, c := range s.kinds {
		collectors = append(collectors, c.collectors...)
	}
	for _, collector := range collectors {
		if err := registerer.Register(collector); err != nil {
			return nil, fmt.Errorf("objectstore metrics: %w", err)
		}
	}
	return s, nil
}

// For gives the same store for a part of the agent: what its calls' contexts do not say otherwise counts for that reason.
func (s *Store) For(reason objectstore.Reason) *Store {
	part := *s
	part.reason = reason
	return &part
}

// Of gives a meter of another store, whose calls go on the same bill: that of another place of the bucket.
func (s *Store) Of(store objectstore.Store) *Store {
	other := *s
	other.store, other.tells = store, objectstore.TellsAttempts(store)
	return &other
}

// TellsAttempts implements objectstore.Attempting.
func (s *Store) TellsAttempts() bool { return s.tells }

// Billed is how many requests left for the bucket, and how many bytes of objects they carried.
func (s *Store) Billed(of Line) (requests, bytes int64) {
	l := s.bill.lines[of]
	return l.requests.Load(), l.bytes.Load()
}

// AllBilled is Billed of a kind, for whatever reason.
func (s *Store) AllBilled(kind objectstore.Kind) (requests, bytes int64) {
	for _, reason := range objectstore.Reasons {
		r, b := s.Billed(Line{kind, reason})
		requests, bytes = requests+r, bytes+b
	}
	return requests, bytes
}

// Dollars is what all requests cost until now.
func (s *Store) Dollars() float64 {
	var sum float64
	for of, l := range s.bill.lines {
		sum += s.bill.prices.Of(of.Kind, l.requests.Load(), l.bytes.Load())
	}
	return sum
}

// reasonOf finds what a call is for: the key says it of the control log, but at a start and in a probe; else whoever calls.
func (s *Store) reasonOf(ctx context.Context, key string) objectstore.Reason {
	reason, ok := objectstore.ReasonOf(ctx)
	if !ok {
		reason = s.reason
	}
	if reason != objectstore.ReasonRecovery && strings.HasPrefix(key, controlPrefix) {
		return objectstore.ReasonControl
	}
	return reason
}

// controlPrefix is where the control log is.
const controlPrefix = "control/"

// spanNames are the names of the spans of calls, by kind.
var spanNames = func() map[objectstore.Kind]string {
	names := make(map[objectstore.Kind]string)
	for _, kind := range objectstore.Kinds {
		names[kind] = "bucket " + string(kind)
	}
	return names
}()

// call is one call to the store below.
type call struct {
	store  *Store
	kind   objectstore.Kind
	reason objectstore.Reason
	start  time.Time
	span   trace.Span
}

// begin notes a call. The store below gets the context that it returns.
func (s *Store) begin(ctx context.Context, kind objectstore.Kind, key string) (context.Context, call) {
	c := call{s, kind, s.reasonOf(ctx, key), time.Now(), trace.From(ctx)}
	if c.span.On() {
		c.span = c.span.Child(spanNames[kind], trace.Client)
		c.span.Text("odradek.key", key)
		c.span.Text("odradek.reason", string(c.reason))
	}
	if s.tells {
		ctx = objectstore.WithAttempts(ctx, attempts{s.bill, c.reason, c.span})
	}
	return ctx, c
}

// end counts n requests that took one call. Where the store tells of its requests itself they are on the bill already.
func (c call) end(n int, bytes int64, err error) {
	c.store.kinds[c.kind].add(c.start, n, bytes, err)
	if c.span.On() {
		outcome := outcomeOf(err)
		c.span.Number("odradek.bytes", bytes)
		c.span.Text("odradek.outcome", string(outcome))
		if outcome != OutcomeError && outcome != OutcomeCancelled {
			err = nil // an answer that somebody asked for
		}
		c.span.End(err)
	}
	if !c.store.tells {
		c.store.bill.add(Line{c.kind, c.reason}, int64(n), bytes)
	}
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
	ctx, c := s.begin(ctx, objectstore.KindCreate, key)
	err := s.store.Create(ctx, key, body)
	c.end(1, body.Size, err)
	return err
}

// Get implements objectstore.Store.
func (s *Store) Get(ctx context.Context, key string) ([]byte, error) {
	ctx, c := s.begin(ctx, objectstore.KindGet, key)
	data, err := s.store.Get(ctx, key)
	c.end(1, int64(len(data)), err)
	return data, err
}

// GetRange implements objectstore.Store.
func (s *Store) GetRange(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	ctx, c := s.begin(ctx, objectstore.KindGetRange, key)
	data, err := s.store.GetRange(ctx, key, offset, length)
	c.end(1, int64(len(data)), err)
	return data, err
}

// Head implements objectstore.Store.
func (s *Store) Head(ctx context.Context, key string) (objectstore.Info, error) {
	ctx, c := s.begin(ctx, objectstore.KindHead, key)
	info, err := s.store.Head(ctx, key)
	c.end(1, 0, err)
	return info, err
}

// List implements objectstore.Store. An error of fn is not the store's and counts as ok.
func (s *Store) List(ctx context.Context, prefix string, fn func(objectstore.Info) error) error {
	ctx, c := s.begin(ctx, objectstore.KindList, prefix)
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
	c.end(1+max(0, listed-1)/listPage, 0, outcome)
	return err
}

// Delete implements objectstore.Store.
func (s *Store) Delete(ctx context.Context, key string) error {
	ctx, c := s.begin(ctx, objectstore.KindDelete, key)
	err := s.store.Delete(ctx, key)
	c.end(1, 0, err)
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
