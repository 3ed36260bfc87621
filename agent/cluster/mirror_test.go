package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/metadata/embedded"
	metaredis "github.com/odradek/odradek/metadata/redis"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/faulty"
	"github.com/odradek/odradek/objectstore/memory"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/sequence"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/test/servers"
	"github.com/odradek/odradek/topic"
)

// among is the configuration of an agent among others.
func among() Config { return Config{Window: 4, Lease: 5 * time.Second} }

// join boots an agent beside others.
func join(t *testing.T, store objectstore.Store, meta metadata.Store, mine ...*owner) *owner {
	t.Helper()
	o, err := bootOnce(t.Context(), t, among(), store, meta, func(j topic.JournalID) bool {
		for _, m := range mine {
			if m.Journal() == j {
				return true
			}
		}
		return false
	})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// propose appends a record that must hold.
func (o *owner) must(t *testing.T, r control.Record) {
	t.Helper()
	if _, err := o.propose(t.Context(), func(*control.State) (control.Record, error) { return r, nil }); err != nil {
		t.Fatal(err)
	}
}

// topicAt makes a topic that the journal owns whole.
func (o *owner) topicAt(t *testing.T, name string, partitions int) []topic.Partition {
	t.Helper()
	id := newTopicID()
	r := control.TopicCreate{ID: id, Name: name}
	var ps []topic.Partition
	for i := range partitions {
		r.Journals = append(r.Journals, o.Journal())
		ps = append(ps, topic.Partition{Topic: id, Index: int32(i)})
	}
	o.must(t, r)
	return ps
}

// producersOf is what the producer of write has left in a partition that ends there.
func producersOf(p topic.Partition, end topic.Offset) *sequence.State {
	s := new(sequence.State)
	for base := range end {
		s.Apply(sequence.Delta{Partition: p, ProducerID: 5, FirstSequence: int32(base), Base: base, Next: base + 1})
	}
	return s
}

// give moves partitions by a RELEASE and an ASSIGN, as an owner does (M1).
func (o *owner) give(t *testing.T, store objectstore.Store, to *owner, ps ...topic.Partition) {
	t.Helper()
	var f segment.Footer
	var as []control.Assign
	for _, p := range ps {
		a, _ := o.State().Owner(p)
		f.Releases = append(f.Releases, segment.Release{
			Partition: p, Epoch: a.Epoch, End: o.next[p], ProducerState: producersOf(p, o.next[p]).AppendSnapshot(nil),
		})
		if start := o.begins(p); start > 0 {
			f.LogStarts = append(f.LogStarts, segment.LogStart{Partition: p, Start: start})
		}
		as = append(as, control.Assign{Partition: p, OldEpoch: a.Epoch, ToJournal: to.Journal(), Base: o.next[p], Released: o.slot})
	}
	o.count(t, store, f, nil)
	for _, a := range as {
		o.must(t, a)
		to.next[a.Partition] = a.Base
	}
	if err := to.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// openEra names an era in the control log and opens it in the store, all slots so far indexed.
func openEra(t *testing.T, meta metadata.Store, os ...*owner) metadata.Pin {
	t.Helper()
	ctx := t.Context()
	o := os[0]
	runID, replicationID, err := meta.Identity(ctx)
	if err != nil {
		t.Fatal(err)
	}
	number := int32(1)
	if newest, ok := o.State().NewestEra(); ok {
		number = newest.Number + 1
	}
	o.must(t, control.Era{Number: number, RunID: runID, ReplicationID: replicationID})
	newest, _ := o.State().NewestEra()
	pin := pinOf(newest)
	steps := []error{
		meta.Begin(ctx, pin), meta.Load(ctx, pin, stateEffects(o.State(), nil)), meta.Loaded(ctx, pin, o.State().Next()-1),
	}
	for _, o := range os {
		steps = append(steps, o.CatchUp(ctx), meta.Reattach(ctx, pin, o.Journal(), 0))
	}
	var expected []metadata.Expected
	for _, o := range os {
		expected = append(expected, metadata.Expected{Journal: o.Journal()})
	}
	steps = append(steps, meta.Open(ctx, pin, o.State().Next()-1, expected))
	if err := errors.Join(steps...); err != nil {
		t.Fatal(err)
	}
	return pin
}

// publish indexes an agent's own slots up to end.
func (o *owner) publish(t *testing.T, pin metadata.Pin, end topic.Slot) {
	t.Helper()
	ctx := t.Context()
	applied, err := o.meta.Applied(ctx, pin)
	if err != nil {
		t.Fatal(err)
	}
	if effects, ok := o.effects.after(applied); ok && len(effects) > 0 {
		if _, err := o.meta.Apply(ctx, pin, applied+1, effects); err != nil {
			t.Fatal(err)
		}
	}
	status, err := o.meta.Current(ctx, pin.Era)
	if err != nil {
		t.Fatal(err)
	}
	var segments []metadata.Segment
	err = o.slots(ctx, o.Journal(), status.Journals[o.Journal()].Next, end, func(x segment.SlotExtents) error {
		segments = append(segments, segmentOf(o.Journal(), x))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	outcomes, err := o.meta.Index(ctx, pin, o.State().Next()-1, segments)
	if err != nil || len(outcomes) != len(segments) || len(outcomes) > 0 && outcomes[len(outcomes)-1] != metadata.Indexed {
		t.Fatalf("%v, %v", outcomes, err)
	}
}

// seal makes another agent end the journal, give all it owns away and tell its end.
func (o *owner) sealedBy(t *testing.T, store objectstore.Store, by *owner) (seal topic.Slot, ends map[topic.Partition]topic.Offset) {
	t.Helper()
	seal, err := slotlog.SealJournal(t.Context(), store, o.Journal(), o.slot, "test")
	if err != nil || seal != o.slot {
		t.Fatal(seal, err)
	}
	if err := by.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	ends, err = by.readToSeal(t.Context(), o.Journal(), seal)
	if err != nil {
		t.Fatal(err)
	}
	j, _ := by.State().Journal(o.Journal())
	r := control.JournalSealed{Journal: o.Journal(), SealSlot: seal, Trim: j.Trim}
	for _, a := range by.State().PartitionsOf(o.Journal()) {
		base := max(a.Base, ends[a.Partition])
		r.Parts = append(r.Parts, control.Reassigned{Partition: a.Partition, OldEpoch: a.Epoch, ToJournal: by.Journal(), Base: base})
		by.next[a.Partition] = base
	}
	by.must(t, r)
	return seal, ends
}

func (o *owner) sees(p topic.Partition) topic.Offset {
	_, end := o.log.Bounds(p)
	return end
}

func TestBoot_PartitionThatMovedToAndFroIsReadInItsOwnOrder(t *testing.T) {
	store, meta := memory.New(), embedded.Open()
	a := join(t, store, meta)
	b := join(t, store, meta)
	if err := a.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	p, q := a.topicAt(t, "wanders", 1)[0], a.topicAt(t, "stays", 1)[0]
	from, to := a, b
	for range 6 {
		for range 3 {
			from.write(t, store, p)
			a.write(t, store, q)
		}
		from.give(t, store, to, p)
		from, to = to, from
	}
	c := join(t, store, meta, a, b)
	h := c.opened.History
	for of, end := range map[topic.Partition]topic.Offset{p: 18, q: 18} {
		if h.Ends[of] != end || h.Stands[of] != end || c.sees(of) != end {
			t.Errorf("%s ends at %d, stands at %d, is seen to %d; want %d", of, h.Ends[of], h.Stands[of], c.sees(of), end)
		}
		if diff := cmp.Diff(producersOf(of, end).AppendSnapshot(nil), h.Producers[of].AppendSnapshot(nil)); diff != "" {
			t.Errorf("producers of %s: %s", of, diff)
		}
		if o, _ := c.State().Owner(of); o.Journal != c.Journal() || o.Base != end {
			t.Errorf("%s is assigned as %+v", of, o)
		}
		a, _ := c.State().Owner(of)
		if known, ok := c.Known(a); !ok || !isAt(&known.Producers, of, end) {
			t.Errorf("%s is not known at once", of)
		}
	}
}

// isAt says whether producer state is that of write after all below end: the newest batch is a duplicate, and the next one
// is what comes next.
func isAt(s *sequence.State, p topic.Partition, end topic.Offset) bool {
	batch := func(base topic.Offset) sequence.Delta {
		return sequence.Delta{Partition: p, ProducerID: 5, FirstSequence: int32(base), Base: 0, Next: 1}
	}
	next, err := s.Check(batch(end))
	if err != nil || next.Duplicate || end == 0 {
		return err == nil && end == 0
	}
	newest, err := s.Check(batch(end - 1))
	return err == nil && newest.Duplicate && newest.Base == end-1
}

// What an open journal of another agent wrote is not there yet: a boot goes on without, and the mirror brings it.
func TestBoot_GapOfAnOpenJournalIsFilledLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, meta := memory.New(), embedded.Open()
		a := join(t, store, meta)
		b := join(t, store, meta)
		p := b.topicAt(t, "wanders", 1)[0]
		if err := a.CatchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.must(t, control.Assign{Partition: p, ToJournal: a.Journal()})
		if err := a.CatchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		a.write(t, store, p)
		a.give(t, store, b, p)
		b.write(t, store, p)
		b.write(t, store, p)
		b.give(t, store, a, p)
		a.write(t, store, p)
		c := join(t, store, meta, a)
		if h := c.opened.History; h.Ends[p] != 4 || h.Stands[p] != 1 || c.sees(p) != 1 || !isAt(h.Producers[p], p, 1) {
			t.Fatalf("ends at %d, stands at %d, seen to %d; want 4, 1, 1", h.Ends[p], h.Stands[p], c.sees(p))
		}
		owned, _ := c.State().Owner(p)
		if owned.Base != 4 {
			t.Fatalf("assigned as %+v, want base 4", owned)
		}
		if _, ok := c.Known(owned); ok {
			t.Error("known, although the log between is not")
		}
		if err := b.CatchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.running(t, c.Mirror)
		b.sealedBy(t, store, c)
		time.Sleep(2 * time.Second)
		if end := c.sees(p); end != 4 {
			t.Errorf("seen to %d once the journal between is sealed, want 4", end)
		}
	})
}

func TestBoot_HoleThatNoOpenJournalCanFillIsCorruption(t *testing.T) {
	store, meta := memory.New(), embedded.Open()
	a := join(t, store, meta)
	p := a.topicAt(t, "holey", 1)[0]
	a.write(t, store, p)
	a.next[p]++
	a.write(t, store, p)
	_, err := bootOnce(t.Context(), t, among(), store, meta, func(j topic.JournalID) bool { return j == a.Journal() })
	if !errors.Is(err, segment.ErrCorrupt) {
		t.Errorf("%v, want ErrCorrupt", err)
	}
}

// What others indexed is seen after a read that began later; own slots are not read, and an era that is not open, or in
// another Redis, says nothing.
func TestSyncIndex_SeesWhatWasIndexedBefore(t *testing.T) {
	store, meta := memory.New(), embedded.Open()
	a := join(t, store, meta)
	b := join(t, store, meta)
	ps := a.topicAt(t, "orders", 2)
	if err := b.SyncIndex(t.Context(), time.Now()); !errors.Is(err, metadata.ErrNotOpen) {
		t.Errorf("without an era: %v, want ErrNotOpen", err)
	}
	if err := a.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	pin := openEra(t, meta, a, b)
	for i := range 300 {
		a.write(t, store, ps[i%2])
	}
	a.publish(t, pin, 200)
	if err := b.SyncIndex(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if b.sees(ps[0]) != 100 || b.sees(ps[1]) != 100 {
		t.Errorf("seen to %d and %d, want what was indexed: 100", b.sees(ps[0]), b.sees(ps[1]))
	}
	a.publish(t, pin, 300)
	if err := b.SyncIndex(t.Context(), time.Now()); err != nil || b.sees(ps[0]) != 150 {
		t.Errorf("seen to %d, %v; want 150", b.sees(ps[0]), err)
	}
	a.must(t, control.TopicDelete{ID: ps[0].Topic})
	if err := b.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.must(t, control.Era{Number: 2, RunID: "another"})
	if err := b.SyncIndex(t.Context(), time.Now()); err != nil {
		t.Errorf("the newest era that was read is open: %v", err)
	}
	if err := b.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.SyncIndex(t.Context(), time.Now()); !errors.Is(err, metadata.ErrEra) {
		t.Errorf("the newest era is in another Redis: %v, want ErrEra", err)
	}
}

// What is remembered of a topic goes some time after the topic does.
// Others indexed a slot of this agent's journal that it was not told of: they have sealed it. It must not answer as if it
// knew all that they show (I7).
func TestSyncIndex_AnAgentThatWasTakenOverDoesNotAnswer(t *testing.T) {
	store, meta := memory.New(), embedded.Open()
	a := join(t, store, meta)
	pin := openEra(t, meta, a)
	if err := a.SyncIndex(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	slot := metadata.Segment{Journal: a.Journal(), Slot: a.index.counted()}
	if out, err := meta.Index(t.Context(), pin, a.State().Next()-1, []metadata.Segment{slot}); err != nil || out[0] != metadata.Indexed {
		t.Fatal(out, err)
	}
	if err := a.SyncIndex(t.Context(), time.Now()); !errors.Is(err, errBehindOwn) {
		t.Errorf("%v, want errBehindOwn", err)
	}
}

// Redis holds slots of a journal that was opened since this agent read the control log last, and other agents show them. It
// reads the control log first, and does not answer as if it knew all while it cannot (I7).
func TestSyncIndex_KnowsTheJournalsThatRedisKnows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, meta := memory.New(), embedded.Open()
		away := faulty.New(store, nil)
		a, b := join(t, store, meta), join(t, away, meta)
		ps := a.topicAt(t, "orders", 1)
		if err := a.CatchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		pin := openEra(t, meta, a, b)
		a.write(t, store, ps[0])
		a.publish(t, pin, a.slot)
		if err := b.SyncIndex(t.Context(), time.Now()); err != nil || b.sees(ps[0]) != 1 {
			t.Errorf("%v, seen to %d, want 1", err, b.sees(ps[0]))
		}
		away.Cut()
		time.Sleep(time.Millisecond)
		c := join(t, store, meta)
		if err := a.CatchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		a.give(t, store, c, ps[0])
		c.write(t, store, ps[0])
		a.publish(t, pin, a.slot)
		c.publish(t, pin, c.slot)
		if err := b.SyncIndex(t.Context(), time.Now()); err == nil {
			t.Errorf("the new journal is not known and nothing is said, seen to %d", b.sees(ps[0]))
		}
		away.Mend()
		time.Sleep(time.Second)
		if err := b.SyncIndex(t.Context(), time.Now()); err != nil || b.sees(ps[0]) != 2 {
			t.Errorf("%v, seen to %d, want 2", err, b.sees(ps[0]))
		}
	})
}

