package segment

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/topic"
)

var someObject = topic.Object{Planned: 77, ID: topic.ObjectID{0xab, 1, 2, 3}}

// kept is what goes into a run of an object: batches as they are appended.
type kept struct {
	p          topic.Partition
	base, next topic.Offset
	level      uint8
	batches    [][]byte
}

// cleaned is how far the run was cleaned: those of the highest level were.
func (r kept) cleaned() topic.Offset {
	if r.level < topic.MaxLevel {
		return 0
	}
	return r.next - 1
}

// erased is how many records of the run were erased: of those above level 1 some were.
func (r kept) erased() uint64 {
	if r.level == 1 {
		return 0
	}
	return uint64(r.next - r.base)
}

// thinned is a batch that key compaction took records from: of n offsets it has kept records.
func thinned(epoch topic.Epoch, base topic.Offset, n, keptRecords int) []byte {
	b := batchOf(epoch, base, keptRecords, false)
	binary.BigEndian.PutUint32(b[23:], uint32(n-1)) // last offset delta
	return relabel(b, recordbatch.None)
}

// keptRuns has all kinds: epochs that change, holes everywhere, a batch of more than an extent, one without records left,
// packed ones, and a run of which nothing is left.
func keptRuns() []kept {
	return []kept{
		{part(orders, 0), 100, 140, 1, [][]byte{
			batchOf(3, 100, 20, false), batchOf(3, 120, 5, true), append(batchOf(4, 125, 1, false), batchOf(4, 126, 14, false)...),
		}},
		{part(orders, 7), 0, 90_000, 2, [][]byte{
			batchOf(0, 3, 12_000, false), batchOf(0, 12_003, 300, false), thinned(1, 12_400, 9, 4), batchOf(1, 12_500, 9000, false),
			batchOf(1, 60_000, 9000, true),
		}},
		{part(orders, 8), 5, 6, 2, nil},
		{part(clicks, 2), 1 << 40, 1<<40 + 7, topic.MaxLevel, [][]byte{thinned(1, 1<<40, 5, 0)}},
	}
}

// objectOf is an object of runs, and the runs as a manifest would name them.
func objectOf(t testing.TB, runs []kept, codec Codec) (object []byte, out []PartitionRun) {
	t.Helper()
	w := NewObjectWriter(someObject, func(b []byte) error {
		object = append(object, b...)
		return nil
	}, codec)
	for _, r := range runs {
		if err := w.Begin(r.p, r.base, r.level); err != nil {
			t.Fatal(err)
		}
		for _, b := range r.batches {
			given := bytes.Clone(b)
			if err := w.Append(given); err != nil {
				t.Fatal(err)
			}
			clear(given) // it is the caller's again
		}
		w.Cleaned(r.cleaned())
		w.Erased(r.erased())
		run, err := w.End(r.next)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, PartitionRun{r.p, run})
		if w.Size() != int64(len(object)) {
			t.Errorf("size %d, %d bytes were emitted", w.Size(), len(object))
		}
	}
	size, err := w.Close()
	if err != nil || size != int64(len(object)) {
		t.Fatalf("close: %d, %v; %d bytes were emitted", size, err, len(object))
	}
	return object, out
}

func TestObjectWriter_EveryByteComesBack(t *testing.T) {
	for _, codec := range codecs {
		t.Run(codec.String(), func(t *testing.T) {
			object, runs := objectOf(t, keptRuns(), codec)
			f, err := VerifyObject(object, nil)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(ObjectFooter{someObject, runs}, f); diff != "" {
				t.Errorf("footer: %s", diff)
			}
			if err := f.At(topic.Object{Planned: 78, ID: someObject.ID}); !errors.Is(err, ErrCorrupt) || f.At(someObject) != nil {
				t.Errorf("at another key: %v", err)
			}
			for i, want := range keptRuns() {
				readRun(t, object, runs[i], want)
			}
		})
	}
}

