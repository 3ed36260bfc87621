package segment

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/sequence"
	"github.com/odradek/odradek/topic"
)

const created = 1_700_000_000_000

var (
	orders = topic.ID{0xaa, 1}
	clicks = topic.ID{0xbb, 2}
)

func part(id topic.ID, index int32) topic.Partition { return topic.Partition{Topic: id, Index: index} }

// jsonLine is the record value of tests: i changes it a little.
func jsonLine(i int) []byte {
	return fmt.Appendf(nil, `{"time":"2024-05-01T12:%02d:%02d","level":"info","user":%d,"path":"/api/v1/items/%d","ms":%d}`, i/60%60, i%60, i*7919%100000, i*31%977, i%250)
}

// batchOf is a batch of n JSON lines at base. With packed it says, falsely but unnoticed, that zstd packed it: nobody
// here unpacks it.
func batchOf(epoch topic.Epoch, base topic.Offset, n int, packed bool) []byte {
	records := make([]recordbatch.Record, n)
	for i := range records {
		records[i] = recordbatch.Record{Timestamp: created + int64(base) + int64(i), Value: jsonLine(int(base) + i)}
	}
	b := recordbatch.Build(recordbatch.Draft{Base: base, Epoch: epoch, Records: records})
	if packed {
		b = relabel(b, recordbatch.Zstd)
	}
	return b
}

// relabel changes a batch's codec and its CRC.
func relabel(b []byte, codec recordbatch.Codec) []byte {
	b[22] = byte(codec)
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], castagnoli))
	return b
}

// runOf is a run of the given batches, which begin at base.
func runOf(p topic.Partition, epoch topic.Epoch, batches ...[]byte) Run {
	first, err := recordbatch.Read(batches[0])
	if err != nil {
		panic(err)
	}
	run := Run{Partition: p, Epoch: epoch, Base: first.BaseOffset, Batches: batches}
	for _, slice := range batches {
		for at := 0; at < len(slice); {
			info, err := recordbatch.Read(slice[at:])
			if err != nil {
				panic(err)
			}
			run.Next, at = info.Next(), at+info.Size
		}
	}
	return run
}

// mixedRuns has all kinds: packed and plain batches alternating, several batches in one slice, one batch that is split.
func mixedRuns() []Run {
	return []Run{
		runOf(part(orders, 0), 3, batchOf(3, 100, 20, false), batchOf(3, 120, 5, true), batchOf(3, 125, 1, false)),
		runOf(part(orders, 7), 0, append(batchOf(0, 0, 300, false), batchOf(0, 300, 300, false)...), batchOf(0, 600, 2000, false)),
		runOf(part(clicks, 2), 1, batchOf(1, 1<<40, 4000, false), batchOf(1, 1<<40+4000, 3, false)),
		runOf(part(clicks, 3), 1, batchOf(1, 9, 2500, true), batchOf(1, 2509, 2500, true)),
	}
}

// fullFooter is a footer with everything in it that mixedRuns allows.
func fullFooter() Footer {
	var s sequence.State
	s.Apply(sequence.Delta{ProducerID: 44, ProducerEpoch: 1, FirstSequence: 5, Base: 3, Next: 4, Timestamp: created})
	return Footer{
		Journal: topic.JournalID{1, 2, 3}, Slot: 64, CreatedMs: created,
		Producers: []sequence.Delta{
			{Partition: part(orders, 0), ProducerID: 44, ProducerEpoch: 1, FirstSequence: 6, Base: 100, Next: 120, Timestamp: created + 119},
			{Partition: part(orders, 0), ProducerID: 45, ProducerEpoch: 0, FirstSequence: sequence.NoSequence, Base: 125, Next: 126},
			{Partition: part(clicks, 3), ProducerID: 1 << 40, ProducerEpoch: 32767, FirstSequence: 2147483647, Base: 2509, Next: 5009, Timestamp: created},
		},
		LogStarts: []LogStart{{Partition: part(orders, 0), Start: 50}, {Partition: part(orders, 9), Start: 1 << 50}},
		Releases:  []Release{{Partition: part(clicks, 8), Epoch: 4, End: 77, ProducerState: s.AppendSnapshot(nil)}, {Partition: part(clicks, 9)}},
		Summary: &Summary{
			Ends: []PartitionEnd{{Partition: part(orders, 0), Epoch: 3, Next: 126}, {Partition: part(clicks, 8), Epoch: 4, Next: 77}},
			Recent: []SlotExtents{
				{Slot: 62},
				{Slot: 63, Extents: []Extent{{
					Partition: part(orders, 0), Epoch: 3, Base: 90, Next: 100, Position: headerSize, Length: 500, RawLength: 900,
					CRC32C: 0xdeadbeef, MaxTimestamp: created - 5,
				}}, Producers: []sequence.Delta{{
					Partition: part(orders, 0), ProducerID: 44, ProducerEpoch: 1, FirstSequence: 5, Base: 90, Next: 91, Timestamp: created - 9,
				}}, LogStarts: []LogStart{{Partition: part(clicks, 3), Start: 9}}},
			},
		},
	}
}

