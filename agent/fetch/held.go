package fetch

import (
	"github.com/odradek/odradek/index"
	"github.com/odradek/odradek/topic"
)

// Held lists what this agent sees of a partition from an offset on, in offset order: the runs that hold offsets at or above
// from, then the extents, limit of both at most. Who wants more asks again from where the last one ends. The runs are not to
// be changed.
func (e *Engine) Held(p topic.Partition, from topic.Offset, limit int) (runs []topic.Run, extents []index.Entry) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if runs = e.index.Runs(p, from); len(runs) >= limit {
		return runs[:limit], nil
	}
	for x := range e.index.From(p, from) {
		if len(runs)+len(extents) == limit {
			break
		}
		extents = append(extents, x)
	}
	return runs, extents
}

// Above counts the extents that this agent has in memory of slots at or above what next gives for their journals, which is a
// cut as a checkpoint makes it.
func (e *Engine) Above(next func(topic.JournalID) topic.Slot) int {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.index.Above(next)
}
