package verify

import (
	"bytes"
	"strings"
	"testing"

	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/memory"
	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/sequence"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

var (
	first, second = topic.JournalID{0xa1}, topic.JournalID{0xb2} // journals
	orders        = topic.ID{0x0a}
	o0, o1        = topic.Partition{Topic: orders}, topic.Partition{Topic: orders, Index: 1}
	late          = topic.Partition{Topic: topic.ID{0x0b}}
)

const (
	window  = 4
	created = int64(1_700_000_000_000)
)

// forge makes a bucket object by object, with the packages that agents make theirs with.
type forge struct {
	t     *testing.T
	store objectstore.Store
	next  topic.Slot // control number

	state   *control.State
	footers map[topic.JournalID][]segment.Footer // by slot; there are no holes where checkpoints are made
	objects byte                                 // compacted ones
	raised  map[topic.Partition]topic.Offset     // log starts that checkpoints say and no slot set
}

func newForge(t *testing.T) *forge {
	return &forge{t: t, store: memory.New(), state: control.New(), footers: make(map[topic.JournalID][]segment.Footer)}
}

func (f *forge) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// control appends one number.
func (f *forge) control(records ...control.Record) {
	f.t.Helper()
	payload, err := control.Encode(records)
	f.must(err)
	f.must(slotlog.Decide(f.t.Context(), f.store, f.next, payload))
	if after, _, err := f.state.Apply(f.next, records); err == nil {
		f.state = after
	}
	f.next++
}

// holds appends a number whose records must hold.
func (f *forge) holds(records ...control.Record) {
	f.t.Helper()
	for i, r := range records {
		if o := f.state.Judge(r); i == 0 && o.Void {
			f.t.Fatalf("%s is void: %s", control.Describe(r), o.Why)
		}
	}
	f.control(records...)
}

func (f *forge) put(key string, body slotlog.Frozen) {
	f.t.Helper()
	f.must(f.store.Create(f.t.Context(), key, body.Body))
}

// batch is a batch of n records at base; a producer follows its own sequences.
func batch(base topic.Offset, n int, epoch topic.Epoch, p *recordbatch.Producer) []byte {
	d := recordbatch.Draft{Base: base, Epoch: epoch, Producer: p}
	for i := range n {
		d.Records = append(d.Records, recordbatch.Record{Timestamp: created + int64(i), Value: []byte("some value that repeats, that repeats")})
	}
	return recordbatch.Build(d)
}

// producer is the only producer of the tests, at a sequence.
func producer(sequence int32) *recordbatch.Producer {
	return &recordbatch.Producer{ID: 1000, Epoch: 0, Sequence: sequence}
}

// run is a run of batches of one partition.
func runOf(p topic.Partition, epoch topic.Epoch, batches ...[]byte) segment.Run {
	r := segment.Run{Partition: p, Epoch: epoch, Batches: batches}
	for i, b := range batches {
		info, err := recordbatch.Read(b)
		if err != nil {
			panic(err)
		}
		if i == 0 {
			r.Base = info.BaseOffset
		}
		r.Next = info.Next()
	}
	return r
}

// deltas are the producer deltas of runs.
func deltas(runs []segment.Run) []sequence.Delta {
	var all []sequence.Delta
	for _, r := range runs {
		for _, b := range r.Batches {
			if info, _ := recordbatch.Read(b); info.HasProducer() {
				all = append(all, deltaOf(r.Partition, info))
			}
		}
	}
	return all
}

// slot creates a data slot with an honest footer and gives that.
func (f *forge) slot(j topic.JournalID, s topic.Slot, runs ...segment.Run) segment.Footer {
	f.t.Helper()
	return f.slotWith(j, s, segment.Footer{Producers: deltas(runs)}, runs...)
}

// slotWith creates a data slot with what a footer says.
func (f *forge) slotWith(j topic.JournalID, s topic.Slot, footer segment.Footer, runs ...segment.Run) segment.Footer {
	f.t.Helper()
	footer.Journal, footer.Slot, footer.CreatedMs = j, s, created
	o, err := segment.Build(footer, runs, segment.S2)
	f.must(err)
	f.put(slotlog.JournalKey(j, s), slotlog.Freeze(slotlog.Data, o.Parts...))
	f.footers[j] = append(f.footers[j], o.Footer)
	return o.Footer
}

func (f *forge) seal(j topic.JournalID, s topic.Slot) {
	f.t.Helper()
	f.put(slotlog.JournalKey(j, s), slotlog.Freeze(slotlog.Seal, []byte("replaced")))
}

// edit replaces an object's bytes, which no agent ever does.
func (f *forge) edit(key string, change func(b []byte) []byte) {
	f.t.Helper()
	b, err := f.store.Get(f.t.Context(), key)
	f.must(err)
	f.must(f.store.Delete(f.t.Context(), key))
	f.must(f.store.Create(f.t.Context(), key, objectstore.NewBody(change(bytes.Clone(b)))))
}

func (f *forge) remove(key string) {
	f.t.Helper()
	if _, err := f.store.Head(f.t.Context(), key); err != nil {
		f.t.Fatal(err)
	}
	f.must(f.store.Delete(f.t.Context(), key))
}

func open(id topic.JournalID, node int32, before ...control.JournalSealed) control.JournalOpen {
	return control.JournalOpen{ID: id, NodeID: node, K: window, Build: "test", Format: control.FormatLevel, Predecessors: before}
}

// begin makes a cluster with one journal and the topic orders, of two partitions.
func (f *forge) begin() {
	f.t.Helper()
	f.control(control.Genesis{ClusterID: "cluster", Format: control.FormatLevel})
	f.control(open(first, 1))
	f.control(control.Era{Number: 1, RunID: "run", ReplicationID: "replication"})
	f.control(control.TopicCreate{ID: orders, Name: "orders", Journals: []topic.JournalID{first, first}},
		control.ProducerIDs{From: 0, Count: 1000, Journal: first}, control.ProducerIDs{From: 1000, Count: 1000, Journal: first})
}

// fill writes three slots of the first journal: orders/0 [0,30), orders/1 [0,5).
func (f *forge) fill() {
	f.t.Helper()
	f.slot(first, 0, runOf(o0, 0, batch(0, 10, 0, producer(0))))
	f.slot(first, 1, runOf(o0, 0, batch(10, 10, 0, producer(10))), runOf(o1, 0, batch(0, 5, 0, nil)))
	f.slot(first, 2, runOf(o0, 0, batch(20, 5, 0, producer(20)), batch(25, 5, 0, producer(25))))
}

// sealed is the first journal's JOURNAL_SEALED at a slot, giving its partitions to the second from these bases on.
func sealed(slot topic.Slot, base0, base1 topic.Offset) control.JournalSealed {
	return control.JournalSealed{Journal: first, SealSlot: slot, Parts: []control.Reassigned{
		{Partition: o0, ToJournal: second, Base: base0}, {Partition: o1, ToJournal: second, Base: base1},
	}}
}

// restart seals the first journal at slot 3 and opens the second, which writes two slots.
func (f *forge) restart() {
	f.t.Helper()
	f.seal(first, 3)
	f.control(open(second, 1, sealed(3, 30, 5)))
	f.slot(second, 0, runOf(o0, 1, batch(30, 10, 1, producer(30))))
	f.slot(second, 1, runOf(o1, 1, batch(5, 1, 1, nil)))
}

// whole is a clean bucket with both.
func whole(t *testing.T) *forge {
	f := newForge(t)
	f.begin()
	f.fill()
	f.restart()
	return f
}

func (f *forge) verify(opt Options) Report {
	f.t.Helper()
	r, err := Run(f.t.Context(), f.store, opt)
	f.must(err)
	return r
}

// clean expects no findings, read both ways.
func (f *forge) clean() {
	f.t.Helper()
	for _, fast := range []bool{false, true} {
		if r := f.verify(Options{Fast: fast}); !r.Clean() {
			f.t.Errorf("fast %v: %v", fast, r.Findings)
		}
	}
}

// wantFinding expects exactly one finding, of this object and with these words.
func wantFinding(t *testing.T, r Report, object string, words ...string) {
	t.Helper()
	if len(r.Findings) != 1 {
		t.Errorf("%d findings, want 1: %v", len(r.Findings), r.Findings)
	}
	if len(r.Findings) == 0 {
		return
	}
	got := r.Findings[0]
	if got.Object != object {
		t.Errorf("finding of %s, want %s", got.Object, object)
	}
	for _, w := range words {
		if !strings.Contains(got.What, w) {
			t.Errorf("finding %q lacks %q", got.What, w)
		}
	}
}