// readRun reads a run as a consumer does: its table, and from that each extent.
func readRun(t *testing.T, object []byte, r PartitionRun, want kept) {
	t.Helper()
	at := r.Run.Position + r.Run.Length
	extents, err := ReadRunTable(r.Partition, r.Run, object[at:at+r.Run.Table])
	if err != nil {
		t.Fatal(err)
	}
	var got []byte
	next, newest, position := want.base, int64(-1), r.Run.Position
	for n, e := range extents {
		if e.Partition != want.p || e.Base != next || e.Position != position {
			t.Errorf("extent %d of %s is [%d,%d) at %d, want base %d at %d", n, e.Partition, e.Base, e.Next, e.Position, next, position)
		}
		raw, err := ReadExtent(e, object[e.Position:e.Position+e.Length])
		if err != nil {
			t.Fatal(err)
		}
		if info, err := recordbatch.Read(raw); err != nil || len(raw) > ObjectExtentRaw && info.Size < len(raw) {
			t.Errorf("extent %d has %d bytes in more than one batch, %v", n, len(raw), err)
		}
		got = append(got, raw...)
		next, newest, position = e.Next, max(newest, e.MaxTimestamp), position+e.Length
	}
	if !bytes.Equal(got, bytes.Join(want.batches, nil)) {
		t.Errorf("batches of %s came back changed", want.p)
	}
	if len(extents) > 0 && next != want.next || newest != r.Run.MaxTimestamp || uint64(len(got)) != r.Run.RawLength {
		t.Errorf("extents of %s end at %d, newest %d, %d bytes; the run says %s", want.p, next, newest, len(got), r.Run)
	}
	if r.Run.Base != want.base || r.Run.Next != want.next || r.Run.Level != want.level || r.Run.Cleaned != want.cleaned() || r.Run.Erased != want.erased() || r.Run.Object != someObject {
		t.Errorf("run %s, want [%d,%d) level %d cleaned up to %d", r.Run, want.base, want.next, want.level, want.cleaned())
	}
}

func TestObjectWriter_ExtentsEndAtAMebibyteAndWhereTheEpochChanges(t *testing.T) {
	var batches [][]byte
	for i := range 600 { // 100 lines are about 11 KiB
		batches = append(batches, batchOf(topic.Epoch(i/400), topic.Offset(i*100), 100, false))
	}
	object, runs := objectOf(t, []kept{{part(orders, 0), 0, 60_000, 1, batches}}, Zstd)
	r := runs[0].Run
	extents, err := ReadRunTable(runs[0].Partition, r, object[r.Position+r.Length:][:r.Table])
	if err != nil {
		t.Fatal(err)
	}
	for n, e := range extents {
		last := n+1 == len(extents) || extents[n+1].Epoch != e.Epoch
		if e.RawLength > ObjectExtentRaw || !last && e.RawLength < ObjectExtentRaw*9/10 {
			t.Errorf("extent %d of %d has %d bytes", n, len(extents), e.RawLength)
		}
		if e.Epoch != topic.Epoch(e.Base/40_000) || (e.Next-1)/40_000 != e.Base/40_000 {
			t.Errorf("extent [%d,%d) of epoch %d", e.Base, e.Next, e.Epoch)
		}
	}
	if float64(r.Length) > 0.35*float64(r.RawLength) {
		t.Errorf("%d bytes packed to %d", r.RawLength, r.Length)
	}
}

// A reader of an offset in a hole gets what comes behind it, from the extent that the hole belongs to.
func TestObjectWriter_HolesBelongToTheExtentBefore(t *testing.T) {
	object, runs := objectOf(t, []kept{{part(orders, 0), 0, 1000, 1, [][]byte{
		batchOf(1, 10, 5, false), batchOf(2, 100, 5, false), batchOf(2, 200, 5, false),
	}}}, None)
	r := runs[0].Run
	extents, err := ReadRunTable(runs[0].Partition, r, object[r.Position+r.Length:][:r.Table])
	if err != nil || len(extents) != 2 {
		t.Fatalf("%d extents, %v", len(extents), err)
	}
	if a, b := extents[0], extents[1]; a.Base != 0 || a.Next != 100 || b.Base != 100 || b.Next != 1000 {
		t.Errorf("extents [%d,%d) and [%d,%d), want [0,100) and [100,1000)", a.Base, a.Next, b.Base, b.Next)
	}
	blocks, err := ReadTable(extents[1], object[extents[1].Position:][:extents[1].Length])
	if err != nil || len(From(blocks, 150)) != len(blocks) || len(From(blocks, 999)) != 1 {
		t.Errorf("from offset 150 on %d of %d blocks, %v", len(From(blocks, 150)), len(blocks), err)
	}
}

