package group

import (
	"container/heap"
	"time"
)

// timers holds what a machine armed, the next to run out on top. Not for concurrent use.
type timers struct {
	order timerHeap
	byKey map[Timer]*armed
}

type armed struct {
	timer Timer
	at    time.Time
	place int // in the heap
}

func newTimers() *timers { return &timers{byKey: map[Timer]*armed{}} }

// change arms, arms again or cancels a timer.
func (t *timers) change(now time.Time, c TimerChange) {
	a := t.byKey[c.Timer]
	switch {
	case c.Cancel && a != nil:
		heap.Remove(&t.order, a.place)
		delete(t.byKey, c.Timer)
	case c.Cancel:
	case a != nil:
		a.at = now.Add(c.After)
		heap.Fix(&t.order, a.place)
	default:
		a = &armed{timer: c.Timer, at: now.Add(c.After)}
		t.byKey[c.Timer] = a
		heap.Push(&t.order, a)
	}
}

// next tells when the next timer runs out; false when none is armed.
func (t *timers) next() (time.Time, bool) {
	if len(t.order) == 0 {
		return time.Time{}, false
	}
	return t.order[0].at, true
}

// due takes out a timer that has run out.
func (t *timers) due(now time.Time) (Timer, bool) {
	if at, ok := t.next(); !ok || at.After(now) {
		return Timer{}, false
	}
	a := heap.Pop(&t.order).(*armed)
	delete(t.byKey, a.timer)
	return a.timer, true
}

type timerHeap []*armed

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}
func (h *timerHeap) Push(x any) {
	a := x.(*armed)
	a.place = len(*h)
	*h = append(*h, a)
}
func (h *timerHeap) Pop() any {
	last := len(*h) - 1
	a := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return a
}
