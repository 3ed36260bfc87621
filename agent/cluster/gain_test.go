package cluster

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/metadata/embedded"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/faulty"
	"github.com/odradek/odradek/objectstore/memory"
	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/sequence"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

// gains gains a partition for its newest owner.
func (o *owner) gains(t *testing.T, p topic.Partition) Taken {
	t.Helper()
	a, ok := o.State().Owner(p)
	if !ok || a.Journal != o.Journal() {
		t.Fatalf("%s is assigned as %+v", p, a)
	}
	taken, err := o.Gained(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	if end := o.sees(p); end != a.Base {
		t.Errorf("%s is gained and seen to %d, base %d", p, end, a.Base)
	}
	return taken
}

func footerReadsOf(s *faulty.Store) (n int) {
	for _, c := range s.Calls() {
		if c.Kind == objectstore.KindGetRange {
			n++
		}
	}
	return n
}

// After a takeover the producers are those of the log, exactly, whatever knew of them before: a duplicate is found, the
// next sequence is taken. What is read is the footers between what was known and the base.
func TestGained_ProducersAreExactFromEverySource(t *testing.T) {
	const end = 150
	copyAt := func(at, says topic.Offset) func(*testing.T, *owner, metadata.Pin, topic.Partition) {
		return func(t *testing.T, o *owner, pin metadata.Pin, p topic.Partition) {
			c := metadata.Copy{Kind: metadata.CopyProducer, Partition: p, Position: says, Value: producersOf(p, at).AppendSnapshot(nil)}
			if err := o.meta.Put(t.Context(), pin, []metadata.Copy{c}); err != nil {
				t.Fatal(err)
			}
		}
	}
	remembers := func(at topic.Offset) func(*testing.T, *owner, metadata.Pin, topic.Partition) {
		return func(_ *testing.T, o *owner, _ metadata.Pin, p topic.Partition) { o.past.set(p, at, producersOf(p, at)) }
	}
	for name, c := range map[string]struct {
		known []func(*testing.T, *owner, metadata.Pin, topic.Partition)
		reads int // of footers, to find the producers
	}{
		"nothing":                         {nil, 2 + end - 128},
		"a copy":                          {known(copyAt(140, 140)), end - 140},
		"a copy at the base":              {known(copyAt(end, end)), 0},
		"a copy of what is behind":        {known(copyAt(end, end+5)), 2 + end - 128},
		"a copy that is none":             {known(broken), 2 + end - 128},
		"a boot":                          {known(remembers(145)), end - 145},
		"a boot at the base":              {known(remembers(end)), 0},
		"a boot, and a newer copy":        {known(remembers(20), copyAt(149, 149)), 1},
		"a copy, and a newer boot":        {known(remembers(149), copyAt(20, 20)), 1},
		"what is remembered is too new":   {known(remembers(end + 1)), 2 + end - 128},
		"a copy amid a summary's 64":      {known(copyAt(100, 100)), 1 + end - 128},
		"a copy just before a summary":    {known(copyAt(126, 126)), 2 + end - 128},
		"a copy of no producers, at none": {known(copyAt(0, 0)), 2 + end - 128},
	} {
		t.Run(name, func(t *testing.T) {
			store, meta := faulty.New(memory.New(), nil), embedded.Open()
			a := join(t, store, meta)
			b := join(t, store, meta)
			if err := a.CatchUp(t.Context()); err != nil {
				t.Fatal(err)
			}
			p := a.topicAt(t, "orders", 1)[0]
			pin := openEra(t, meta, a, b)
			for range end {
				a.write(t, store, p)
			}
			a.publish(t, pin, end)
			if err := b.SyncIndex(t.Context(), time.Now()); err != nil {
				t.Fatal(err)
			}
			a.sealedBy(t, store, b)
			for _, f := range c.known {
				f(t, b, pin, p)
			}
			before := footerReadsOf(store)
			taken := b.gains(t, p)
			if !isAt(&taken.Producers, p, end) {
				t.Error("the producers are not those of the log")
			}
			if n := footerReadsOf(store) - before; n != c.reads {
				t.Errorf("%d footers read, want %d", n, c.reads)
			}
			before = footerReadsOf(store)
			if taken := b.gains(t, p); !isAt(&taken.Producers, p, end) || footerReadsOf(store) != before {
				t.Errorf("gained again: %d footers read", footerReadsOf(store)-before)
			}
			taken.Producers.Apply(sequence.Delta{Partition: p, ProducerID: 5, FirstSequence: end, Base: end, Next: end + 1})
			owned, _ := b.State().Owner(p)
			if again, ok := b.Known(owned); !ok || !isAt(&again.Producers, p, end) {
				t.Error("what was gained changes with what its owner does")
			}
		})
	}
}

func known(f ...func(*testing.T, *owner, metadata.Pin, topic.Partition)) []func(*testing.T, *owner, metadata.Pin, topic.Partition) {
	return f
}

func broken(t *testing.T, o *owner, pin metadata.Pin, p topic.Partition) {
	c := metadata.Copy{Kind: metadata.CopyProducer, Partition: p, Position: 140, Value: []byte("?")}
	if err := o.meta.Put(t.Context(), pin, []metadata.Copy{c}); err != nil {
		t.Fatal(err)
	}
}

// A planned move: the RELEASE has it all, at one read for all partitions of the slot.
func TestGained_ReleaseIsAllThatIsRead(t *testing.T) {
	store, meta := faulty.New(memory.New(), nil), embedded.Open()
	a := join(t, store, meta)
	b := join(t, store, meta)
	if err := a.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	ps := a.topicAt(t, "orders", 20)
	pin := openEra(t, meta, a, b)
	for range 10 {
		a.write(t, store, ps...)
	}
	a.give(t, store, b, ps...)
	a.publish(t, pin, a.slot)
	if err := b.SyncIndex(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	before := footerReadsOf(store)
	for _, p := range ps {
		if taken := b.gains(t, p); !isAt(&taken.Producers, p, 10) {
			t.Errorf("producers of %s are not those of the RELEASE", p)
		}
	}
	if n := footerReadsOf(store) - before; n != 1 {
		t.Errorf("%d footers read for 20 partitions of one RELEASE, want 1", n)
	}
}

// What is kept of footers is what producers did: the room that extents would take is many slots'.
func TestGained_KeepsNoExtentsOfFooters(t *testing.T) {
	store := memory.New()
	o := boot(t, store, embedded.Open())
	ps := o.topicOf(t, "orders", 3)
	for range segment.SummaryEvery {
		o.write(t, store, ps...)
	}
	for _, s := range []stretch{{0, 1}, {0, segment.SummaryEvery}} {
		read, err := o.footers(t.Context(), o.Journal(), s)
		if err != nil || len(read.slots) != int(s.to-s.from) {
			t.Fatalf("%d slots, %v", len(read.slots), err)
		}
		for _, x := range read.slots {
			if len(x.Extents) != 0 || len(x.Producers) != len(ps) {
				t.Errorf("slot %d keeps %d extents and what %d producers did, want %d", x.Slot, len(x.Extents), len(x.Producers), len(ps))
			}
		}
	}
}

// The slot that ASSIGN names holds no RELEASE of this epoch: the log tells as much.
func TestGained_WithoutItsReleaseTheLogTells(t *testing.T) {
	store, meta := memory.New(), embedded.Open()
	a := join(t, store, meta)
	b := join(t, store, meta)
	if err := a.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	p := a.topicAt(t, "orders", 1)[0]
	pin := openEra(t, meta, a, b)
	for range 10 {
		a.write(t, store, p)
	}
	a.must(t, control.Assign{Partition: p, ToJournal: b.Journal(), Base: 10, Released: 3})
	a.publish(t, pin, a.slot)
	if err := b.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if taken := b.gains(t, p); !isAt(&taken.Producers, p, 10) {
		t.Error("the producers are not those of the log")
	}
}

// With Redis away a planned move goes on: the footers of the owner before tell what is missing, a whole backlog of them,
// through journals that the partition went to and fro between. Partitions of others stay as Redis has them (I7).
func TestGained_RedisAway(t *testing.T) {
	store, meta := memory.New(), &redis{Store: embedded.Open()}
	a := join(t, store, meta)
	b := join(t, store, meta)
	if err := a.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	p, stays := a.topicAt(t, "wanders", 1)[0], a.topicAt(t, "stays", 1)[0]
	pin := openEra(t, meta, a, b)
	a.write(t, store, p, stays)
	a.publish(t, pin, 1)
	if err := b.SyncIndex(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	meta.away.Store(true)
	from, to := a, b
	for round := range 5 {
		for range 80 {
			from.write(t, store, p)
			a.write(t, store, stays)
		}
		from.give(t, store, to, p)
		if taken := to.gains(t, p); !isAt(&taken.Producers, p, to.next[p]) {
			t.Fatalf("round %d: the producers are not those of the log", round)
		}
		from, to = to, from
	}
	if end := b.sees(stays); end != 1 {
		t.Errorf("the other's partition is seen to %d, Redis has told of 1", end)
	}
	c := join(t, store, meta)
	if err := errors.Join(a.CatchUp(t.Context()), b.CatchUp(t.Context())); err != nil {
		t.Fatal(err)
	}
	from.give(t, store, c, p)
	if taken := c.gains(t, p); !isAt(&taken.Producers, p, c.next[p]) {
		t.Error("who came last has other producers")
	}
	meta.away.Store(false)
	a.publish(t, pin, 1)
	if err := b.SyncIndex(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if end := b.sees(p); end != c.next[p] {
		t.Errorf("seen to %d after all, want %d", end, c.next[p])
	}
}

// A journal may be sealed long before the control log says so, by one who was held up, and its owner may live on and not notice
// while it has nothing to write: what was given away before is gained all the same.
func TestGained_SealThatTheControlLogDoesNotTellOf(t *testing.T) {
	for name, released := range map[string]bool{"from the release": true, "from the log": false} {
		t.Run(name, func(t *testing.T) {
			store, meta := memory.New(), &redis{Store: embedded.Open()}
			a := join(t, store, meta)
			b := join(t, store, meta)
			c := join(t, store, meta)
			for _, o := range []*owner{a, b} {
				if err := o.CatchUp(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			p := a.topicAt(t, "orders", 1)[0]
			for range 10 {
				a.write(t, store, p)
			}
			a.raise(t, store, p, 7)
			if released {
				a.give(t, store, b, p)
			} else { // there is no release in that slot
				a.must(t, control.Assign{Partition: p, ToJournal: b.Journal(), Base: 10, Released: 3})
				b.next[p] = 10
				if err := b.CatchUp(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			seal, err := slotlog.SealJournal(t.Context(), store, a.Journal(), 0, "held up")
			if err != nil || seal != a.slot {
				t.Fatalf("sealed at slot %d, %v", seal, err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			for _, o := range []*owner{b, c} {
				now := mustOwner(t, o, p)
				taken, err := o.Gained(ctx, now)
				if err != nil {
					t.Fatal(err)
				}
				if !isAt(&taken.Producers, p, now.Base) {
					t.Error("the producers are not those of the log")
				}
				if got := o.begins(p); got != 7 {
					t.Errorf("begins at %d, want 7", got)
				}
				if o == b {
					b.write(t, store, p)
					b.sealedBy(t, store, c)
				}
			}
		})
	}
}

// That a journal ends at a slot is believed only of the whole object: a trailer does not show damage on its way, and log starts
// may lie behind it (S1).
func TestGained_TrailerThatIsDamagedOnItsWayEndsNoJournal(t *testing.T) {
	whole := memory.New()
	var key string
	store := faulty.New(whole, func(c faulty.Call) faulty.Fault {
		if c.Kind != objectstore.KindGetRange || c.Key != key || c.OfKey != 1 {
			return faulty.Fault{}
		}
		return faulty.Fault{Mangle: sealedTrailer}
	})
	a := join(t, whole, &redis{Store: embedded.Open()})
	b := join(t, store, a.meta)
	for _, o := range []*owner{a, b} {
		if err := o.CatchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	p := a.topicAt(t, "orders", 1)[0]
	for range 10 {
		a.write(t, whole, p)
	}
	a.raise(t, whole, p, 7)
	key = slotlog.JournalKey(a.Journal(), a.slot-1)
	a.give(t, whole, b, p)
	if b.gains(t, p); b.begins(p) != 7 {
		t.Errorf("begins at %d, want 7", b.begins(p))
	}
}

// sealedTrailer makes the trailer of a slot that holds data say that it is a seal.
func sealedTrailer(b []byte) []byte {
	b = bytes.Clone(b)
	b[len(b)-slotlog.TrailerSize+8] ^= byte(slotlog.Data ^ slotlog.Seal)
	return b
}

// An epoch of a journal that is sealed, which the control log does not say, ends at the seal.
func TestReadEpoch_SealThatTheControlLogDoesNotTellOf(t *testing.T) {
	store, meta := memory.New(), embedded.Open()
	a := join(t, store, meta)
	b := join(t, store, meta)
	if err := a.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	p := a.topicAt(t, "orders", 1)[0]
	for range 3 {
		a.write(t, store, p)
	}
	if err := b.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := slotlog.SealJournal(t.Context(), store, a.Journal(), 0, "held up"); err != nil {
		t.Fatal(err)
	}
	slots := 0
	err := b.readEpoch(t.Context(), mustOwner(t, b, p), 0, func(segment.SlotExtents) (bool, error) { slots++; return false, nil })
	if err != nil || slots != int(a.slot) {
		t.Errorf("%d slots, %v; want %d", slots, err, a.slot)
	}
}

// While the bucket is away a partition waits; it is taken over when the bucket is back, given up when it is assigned on.
func TestGained_BucketAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		below := memory.New()
		store, meta := faulty.New(below, nil), embedded.Open()
		a := join(t, below, meta)
		b := join(t, store, meta)
		if err := a.CatchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		ps := a.topicAt(t, "orders", 3)
		a.write(t, below, ps...)
		a.give(t, below, b, ps...)
		store.Cut()
		type result struct {
			taken Taken
			err   error
		}
		results := make([]chan result, 3)
		var wg sync.WaitGroup
		defer wg.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		for i, p := range ps {
			results[i] = make(chan result, 1)
			owned, _ := b.State().Owner(p)
			in := t.Context()
			if i == 2 {
				in = ctx
			}
			wg.Go(func() {
				taken, err := b.Gained(in, owned)
				results[i] <- result{taken, err}
			})
		}
		time.Sleep(10 * time.Minute)
		for i := range results {
			if len(results[i]) > 0 {
				t.Fatalf("%d: %+v while the bucket is away", i, <-results[i])
			}
		}
		cancel()
		if r := <-results[2]; !errors.Is(r.err, context.Canceled) {
			t.Errorf("who gave up is told %v", r.err)
		}
		a.must(t, control.Assign{Partition: ps[1], OldEpoch: 1, ToJournal: a.Journal(), Base: 1})
		payload, err := slotlog.ReadControl(t.Context(), below, b.State().Next())
		if err != nil {
			t.Fatal(err)
		}
		if err := b.applyPayload(b.State().Next(), payload); err != nil {
			t.Fatal(err)
		}
		if r := <-results[1]; !errors.Is(r.err, ErrMoved) {
			t.Errorf("of a partition that was assigned on: %v, want ErrMoved", r.err)
		}
		store.Mend()
		if r := <-results[0]; r.err != nil || !isAt(&r.taken.Producers, ps[0], 1) {
			t.Errorf("once the bucket is back: %v", r.err)
		}
	})
}

// The owner before has not released all that ASSIGN says yet, as far as the bucket shows: nothing is taken over short of
// the base.
func TestGained_WaitsForTheBase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, meta := memory.New(), embedded.Open()
		a := join(t, store, meta)
		b := join(t, store, meta)
		if err := a.CatchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		p := a.topicAt(t, "orders", 1)[0]
		a.write(t, store, p)
		a.must(t, control.Assign{Partition: p, ToJournal: b.Journal(), Base: 2, Released: 5})
		if err := b.CatchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		owned, _ := b.State().Owner(p)
		done := make(chan error, 1)
		go func() {
			taken, err := b.Gained(t.Context(), owned)
			if err == nil && !isAt(&taken.Producers, p, 2) {
				err = errors.New("the producers are not those of the log")
			}
			done <- err
		}()
		time.Sleep(time.Minute)
		if len(done) > 0 || b.sees(p) != 1 {
			t.Fatalf("seen to %d, ended %d; want 1 and waiting", b.sees(p), len(done))
		}
		run := segment.Run{Partition: p, Base: 1, Next: 2, Batches: [][]byte{
			recordbatch.Build(recordbatch.Draft{Base: 1, Records: []recordbatch.Record{{Timestamp: 1}}}),
		}}
		a.count(t, store, segment.Footer{Producers: []sequence.Delta{
			{Partition: p, ProducerID: 5, FirstSequence: 1, Base: 1, Next: 2},
		}}, []segment.Run{run})
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
