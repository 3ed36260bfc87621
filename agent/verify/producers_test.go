package verify

import (
	"testing"

	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/sequence"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

// I8: a producer's sequences follow one another, within a journal and from one to the next.
func TestProducers_ASequenceThatDoesNotFollowIsFound(t *testing.T) {
	for _, fast := range []bool{false, true} {
		for name, c := range map[string]struct {
			p     *recordbatch.Producer
			words []string
		}{
			"follows":       {producer(40), nil},
			"newer epoch":   {&recordbatch.Producer{ID: 1000, Epoch: 1}, nil},
			"another":       {&recordbatch.Producer{ID: 7, Sequence: 99}, nil},
			"gap":           {producer(41), []string{"out of order sequence", "sent 41, want 40"}},
			"twice":         {producer(30), []string{"sequence 30 of producer 1000", "in the log at [30,40) already"}},
			"stale epoch":   {&recordbatch.Producer{ID: 1000, Epoch: -1, Sequence: 40}, []string{"producer epoch is stale"}},
			"epoch too new": {&recordbatch.Producer{ID: 1000, Epoch: 1, Sequence: 5}, []string{"sent 5, want 0"}},
		} {
			t.Run(name, func(t *testing.T) {
				f := whole(t)
				f.slot(second, 2, runOf(o0, 1, batch(40, 10, 1, c.p)))
				if c.words == nil {
					f.clean()
					return
				}
				wantFinding(t, f.verify(Options{Fast: fast}), key(second, 2), c.words...)
			})
		}
	}
}

func TestProducers_AreFollowedFromJournalToJournal(t *testing.T) {
	for sequence, words := range map[int32][]string{
		30: nil,
		31: {"sent 31, want 30"},
		25: {"sequence 25", "sent 25, want 30"}, // 5 records then, 10 now
	} {
		f := newForge(t)
		f.begin()
		f.fill()
		f.seal(first, 3)
		f.control(open(second, 1, sealed(3, 30, 5)))
		f.slot(second, 0, runOf(o0, 1, batch(30, 10, 1, producer(sequence))))
		if words == nil {
			f.clean()
			continue
		}
		wantFinding(t, f.verify(Options{}), key(second, 0), words[len(words)-1])
	}
}

// The first journal owns epochs 0 and 2, the second epoch 1: the journals' order is not the partition's.
func TestProducers_APartitionMayMoveThereAndBack(t *testing.T) {
	build := func(last int32) *forge {
		f := newForge(t)
		f.begin()
		f.control(open(second, 2))
		f.slotWith(first, 0, segment.Footer{
			Releases:  []segment.Release{{Partition: o0, End: 10}},
			Producers: []sequence.Delta{{Partition: o0, ProducerID: 1000, Base: 0, Next: 10, Timestamp: created + 9}},
		}, runOf(o0, 0, batch(0, 10, 0, producer(0))))
		f.control(control.Assign{Partition: o0, OldEpoch: 0, ToJournal: second, Base: 10})
		f.slot(second, 0, runOf(o0, 1, batch(10, 10, 1, producer(10))))
		f.slotWith(second, 1, segment.Footer{Releases: []segment.Release{{Partition: o0, Epoch: 1, End: 20}}})
		f.control(control.Assign{Partition: o0, OldEpoch: 1, ToJournal: first, Base: 20, Released: 1})
		f.slot(first, 1, runOf(o0, 2, batch(20, 10, 2, producer(last))))
		return f
	}
	f := build(20)
	f.clean()
	if got := f.verify(Options{}).Topics[0].Partitions[0]; got.End != 30 || got.Records != 30 || got.Producers != 1 {
		t.Errorf("got %+v", got)
	}
	wantFinding(t, build(10).verify(Options{}), key(first, 1), "in the log at [10,20) already")
}

func TestProducers_DeltasAreThoseOfTheBatches(t *testing.T) {
	honest := sequence.Delta{Partition: o0, ProducerID: 1000, FirstSequence: 40, Base: 40, Next: 50, Timestamp: created + 9}
	other := func(change func(*sequence.Delta)) []sequence.Delta {
		d := honest
		change(&d)
		return []sequence.Delta{d}
	}
	for name, c := range map[string]struct {
		said []sequence.Delta
		word string
	}{
		"honest":   {[]sequence.Delta{honest}, ""},
		"none":     {nil, "footer has no producer delta for batch"},
		"sequence": {other(func(d *sequence.Delta) { d.FirstSequence = 41 }), "the batch is"},
		"producer": {other(func(d *sequence.Delta) { d.ProducerID = 1001 }), "the batch is"},
		"epoch":    {other(func(d *sequence.Delta) { d.ProducerEpoch = 1 }), "the batch is"},
		"time":     {other(func(d *sequence.Delta) { d.Timestamp++ }), "the batch is"},
		"offsets":  {other(func(d *sequence.Delta) { d.Next-- }), "the batch is"},
		"too many": {[]sequence.Delta{honest, {Partition: o0, ProducerID: 5, Base: 40, Next: 50}}, "no batch has"},
	} {
		t.Run(name, func(t *testing.T) {
			f := whole(t)
			f.slotWith(second, 2, segment.Footer{Producers: c.said}, runOf(o0, 1, batch(40, 10, 1, producer(40))))
			if c.word == "" {
				f.clean()
				return
			}
			wantFinding(t, f.verify(Options{}), key(second, 2), c.word)
		})
	}
}

// A footer need not list more than producer state rests on.
func TestProducers_AFooterMayListTheLastFiveBatches(t *testing.T) {
	f := whole(t)
	var batches [][]byte
	for i := range int32(9) {
		batches = append(batches, batch(topic.Offset(40+i), 1, 1, producer(40+i)))
	}
	run := runOf(o0, 1, batches...)
	f.slotWith(second, 2, segment.Footer{Producers: sequence.Recent(deltas([]segment.Run{run}))}, run)
	if r := f.verify(Options{}); !r.Clean() {
		t.Errorf("got %v", r.Findings)
	}
}

// What follows a lost slot is judged by itself.
func TestProducers_NothingIsSaidOfWhatALostSlotHeld(t *testing.T) {
	f := whole(t)
	f.edit(key(first, 2), func(b []byte) []byte { return b[:40] })
	f.slot(second, 2, runOf(o0, 1, batch(40, 10, 1, producer(40))))
	wantFinding(t, f.verify(Options{}), key(first, 2), "corrupt slot object")
	f.slot(second, 3, runOf(o0, 1, batch(50, 10, 1, producer(55))))
	if r := f.verify(Options{}); len(r.Findings) != 2 || r.Findings[1].Object != key(second, 3) {
		t.Errorf("got %v", r.Findings)
	}
	if slotlog.TrailerSize <= 40 {
		t.Error("the cut object still has a trailer")
	}
}

// Producer state is bounded by producers, not by batches.
func TestProducers_ManyBatchesLeaveTheLastOnes(t *testing.T) {
	w := &walk{opt: Options{MaxFindings: 10}}
	s, r := &partition{name: "p"}, &run{}
	for i := range int32(5000) {
		w.takeDelta(s, r, "key", sequence.Delta{ProducerID: int64(i % 3), FirstSequence: i / 3, Base: topic.Offset(i), Next: topic.Offset(i + 1)})
		if len(r.deltas) > keepDeltas+30 {
			t.Fatalf("%d deltas kept", len(r.deltas))
		}
	}
	if len(w.report.Findings) != 0 {
		t.Errorf("got %v", w.report.Findings)
	}
}
