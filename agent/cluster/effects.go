package cluster

import (
	"slices"
	"sync"

	"github.com/odradek/odradek/checkpoint"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/topic"
)

// effectsOf says what a batch of control records means for the index.
func effectsOf(before *control.State, records []control.Record, outcomes []control.Outcome) []metadata.Effect {
	var out []metadata.Effect
	add := func(id topic.ID, from, to int32) {
		for i := from; i < to; i++ {
			out = append(out, metadata.PartitionAdded{Partition: topic.Partition{Topic: id, Index: i}})
		}
	}
	created := map[topic.ID]int32{} // by earlier records of the same batch
	for i, r := range records {
		if outcomes[i].Void {
			continue
		}
		switch r := r.(type) {
		case control.TopicCreate:
			add(r.ID, 0, int32(len(r.Journals)))
			created[r.ID] = int32(len(r.Journals))
		case control.PartitionsAdd:
			add(r.Topic, r.From, r.From+int32(len(r.Journals)))
			created[r.Topic] = r.From + int32(len(r.Journals))
		case control.TopicDelete:
			n, ok := created[r.ID]
			if t, known := before.TopicByID(r.ID); !ok && known {
				n = t.Partitions()
			}
			for p := range n {
				out = append(out, metadata.PartitionDropped{Partition: topic.Partition{Topic: r.ID, Index: p}})
			}
		case control.JournalOpen:
			for _, p := range r.Predecessors {
				out = append(out, metadata.JournalSealed{Journal: p.Journal, Seal: p.SealSlot})
			}
			out = append(out, metadata.JournalOpened{Journal: r.ID})
		case control.JournalSealed:
			out = append(out, metadata.JournalSealed{Journal: r.Journal, Seal: r.SealSlot})
		case control.Verified:
			out = append(out, droppedBy(before)...)
		case control.Trim:
			out = append(out, metadata.SegmentsDropped{Journal: r.Journal, Below: r.Slot})
		}
	}
	return out
}

// droppedBy says which segments the index need not hold any more when a checkpoint is verified next: those that the one
// verified before it holds, as far as they were not dropped when that one was verified. Two checkpoints hold them then, and
// who follows a journal and is further behind reads footers.
func droppedBy(before *control.State) []metadata.Effect {
	var newest, older control.CheckpointInfo
	for _, c := range before.Checkpoints() {
		if c.Verified {
			older, newest = newest, c
		}
	}
	var out []metadata.Effect
	for j, next := range newest.Journals() {
		if next > older.Next(j) {
			out = append(out, metadata.SegmentsDropped{Journal: j, Below: next})
		}
	}
	return out
}

// stateEffects leads an empty index to where a control state is, with the slots that a checkpoint holds, nil for none.
func stateEffects(s *control.State, base *checkpoint.Head) []metadata.Effect {
	var out []metadata.Effect
	for t := range s.Topics() {
		for p := range t.Partitions() {
			added := metadata.PartitionAdded{Partition: topic.Partition{Topic: t.ID, Index: p}}
			if base != nil {
				at, _ := base.Partition(added.Partition)
				added.Start, added.Next = at.Start, at.End
			}
			out = append(out, added)
		}
	}
	for j := range s.Journals() {
		out = append(out, metadata.JournalOpened{Journal: j.ID, First: nextIn(base, j.ID)})
		if j.Sealed {
			out = append(out, metadata.JournalSealed{Journal: j.ID, Seal: j.SealSlot})
		}
	}
	return out
}

// maxEffects bounds the control numbers whose effects are remembered.
const maxEffects = 20_000

// effectLog remembers the effects of control numbers that the index may not have applied yet. Safe for concurrent use.
type effectLog struct {
	mu    sync.Mutex // guards all below
	first topic.Slot // number of list[0]
	list  [][]metadata.Effect
}

// begin says that the effects of the numbers below n are not remembered.
func (l *effectLog) begin(n topic.Slot) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.first, l.list = n, nil
}

// begins gives the first number that is remembered.
func (l *effectLog) begins() topic.Slot {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.first
}

// prepend adds the effects of the numbers before the first that is remembered, if that is still n.
func (l *effectLog) prepend(n topic.Slot, effects [][]metadata.Effect) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.first == n {
		l.list, l.first = slices.Concat(effects, l.list), n-topic.Slot(len(effects))
	}
}

func (l *effectLog) add(n topic.Slot, effects []metadata.Effect) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.list) == 0 {
		l.first = n
	}
	l.list = append(l.list, effects)
	if len(l.list) > maxEffects { // an index that is further behind is built anew
		l.list, l.first = slices.Clone(l.list[len(l.list)-maxEffects/2:]), l.first+topic.Slot(len(l.list)-maxEffects/2)
	}
}

// after gives the effects of the numbers above applied. ok is false when they are no longer all remembered.
func (l *effectLog) after(applied topic.Slot) (effects [][]metadata.Effect, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if applied+1 < l.first {
		return nil, false
	}
	skip := int(applied + 1 - l.first)
	if skip >= len(l.list) {
		return nil, true
	}
	return l.list[skip:], true
}

// forget drops the effects of the numbers up to applied.
func (l *effectLog) forget(applied topic.Slot) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.list) > 0 && l.first <= applied {
		l.list[0] = nil
		l.list, l.first = l.list[1:], l.first+1
	}
}
