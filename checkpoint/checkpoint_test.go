package checkpoint

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/index"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/faulty"
	"github.com/odradek/odradek/objectstore/memory"
	"github.com/odradek/odradek/sequence"
	"github.com/odradek/odradek/topic"
)

// model is what a chain of checkpoints must hold.
type model struct {
	rng       *rand.Rand
	compacts  *rand.Rand // apart, so that the golden files stay
	journals  []topic.JournalID
	entries   map[topic.Partition][]index.Entry
	at        map[topic.Partition]Partition
	producers map[topic.Partition]*sequence.State
	slot      topic.Slot
	topics    []topic.ID
	named     byte // topics that ever were
	calm      bool // no log start rises, nothing is compacted, no topic goes

	limits  limits
	written int // rows in parts that were written
	head    *Head
}

// small are caps that a test reaches.
var small = limits{rows: 16, producers: 600, shardRows: 64, shardProducers: 2400, stale: 8}

func newModel(seed uint64) *model {
	m := &model{
		rng: rand.New(rand.NewPCG(seed, 7)), compacts: rand.New(rand.NewPCG(seed, 8)), entries: make(map[topic.Partition][]index.Entry),
		at: make(map[topic.Partition]Partition), producers: make(map[topic.Partition]*sequence.State), limits: small,
	}
	for i := range byte(3) {
		m.journals = append(m.journals, topic.JournalID{i, 1, 2, 3, 9: i})
	}
	return m
}

func (m *model) partition() topic.Partition {
	if len(m.topics) == 0 || m.rng.IntN(40) == 0 {
		m.named++
		m.topics = append(m.topics, topic.ID{m.named * 37, m.named, 2: 5})
	}
	return topic.Partition{Topic: m.topics[m.rng.IntN(len(m.topics))], Index: int32(m.rng.IntN(4))}
}

// entry makes the next extent of a partition.
func (m *model) entry(p topic.Partition) index.Entry {
	end := m.at[p].End
	length := m.rng.Uint32N(1 << 20)
	return index.Entry{
		Journal: m.journals[m.rng.IntN(len(m.journals))], Slot: m.slot, Epoch: topic.Epoch(m.rng.Int32N(5)),
		Base: end, Next: end + 1 + topic.Offset(m.rng.Int64N(1000)), Position: m.rng.Uint32(), Length: length,
		RawLength: length * 3, CRC32C: m.rng.Uint32(), MaxTimestamp: 1_700_000_000_000 + m.rng.Int64N(1e6) - 5e5,
	}
}

// step lets n extents happen, a log start rise, a topic go, and gives the next head and what is new in it.
func (m *model) step(n int) (*Head, News) {
	fresh := make(map[topic.Partition][]index.Entry)
	for range n {
		p := m.partition()
		e := m.entry(p)
		m.slot++
		m.entries[p] = append(m.entries[p], e)
		fresh[p] = append(fresh[p], e)
		at := m.at[p]
		at.Partition, at.End = p, e.Next
		m.at[p] = at
		if m.rng.IntN(2) == 0 {
			if m.producers[p] == nil {
				m.producers[p] = new(sequence.State)
			}
			m.producers[p].Apply(sequence.Delta{
				Partition: p, ProducerID: m.rng.Int64N(4), FirstSequence: 0, Base: e.Base, Next: e.Next, Timestamp: e.MaxTimestamp,
			})
		}
	}
	if m.rng.IntN(3) == 0 && len(m.at) > 0 && !m.calm {
		p := m.any()
		at := m.at[p]
		at.Start += topic.Offset(m.rng.Int64N(int64(at.End-at.Start) + 1))
		at.From = max(at.From, at.Start)
		m.at[p] = at
		m.entries[p] = since(m.entries[p], at.From)
	}
	if m.compacts.IntN(3) == 0 && len(m.at) > 0 && !m.calm { // by whole extents
		all := slices.SortedFunc(maps.Keys(m.at), compare)
		p := all[m.compacts.IntN(len(all))]
		at := m.at[p]
		for range m.compacts.IntN(len(m.entries[p]) + 1) {
			at.From, m.entries[p] = m.entries[p][0].Next, m.entries[p][1:]
		}
		m.at[p] = at
	}
	if m.rng.IntN(6) == 0 && len(m.at) > 0 && !m.calm {
		gone := m.any().Topic
		m.topics = slices.DeleteFunc(m.topics, func(id topic.ID) bool { return id == gone })
		for p := range maps.Keys(m.at) {
			if p.Topic == gone {
				delete(m.at, p)
				delete(m.entries, p)
				delete(m.producers, p)
				delete(fresh, p)
			}
		}
	}
	h := &Head{Control: 1, ID: control.CheckpointID{1}, State: []byte("control state"), Journals: []Journal{{m.journals[1], m.slot + 1}}}
	if m.head != nil {
		h.Control, h.Previous = m.head.Control+3, m.head.Control
	}
	h.ID[15] = byte(h.Control)
	for _, p := range slices.SortedFunc(maps.Keys(m.at), compare) {
		h.Partitions = append(h.Partitions, m.at[p])
	}
	var news News
	for _, p := range slices.SortedFunc(maps.Keys(fresh), compare) {
		news.Extents = append(news.Extents, Row{Partition: p, Entries: fresh[p]})
	}
	for _, p := range slices.SortedFunc(maps.Keys(m.producers), compare) {
		news.Producers = append(news.Producers, Row{Partition: p, Producers: m.producers[p].AppendSnapshot(nil)})
	}
	return h, news
}

