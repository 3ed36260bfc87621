package verify

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

func key(j topic.JournalID, s topic.Slot) string { return slotlog.JournalKey(j, s) }

func TestRun_CleanBucketTellsWhatIsStored(t *testing.T) {
	f := whole(t)
	f.clean()
	r := f.verify(Options{})
	for _, p := range r.Topics[0].Partitions {
		if p.Stored == 0 || p.Raw <= p.Stored && p.Index == 0 {
			t.Errorf("partition %d: %d bytes stored, raw %d", p.Index, p.Stored, p.Raw)
		}
	}
	if r.Totals.Ratio <= 0 || r.Totals.Ratio >= 1 {
		t.Errorf("ratio %v", r.Totals.Ratio)
	}
	// What sizes come out is the segment's business.
	for i := range r.Topics[0].Partitions {
		r.Topics[0].Partitions[i].Stored, r.Topics[0].Partitions[i].Raw = 0, 0
	}
	for i := range r.Journals {
		r.Journals[i].Bytes = 0
	}
	r.Control.Bytes = 0
	r.Totals = Totals{Slots: r.Totals.Slots, Records: r.Totals.Records, Batches: r.Totals.Batches}
	for i := range r.Accounts {
		r.Accounts[i].Bytes = 0
	}
	want := Report{
		ClusterID: "cluster",
		Accounts:  []Account{{Class: ClassControl, Objects: 5}, {Class: ClassSlots, Objects: 6}, {Class: classAll, Objects: 11}},
		Control:   ControlReport{Numbers: 5, Records: 7, Format: 1, NextNodeID: 2, NextProducerID: 2000, ProducerIDsHeld: 2},
		Topics: []TopicReport{{Name: "orders", ID: orders.String(), Partitions: []PartitionReport{
			{Index: 0, Epoch: 1, Journal: second.String(), End: 40, Records: 40, Producers: 1},
			{Index: 1, Epoch: 1, Journal: second.String(), End: 6, Records: 6},
		}}},
		Journals: []JournalInfo{
			{ID: first.String(), NodeID: 1, Opened: 1, State: StateSealed, End: 3, Slots: 3, SealedBy: "replaced"},
			{ID: second.String(), NodeID: 1, Opened: 4, State: StateOpen, End: 2, Slots: 2},
		},
		Eras:   []EraReport{{1, "run", "replication"}},
		Totals: Totals{Slots: 5, Records: 46, Batches: 7},
	}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}

// I5: there is no byte in a bucket that could change unseen.
func TestRun_AFlippedByteIsFoundWhereverItIs(t *testing.T) {
	f := whole(t)
	for _, k := range []string{slotlog.ControlKey(3), key(first, 1), key(first, 3), key(second, 1)} {
		i, err := f.store.Head(t.Context(), k)
		if err != nil {
			t.Fatal(err)
		}
		for at := range i.Size {
			flip := func(b []byte) []byte { b[at] ^= 0x10; return b }
			f.edit(k, flip)
			r := f.verify(Options{})
			if r.Clean() || r.Findings[0].Object != k {
				t.Errorf("byte %d of %s flipped: %v", at, k, r.Findings)
			}
			f.edit(k, flip)
		}
	}
	f.clean()
}

func TestRun_AFlippedByteOfABatchNamesTheBatch(t *testing.T) {
	f := whole(t)
	f.edit(key(first, 1), func(b []byte) []byte { b[100] ^= 1; return b })
	r := f.verify(Options{})
	if len(r.Findings) != 2 || r.Findings[0].Object != key(first, 1) || r.Findings[1].Object != key(first, 1) {
		t.Fatalf("got %v", r.Findings)
	}
	if r := f.verify(Options{Fast: true}); !r.Clean() {
		t.Errorf("footers are whole, and nothing else was to be read: %v", r.Findings)
	}
}

