package compaction

import (
	"cmp"
	"iter"
	"maps"
	"slices"

	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/index"
	"github.com/odradek/odradek/topic"
)

const (
	levelSlots = 1 // of runs that were made from slots
	levelRuns  = 2 // of runs that were made from runs; they are at rest

	mostParts = 4000 // partitions that one job takes; one slot has at most half as many
	mostSlots = 4096 // that one job reads
)

// source is what the slots hold of one partition that is in no run yet, and belongs to the newest verified checkpoint (G2).
type source struct {
	partition topic.Partition
	start     topic.Offset       // its log start there
	held      control.Compaction // what is in runs now
	extents   []index.Entry      // from held.End or the log start on, without a gap; those below the log start are left out
}

// goal gives what swaps [from, to) of a partition: a part of a MANIFEST, but for the run that is made.
type goal struct {
	partition topic.Partition
	from, to  topic.Offset
	replaces  []topic.Object
}

// part gives the MANIFEST's part, once the run is made; nil: nothing is left.
func (g goal) part(run *topic.Run) control.ManifestPart {
	return control.ManifestPart{Partition: g.partition, From: g.from, To: g.to, Replaces: g.replaces, Run: run}
}

// reach begins a goal that takes what the slots have up to an offset. Where the log start passed all that is in runs, the
// runs go with it: none may be left below a gap.
func (s source) reach(to topic.Offset) goal {
	g := goal{partition: s.partition, from: s.held.End, to: to}
	if s.start > s.held.End && len(s.held.Runs) > 0 {
		g.from, g.replaces = s.held.Runs[0].Base, objectsOf(s.held.Runs)
	}
	return g
}

func objectsOf(runs []topic.Run) []topic.Object {
	out := make([]topic.Object, len(runs))
	for i, r := range runs {
		out[i] = r.Object
	}
	return out
}

// slotJob makes one object of extents that lie in slots.
type slotJob struct {
	parts []slotPart // by topic id and index
	bytes int64      // stored, that are read
	slots int
}

type slotPart struct {
	goal
	extents []index.Entry // one behind the other up to goal.to, at least one
}

// place is where an extent is in the sources.
type place struct{ source, extent int }

// planSlots takes extents of whole slots, those of each journal in slot order and those of each partition in offset order,
// until they have limit bytes: at least one slot if there is one. Slots are finished from the front, so that TRIM follows.
func planSlots(sources []source, limit int64) slotJob {
	in := make(map[topic.JournalID]map[topic.Slot][]place)
	for i, s := range sources {
		for k, e := range s.extents {
			if in[e.Journal] == nil {
				in[e.Journal] = make(map[topic.Slot][]place)
			}
			in[e.Journal][e.Slot] = append(in[e.Journal][e.Slot], place{i, k})
		}
	}
	var job slotJob
	taken := make([]int, len(sources)) // extents of each
	parts := 0
	full := false
	take := func(extents []place) bool {
		size, more := int64(0), 0
		for _, at := range extents {
			if at.extent != taken[at.source] {
				return false // what is before it is in another journal's slot
			}
			if at.extent == 0 {
				more++
			}
			size += int64(sources[at.source].extents[at.extent].Length)
		}
		if job.slots > 0 && (job.bytes+size > limit || parts+more > mostParts || job.slots >= mostSlots) {
			full = true
			return false
		}
		for _, at := range extents {
			taken[at.source]++
		}
		job.bytes, job.slots, parts = job.bytes+size, job.slots+1, parts+more
		return true
	}
	journals := slices.SortedFunc(maps.Keys(in), compareJournals)
	waiting := make(map[topic.JournalID][]topic.Slot)
	for _, j := range journals {
		waiting[j] = slices.Sorted(maps.Keys(in[j]))
	}
	for moved := true; moved && !full; {
		moved = false
		for _, j := range journals {
			for len(waiting[j]) > 0 && take(in[j][waiting[j][0]]) {
				waiting[j] = waiting[j][1:]
				moved = true
			}
		}
	}
	for i, s := range sources {
		if n := taken[i]; n > 0 {
			job.parts = append(job.parts, slotPart{s.reach(s.extents[n-1].Next), s.extents[:n]})
		}
	}
	slices.SortFunc(job.parts, func(a, b slotPart) int { return comparePartitions(a.partition, b.partition) })
	return job
}

