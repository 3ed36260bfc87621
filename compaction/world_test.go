package compaction

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/odradek/odradek/checkpoint"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/index"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/memory"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/sequence"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

// world is a cluster: its control log in a bucket, and what its journals' footers say. While agents run, whoever changes
// something does it in during.
type world struct {
	t      *testing.T
	bucket objectstore.Store

	mu    sync.Mutex // guards all below while agents run
	state *control.State
	slots map[topic.JournalID][]segment.SlotExtents
	ends  map[topic.Partition]topic.Offset // as their owners know them
	lag   map[topic.JournalID]int          // slots at the end that nobody but the owner may see yet
	next  byte                             // of journals and topics

	swapped int // manifests
}

func newWorld(t *testing.T) *world {
	w := &world{
		t: t, bucket: memory.New(), state: control.New(), slots: make(map[topic.JournalID][]segment.SlotExtents),
		ends: make(map[topic.Partition]topic.Offset), lag: make(map[topic.JournalID]int),
	}
	w.append(control.Genesis{ClusterID: "c", Format: control.FormatLevel})
	return w
}

// during changes something while agents run.
func (w *world) during(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

// now is the newest control state, while agents run.
func (w *world) now() (s *control.State) {
	w.during(func() { s = w.state })
	return s
}

// append decides the next control number, and asks that all of its records hold.
func (w *world) append(records ...control.Record) {
	w.t.Helper()
	for i, o := range w.decide(records) {
		if o.Void {
			w.t.Fatalf("%s is void: %s", control.Describe(records[i]), o.Why)
		}
	}
}

func (w *world) decide(records []control.Record) []control.Outcome {
	w.t.Helper()
	payload, err := control.Encode(records)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := slotlog.Decide(context.Background(), w.bucket, w.state.Next(), payload); err != nil {
		w.t.Fatal(err)
	}
	after, outcomes, err := w.state.Apply(w.state.Next(), records)
	if err != nil {
		w.t.Fatal(err)
	}
	w.state = after
	return outcomes
}

func (w *world) openJournal() topic.JournalID {
	w.next++
	id := topic.JournalID{w.next * 67, 15: w.next}
	w.append(control.JournalOpen{ID: id, K: 4, Weight: 1, Format: control.FormatLevel})
	return id
}

func (w *world) createTopic(owners ...topic.JournalID) topic.ID {
	w.next++
	id := topic.ID{w.next * 91, 15: w.next}
	w.append(control.TopicCreate{ID: id, Name: fmt.Sprintf("topic-%d", w.next), Journals: owners})
	return id
}

// writeMany writes n slots while agents run.
func (w *world) writeMany(n int, j topic.JournalID, p topic.Partition) {
	w.t.Helper()
	w.during(func() {
		for range n {
			w.write(j, p)
		}
	})
}

// write makes the next slot of a journal, with one extent of each partition, which it owns.
func (w *world) write(j topic.JournalID, partitions ...topic.Partition) segment.SlotExtents {
	w.t.Helper()
	x := segment.SlotExtents{Slot: topic.Slot(len(w.slots[j]))}
	for i, p := range partitions {
		a, ok := w.state.Owner(p)
		if !ok || a.Journal != j {
			w.t.Fatalf("%s is not %s's", p, j)
		}
		base := w.ends[p]
		next := base + 1 + topic.Offset(x.Slot)%3
		w.ends[p] = next
		x.Extents = append(x.Extents, segment.Extent{
			Partition: p, Epoch: a.Epoch, Base: base, Next: next, Position: uint32(8 + 100*i), Length: 100, RawLength: 120,
			CRC32C: uint32(x.Slot)*31 + uint32(i), MaxTimestamp: 1_700_000_000_000 + int64(x.Slot),
		})
		x.Producers = append(x.Producers, sequence.Delta{
			Partition: p, ProducerID: int64(base % 3), FirstSequence: int32(base), Base: base, Next: next, Timestamp: int64(next),
		})
	}
	w.slots[j] = append(w.slots[j], x)
	return x
}

// move gives a partition to another journal, by a RELEASE in a slot of its own.
func (w *world) move(p topic.Partition, to topic.JournalID) {
	w.t.Helper()
	a, _ := w.state.Owner(p)
	released := w.write(a.Journal).Slot
	w.append(control.Assign{Partition: p, OldEpoch: a.Epoch, ToJournal: to, Base: w.ends[p], Released: released})
}

// seal ends a journal and gives what it owns to another.
func (w *world) seal(j, to topic.JournalID) {
	w.t.Helper()
	at, _ := w.state.Journal(j)
	r := control.JournalSealed{Journal: j, SealSlot: topic.Slot(len(w.slots[j])), Trim: at.Trim}
	for _, a := range w.state.PartitionsOf(j) {
		r.Parts = append(r.Parts, control.Reassigned{Partition: a.Partition, OldEpoch: a.Epoch, ToJournal: to, Base: w.ends[a.Partition]})
	}
	w.append(r)
	w.lag[j] = 0
}

// agent is one agent's Log, and its compactor.
type agent struct {
	*Compactor
	w       *world
	journal topic.JournalID
	lie     func(topic.JournalID, segment.SlotExtents) segment.SlotExtents // what its reading of footers makes of them
	before  func()                                                         // what happens before it proposes something
}

func (w *world) agent(j topic.JournalID, store objectstore.Store, cfg Config) *agent {
	a := &agent{w: w, journal: j}
	cfg.Journal = j
	a.Compactor = New(a, store, cfg)
	return a
}

func (a *agent) State() *control.State {
	a.w.mu.Lock()
	defer a.w.mu.Unlock()
	return a.w.state
}

func (a *agent) Propose(_ context.Context, decide func(*control.State) ([]control.Record, error)) ([]control.Outcome, error) {
	if a.before != nil {
		a.before()
	}
	a.w.mu.Lock()
	defer a.w.mu.Unlock()
	records, err := decide(a.w.state)
	if err != nil || len(records) == 0 {
		return nil, err
	}
	return a.w.decide(records), nil
}

func (a *agent) Counted(j topic.JournalID) topic.Slot {
	a.w.mu.Lock()
	defer a.w.mu.Unlock()
	return topic.Slot(max(0, len(a.w.slots[j])-a.w.lag[j]))
}

func (a *agent) Slots(_ context.Context, j topic.JournalID, from, to topic.Slot, fn func(segment.SlotExtents) error) error {
	a.w.mu.Lock()
	slots := a.w.slots[j]
	if at, ok := a.w.state.Journal(j); ok && from < at.Trim {
		a.w.t.Errorf("slot %d of journal %s is read, trim is %d", from, j, at.Trim) // what it held may be gone
	}
	a.w.mu.Unlock()
	for slot := from; slot < to; slot++ {
		if int(slot) >= len(slots) {
			return fmt.Errorf("slot %d of journal %s: %w", slot, j, slotlog.ErrHole)
		}
		x := slots[slot]
		if a.lie != nil {
			x = a.lie(j, x)
		}
		if err := fn(x); err != nil {
			return err
		}
	}
	return nil
}

// step lets something happen in the cluster.
func (w *world) step(rng *rand.Rand) {
	open := w.state.OpenJournals()
	if len(open) < 2 {
		w.openJournal()
		return
	}
	mine := open[rng.IntN(len(open))].ID
	other := open[rng.IntN(len(open))].ID
	owned := w.state.PartitionsOf(mine)
	switch n := rng.IntN(40); {
	case n == 0 && len(open) < 5:
		w.openJournal()
	case n == 1 || len(owned) == 0:
		w.createTopic(mine, other, mine)
	case n == 2 && other != mine:
		w.seal(mine, other)
	case n == 3:
		gone := owned[rng.IntN(len(owned))].Partition.Topic
		w.append(control.TopicDelete{ID: gone})
	case n < 9 && other != mine:
		w.move(owned[rng.IntN(len(owned))].Partition, other)
	case n == 9:
		w.lag[mine] = rng.IntN(4)
	case n < 13:
		w.swapIn(owned[rng.IntN(len(owned))].Partition, rng)
	default:
		var some []topic.Partition
		for _, a := range owned {
			if rng.IntN(2) == 0 {
				some = append(some, a.Partition)
			}
		}
		w.write(mine, some...)
	}
}

// swapIn compacts some extents of a partition that are in the newest verified checkpoint, and now and then the runs before
// them, which are joined or of which the log start has passed some.
func (w *world) swapIn(p topic.Partition, rng *rand.Rand) {
	newest, ok := w.state.NewestCheckpoint()
	if !ok {
		return
	}
	c := w.state.Compaction(p)
	part := control.ManifestPart{Partition: p, From: c.End}
	if len(c.Runs) > 0 && rng.IntN(2) == 0 {
		part.From = c.Runs[0].Base
		for _, r := range c.Runs {
			part.Replaces = append(part.Replaces, r.Object)
		}
	}
	var ends []topic.Offset
	for j, slots := range w.slots {
		for _, x := range slots[:min(int(newest.Next(j)), len(slots))] {
			for _, e := range x.Extents {
				if e.Partition == p && e.Next > c.End {
					ends = append(ends, e.Next)
				}
			}
		}
	}
	if len(ends) == 0 {
		return
	}
	slices.Sort(ends)
	part.To = ends[rng.IntN(len(ends))]
	output := topic.Object{Planned: w.state.Next() - 1, ID: topic.ObjectID{byte(w.state.Next()), byte(w.state.Next() >> 8)}}
	part.Run = &topic.Run{Object: output, Base: part.From, Next: part.To, Level: 1, Position: 24, Length: 100, Table: 20}
	if len(part.Replaces) > 0 && rng.IntN(3) == 0 {
		part.Run.Base = c.End
	}
	w.append(control.Manifest{Output: output, Size: 200, Parts: []control.ManifestPart{part}})
	w.swapped++
}

// truth computes what a checkpoint must hold from the control state it stands at and its slots, all at once: extents of
// topics that are not deleted, by offset.
func (w *world) truth(state *control.State, h *checkpoint.Head) map[topic.Partition]checkpoint.Row {
	type part struct {
		entry  index.Entry
		deltas []sequence.Delta
	}
	parts := make(map[topic.Partition][]part)
	for _, j := range h.Journals {
		for _, x := range w.slots[j.ID][:j.Next] {
			for _, e := range x.Extents {
				if state.TopicDeleted(e.Partition.Topic) {
					continue
				}
				one := part{entry: index.NewEntry(j.ID, x.Slot, e)}
				for _, d := range x.Producers {
					if d.Partition == e.Partition {
						one.deltas = append(one.deltas, d)
					}
				}
				parts[e.Partition] = append(parts[e.Partition], one)
			}
		}
	}
	rows := make(map[topic.Partition]checkpoint.Row)
	for p, list := range parts {
		slices.SortFunc(list, func(a, b part) int { return cmp.Compare(a.entry.Base, b.entry.Base) })
		row := checkpoint.Row{Partition: p}
		var producers sequence.State
		for _, one := range list {
			row.Entries = append(row.Entries, one.entry)
			for _, d := range one.deltas {
				producers.Apply(d)
			}
		}
		row.Producers = producers.AppendSnapshot(nil)
		rows[p] = row
	}
	return rows
}

// check asks that a checkpoint hold exactly what its slots say, all of it known to the state it stands at, and that no slot
// was left that could be taken.
func (w *world) check(state *control.State, r control.Checkpoint) *checkpoint.Head {
	w.t.Helper()
	h, err := checkpoint.ReadHead(w.t.Context(), w.bucket, r.Control, r.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	have := make(map[topic.Partition]checkpoint.Row)
	err = h.Rows(w.t.Context(), w.bucket, func(row checkpoint.Row) error { have[row.Partition] = row; return nil })
	if err != nil {
		w.t.Fatal(err)
	}
	want := w.truth(state, h)
	for _, p := range slices.SortedFunc(maps.Keys(want), comparePartitions) {
		c := state.Compaction(p)
		inSlots := slices.DeleteFunc(slices.Clone(want[p].Entries), func(e index.Entry) bool { return e.Next <= c.End })
		if at, _ := h.Partition(p); at.From != c.End || at.Start != c.Start {
			w.t.Fatalf("checkpoint at %d: rows of %s begin at %d, start at %d, want %d and %d", r.Control, p, at.From, at.Start, c.End, c.Start)
		}
		if !slices.Equal(inSlots, have[p].Entries) || !bytes.Equal(want[p].Producers, have[p].Producers) {
			w.t.Fatalf("checkpoint at %d: %s has\n%v, want\n%v", r.Control, p, have[p], want[p])
		}
		end := topic.Offset(0)
		for _, e := range want[p].Entries {
			if owner, ok := state.Owner(p); e.Base != end || !ok || e.Epoch > owner.Epoch {
				w.t.Fatalf("checkpoint at %d: %s has %v behind %d, state knows epoch %d", r.Control, p, e, end, owner.Epoch)
			}
			end = e.Next
		}
		if h.End(p) != end {
			w.t.Fatalf("checkpoint at %d: %s ends at %d, want %d", r.Control, p, h.End(p), end)
		}
	}
	if len(have) != len(want) {
		w.t.Fatalf("checkpoint at %d has %d rows, want %d", r.Control, len(have), len(want))
	}
	for j := range state.Journals() {
		to := topic.Slot(max(0, len(w.slots[j.ID])-w.lag[j.ID]))
		if next := h.Next(j.ID); next < to && fits(state, h, w.slots[j.ID][next]) {
			w.t.Fatalf("checkpoint at %d: slot %d of journal %s could be taken", r.Control, next, j.ID)
		}
	}
	return h
}

// fits says whether a slot could be taken next.
func fits(state *control.State, h *checkpoint.Head, x segment.SlotExtents) bool {
	for _, e := range x.Extents {
		if state.TopicDeleted(e.Partition.Topic) {
			continue
		}
		owner, ok := state.Owner(e.Partition)
		if !ok || e.Epoch > owner.Epoch || e.Base != h.End(e.Partition) {
			return false
		}
	}
	for _, l := range x.LogStarts {
		if l.Start > h.End(l.Partition) {
			return false
		}
	}
	return true
}