func (m *model) any() topic.Partition {
	all := slices.SortedFunc(maps.Keys(m.at), compare)
	return all[m.rng.IntN(len(all))]
}

// write stores a checkpoint.
func (m *model) write(ctx context.Context, store objectstore.Store, h *Head, news News) error {
	err := compose(ctx, store, m.head, h, news, func(p Part) (PartRef, error) {
		m.written += p.Rows
		return p.Write(ctx, store)
	}, m.limits)
	if err != nil {
		return err
	}
	if err := WriteHead(ctx, store, h); err != nil {
		return err
	}
	m.head = h
	return nil
}

// rows are those that the checkpoint must have.
func (m *model) rows() map[topic.Partition]Row {
	rows := make(map[topic.Partition]Row)
	for p := range m.at {
		row := Row{Partition: p, Entries: m.entries[p]}
		if s := m.producers[p]; s != nil {
			row.Producers = s.AppendSnapshot(nil)
		}
		if len(row.Entries)+len(row.Producers) > 0 {
			rows[p] = row
		}
	}
	return rows
}

func readRows(ctx context.Context, h *Head, store objectstore.Store) (map[topic.Partition]Row, error) {
	rows := make(map[topic.Partition]Row)
	err := h.Rows(ctx, store, func(r Row) error {
		if _, twice := rows[r.Partition]; twice {
			return fmt.Errorf("%s comes twice", r.Partition)
		}
		rows[r.Partition] = r
		return nil
	})
	return rows, err
}

// differ tells where rows are not those wanted; nothing if they are.
func differ(want, have map[topic.Partition]Row) string {
	same := maps.EqualFunc(want, have, func(a, b Row) bool {
		return a.Partition == b.Partition && slices.Equal(a.Entries, b.Entries) && bytes.Equal(a.Producers, b.Producers)
	})
	if same {
		return ""
	}
	return cmp.Or(gocmp.Diff(want, have, cmpopts.EquateEmpty()), "rows differ")
}

func TestCompose_AChainOfCheckpointsHoldsWhatHappened(t *testing.T) {
	for seed := range uint64(8) {
		synctest.Test(t, func(t *testing.T) {
			m, store := newModel(seed), memory.New()
			happened := 0
			for round := range 40 {
				n := m.rng.IntN(12)
				if round%10 == 9 {
					n = 150
				}
				happened += n
				h, news := m.step(n)
				if err := m.write(t.Context(), store, h, news); err != nil {
					t.Fatal(err)
				}
				read, err := ReadHead(t.Context(), store, h.Control, h.ID)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(h.Body(), read.Body()) {
					diff := gocmp.Diff(h, read, cmpopts.EquateEmpty())
					t.Fatalf("seed %d round %d: head (-written +read):\n%s", seed, round, diff)
				}
				rows, err := readRows(t.Context(), read, store)
				if err != nil {
					t.Fatalf("seed %d round %d: %v", seed, round, err)
				}
				if diff := differ(m.rows(), rows); diff != "" {
					t.Fatalf("seed %d round %d: rows (-want +read):\n%s", seed, round, diff)
				}
			}
			if m.head.Shards < 4 {
				t.Errorf("seed %d: %d shards after %d extents", seed, m.head.Shards, happened)
			}
		})
	}
}

