package verify

import (
	"cmp"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/odradek/odradek/checkpoint"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/index"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/sequence"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

// part is one partition's part of a compacted object in a test.
type part struct {
	partition topic.Partition
	from, to  topic.Offset
	base      topic.Offset // 0: from
	cleaned   topic.Offset // 0: it was not
	erased    uint64       // records
	replaces  []topic.Object
	batches   [][]byte
}

// compact makes a compacted object and gives the manifest that swaps it in.
func (f *forge) compact(level uint8, parts ...part) control.Manifest {
	f.t.Helper()
	f.objects++
	m := control.Manifest{Output: topic.Object{Planned: f.next - 1, ID: topic.ObjectID{f.objects, 15: f.objects}}}
	var b []byte
	w := segment.NewObjectWriter(m.Output, func(p []byte) error { b = append(b, p...); return nil }, segment.S2)
	for _, p := range parts {
		f.must(w.Begin(p.partition, max(p.from, p.base), level))
		for _, batch := range p.batches {
			f.must(w.Append(batch))
		}
		w.Cleaned(p.cleaned)
		w.Erased(p.erased)
		run, err := w.End(p.to)
		f.must(err)
		m.Parts = append(m.Parts, control.ManifestPart{Partition: p.partition, From: p.from, To: p.to, Replaces: p.replaces, Run: &run})
	}
	size, err := w.Close()
	f.must(err)
	m.Size = size
	f.must(f.store.Create(f.t.Context(), m.Output.Key(), objectstore.NewBody(b)))
	return m
}

// checkpoint makes a checkpoint of all there is, and has it verified.
func (f *forge) checkpoint() {
	f.t.Helper()
	h := &checkpoint.Head{ID: control.CheckpointID{byte(f.next)}, Control: f.next - 1, State: f.state.AppendSnapshot(nil)}
	previous, _ := f.state.NewestCheckpoint()
	h.Previous = previous.Control
	r := control.Checkpoint{Control: h.Control, ID: h.ID, Previous: previous.Control}
	entries, producers := make(map[topic.Partition][]index.Entry), make(map[topic.Partition]*sequence.State)
	stands := make(map[topic.Partition]checkpoint.Partition)
	for _, j := range []topic.JournalID{first, second} {
		next := topic.Slot(len(f.footers[j]))
		if next == 0 {
			continue
		}
		h.Journals = append(h.Journals, checkpoint.Journal{ID: j, Next: next})
		if next > previous.Next(j) {
			r.Journals = append(r.Journals, control.JournalNext{Journal: j, Next: next})
		}
		for _, footer := range f.footers[j] {
			for _, x := range footer.Extents {
				if f.state.TopicDeleted(x.Partition.Topic) {
					continue
				}
				p, c := stands[x.Partition], f.state.Compaction(x.Partition)
				p.Partition, p.End = x.Partition, max(p.End, x.Next)
				p.Start = max(p.Start, c.Start)
				stands[x.Partition] = p
				if x.Next > c.End {
					entries[x.Partition] = append(entries[x.Partition], index.NewEntry(j, footer.Slot, x))
				}
			}
			for _, l := range footer.LogStarts {
				p := stands[l.Partition]
				p.Start = max(p.Start, l.Start)
				stands[l.Partition] = p
			}
			for _, d := range footer.Producers {
				if f.state.TopicDeleted(d.Partition.Topic) {
					continue
				}
				if producers[d.Partition] == nil {
					producers[d.Partition] = new(sequence.State)
				}
				producers[d.Partition].Apply(d)
			}
		}
	}
	var news checkpoint.News
	for _, p := range []topic.Partition{o0, o1, late} {
		if s, ok := stands[p]; ok {
			s.Start = max(s.Start, f.raised[p])
			s.From = max(s.Start, f.state.Compaction(p).End)
			h.Partitions = append(h.Partitions, s)
			slices.SortFunc(entries[p], func(a, b index.Entry) int { return cmp.Compare(a.Base, b.Base) })
			news.Extents = append(news.Extents, checkpoint.Row{Partition: p, Entries: entries[p]})
		}
		if s := producers[p]; s != nil {
			news.Producers = append(news.Producers, checkpoint.Row{Partition: p, Producers: s.AppendSnapshot(nil)})
		}
	}
	f.must(checkpoint.Compose(f.t.Context(), f.store, nil, h, news, func(p checkpoint.Part) (checkpoint.PartRef, error) {
		return p.Write(f.t.Context(), f.store)
	}))
	f.must(checkpoint.WriteHead(f.t.Context(), f.store, h))
	f.holds(r)
	f.holds(control.Verified{Control: r.Control, ID: r.ID, By: second})
}

// firstOf0 are the batches of orders/0 in the first journal, firstOf1 those of orders/1.
func firstOf0() [][]byte {
	return [][]byte{batch(0, 10, 0, producer(0)), batch(10, 10, 0, producer(10)), batch(20, 5, 0, producer(20)), batch(25, 5, 0, producer(25))}
}

func firstOf1() [][]byte { return [][]byte{batch(0, 5, 0, nil)} }

// swap is a manifest of all that the first journal holds.
func (f *forge) swap() control.Manifest {
	f.t.Helper()
	return f.compact(1, part{partition: o0, to: 30, batches: firstOf0()}, part{partition: o1, to: 5, batches: firstOf1()})
}

// lived is a bucket with runs, whose first journal is trimmed up to its seal; its slots are still there.
func lived(t *testing.T) (*forge, topic.Object) {
	f := whole(t)
	f.checkpoint()
	f.checkpoint()
	m := f.swap()
	f.holds(m)
	f.clean()
	f.holds(control.Trim{Journal: first, Slot: 3})
	return f, m.Output
}

func (f *forge) removeTrimmed() {
	f.t.Helper()
	for s := range topic.Slot(3) {
		f.remove(key(first, s))
	}
}

func accounts(r Report) map[string]int {
	all := make(map[string]int)
	bytes := int64(0)
	for _, a := range r.Accounts {
		all[a.Class] = a.Objects
		if a.Class != classAll {
			bytes += a.Bytes
		} else if a.Bytes != bytes {
			all["bytes not accounted for"] = int(a.Bytes - bytes)
		}
	}
	return all
}

func TestRun_WhatIsInRunsCountsOnce(t *testing.T) {
	f := whole(t)
	f.checkpoint()
	before := f.verify(Options{})
	f.holds(f.swap())
	f.clean()
	r := f.verify(Options{})
	for i, p := range r.Topics[0].Partitions {
		was := before.Topics[0].Partitions[i]
		if p.Records != was.Records || p.End != was.End || p.Runs != 1 || p.Compacted != []topic.Offset{30, 5}[i] || p.Producers != was.Producers {
			t.Errorf("%+v, was %+v", p, was)
		}
	}
	if c := r.Compacted; c.Objects != 1 || c.Runs != 2 || c.Records != 35 || c.Same != 4 || c.Batches != 5 || c.Holes != 0 || c.Live >= c.Bytes || r.Totals.Replaced == 0 {
		t.Errorf("%+v, %+v", c, r.Totals)
	}
	// Slots of a trimmed journal are not read, whether they are there or not.
	f, _ = lived(t)
	f.checkpoint()
	f.checkpoint()
	f.clean()
	want := map[string]int{ClassControl: int(f.next), ClassSlots: 3, ClassCompacted: 1, ClassCheckpoints: 10, ClassGrace: 3, ClassOrphans: 10, classAll: int(f.next) + 27}
	if diff := gocmp.Diff(want, accounts(f.verify(Options{}))); diff != "" {
		t.Errorf("accounts (-want +got):\n%s", diff)
	}
	f.removeTrimmed()
	f.clean()
	r = f.verify(Options{})
	if r.Journals[0].Trim != 3 || r.Journals[0].Slots != 0 || accounts(r)[ClassGrace] != 0 || r.Topics[0].Partitions[0].Records != 40 {
		t.Errorf("%+v", r)
	}
	f.slot(second, 2, runOf(o0, 1, batch(40, 10, 1, producer(40))))
	f.clean()
}

// A checkpoint whose cut is where TRIM is by now rests on slots that are not read any more.
func TestRun_TrimReachesTheSecondNewestCheckpoint(t *testing.T) {
	f := whole(t)
	f.checkpoint()
	f.checkpoint()
	f.holds(f.compact(1, part{partition: o0, to: 20, batches: firstOf0()[:2]}, part{partition: o1, to: 5, batches: firstOf1()}))
	f.checkpoint()
	f.slot(second, 2, runOf(o0, 1, batch(40, 10, 1, producer(40))))
	f.checkpoint()
	f.holds(f.compact(1, part{partition: o0, from: 20, to: 40, batches: append(firstOf0()[2:], batch(30, 10, 1, producer(30)))},
		part{partition: o1, from: 5, to: 6, batches: [][]byte{batch(5, 1, 1, nil)}}))
	f.holds(control.Trim{Journal: first, Slot: 3}, control.Trim{Journal: second, Slot: 2})
	f.clean()
	if c, _ := f.state.NewestCheckpoint(); c.Next(second) != 3 {
		t.Errorf("%+v", c)
	}
}

// I9: what a checkpoint that is kept needs is still there.
func TestRun_SlotsThatACheckpointNeedsAreMissed(t *testing.T) {
	f, _ := lived(t)
	f.clean()
	f.remove(key(first, 1))
	r := f.verify(Options{})
	if len(r.Findings) != 2 || r.Findings[0].Object != key(first, 1) {
		t.Errorf("got %v", r.Findings)
	}
	f.checkpoint()
	f.checkpoint()
	f.clean()
}

func TestRun_AnObjectThatACheckpointNeedsIsMissed(t *testing.T) {
	f, old := lived(t)
	f.checkpoint()
	f.holds(f.compact(2, part{partition: o0, to: 30, batches: firstOf0(), replaces: []topic.Object{old}},
		part{partition: o1, to: 5, batches: firstOf1(), replaces: []topic.Object{old}}))
	f.clean()
	if got := accounts(f.verify(Options{})); got[ClassGrace] != 4 || got[ClassCompacted] != 1 {
		t.Errorf("%v", got)
	}
	f.remove(old.Key())
	wantFinding(t, f.verify(Options{}), old.Key(), "missing", "I9")
	f.checkpoint()
	f.checkpoint()
	f.clean()
}

func TestRun_AFlippedByteOfACompactedObjectIsFound(t *testing.T) {
	f := whole(t)
	m := f.swap()
	f.holds(m)
	for at := range m.Size {
		flip := func(b []byte) []byte { b[at] ^= 0x10; return b }
		f.edit(m.Output.Key(), flip)
		if r := f.verify(Options{}); r.Clean() || r.Findings[0].Object != m.Output.Key() {
			t.Errorf("byte %d flipped: %v", at, r.Findings)
		}
		f.edit(m.Output.Key(), flip)
	}
	f.clean()
	f.edit(m.Output.Key(), func(b []byte) []byte { return b[:len(b)-1] })
	for _, fast := range []bool{false, true} {
		if r := f.verify(Options{Fast: fast}); r.Clean() {
			t.Errorf("fast %v: a cut was not found", fast)
		}
	}
	f.remove(m.Output.Key())
	for _, fast := range []bool{false, true} {
		wantFinding(t, f.verify(Options{Fast: fast}), m.Output.Key(), "missing", "2 runs")
	}
}

// I2: what lay in slots below TRIM is in runs or below the log start.
func TestRun_WhatWasTrimmedAndIsInNoRunIsMissed(t *testing.T) {
	f := whole(t)
	f.checkpoint()
	f.checkpoint()
	f.holds(f.compact(1, part{partition: o0, to: 20, batches: firstOf0()[:2]}, part{partition: o1, to: 5, batches: firstOf1()}))
	f.holds(control.Trim{Journal: first, Slot: 2})
	f.clean()
	f.holds(control.Trim{Journal: first, Slot: 3})
	for _, fast := range []bool{false, true} {
		r := f.verify(Options{Fast: fast})
		want := Finding{slotlog.ControlKey(4), "orders/0: [0,30) lay in slots below TRIM, its runs end at 20 and its log start is 0 (I2)"}
		if !slices.Contains(r.Findings, want) {
			t.Errorf("fast %v: %v", fast, r.Findings)
		}
	}
}

func TestRun_WhatWasTrimmedBelowTheLogStartIsNotMissed(t *testing.T) {
	f := whole(t)
	f.slotWith(second, 2, segment.Footer{LogStarts: []segment.LogStart{{Partition: o0, Start: 30}}})
	f.checkpoint()
	f.checkpoint()
	f.holds(f.compact(1, part{partition: o1, to: 5, batches: firstOf1()}))
	f.holds(control.Manifest{Parts: []control.ManifestPart{{Partition: o0, To: 30}}}, control.Trim{Journal: first, Slot: 3})
	f.clean()
	f.checkpoint()
	f.checkpoint()
	f.removeTrimmed()
	f.clean()
	r := f.verify(Options{})
	if p := r.Topics[0].Partitions[0]; p.Start != 30 || p.End != 40 || p.Records != 10 || p.Runs != 0 || p.Compacted != 30 {
		t.Errorf("%+v", p)
	}
}

// The slot that raised a log start may be trimmed before those that hold what lies below it.
func TestRun_ALogStartThatATrimmedSlotSetIsTheCheckpoints(t *testing.T) {
	f := whole(t)
	f.slotWith(second, 2, segment.Footer{LogStarts: []segment.LogStart{{Partition: o1, Start: 6}}})
	f.checkpoint()
	f.checkpoint()
	f.holds(f.compact(1, part{partition: o0, to: 40, batches: append(firstOf0(), batch(30, 10, 1, producer(30)))}))
	f.holds(control.Trim{Journal: second, Slot: 3})
	f.clean()
}

// So may slots that an older checkpoint holds, which is kept because the era was recovered from it: what lay in them is below
// the log start that only newer ones know.
func TestRun_ALogStartThatATrimmedSlotSetIsNewerThanACheckpoint(t *testing.T) {
	f := whole(t)
	f.checkpoint()
	old, _ := f.state.NewestCheckpoint()
	f.holds(control.Era{Number: 2, RunID: "another", ReplicationID: "too", Checkpoint: old.Control})
	f.slotWith(second, 2, segment.Footer{LogStarts: []segment.LogStart{{Partition: o1, Start: 6}}})
	f.checkpoint()
	f.checkpoint()
	f.holds(f.compact(1, part{partition: o0, to: 40, batches: append(firstOf0(), batch(30, 10, 1, producer(30)))}))
	f.holds(control.Trim{Journal: second, Slot: 3})
	if n := len(f.state.Checkpoints()); n != 3 {
		t.Fatalf("%d checkpoints are kept", n)
	}
	f.clean()
}

// An owner may have written nothing of a partition but a log start; its epoch, without records, is forgotten with its journal.
func TestRun_ALogStartOfAnEpochWithoutRecordsIsTheCheckpoints(t *testing.T) {
	f := newForge(t)
	f.begin()
	f.fill()
	f.seal(first, 3)
	f.control(open(second, 1, sealed(3, 30, 5)))
	f.slotWith(second, 0, segment.Footer{LogStarts: []segment.LogStart{{Partition: o1, Start: 2}}}, runOf(o0, 1, batch(30, 10, 1, nil)))
	f.seal(second, 1)
	f.holds(open(topic.JournalID{3}, 1, control.JournalSealed{Journal: second, SealSlot: 1, Parts: []control.Reassigned{
		{Partition: o0, OldEpoch: 1, ToJournal: topic.JournalID{3}, Base: 40}, {Partition: o1, OldEpoch: 1, ToJournal: topic.JournalID{3}, Base: 5},
	}}))
	f.holds(f.compact(1, part{partition: o0, to: 40, batches: append(firstOf0(), batch(30, 10, 1, nil))}))
	f.checkpoint()
	f.checkpoint()
	f.holds(control.Trim{Journal: second, Slot: 1})
	f.clean()
	f.checkpoint()
	f.checkpoint()
	f.clean()
	f.remove(key(second, 0))
	f.clean()
}

// What is trimmed of other journals is no reason for a checkpoint to say a log start that no slot set.
func TestRun_ALogStartThatNoSlotSetIsFound(t *testing.T) {
	f := whole(t)
	f.control(control.TopicCreate{ID: late.Topic, Name: "late", Journals: []topic.JournalID{second}})
	f.slot(second, 2, runOf(late, 0, batch(0, 5, 0, nil)))
	f.checkpoint()
	f.checkpoint()
	f.holds(f.swap())
	f.holds(control.Trim{Journal: first, Slot: 3})
	f.clean()
	f.raised = map[topic.Partition]topic.Offset{late: 2}
	f.checkpoint()
	c, _ := f.state.NewestCheckpoint()
	wantFinding(t, f.verify(Options{}), headKey(c), "stands at [2,5), its slots say [0,5)")
}

func TestRun_WhatWasTrimmedOfADeletedTopicIsNotMissed(t *testing.T) {
	f := whole(t)
	f.checkpoint()
	f.checkpoint()
	f.holds(f.swap())
	f.holds(control.TopicDelete{ID: orders})
	f.holds(control.Trim{Journal: first, Slot: 3}, control.Trim{Journal: second, Slot: 2})
	f.clean() // beside checkpoints that hold it
	if r := f.verify(Options{}); r.Compacted.Objects != 0 || accounts(r)[ClassGrace] != 6 {
		t.Errorf("%+v, %v", r.Compacted, r.Accounts)
	}
	f.checkpoint()
	f.checkpoint()
	f.removeTrimmed()
	f.clean()
}

// I5: compaction changes nothing.
func TestRun_ARunThatIsNotWhatItsSlotsHoldIsFound(t *testing.T) {
	f := whole(t)
	other := firstOf0()
	other[1] = batch(10, 10, 0, producer(11))
	m := f.compact(1, part{partition: o0, to: 30, batches: other})
	f.holds(m)
	wantFinding(t, f.verify(Options{}), m.Output.Key(), "[10,20)", key(first, 1), "I5")
}

func TestRun_RecordsMissOnlyWhereTheyAreCompactedByKey(t *testing.T) {
	f := whole(t)
	m := f.compact(1, part{partition: o0, to: 30, batches: slices.Delete(firstOf0(), 2, 3)})
	f.holds(m)
	r := f.verify(Options{})
	if len(r.Findings) != 2 || r.Findings[1].Object != m.Output.Key() {
		t.Errorf("%v", r.Findings)
	}
	f = whole(t)
	f.control(control.TopicConfig{Topic: orders, Set: topic.Config{"cleanup.policy": "compact"}})
	f.holds(f.compact(1, part{partition: o0, to: 30, cleaned: 25, batches: slices.Delete(firstOf0(), 2, 3)}))
	f.clean()
	if r := f.verify(Options{}); r.Compacted.Holes != 5 {
		t.Errorf("%+v", r.Compacted)
	}
	f = whole(t)
	f.control(control.TopicConfig{Topic: orders, Set: topic.Config{"cleanup.policy": "compact"}})
	m = f.compact(1, part{partition: o0, to: 30, cleaned: 23, batches: slices.Delete(firstOf0(), 2, 3)})
	f.holds(m)
	wantFinding(t, f.verify(Options{}), m.Output.Key(), "lacks 2 records where it was not cleaned")
}

func TestRun_OfErasedRecordsAtMostSoManyMiss(t *testing.T) {
	f := whole(t)
	f.holds(f.compact(1, part{partition: o0, to: 30, erased: 5, batches: slices.Delete(firstOf0(), 2, 3)}))
	f.clean()
	if r := f.verify(Options{}); r.Compacted.Holes != 5 {
		t.Errorf("%+v", r.Compacted)
	}
	f = whole(t)
	m := f.compact(1, part{partition: o0, to: 30, erased: 4, batches: slices.Delete(firstOf0(), 2, 3)})
	f.holds(m)
	wantFinding(t, f.verify(Options{}), m.Output.Key(), "lacks 5 records, of which 4 were erased")
	f = whole(t)
	f.control(control.TopicConfig{Topic: orders, Set: topic.Config{"cleanup.policy": "compact"}})
	m = f.compact(1, part{partition: o0, to: 30, cleaned: 21, erased: 3, batches: slices.Delete(firstOf0(), 2, 3)})
	f.holds(m)
	wantFinding(t, f.verify(Options{}), m.Output.Key(), "lacks 4 records where it was not cleaned, of which 3 were erased")
	f = whole(t)
	other := firstOf0()
	for i := range 2 {
		other[i] = batch(topic.Offset(10*i), 10, 0, producer(11))
	}
	m = f.compact(1, part{partition: o0, to: 30, erased: 1, batches: other})
	f.holds(m)
	wantFinding(t, f.verify(Options{}), m.Output.Key(), "[10,20)", key(first, 1), "I5")
}

// I3 holds in runs as well.
func TestRun_ARunOfAnotherEpochIsFound(t *testing.T) {
	f := whole(t)
	m := f.compact(1, part{partition: o1, to: 6, batches: [][]byte{batch(0, 6, 0, nil)}})
	f.holds(m)
	r := f.verify(Options{})
	r.Findings = slices.DeleteFunc(r.Findings, func(f Finding) bool { return strings.HasSuffix(f.What, "(I5)") })
	wantFinding(t, r, m.Output.Key(), "extent [0,6)", "epoch 0 is [0,5)")
}

func TestRun_ObjectsThatNoManifestNamesAreOrphans(t *testing.T) {
	f := whole(t)
	f.swap()
	m := f.swap()
	f.control(control.Sweep{Before: m.Output.Planned + 1})
	f.swap()
	f.must(f.store.Create(f.t.Context(), "compacted/junk", objectstore.NewBody([]byte("junk"))))
	f.must(f.store.Create(f.t.Context(), "ledger/junk", objectstore.NewBody([]byte("line"))))
	f.must(f.store.Create(f.t.Context(), "readme", objectstore.NewBody([]byte("hello"))))
	f.clean()
	r := f.verify(Options{})
	want := map[string]int{ClassControl: 6, ClassSlots: 6, ClassOrphans: 4, ClassLedgers: 1, ClassOther: 1, classAll: 18}
	if diff := gocmp.Diff(want, accounts(r)); diff != "" || len(r.Garbage) != 4 {
		t.Errorf("accounts (-want +got):\n%s%v", diff, r.Garbage)
	}
}

func TestListedJournal_HasSlotsInStretches(t *testing.T) {
	var l listedJournal
	for _, s := range []topic.Slot{2, 3, 7, 9, 10} {
		l.add(s, int64(s)*10)
	}
	var got []topic.Slot
	for s, size := range l.each(3) {
		if size != int64(s)*10 {
			t.Errorf("slot %d: %d bytes", s, size)
		}
		got = append(got, s)
	}
	if !slices.Equal(got, []topic.Slot{3, 7, 9, 10}) || l.end != 11 || l.slots != 5 {
		t.Errorf("%v of %+v", got, l)
	}
	for s := range topic.Slot(12) {
		size, ok := l.size(s)
		if want := slices.Contains([]topic.Slot{2, 3, 7, 9, 10}, s); ok != want || ok && size != int64(s)*10 {
			t.Errorf("slot %d: %d, %v", s, size, ok)
		}
	}
}
