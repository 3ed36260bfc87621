package verify

import (
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"testing"

	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/metadata/redis"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/test/servers"
	"github.com/odradek/odradek/topic"
)

// kept is the index of a forged bucket in a real Redis, kept with the calls that agents make.
type kept struct {
	*forge
	*redis.Store
	server *servers.RedisServer
	pin    metadata.Pin
}

// keep opens an era in a Redis for what control state a bucket has, without a slot. Control numbers that follow are not
// applied.
func (f *forge) keep() *kept {
	f.t.Helper()
	server := servers.OwnRedis(f.t)
	store, err := redis.Open(f.t.Context(), redis.Config{URL: server.URL(), Cluster: rand.Text()})
	f.must(err)
	f.t.Cleanup(func() { store.Close() })
	k := &kept{forge: f, Store: store, server: server}
	k.pin.Era = 2
	k.pin.RunID, k.pin.ReplicationID, err = store.Identity(f.t.Context())
	f.must(err)
	f.control(control.Era{Number: 2, RunID: k.pin.RunID, ReplicationID: k.pin.ReplicationID})
	ctx := f.t.Context()
	s := control.New()
	f.must(EachControl(ctx, f.store, s, 4, func(n Number) error { s = n.After; return nil }))
	var effects []metadata.Effect
	var expected []metadata.Expected
	for t := range s.Topics() {
		for i := range t.Partitions() {
			effects = append(effects, metadata.PartitionAdded{Partition: topic.Partition{Topic: t.ID, Index: i}})
		}
	}
	for j := range s.Journals() {
		effects = append(effects, metadata.JournalOpened{Journal: j.ID})
		expected = append(expected, metadata.Expected{Journal: j.ID})
	}
	f.must(store.Begin(ctx, k.pin))
	f.must(store.Load(ctx, k.pin, effects))
	f.must(store.Loaded(ctx, k.pin, s.Next()-1))
	for _, e := range expected {
		f.must(store.Reattach(ctx, k.pin, e.Journal, 0))
	}
	f.must(store.Open(ctx, k.pin, s.Next()-1, expected))
	return k
}

// footerOf gives what the index should hold of a slot.
func (f *forge) footerOf(j topic.JournalID, s topic.Slot) metadata.Segment {
	f.t.Helper()
	r, err := readTail(f.t.Context(), f.store, j, s)
	f.must(err)
	return metadata.Segment{Journal: j, Slot: s, Extents: r.footer.Extents, LogStarts: r.footer.LogStarts}
}

// put indexes one segment.
func (k *kept) put(s metadata.Segment) {
	k.t.Helper()
	outcomes, err := k.Index(k.t.Context(), k.pin, k.next-1, []metadata.Segment{s})
	if err != nil || outcomes[0] != metadata.Indexed {
		k.t.Fatalf("slot %d of journal %s: %v, %v", s.Slot, s.Journal, outcomes, err)
	}
}

// indexed is a clean bucket with three slots, of which an open era holds the first n.
func indexed(t *testing.T, n topic.Slot) *kept {
	f := newForge(t)
	f.begin()
	f.fill()
	k := f.keep()
	for s := range n {
		k.put(f.footerOf(first, s))
	}
	return k
}

func (k *kept) prove() Report {
	k.t.Helper()
	return k.verify(Options{Index: k.Store, Fast: true})
}

func TestIndex_AllOfItIsInTheBucket(t *testing.T) {
	k := indexed(t, 3)
	r := k.prove()
	if !r.Clean() || r.Index.Slots != 3 || r.Index.Ends != 2 || r.Index.Era != 2 || r.Index.RunID != k.pin.RunID || len(r.Index.Lag) != 0 || r.Index.NotChecked != "" {
		t.Errorf("got %+v, %v", r.Index, r.Findings)
	}
	if r := k.verify(Options{}); r.Index != nil {
		t.Errorf("index told of though none was asked: %+v", r.Index)
	}
}

func TestIndex_LagIsToldAndNoDefect(t *testing.T) {
	k := indexed(t, 1)
	k.control(control.TopicCreate{ID: topic.ID{0x33}, Name: "young", Journals: []topic.JournalID{first}})
	r := k.prove()
	want := []string{"control numbers [5,6) are not applied", "slots [1,3) of journal " + first.String() + " are not indexed"}
	if !r.Clean() || r.Index.Slots != 1 || r.Index.SlotsBehind != 2 || r.Index.Applied != 4 || !slices.Equal(r.Index.Lag, want) {
		t.Errorf("got %+v, %v", r.Index, r.Findings)
	}
	k = indexed(t, 1)
	k.seal(first, 3)
	k.control(open(second, 1, sealed(3, 30, 5)))
	k.slot(second, 0)
	r = k.prove()
	want = append([]string{"control numbers [5,6) are not applied"}, want[1], "slots [0,1) of journal "+second.String()+" are not indexed")
	if !r.Clean() || !slices.Equal(r.Index.Lag, want) {
		t.Errorf("got %+v, %v", r.Index, r.Findings)
	}
}