func TestObjectWriter_RefusesWhatIsNoRun(t *testing.T) {
	good := batchOf(1, 10, 5, false)
	broken := bytes.Clone(good)
	broken[70] ^= 1
	more := thinned(1, 10, 5, 5)
	more[26] = 2 // five records in three offsets
	relabel(more, recordbatch.None)
	for name, calls := range map[string]func(w *ObjectWriter) error{
		"append before begin": func(w *ObjectWriter) error { return w.Append(good) },
		"end before begin":    func(w *ObjectWriter) error { return second(w.End(1)) },
		"close without runs":  func(w *ObjectWriter) error { return second(w.Close()) },
		"begin twice": func(w *ObjectWriter) error {
			return errors.Join(w.Begin(part(orders, 0), 0, 1), w.Begin(part(orders, 1), 0, 1))
		},
		"negative base": func(w *ObjectWriter) error { return w.Begin(part(orders, 0), -1, 1) },
		"close with a run open": func(w *ObjectWriter) error {
			return errors.Join(w.Begin(part(orders, 0), 0, 1), second(w.Close()))
		},
		"empty run": func(w *ObjectWriter) error {
			return errors.Join(w.Begin(part(orders, 0), 10, 1), second(w.End(10)))
		},
		"end inside a batch": func(w *ObjectWriter) error {
			return errors.Join(w.Begin(part(orders, 0), 10, 1), w.Append(good), second(w.End(14)))
		},
		"batch before the base": func(w *ObjectWriter) error { return errors.Join(w.Begin(part(orders, 0), 11, 1), w.Append(good)) },
		"batch twice": func(w *ObjectWriter) error {
			return errors.Join(w.Begin(part(orders, 0), 0, 1), w.Append(good), w.Append(good))
		},
		"damaged batch":    func(w *ObjectWriter) error { return errors.Join(w.Begin(part(orders, 0), 0, 1), w.Append(broken)) },
		"half a batch":     func(w *ObjectWriter) error { return errors.Join(w.Begin(part(orders, 0), 0, 1), w.Append(good[:90])) },
		"too many records": func(w *ObjectWriter) error { return errors.Join(w.Begin(part(orders, 0), 0, 1), w.Append(more)) },
		"partition twice": func(w *ObjectWriter) error {
			return errors.Join(one(w, part(orders, 1)), w.Begin(part(orders, 1), 9, 1))
		},
		"index that falls": func(w *ObjectWriter) error {
			return errors.Join(one(w, part(orders, 1)), w.Begin(part(orders, 0), 9, 1))
		},
		"topic that falls": func(w *ObjectWriter) error {
			return errors.Join(one(w, part(clicks, 1)), w.Begin(part(orders, 2), 9, 1))
		},
		"more erased than there were": func(w *ObjectWriter) error {
			err := w.Begin(part(orders, 0), 0, 1)
			w.Erased(10)
			return errors.Join(err, second(w.End(9)))
		},
		"begin after close": func(w *ObjectWriter) error {
			return errors.Join(one(w, part(orders, 1)), second(w.Close()), w.Begin(part(orders, 2), 9, 1))
		},
	} {
		w := NewObjectWriter(someObject, func([]byte) error { return nil }, Zstd)
		if err := calls(w); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
		if err := one(w, part(clicks, 9)); err == nil {
			t.Errorf("%s: the writer goes on", name)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// one writes a run of p.
func one(w *ObjectWriter, p topic.Partition) error {
	return errors.Join(w.Begin(p, 0, 1), w.Append(batchOf(1, 0, 3, false)), second(w.End(3)))
}

func TestObjectWriter_ErrorOfEmitEndsIt(t *testing.T) {
	full := errors.New("full")
	left := 0
	emit := func([]byte) error {
		if left--; left < 0 {
			return full
		}
		return nil
	}
	for ends := false; !ends; left++ { // each call fails once
		before := left
		w := NewObjectWriter(someObject, emit, None)
		err := errors.Join(one(w, part(orders, 0)), one(w, part(orders, 1)), second(w.Close()))
		if ends = left >= 0; !ends && !errors.Is(err, full) || ends && err != nil {
			t.Fatalf("emit fails after %d calls: %v", before, err)
		}
		left = before
	}
}

func TestVerifyObject_AnyByteThatChangesShows(t *testing.T) {
	object, _ := objectOf(t, []kept{
		{part(orders, 0), 0, 10, 1, [][]byte{batchOf(1, 0, 5, false), batchOf(2, 7, 2, true)}}, {part(orders, 1), 0, 4, 1, nil},
	}, Zstd)
	for i := range object {
		damaged := bytes.Clone(object)
		damaged[i] ^= 1
		if _, err := VerifyObject(damaged, nil); !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
			t.Errorf("byte %d of %d changed: %v", i, len(object), err)
		}
		if _, err := VerifyObject(object[:i], nil); err == nil {
			t.Errorf("cut to %d of %d bytes: verified", i, len(object))
		}
	}
}

func TestReadObjectFooter_SaysHowMuchItNeeds(t *testing.T) {
	object, _ := objectOf(t, keptRuns(), S2)
	size := int64(len(object))
	var short *ShortError
	if _, err := ReadObjectFooter(object[size-10:], size); !errors.As(err, &short) || short.Need != TailSize {
		t.Fatalf("10 bytes: %v", err)
	}
	if _, err := ReadObjectFooter(object[size-TailSize:], size); !errors.As(err, &short) || short.Need <= TailSize {
		t.Fatalf("the tail: %v", err)
	}
	if f, err := ReadObjectFooter(object[size-short.Need:], size); err != nil || f.Object != someObject {
		t.Errorf("the %d bytes asked for: %v", short.Need, err)
	}
	if _, err := ReadFooter(object, size); !errors.Is(err, ErrCorrupt) {
		t.Errorf("an object read as a segment: %v", err)
	}
	payload := payloadOf(mustBuild(t, Footer{}, mixedRuns(), None))
	if _, err := ReadObjectFooter(payload, int64(len(payload))); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a segment read as an object: %v", err)
	}
}

func TestReadRunTable_LyingTablesAreRefused(t *testing.T) {
	run := topic.Run{
		Object: someObject, Base: 10, Next: 40, Level: 1, Position: 100, Length: 300, RawLength: 3000, MaxTimestamp: created,
	}
	good := []Extent{
		{Epoch: 1, Base: 10, Next: 25, Length: 100, RawLength: 1000, CRC32C: 1, MaxTimestamp: created},
		{Epoch: 2, Base: 25, Next: 40, Length: 200, RawLength: 2000, CRC32C: 2, MaxTimestamp: created - 7},
	}
	p := part(orders, 0)
	read := func(run topic.Run, extents []Extent, more ...byte) ([]Extent, error) {
		table := append(appendRunTable(nil, 10, extents), more...)
		run.Table, run.CRC32C = uint32(len(table)), checksum(table)
		return ReadRunTable(p, run, table)
	}
	want := []Extent{good[0], good[1]}
	want[0].Partition, want[0].Position, want[1].Partition, want[1].Position = p, 100, p, 200
	if got, err := read(run, good); err != nil || !cmp.Equal(got, want) {
		t.Fatalf("%v, %v", got, err)
	}
	for name, lie := range map[string]func(r *topic.Run, a, b *Extent){
		"ends too early":        func(r *topic.Run, _, b *Extent) { b.Next = 39 },
		"ends too late":         func(r *topic.Run, _, b *Extent) { b.Next = 41 },
		"empty extent":          func(r *topic.Run, a, _ *Extent) { a.Next = 10 },
		"first reaches the end": func(r *topic.Run, a, b *Extent) { a.Next, b.Next = 40, 55 },
		"bytes missing":         func(r *topic.Run, _, b *Extent) { b.Length-- },
		"bytes too many":        func(r *topic.Run, _, b *Extent) { b.Length++ },
		"no room for a table":   func(r *topic.Run, a, b *Extent) { a.Length, b.Length = 5, 295 },
		"raw missing":           func(r *topic.Run, a, _ *Extent) { a.RawLength-- },
		"raw too large":         func(r *topic.Run, a, _ *Extent) { a.RawLength, r.RawLength = MaxRaw+1, MaxRaw+2001 },
		"newest is older":       func(r *topic.Run, a, _ *Extent) { a.MaxTimestamp-- },
		"epoch below zero":      func(r *topic.Run, a, b *Extent) { a.Epoch, b.Epoch = -1, 0 },
		"run turned around":     func(r *topic.Run, _, _ *Extent) { r.Next = 10 },
		"run without bytes":     func(r *topic.Run, _, _ *Extent) { r.Length = 0 },
		"run behind any object": func(r *topic.Run, _, _ *Extent) { r.Position = MaxObject },
	} {
		r, extents := run, []Extent{good[0], good[1]}
		lie(&r, &extents[0], &extents[1])
		if _, err := read(r, extents); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := read(run, good, 0); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a byte too many: %v", err)
	}
	table := appendRunTable(nil, 10, good)
	r := run
	r.Table, r.CRC32C = uint32(len(table)), checksum(table)
	if _, err := ReadRunTable(p, r, table[:len(table)-1]); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "[10,40)") {
		t.Errorf("a cut table: %v", err)
	}
	if extents, err := ReadRunTable(p, topic.Run{Base: 1, Next: 2, MaxTimestamp: -1}, nil); err != nil || extents != nil {
		t.Errorf("a run of which nothing is left: %v, %v", extents, err)
	}
}