func mustBuild(t testing.TB, f Footer, runs []Run, codec Codec) *Object {
	t.Helper()
	o, err := Build(f, runs, codec)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func payloadOf(o *Object) []byte { return bytes.Join(o.Parts, nil) }

var codecs = []Codec{None, S2, Zstd}

func TestBuild_EveryByteComesBack(t *testing.T) {
	for _, codec := range codecs {
		t.Run(codec.String(), func(t *testing.T) {
			runs := mixedRuns()
			o := mustBuild(t, fullFooter(), runs, codec)
			payload := payloadOf(o)
			if int64(len(payload)) != o.Size {
				t.Errorf("size %d, parts have %d", o.Size, len(payload))
			}
			if crc := crc32.Checksum(payload, castagnoli); crc != o.CRC32C {
				t.Errorf("crc %08x, parts have %08x", o.CRC32C, crc)
			}
			f, err := Verify(payload)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(o.Footer, f); diff != "" {
				t.Errorf("footer: %s", diff)
			}
			for i, e := range f.Extents {
				raw, err := ReadExtent(e, payload[e.Position:e.Position+e.Length])
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(raw, bytes.Join(runs[i].Batches, nil)) {
					t.Errorf("extent %d came back changed", i)
				}
			}
		})
	}
}

func TestBuild_BlocksKeepTheirSizesAndBeginWithBatches(t *testing.T) {
	for _, codec := range []Codec{S2, Zstd} {
		payload := payloadOf(mustBuild(t, fullFooter(), mixedRuns(), codec))
		f, err := ReadFooter(payload, int64(len(payload)))
		if err != nil {
			t.Fatal(err)
		}
		split := 0
		for i, e := range f.Extents {
			stored := payload[e.Position:][:e.Length]
			blocks, err := ReadTable(e, stored)
			if err != nil {
				t.Fatal(err)
			}
			for n, b := range blocks {
				raw, err := Unpack(blocks[n:n+1], payload[b.Position:])
				if err != nil {
					t.Fatal(err)
				}
				if b.Continued {
					split++
				} else if info, err := recordbatch.Read(raw); err != nil || info.BaseOffset != b.First {
					t.Errorf("extent %d block %d begins with offset %d, %v; table says %d", i, n, info.BaseOffset, err, b.First)
				}
				if b.Codec != None && b.Raw > 128<<10 {
					t.Errorf("extent %d block %d packs %d bytes", i, n, b.Raw)
				}
			}
		}
		if split < 3 {
			t.Errorf("%s: %d continued blocks; a batch of 4000 lines must be split", codec, split)
		}
	}
}

func TestBuild_JSONShrinks(t *testing.T) {
	for codec, limit := range map[Codec]float64{S2: 0.55, Zstd: 0.35} {
		o := mustBuild(t, Footer{}, []Run{runOf(part(orders, 0), 0, batchOf(0, 0, 8000, false))}, codec)
		ratio := float64(o.Size) / float64(o.Footer.Extents[0].RawLength)
		t.Logf("%s: %.3f", codec, ratio)
		if ratio > limit {
			t.Errorf("%s: %.3f of the bytes, want at most %.2f", codec, ratio, limit)
		}
	}
}

func TestBuild_NoiseStaysAsItIsAndIsNotCopied(t *testing.T) {
	value := make([]byte, 300<<10)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range value {
		value[i] = byte(r.Uint32())
	}
	batch := recordbatch.Build(recordbatch.Draft{Records: []recordbatch.Record{{Value: value}}})
	o := mustBuild(t, Footer{}, []Run{runOf(part(orders, 0), 0, batch)}, S2)
	if o.Size > int64(len(batch))+300 {
		t.Errorf("%d bytes for a batch of %d", o.Size, len(batch))
	}
	batch[len(batch)-1] ^= 1
	if _, err := Verify(payloadOf(o)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("the object must reference the batch: %v", err)
	}
}

func TestBuild_PackedBatchesAreReferenced(t *testing.T) {
	batch := batchOf(0, 0, 500, true)
	o := mustBuild(t, Footer{}, []Run{runOf(part(orders, 0), 0, batch)}, S2)
	found := false
	for _, p := range o.Parts {
		found = found || &p[0] == &batch[0]
	}
	if !found {
		t.Error("the batch was copied")
	}
}

// A batch whose bytes changed in memory after it was checked must not get a block checksum that blesses it (I5).
func TestBuild_MemoryCorruptionAfterCheckShows(t *testing.T) {
	batch := batchOf(0, 0, 500, true)
	batch[len(batch)/2] ^= 4
	payload := payloadOf(mustBuild(t, Footer{}, []Run{runOf(part(orders, 0), 0, batch)}, S2))
	if _, err := Verify(payload); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "crc") {
		t.Errorf("got %v", err)
	}
}

