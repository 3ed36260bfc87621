package cache

import (
	"container/list"
	"context"
	"sync"
	"time"
)

// loadTimeout ends a load that hangs; the one who asked first may have gone by then.
const loadTimeout = 60 * time.Second

// Cache holds values of known size, at most limit bytes together. Safe for concurrent use. Values are shared and must
// not be changed.
type Cache[K comparable, V any] struct {
	limit int64

	mu      sync.Mutex // guards all below; never held while loading
	used    int64
	entries map[K]*list.Element
	recent  *list.List // of *entry[K, V], most recently used first
	loading map[K]*load[V]
	stats   Stats
}

// Stats counts since the start.
type Stats struct {
	Hits, Misses, Evicted uint64
	Bytes                 int64 // held now
}

type entry[K comparable, V any] struct {
	key   K
	value V
	size  int64
}

type load[V any] struct {
	done  chan struct{}
	value V
	err   error
}

// New makes an empty cache.
func New[K comparable, V any](limit int64) *Cache[K, V] {
	return &Cache[K, V]{
		limit:   limit,
		entries: make(map[K]*list.Element),
		recent:  list.New(),
		loading: make(map[K]*load[V]),
	}
}

// Get returns a value that is there.
func (c *Cache[K, V]) Get(key K) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.get(key)
}

func (c *Cache[K, V]) get(key K) (V, bool) {
	e, ok := c.entries[key]
	if !ok {
		c.stats.Misses++
		var none V
		return none, false
	}
	c.stats.Hits++
	c.recent.MoveToFront(e)
	return e.Value.(*entry[K, V]).value, true
}

// Put stores a value of size bytes and evicts what no longer fits. A value larger than the whole cache is not kept.
func (c *Cache[K, V]) Put(key K, value V, size int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.put(key, value, size)
}

func (c *Cache[K, V]) put(key K, value V, size int64) {
	if _, ok := c.entries[key]; ok || size > c.limit {
		return
	}
	c.entries[key] = c.recent.PushFront(&entry[K, V]{key: key, value: value, size: size})
	c.used += size
	for c.used > c.limit {
		oldest := c.recent.Back()
		e := c.recent.Remove(oldest).(*entry[K, V])
		delete(c.entries, e.key)
		c.used -= e.size
		c.stats.Evicted++
	}
}

// Drop forgets a value, so that the next Load fetches it again.
func (c *Cache[K, V]) Drop(key K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.entries[key]; ok {
		c.used -= c.recent.Remove(e).(*entry[K, V]).size
		delete(c.entries, key)
	}
}

// Load returns the value under key, calling fetch for it if it is missing. Of several that ask at once one fetches,
// and all get its answer; errors are not kept. fetch goes on when the asker's ctx ends, for the others; it does not begin
// for one whose ctx has ended.
func (c *Cache[K, V]) Load(ctx context.Context, key K, fetch func(context.Context) (V, int64, error)) (V, error) {
	c.mu.Lock()
	if v, ok := c.get(key); ok {
		c.mu.Unlock()
		return v, nil
	}
	if l, ok := c.loading[key]; ok {
		c.mu.Unlock()
		select {
		case <-l.done:
			return l.value, l.err
		case <-ctx.Done():
			var none V
			return none, context.Cause(ctx)
		}
	}
	if ctx.Err() != nil {
		c.mu.Unlock()
		var none V
		return none, context.Cause(ctx)
	}
	l := &load[V]{done: make(chan struct{})}
	c.loading[key] = l
	c.mu.Unlock()

	inner, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTimeout)
	defer cancel()
	var size int64
	l.value, size, l.err = fetch(inner)

	c.mu.Lock()
	delete(c.loading, key)
	if l.err == nil {
		c.put(key, l.value, size)
	}
	c.mu.Unlock()
	close(l.done)
	return l.value, l.err
}

// Stats returns the counters.
func (c *Cache[K, V]) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.Bytes = c.used
	return s
}
