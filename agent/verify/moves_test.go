package verify

import (
	"testing"

	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/slotlog"
)

// A planned move rests on the RELEASE that its ASSIGN names: the same partition, epoch and end, in that slot (M1).
func TestMoves_AnAssignNamesARelease(t *testing.T) {
	good := segment.Release{Partition: o0, End: 10}
	build := func(said segment.Release, assign control.Assign) *forge {
		f := newForge(t)
		f.begin()
		f.control(open(second, 2))
		f.slot(first, 0, runOf(o0, 0, batch(0, 10, 0, nil)))
		f.slotWith(first, 1, segment.Footer{Releases: []segment.Release{said}})
		f.control(assign)
		return f
	}
	assign := control.Assign{Partition: o0, ToJournal: second, Base: 10, Released: 1}
	build(good, assign).clean()
	other := assign
	other.Released = 0
	wantFinding(t, build(good, other).verify(Options{}), slotlog.ControlKey(5), "orders/0 moves at epoch 0 from 10 on", "holds no such RELEASE")
	f := build(segment.Release{Partition: o1}, assign)
	wantFinding(t, f.verify(Options{Fast: true}), slotlog.ControlKey(5), key(first, 1)+" holds no such RELEASE")
	f.control(control.TopicDelete{ID: orders})
	f.clean()
}

// A partition without records moves, too, and so does one whose first move lost against a seal of its target.
func TestMoves_OfAnEmptyPartitionAndAgain(t *testing.T) {
	f := newForge(t)
	f.begin()
	f.control(open(second, 2))
	f.slotWith(first, 0, segment.Footer{Releases: []segment.Release{{Partition: o1}}})
	f.seal(second, 0)
	f.control(control.JournalSealed{Journal: second})
	f.control(control.Assign{Partition: o1, ToJournal: second})
	f.control(control.Assign{Partition: o1, ToJournal: first})
	f.slot(first, 1, runOf(o1, 1, batch(0, 3, 1, nil)))
	f.clean()
	if r := f.verify(Options{}); len(r.Control.Void) != 1 || r.Topics[0].Partitions[1].End != 3 {
		t.Errorf("void %v, partitions %+v", r.Control.Void, r.Topics[0].Partitions)
	}
}

// A journal that was opened first is read first: where it says a log start, the records below lie in one that comes later.
func TestMoves_ALogStartOfRecordsInAnotherJournal(t *testing.T) {
	f := newForge(t)
	f.begin()
	f.control(open(second, 2))
	f.slotWith(first, 0, segment.Footer{Releases: []segment.Release{{Partition: o1}}})
	f.control(control.Assign{Partition: o1, ToJournal: second})
	f.slot(second, 0, runOf(o1, 1, batch(0, 5, 1, nil)))
	f.seal(second, 1)
	f.holds(control.JournalSealed{Journal: second, SealSlot: 1,
		Parts: []control.Reassigned{{Partition: o1, OldEpoch: 1, ToJournal: first, Base: 5}}})
	f.slotWith(first, 1, segment.Footer{LogStarts: []segment.LogStart{{Partition: o1, Start: 5}}})
	f.clean()
	if p := f.verify(Options{}).Topics[0].Partitions[1]; p.Start != 5 || p.End != 5 {
		t.Errorf("partition %+v", p)
	}
	f.slotWith(first, 2, segment.Footer{LogStarts: []segment.LogStart{{Partition: o1, Start: 6}}})
	wantFinding(t, f.verify(Options{}), key(first, 2), "log start 6 behind the end")
}
