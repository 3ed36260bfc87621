package faulty

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/odradek/odradek/objectstore"
)

// Store passes calls on to another store, faults between. Safe for concurrent use.
type Store struct {
	store objectstore.Store

	mu     sync.Mutex // guards all below
	script Script
	down   bool
	n      int    // calls that came
	calls  []Call // all of them, if they are recorded
	ofKind map[objectstore.Kind]int
	ofKey  map[kindKey]int // nil if calls are not recorded
	held   []func(context.Context) error
}

type kindKey struct {
	kind objectstore.Kind
	key  string
}

var _ objectstore.Store = (*Store)(nil)

// New wraps store. A nil script is None.
func New(store objectstore.Store, script Script) *Store {
	s := &Store{store: store, ofKind: make(map[objectstore.Kind]int), ofKey: make(map[kindKey]int)}
	s.SetScript(script)
	return s
}

// Unrecorded is New for who makes so many calls that remembering them costs more than making them: Calls gives none, and
// OfKey is 0.
func Unrecorded(store objectstore.Store, script Script) *Store {
	s := New(store, script)
	s.ofKey = nil
	return s
}

// SetScript replaces the script. Calls keep their numbers.
func (s *Store) SetScript(script Script) {
	if script == nil {
		script = None
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = script
}

// Cut begins an outage: calls that come from now on return ErrDown before they take effect.
func (s *Store) Cut() { s.setDown(true) }

// Mend ends an outage.
func (s *Store) Mend() { s.setDown(false) }

func (s *Store) setDown(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

// Calls returns all calls so far, in their order.
func (s *Store) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Call(nil), s.calls...)
}

// Land lets the Creates and Completes that Fault.Late held back arrive, in their order, outage or not, and returns what each met:
// nil, ErrExists or another error of the store below.
func (s *Store) Land(ctx context.Context) []error {
	s.mu.Lock()
	held := s.held
	s.held = nil
	s.mu.Unlock()
	var errs []error
	for _, call := range held {
		errs = append(errs, call(ctx))
	}
	return errs
}

// Create implements objectstore.Store.
func (s *Store) Create(ctx context.Context, key string, body objectstore.Body) error {
	f, err := s.admit(ctx, objectstore.KindCreate, key, body.Size)
	if err != nil {
		return err
	}
	if f.Late {
		body.Parts, body.Meta = [][]byte{bytes.Join(body.Parts, nil)}, maps.Clone(body.Meta) // the caller uses its slices again
		s.hold(func(ctx context.Context) error { return s.store.Create(ctx, key, body) })
		return fmt.Errorf("create %s: %w", key, ErrLost)
	}
	return f.answer("create", key, s.store.Create(ctx, key, body))
}

// Get implements objectstore.Store.
func (s *Store) Get(ctx context.Context, key string) ([]byte, error) {
	f, err := s.admit(ctx, objectstore.KindGet, key, 0)
	if err != nil {
		return nil, err
	}
	data, err := s.store.Get(ctx, key)
	return f.read("get", key, data, err)
}

// GetRange implements objectstore.Store.
func (s *Store) GetRange(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	f, err := s.admit(ctx, objectstore.KindGetRange, key, 0)
	if err != nil {
		return nil, err
	}
	data, err := s.store.GetRange(ctx, key, offset, length)
	return f.read("get", key, data, err)
}

// Head implements objectstore.Store.
func (s *Store) Head(ctx context.Context, key string) (objectstore.Info, error) {
	f, err := s.admit(ctx, objectstore.KindHead, key, 0)
	if err != nil {
		return objectstore.Info{}, err
	}
	info, err := s.store.Head(ctx, key)
	if err = f.answer("head", key, err); err != nil {
		return objectstore.Info{}, err
	}
	return info, nil
}

// List implements objectstore.Store.
func (s *Store) List(ctx context.Context, prefix string, fn func(objectstore.Info) error) error {
	f, err := s.admit(ctx, objectstore.KindList, prefix, 0)
	if err != nil {
		return err
	}
	return f.answer("list", prefix, s.store.List(ctx, prefix, fn))
}

// Delete implements objectstore.Store.
func (s *Store) Delete(ctx context.Context, key string) error {
	f, err := s.admit(ctx, objectstore.KindDelete, key, 0)
	if err != nil {
		return err
	}
	return f.answer("delete", key, s.store.Delete(ctx, key))
}

// admit numbers the call, asks the script, and does what comes before the call.
func (s *Store) admit(ctx context.Context, kind objectstore.Kind, key string, size int64) (Fault, error) {
	f := s.next(kind, key, size)
	if f.Delay > 0 {
		timer := time.NewTimer(f.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return Fault{}, fmt.Errorf("%s %s: %w", kind, key, ctx.Err())
		}
	}
	if f.Before != nil {
		return Fault{}, fmt.Errorf("%s %s: %w", kind, key, f.Before)
	}
	return f, nil
}

func (s *Store) next(kind objectstore.Kind, key string, size int64) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	s.ofKind[kind]++
	c := Call{N: s.n, OfKind: s.ofKind[kind], Kind: kind, Key: key, Size: size}
	if s.ofKey != nil {
		s.ofKey[kindKey{kind, key}]++
		c.OfKey = s.ofKey[kindKey{kind, key}]
		s.calls = append(s.calls, c)
	}
	if s.down {
		return Fault{Before: ErrDown}
	}
	return s.script(c)
}

// hold keeps a call that its caller gave up.
func (s *Store) hold(call func(context.Context) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = append(s.held, call)
}

// answer replaces the answer of a call that took effect.
func (f Fault) answer(call, key string, err error) error {
	if f.After != nil {
		return fmt.Errorf("%s %s: %w", call, key, f.After)
	}
	return err
}

func (f Fault) read(call, key string, data []byte, err error) ([]byte, error) {
	if err = f.answer(call, key, err); err != nil {
		return nil, err
	}
	if f.Mangle != nil {
		data = f.Mangle(data)
	}
	return data, nil
}