func TestRun_ACutFooterIsFound(t *testing.T) {
	for _, fast := range []bool{false, true} {
		f := whole(t)
		f.edit(key(first, 1), func(b []byte) []byte { return b[:len(b)-60] })
		wantFinding(t, f.verify(Options{Fast: fast}), key(first, 1), "magic")

		f = whole(t) // bytes of the footer are gone, the trailer is as it was
		f.edit(key(first, 1), func(b []byte) []byte { return append(b[:len(b)-90], b[len(b)-80:]...) })
		if r := f.verify(Options{Fast: fast}); r.Clean() || r.Findings[0].Object != key(first, 1) {
			t.Errorf("fast %v: got %v", fast, r.Findings)
		}

		f = whole(t) // a flipped bit of the footer
		f.edit(key(first, 1), func(b []byte) []byte { b[len(b)-80] ^= 1; return b })
		if r := f.verify(Options{Fast: fast}); r.Clean() || r.Findings[len(r.Findings)-1].Object != key(first, 1) {
			t.Errorf("fast %v: got %v", fast, r.Findings)
		}
	}
}

func TestRun_AMissingSlotIsFound(t *testing.T) {
	for _, fast := range []bool{false, true} {
		opt := Options{Fast: fast}
		for s := range topic.Slot(3) {
			f := whole(t)
			f.remove(key(first, s))
			wantFinding(t, f.verify(opt), key(first, s), "missing", "below 3 count")
		}
		f := whole(t)
		f.remove(key(first, 3))
		wantFinding(t, f.verify(opt), key(first, 3), "missing", "seal")
	}
}

// Up to K slots are in flight, so a hole in an open journal is a loss only when there is something K slots above it.
func TestRun_AHoleInAnOpenJournalIsALossBelowTheWindow(t *testing.T) {
	f := newForge(t)
	f.begin()
	for s := range topic.Slot(6) {
		f.slot(first, s, runOf(o0, 0, batch(topic.Offset(s), 1, 0, nil)))
	}
	f.clean()
	f.remove(key(first, 2)) // 3, 4 and 5 may have been sent beside it
	r := f.verify(Options{})
	if !r.Clean() || len(r.Garbage) != 3 || r.Garbage[0].Key != key(first, 3) || r.Journals[0].End != 2 || r.Totals.Records != 2 {
		t.Errorf("got %+v", r)
	}
	f.slot(first, 6, runOf(o0, 0, batch(6, 1, 0, nil))) // 6 was sent when 2 counted
	wantFinding(t, f.verify(Options{}), key(first, 2), "missing", "slot 6", "4 are in flight")
}

func TestRun_WhatLiesBehindASealIsGarbage(t *testing.T) {
	f := whole(t)
	f.slot(first, 4, runOf(o0, 0, batch(30, 7, 0, nil)))
	f.slot(first, 6, runOf(o0, 0, batch(40, 7, 0, nil)))
	r := f.verify(Options{})
	if !r.Clean() || r.Totals.Garbage != 2 || r.Journals[0].Garbage != 2 || r.Garbage[1].Key != key(first, 6) || r.Totals.Records != 46 {
		t.Errorf("got %+v", r)
	}
}

func TestRun_TheSealIsWhereTheControlLogSays(t *testing.T) {
	f := newForge(t)
	f.begin()
	f.fill()
	f.seal(first, 3)
	r := f.verify(Options{})
	if !r.Clean() || len(r.Notes) != 1 || r.Journals[0].State != StateSealedOnly || r.Journals[0].End != 3 {
		t.Errorf("sealed a moment ago: got %+v", r)
	}
	f.control(open(second, 1, sealed(5, 30, 5)))
	r = f.verify(Options{})
	if len(r.Findings) != 3 || r.Findings[0].Object != key(first, 3) || r.Findings[0].What != "holds a seal, JOURNAL_SEALED says slot 5" {
		t.Errorf("a seal too early: got %v", r.Findings)
	}

	f = newForge(t)
	f.begin()
	f.fill()
	f.control(open(second, 1, sealed(2, 20, 5)))
	wantFinding(t, f.verify(Options{}), key(first, 2), "holds data, where JOURNAL_SEALED says that the seal is")
}

func TestRun_AnOverlappingExtentIsFound(t *testing.T) {
	for _, fast := range []bool{false, true} {
		f := whole(t)
		f.slot(second, 2, runOf(o0, 1, batch(38, 5, 1, nil)))
		wantFinding(t, f.verify(Options{Fast: fast}), key(second, 2), "[38,43)", "orders/0", "overlaps", "40")
	}
}

