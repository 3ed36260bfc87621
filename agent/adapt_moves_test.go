package agent

import (
	"errors"
	"slices"
	"testing"

	"github.com/odradek/odradek/agent/api"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/topic"
)

// twoAgents is a control state with the journals of node 1 in zone a and of node 2, b, in zone b, and a topic of 3
// partitions that node 1 owns.
func twoAgents(t *testing.T) (s *control.State, b topic.JournalID, id topic.ID) {
	t.Helper()
	a := topic.JournalID{1}
	b, id = topic.JournalID{2}, topic.ID{1}
	s = control.New()
	s = applied(t, s, control.Genesis{ClusterID: "c", Format: control.FormatLevel})
	for i, j := range []topic.JournalID{a, b} {
		s = applied(t, s, control.JournalOpen{ID: j, K: 4, Format: control.FormatLevel, Zone: string(rune('a' + i))})
	}
	return applied(t, s, control.TopicCreate{ID: id, Name: "t", Journals: []topic.JournalID{a, a, a}}), b, id
}

func applied(t *testing.T, s *control.State, records ...control.Record) *control.State {
	t.Helper()
	after, outcomes, err := s.Apply(s.Next(), records)
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range outcomes {
		if o.Void {
			t.Fatalf("%s: %s", control.Describe(records[i]), o.Why)
		}
	}
	return after
}

func TestAsk_OneRecordForEachMoveThatCanBe(t *testing.T) {
	s, b, id := twoAgents(t)
	got := ask(s, []api.Move{
		{Partition: topic.Partition{Topic: id}, To: 2},
		{Partition: topic.Partition{Topic: id, Index: 1}, To: 1},
		{Partition: topic.Partition{Topic: id, Index: 2}, To: 3},
		{Partition: topic.Partition{Topic: id, Index: 3}, To: 2},
	})
	want := []error{nil, nil, api.ErrNoTarget, api.ErrUnknownPartition}
	for i, err := range got.errs {
		if !errors.Is(err, want[i]) {
			t.Errorf("move %d: %v, want %v", i, err, want[i])
		}
	}
	if len(got.records) != 1 || got.records[0] != (control.Move{Partition: topic.Partition{Topic: id}, ToJournal: b}) || !slices.Equal(got.at, []int{0}) {
		t.Errorf("records %v at %v", got.records, got.at)
	}
	there := applied(t, s, control.Assign{Partition: topic.Partition{Topic: id}, ToJournal: b})
	if got := ask(there, []api.Move{{Partition: topic.Partition{Topic: id}, To: 2}}); got.errs[0] != nil || len(got.records) != 0 {
		t.Errorf("it has moved there meanwhile: %v, %v", got.errs[0], got.records)
	}
	draining := applied(t, s, control.Drain{Journal: b, On: true})
	if got := ask(draining, []api.Move{{Partition: topic.Partition{Topic: id}, To: 2}}); !errors.Is(got.errs[0], api.ErrNoTarget) {
		t.Errorf("to an agent that is emptied: %v", got.errs[0])
	}
}

func TestMoves_AreUnderWayUntilTheyAreDone(t *testing.T) {
	s, b, id := twoAgents(t)
	var m moves
	apply := func(records ...control.Record) {
		t.Helper()
		after := applied(t, s, records...)
		m.applied(after, records, make([]control.Outcome, len(records)))
		s = after
	}
	move := func(index int32) control.Move {
		return control.Move{Partition: topic.Partition{Topic: id, Index: index}, ToJournal: b}
	}
	apply(move(2), move(0))
	if got := m.underWay(); len(got) != 2 || got[0] != move(0) || got[1] != move(2) {
		t.Fatalf("under way: %v", got)
	}
	m.applied(s, []control.Record{move(1)}, []control.Outcome{{Void: true}})
	apply(control.Assign{Partition: topic.Partition{Topic: id, Index: 2}, ToJournal: b, Base: 5})
	if got := m.underWay(); len(got) != 1 || got[0] != move(0) {
		t.Errorf("after one was done and one void: %v", got)
	}
	apply(control.TopicDelete{ID: id})
	if got := m.underWay(); len(got) != 0 {
		t.Errorf("after the topic was deleted: %v", got)
	}
}

func TestReaders_OneForEachOtherZone(t *testing.T) {
	s, _, id := twoAgents(t)
	s = applied(t, s, control.JournalOpen{ID: topic.JournalID{3}, K: 4, Format: control.FormatLevel, Zone: "b"},
		control.JournalOpen{ID: topic.JournalID{4}, K: 4, Format: control.FormatLevel},
		control.JournalOpen{ID: topic.JournalID{5}, K: 4, Format: control.FormatLevel, Zone: "a"})
	z := zonesOf(s.OpenJournals())
	p := picture{s, func() zones { return z }}
	chosen := map[int32]int{}
	for i := range int32(3) {
		part := topic.Partition{Topic: id, Index: i}
		readers := p.Readers(part)
		if len(readers) != 1 || readers[0] != 2 && readers[0] != 3 {
			t.Fatalf("readers %v, want one of zone b", readers)
		}
		chosen[readers[0]]++
		if n, ok := z.nearest(part, "b"); !ok || n != readers[0] {
			t.Errorf("clients of zone b are sent to %d, readers are %v", n, readers)
		}
	}
	if _, ok := z.nearest(topic.Partition{Topic: id}, ""); ok {
		t.Error("agents without zone are none")
	}
	if got := p.Readers(topic.Partition{Topic: id, Index: 9}); len(got) != 0 {
		t.Errorf("no such partition: %v", got)
	}
	gone := picture{s, func() zones { return zonesOf(nil) }}
	if got := gone.Readers(topic.Partition{Topic: id}); len(got) != 0 {
		t.Errorf("nobody else lives: %v", got)
	}
}