func TestMirror_DeletedTopicsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, meta := memory.New(), embedded.Open()
		a := join(t, store, meta)
		b := join(t, store, meta)
		if err := a.CatchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		gone, stays := a.topicAt(t, "gone", 1)[0], a.topicAt(t, "stays", 1)[0]
		pin := openEra(t, meta, a, b)
		b.running(t, b.Mirror)
		a.write(t, store, gone, stays)
		a.give(t, store, b, gone, stays)
		a.publish(t, pin, a.slot)
		b.gains(t, gone)
		b.gains(t, stays)
		a.must(t, control.TopicDelete{ID: gone.Topic})
		if err := b.CatchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * mirrorTidy)
		remembered := b.past.get(stays)
		b.past.mu.Lock()
		defer b.past.mu.Unlock()
		b.mirror.mu.Lock()
		defer b.mirror.mu.Unlock()
		if len(b.past.states) != 1 || remembered.at != 1 {
			t.Errorf("%d partitions are remembered, want that of the topic that is there", len(b.past.states))
		}
		if ends := b.mirror.journals[a.Journal()].ends; len(ends) != 1 || ends[stays] != 1 {
			t.Errorf("ends %v", ends)
		}
	})
}

// counting counts reads of the index.
type counting struct {
	metadata.Store
	mu    sync.Mutex
	reads int
	took  time.Duration
}