func TestRun_AGapBetweenExtentsIsFound(t *testing.T) {
	f := whole(t)
	f.slot(second, 2, runOf(o0, 1, batch(41, 5, 1, nil)))
	wantFinding(t, f.verify(Options{}), key(second, 2), "[41,46)", "leaves a gap", "40")
}

// I3: base(e+1) is the end of e.
func TestRun_ABaseThatDoesNotMeetTheEndBeforeItIsFound(t *testing.T) {
	for _, base := range []topic.Offset{29, 31} {
		f := newForge(t)
		f.begin()
		f.fill()
		f.seal(first, 3)
		f.control(open(second, 1, sealed(3, base, 5)))
		f.slot(second, 0, runOf(o0, 1, batch(base, 10, 1, nil)))
		for _, fast := range []bool{false, true} {
			wantFinding(t, f.verify(Options{Fast: fast}), slotlog.ControlKey(4),
				"orders/0", fmt.Sprintf("epoch 1 begins at base %d", base), "epoch 0 ends at 30")
		}
	}
}

func TestRun_AnEpochBeginsAtItsBase(t *testing.T) {
	f := newForge(t)
	f.begin()
	f.fill()
	f.seal(first, 3)
	f.control(open(second, 1, sealed(3, 30, 5)))
	f.slot(second, 0, runOf(o0, 1, batch(33, 10, 1, nil)))
	wantFinding(t, f.verify(Options{}), key(second, 0), "[33,43)", "leaves a gap", "30")
}

func TestRun_AnAssignmentToAnUnknownJournalIsFound(t *testing.T) {
	ghost := topic.JournalID{0xee}
	for name, r := range map[string]control.Record{
		"topic":      control.TopicCreate{ID: topic.ID{0x77}, Name: "ghosts", Journals: []topic.JournalID{second, ghost}},
		"partitions": control.PartitionsAdd{Topic: orders, From: 2, Journals: []topic.JournalID{ghost}},
		"assign":     control.Assign{Partition: o0, OldEpoch: 1, ToJournal: ghost, Base: 40},
		"ids":        control.ProducerIDs{From: 2000, Count: 10, Journal: ghost},
		"sealed":     control.JournalSealed{Journal: ghost, SealSlot: 1},
		"parts": control.JournalSealed{Journal: second, SealSlot: 1, Parts: []control.Reassigned{
			{Partition: o0, OldEpoch: 1, ToJournal: ghost, Base: 40}, {Partition: o1, OldEpoch: 1, ToJournal: ghost, Base: 6}}},
		"open": open(topic.JournalID{0xcc}, 3, control.JournalSealed{Journal: ghost}),
	} {
		t.Run(name, func(t *testing.T) {
			f := whole(t)
			f.control(r)
			got := f.verify(Options{})
			wantFinding(t, got, slotlog.ControlKey(5), r.Type().String(), ghost.String())
			if len(got.Control.Void) != 1 || got.Control.Void[0].Number != 5 {
				t.Errorf("void: %v", got.Control.Void)
			}
		})
	}
}

func TestRun_VoidRecordsAreToldAndNoDefect(t *testing.T) {
	f := whole(t)
	f.control(control.ProducerIDs{From: 1000, Count: 1000, Journal: second})
	f.control(control.Era{Number: 2, RunID: "run", ReplicationID: "replication"}, control.Era{Number: 2, RunID: "again", ReplicationID: "r"})
	f.clean()
	got := f.verify(Options{}).Control.Void
	if len(got) != 2 || got[0].Number != 5 || got[0].Why != "next free is 2000, not 1000" || got[1].Number != 6 || got[1].Why == "" {
		t.Errorf("void: %+v", got)
	}
}