func TestCompose_WhoComputesItAgainGetsTheSameBytes(t *testing.T) {
	m, store := newModel(3), memory.New()
	for range 25 {
		h, news := m.step(30)
		again := *h
		again.Partitions = slices.Clone(h.Partitions)
		before := m.head
		if err := m.write(t.Context(), store, h, news); err != nil {
			t.Fatal(err)
		}
		err := compose(t.Context(), store, before, &again, news, func(p Part) (PartRef, error) { return p.ReadBack(t.Context(), store) }, m.limits)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(h.Body(), again.Body()) {
			t.Fatalf("checkpoint at %d: heads differ:\n%s", h.Control, gocmp.Diff(h, &again))
		}
	}
}

// Only what changed is written: of 200 checkpoints of a growing log, the last ones write little of all there is.
func TestCompose_OldPartsStay(t *testing.T) {
	m, store := newModel(5), memory.New()
	m.calm = true
	m.limits = limits{rows: 512, producers: 1 << 20, shardRows: 1 << 20, shardProducers: 1 << 20, stale: 1 << 20}
	total := 0
	for round := range 200 {
		h, news := m.step(0)
		for _, p := range []int32{1, 2, 3} {
			at := Partition{Partition: topic.Partition{Topic: topic.ID{200}, Index: p}}
			if old, ok := m.at[at.Partition]; ok {
				at = old
			}
			var row Row
			row.Partition = at.Partition
			for range 20 {
				e := m.entry(at.Partition)
				at.End = e.Next
				m.at[at.Partition] = at
				row.Entries = append(row.Entries, e)
			}
			total += 20
			m.entries[at.Partition] = append(m.entries[at.Partition], row.Entries...)
			news.Extents = append(news.Extents, row)
		}
		h.Partitions = h.Partitions[:0]
		for _, p := range slices.SortedFunc(maps.Keys(m.at), compare) {
			h.Partitions = append(h.Partitions, m.at[p])
		}
		if err := m.write(t.Context(), store, h, news); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
	}
	if m.written > 5*total || len(m.head.Parts) > 4+total/(512/2) {
		t.Errorf("%d extents were written for %d, in %d parts at the end", m.written, total, len(m.head.Parts))
	}
	rows, err := readRows(t.Context(), m.head, store)
	if err != nil {
		t.Fatal(err)
	}
	if diff := differ(m.rows(), rows); diff != "" {
		t.Errorf("rows (-want +read):\n%s", diff)
	}
}

// Every call to the store fails once, before and after it took effect; nothing is noticed of it.
func TestStore_EveryCallFailsOnce(t *testing.T) {
	calls := 0
	run := func(t *testing.T, script faulty.Script) {
		m := newModel(11)
		store := faulty.New(memory.New(), script)
		for range 3 {
			h, news := m.step(40)
			if err := m.write(t.Context(), store, h, news); err != nil {
				t.Fatal(err)
			}
		}
		names, err := Heads(t.Context(), store)
		if errors.Is(err, faulty.ErrLost) || errors.Is(err, faulty.ErrRefused) {
			names, err = Heads(t.Context(), store) // a hint: who wants it asks again
		}
		if err != nil || len(names) != 3 || names[0] != m.head.Name() {
			t.Fatalf("heads %v, newest is %s: %v", names, m.head.Name(), err)
		}
		h, err := ReadHead(t.Context(), store, m.head.Control, m.head.ID)
		if err != nil {
			t.Fatal(err)
		}
		rows, err := readRows(t.Context(), h, store)
		if err != nil {
			t.Fatal(err)
		}
		if diff := differ(m.rows(), rows); diff != "" {
			t.Errorf("rows (-want +read):\n%s", diff)
		}
		calls = len(store.Calls())
	}
	synctest.Test(t, func(t *testing.T) { run(t, faulty.None) })
	for n := 1; n <= calls; n++ {
		for name, f := range map[string]faulty.Fault{
			"before": {Before: faulty.ErrRefused}, "after": {After: faulty.ErrLost},
			"cut": {Mangle: faulty.Truncate(30)}, "flipped": {Mangle: faulty.FlipBit(33)},
		} {
			t.Run(fmt.Sprintf("%d-%s", n, name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { run(t, faulty.Nth(n, f)) })
			})
		}
	}
}

