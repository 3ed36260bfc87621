package control

import (
	"iter"
	"slices"

	"github.com/odradek/odradek/topic"
)

// Compaction is what compaction has made of one partition: from the log start to End the log is in Runs, from End on
// in the slots' extents. The zero Compaction is that of a partition that never was compacted.
type Compaction struct {
	End   topic.Offset // C(p): where the last run ends, or ended; never goes back
	Start topic.Offset // the log start is at least here; never goes back, never above End
	Runs  []topic.Run  // ascending, the last one ends at End; they meet but where Start is above the gap. Not to be changed
}

// ObjectInfo is what control state knows of a compacted object that has current runs.
type ObjectInfo struct {
	Size int64 // of the object
	Runs int   // current ones in it, at least 1
	Live int64 // bytes of the object that are those runs'
}

// Compaction tells where a partition's runs are; zero if it never was compacted or is not there.
func (s *State) Compaction(p topic.Partition) Compaction {
	c, _ := s.compactions.get(p)
	return c
}

// Compactions walks the partitions that ever were compacted and are still there, by topic id and index.
func (s *State) Compactions() iter.Seq2[topic.Partition, Compaction] { return s.compactions.all() }

// Object finds a compacted object that has current runs.
func (s *State) Object(o topic.Object) (ObjectInfo, bool) { return s.objects.get(o) }

// Objects walks the compacted objects that have current runs, by the number they were planned at, then by id.
func (s *State) Objects() iter.Seq2[topic.Object, ObjectInfo] { return s.objects.all() }

// Swept is the number below which no compacted object can be swapped in any more (G5); 0 before the first SWEEP.
func (s *State) Swept() topic.Slot { return s.swept }

// overlapping gives the place of the runs that have something in [from, to).
func (c Compaction) overlapping(from, to topic.Offset) (first, last int) {
	first, _ = slices.BinarySearchFunc(c.Runs, from, func(r topic.Run, from topic.Offset) int {
		if r.Next <= from {
			return -1
		}
		return 1
	})
	for last = first; last < len(c.Runs) && c.Runs[last].Base < to; last++ {
	}
	return first, last
}

// holdRun and dropRun keep the books of objects. An object without runs is forgotten.
func (s *State) holdRun(r topic.Run, size int64) {
	info, _ := s.objects.get(r.Object)
	s.objects = s.objects.put(r.Object, ObjectInfo{Size: max(info.Size, size), Runs: info.Runs + 1, Live: info.Live + r.Size()})
}

func (s *State) dropRun(r topic.Run) {
	info, _ := s.objects.get(r.Object)
	if info.Runs == 1 {
		s.objects = s.objects.drop(r.Object)
		return
	}
	s.objects = s.objects.put(r.Object, ObjectInfo{Size: info.Size, Runs: info.Runs - 1, Live: info.Live - r.Size()})
}

// dropCompactions forgets the runs of a topic that is deleted.
func (s *State) dropCompactions(t *Topic) {
	for i := range t.Partitions() {
		p := topic.Partition{Topic: t.ID, Index: i}
		c, ok := s.compactions.get(p)
		if !ok {
			continue
		}
		for _, r := range c.Runs {
			s.dropRun(r)
		}
		s.compactions = s.compactions.drop(p)
	}
}
