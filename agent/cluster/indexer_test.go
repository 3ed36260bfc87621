package cluster

import (
	"context"
	"errors"
	"testing"

	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/metadata/embedded"
	"github.com/odradek/odradek/objectstore/memory"
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

// stepwise is a store whose index takes one segment at a time, and wants another journal's before the next.
type stepwise struct {
	metadata.Store
	applied topic.Slot
	next    topic.Slot // of the journal, taken last and not to be taken again
}

func (s *stepwise) Applied(context.Context, metadata.Pin) (topic.Slot, error) { return s.applied, nil }

func (s *stepwise) Index(_ context.Context, _ metadata.Pin, _ topic.Slot, segments []metadata.Segment) ([]metadata.Outcome, error) {
	if segments[0].Slot != s.next {
		return []metadata.Outcome{metadata.Behind}, nil
	}
	return []metadata.Outcome{metadata.Indexed, metadata.Behind}, nil
}

// Partitions that moved to and fro let the slots of two journals wait for each other in turn. Each step is work done, of
// which those who watch the build of an era are told: else they think that its builder stands still (R2).
func TestIndexAll_TellsOfStepsThatEndBehindAnotherJournal(t *testing.T) {
	store := memory.New()
	o := boot(t, store, embedded.Open())
	ps := o.topicOf(t, "t", 1)
	for range 3 {
		o.write(t, store, ps...)
	}
	o.meta = &stepwise{Store: o.meta, applied: o.State().Next() - 1}
	told := 0
	worked := func() error { told++; return nil }
	next, err := o.indexAll(t.Context(), metadata.Pin{}, o.Journal(), 0, 3, worked)
	if next != 1 || !errors.Is(err, errBehind) || told != 1 {
		t.Errorf("indexed up to %d, %v, told %d times; want 1, errBehind, once", next, err, told)
	}
	if next, err = o.indexAll(t.Context(), metadata.Pin{}, o.Journal(), 1, 3, worked); next != 1 || !errors.Is(err, errBehind) || told != 1 {
		t.Errorf("then up to %d, %v, told %d times; want nothing new", next, err, told)
	}
}
