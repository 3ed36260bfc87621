package control

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/odradek/odradek/topic"
)

// dump tells everything that a state holds.
func dump(s *State) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%q %d config %v %d nodes %d ids %d eras %v partitions %d swept %d\n", s.clusterID, s.format, s.config,
		s.configVersion, s.nextNodeID, s.nextProducerID, s.eras, s.partitions, s.swept)
	for name, level := range s.Features() {
		fmt.Fprintln(&b, name, level)
	}
	for _, c := range s.checkpoints {
		fmt.Fprint(&b, "checkpoint ", c.Control, c.ID, c.Previous, c.At, c.Verified, c.By)
		for id, next := range c.Journals() {
			fmt.Fprint(&b, " ", id, next)
		}
		fmt.Fprintln(&b)
	}
	for identity, number := range s.eraOf.all() {
		fmt.Fprintln(&b, "identity", identity, number)
	}
	for folded, id := range s.names.all() {
		fmt.Fprintln(&b, "name", folded, id)
	}
	for t := range s.Topics() {
		fmt.Fprintln(&b, t.ID, t.Name, t.Internal, t.Config, t.ConfigVersion, t.Created)
		for i := range t.Partitions() {
			fmt.Fprintln(&b, s.Assignments(topic.Partition{Topic: t.ID, Index: i}))
		}
	}
	for id := range s.deleted.all() {
		fmt.Fprintln(&b, "deleted", id)
	}
	for j := range s.Journals() {
		fmt.Fprintln(&b, j.ID, j.NodeID, j.K, j.Build, j.Format, j.Opened, j.Sealed, j.SealedAt, j.SealSlot, j.Trim,
			j.Endpoints, j.Zone, j.Weight, j.count, j.Draining, s.open.has(j.ID), s.PartitionsOf(j.ID))
	}
	for o, info := range s.Objects() {
		fmt.Fprintln(&b, "object", o, info)
	}
	for p, c := range s.Compactions() {
		fmt.Fprintln(&b, "compacted", p, c.Start, c.End)
		for _, r := range c.Runs {
			fmt.Fprintln(&b, "run", r, r.Length, r.Table, r.CRC32C, r.RawLength, r.MaxTimestamp)
		}
	}
	for p := range s.Pins() {
		fmt.Fprintf(&b, "pin %s %q %q of %s by %d: %s", p.ID, p.Name, p.Place, p.Snapshot, p.At, p.Moment)
		for id, below := range p.trims.all() {
			fmt.Fprint(&b, " ", id, below)
		}
		for o := range p.objects.all() {
			fmt.Fprint(&b, " ", o)
		}
		fmt.Fprintln(&b)
	}
	if born, fork := s.Born(); born > 0 {
		fmt.Fprintln(&b, "born", born, fork, s.Ended())
	}
	return b.String()
}

// dice draws records about a handful of journals and topics, so that many hold and many are void.
type dice struct{ *rand.Rand }

func (d dice) topic() topic.ID { return topic.ID{byte(d.IntN(250))} }
func (d dice) name() string    { return []string{"a", "b", "a.b", "a_b", "c", ""}[d.IntN(6)] }

// journal is mostly one that is open.
func (d dice) journal(s *State) topic.JournalID {
	if open := s.OpenJournals(); len(open) > 0 && d.IntN(8) > 0 {
		return open[d.IntN(len(open))].ID
	}
	return topic.JournalID{byte(d.IntN(8))}
}

// old is mostly a topic that is there.
func (d dice) old(s *State) topic.ID {
	if s.TopicCount() > 0 && d.IntN(8) > 0 {
		skip := d.IntN(s.TopicCount())
		for t := range s.Topics() {
			if skip--; skip < 0 {
				return t.ID
			}
		}
	}
	return d.topic()
}

func (d dice) owners(s *State) (owners []topic.JournalID) {
	for range d.IntN(4) {
		owners = append(owners, d.journal(s))
	}
	return owners
}

// seal names what the journal owns, now and then with a fault.
func (d dice) seal(s *State, journal, heir topic.JournalID) JournalSealed {
	r := JournalSealed{Journal: journal, SealSlot: topic.Slot(d.IntN(9))}
	for _, a := range s.PartitionsOf(journal) {
		to := heir
		if d.IntN(10) == 0 {
			to = d.journal(s)
		}
		r.Parts = append(r.Parts, Reassigned{a.Partition, a.Epoch, to, a.Base + topic.Offset(d.IntN(3))})
	}
	if len(r.Parts) > 0 && d.IntN(5) == 0 {
		at := &r.Parts[d.IntN(len(r.Parts))]
		*at = Reassigned{topic.Partition{Topic: d.topic(), Index: d.Int32N(3)}, topic.Epoch(d.IntN(3)), d.journal(s), 0}
	}
	return r
}

