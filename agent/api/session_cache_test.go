package api

import (
	"testing"
	"time"
)

func TestSessionCache_EvictsTheIdleAndTheSmallOld(t *testing.T) {
	clock := time.Unix(0, 0)
	s := newSessionCache(2, func() time.Time { return clock })
	parts := func(n int) ([]fetchPart, []fetched) {
		p := make([]fetchPart, n)
		for i := range p {
			p[i].key.index = int32(i)
		}
		return p, make([]fetched, n)
	}
	create := func(n int) int32 {
		p, a := parts(n)
		return s.create(p, a, false)
	}
	small, large := create(1), create(10)
	if small == 0 || large == 0 || small == large {
		t.Fatalf("sessions %d and %d", small, large)
	}
	if got := create(5); got != 0 {
		t.Errorf("a third session of two: %d", got)
	}
	clock = clock.Add(sessionIdle + time.Second)
	s.touch(s.get(small), 1)
	s.touch(s.get(large), 10)
	if got := create(1); got != 0 {
		t.Errorf("an equally small one displaced another: %d", got)
	}
	bigger := create(5)
	if bigger == 0 || s.get(small) != nil || s.get(large) == nil {
		t.Errorf("session %d displaced another than the small old one", bigger)
	}
	clock = clock.Add(sessionIdle + time.Second)
	s.touch(s.get(large), 10)
	if got := create(1); got == 0 || s.get(bigger) != nil {
		t.Errorf("session %d did not displace the idle one", got)
	}
	if s.partitions != 11 {
		t.Errorf("%d partitions are counted, want 11", s.partitions)
	}
}

func TestSessionEpoch_WrapsToOne(t *testing.T) {
	if got := nextSessionEpoch(1<<31 - 1); got != 1 {
		t.Errorf("after the last comes %d", got)
	}
}
