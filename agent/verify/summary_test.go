package verify

import (
	"testing"

	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/sequence"
	"github.com/odradek/odradek/topic"
)

// summarized is a bucket whose first journal has 64 slots of one idempotent batch each; change may lie in the summary of
// the last one.
func summarized(t *testing.T, change func(*segment.Footer)) *forge {
	t.Helper()
	f := newForge(t)
	f.begin()
	var recent []segment.SlotExtents
	for s := range topic.Slot(segment.SummaryEvery) {
		run := runOf(o0, 0, batch(topic.Offset(s), 1, 0, producer(int32(s))))
		footer := segment.Footer{Producers: deltas([]segment.Run{run})}
		if s == segment.SummaryEvery-1 {
			footer.Summary = &segment.Summary{
				Ends:   []segment.PartitionEnd{{Partition: o0, Next: segment.SummaryEvery}, {Partition: o1}},
				Recent: recent,
			}
			if change != nil {
				change(&footer)
			}
		}
		built := f.slotWith(first, s, footer, run)
		recent = append(recent, built.Repeated())
	}
	return f
}

func TestSummary_TellsTheTruth(t *testing.T) {
	f := summarized(t, nil)
	f.clean()
	f.slot(first, 64, runOf(o0, 0, batch(64, 1, 0, producer(64))))
	f.clean()
	last := key(first, segment.SummaryEvery-1)
	for name, c := range map[string]struct {
		lie  func(*segment.Footer)
		word string
	}{
		"an end too low":       {func(f *segment.Footer) { f.Summary.Ends[0].Next = 63 }, "ends at 63 under epoch 0, its extents end at 64"},
		"an end out of air":    {func(f *segment.Footer) { f.Summary.Ends[1].Next = 1 }, "orders/1 ends at 1 under epoch 0, its extents end at 0"},
		"a partition left out": {func(f *segment.Footer) { f.Summary.Ends = f.Summary.Ends[1:] }, "no end of orders/0"},
		"an epoch to come":     {func(f *segment.Footer) { f.Summary.Ends[0].Epoch = 1 }, "has no epoch 1"},
		"a topic out of air":   {func(f *segment.Footer) { f.Summary.Ends[1].Partition.Topic = topic.ID{9} }, "is unknown"},
		"a slot left out":      {func(f *segment.Footer) { f.Summary.Recent = f.Summary.Recent[1:] }, "does not repeat slot 0"},
		"a slot too many": {func(f *segment.Footer) {
			f.Summary.Recent[62].Slot = 64
		}, "does not repeat slot 62"},
		"other extents": {func(f *segment.Footer) {
			f.Summary.Recent[7].Extents = []segment.Extent{f.Summary.Recent[7].Extents[0]}
			f.Summary.Recent[7].Extents[0].Length++
		}, "other extents of slot 7"},
		"no extents":      {func(f *segment.Footer) { f.Summary.Recent[7] = segment.SlotExtents{Slot: 7} }, "element 0 is missing"},
		"no producers":    {func(f *segment.Footer) { f.Summary.Recent[7].Producers = nil }, "other producers of slot 7"},
		"other log start": {func(f *segment.Footer) { f.Summary.Recent[7].LogStarts = []segment.LogStart{{Partition: o0, Start: 3}} }, "other log starts of slot 7"},
		"other producers": {func(f *segment.Footer) {
			d := f.Summary.Recent[7].Producers[0]
			d.FirstSequence = 99
			f.Summary.Recent[7].Producers = []sequence.Delta{d}
		}, "FirstSequence:99"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, fast := range []bool{false, true} {
				r := summarized(t, c.lie).verify(Options{Fast: fast})
				if name == "a slot too many" {
					if len(r.Findings) != 2 {
						t.Errorf("got %v", r.Findings)
					}
					r.Findings = r.Findings[:1]
				}
				wantFinding(t, r, last, c.word)
			}
		})
	}
}

func TestSummary_MayBeLeftOutButNotGivenElsewhere(t *testing.T) {
	for _, lie := range []func(*segment.Footer){
		func(f *segment.Footer) { f.Summary.Recent = nil },
		func(f *segment.Footer) { f.Summary = nil },
	} {
		f := summarized(t, lie)
		f.clean()
		if r := f.verify(Options{}); len(r.Notes) != 1 {
			t.Errorf("notes %v", r.Notes)
		}
	}
	f := whole(t)
	f.slotWith(second, 2, segment.Footer{Summary: &segment.Summary{}})
	wantFinding(t, f.verify(Options{}), key(second, 2), "only every 64th")
}

// The partitions of a later epoch end where their epoch began until something is written.
func TestSummary_OfATakeover(t *testing.T) {
	f := newForge(t)
	f.begin()
	f.fill()
	f.seal(first, 3)
	f.control(open(second, 1, sealed(3, 30, 5)))
	var recent []segment.SlotExtents
	for s := range topic.Slot(63) {
		recent = append(recent, segment.SlotExtents{Slot: s})
		f.slot(second, s)
	}
	ends := []segment.PartitionEnd{{Partition: o0, Epoch: 1, Next: 30}, {Partition: o1, Epoch: 1, Next: 5}}
	f.slotWith(second, 63, segment.Footer{Summary: &segment.Summary{Ends: ends, Recent: recent}})
	f.clean()

	third := topic.JournalID{0xc3} // and so they do once a third journal has them
	f.seal(second, 64)
	f.control(open(third, 1, control.JournalSealed{Journal: second, SealSlot: 64, Parts: []control.Reassigned{
		{Partition: o0, OldEpoch: 1, ToJournal: third, Base: 30}, {Partition: o1, OldEpoch: 1, ToJournal: third, Base: 5},
	}}))
	f.clean()
	f.slot(third, 0, runOf(o0, 2, batch(30, 1, 2, nil)))
	f.clean()
}
