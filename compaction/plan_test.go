package compaction

import (
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/index"
	"github.com/odradek/odradek/topic"
)

var (
	journalA = topic.JournalID{1}
	journalB = topic.JournalID{2}
)

func partition(i int32) topic.Partition { return topic.Partition{Topic: topic.ID{1}, Index: i} }

// history deals slots of two journals to partitions that move between them: sources as a survey would give them.
func history(rng *rand.Rand, partitions, slots int) []source {
	out := make([]source, partitions)
	owner := make([]topic.JournalID, partitions)
	for i := range out {
		out[i].partition = partition(int32(i))
		out[i].held.End = topic.Offset(rng.IntN(100))
		owner[i] = journalA
	}
	ends := make([]topic.Offset, partitions)
	for i := range ends {
		ends[i] = out[i].held.End
	}
	next := map[topic.JournalID]topic.Slot{}
	for range slots {
		j := []topic.JournalID{journalA, journalB}[rng.IntN(2)]
		slot, position := next[j], uint32(8)
		next[j]++
		for i := range out {
			if rng.IntN(8) == 0 {
				owner[i] = []topic.JournalID{journalA, journalB}[rng.IntN(2)]
			}
			if owner[i] != j || rng.IntN(3) == 0 {
				continue
			}
			e := index.Entry{Journal: j, Slot: slot, Base: ends[i], Next: ends[i] + 1 + topic.Offset(rng.IntN(5)), Position: position, Length: uint32(10 + rng.IntN(90))}
			out[i].extents = append(out[i].extents, e)
			ends[i], position = e.Next, position+e.Length
		}
	}
	return out
}

func TestPlanSlots_WholeSlotsAndNoGaps(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 2))
		sources := history(rng, 1+rng.IntN(6), 1+rng.IntN(60))
		sources = slices.DeleteFunc(sources, func(s source) bool { return len(s.extents) == 0 })
		if len(sources) == 0 {
			continue
		}
		limit := int64(1 + rng.IntN(3000))
		job := planSlots(sources, limit)
		taken := make(map[slotExtent]bool)
		size := int64(0)
		for i, p := range job.parts {
			if i > 0 && comparePartitions(job.parts[i-1].partition, p.partition) >= 0 {
				t.Fatalf("seed %d: %s out of order", seed, p.partition)
			}
			at := p.from
			for _, e := range p.extents {
				if e.Base != at {
					t.Fatalf("seed %d: %s: extent at %d, want %d", seed, p.partition, e.Base, at)
				}
				at = e.Next
				taken[where(e)] = true
				size += int64(e.Length)
			}
			if at != p.to || len(p.extents) == 0 {
				t.Fatalf("seed %d: %s goes to %d, extents to %d", seed, p.partition, p.to, at)
			}
		}
		slots := make(map[slotExtent][2]int) // taken, and all
		for _, s := range sources {
			for _, e := range s.extents {
				n := slots[slotExtent{journal: e.Journal, slot: e.Slot}]
				if n[1]++; taken[where(e)] {
					n[0]++
				}
				slots[slotExtent{journal: e.Journal, slot: e.Slot}] = n
			}
		}
		whole := 0
		for at, n := range slots {
			if n[0] != 0 && n[0] != n[1] {
				t.Fatalf("seed %d: %d of %d extents of slot %d are taken", seed, n[0], n[1], at.slot)
			}
			if n[0] > 0 {
				whole++
			}
		}
		if size != job.bytes || whole != job.slots || whole == 0 || size > limit && whole > 1 {
			t.Fatalf("seed %d: %d bytes of %d slots, counted %d of %d; limit %d", seed, job.bytes, job.slots, size, whole, limit)
		}
		if limit == 3000 && whole < len(slots) && size+1000 < limit {
			t.Fatalf("seed %d: stopped at %d of %d bytes", seed, size, limit)
		}
	}
}

// Everything is taken in the end, however little at a time.
func TestPlanSlots_ComesToTheEnd(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	sources := history(rng, 5, 200)
	for n := 0; ; n++ {
		var left []source
		for _, s := range sources {
			if len(s.extents) > 0 {
				left = append(left, s)
			}
		}
		if len(left) == 0 {
			return
		}
		if n > 200 {
			t.Fatal("no progress")
		}
		for _, p := range planSlots(left, 500).parts {
			i := p.partition.Index
			sources[i].extents = sources[i].extents[len(p.extents):]
			sources[i].held.End = p.to
		}
	}
}

