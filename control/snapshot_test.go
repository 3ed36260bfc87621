package control

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/odradek/odradek/topic"
)

// entriesOf lets cmp see a tree as what it holds; how it grew into its shape is no part of a state.
func entriesOf[K, V any]() cmp.Option {
	type entry struct {
		Key   K
		Value V
	}
	return cmp.Transformer("entries", func(t tree[K, V]) (list []entry) {
		for k, v := range t.all() {
			list = append(list, entry{k, v})
		}
		return list
	})
}

// diffStates compares every field there is, so that one that the snapshot forgets is found.
func diffStates(a, b *State) string {
	return cmp.Diff(a, b, cmp.AllowUnexported(State{}, Topic{}, Journal{}, partition{}, span{}, CheckpointInfo{}, Pin{}),
		cmpopts.EquateEmpty(), entriesOf[string, uint32](), entriesOf[topic.ID, *Topic](), entriesOf[string, topic.ID](),
		entriesOf[topic.ID, struct{}](), entriesOf[topic.JournalID, *Journal](), entriesOf[topic.JournalID, struct{}](),
		entriesOf[topic.Partition, Compaction](), entriesOf[topic.Object, ObjectInfo](),
		entriesOf[string, int32](), entriesOf[topic.ID, []int32](), entriesOf[topic.JournalID, topic.Slot](),
		entriesOf[PinID, *Pin](), entriesOf[topic.Object, struct{}]())
}

// restored takes a state through a snapshot whose bytes are spoilt afterwards.
func restored(t testing.TB, s *State) *State {
	t.Helper()
	b := s.AppendSnapshot(nil)
	again, err := Restore(b)
	if err != nil {
		t.Fatal(err)
	}
	clear(b)
	return again
}

// A state that went through a snapshot at any number takes the rest of its history as the one that did not.
func TestSnapshot_HistoryGoesOnAsIfNothingHadHappened(t *testing.T) {
	for seed := range uint64(10) {
		d := dice{rand.New(rand.NewPCG(seed, 11))}
		s, _, err := New().Apply(0, []Record{Genesis{"c", 1}, JournalOpen{ID: topic.JournalID{1}, K: 4, Format: 1}})
		if err != nil {
			t.Fatal(err)
		}
		twins := []*State{restored(t, New())} // each went through a snapshot at another number; the first at all of them
		if twins[0], _, err = twins[0].Apply(0, []Record{Genesis{"c", 1}, JournalOpen{ID: topic.JournalID{1}, K: 4, Format: 1}}); err != nil {
			t.Fatal(err)
		}
		for range 120 {
			var batch []Record
			for range 1 + d.IntN(3) {
				batch = append(batch, d.record(s))
			}
			twins[0] = restored(t, twins[0])
			if d.IntN(20) == 0 {
				twins = append(twins, restored(t, s))
			}
			next, outcomes, err := s.Apply(s.Next(), batch)
			if err != nil {
				t.Fatal(err)
			}
			want := next.AppendSnapshot(nil)
			for i, twin := range twins {
				after, got, err := twin.Apply(twin.Next(), batch)
				if diff := cmp.Diff(outcomes, got); err != nil || diff != "" {
					t.Fatalf("seed %d at %d: twin %d: %v\n%s", seed, s.Next(), i, err, diff)
				}
				if !bytes.Equal(after.AppendSnapshot(nil), want) {
					t.Fatalf("seed %d at %d: twin %d has another snapshot:\n%s", seed, s.Next(), i, diffStates(next, after))
				}
				twins[i] = after
			}
			s = next
		}
		for i, twin := range append(twins, restored(t, s)) {
			if diff := diffStates(s, twin); diff != "" {
				t.Fatalf("seed %d: twin %d (-without +with snapshot):\n%s", seed, i, diff)
			}
			check(t, twin)
		}
	}
}