func TestBuild_RefusesRunsThatAreNotWhatTheySay(t *testing.T) {
	good := func() Run { return runOf(part(orders, 0), 3, batchOf(3, 100, 2, false), batchOf(3, 102, 2, false)) }
	for name, spoil := range map[string]func(*Run){
		"gap":          func(r *Run) { r.Batches[1] = batchOf(3, 103, 1, false) },
		"overlap":      func(r *Run) { r.Batches[1] = batchOf(3, 101, 3, false) },
		"wrong base":   func(r *Run) { r.Base = 99 },
		"wrong next":   func(r *Run) { r.Next = 105 },
		"other epoch":  func(r *Run) { r.Epoch = 4 },
		"cut batch":    func(r *Run) { r.Batches[1] = r.Batches[1][:80] },
		"no batches":   func(r *Run) { r.Batches, r.Next = nil, r.Base },
		"empty slices": func(r *Run) { r.Batches, r.Next = [][]byte{{}}, r.Base },
	} {
		run := good()
		spoil(&run)
		if _, err := Build(Footer{}, []Run{run}, S2); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Build(Footer{}, []Run{good(), good()}, S2); !errors.Is(err, ErrInvalid) {
		t.Errorf("one partition twice: %v", err)
	}
	for name, d := range map[string]sequence.Delta{
		"another partition": {Partition: part(orders, 1), Base: 100, Next: 102},
		"before the extent": {Partition: part(orders, 0), Base: 99, Next: 102},
		"behind the extent": {Partition: part(orders, 0), Base: 102, Next: 105},
	} {
		if _, err := Build(Footer{Producers: []sequence.Delta{d}}, []Run{good()}, S2); !errors.Is(err, ErrInvalid) {
			t.Errorf("a delta of %s: %v", name, err)
		}
	}
}

func TestBuild_Caps(t *testing.T) {
	one := batchOf(0, 0, 1, true)
	runs := make([]Run, MaxExtents+1)
	for i := range runs {
		runs[i] = runOf(part(orders, int32(i)), 0, one)
	}
	if _, err := Build(Footer{}, runs, None); !errors.Is(err, ErrTooLarge) {
		t.Errorf("%d extents: %v", len(runs), err)
	}
	o := mustBuild(t, Footer{}, runs[:MaxExtents], None)
	payload := payloadOf(o)
	if f, err := Verify(payload); err != nil || len(f.Extents) != MaxExtents {
		t.Errorf("%d extents, %v", len(f.Extents), err)
	}

	large := recordbatch.Build(recordbatch.Draft{Records: []recordbatch.Record{{Value: make([]byte, 33<<20)}}})
	if _, err := Build(Footer{}, []Run{runOf(part(orders, 0), 0, large), runOf(part(orders, 1), 0, large)}, None); !errors.Is(err, ErrTooLarge) {
		t.Errorf("66 MiB: %v", err)
	}
}

func TestBuild_NothingIsASegmentToo(t *testing.T) {
	o := mustBuild(t, Footer{Slot: 9}, nil, S2)
	f, err := Verify(payloadOf(o))
	if err != nil || f.Slot != 9 || len(f.Extents) != 0 {
		t.Errorf("%+v, %v", f, err)
	}
}

func TestRelease_BuffersMayBeUsedAgain(t *testing.T) {
	for range 20 {
		runs := mixedRuns()
		first, second := mustBuild(t, Footer{}, runs, S2), mustBuild(t, fullFooter(), runs, Zstd)
		one, two := payloadOf(first), payloadOf(second)
		first.Release()
		third := mustBuild(t, Footer{}, runs, S2)
		if !bytes.Equal(payloadOf(second), two) || !bytes.Equal(payloadOf(third), one) {
			t.Fatal("a live object changed when another was released")
		}
		second.Release()
		third.Release()
	}
}

func TestAt_AnObjectUnderAnothersKeyIsRefused(t *testing.T) {
	f := Footer{Journal: topic.JournalID{1}, Slot: 5}
	if err := f.At(topic.JournalID{1}, 5); err != nil {
		t.Error(err)
	}
	if err := f.At(topic.JournalID{1}, 6); !errors.Is(err, ErrCorrupt) {
		t.Errorf("another slot: %v", err)
	}
	if err := f.At(topic.JournalID{2}, 5); !errors.Is(err, ErrCorrupt) {
		t.Errorf("another journal: %v", err)
	}
}

func TestReadFooter_SaysHowMuchItNeeds(t *testing.T) {
	payload := payloadOf(mustBuild(t, fullFooter(), mixedRuns(), S2))
	size := int64(len(payload))
	need := int64(0)
	for {
		_, err := ReadFooter(payload[size-need:], size)
		var short *ShortError
		if err == nil {
			break
		}
		if !errors.As(err, &short) || short.Need <= need {
			t.Fatalf("with %d bytes: %v", need, err)
		}
		need = short.Need
	}
	if need == 0 || need > 2000 {
		t.Errorf("needs %d bytes", need)
	}
}

func TestVerify_AnyFlippedByteIsSeen(t *testing.T) {
	runs := []Run{
		runOf(part(orders, 0), 3, batchOf(3, 100, 20, false), batchOf(3, 120, 5, true)),
		runOf(part(orders, 1), 0, batchOf(0, 0, 30, false)),
	}
	whole := payloadOf(mustBuild(t, Footer{Slot: 5, CreatedMs: created}, runs, S2))
	for i := range whole {
		whole[i] ^= 0x10
		if _, err := Verify(whole); err == nil {
			t.Errorf("byte %d of %d: not seen", i, len(whole))
		}
		whole[i] ^= 0x10
	}
	for n := range whole {
		if _, err := Verify(whole[:n]); err == nil {
			t.Errorf("cut to %d of %d bytes: not seen", n, len(whole))
		}
	}
}

func TestReadExtent_ErrorNamesPlaceAndBothValues(t *testing.T) {
	payload := payloadOf(mustBuild(t, Footer{}, []Run{runOf(part(orders, 4), 0, batchOf(0, 7, 3, true))}, S2))
	f, err := ReadFooter(payload, int64(len(payload)))
	if err != nil {
		t.Fatal(err)
	}
	e := f.Extents[0]
	payload[e.Position+e.Length-1] ^= 1
	_, err = ReadExtent(e, payload[e.Position:e.Position+e.Length])
	want := fmt.Sprintf(`extent %s [7,10) at byte 8: segment corrupt: block 0 at byte 40: crc `, e.Partition)
	if err == nil || !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), ", want ") {
		t.Errorf("got %v, want %s…", err, want)
	}
}