func (c *counting) Segments(ctx context.Context, pin metadata.Pin, from []metadata.Cursor, limit int) ([]metadata.Segment, error) {
	time.Sleep(c.took)
	c.mu.Lock()
	c.reads++
	c.mu.Unlock()
	return c.Store.Segments(ctx, pin, from, limit)
}

func TestSyncIndex_OneReadServesAllThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, meta := memory.New(), &counting{Store: embedded.Open(), took: time.Second}
		a := join(t, store, meta)
		openEra(t, meta, a)
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * time.Millisecond)
				asked := time.Now()
				if err := a.SyncIndex(t.Context(), asked); err != nil {
					t.Error(err)
				}
				a.mirror.mu.Lock()
				defer a.mirror.mu.Unlock()
				if a.mirror.mirrored.Before(asked) {
					t.Error("served by a read that began before it was asked for")
				}
			})
		}
		gone, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if err := a.SyncIndex(gone, time.Now()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("who does not wait is told %v", err)
		}
		wg.Wait()
		if meta.reads > 3 {
			t.Errorf("%d reads, want one for those that wait for the next", meta.reads)
		}
	})
}

func TestSyncIndex_RealRedis(t *testing.T) {
	server := servers.OwnRedis(t)
	meta, err := metaredis.Open(t.Context(), metaredis.Config{URL: server.URL(), Cluster: "mirror"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { meta.Close() })
	store := memory.New()
	a := join(t, store, meta)
	b := join(t, store, meta)
	p := a.topicAt(t, "orders", 1)[0]
	if err := a.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	pin := openEra(t, meta, a, b)
	b.running(t, b.Mirror)
	for range 70 {
		a.write(t, store, p)
	}
	a.publish(t, pin, 70)
	if err := b.SyncIndex(t.Context(), time.Now()); err != nil || b.sees(p) != 70 {
		t.Errorf("seen to %d, %v; want 70", b.sees(p), err)
	}
	a.write(t, store, p)
	a.publish(t, pin, 71)
	for until := time.Now().Add(10 * time.Second); b.sees(p) != 71; time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("the mirror sees %d, want 71", b.sees(p))
		}
	}
	server.Kill()
	if err := b.SyncIndex(t.Context(), time.Now()); !errors.Is(err, metadata.ErrUnavailable) {
		t.Errorf("with Redis gone: %v, want ErrUnavailable", err)
	}
	server.Restart()
	for until := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		err := b.SyncIndex(t.Context(), time.Now())
		if errors.Is(err, metadata.ErrEra) {
			break
		}
		if time.Now().After(until) {
			t.Fatalf("another Redis process: %v, want ErrEra", err)
		}
	}
}