// goldenHistory sets every field of a state.
func goldenHistory(t *testing.T) *State {
	t.Helper()
	ids := []topic.JournalID{journalA, journalB}
	tp := func(id topic.ID, index int32) topic.Partition { return topic.Partition{Topic: id, Index: index} }
	open := JournalOpen{ID: journalA, Endpoints: []Endpoint{{"kafka", "agent-1.example", 9092}, {"peer", "::1", 9094}},
		Zone: "eu-central-1a", Weight: 50, K: 16, Build: "v0.1.0 (0123abc)", Format: 1}
	first, second := topic.Object{Planned: 7, ID: topic.ObjectID{0xf1}}, topic.Object{Planned: 9, ID: topic.ObjectID{0xf2}}
	s := New()
	for _, batch := range [][]Record{
		{Genesis{"MkU3OEVBNTcwNTJENDM2Qg", 1}, open, JournalOpen{ID: journalB, NodeID: 7, K: 4, Format: 3},
			Feature{"group.version", 0, 1}, ClusterConfig{Set: topic.Config{"num.partitions": "8"}}},
		{TopicCreate{ID: topicT, Name: "orders", Config: topic.Config{"retention.ms": "-1"}, Journals: ids},
			TopicCreate{ID: topicU, Name: "__internal", Internal: true, Journals: ids},
			TopicCreate{ID: topic.ID{9}, Name: "gone", Journals: ids}},
		{TopicDelete{topic.ID{9}}, TopicConfig{Topic: topicT, Set: topic.Config{"cleanup.policy": "compact"}}, Drain{journalB, true},
			ProducerIDs{0, 1000, journalA}, Assign{tp(topicT, 0), 0, journalB, 1000, 33}, Assign{tp(topicT, 0), 1, journalA, 1 << 40, 34}},
		{Checkpoint{Control: 2, ID: CheckpointID{1}, Journals: []JournalNext{{journalA, 40}}}, Verified{2, CheckpointID{1}, journalB},
			Era{1, "ab12", "cd34", 2}},
		{JournalSealed{Journal: journalB, SealSlot: 300, Parts: []Reassigned{{tp(topicT, 1), 0, journalA, 77}, {tp(topicU, 1), 0, journalA, 0}}},
			JournalOpen{ID: topic.JournalID{0xc0}, K: 4, Format: 1}},
		{Checkpoint{4, checkpointC, 2, []JournalNext{{journalA, 64}, {journalB, 299}}}},
		{Verified{4, checkpointC, journalA}, Trim{journalA, 39}},
		{Checkpoint{6, CheckpointID{3}, 4, []JournalNext{{journalB, 300}}}, Verified{6, CheckpointID{3}, journalA}},
		{Checkpoint{Control: 7, ID: CheckpointID{4}, Previous: 6}},
		{Manifest{Output: first, Size: 4096, Parts: []ManifestPart{
			{Partition: tp(topicT, 0), From: 0, To: 900, Run: &topic.Run{Object: first, Next: 900, Level: 1, Position: 24, Length: 1000, Table: 40,
				CRC32C: 0xdeadbeef, RawLength: 5000, MaxTimestamp: 1_790_000_000_123}},
			{Partition: tp(topicT, 1), From: 0, To: 70, Run: &topic.Run{Object: first, Base: 60, Next: 70, Level: 1, Position: 1064, Table: 20,
				CRC32C: 1, MaxTimestamp: -1}},
			{Partition: tp(topicU, 1), From: 0, To: 7}}}, Sweep{5}},
		{Manifest{Output: second, Size: 1 << 20, Parts: []ManifestPart{
			{Partition: tp(topicT, 0), From: 900, To: 1 << 40, Run: &topic.Run{Object: second, Base: 1000, Next: 1 << 40, Level: 2, Position: 24,
				Length: 1 << 19, Table: 4000, CRC32C: 2, RawLength: 1 << 33, MaxTimestamp: 1_790_000_100_000}}}}},
		{Snapshot{ID: PinID{0x50}, Name: "nightly", Moment: Moment{10, BaseCheckpoint{6, CheckpointID{3}},
			[]JournalNext{{journalA, 64}, {topic.JournalID{0xc0}, 9}}}}},
		{Fork{PinID{0xf0}, "staging/blue", PinID{0x50}}, Unpin{Pin: PinID{0xf0}, Trims: []JournalNext{{journalA, 40}},
			Objects: []topic.Object{first}}},
	} {
		var outcomes []Outcome
		var err error
		if s, outcomes, err = s.Apply(s.Next(), overTheWire(t, batch)); err != nil {
			t.Fatal(err)
		}
		for i, o := range outcomes {
			if o.Void {
				t.Fatalf("%s: %s", Describe(batch[i]), o.Why)
			}
		}
	}
	return s
}

