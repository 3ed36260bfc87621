package compaction

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"runtime"
	"runtime/metrics"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/odradek/odradek/compaction/keystest"
	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/topic"
)

const testMaxRaw = 16 << 20

// rows is a source of the batches in b, n of them in a row.
func rows(b []byte, n int) KeySource {
	return func(from topic.Offset) iter.Seq2[[]byte, error] {
		return func(yield func([]byte, error) bool) {
			rest, err := recordbatch.Seek(b, from)
			for err == nil && len(rest) > 0 {
				size := 0
				for i := 0; i < n && size < len(rest); i++ {
					var info recordbatch.Info
					if info, err = recordbatch.Read(rest[size:]); err != nil {
						break
					}
					size = min(size+info.Size, len(rest)) // of a batch that is cut there is less
				}
				if err == nil && !yield(rest[:size], nil) {
					return
				}
				rest = rest[size:]
			}
			if err != nil {
				yield(nil, err)
			}
		}
	}
}

// clean cleans b and gives what is left.
func clean(t *testing.T, b []byte, cfg KeyConfig) ([]byte, KeyStats) {
	t.Helper()
	if cfg.Map == nil {
		cfg.Map = NewOffsetMap(1 << 16)
	}
	if cfg.MaxRaw == 0 {
		cfg.MaxRaw = testMaxRaw
	}
	var left []byte
	stats, err := Clean(rows(b, 3), func(b []byte) error { left = append(left, b...); return nil }, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if stats.BytesOut != int64(len(left)) || stats.BytesIn != int64(len(b)) {
		t.Errorf("%d bytes in, %d out, counted %d and %d", len(b), len(left), stats.BytesIn, stats.BytesOut)
	}
	return left, stats
}

// draft is a batch of records with the keys and values given as "key=value", "key" for a tombstone, "=value" without key.
func draft(base topic.Offset, records ...string) recordbatch.Draft {
	d := recordbatch.Draft{Base: base}
	for i, r := range records {
		key, value, ok := strings.Cut(r, "=")
		one := recordbatch.Record{Timestamp: 1000 + int64(base) + int64(i)}
		if key != "" {
			one.Key = []byte(key)
		}
		if ok {
			one.Value = []byte(value)
		}
		d.Records = append(d.Records, one)
	}
	return d
}

// show tells batches in words: offsets of each, and records as draft has them.
func show(t *testing.T, b []byte) string {
	t.Helper()
	var words []string
	for len(b) > 0 {
		info, err := recordbatch.CheckStored(b)
		if err != nil {
			t.Fatal(err)
		}
		words = append(words, fmt.Sprintf("[%d,%d)", info.BaseOffset, info.Next()))
		if ms, ok := info.DeleteHorizon(); ok {
			words = append(words, fmt.Sprintf("until %d", ms))
		}
		for r, err := range recordbatch.Records(b, testMaxRaw) {
			switch {
			case err != nil:
				t.Fatal(err)
			case info.IsControl():
				words = append(words, fmt.Sprintf("%d:%s", r.Offset, []string{"abort", "commit"}[r.Key[3]]))
			case r.Value == nil:
				words = append(words, fmt.Sprintf("%d:%s", r.Offset, r.Key))
			default:
				words = append(words, fmt.Sprintf("%d:%s=%s", r.Offset, r.Key, r.Value))
			}
		}
		b = b[info.Size:]
	}
	return strings.Join(words, " ")
}

func build(drafts ...recordbatch.Draft) []byte {
	var all []byte
	for _, d := range drafts {
		all = append(all, recordbatch.Build(d)...)
	}
	return all
}

func TestClean_KeepsTheLastOfEachKey(t *testing.T) {
	b := build(draft(0, "a=1", "b=1", "a=2"), draft(3, "a=3"), draft(4, "c=1", "=nokey", "b=2"), draft(7, "a=4"))
	left, stats := clean(t, b, KeyConfig{Upto: 8})
	if got, want := show(t, left), "[4,7) 4:c=1 6:b=2 [7,8) 7:a=4"; got != want {
		t.Errorf("left %s, want %s", got, want)
	}
	want := KeyStats{
		Cleaned: 8, Keys: 3, MapRecords: 8, MapBytes: int64(len(b)), BatchesIn: 4, BatchesOut: 2, RecordsIn: 8, RecordsOut: 3,
		BytesIn: int64(len(b)), BytesOut: int64(len(left)), Superseded: 4, NoKey: 1, Rewritten: 1,
	}
	if diff := cmp.Diff(want, stats); diff != "" {
		t.Error(diff)
	}
}

func TestClean_RecordsFromUptoOnStayAsTheyAre(t *testing.T) {
	b := build(draft(0, "a=1"), draft(1, "b=1"), draft(2, "a=2", "=nokey"), draft(4, "a=3"))
	left, stats := clean(t, b, KeyConfig{Upto: 2})
	if !bytes.Equal(left, b) || stats.Cleaned != 2 {
		t.Errorf("left %s, cleaned up to %d", show(t, left), stats.Cleaned)
	}
	left, stats = clean(t, b, KeyConfig{Upto: 3}) // inside a batch
	if !bytes.Equal(left, b) || stats.Cleaned != 2 {
		t.Errorf("left %s, cleaned up to %d", show(t, left), stats.Cleaned)
	}
	if left, _ = clean(t, b, KeyConfig{Upto: 4}); show(t, left) != "[1,2) 1:b=1 [2,4) 2:a=2 [4,5) 4:a=3" {
		t.Errorf("left %s", show(t, left))
	}
}

func TestClean_YoungBatchesAreLeftAlone(t *testing.T) {
	b := build(draft(0, "a=1"), draft(1, "a=2"), draft(50, "a=3"), draft(10_000, "a=4"))
	left, stats := clean(t, b, KeyConfig{Upto: 10_001, Now: 1051, MinLag: 10})
	if got, want := show(t, left), "[1,2) 1:a=2 [50,51) 50:a=3 [10000,10001) 10000:a=4"; got != want || stats.Cleaned != 50 {
		t.Errorf("left %s, want %s; cleaned up to %d", got, want, stats.Cleaned)
	}
}

func TestClean_TombstonesStayUntilTheirHorizon(t *testing.T) {
	b := build(draft(0, "a=1", "b=1"), draft(2, "a", "c=1"), draft(4, "d=1"))
	cfg := KeyConfig{Upto: 5, Now: 5000, DeleteRetention: 100}
	first, stats := clean(t, b, cfg)
	want := "[0,2) 1:b=1 [2,4) until 5100 2:a 3:c=1 [4,5) 4:d=1"
	if show(t, first) != want || stats.Horizon != 5100 {
		t.Fatalf("left %s, want %s; horizon %d", show(t, first), want, stats.Horizon)
	}
	first = append(first, build(draft(5, "d=2"))...)
	cfg.Dirty, cfg.Upto, cfg.Now = 5, 6, 5099
	second, _ := clean(t, first, cfg)
	if want = "[0,2) 1:b=1 [2,4) until 5100 2:a 3:c=1 [5,6) 5:d=2"; show(t, second) != want {
		t.Fatalf("a moment before: left %s, want %s", show(t, second), want)
	}
	cfg.Dirty, cfg.Now = 6, 5100
	third, stats := clean(t, second, cfg)
	if want = "[0,2) 1:b=1 [2,4) until 5100 3:c=1 [5,6) 5:d=2"; show(t, third) != want || stats.Tombstones != 1 {
		t.Errorf("then: left %s, want %s; %d tombstones", show(t, third), want, stats.Tombstones)
	}
}

func TestClean_ProducersLastBatchStaysEmpty(t *testing.T) {
	one, two := draft(0, "a=1", "a=2"), draft(2, "a=3")
	one.Producer = &recordbatch.Producer{ID: 7, Epoch: 1, Sequence: 10}
	two.Producer = &recordbatch.Producer{ID: 7, Epoch: 1, Sequence: 12}
	b := build(one, two, draft(3, "a=4"))
	producer := func(id int64) (LastOfProducer, bool) { return LastOfProducer{Data: 2, Epoch: 1}, id == 7 }
	left, stats := clean(t, b, KeyConfig{Upto: 4, Producer: producer})
	if got, want := show(t, left), "[2,3) [3,4) 3:a=4"; got != want || stats.Emptied != 1 {
		t.Fatalf("left %s, want %s; %d emptied", got, want, stats.Emptied)
	}
	info, err := recordbatch.CheckStored(left)
	if err != nil || info.ProducerID != 7 || info.ProducerEpoch != 1 || info.LastSequence() != 12 {
		t.Errorf("%+v, %v", info, err)
	}
	if again, _ := clean(t, left, KeyConfig{Dirty: 4, Upto: 4, Producer: producer}); !bytes.Equal(left, again) {
		t.Errorf("cleaned again: %s", show(t, again))
	}
	if later, _ := clean(t, left, KeyConfig{Dirty: 4, Upto: 4}); show(t, later) != "[3,4) 3:a=4" {
		t.Errorf("once the producer is forgotten: %s", show(t, later))
	}
}

func TestClean_TheLogsLastBatchStaysEmpty(t *testing.T) {
	b := build(draft(0, "a=1"), draft(1, "=nokey"))
	if left, _ := clean(t, b, KeyConfig{Upto: 2, End: 2}); show(t, left) != "[0,1) 0:a=1 [1,2)" {
		t.Errorf("left %s", show(t, left))
	}
}

// transactional makes a batch part of a transaction of producer id.
func transactional(id int64, d recordbatch.Draft) recordbatch.Draft {
	d.Producer, d.Transactional = &recordbatch.Producer{ID: id}, true
	return d
}

// marker ends a transaction of producer id.
func marker(id int64, base topic.Offset, commit byte) recordbatch.Draft {
	return recordbatch.Draft{
		Base: base, Producer: &recordbatch.Producer{ID: id, Sequence: -1}, Transactional: true, Control: true,
		Records: []recordbatch.Record{{Timestamp: 1000, Key: []byte{0, 0, 0, commit}, Value: []byte{0, 0, 0, 0, 0, 0}}},
	}
}

func TestClean_AbortedRecordsGoAndTheirMarkerLater(t *testing.T) {
	b := build(draft(0, "a=1"), transactional(5, draft(1, "a=2")), transactional(6, draft(2, "b=1")), marker(5, 3, 0), marker(6, 4, 1))
	cfg := KeyConfig{Upto: 5, Now: 100, DeleteRetention: 50, Aborted: []AbortedTransaction{{Producer: 5, First: 1, Marker: 3}}}
	for i, want := range []string{
		"[0,1) 0:a=1 [2,3) 2:b=1 [3,4) 3:abort [4,5) 4:commit",
		"[0,1) 0:a=1 [2,3) 2:b=1 [3,4) until 150 3:abort [4,5) 4:commit",
		"[0,1) 0:a=1 [2,3) 2:b=1 [4,5) 4:commit",
	} {
		b, _ = clean(t, b, cfg)
		if got := show(t, b); got != want {
			t.Errorf("round %d: left %s, want %s", i+1, got, want)
		}
		cfg.Dirty, cfg.Now = 5, cfg.Now+int64(i)*50
	}
	// The transaction is still known as aborted, but its marker is gone: what the producer wrote since is not aborted.
	b = append(b, build(transactional(5, draft(5, "a=3")), marker(5, 6, 1))...)
	cfg.Upto = 7
	if b, _ = clean(t, b, cfg); show(t, b) != "[2,3) 2:b=1 [4,5) 4:commit [5,6) 5:a=3 [6,7) 6:commit" {
		t.Errorf("left %s", show(t, b))
	}
}

func TestClean_UnreadableBatchesStay(t *testing.T) {
	bad := build(draft(1, "a=9", "b=9"))
	bad[recordbatch.HeaderSize] = 0xff // the first record's length
	recordbatch.StampLogAppendTime(bad, 1000)
	big := build(draft(3, "a="+strings.Repeat("x", 2000)))
	b := concat(build(draft(0, "a=1")), bad, big, build(draft(4, "b=1"), draft(5, "b=2")))
	left, stats := clean(t, b, KeyConfig{Upto: 6, MaxRaw: 1000})
	want := concat(build(draft(0, "a=1")), bad, big, build(draft(5, "b=2")))
	if !bytes.Equal(left, want) || stats.Unreadable != 2 {
		t.Errorf("%d bytes left, want %d; %d unreadable", len(left), len(want), stats.Unreadable)
	}
}

func concat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func TestClean_Errors(t *testing.T) {
	b := build(draft(0, "a=1"), draft(1, "b=1"))
	flipped := bytes.Clone(b)
	flipped[len(b)-1] ^= 1
	broken := errors.New("the store is away")
	good := KeyConfig{Map: NewOffsetMap(0), Upto: 2, MaxRaw: testMaxRaw}
	keep := func([]byte) error { return nil }
	for _, c := range []struct {
		name string
		in   KeySource
		out  func([]byte) error
		cfg  func(*KeyConfig)
		want error
	}{
		{"damaged", rows(flipped, 1), keep, nil, recordbatch.ErrCRC},
		{"cut", func(topic.Offset) iter.Seq2[[]byte, error] {
			return func(yield func([]byte, error) bool) { yield(b[:len(b)-1], nil) }
		}, keep, nil, recordbatch.ErrTruncated},
		{"out of order", rows(concat(b, b), 1), keep, nil, ErrKeyOrder},
		{"source", func(topic.Offset) iter.Seq2[[]byte, error] {
			return func(yield func([]byte, error) bool) { yield(nil, broken) }
		}, keep, nil, broken},
		{"out", rows(b, 1), func([]byte) error { return broken }, nil, broken},
		{"no map", rows(b, 1), keep, func(c *KeyConfig) { c.Map = nil }, ErrKeyConfig},
		{"no memory", rows(b, 1), keep, func(c *KeyConfig) { c.MaxRaw = 0 }, ErrKeyConfig},
		{"dirty behind the end", rows(b, 1), keep, func(c *KeyConfig) { c.Dirty = 3 }, ErrKeyConfig},
		{"dirty before the start", rows(b, 1), keep, func(c *KeyConfig) { c.Start = 1 }, ErrKeyConfig},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := good
			if c.cfg != nil {
				c.cfg(&cfg)
			}
			if _, err := Clean(c.in, c.out, cfg); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

// TestClean_IsAMapOfLastValues: whatever is written, in whatever rounds it is cleaned, whoever reads from the start to the
// end ends with the same values, and below the cleaned point there is one record of each key, at the offset it was written to.
func TestClean_IsAMapOfLastValues(t *testing.T) {
	for seed := range uint64(24) {
		p := keystest.New(seed, []int{4, 40, 400}[seed%3])
		var written, b []byte
		cleaned, now := topic.Offset(0), int64(0)
		for round := range 5 {
			grown := p.Append(20)
			written, b = append(written, grown...), append(b, grown...)
			cfg := KeyConfig{
				Map: NewOffsetMap([]int{0, 1000, 1 << 20}[int(seed+uint64(round))%3]), Dirty: cleaned, Upto: max(cleaned, p.Stable()), End: p.Next,
				Now: max(p.Now, now), DeleteRetention: 3000, Producer: lastOf(p),
			}
			for _, a := range p.Aborted {
				cfg.Aborted = append(cfg.Aborted, AbortedTransaction{Producer: a.Producer, First: a.First, Marker: a.Marker})
			}
			for again := 0; again == 0 || cleaned < cfg.Upto; again++ {
				before := b
				var stats KeyStats
				b, stats = clean(t, b, cfg)
				if stats.Cleaned <= cleaned && cleaned < cfg.Upto {
					t.Fatalf("seed %d: no way beyond %d", seed, cleaned)
				}
				if cleaned = stats.Cleaned; again > 5000 {
					t.Fatalf("seed %d: %d of %d cleaned, %d bytes left of %d", seed, cleaned, cfg.Upto, len(b), len(before))
				}
				cfg.Dirty = cleaned
			}
			now = cfg.Now + int64(round)*2000
			checkCleaned(t, seed, p, written, b, cleaned)
		}
	}
}

func lastOf(p *keystest.Partition) func(int64) (LastOfProducer, bool) {
	return func(id int64) (LastOfProducer, bool) {
		last, ok := p.Lasts[id]
		return LastOfProducer{Data: last.Data, NoData: last.Data < 0, Epoch: last.Epoch}, ok
	}
}

// readRecord is a record with what it takes to judge it.
type readRecord struct {
	recordbatch.Record
	aborted bool
}

// readAll gives the records that have a key, but no markers.
func readAll(t *testing.T, p *keystest.Partition, b []byte) []readRecord {
	t.Helper()
	var all []readRecord
	for len(b) > 0 {
		info, err := recordbatch.CheckStored(b)
		if err != nil {
			t.Fatal(err)
		}
		for r, err := range recordbatch.Records(b, testMaxRaw) {
			if err != nil {
				t.Fatal(err)
			}
			one := readRecord{Record: r}
			for _, a := range p.Aborted {
				one.aborted = one.aborted || info.IsTransactional() && a.Producer == info.ProducerID && a.First <= r.Offset && r.Offset < a.Marker
			}
			if !info.IsControl() {
				all = append(all, one)
			}
		}
		b = b[info.Size:]
	}
	return all
}

func checkCleaned(t *testing.T, seed uint64, p *keystest.Partition, written, left []byte, cleaned topic.Offset) {
	t.Helper()
	before, after := readAll(t, p, written), readAll(t, p, left)
	byOffset := make(map[topic.Offset]readRecord)
	for _, r := range before {
		byOffset[r.Offset] = r
	}
	once := make(map[string]bool)
	tail := 0
	for _, r := range after {
		if !reflect.DeepEqual(byOffset[r.Offset], r) {
			t.Fatalf("seed %d: record at offset %d was %+v, is %+v", seed, r.Offset, byOffset[r.Offset], r)
		}
		switch {
		case r.Offset >= cleaned:
			tail++
		case r.Key == nil || r.aborted || once[string(r.Key)]:
			t.Fatalf("seed %d: cleaned up to %d, but there is %+v", seed, cleaned, r)
		}
		once[string(r.Key)] = r.Offset < cleaned || once[string(r.Key)]
	}
	for _, r := range before {
		if r.Offset >= cleaned {
			tail--
		}
	}
	if tail != 0 {
		t.Fatalf("seed %d: %d records more than before behind %d", seed, tail, cleaned)
	}
	for _, upto := range []topic.Offset{cleaned, p.Next} {
		if diff := cmp.Diff(values(before, upto), values(after, upto)); diff != "" {
			t.Fatalf("seed %d: values up to %d (-written, +left):\n%s", seed, upto, diff)
		}
	}
}

// values is the last offset of each key that has a value, of records below upto.
func values(records []readRecord, upto topic.Offset) map[string]topic.Offset {
	last := make(map[string]topic.Offset)
	for _, r := range records {
		switch {
		case r.Key == nil || r.aborted || r.Offset >= upto:
		case r.Value == nil:
			delete(last, string(r.Key))
		default:
			last[string(r.Key)] = r.Offset
		}
	}
	return last
}

// FuzzClean: no bytes panic, and what comes out is again what can be cleaned.
func FuzzClean(f *testing.F) {
	for codec := range recordbatch.Zstd + 1 {
		b := concat(keystest.Pack(build(draft(0, "a=1", "b", "=nokey")), codec), build(transactional(1002, draft(3, "a=2")), marker(1002, 4, 0)),
			keystest.Pack(build(transactional(1003, draft(5, "b=1", "c"))), codec), build(marker(1003, 7, 1)))
		f.Add(b, int64(8), uint8(codec))
		f.Add(recordbatch.AppendEmpty(nil, b), int64(2), uint8(codec))
	}
	f.Fuzz(func(t *testing.T, b []byte, upto int64, flags uint8) {
		fixed := bytes.Clone(b)
		next := topic.Offset(0)
		for at := 0; at < len(fixed); { // let the fuzzer through lengths, offsets and CRCs
			info, err := recordbatch.Read(fixed[at:])
			if err != nil || info.Size > len(fixed)-at {
				fixed = fixed[:at]
				break
			}
			if info.BaseOffset < next {
				recordbatch.Patch(fixed[at:], next, 0)
			}
			next = max(next, info.BaseOffset) + topic.Offset(max(info.LastOffsetDelta, 0)) + 1
			recordbatch.StampLogAppendTime(fixed[at:at+info.Size], info.MaxTimestamp)
			at += info.Size
		}
		cfg := KeyConfig{
			Map: NewOffsetMap(int(flags) * 8), Upto: topic.Offset(max(upto, 0)), MaxRaw: 1 << 16, Now: 1 << 41, DeleteRetention: int64(flags),
			Aborted:  []AbortedTransaction{{Producer: 1002, First: 3, Marker: 9}},
			Producer: func(id int64) (LastOfProducer, bool) { return LastOfProducer{Data: topic.Offset(id % 7)}, flags&1 != 0 },
		}
		for _, bytes := range [][]byte{b, fixed} {
			var left []byte
			if _, err := Clean(rows(bytes, 2), func(b []byte) error { left = append(left, b...); return nil }, cfg); err != nil {
				continue
			}
			cfg.Dirty = 0
			if _, err := Clean(rows(left, 1), func([]byte) error { return nil }, cfg); err != nil {
				t.Fatalf("what is left cannot be cleaned: %v", err)
			}
		}
	})
}

// keysInTurn is a source of batches of 100 records of about 120 bytes each, keys in turn, made as they are asked for.
func keysInTurn(records, keys int, codec recordbatch.Codec) KeySource {
	return func(from topic.Offset) iter.Seq2[[]byte, error] {
		return func(yield func([]byte, error) bool) {
			const each = 100
			value := bytes.Repeat([]byte(`{"level":"info","n":1},`), 4)
			var row []byte
			for base := int(from) / each * each; base < records; base += each {
				d := recordbatch.Draft{Base: topic.Offset(base)}
				for i := range each {
					d.Records = append(d.Records, recordbatch.Record{Key: fmt.Appendf(nil, "customer-%011d", (base+i)*7919%keys), Value: value})
				}
				row = append(row, keystest.Pack(recordbatch.Build(d), codec)...)
				if len(row) > 256<<10 || base+each >= records {
					if !yield(row, nil) {
						return
					}
					row = row[:0]
				}
			}
		}
	}
}

// BenchmarkClean cleans a partition in which every key was written twice. live-MiB is the most that the garbage collector
// found alive beside what was there before; the map alone takes 24 bytes a key and a tenth more. What a process takes is up
// to GOGC and GOMEMLIMIT.
func BenchmarkClean(b *testing.B) {
	for _, c := range []struct {
		name  string
		keys  int
		codec recordbatch.Codec
	}{
		{"100k-keys/none", 100_000, recordbatch.None},
		{"100k-keys/zstd", 100_000, recordbatch.Zstd},
		{"1M-keys/zstd", 1_000_000, recordbatch.Zstd},
		{"10M-keys/zstd", 10_000_000, recordbatch.Zstd},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			runtime.GC()
			live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
			metrics.Read(live)
			before, peak := live[0].Value.Uint64(), uint64(0)
			var stats KeyStats
			for b.Loop() {
				m := NewOffsetMap((c.keys*10/9 + 2) * keyEntrySize)
				n := 0
				var err error
				stats, err = Clean(keysInTurn(2*c.keys, c.keys, c.codec), func([]byte) error {
					if n++; n%1000 == 0 {
						metrics.Read(live)
						peak = max(peak, live[0].Value.Uint64())
					}
					return nil
				}, KeyConfig{Map: m, Upto: topic.Offset(2 * c.keys), MaxRaw: testMaxRaw})
				if err != nil || stats.Cleaned != topic.Offset(2*c.keys) || stats.Superseded != int64(c.keys) {
					b.Fatalf("%+v, %v", stats, err)
				}
			}
			b.ReportMetric(float64(peak-min(before, peak))/(1<<20), "live-MiB")
			b.ReportMetric(float64(c.keys*keyEntrySize*10/9)/(1<<20), "map-MiB")
			b.SetBytes(stats.BytesIn)
		})
	}
}