// stand is mostly where a checkpoint of the state stands, or nowhere.
func (d dice) stand(s *State) topic.Slot {
	if n := len(s.checkpoints); n > 0 && d.IntN(4) > 0 {
		return s.checkpoints[d.IntN(n)].Control
	}
	return topic.Slot(d.IntN(4) / 3)
}

// seen is a journal, open or sealed.
func (d dice) seen(s *State) topic.JournalID {
	skip := d.IntN(s.journals.size)
	for id := range s.journals.all() {
		if skip--; skip < 0 {
			return id
		}
	}
	return topic.JournalID{}
}

func (d dice) checkpoint(s *State) Checkpoint {
	previous, _ := s.NewestCheckpoint()
	r := Checkpoint{Control: s.next - topic.Slot(d.IntN(2)), ID: CheckpointID{byte(1 + d.IntN(200))}, Previous: previous.Control}
	for j := range s.Journals() {
		next := previous.Next(j.ID) + 1 + topic.Slot(d.IntN(3))
		if j.Sealed && d.IntN(20) > 0 {
			next = min(next, j.SealSlot)
		}
		if next > previous.Next(j.ID) && d.IntN(2) == 0 {
			r.Journals = append(r.Journals, JournalNext{j.ID, next})
		}
	}
	if d.IntN(10) == 0 {
		r.Previous = d.stand(s)
	}
	return r
}

func (d dice) verified(s *State) Verified {
	r := Verified{Control: 1, By: d.journal(s)}
	if n := len(s.checkpoints); n > 0 {
		c := s.checkpoints[max(0, n-1-d.IntN(8)/7)]
		r.Control, r.ID = c.Control, c.ID
	}
	return r
}

// part swaps some runs of a partition that follow each other, or what comes behind the last.
func (d dice) part(s *State, p topic.Partition) ManifestPart {
	c := s.Compaction(p)
	first := d.IntN(len(c.Runs) + 1)
	part := ManifestPart{Partition: p, From: c.End, To: c.End + 1 + topic.Offset(d.IntN(50))}
	if first < len(c.Runs) {
		last := first + d.IntN(len(c.Runs)-first)
		part.From = c.Runs[first].Base
		if last < len(c.Runs)-1 || d.IntN(2) == 0 {
			part.To = c.Runs[last].Next
		}
		for _, r := range c.Runs[first : last+1] {
			part.Replaces = append(part.Replaces, r.Object)
		}
	}
	switch d.IntN(30) {
	case 0:
		part.From = max(0, part.From-1)
	case 1:
		part.To++
	case 2:
		part.Replaces = append(part.Replaces, topic.Object{ID: topic.ObjectID{1}})
	}
	return part
}

func (d dice) manifest(s *State) Manifest {
	r := Manifest{Output: topic.Object{Planned: s.next - 1 - min(s.next-1, topic.Slot(d.IntN(3))), ID: topic.ObjectID{byte(d.IntN(256)), byte(d.IntN(256))}}}
	position := uint32(24)
	for t := range s.topics.all() {
		for i := range int32(2) {
			if d.IntN(3) == 0 {
				continue
			}
			part := d.part(s, topic.Partition{Topic: t, Index: i})
			if part.To > part.From && d.IntN(3) > 0 {
				gap := min(topic.Offset(max(0, d.IntN(9)-6)), part.To-part.From-1)
				part.Run = &topic.Run{Object: r.Output, Base: part.From + gap, Next: part.To, Level: uint8(1 + d.IntN(2)), Position: position,
					Length: d.Uint32N(100), Table: d.Uint32N(20), CRC32C: d.Uint32(), RawLength: d.Uint64N(1000), MaxTimestamp: d.Int64N(9) - 1}
				if crc := topic.Offset(part.Run.CRC32C); crc%2 == 0 {
					part.Run.Cleaned = part.Run.Next - crc%(part.Run.Next-part.Run.Base)
				} else if crc%3 == 0 {
					part.Run.Erased = uint64(1 + crc%(part.Run.Next-part.Run.Base))
				}
				position += uint32(part.Run.Size())
			}
			r.Parts = append(r.Parts, part)
		}
	}
	r.Size = int64(position)
	for _, p := range r.Parts {
		if p.Run != nil {
			return r
		}
	}
	r.Output, r.Size = topic.Object{}, 0
	return r
}