// held is what one partition has in runs, and its log start in the newest verified checkpoint.
type held struct {
	partition topic.Partition
	start     topic.Offset
	runs      []topic.Run
}

// planDrops gives what takes the runs away that lie wholly below the log start (G2): they are the first ones of their
// partitions.
func planDrops(all []held) []goal {
	var out []goal
	for _, h := range all {
		n := 0
		for n < len(h.runs) && h.runs[n].Next <= h.start {
			n++
		}
		if n == 0 || len(out) == mostParts {
			continue
		}
		gone := h.runs[:n]
		out = append(out, goal{h.partition, gone[0].Base, gone[n-1].Next, objectsOf(gone)})
	}
	slices.SortFunc(out, func(a, b goal) int { return comparePartitions(a.partition, b.partition) })
	return out
}

// runJob makes one object of runs.
type runJob struct {
	parts []runPart // by topic id and index
	bytes int64     // stored, that are read
	level uint8     // of what is made
}

type runPart struct {
	goal
	start topic.Offset // extents wholly below are left out; 0 where older runs stay
	runs  []topic.Run  // neighbours
}

// limits say how much of what is worth a job.
type limits struct {
	object  int64 // stored bytes that an object of level 2 is made of at most
	rest    int64 // a run of level 1 of so many is at rest
	gather  int64 // bytes of level 1 from which on they are merged
	objects int   // or objects; no more are merged together
	least   int   // or objects that waited for long
	waste   int64 // bytes that an object must give back to be written anew
}

// resting says whether a run stays where it is.
func (l limits) resting(r topic.Run) bool { return r.Level >= levelRuns || int64(r.Length) >= l.rest }

// planRuns merges the runs of level 1 of a group of partitions, once enough of them have gathered: the oldest objects, each
// job a range of the partitions, so that all that was gathered of a partition becomes one run, or few. Runs are neighbours.
// Those of older objects come first in every partition, as each was planned after the one before it was swapped in. all is
// the group's, by topic id and index; waited says whether the oldest objects of level 1 have been there for long.
func planRuns(all []held, waited func(topic.Object) bool, l limits) []runJob {
	sizes := make(map[topic.Object]int64)
	total := int64(0)
	for _, h := range all {
		for _, r := range h.runs {
			if !l.resting(r) {
				sizes[r.Object] += r.Size()
				total += r.Size()
			}
		}
	}
	oldest := slices.SortedFunc(maps.Keys(sizes), topic.Object.Compare)
	if len(oldest) == 0 || len(oldest) < l.objects && total < l.gather && (len(oldest) < l.least || !waited(oldest[0])) {
		return nil
	}
	chosen := make(map[topic.Object]bool)
	for _, o := range oldest[:min(len(oldest), max(l.objects, 1))] {
		chosen[o] = true
	}
	var taken []neighbours
	total = 0
	for _, h := range all {
		first := slices.IndexFunc(h.runs, func(r topic.Run) bool { return !l.resting(r) && chosen[r.Object] })
		if first < 0 {
			continue
		}
		n := neighbours{held: h, first: first, last: first}
		for n.last < len(h.runs) && !l.resting(h.runs[n.last]) && chosen[h.runs[n.last].Object] {
			n.size += h.runs[n.last].Size()
			n.last++
		}
		taken, total = append(taken, n), total+n.size
	}
	return ranges(taken, total, l.object)
}

// neighbours are runs [first, last) of a partition.
type neighbours struct {
	held
	first, last int
	size        int64
}

