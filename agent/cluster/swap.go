package cluster

import (
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/topic"
)

// swap tells the index in memory what the manifests of one control number swapped in, as after has it: that is the truth,
// and the index follows (G2). Runs of deleted topics go with their topic.
func (e *Engine) swap(after *control.State, records []control.Record, outcomes []control.Outcome) {
	for i, r := range records {
		m, ok := r.(control.Manifest)
		if !ok || outcomes[i].Void {
			continue
		}
		for _, part := range m.Parts {
			if c := after.Compaction(part.Partition); c.End > 0 {
				e.log.SetRuns(part.Partition, c.Start, c.End, c.Runs)
			}
		}
	}
}

// compacted says where the slots of a partition begin to be needed: what lies below is in compacted objects, or before its
// log start, so that the slots that held it may be trimmed.
func (e *Engine) compacted(p topic.Partition) topic.Offset {
	start, _ := e.log.Bounds(p)
	return max(start, e.State().Compaction(p).End)
}