// pin is mostly one that is there.
func (d dice) pin(s *State) PinID {
	if s.pins.size > 0 && d.IntN(8) > 0 {
		skip := d.IntN(s.pins.size)
		for p := range s.Pins() {
			if skip--; skip < 0 {
				return p.ID
			}
		}
	}
	return PinID{byte(d.IntN(200))}
}

// pinning draws records of snapshots and forks.
func (d dice) pinning(s *State) Record {
	newest, _ := s.NewestCheckpoint()
	moment := Moment{Number: s.next - 1, Base: BaseCheckpoint{newest.Control, newest.ID}}
	for _, j := range s.OpenJournals() {
		moment.Journals = append(moment.Journals, JournalNext{j.ID, max(j.Trim, newest.Next(j.ID)) + topic.Slot(d.IntN(4))})
	}
	if len(moment.Journals) > 0 && d.IntN(8) == 0 {
		moment.Journals = append([]JournalNext(nil), moment.Journals[1:]...)
	}
	switch d.IntN(7) {
	case 0, 1:
		return Snapshot{PinID{byte(d.IntN(200))}, d.name(), moment}
	case 2, 3:
		return Fork{PinID{byte(d.IntN(200))}, d.name(), d.pin(s)}
	case 4, 5:
		r := Unpin{Pin: d.pin(s), Whole: d.IntN(3) == 0}
		if !r.Whole {
			r.Trims = []JournalNext{{d.seen(s), topic.Slot(d.IntN(9))}}
			r.Objects = []topic.Object{{Planned: topic.Slot(d.IntN(9)), ID: topic.ObjectID{byte(d.IntN(9))}}}
		}
		return r
	}
	if d.IntN(9) > 0 || s.born > 0 && d.IntN(9) > 0 {
		return End{}
	}
	r := Forked{ClusterID: fmt.Sprint(s.next), Fork: PinID{1}, Moment: moment, Ancestors: []Ancestor{{"a", moment.Number}}}
	for j := range s.Journals() {
		end, open := moment.Next(j.ID)
		if !open {
			end = j.SealSlot + 1
		}
		r.Journals = append(r.Journals, Inherited{j.ID, 0, end})
	}
	return r
}

func (d dice) record(s *State) Record {
	if d.IntN(12) == 0 {
		return d.pinning(s)
	}
	switch d.IntN(20) {
	case 17, 18:
		return d.manifest(s)
	case 19:
		if s.swept > 0 && d.IntN(4) > 0 {
			return Sweep{s.swept}
		}
		return Sweep{s.next + 1 - min(s.next, topic.Slot(d.IntN(20)))}
	case 0, 1:
		r := JournalOpen{ID: topic.JournalID{byte(d.IntN(8)), byte(d.IntN(30))}, NodeID: max(0, d.Int32N(8)-4), K: d.IntN(9), Format: 1 + d.Uint32N(3)}
		if d.IntN(2) == 0 {
			r.Predecessors = append(r.Predecessors, d.seal(s, d.journal(s), r.ID))
		}
		return r
	case 2:
		return d.seal(s, d.journal(s), d.journal(s))
	case 3:
		return TopicCreate{ID: d.topic(), Name: d.name(), Journals: d.owners(s)}
	case 4:
		return PartitionsAdd{d.old(s), d.Int32N(4), d.owners(s)}
	case 5:
		return TopicDelete{d.old(s)}
	case 6:
		return TopicConfig{Topic: d.old(s), Version: d.Uint64N(3), Set: topic.Config{d.name(): d.name()}}
	case 7:
		return Era{int32(len(s.eras)) + d.Int32N(2), d.name(), d.name(), d.stand(s)}
	case 8:
		return ProducerIDs{s.nextProducerID + d.Int64N(2), d.Int32N(3), d.journal(s)}
	case 9:
		return Feature{[]string{FeatureFormat, "x"}[d.IntN(2)], d.Uint32N(2), d.Uint32N(3)}
	case 10:
		return ClusterConfig{Version: s.configVersion + d.Uint64N(2), Set: topic.Config{"k": d.name()}, Delete: []string{d.name()}}
	case 11:
		return d.checkpoint(s)
	case 12:
		return d.verified(s)
	case 13:
		c, _ := s.newestVerified(2)
		id := d.seen(s)
		return Trim{id, c.Next(id) + topic.Slot(d.IntN(3)) - min(c.Next(id), 1)}
	}
	if d.IntN(3) == 0 {
		return Drain{d.journal(s), d.IntN(2) == 0}
	}
	p := topic.Partition{Topic: d.old(s), Index: d.Int32N(3)}
	a, _ := s.Owner(p)
	if epoch := a.Epoch + topic.Epoch(d.IntN(2)); d.IntN(4) > 0 {
		return Assign{p, epoch, d.journal(s), max(0, a.Base+topic.Offset(d.IntN(4)-1)), topic.Slot(d.IntN(9))}
	} else {
		return Move{p, epoch, d.journal(s)}
	}
}