func stateText(s *State, b []byte) string {
	var text strings.Builder
	for line := range strings.Lines(dump(s)) {
		text.WriteString("# " + line)
	}
	return text.String() + goldenText(nil, b)
}

const stateGolden = "testdata/state.v1.golden"

func TestSnapshot_Golden(t *testing.T) {
	s := goldenHistory(t)
	b := s.AppendSnapshot(nil)
	if *update {
		if err := os.WriteFile(stateGolden, []byte(stateText(s, b)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, golden := readGolden(t, stateGolden)
	if diff := cmp.Diff(text, stateText(s, b)); diff != "" {
		t.Errorf("(-golden +now):\n%s", diff)
	}
	read, err := Restore(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := diffStates(s, read); diff != "" {
		t.Errorf("(-want +read):\n%s", diff)
	}
}

func TestSnapshot_IsAppendedAndSaysWhereItStands(t *testing.T) {
	s := goldenHistory(t)
	b := s.AppendSnapshot([]byte("head"))
	if !bytes.Equal(b[4:], s.AppendSnapshot(nil)) || string(b[:4]) != "head" {
		t.Fatalf("%x", b)
	}
	if got := restored(t, s); got.Next() != 13 || got.ClusterID() != s.ClusterID() || got.PartitionCount() != 4 {
		t.Fatalf("next %d, cluster %q, %d partitions", got.Next(), got.ClusterID(), got.PartitionCount())
	}
}

// The order in which a state came about leaves no trace in its snapshot.
func TestSnapshot_SameStateSameBytes(t *testing.T) {
	var all []Record
	for i := range 40 {
		all = append(all, JournalOpen{ID: topic.JournalID{byte(i)*37 + 1}, NodeID: int32(i + 1), K: 4, Format: 1},
			Feature{fmt.Sprint("f", i), 0, 1})
	}
	var want []byte
	for seed := range uint64(5) {
		rng := rand.New(rand.NewPCG(seed, 1))
		rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		s, _, err := New().Apply(0, append([]Record{Genesis{"c", 1}}, all...))
		if err != nil {
			t.Fatal(err)
		}
		b := s.AppendSnapshot(nil)
		if want != nil && !bytes.Equal(b, want) {
			t.Fatalf("order %d gives other bytes", seed)
		}
		want = b
	}
}

// Ten thousand partitions whose agents restarted four times each.
func TestSnapshot_TenThousandPartitionsInAMebibyte(t *testing.T) {
	const agents, restarts, topics, partitions = 8, 4, 10, 1000
	rng := rand.New(rand.NewPCG(1, 1))
	id := func(agent, life int) (id topic.JournalID) {
		binary.BigEndian.PutUint64(id[:], uint64(life*agents+agent+1)*0x9e3779b97f4a7c15)
		return id
	}
	apply := func(s *State, batch ...Record) *State {
		next, outcomes, err := s.Apply(s.Next(), batch)
		if err != nil || outcomes[len(outcomes)-1].Void {
			t.Fatal(err, outcomes)
		}
		return next
	}
	open := func(agent, life int) JournalOpen {
		return JournalOpen{ID: id(agent, life), NodeID: int32(agent + 1), K: 16, Format: 1, Zone: "eu-central-1a", Build: "v0.1.0 (0123abc)",
			Endpoints: []Endpoint{{"kafka", "agent-1.example", 9092}, {"peer", "agent-1.example", 9094}}}
	}
	s := apply(New(), Genesis{"c", 1})
	for agent := range agents {
		s = apply(s, open(agent, 0))
	}
	for i := range topics {
		create := TopicCreate{ID: topicID(i), Name: fmt.Sprint("topic-", i)}
		for p := range partitions {
			create.Journals = append(create.Journals, id(p%agents, 0))
		}
		s = apply(s, create)
	}
	for life := range restarts {
		for agent := range agents {
			again := open(agent, life+1)
			seal := JournalSealed{Journal: id(agent, life), SealSlot: 10_000}
			for _, a := range s.PartitionsOf(seal.Journal) {
				seal.Parts = append(seal.Parts, Reassigned{a.Partition, a.Epoch, again.ID, a.Base + 1 + topic.Offset(rng.Int64N(1e10))})
			}
			again.Predecessors = []JournalSealed{seal}
			s = apply(s, again)
		}
	}
	var journals []JournalNext
	for j := range s.Journals() {
		journals = append(journals, JournalNext{j.ID, 9_999})
	}
	s = apply(s, Checkpoint{s.Next() - 1, CheckpointID{1}, 0, journals})
	b := s.AppendSnapshot(nil)
	if len(b) > 1<<20 || s.PartitionCount() != topics*partitions {
		t.Fatalf("%d bytes for %d partitions", len(b), s.PartitionCount())
	}
	t.Logf("%d bytes", len(b))
	if got := restored(t, s); dump(got) != dump(s) {
		t.Fatal("restored to another state")
	}
}

// resumState gives a bent snapshot a right CRC again.
func resumState(b []byte) []byte {
	end := len(b) - snapshotTrailer
	binary.BigEndian.PutUint32(b[end:], crc32.Checksum(b[:end], castagnoli))
	return b
}

func TestRestore_EveryFlippedBitAndEveryCutIsFound(t *testing.T) {
	_, golden := readGolden(t, stateGolden)
	for i := range len(golden) * 8 {
		bent := bytes.Clone(golden)
		bent[i/8] ^= 1 << (i % 8)
		if _, err := Restore(bent); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("bit %d flipped: %v", i, err)
		}
	}
	for n := range golden {
		if _, err := Restore(golden[:n]); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
		if n >= snapshotHeader+snapshotTrailer {
			if _, err := Restore(resumState(bytes.Clone(golden[:n]))); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("cut to %d bytes and summed again: %v", n, err)
			}
		}
	}
	if _, err := Restore(append(bytes.Clone(golden), 0)); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("a byte more: %v", err)
	}
}

func TestRestore_NewerBuildsSnapshotIsUnknown(t *testing.T) {
	_, bent := readGolden(t, stateGolden)
	bent[len(snapshotMagic)+1]++
	if _, err := Restore(resumState(bent)); !errors.Is(err, ErrUnknownRecord) {
		t.Fatal(err)
	}
}

// Wherever a count or a length may stand, one that lies costs no memory, and what is taken is what was written.
func TestRestore_LyingCountsAndLengths(t *testing.T) {
	_, golden := readGolden(t, stateGolden)
	for i := snapshotHeader; i < len(golden)-snapshotTrailer; i++ {
		for _, lie := range [][]byte{{0xff, 0xff, 0xff, 0xff, 0x07}, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, {0}, {0x80, 0}} {
			bent := resumState(append(append(bytes.Clone(golden[:i]), lie...), golden[i+1:]...))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			s, err := Restore(bent)
			runtime.ReadMemStats(&after)
			if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
				t.Fatalf("%x at byte %d: %d bytes allocated", lie, i, used)
			}
			switch {
			case err == nil && !bytes.Equal(s.AppendSnapshot(nil), bent):
				t.Fatalf("%x at byte %d: taken, and written otherwise", lie, i)
			case err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrUnknownRecord):
				t.Fatalf("%x at byte %d: %v", lie, i, err)
			}
		}
	}
}