func TestDescribeObject_RowsFillTheObject(t *testing.T) {
	object, runs := objectOf(t, keptRuns(), Zstd)
	rows, err := DescribeObject(object)
	if err != nil {
		t.Fatal(err)
	}
	at, count := int64(0), make(map[string]int)
	for _, r := range rows {
		if r.Position != at {
			t.Errorf("%s at %d, want %d", r.What, r.Position, at)
		}
		at += r.Length
		count[r.What]++
	}
	if at != int64(len(object)) {
		t.Errorf("rows end at %d of %d", at, len(object))
	}
	if count["run table"] != len(runs)-1 || count["header"] != 1 || count["footer"] != 1 || count["tail"] != 1 || count["table"] < 6 {
		t.Errorf("rows: %v", count)
	}
}

// Whatever batches come in whatever steps, they come back, and the object is the same.
func TestObjectWriter_RandomRuns(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 11))
	for range 30 {
		var runs []kept
		for p := range 1 + rng.IntN(5) {
			r := kept{p: part(orders, int32(p)), base: topic.Offset(rng.IntN(1000)), level: 1}
			next, epoch := r.base, topic.Epoch(0)
			for range rng.IntN(40) {
				next += topic.Offset(rng.IntN(3) * rng.IntN(50))
				epoch += topic.Epoch(rng.IntN(8) / 7)
				n := 1 + rng.IntN(1+rng.IntN(900))
				r.batches = append(r.batches, batchOf(epoch, next, n, rng.IntN(3) == 0))
				next += topic.Offset(n)
			}
			r.next = next + topic.Offset(1+rng.IntN(10))
			runs = append(runs, r)
		}
		codec := codecs[rng.IntN(len(codecs))]
		object, out := objectOf(t, runs, codec)
		if _, err := VerifyObject(object, nil); err != nil {
			t.Fatal(err)
		}
		for i := range runs {
			readRun(t, object, out[i], runs[i])
			runs[i].batches = [][]byte{bytes.Join(runs[i].batches, nil)}
		}
		if again, _ := objectOf(t, runs, codec); !bytes.Equal(again, object) {
			t.Error("the same batches in other steps make another object")
		}
	}
}