// changesNothing tells of a record that may leave a state as it is although it holds.
func changesNothing(r Record) bool { return r.Type() == TypeFeature || r.Type() == TypeMove }

// check holds what every state must fulfil: each partition has one owner that is open, journals and topics agree
// on who owns what, and ends meet bases (I3).
func check(t *testing.T, s *State) {
	t.Helper()
	checkCheckpoints(t, s)
	checkCompactions(t, s)
	owned, nodes := 0, map[int32]topic.JournalID{}
	for j := range s.Journals() {
		owned += j.Partitions()
		if j.Sealed && (j.Partitions() > 0 || s.open.has(j.ID)) {
			t.Fatalf("sealed journal %s owns %d, open %v", j.ID, j.Partitions(), s.open.has(j.ID))
		}
		if j.NodeID >= s.nextNodeID {
			t.Fatalf("journal %s has node id %d, next is %d", j.ID, j.NodeID, s.nextNodeID)
		}
		if other, taken := nodes[j.NodeID]; taken && !j.Sealed {
			t.Fatalf("node id %d of open journals %s and %s", j.NodeID, j.ID, other)
		}
		if !j.Sealed {
			nodes[j.NodeID] = j.ID
		}
		for _, a := range s.PartitionsOf(j.ID) {
			if a.Journal != j.ID {
				t.Fatalf("%s lists %s, owned by %s", j.ID, a.Partition, a.Journal)
			}
		}
	}
	total := 0
	for tp := range s.Topics() {
		total += int(tp.Partitions())
		for i := range tp.Partitions() {
			list := s.Assignments(topic.Partition{Topic: tp.ID, Index: i})
			for k, a := range list[:len(list)-1] {
				if a.End != list[k+1].Base || a.Epoch >= list[k+1].Epoch || a.Base >= a.End {
					t.Fatalf("assignments %v", list)
				}
			}
		}
	}
	if owned != total || s.PartitionCount() != total {
		t.Fatalf("journals own %d partitions, topics have %d, count is %d", owned, total, s.PartitionCount())
	}
}

// checkCheckpoints holds that few are kept, that each goes on from the one before, and that what the newest era and
// every TRIM rest on is there.
func checkCheckpoints(t *testing.T, s *State) {
	t.Helper()
	list := s.Checkpoints()
	if len(list) > maxCheckpoints {
		t.Fatalf("%d checkpoints are kept", len(list))
	}
	for i, c := range list {
		if !c.Verified && i < len(list)-1 || c.Control >= c.At || c.At >= s.Next() || i > 0 && c.Control <= list[i-1].Control {
			t.Fatalf("checkpoint %d of %d: %+v", i, len(list), c)
		}
		for j := range s.Journals() {
			if i > 0 && c.Next(j.ID) < list[i-1].Next(j.ID) {
				t.Fatalf("checkpoint at %d has journal %s only up to %d", c.Control, j.ID, c.Next(j.ID))
			}
		}
	}
	if era, _ := s.NewestEra(); era.Checkpoint != 0 && !s.checkpointCounts(era.Checkpoint) {
		t.Fatalf("%s: checkpoint is not kept", era)
	}
	for j := range s.Journals() {
		if c, _ := s.newestVerified(2); j.Trim > c.Next(j.ID) {
			t.Fatalf("journal %s trimmed to %d, second newest checkpoint has it up to %d", j.ID, j.Trim, c.Next(j.ID))
		}
	}
}

// checkCompactions holds that runs are in order and meet but below the log start, and that the books of objects are
// what the runs add up to.
func checkCompactions(t *testing.T, s *State) {
	t.Helper()
	objects := newTree[topic.Object, ObjectInfo](topic.Object.Compare)
	for p, c := range s.Compactions() {
		tp, ok := s.topics.get(p.Topic)
		if !ok || p.Index >= tp.Partitions() || c.End == 0 || c.Start > c.End || c.Start < 0 {
			t.Fatalf("%s compacted from %d to %d", p, c.Start, c.End)
		}
		next := topic.Offset(0)
		for i, r := range c.Runs {
			if r.Base < next || r.Base >= r.Next || r.Base > next && r.Base > c.Start {
				t.Fatalf("%s: run %d of %+v", p, i, c)
			}
			next = r.Next
			info, _ := objects.get(r.Object)
			of, _ := s.Object(r.Object)
			objects = objects.put(r.Object, ObjectInfo{of.Size, info.Runs + 1, info.Live + r.Size()})
			if r.Object.Planned >= s.next || end(r) > of.Size {
				t.Fatalf("%s: %s in an object of %+v", p, r, of)
			}
		}
		if len(c.Runs) > 0 && next != c.End || len(c.Runs) == 0 && c.Start != c.End {
			t.Fatalf("%s: %+v", p, c)
		}
	}
	if diff := cmp.Diff(s.objects, objects, entriesOf[topic.Object, ObjectInfo]()); diff != "" {
		t.Fatalf("books of objects (-state +runs):\n%s", diff)
	}
}