func TestPlanSlots_WhatTheLogStartPassedGoesWithIt(t *testing.T) {
	old := topic.Run{Object: topic.Object{Planned: 1}, Base: 10, Next: 20, Level: 1}
	s := source{
		partition: partition(0), start: 33, held: control.Compaction{End: 20, Runs: []topic.Run{old}},
		extents: []index.Entry{{Journal: journalA, Slot: 7, Base: 30, Next: 40, Length: 5}},
	}
	job := planSlots([]source{s}, 100)
	if p := job.parts[0]; p.from != 10 || p.to != 40 || !slices.Equal(p.replaces, []topic.Object{old.Object}) {
		t.Errorf("[%d,%d) for %v, want [10,40) for the run below the log start", p.from, p.to, p.replaces)
	}
}

// run is a run of level 1 in the n-th object.
func run(object, base, next, length int) topic.Run {
	return topic.Run{Object: topic.Object{Planned: topic.Slot(object), ID: topic.ObjectID{byte(object)}}, Base: topic.Offset(base), Next: topic.Offset(next), Level: 1, Length: uint32(length)}
}

func larger(r topic.Run) topic.Run { r.Level = levelRuns; return r }

// written lists what jobs make, as partition:[from,to) of each.
func written(jobs []runJob) string {
	var out []string
	for _, job := range jobs {
		text := ""
		for i, p := range job.parts {
			if i > 0 {
				text += " "
			}
			text += fmt.Sprintf("%d:[%d,%d)", p.partition.Index, p.from, p.to)
		}
		out = append(out, text)
	}
	return strings.Join(out, " | ")
}

func TestPlanRuns(t *testing.T) {
	l := limits{object: 1000, rest: 500, gather: 2500, objects: 4, least: 3, waste: 1}
	for _, test := range []struct {
		name   string
		waited bool
		runs   [][]topic.Run // by partition
		want   string
	}{
		{"too few objects", true, [][]topic.Run{{run(1, 0, 5, 10), run(2, 5, 9, 10)}}, ""},
		{"enough objects", false, [][]topic.Run{{run(1, 0, 5, 10), run(2, 5, 9, 10), run(4, 9, 11, 10)}, {run(3, 0, 7, 10)}}, "0:[0,11) 1:[0,7)"},
		{"fewer that did not wait for long", false, [][]topic.Run{{run(1, 0, 5, 10), run(2, 5, 9, 10), run(3, 9, 12, 10)}}, ""},
		{"fewer that waited", true, [][]topic.Run{{run(1, 0, 5, 10), run(2, 5, 9, 10), run(3, 9, 12, 10)}}, "0:[0,12)"},
		{"enough bytes, by ranges of partitions", false, [][]topic.Run{
			{run(1, 0, 5, 450), run(2, 5, 9, 400)}, {run(1, 0, 7, 450), run(2, 7, 8, 400)}, {run(2, 0, 7, 450), run(3, 7, 9, 400)}, {run(3, 0, 1, 10)},
		}, "0:[0,9) | 1:[0,8) | 2:[0,9) 3:[0,1)"},
		{"more of one partition than an object takes", false, [][]topic.Run{
			{run(1, 0, 5, 490), run(2, 5, 9, 490), run(3, 9, 12, 490), run(4, 12, 14, 490)}, {run(1, 0, 7, 490)}, {run(4, 0, 3, 400)},
		}, "0:[0,9) | 0:[9,14) | 1:[0,7) 2:[0,3)"},
		{"level 2 rests", true, [][]topic.Run{{larger(run(1, 0, 5, 10)), run(2, 5, 9, 10), run(3, 9, 12, 10), run(4, 12, 14, 10)}}, "0:[5,14)"},
		{"a large run rests, and ends what is merged at once", true, [][]topic.Run{{run(1, 0, 5, 10), run(2, 5, 9, 600), run(3, 9, 12, 10), run(4, 12, 14, 10)}}, "0:[0,5)"},
		{"oldest objects first", false, [][]topic.Run{{run(1, 0, 5, 10), run(2, 5, 9, 10), run(3, 9, 12, 10), run(4, 12, 13, 10), run(5, 13, 14, 10)}, {run(5, 0, 3, 10)}}, "0:[0,13)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var all []held
			for i, runs := range test.runs {
				all = append(all, held{partition: partition(int32(i)), runs: runs})
			}
			jobs := planRuns(all, func(o topic.Object) bool { return test.waited && o.Planned == slices.Min(planned(all, l)) }, l)
			if got := written(jobs); got != test.want {
				t.Errorf("merged %s, want %s", got, test.want)
			}
		})
	}
}

// planned gives the control numbers of the objects that may be merged.
func planned(all []held, l limits) (out []topic.Slot) {
	for _, h := range all {
		for _, r := range h.runs {
			if !l.resting(r) {
				out = append(out, r.Object.Planned)
			}
		}
	}
	return out
}