func TestRun_TheControlLogHasNoHoleAndBeginsWithGenesis(t *testing.T) {
	f := whole(t)
	f.remove(slotlog.ControlKey(2))
	wantFinding(t, f.verify(Options{}), slotlog.ControlKey(2), "missing", slotlog.ControlKey(4))

	f = whole(t)
	f.remove(slotlog.ControlKey(0))
	wantFinding(t, f.verify(Options{}), slotlog.ControlKey(0), "missing")

	wantFinding(t, newForge(t).verify(Options{}), slotlog.ControlKey(0), "no cluster")

	f = newForge(t)
	f.control(open(first, 1))
	wantFinding(t, f.verify(Options{}), slotlog.ControlKey(0), "GENESIS")

	f = newForge(t)
	f.begin()
	f.put(slotlog.ControlKey(4), slotlog.Freeze(slotlog.Seal))
	wantFinding(t, f.verify(Options{}), slotlog.ControlKey(4), "a seal in the control log")

	f = newForge(t)
	f.begin()
	f.must(slotlog.Decide(t.Context(), f.store, 4, []byte("no batch of records")))
	if r := f.verify(Options{}); r.Clean() || r.Findings[0].Object != slotlog.ControlKey(4) {
		t.Errorf("got %v", r.Findings)
	}
}

func TestRun_AJournalThatNobodyOpenedIsFound(t *testing.T) {
	f := whole(t)
	ghost := topic.JournalID{0xee}
	f.slot(ghost, 0)
	f.slot(ghost, 2)
	wantFinding(t, f.verify(Options{}), slotlog.JournalPrefix(ghost), "2 slots up to 2")
}

func TestRun_AnExtentBelongsToItsTopicAndItsJournal(t *testing.T) {
	for name, c := range map[string]struct {
		run   segment.Run
		words []string
	}{
		"unknown topic":      {runOf(topic.Partition{Topic: topic.ID{0x99}}, 0, batch(0, 1, 0, nil)), []string{"is unknown"}},
		"no such partition":  {runOf(topic.Partition{Topic: orders, Index: 2}, 0, batch(0, 1, 0, nil)), []string{"has 2 partitions, no 2"}},
		"epoch to come":      {runOf(o0, 2, batch(40, 1, 2, nil)), []string{"has no epoch 2"}},
		"another's epoch":    {runOf(o0, 0, batch(40, 1, 0, nil)), []string{"epoch 0 is assigned to journal " + first.String()}},
		"its own, for proof": {runOf(o0, 1, batch(40, 1, 1, nil)), nil},
	} {
		t.Run(name, func(t *testing.T) {
			f := whole(t)
			f.slot(second, 2, c.run)
			if c.words == nil {
				f.clean()
				return
			}
			wantFinding(t, f.verify(Options{}), key(second, 2), c.words...)
		})
	}
}

func TestRun_DeletedTopicsAreNoDefect(t *testing.T) {
	f := whole(t)
	f.control(control.TopicDelete{ID: orders})
	f.slot(second, 2, runOf(o0, 1, batch(77, 1, 1, nil))) // was on its way
	f.clean()
	r := f.verify(Options{})
	if r.Control.DeletedTopics != 1 || r.Totals.Deleted != r.Totals.Stored || r.Totals.Deleted == 0 || len(r.Topics) != 0 {
		t.Errorf("got %+v", r)
	}
}

func TestRun_ASlotIsWhatItWasMadeFor(t *testing.T) {
	for _, fast := range []bool{false, true} {
		f := whole(t)
		copied, err := f.store.Get(t.Context(), key(first, 0))
		f.must(err)
		f.edit(key(second, 0), func([]byte) []byte { return copied })
		wantFinding(t, f.verify(Options{Fast: fast}), key(second, 0), "footer of slot 0 of journal "+first.String(), second.String())
	}
}

