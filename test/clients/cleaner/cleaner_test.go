package cleaner

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/odradek/odradek/compaction"
	"github.com/odradek/odradek/compaction/keystest"
	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/test/harness"
	"github.com/odradek/odradek/topic"
)

const (
	deleteRetention = 60_000 // ms
	maxRaw          = 64 << 20
)

// kafka is the process of Main.java.
type kafka struct {
	t   *testing.T
	in  *bufio.Writer
	out *bufio.Reader
}

func startKafka(t *testing.T) *kafka {
	t.Helper()
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	if output, err := exec.Command("bash", filepath.Join(root, "test", "clients", "prefetch.sh"), "cleaner").CombinedOutput(); err != nil {
		t.Fatalf("prefetch.sh cleaner: %v\n%s", err, strings.TrimSpace(string(output)))
	}
	target := filepath.Join(root, "test", "clients", "cleaner", "target")
	cmd := exec.CommandContext(t.Context(), "java", "-Xmx512m", "-XX:+UseSerialGC",
		"-cp", filepath.Join(target, "classes")+":"+filepath.Join(target, "lib", "*"), "cleaner.Main", t.TempDir())
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait() // killed by the test's context
	})
	return &kafka{t: t, in: bufio.NewWriter(in), out: bufio.NewReader(out)}
}

func (k *kafka) send(step byte, fields ...any) {
	k.t.Helper()
	if err := k.in.WriteByte(step); err != nil {
		k.t.Fatal(err)
	}
	for _, f := range fields {
		if err := binary.Write(k.in, binary.BigEndian, f); err != nil {
			k.t.Fatal(err)
		}
	}
}

// clean lets Kafka clean and gives the cleaned point, the number of invalid records, and all batches that are left.
func (k *kafka) clean(now int64, mapBytes int32) (cleaned topic.Offset, invalid int64, batches []byte) {
	k.t.Helper()
	k.send('C', now, mapBytes)
	if err := k.in.Flush(); err != nil {
		k.t.Fatal(err)
	}
	var head struct {
		Cleaned, Invalid int64
		Size             int32
	}
	if err := binary.Read(k.out, binary.BigEndian, &head); err != nil {
		k.t.Fatal(err)
	}
	batches = make([]byte, head.Size)
	if _, err := io.ReadFull(k.out, batches); err != nil {
		k.t.Fatal(err)
	}
	return topic.Offset(head.Cleaned), head.Invalid, batches
}

// ours is the partition as Odradek has it.
type ours struct {
	batches []byte
	cleaned topic.Offset
	bases   []topic.Offset // of Kafka's segments
}

func (o *ours) source(topic.Offset) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) { yield(o.batches, nil) }
}

// upto is where Kafka stops: at the segment that is written to, or at the one with the last stable offset.
func (o *ours) upto(stable topic.Offset) topic.Offset {
	upto := o.cleaned
	for _, base := range o.bases {
		if base <= stable {
			upto = max(upto, base)
		}
	}
	return upto
}

