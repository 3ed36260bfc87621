package memory

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/odradek/odradek/objectstore"
)

// Store holds objects in memory. The zero value is not usable; see New.
type Store struct {
	mu      sync.RWMutex // guards all below
	objects map[string]object
	uploads map[*upload]struct{} // that were begun and not ended
}

// object is immutable once it is in the map.
type object struct {
	data     []byte
	meta     map[string]string
	modified time.Time
}

var _ objectstore.Store = (*Store)(nil)

// New makes an empty bucket.
func New() *Store { return &Store{objects: make(map[string]object)} }

// Create implements objectstore.Store. A body that fails its own check is refused and nothing is stored.
func (s *Store) Create(ctx context.Context, key string, body objectstore.Body) error {
	if err := admit(ctx, "create", key); err != nil {
		return err
	}
	if err := body.Check(); err != nil {
		return fmt.Errorf("create %s: %w", key, err)
	}
	o := object{data: bytes.Join(body.Parts, nil), meta: maps.Clone(body.Meta), modified: time.Now()}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.objects[key]; ok {
		return fmt.Errorf("create %s: %w", key, objectstore.ErrExists)
	}
	s.objects[key] = o
	return nil
}

// Get implements objectstore.Store.
func (s *Store) Get(ctx context.Context, key string) ([]byte, error) {
	o, err := s.find(ctx, "get", key)
	if err != nil {
		return nil, err
	}
	return append(make([]byte, 0, len(o.data)), o.data...), nil
}

// GetRange implements objectstore.Store.
func (s *Store) GetRange(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	o, err := s.find(ctx, "get", key)
	if err != nil {
		return nil, err
	}
	from, to, err := objectstore.Range(int64(len(o.data)), offset, length)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", key, err)
	}
	return append(make([]byte, 0, to-from), o.data[from:to]...), nil
}

// Head implements objectstore.Store.
func (s *Store) Head(ctx context.Context, key string) (objectstore.Info, error) {
	o, err := s.find(ctx, "head", key)
	if err != nil {
		return objectstore.Info{}, err
	}
	return objectstore.Info{Key: key, Size: int64(len(o.data)), Modified: o.modified}, nil
}

// List implements objectstore.Store. fn sees the objects of the moment of the call and may use the Store.
func (s *Store) List(ctx context.Context, prefix string, fn func(objectstore.Info) error) error {
	if err := objectstore.CheckPrefix(prefix); err != nil {
		return err
	}
	for _, info := range s.snapshot(prefix) {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("list %s: %w", prefix, err)
		}
		if err := fn(info); err != nil {
			return err
		}
	}
	return nil
}

// Delete implements objectstore.Store.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := admit(ctx, "delete", key); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.objects, key)
	return nil
}

// Meta returns the metadata that the object was created with, for tests.
func (s *Store) Meta(key string) map[string]string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return maps.Clone(s.objects[key].meta)
}

func (s *Store) find(ctx context.Context, call, key string) (object, error) {
	if err := admit(ctx, call, key); err != nil {
		return object{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	o, ok := s.objects[key]
	if !ok {
		return object{}, fmt.Errorf("%s %s: %w", call, key, objectstore.ErrNotFound)
	}
	return o, nil
}

func (s *Store) snapshot(prefix string) []objectstore.Info {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var infos []objectstore.Info
	for key, o := range s.objects {
		if strings.HasPrefix(key, prefix) {
			infos = append(infos, objectstore.Info{Key: key, Size: int64(len(o.data)), Modified: o.modified})
		}
	}
	slices.SortFunc(infos, func(a, b objectstore.Info) int { return strings.Compare(a.Key, b.Key) })
	return infos
}

func admit(ctx context.Context, call, key string) error {
	if err := objectstore.CheckKey(key); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s %s: %w", call, key, err)
	}
	return nil
}
