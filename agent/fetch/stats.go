package fetch

// CacheStats is what became of look-ups in one of the engine's caches, since it was made.
type CacheStats struct {
	Name         string // tail: segments that counted a moment ago; catch_up: what was read from the bucket
	Hits, Misses uint64
	Bytes        int64 // held now
}

// CacheNames lists the names.
var CacheNames = []string{"tail", "catch_up"}

// Caches tells of the engine's caches that hold records.
func (e *Engine) Caches() []CacheStats {
	of := func(name string, hits, misses uint64, bytes int64) CacheStats {
		return CacheStats{Name: name, Hits: hits, Misses: misses, Bytes: bytes}
	}
	tail, extents := e.tail.Stats(), e.extents.Stats()
	return []CacheStats{
		of("tail", tail.Hits, tail.Misses, tail.Bytes),
		of("catch_up", extents.Hits, extents.Misses, extents.Bytes),
	}
}
