package cluster

import (
	"testing"

	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/topic"
)

// What is on its way into the index is not changed by slots that come to count meanwhile, also when the queue is full.
func TestIndexQueue_WhatWasTakenStays(t *testing.T) {
	var q indexQueue
	slot := topic.Slot(0)
	push := func() {
		q.push(metadata.Segment{Journal: oldJournal, Slot: slot})
		slot++
	}
	for range queueSlots {
		push()
	}
	taken, known := q.from(0, indexBatch)
	if !known || len(taken) != indexBatch {
		t.Fatalf("%d segments, known %v", len(taken), known)
	}
	for range indexBatch {
		push()
	}
	for i, s := range taken {
		if s.Journal != oldJournal || s.Slot != topic.Slot(i) {
			t.Fatalf("slot %d became slot %d of journal %s", i, s.Slot, s.Journal)
		}
	}
}
