package cache

import (
	"container/list"
	"context"
	"sync"
	"time"
)

// loadTimeout ends a load that hangs; those who asked may have gone by then.
const loadTimeout = 60 * time.Second

// Cache holds values of known size, at most limit bytes together. Safe for concurrent use. Values are shared and must
// not be changed.
type Cache[K comparable, V any] struct {
	limit   int64
	flights *Flights

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
	done  chan struct{} // closed when what follows is set
	value V
	size  int64
	err   error
}

// New makes an empty cache.
func New[K comparable, V any](limit int64) *Cache[K, V] {
	return &Cache[K, V]{
		limit:   limit,
		entries: make(map[K]*list.Element),
		recent:  list.New(),
		loading: make(map[K]*load[V]),
		flights: NewFlights(loadTimeout),
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

// Load returns the value under key, calling fetch for it if it is missing. Of several that ask at once one has it fetched,
// and all get its answer; errors are not kept. Whoever asks waits until its own ctx ends and no longer; fetch goes on then,
// for the others and for the cache, until Close. It does not begin for one whose ctx has ended, nor after Close.
func (c *Cache[K, V]) Load(ctx context.Context, key K, fetch func(context.Context) (V, int64, error)) (V, error) {
	c.mu.Lock()
	if v, ok := c.get(key); ok {
		c.mu.Unlock()
		return v, nil
	}
	var none V
	l, ok := c.loading[key]
	if !ok {
		l = &load[V]{done: make(chan struct{})}
		if err := c.flights.Go(ctx, l.run(fetch), func(err error) { c.land(key, l, err) }); err != nil {
			c.mu.Unlock()
			return none, err
		}
		c.loading[key] = l
	}
	c.mu.Unlock()
	select {
	case <-l.done:
		return l.value, l.err
	case <-ctx.Done():
		return none, context.Cause(ctx)
	}
}

// run makes of fetch what fills the value in.
func (l *load[V]) run(fetch func(context.Context) (V, int64, error)) func(context.Context) error {
	return func(ctx context.Context) (err error) {
		l.value, l.size, err = fetch(ctx)
		return err
	}
}

// land takes in what a load brought.
func (c *Cache[K, V]) land(key K, l *load[V], err error) {
	c.mu.Lock()
	delete(c.loading, key)
	if l.err = err; err == nil {
		c.put(key, l.value, l.size)
	}
	c.mu.Unlock()
	close(l.done)
}

// Close ends the loads under way, and waits for them. What is held stays.
func (c *Cache[K, V]) Close() { c.flights.Close() }

// Stats returns the counters.
func (c *Cache[K, V]) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.Bytes = c.used
	return s
}