func TestFrom_ReadsABlockOfManyByItself(t *testing.T) {
	run := runOf(part(clicks, 2), 1, batchOf(1, 0, 500, false), batchOf(1, 500, 4000, false), batchOf(1, 4500, 500, false), batchOf(1, 5000, 900, false))
	payload := payloadOf(mustBuild(t, Footer{}, []Run{run}, S2))
	f, err := ReadFooter(payload, int64(len(payload)))
	if err != nil {
		t.Fatal(err)
	}
	e := f.Extents[0]
	var short *ShortError
	if _, err = ReadTable(e, payload[e.Position:e.Position+10]); !errors.As(err, &short) {
		t.Fatalf("short table: %v", err)
	}
	blocks, err := ReadTable(e, payload[e.Position:int64(e.Position)+short.Need])
	if err != nil {
		t.Fatal(err)
	}
	for offset, first := range map[topic.Offset]topic.Offset{0: 0, 499: 0, 500: 500, 4499: 500, 4500: 4500, 4999: 4500, 5000: 4500, 5899: 4500} {
		part := From(blocks, offset)
		raw, err := Unpack(part, payload[part[0].Position:e.Position+e.Length])
		if err != nil {
			t.Fatal(err)
		}
		rest, err := recordbatch.Seek(raw, offset)
		if err != nil {
			t.Fatal(err)
		}
		info, err := recordbatch.Check(rest)
		if err != nil || info.BaseOffset > offset || info.Next() <= offset {
			t.Errorf("offset %d: batch [%d,%d), %v", offset, info.BaseOffset, info.Next(), err)
		}
		if part[0].First < first {
			t.Errorf("offset %d: blocks from %d, want from at least %d", offset, part[0].First, first)
		}
	}
	if got := From(blocks, 5899); len(got) == len(blocks) {
		t.Error("the last offset needs all blocks")
	}
}