func goldenObject(codec Codec) string {
	return filepath.Join("testdata", "compacted-v1-"+codec.String()+".bin")
}

// goldenKept are what the golden objects hold.
func goldenKept() []kept {
	return []kept{
		{part(orders, 0), 100, 140, 1, [][]byte{
			batchOf(3, 100, 20, false), batchOf(3, 120, 5, true), batchOf(4, 125, 1, false), thinned(4, 130, 9, 3),
		}},
		{part(orders, 8), 5, 6, 2, nil},
		{part(clicks, 2), 0, 1 << 40, 2, [][]byte{batchOf(0, 1<<39, 3, false)}},
	}
}

// A compacted object written by any release must be read by all later ones, byte for byte.
func TestGoldenObject_VersionOneIsReadForEver(t *testing.T) {
	for _, codec := range codecs {
		t.Run(codec.String(), func(t *testing.T) {
			built, want := objectOf(t, goldenKept(), codec)
			if *update {
				if err := os.WriteFile(goldenObject(codec), built, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			object, err := os.ReadFile(goldenObject(codec))
			if err != nil {
				t.Fatal(err)
			}
			f, err := VerifyObject(object, nil)
			if err != nil {
				t.Fatal(err)
			}
			for i, r := range goldenKept() {
				readRun(t, object, f.Runs[i], r)
			}
			if codec != None {
				// A newer compressor may pack better; where the packed bytes are is no promise.
				for i := range want {
					w, g := &want[i].Run, f.Runs[i].Run
					w.Position, w.Length, w.Table, w.CRC32C = g.Position, g.Length, g.Table, g.CRC32C
				}
			} else if !bytes.Equal(object, built) {
				t.Error("the same runs make another object")
			}
			if diff := cmp.Diff(ObjectFooter{someObject, want}, f); diff != "" {
				t.Errorf("footer: %s", diff)
			}
		})
	}
}

func seedGoldenObjects(f *testing.F, cut func(object []byte, footer ObjectFooter) [][]byte) {
	for _, codec := range codecs {
		object, err := os.ReadFile(goldenObject(codec))
		if err != nil {
			f.Fatal(err)
		}
		footer, err := ReadObjectFooter(object, int64(len(object)))
		if err != nil {
			f.Fatal(err)
		}
		for _, b := range cut(object, footer) {
			f.Add(b)
		}
	}
}

func FuzzReadObjectFooter(f *testing.F) {
	seedGoldenObjects(f, func(object []byte, _ ObjectFooter) [][]byte {
		body, err := openTail(object, int64(len(object)), objectTailMagic, MaxObject)
		if err != nil {
			f.Fatal(err)
		}
		return [][]byte{body, object[len(object)-len(body)-TailSize:]}
	})
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = ReadObjectFooter(b, int64(len(b)))
		_, _ = ReadObjectFooter(b, 1<<20)

		// The same bytes as a footer whose checksum and place are right.
		r := footerReader{b: b}
		start := int64(headerSize)
		if runs := r.objectFooter().Runs; len(runs) > 0 {
			last := runs[len(runs)-1].Run
			start = int64(last.Position) + last.Size()
		}
		footer, err := parseObjectFooter(b, start)
		if err != nil {
			return
		}
		second, err := parseObjectFooter(appendObjectFooter(nil, &footer), start)
		if err != nil {
			t.Fatalf("written but not read: %v", err)
		}
		if diff := cmp.Diff(footer, second); diff != "" {
			t.Error(diff)
		}
	})
}

