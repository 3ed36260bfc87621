package fetch

import "github.com/odradek/odradek/topic"

// sizedAtOnce is how many extents are looked at before others may have the index.
const sizedAtOnce = 10_000

// Size gives the bytes of the bucket that hold a partition's visible records.
func (e *Engine) Size(p topic.Partition) int64 {
	total, from := e.sizeOfRuns(p)
	for {
		n, next := e.sizeFrom(p, from)
		if next == from {
			return total
		}
		total, from = total+n, next
	}
}

// sizeOfRuns adds up the runs, and gives the offset behind the last of them.
func (e *Engine) sizeOfRuns(p topic.Partition) (size int64, next topic.Offset) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	for _, r := range e.index.Runs(p, 0) {
		size += r.Size()
	}
	return size, e.index.Compacted(p)
}

// sizeFrom adds up some extents from an offset on, and gives the offset behind the last of them.
func (e *Engine) sizeFrom(p topic.Partition, from topic.Offset) (size int64, next topic.Offset) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	n := 0
	next = from
	for x := range e.index.From(p, from) {
		size, next = size+int64(x.Length), x.Next
		if n++; n == sizedAtOnce {
			break
		}
	}
	return size, next
}