func TestRun_ReleasesAndLogStarts(t *testing.T) {
	moved := func(end topic.Offset) segment.Footer {
		return segment.Footer{Releases: []segment.Release{{Partition: o0, Epoch: 1, End: end}}}
	}
	f := whole(t)
	f.slotWith(second, 2, moved(40))
	f.clean()
	f.slot(second, 3, runOf(o0, 1, batch(40, 1, 1, nil)))
	wantFinding(t, f.verify(Options{}), key(second, 3), "[40,41)", "follows the RELEASE", "40")

	f = whole(t)
	f.slotWith(second, 2, moved(41))
	wantFinding(t, f.verify(Options{}), key(second, 2), "RELEASE", "says end 41", "end at 40")

	f = whole(t)
	f.slotWith(second, 2, segment.Footer{LogStarts: []segment.LogStart{{Partition: o0, Start: 12}}})
	f.clean()
	if got := f.verify(Options{}).Topics[0].Partitions[0].Start; got != 12 {
		t.Errorf("start %d", got)
	}
	f.slotWith(second, 3, segment.Footer{LogStarts: []segment.LogStart{{Partition: o0, Start: 41}}})
	wantFinding(t, f.verify(Options{}), key(second, 3), "log start 41", "end 40")
}

// meanwhile lets an agent go on after the control log was read.
type meanwhile struct {
	objectstore.Store
	then func()
}

func (m *meanwhile) Get(ctx context.Context, k string) ([]byte, error) {
	if k == key(first, 0) && m.then != nil {
		m.then()
		m.then = nil
	}
	return m.Store.Get(ctx, k)
}

func TestRun_ARunningAgentMayGoOn(t *testing.T) {
	f := whole(t)
	clicks := topic.ID{0x0c}
	store := &meanwhile{Store: f.store, then: func() {
		f.control(control.TopicCreate{ID: clicks, Name: "clicks", Journals: []topic.JournalID{second}})
		f.slot(second, 2, runOf(topic.Partition{Topic: clicks}, 0, batch(0, 3, 0, nil)), runOf(o0, 1, batch(40, 3, 1, nil)))
	}}
	r, err := Run(t.Context(), store, Options{Reads: 1})
	if err != nil || !r.Clean() || r.Journals[1].End != 3 {
		t.Errorf("got %+v, %v", r, err)
	}
}

// broken fails one key.
type broken struct {
	objectstore.Store
	key string
}

var errAway = errors.New("bucket away")

func (b broken) Get(ctx context.Context, k string) ([]byte, error) {
	if k == b.key {
		return nil, errAway
	}
	return b.Store.Get(ctx, k)
}

func (b broken) List(ctx context.Context, prefix string, fn func(objectstore.Info) error) error {
	if b.key == "" {
		return errAway
	}
	return b.Store.List(ctx, prefix, fn)
}

// A bucket that cannot be read is not judged.
func TestRun_AStoreThatFailsIsAnErrorAndNoFinding(t *testing.T) {
	f := whole(t)
	for _, k := range []string{"", slotlog.ControlKey(0), slotlog.ControlKey(3), key(first, 1), key(second, 1)} {
		if _, err := Run(t.Context(), broken{f.store, k}, Options{}); !errors.Is(err, errAway) {
			t.Errorf("%q fails: %v", k, err)
		}
	}
}

func TestRun_ForeignKeysAreGarbageAndWhatIsTooMuchIsCounted(t *testing.T) {
	f := whole(t)
	for _, k := range []string{"control/x", "journal/zz", "journal/a1/b2/0000000000000001", "probe/x"} {
		f.must(f.store.Create(t.Context(), k, objectstore.NewBody([]byte("x"))))
	}
	f.clean()
	r := f.verify(Options{MaxFindings: 2})
	if len(r.Garbage) != 2 || r.Totals.Garbage != 3 || r.Unlisted["garbage"] != 1 {
		t.Errorf("got %+v", r)
	}
}

// Little memory means few objects at once, not an error.
func TestRun_ObjectsLargerThanTheMemoryAreReadOneByOne(t *testing.T) {
	f := whole(t)
	if r := f.verify(Options{MemoryBytes: 1}); !r.Clean() || r.Totals.Batches != 7 {
		t.Errorf("got %+v", r)
	}
}

func TestIDs_OverlapIsFound(t *testing.T) {
	var g ids
	for _, c := range []struct {
		from int64
		bad  bool
	}{{0, false}, {10, false}, {19, true}, {29, false}, {10, true}} {
		if why := g.give(control.ProducerIDs{From: c.from, Count: 10}); (why != "") != c.bad {
			t.Errorf("block at %d: %q", c.from, why)
		}
	}
}