// replace puts other bytes under a key.
func replace(t *testing.T, store objectstore.Store, key string, mangle func([]byte) []byte) {
	t.Helper()
	b, err := store.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	if b = mangle(b); b == nil {
		return
	}
	if err := store.Create(t.Context(), key, objectstore.NewBody(b)); err != nil {
		t.Fatal(err)
	}
}

func TestRead_DamageNamesTheKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(2)
		pristine := memory.New()
		for range 2 {
			h, news := m.step(60)
			if err := m.write(t.Context(), pristine, h, news); err != nil {
				t.Fatal(err)
			}
		}
		var keys []string
		objects := make(map[string][]byte)
		_ = pristine.List(t.Context(), Prefix, func(o objectstore.Info) error { keys = append(keys, o.Key); return nil })
		for _, key := range keys {
			objects[key], _ = pristine.Get(t.Context(), key)
		}
		parts := make([]string, 0, len(m.head.Parts))
		for _, p := range m.head.Parts {
			parts = append(parts, p.Key())
		}
		tried := 0
		for _, key := range append(parts, m.head.Name().Key()) {
			for name, damage := range map[string]struct {
				mangle func([]byte) []byte
				want   error
			}{
				"missing": {func([]byte) []byte { return nil }, ErrMissing},
				"empty":   {func([]byte) []byte { return []byte{} }, ErrCorrupt},
				"cut":     {func(b []byte) []byte { return b[:len(b)-1] }, ErrCorrupt},
				"longer":  {func(b []byte) []byte { return append(b, 0) }, ErrCorrupt},
				"flipped": {func(b []byte) []byte { b[len(b)/2] ^= 4; return b }, ErrCorrupt},
				"magic":   {func(b []byte) []byte { b[0] ^= 4; return b }, ErrCorrupt},
				"another's": {func(b []byte) []byte {
					if other := objects[parts[0]]; !bytes.Equal(b, other) {
						return other
					}
					return objects[parts[1]]
				}, ErrCorrupt},
			} {
				store := memory.New()
				for k, b := range objects {
					_ = store.Create(t.Context(), k, objectstore.NewBody(b))
				}
				replace(t, store, key, func(b []byte) []byte { return damage.mangle(bytes.Clone(b)) })
				if n, id, err := ParsePartKey(key); err == nil { // one alone is made up for by the other
					if _, err := readRows(t.Context(), m.head, store); err != nil {
						t.Errorf("%s %s: %v", name, key, err)
					}
					other := TwinKey(n, id)
					if key == other {
						other = PartKey(n, id)
					}
					replace(t, store, other, func(b []byte) []byte { return damage.mangle(bytes.Clone(b)) })
				}
				h, err := ReadHead(t.Context(), store, m.head.Control, m.head.ID)
				if err == nil {
					_, err = readRows(t.Context(), h, store)
				}
				if !errors.Is(err, damage.want) || !strings.Contains(err.Error(), key) {
					t.Errorf("%s %s: got %v, want %v that names the key", name, key, err, damage.want)
				}
				tried++
			}
		}
		if tried < 20 {
			t.Errorf("%d damages tried", tried)
		}
	})
}

// A part whose bytes are whole, but which is not what the head's partitions say, is found out as well (I6).
func TestRows_APartThatDoesNotFitItsHeadIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, spoil := range map[string]func(h *Head){
			"end":       func(h *Head) { h.Partitions[0].End++ },
			"start":     func(h *Head) { h.Partitions[0].From = h.Partitions[0].End; h.Partitions[0].End++ },
			"from":      func(h *Head) { h.Partitions[0].Start = 0; h.Partitions[0].From++ },
			"lost part": func(h *Head) { h.Parts = h.Parts[1:] },
			"twice":     func(h *Head) { h.Parts = append([]PartRef{h.Parts[0]}, h.Parts...) },
			"count":     func(h *Head) { h.Parts[0].Rows++ },
			"kind":      func(h *Head) { h.Parts[0].Kind = Producers },
		} {
			m, store := newModel(9), memory.New()
			h, news := m.step(60)
			if err := m.write(t.Context(), store, h, news); err != nil {
				t.Fatal(err)
			}
			if _, err := readRows(t.Context(), h, store); err != nil {
				t.Fatal(err)
			}
			spoil(h)
			if _, err := readRows(t.Context(), h, store); !errors.Is(err, ErrCorrupt) {
				t.Errorf("%s: got %v, want ErrCorrupt", name, err)
			}
		}
	})
}