func FuzzReadRunTable(f *testing.F) {
	seedGoldenObjects(f, func(object []byte, footer ObjectFooter) (all [][]byte) {
		for _, r := range footer.Runs {
			at := r.Run.Position + r.Run.Length
			all = append(all, object[at:at+r.Run.Table])
		}
		return all
	})
	f.Fuzz(func(t *testing.T, table []byte) {
		p := part(orders, 0)
		_, _ = ReadRunTable(p, topic.Run{}, table)
		if len(table) == 0 {
			return // no table at all is that of a run without extents
		}

		// The same bytes as the table of a run that says what they say.
		run := topic.Run{
			Object: someObject, Base: 10, Next: math.MaxInt64, Position: headerSize, Length: MaxObject - headerSize - uint32(len(table)),
		}
		r := footerReader{b: table}
		run.MaxTimestamp = -1
		var length uint64
		for _, e := range r.runExtents(p, run) {
			run.Next = e.Next
			length += uint64(e.Length)
			run.RawLength += uint64(e.RawLength)
			run.MaxTimestamp = max(run.MaxTimestamp, e.MaxTimestamp)
		}
		run.Length, run.Table, run.CRC32C = uint32(length), uint32(len(table)), checksum(table)
		extents, err := ReadRunTable(p, run, table)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Errorf("error %v", err)
			}
			return
		}
		again := appendRunTable(nil, run.Base, extents)
		run.Table, run.CRC32C = uint32(len(again)), checksum(again)
		second, err := ReadRunTable(p, run, again)
		if err != nil {
			t.Fatalf("written but not read: %v", err)
		}
		if diff := cmp.Diff(extents, second); diff != "" {
			t.Error(diff)
		}
	})
}

func FuzzCheckKept(f *testing.F) {
	for _, r := range goldenKept() {
		for _, b := range r.batches {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		e := Extent{Next: math.MaxInt64, MaxTimestamp: -1}
		for at := 0; at < len(raw); { // an extent that says what the batches do
			info, err := recordbatch.Read(raw[at:])
			if err != nil {
				break
			}
			e.Epoch, e.MaxTimestamp = info.LeaderEpoch, max(e.MaxTimestamp, info.MaxTimestamp)
			at += info.Size
		}
		if CheckKept(e, raw) != nil {
			return
		}
		count := 0
		err := eachHeader(raw, func(info recordbatch.Info) {
			if count++; info.BaseOffset < 0 || info.Next() <= info.BaseOffset || info.Count < 0 {
				t.Errorf("passed: %+v", info)
			}
		})
		if err != nil || count == 0 {
			t.Errorf("passed: %d batches, %v", count, err)
		}
	})
}