// A journal is sealed while the mirror lags: its footers bring the rest, with Redis and without it.
func TestMirror_SealedJournalIsReadFromTheBucket(t *testing.T) {
	for name, indexed := range map[string]topic.Slot{"nothing indexed": 0, "some indexed": 100, "all indexed": 150} {
		for _, away := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, Redis away %v", name, away), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					store, meta := memory.New(), &redis{Store: embedded.Open()}
					a := join(t, store, meta)
					b := join(t, store, meta)
					c := join(t, store, meta)
					if err := a.CatchUp(t.Context()); err != nil {
						t.Fatal(err)
					}
					ps := a.topicAt(t, "orders", 2)
					pin := openEra(t, meta, a, b, c)
					c.running(t, c.Mirror)
					c.running(t, c.Follow)
					for i := range 150 {
						a.write(t, store, ps[i%2])
					}
					a.publish(t, pin, indexed)
					time.Sleep(time.Second)
					if end := c.sees(ps[0]); end != topic.Offset(indexed/2) {
						t.Errorf("seen to %d before the seal, want what was indexed: %d", end, indexed/2)
					}
					meta.away.Store(away)
					a.sealedBy(t, store, b)
					time.Sleep(7 * time.Second)
					if c.sees(ps[0]) != 75 || c.sees(ps[1]) != 75 {
						t.Errorf("seen to %d and %d, want 75", c.sees(ps[0]), c.sees(ps[1]))
					}
					c.mirror.mu.Lock()
					defer c.mirror.mu.Unlock()
					if n := len(c.mirror.journals); n != 1 {
						t.Errorf("%d journals are followed, want the open one", n)
					}
				})
			})
		}
	}
}