// What no history brings about is refused, so that Apply need not look for it.
func TestRestore_RefusesImpossibleStates(t *testing.T) {
	edit := func(change func(*State)) []byte {
		s := *goldenHistory(t)
		change(&s)
		return s.AppendSnapshot(nil)
	}
	part := func(change func(*partition)) []byte {
		return edit(func(s *State) {
			tp := s.editTopic(topicT)
			tp.parts = slices.Clone(tp.parts)
			change(&tp.parts[0])
			s.topics = s.topics.put(tp.ID, tp)
		})
	}
	compacted := func(p topic.Partition, change func(*Compaction)) []byte {
		return edit(func(s *State) {
			c := s.Compaction(p)
			c.Runs = slices.Clone(c.Runs)
			change(&c)
			s.compactions = s.compactions.put(p, c)
		})
	}
	pin := func(change func(*Pin)) []byte {
		return edit(func(s *State) {
			had, _ := s.Pin(PinID{0xf0})
			p := *had
			p.Moment.Journals = slices.Clone(p.Moment.Journals)
			change(&p)
			s.pins = s.pins.put(p.ID, &p)
		})
	}
	for name, b := range map[string][]byte{
		"feature without level":    edit(func(s *State) { s.features = s.features.put("x", 0) }),
		"format as a feature":      edit(func(s *State) { s.features = s.features.put(FeatureFormat, 2) }),
		"node id above the next":   edit(func(s *State) { s.nextNodeID = 7 }),
		"no next node id":          edit(func(s *State) { *s = *New(); s.nextNodeID = 0 }),
		"node id of two":           edit(func(s *State) { j := s.editJournal(journalA); j.NodeID = 8; s.journals = s.journals.put(j.ID, j) }),
		"name of two":              edit(func(s *State) { tp := s.editTopic(topicU); tp.Name = "orders"; s.topics = s.topics.put(tp.ID, tp) }),
		"topic deleted and there":  edit(func(s *State) { s.deleted = s.deleted.put(topicT, struct{}{}) }),
		"owner sealed":             part(func(p *partition) { p.journal = journalB }),
		"owner before none":        part(func(p *partition) { p.past = nil; p.epoch = 0; p.past = []span{{journalA, 0, 0, 5}} }),
		"epochs not ascending":     part(func(p *partition) { p.past = []span{{journalA, 0, 0, 5}, {journalB, 0, 5, 9}} }),
		"epoch as the newest":      part(func(p *partition) { p.past = []span{{journalA, 2, 0, 5}} }),
		"epoch that wrote nothing": part(func(p *partition) { p.past = []span{{journalA, 0, 5, 5}} }),
		"end out of range":         part(func(p *partition) { p.past = []span{{journalA, 0, 5, math.MaxInt64}, {journalB, 1, 5, math.MaxInt64}} }),
		"era's checkpoint gone":    edit(func(s *State) { s.checkpoints = s.checkpoints[1:] }),
		"checkpoint twice":         edit(func(s *State) { s.checkpoints = append(s.checkpoints[:3:3], s.checkpoints[2]) }),
		"five checkpoints": edit(func(s *State) {
			s.checkpoints = append(s.checkpoints[:3:3], CheckpointInfo{Control: 8, Verified: true}, CheckpointInfo{Control: 9})
		}),
		"swept above the next":       edit(func(s *State) { s.swept = 13 }),
		"object of the future":       edit(func(s *State) { s.objects = s.objects.put(topic.Object{Planned: 13}, ObjectInfo{Runs: 1}) }),
		"object without runs":        edit(func(s *State) { s.objects = s.objects.put(topic.Object{Planned: 8}, ObjectInfo{Size: 1}) }),
		"topic compacted and gone":   compacted(topic.Partition{Topic: topic.ID{9}}, func(c *Compaction) { c.Start, c.End = 1, 1 }),
		"no such partition":          compacted(topic.Partition{Topic: topicT, Index: 2}, func(c *Compaction) { c.Start, c.End = 1, 1 }),
		"compacted to 0":             compacted(topic.Partition{Topic: topicU}, func(*Compaction) {}),
		"start above the end":        compacted(topic.Partition{Topic: topicU}, func(c *Compaction) { c.Start, c.End = 2, 1 }),
		"a gap above the start":      compacted(topic.Partition{Topic: topicT}, func(c *Compaction) { c.Start = 999 }),
		"runs cross":                 compacted(topic.Partition{Topic: topicT}, func(c *Compaction) { c.Runs[1].Base = 899 }),
		"an empty run":               compacted(topic.Partition{Topic: topicT}, func(c *Compaction) { c.Runs[0].Next = c.Runs[0].Base }),
		"a run of level 0":           compacted(topic.Partition{Topic: topicT}, func(c *Compaction) { c.Runs[0].Level = 0 }),
		"a run past its object":      compacted(topic.Partition{Topic: topicT}, func(c *Compaction) { c.Runs[0].Position = 4000 }),
		"follows one not verified":   edit(func(s *State) { s.checkpoints = slices.Clone(s.checkpoints); s.checkpoints[1].Verified = false }),
		"a pin that is both":         pin(func(p *Pin) { p.Name = "x" }),
		"a pin of the future":        pin(func(p *Pin) { p.At = 13 }),
		"a pin of its own time":      pin(func(p *Pin) { p.Moment.Number = p.At }),
		"a pin's journals cross":     pin(func(p *Pin) { slices.Reverse(p.Moment.Journals) }),
		"a pin's journal twice":      pin(func(p *Pin) { p.Moment.Journals[1] = p.Moment.Journals[0] }),
		"born in the future":         edit(func(s *State) { s.born, s.fork = 13, PinID{1} }),
		"born of nothing":            edit(func(s *State) { s.born = 3 }),
		"a fork that was never born": edit(func(s *State) { s.fork = PinID{1} }),
		"over without being a fork":  edit(func(s *State) { s.ended = true }),
		"journal goes back": edit(func(s *State) {
			s.checkpoints = slices.Clone(s.checkpoints)
			s.checkpoints[3].journals = s.checkpoints[3].journals.put(journalA, 3)
		}),
	} {
		if _, err := Restore(b); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzRestore sums the bytes again, so that the CRC does not stand in the way, and lives on with what is taken.
func FuzzRestore(f *testing.F) {
	files, err := filepath.Glob("testdata/*.golden")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		_, golden := readGolden(f, file)
		f.Add(golden)
	}
	f.Add(New().AppendSnapshot(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= snapshotHeader+snapshotTrailer {
			b = resumState(bytes.Clone(b))
		}
		s, err := Restore(b)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrUnknownRecord) {
				t.Fatalf("error without a name: %v", err)
			}
			return
		}
		if !bytes.Equal(s.AppendSnapshot(nil), b) {
			t.Fatal("taken, and written otherwise")
		}
		d := dice{rand.New(rand.NewPCG(uint64(len(b)), 3))}
		for range 30 {
			if s.next == 0 || s.next == math.MaxUint64 || s.journals.size == 0 {
				return
			}
			next, _, err := s.Apply(s.next, []Record{d.record(s)})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Restore(next.AppendSnapshot(nil)); err != nil {
				t.Fatal(err)
			}
			_ = dump(next)
			s = next
		}
	})
}