func TestDescribe_RowsFillTheObject(t *testing.T) {
	payload := payloadOf(mustBuild(t, fullFooter(), mixedRuns(), S2))
	rows, err := Describe(payload)
	if err != nil {
		t.Fatal(err)
	}
	at := int64(0)
	kinds := map[string]int{}
	for i, r := range rows {
		if r.Position != at {
			t.Errorf("row %d (%s) at %d, want %d", i, r.What, r.Position, at)
		}
		at += r.Length
		kinds[r.What]++
		if r.Ratio() > 1 || (r.Codec != None && r.Ratio() > 0.95) {
			t.Errorf("row %d: ratio %.2f with %s", i, r.Ratio(), r.Codec)
		}
	}
	if at != int64(len(payload)) {
		t.Errorf("rows end at %d of %d", at, len(payload))
	}
	if kinds["header"] != 1 || kinds["table"] != 4 || kinds["block"] < 8 || kinds["footer"] != 1 || kinds["tail"] != 1 {
		t.Errorf("rows: %v", kinds)
	}
}

func TestParseCodec_KnowsItsNames(t *testing.T) {
	for _, c := range codecs {
		if got, err := ParseCodec(c.String()); err != nil || got != c {
			t.Errorf("%s: %v, %v", c, got, err)
		}
	}
	if _, err := ParseCodec("gzip"); err == nil {
		t.Error("gzip is none of ours")
	}
}

func TestJoinCRC_EqualsTheCRCOfAll(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	b := make([]byte, 100_000)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	for _, size := range []int{0, 1, 2, 3, 100, 65_536, 99_999} {
		for _, cut := range []int{0, 1, size / 3, size} {
			if cut > size {
				continue
			}
			first, second := crc32.Checksum(b[:cut], castagnoli), crc32.Checksum(b[cut:size], castagnoli)
			if got, want := joinCRC(first, second, int64(size-cut)), crc32.Checksum(b[:size], castagnoli); got != want {
				t.Errorf("%d + %d bytes: %08x, want %08x", cut, size-cut, got, want)
			}
		}
	}
}

func TestBuild_SummaryLeavesOutWhatIsTooMuch(t *testing.T) {
	f := Footer{CreatedMs: created, Slot: 63, Summary: &Summary{Ends: []PartitionEnd{{Partition: part(orders, 0), Next: 7}}}}
	for slot := range topic.Slot(63) {
		repeated := SlotExtents{Slot: slot}
		for i := range int32(1000) {
			repeated.Extents = append(repeated.Extents, Extent{
				Partition: part(topic.ID{9}, i), Base: topic.Offset(slot) << 40, Next: topic.Offset(slot+1) << 40, Length: 50 << 10, RawLength: 50 << 10,
			})
		}
		f.Summary.Recent = append(f.Summary.Recent, repeated)
	}
	few := f
	few.Summary = &Summary{Ends: f.Summary.Ends, Recent: f.Summary.Recent[:9]}
	for name, c := range map[string]struct {
		footer Footer
		recent int
	}{"all": {f, 0}, "few": {few, 9}} {
		o := mustBuild(t, c.footer, nil, None)
		payload := payloadOf(o)
		got, err := ReadFooter(payload, int64(len(payload)))
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Summary.Recent) != c.recent || len(o.Footer.Summary.Recent) != c.recent {
			t.Errorf("%s: %d slots repeated, the object says %d, want %d", name, len(got.Summary.Recent), len(o.Footer.Summary.Recent), c.recent)
		}
		if diff := cmp.Diff(f.Summary.Ends, got.Summary.Ends); diff != "" {
			t.Errorf("%s: ends: %s", name, diff)
		}
	}
	if len(f.Summary.Recent) != 63 {
		t.Error("Build changed the caller's summary")
	}
}