// The base of the next epoch: every partition that the journal owned when it was sealed, wherever its last records lie,
// whether Redis told of them or not.
func TestReadToSeal_EveryPartitionEndsWhereItsLastExtentDoes(t *testing.T) {
	for _, end := range []int{5, 62, 63, 64, 65, 130, 192} {
		for name, indexed := range map[string]int{"no Redis": -1, "nothing indexed": 0, "half indexed": end / 2, "all indexed": end} {
			t.Run(fmt.Sprintf("%d slots, %s", end, name), func(t *testing.T) {
				store, meta := memory.New(), &redis{Store: embedded.Open()}
				a := join(t, store, meta)
				b := join(t, store, meta)
				if err := a.CatchUp(t.Context()); err != nil {
					t.Fatal(err)
				}
				ps := a.topicAt(t, "orders", 4)
				pin := openEra(t, meta, a, b)
				a.write(t, store, ps[0]) // and never again
				a.write(t, store, ps[2])
				a.give(t, store, b, ps[2]) // released
				for int(a.slot) < end {
					a.write(t, store, ps[1])
				}
				if indexed >= 0 {
					a.publish(t, pin, topic.Slot(indexed))
					if err := b.SyncIndex(t.Context(), time.Now()); err != nil {
						t.Fatal(err)
					}
				} else {
					meta.away.Store(true)
				}
				_, ends := a.sealedBy(t, store, b)
				want := maps.Clone(a.next)
				for p, at := range want {
					if ends[p] != at {
						t.Errorf("%s ends at %d, want %d", p, ends[p], at)
					}
				}
				if again, err := b.readToSeal(t.Context(), a.Journal(), a.slot); err != nil || len(again) != 0 {
					t.Errorf("of a journal that is sealed in the control state: %v, %v", again, err)
				}
			})
		}
	}
}

// An agent that ends its own journal and was not told of its last slots reads them.
func TestReadToSeal_OwnJournal(t *testing.T) {
	store, meta := memory.New(), embedded.Open()
	a := join(t, store, meta)
	ps := a.topicAt(t, "orders", 2)
	for range 70 {
		a.write(t, store, ps[0])
	}
	seal := a.slot
	a.write(t, store, ps[1])
	log := newLedger() // what is visible before the answer to the last PUT
	err := a.slots(t.Context(), a.Journal(), 0, seal, func(x segment.SlotExtents) error {
		return log.Add(a.Journal(), x)
	})
	if err != nil {
		t.Fatal(err)
	}
	a.log, a.index.end = log, seal
	ends, err := a.readToSeal(t.Context(), a.Journal(), seal+1)
	if err != nil || ends[ps[0]] != 70 || ends[ps[1]] != 1 {
		t.Errorf("%v, %v; want 70, and the last slot read: 1", ends, err)
	}
}