func TestWrite_AnObjectThatIsThereAlreadyMustHoldTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, store := newModel(4), memory.New()
		h, news := m.step(30)
		if err := m.write(t.Context(), store, h, news); err != nil {
			t.Fatal(err)
		}
		if err := WriteHead(t.Context(), store, h); err != nil {
			t.Errorf("the same head again: %v", err)
		}
		other := *h
		other.State = []byte("another state")
		if err := WriteHead(t.Context(), store, &other); !errors.Is(err, ErrCorrupt) {
			t.Errorf("another head under the same name: got %v, want ErrCorrupt", err)
		}
	})
}

func TestHead_FindsJournalsAndPartitions(t *testing.T) {
	m := newModel(1)
	h, _ := m.step(50)
	for _, p := range h.Partitions {
		if h.End(p.Partition) != p.End || h.Start(p.Partition) != p.Start {
			t.Errorf("%s at [%d,%d), want [%d,%d)", p.Partition, h.Start(p.Partition), h.End(p.Partition), p.Start, p.End)
		}
	}
	unknown := topic.Partition{Topic: topic.ID{255}}
	if end := h.End(unknown); end != 0 {
		t.Errorf("unknown partition ends at %d", end)
	}
	if a, b := h.Next(m.journals[1]), h.Next(m.journals[0]); a != m.slot+1 || b != 0 {
		t.Errorf("next of the journals: %d and %d, want %d and 0", a, b, m.slot+1)
	}
}

func TestKeys_AreReadAsWritten(t *testing.T) {
	name := Name{Control: 0xabcdef, ID: control.CheckpointID{1, 2, 15: 3}}
	if got, err := ParseKey(name.Key()); err != nil || got != name {
		t.Errorf("%s is read as %v: %v", name.Key(), got, err)
	}
	key := PartKey(77, PartID{9, 8})
	if n, id, err := ParsePartKey(key); err != nil || n != 77 || id != (PartID{9, 8}) {
		t.Errorf("%s is read as %d %s: %v", key, n, id, err)
	}
	for _, bad := range []string{"", "checkpoint/", "checkpoint/part/", key + "0", strings.ToUpper(key), "x" + key, name.Key() + "/", "checkpoint/-"} {
		if _, err := ParseKey(bad); err == nil {
			t.Errorf("%q is a head's key", bad)
		}
		if _, _, err := ParsePartKey(bad); err == nil {
			t.Errorf("%q is a part's key", bad)
		}
	}
	if err := cmp.Or(objectstore.CheckKey(key), objectstore.CheckKey(name.Key())); err != nil {
		t.Error(err)
	}
}

// The shard of a partition is written into buckets: it never changes.
func TestShardOf_StaysAndSplitsInTwo(t *testing.T) {
	counts := make([]int, 64)
	for i := range int32(6400) {
		p := topic.Partition{Topic: topic.ID{1, 2, 3, 15: byte(i % 7)}, Index: i}
		s := shardOf(p, 64)
		counts[s]++
		if half := shardOf(p, 32); s != half && s != half+32 {
			t.Fatalf("%s is in shard %d of 64 and %d of 32", p, s, half)
		}
	}
	if least, most := slices.Min(counts), slices.Max(counts); least < 50 || most > 170 {
		t.Errorf("shards hold %d to %d of 6400 partitions", least, most)
	}
	if s := shardOf(topic.Partition{Topic: topic.ID{1, 2, 3}, Index: 4}, 1<<16); s != fixedShard {
		t.Errorf("shard %d, was %d in version 1", s, fixedShard)
	}
}