// I6: the index may be behind the bucket, never ahead.
func TestIndex_AheadOfTheBucketIsFound(t *testing.T) {
	t.Run("slot", func(t *testing.T) {
		k := indexed(t, 3)
		ahead := k.footerOf(first, 2)
		ahead.Slot = 3
		ahead.Extents[0].Base, ahead.Extents[0].Next = 30, 40
		k.put(ahead)
		wantFinding(t, k.prove(), "index", "slots [3,4) of journal "+first.String(), "do not count (I6)", "open at slot 3")
	})
	t.Run("slot behind a seal", func(t *testing.T) {
		k := indexed(t, 3)
		ahead := metadata.Segment{Journal: first, Slot: 3}
		k.put(ahead)
		k.seal(first, 3)
		wantFinding(t, k.prove(), "index", "slots [3,4) of journal "+first.String(), "seal placed at slot 3")
	})
	t.Run("control", func(t *testing.T) {
		k := indexed(t, 3)
		_, err := k.Apply(t.Context(), k.pin, k.next, [][]metadata.Effect{{metadata.JournalOpened{Journal: second}}})
		k.must(err)
		r := k.prove()
		if len(r.Findings) != 2 || !strings.Contains(r.Findings[0].What, "control number 5 is applied, the control log ends at 4") ||
			!strings.Contains(r.Findings[1].What, "holds journal "+second.String()) {
			t.Errorf("findings %v", r.Findings)
		}
	})
}

func TestIndex_OtherThanTheFooterIsFound(t *testing.T) {
	k := indexed(t, 1)
	bent := k.footerOf(first, 1)
	bent.Extents[0].CRC32C++
	k.put(bent)
	k.put(k.footerOf(first, 2))
	wantFinding(t, k.prove(), "index: slot 1 of journal "+first.String(), "is not as the footer of "+key(first, 1)+" says: extents: element 0")

	k = indexed(t, 3)
	moved := k.footerOf(first, 2)
	k.slot(first, 3)
	moved.Slot, moved.Extents, moved.LogStarts = 3, nil, []metadata.LogStart{{Partition: o0, Start: 3}}
	k.put(moved)
	wantFinding(t, k.prove(), "index: slot 3 of journal "+first.String(), "log starts: element 0")
}

// bent is an index that answers other ends than it holds.
type bent struct {
	Index
	change func([]metadata.End)
}

func (b bent) Ends(ctx context.Context, pin metadata.Pin, ps []topic.Partition) ([]metadata.End, error) {
	ends, err := b.Index.Ends(ctx, pin, ps)
	if err == nil {
		b.change(ends)
	}
	return ends, err
}

func TestIndex_EndsAreThoseOfItsSlots(t *testing.T) {
	k := indexed(t, 2)
	for words, change := range map[string]func([]metadata.End){
		"orders/0 ends at 21, its indexed slots end at 20":           func(e []metadata.End) { e[0].Next++ },
		"orders/1 ends at 4, its indexed slots end at 5":             func(e []metadata.End) { e[1].Next-- },
		"orders/0 starts at 1, its indexed slots say 0":              func(e []metadata.End) { e[0].Start++ },
		"does not know orders/1, though control number 4 is applied": func(e []metadata.End) { e[1] = metadata.End{} },
	} {
		r := k.verify(Options{Fast: true, Index: bent{k.Store, change}})
		wantFinding(t, r, "index", words)
		if r.Index.Ends != 1 {
			t.Errorf("%s: %d ends are right, want 1", words, r.Index.Ends)
		}
	}
}

// growing is an index beside an agent that goes on: something is indexed between two looks.
type growing struct {
	Index
	grow []func()
}

func (g *growing) Current(ctx context.Context, era uint64) (metadata.EraStatus, error) {
	if len(g.grow) > 0 {
		g.grow[0]()
		g.grow = g.grow[1:]
	}
	return g.Index.Current(ctx, era)
}

func TestIndex_BesideAnAgentThatGoesOn(t *testing.T) {
	k := indexed(t, 1)
	add := func(s topic.Slot) func() { return func() { k.put(k.footerOf(first, s)) } }
	r := k.verify(Options{Fast: true, Index: &growing{k.Store, []func(){func() {}, add(1), add(2)}}})
	if !r.Clean() || r.Index.Slots != 3 || r.Index.Ends != 2 || len(r.Index.Lag) != 0 {
		t.Errorf("got %+v, %v", r.Index, r.Findings)
	}
}

func TestIndex_WithoutAnOpenEraNothingIsProved(t *testing.T) {
	k := indexed(t, 3)
	r := k.verify(Options{Fast: true, Index: &growing{k.Store, []func(){func() {}, func() {}, func() { k.server.Restart() }}}})
	if !r.Clean() || r.Index.NotChecked != "era 2 went while it was read" {
		t.Errorf("got %+v, %v", r.Index, r.Findings)
	}
	if r := k.prove(); !r.Clean() || r.Index.NotChecked != "no era is open there" || r.Index.RunID == k.pin.RunID {
		t.Errorf("got %+v, %v", r.Index, r.Findings)
	}
	k.server.Kill()
	if _, err := Run(t.Context(), k.store, Options{Index: k.Store}); err == nil || !strings.HasPrefix(err.Error(), "read the index: ") {
		t.Errorf("with Redis gone: %v", err)
	}
}

func TestIndex_AnEraThatNobodyNamedIsFound(t *testing.T) {
	k := indexed(t, 3)
	k.remove(slotlog.ControlKey(4))
	r := k.prove()
	if len(r.Findings) != 2 || !strings.Contains(r.Findings[0].What, "era 2 is open for run "+k.pin.RunID) || !strings.Contains(r.Findings[1].What, "number 4 is applied") {
		t.Errorf("findings %v", r.Findings)
	}
	k = indexed(t, 3)
	k.control(control.Era{Number: 3, RunID: "another", ReplicationID: "too"})
	if r := k.prove(); !r.Clean() || len(r.Notes) != 1 || r.Notes[0] != "the index holds era 2, era 3 is the newest" {
		t.Errorf("findings %v, notes %v", r.Findings, r.Notes)
	}
}