func TestApply_DeterministicAndVoidChangesNothing(t *testing.T) {
	held, void := 0, 0
	types := map[Type]int{} // that held
	for seed := range uint64(30) {
		d := dice{rand.New(rand.NewPCG(seed, 7))}
		s, _, err := New().Apply(0, []Record{Genesis{"c", 1}, JournalOpen{ID: topic.JournalID{1}, K: 4, Format: 1}})
		if err != nil {
			t.Fatal(err)
		}
		twin, first, firstDump := s, s, dump(s)
		for range 150 {
			before := dump(s)
			batch := []Record{d.record(s)}
			next, outcomes, err := s.Apply(s.Next(), batch)
			if err != nil {
				t.Fatal(err)
			}
			if got := dump(s); got != before {
				t.Fatalf("seed %d: %s changed the state it was applied to:\n%s", seed, Describe(batch[0]), cmp.Diff(before, got))
			}
			if outcomes[0].Void != (dump(next) == before) && !changesNothing(batch[0]) {
				t.Fatalf("seed %d: %s: %+v, yet (-before +after):\n%s", seed, Describe(batch[0]), outcomes[0], cmp.Diff(before, dump(next)))
			}
			if outcomes[0].Void {
				void++
			} else {
				held++
				types[batch[0].Type()]++
			}
			twin, _, err = twin.Apply(twin.Next(), overTheWire(t, batch))
			if err != nil || dump(twin) != dump(next) {
				t.Fatalf("seed %d: %s applied twice differs: %v\n%s", seed, Describe(batch[0]), err, cmp.Diff(dump(next), dump(twin)))
			}
			check(t, next)
			s = next
		}
		if got := dump(first); got != firstDump {
			t.Fatalf("seed %d: the first state changed later:\n%s", seed, cmp.Diff(firstDump, got))
		}
	}
	if held < 1000 || void < 1000 {
		t.Fatalf("dice too one-sided: %d held, %d void", held, void)
	}
	for _, typ := range []Type{TypeManifest, TypeSweep, TypeTopicDelete, TypeVerified} {
		if types[typ] < 40 {
			t.Errorf("only %d of %s held", types[typ], typ)
		}
	}
}

// Two branches of one state must not write into each other's slices.
func TestApply_BranchesOfOneStateAreApart(t *testing.T) {
	a, b := topic.JournalID{1}, topic.JournalID{2}
	p := topic.Partition{Topic: topic.ID{1}}
	s, _, err := New().Apply(0, []Record{Genesis{"c", 1}, JournalOpen{ID: a, K: 4, Format: 1}, JournalOpen{ID: b, K: 4, Format: 1},
		TopicCreate{ID: p.Topic, Name: "t", Journals: []topic.JournalID{a}}, Assign{p, 0, b, 5, 0}, Era{Number: 1, RunID: "r"}})
	if err != nil {
		t.Fatal(err)
	}
	left, _, _ := s.Apply(1, []Record{Assign{p, 1, a, 6, 0}, Era{Number: 2, RunID: "left"}, PartitionsAdd{p.Topic, 1, []topic.JournalID{a}}})
	leftDump := dump(left)
	right, _, _ := s.Apply(1, []Record{Assign{p, 1, b, 9, 0}, Era{Number: 2, RunID: "right"}, PartitionsAdd{p.Topic, 1, []topic.JournalID{b}}})
	if diff := cmp.Diff(leftDump, dump(left)); diff != "" {
		t.Fatalf("left changed when right was made:\n%s", diff)
	}
	if dump(left) == dump(right) {
		t.Fatal("branches are the same")
	}
}

func TestApply_NumbersComeInTurn(t *testing.T) {
	s, _, err := New().Apply(0, []Record{Genesis{"c", 1}})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []topic.Slot{0, 2} {
		if _, _, err := s.Apply(n, []Record{TopicDelete{}}); err == nil {
			t.Errorf("number %d applied where 1 is due", n)
		}
	}
}