func (o *ours) clean(t *testing.T, p *keystest.Partition, now int64, mapBytes int) compaction.KeyStats {
	t.Helper()
	var left []byte
	stats, err := compaction.Clean(o.source, func(b []byte) error { left = append(left, b...); return nil }, compaction.KeyConfig{
		Map: compaction.NewOffsetMap(mapBytes), Dirty: o.cleaned, Upto: o.upto(p.Stable()), End: p.Next,
		Now: now, DeleteRetention: deleteRetention, MaxRaw: maxRaw, Aborted: aborted(p),
		Producer: func(id int64) (compaction.LastOfProducer, bool) {
			last, ok := p.Lasts[id]
			return compaction.LastOfProducer{Data: last.Data, NoData: last.Data < 0, Epoch: last.Epoch}, ok
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	o.batches, o.cleaned = left, stats.Cleaned
	return stats
}

func aborted(p *keystest.Partition) []compaction.AbortedTransaction {
	var all []compaction.AbortedTransaction
	for _, a := range p.Aborted {
		all = append(all, compaction.AbortedTransaction{Producer: a.Producer, First: a.First, Marker: a.Marker})
	}
	return all
}

// batch is what two brokers must agree on: everything but how a codec packs.
type batch struct {
	Info    recordbatch.Info
	Bytes   string // of a batch that is not compressed
	Records []recordbatch.Record
}

func read(t *testing.T, b []byte) []batch {
	t.Helper()
	var all []batch
	for len(b) > 0 {
		info, err := recordbatch.CheckStored(b)
		if err != nil {
			t.Fatal(err)
		}
		one := batch{Info: info}
		for r, err := range recordbatch.Records(b, maxRaw) {
			if err != nil {
				t.Fatalf("%+v: %v", info, err)
			}
			one.Records = append(one.Records, r)
		}
		if info.Codec() == recordbatch.None {
			one.Bytes = string(b[:info.Size])
		} else {
			one.Info.Size, one.Info.CRC = 0, 0
		}
		all = append(all, one)
		b = b[info.Size:]
	}
	return all
}

// diff says where two partitions differ first, or nothing.
func diff(kafka, ours []batch) string {
	for i := range max(len(kafka), len(ours)) {
		switch {
		case i >= len(kafka):
			return fmt.Sprintf("batch %d is there in Odradek only: %+v", i, ours[i].Info)
		case i >= len(ours):
			return fmt.Sprintf("batch %d is there in Kafka only: %+v", i, kafka[i].Info)
		}
		if !reflect.DeepEqual(kafka[i], ours[i]) {
			return fmt.Sprintf("batch %d at offset %d (-Kafka, +Odradek):\n%s", i, kafka[i].Info.BaseOffset, cmp.Diff(kafka[i], ours[i]))
		}
	}
	return ""
}

// records gives all records in offset order, markers included.
func records(t *testing.T, b []byte) []recordbatch.Record {
	t.Helper()
	var all []recordbatch.Record
	for _, one := range read(t, b) {
		all = append(all, one.Records...)
	}
	return all
}

// compareRecords makes sure that Kafka has every record that we have, and that those it has more have a newer one of their
// key below upto. It gives their number.
func compareRecords(t *testing.T, seed uint64, kafka, ours []recordbatch.Record, upto topic.Offset) int {
	t.Helper()
	newest := make(map[string]topic.Offset)
	for _, r := range ours {
		if r.Offset < upto {
			newest[string(r.Key)] = r.Offset
		}
	}
	more := 0
	for _, r := range kafka {
		if len(ours) > 0 && ours[0].Offset == r.Offset {
			if !reflect.DeepEqual(ours[0], r) {
				t.Fatalf("seed %d, offset %d (-Kafka, +Odradek):\n%s", seed, r.Offset, cmp.Diff(r, ours[0]))
			}
			ours = ours[1:]
			continue
		}
		if more++; newest[string(r.Key)] <= r.Offset {
			t.Fatalf("seed %d: the record at offset %d with key %q is there in Kafka only, and no newer one of its key", seed, r.Offset, r.Key)
		}
	}
	if len(ours) > 0 {
		t.Fatalf("seed %d: the record at offset %d with key %q is there in Odradek only", seed, ours[0].Offset, ours[0].Key)
	}
	return more
}

// TestClean_LeavesWhatKafkasCleanerLeaves lets partitions grow by segments and cleans them now and then, with time passing
// so that some delete horizons are reached and some are not.
func TestClean_LeavesWhatKafkasCleanerLeaves(t *testing.T) {
	partitions, segments := 12, 8
	if harness.Long() {
		partitions, segments = 1000, 12
	}
	k := startKafka(t)
	var total compaction.KeyStats
	for seed := range uint64(partitions) {
		p := keystest.New(seed, []int{3, 20, 200}[seed%3])
		k.send('L', int64(deleteRetention))
		o := &ours{bases: []topic.Offset{0}}
		for segment := range segments {
			grown := p.Append(1 + int(seed+uint64(segment))%30)
			o.batches = append(o.batches, grown...)
			k.send('A', int32(len(grown)), grown)
			k.send('R')
			o.bases = append(o.bases, p.Next)
			if (int(seed)+segment)%3 == 0 || o.upto(p.Stable()) == o.cleaned {
				continue // Kafka does not begin where nothing is dirty
			}
			now := p.Now + int64(segment)*deleteRetention/4
			want, invalid, left := k.clean(now, 1<<20)
			stats := o.clean(t, p, now, 1<<20)
			if d := diff(read(t, left), read(t, o.batches)); d != "" {
				t.Fatalf("seed %d, segment %d, time %d: %s", seed, segment, now, d)
			}
			if stats.Cleaned != want || stats.NoKey != invalid {
				t.Fatalf("seed %d, segment %d: cleaned up to %d, %d records without a key, Kafka %d, %d",
					seed, segment, stats.Cleaned, stats.NoKey, want, invalid)
			}
			total.Superseded += stats.Superseded
			total.Tombstones += stats.Tombstones
			total.Aborted += stats.Aborted
			total.Markers += stats.Markers
			total.NoKey += stats.NoKey
			total.Emptied += stats.Emptied
			total.Rewritten += stats.Rewritten
		}
	}
	if total.Superseded == 0 || total.Tombstones == 0 || total.Aborted == 0 || total.Markers == 0 || total.NoKey == 0 ||
		total.Emptied == 0 || total.Rewritten == 0 {
		t.Errorf("not everything was met: %+v", total)
	}
	t.Logf("%d partitions: %+v", partitions, total)
}

// TestClean_SmallMapsLeaveNoMoreThanKafka cleans with maps that take many rounds. How far a round gets may differ, and when a
// tombstone is first met. And Kafka leaves some records too many: a round that begins inside a segment takes a committed
// transaction for aborted if its producer aborted one earlier in that segment, so that its keys are not in the map.
func TestClean_SmallMapsLeaveNoMoreThanKafka(t *testing.T) {
	partitions := 5
	if harness.Long() {
		partitions = 200
	}
	k := startKafka(t)
	total, spared := 0, 0
	for seed := range uint64(partitions) {
		p := keystest.New(seed, 150)
		k.send('L', int64(deleteRetention))
		o := &ours{bases: []topic.Offset{0}}
		for range 4 {
			grown := p.Append(40)
			o.batches = append(o.batches, grown...)
			k.send('A', int32(len(grown)), grown)
			k.send('R')
			o.bases = append(o.bases, p.Next)
		}
		const slots = 40
		upto := o.upto(p.Stable())
		var left []byte
		rounds := 0
		for cleaned := topic.Offset(-1); cleaned < upto; rounds++ {
			var next topic.Offset
			if next, _, left = k.clean(p.Now, slots*24); next <= cleaned {
				t.Fatalf("seed %d: Kafka does not get beyond %d", seed, next)
			}
			cleaned = next
		}
		mine := 0
		for ; o.cleaned < upto; mine++ {
			before := o.cleaned
			if o.clean(t, p, p.Now, slots*24); o.cleaned <= before {
				t.Fatalf("seed %d: no way beyond %d", seed, before)
			}
		}
		if upto > 0 && (rounds < 3 || mine < 3) {
			t.Errorf("seed %d: %d and %d rounds", seed, rounds, mine)
		}
		mineLeft := records(t, o.batches)
		total += len(mineLeft)
		spared += compareRecords(t, seed, records(t, left), mineLeft, upto)
	}
	if spared*20 > total {
		t.Errorf("Kafka has %d records more than the %d that are left: too many to be the exception", spared, total)
	}
	t.Logf("%d partitions, %d records left, Kafka has %d more", partitions, total, spared)
}

// TestDiff_TellsAChangedRecord makes sure that the comparison above sees what it should: a batch changed by one
// record is told.
func TestDiff_TellsAChangedRecord(t *testing.T) {
	b := keystest.New(1, 3).Append(20)
	changed := bytes.Clone(b)
	info, err := recordbatch.Read(changed)
	if err != nil {
		t.Fatal(err)
	}
	recordbatch.StampLogAppendTime(changed[:info.Size], info.MaxTimestamp+1)
	if d := diff(read(t, b), read(t, changed)); !strings.Contains(d, "batch 0") {
		t.Errorf("got %q", d)
	}
	if d := diff(read(t, b), read(t, b)); d != "" {
		t.Errorf("the same differs: %s", d)
	}
}
