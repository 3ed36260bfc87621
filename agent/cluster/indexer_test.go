package cluster

import (
	"context"
	"errors"
	"slices"
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

// What waits for another journal is not sent over and over: a store on its own core was kept busy by that for a minute.
func TestIndexSegments_SendsLittleInVain(t *testing.T) {
	store := memory.New()
	o := boot(t, store, embedded.Open())
	s := &tallying{stepwise: stepwise{Store: o.meta, applied: o.State().Next() - 1}}
	o.meta = s
	segments := make([]metadata.Segment, indexBatch)
	for i := range segments {
		segments[i] = metadata.Segment{Journal: o.Journal(), Slot: topic.Slot(i)}
	}
	if n, err := o.indexSegments(t.Context(), metadata.Pin{}, segments); n != 1 || !errors.Is(err, errBehind) {
		t.Fatalf("%d indexed, %v; want one, and errBehind", n, err)
	}
	if s.sent > 3*indexFirst {
		t.Errorf("%d segments sent for one that is taken, want %d at most", s.sent, 3*indexFirst)
	}
	s.all, s.sent, s.calls = true, 0, 0
	if n, err := o.indexSegments(t.Context(), metadata.Pin{}, segments); n != indexBatch || err != nil || s.sent != indexBatch || s.calls > 6 {
		t.Errorf("%d indexed, %v, %d sent in %d calls", n, err, s.sent, s.calls)
	}
}

// tallying is a stepwise store that counts what it is sent, and may take all of it.
type tallying struct {
	stepwise
	all         bool
	sent, calls int
}

func (s *tallying) Index(ctx context.Context, pin metadata.Pin, n topic.Slot, segments []metadata.Segment) ([]metadata.Outcome, error) {
	s.calls++
	s.sent += len(segments)
	if s.all {
		return slices.Repeat([]metadata.Outcome{metadata.Indexed}, len(segments)), nil
	}
	return s.stepwise.Index(ctx, pin, n, segments)
}