// ranges cuts what is merged into jobs of much the same size, at most most bytes unless one run has more. A partition is
// in several only if it has more.
func ranges(all []neighbours, total, most int64) []runJob {
	if total == 0 {
		return nil
	}
	out := []runJob{{level: levelRuns}}
	goal := total / ((total + most - 1) / most)
	next := func() *runJob {
		if last := &out[len(out)-1]; len(last.parts) == 0 {
			return last
		}
		out = append(out, runJob{level: levelRuns})
		return &out[len(out)-1]
	}
	for _, n := range all {
		job := &out[len(out)-1]
		if job.bytes >= goal || job.bytes+n.size > most || len(job.parts) == mostParts {
			job = next()
		}
		first, size := n.first, int64(0)
		for i := n.first; i < n.last; i++ {
			if more := n.runs[i].Size(); size+more > most && i > first {
				job.add(n.held, first, i)
				job, first, size = next(), i, 0
			}
			size += n.runs[i].Size()
		}
		job.add(n.held, first, n.last)
	}
	return out
}

// planRewrite writes the living runs of one object anew, if half of its bytes or more are of runs that are gone: the one
// that gives most back. Objects that a merge takes anyway are left to it. all is of all partitions, since an object may hold
// runs of several groups; it is the group's of the first of them, by mine.
func planRewrite(all []held, objects iter.Seq2[topic.Object, control.ObjectInfo], mine func(topic.Partition) bool, l limits) (runJob, bool) {
	first := make(map[topic.Object]topic.Partition)
	moving := make(map[topic.Object]bool)
	for _, h := range all {
		for _, r := range h.runs {
			if _, ok := first[r.Object]; !ok {
				first[r.Object] = h.partition
			}
			if !l.resting(r) {
				moving[r.Object] = true
			}
		}
	}
	var worst topic.Object
	most := l.waste - 1
	for o, info := range objects {
		if waste := info.Size - info.Live; waste >= info.Live && waste > most && !moving[o] && mine(first[o]) {
			worst, most = o, waste
		}
	}
	job := runJob{level: levelRuns}
	if worst.IsZero() {
		return job, false
	}
	for _, h := range all {
		if i := slices.IndexFunc(h.runs, func(r topic.Run) bool { return r.Object == worst }); i >= 0 {
			job.add(h, i, i+1)
		}
	}
	return job, len(job.parts) > 0
}

// add takes the runs [first, last) of a partition, if the job may have another part.
func (j *runJob) add(h held, first, last int) {
	if len(j.parts) == mostParts {
		return
	}
	runs := h.runs[first:last]
	p := runPart{goal: goal{h.partition, runs[0].Base, runs[len(runs)-1].Next, objectsOf(runs)}, runs: runs}
	if first == 0 {
		p.start = h.start
	}
	for _, r := range runs {
		j.bytes += r.Size()
	}
	j.parts = append(j.parts, p)
}

// planTrims gives up to where the slots of journals are not needed any more: below the first slot that holds an extent of
// which something lives on nowhere else, and within what a checkpoint holds. TRIM asks for the second newest verified one
// (G2).
func planTrims(s *control.State, within control.CheckpointInfo, needed map[topic.JournalID]topic.Slot) []control.Trim {
	var out []control.Trim
	for j := range s.Journals() {
		to := within.Next(j.ID)
		if j.Sealed {
			to = min(to, j.SealSlot)
		}
		if first, ok := needed[j.ID]; ok {
			to = min(to, first)
		}
		if to > j.Trim {
			out = append(out, control.Trim{Journal: j.ID, Slot: to})
		}
	}
	return out
}

// secondVerified gives the second newest verified checkpoint: one that holds nothing if there is none.
func secondVerified(s *control.State) (control.CheckpointInfo, bool) {
	n := 0
	for _, c := range slices.Backward(s.Checkpoints()) {
		if c.Verified {
			if n++; n == 2 {
				return c, true
			}
		}
	}
	return control.CheckpointInfo{}, false
}

func compareJournals(a, b topic.JournalID) int { return cmp.Compare(string(a[:]), string(b[:])) }