// A pass takes each run of what gathered once, in jobs of much the same size, none of which is too large.
func TestPlanRuns_RangesTakeEverythingOnce(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 7))
		l := limits{object: int64(500 + rng.IntN(3000)), rest: 400, gather: 1 << 40, objects: 2 + rng.IntN(20), least: 2}
		var all []held
		want, total := make(map[string]bool), int64(0)
		for i := range 1 + rng.IntN(40) {
			h := held{partition: partition(int32(i))}
			at := 0
			for o := range l.objects {
				if o > 0 && rng.IntN(3) == 0 {
					continue
				}
				r := run(o+1, at, at+1+rng.IntN(9), 1+rng.IntN(399))
				at = int(r.Next)
				h.runs, total = append(h.runs, r), total+r.Size()
				want[fmt.Sprint(i, r)] = true
			}
			all = append(all, h)
		}
		l.objects = len(slices.Compact(slices.Sorted(slices.Values(planned(all, l)))))
		jobs := planRuns(all, nil, l)
		at := topic.Partition{}
		for _, job := range jobs {
			size := int64(0)
			for i, p := range job.parts {
				if c := comparePartitions(at, p.partition); c > 0 || c == 0 && i > 0 {
					t.Fatalf("seed %d: %s behind %s", seed, p.partition, at)
				}
				at = p.partition
				if p.from != p.runs[0].Base || p.to != p.runs[len(p.runs)-1].Next || len(p.replaces) != len(p.runs) {
					t.Fatalf("seed %d: %+v", seed, p)
				}
				for _, r := range p.runs {
					if !want[fmt.Sprint(p.partition.Index, r)] {
						t.Fatalf("seed %d: %s of %s is taken twice", seed, r, p.partition)
					}
					delete(want, fmt.Sprint(p.partition.Index, r))
					size += r.Size()
				}
			}
			if size != job.bytes || size > l.object || size == 0 {
				t.Fatalf("seed %d: job of %d bytes, counted %d; at most %d", seed, job.bytes, size, l.object)
			}
		}
		if least := int((total + l.object - 1) / l.object); len(want) > 0 || len(jobs) > 2*least+1 {
			t.Fatalf("seed %d: %d runs are left over, %d jobs where %d might do", seed, len(want), len(jobs), least)
		}
	}
}

func TestPlanDrops(t *testing.T) {
	all := []held{
		{partition: partition(0), start: 9, runs: []topic.Run{run(1, 0, 5, 10), run(2, 5, 9, 10), run(3, 9, 12, 10)}},
		{partition: partition(1), start: 4, runs: []topic.Run{run(1, 0, 5, 10)}},
		{partition: partition(2), start: 50, runs: []topic.Run{run(1, 20, 30, 10)}},
	}
	got := planDrops(all)
	if len(got) != 2 || got[0].from != 0 || got[0].to != 9 || len(got[0].replaces) != 2 || got[1].from != 20 || got[1].to != 30 {
		t.Errorf("dropped %+v", got)
	}
}

func infos(m map[topic.Object]control.ObjectInfo) iter.Seq2[topic.Object, control.ObjectInfo] {
	return maps.All(m)
}

func TestPlanRewrite(t *testing.T) {
	l := limits{object: 1000, rest: 500, objects: 3, least: 3, waste: 100}
	all := []held{
		{partition: partition(0), runs: []topic.Run{larger(run(1, 0, 5, 10)), larger(run(2, 5, 9, 10)), run(3, 9, 12, 10)}},
		{partition: partition(1), runs: []topic.Run{larger(run(2, 3, 5, 10))}},
	}
	everyone := func(topic.Partition) bool { return true }
	of := func(n int) topic.Object { return run(n, 0, 1, 1).Object }
	objects := map[topic.Object]control.ObjectInfo{of(1): {Size: 100, Live: 10}, of(2): {Size: 300, Live: 20}, of(3): {Size: 900, Live: 10}}
	job, ok := planRewrite(all, infos(objects), everyone, l)
	if !ok || len(job.parts) != 2 || job.parts[0].from != 5 || job.parts[0].to != 9 || job.parts[1].from != 3 || job.level != levelRuns {
		t.Errorf("rewritten %+v, %t; want the second object, since the third is merged and the first gives little", job, ok)
	}
	if _, ok := planRewrite(all, infos(objects), func(p topic.Partition) bool { return p.Index > 0 }, l); ok {
		t.Error("an object of another group is written anew")
	}
	objects[of(2)] = control.ObjectInfo{Size: 300, Live: 151}
	if _, ok := planRewrite(all, infos(objects), everyone, l); ok {
		t.Error("an object is written anew that gives less than half back")
	}
}
