package fetch

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/topic"
)

// shelf is a store of large objects that gives parts of them without a copy: an engine changes none.
type shelf struct {
	objectstore.Store
	objects map[string][]byte
}

func (s *shelf) GetRange(_ context.Context, key string, offset, length int64) ([]byte, error) {
	b, ok := s.objects[key]
	if !ok {
		return nil, fmt.Errorf("get %s: %w", key, objectstore.ErrNotFound)
	}
	from, to, err := objectstore.Range(int64(len(b)), offset, length)
	if err != nil {
		return nil, err
	}
	return b[from:to:to], nil
}

// library is compacted objects of batches that nothing packs, and the runs of each partition.
type library struct {
	shelf
	runs map[topic.Partition][]topic.Run
	raw  map[topic.Partition]int64
}

// put adds an object in which each partition has some batches of about size bytes.
func (l *library) put(t testing.TB, partitions []topic.Partition, batches, size int) {
	t.Helper()
	if l.objects == nil {
		l.objects, l.runs, l.raw = make(map[string][]byte), make(map[topic.Partition][]topic.Run), make(map[topic.Partition]int64)
	}
	o := object(len(l.objects))
	noise := make([]byte, size)
	r := rand.NewChaCha8([32]byte{byte(len(l.objects))})
	if _, err := r.Read(noise); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, 0, len(partitions)*batches*(len(noise)+200)+1<<20)
	w := segment.NewObjectWriter(o, func(part []byte) error {
		body = append(body, part...)
		return nil
	}, segment.None)
	for _, p := range partitions {
		base := topic.Offset(0)
		if n := len(l.runs[p]); n > 0 {
			base = l.runs[p][n-1].Next
		}
		if err := w.Begin(p, base, 2); err != nil {
			t.Fatal(err)
		}
		for i := range topic.Offset(batches) {
			batch := recordbatch.Build(recordbatch.Draft{Base: base + i, Records: []recordbatch.Record{{Timestamp: 1, Value: noise}}})
			if err := w.Append(batch); err != nil {
				t.Fatal(err)
			}
			l.raw[p] += int64(len(batch))
		}
		run, err := w.End(base + topic.Offset(batches))
		if err != nil {
			t.Fatal(err)
		}
		l.runs[p] = append(l.runs[p], run)
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	l.objects[o.Key()] = body
}

// open makes an engine that knows all runs, and counts what it reads.
func (l *library) open(cfg Config) (*Engine, *tally) {
	s := &tally{Store: &l.shelf}
	e := New(s, cfg)
	for p, runs := range l.runs {
		e.SetRuns(p, 0, runs[len(runs)-1].Next, runs)
	}
	return e, s
}

// consume reads a partition to its end, 1 MiB at a time as clients do unless told otherwise, and gives the bytes that came.
func consume(t testing.TB, e *Engine, p topic.Partition) (size int64) {
	for from := topic.Offset(0); ; {
		r := e.Read(t.Context(), Request{MaxBytes: 50 << 20, Parts: []Part{{Partition: p, Offset: from, MaxBytes: 1 << 20}}})[0]
		if r.Err != nil {
			t.Errorf("%s from %d: %v", p, from, r.Err)
			return size
		}
		if len(r.Records) == 0 {
			return size
		}
		for _, row := range r.Records {
			size += int64(len(row))
			from = behind(t, row)
		}
	}
}

func partitionsOf(n int) (ps []topic.Partition) {
	for i := range n {
		ps = append(ps, topic.Partition{Topic: topic.ID{1}, Index: int32(i)})
	}
	return ps
}

// What a catch-up read of runs at rest costs: the GETs of 1 GiB, and no byte twice.
func TestRuns_CatchUpOfALargeRunIsFewGETs(t *testing.T) {
	const batches = 2680 // 256 MiB
	var l library
	l.put(t, partitionsOf(1), 30, 100_000) // a small run and a middling one before the large one
	l.put(t, partitionsOf(1), 70, 100_000)
	l.put(t, partitionsOf(1), batches, 100_000)
	p := partitionsOf(1)[0]
	large := l.runs[p][2]
	for _, c := range []struct {
		memory  int64 // Config.CatchUpBytes
		perGiB  float64
		comment string
	}{{170 << 20, 70, "--memory 1 GiB"}, {42 << 20, 150, "--memory 256 MiB"}} {
		e, s := l.open(Config{TailBytes: 1 << 20, CatchUpBytes: c.memory})
		if got := consume(t, e, p); got != l.raw[p] {
			t.Fatalf("%s: %d bytes, want %d", c.comment, got, l.raw[p])
		}
		gets := s.gets.Load() - 2 // one for each small run
		if perGiB := float64(gets) * (1 << 30) / float64(large.Length); perGiB > c.perGiB {
			t.Errorf("%s: %d GETs of a run of %d bytes, that is %.0f for 1 GiB; want %.0f", c.comment, gets, large.Length, perGiB, c.perGiB)
		} else {
			t.Logf("%s: %d GETs of a run of %d bytes, that is %.0f for 1 GiB", c.comment, gets, large.Length, perGiB)
		}
		if ratio := float64(s.bytes.Load()) / float64(l.raw[p]); ratio > 1.01 {
			t.Errorf("%s: %.3f bytes read for each that was delivered", c.comment, ratio)
		}
	}
}

// Who reads one of a thousand partitions reads hardly anything of the others: one GET for each run.
func TestRuns_OneOfAThousandPartitions(t *testing.T) {
	var l library
	for range 3 {
		l.put(t, partitionsOf(1000), 1, 20_000)
	}
	for _, p := range []topic.Partition{partitionsOf(1000)[0], partitionsOf(1000)[500], partitionsOf(1000)[999]} {
		e, s := l.open(Config{TailBytes: 1 << 20, CatchUpBytes: 170 << 20})
		if got := consume(t, e, p); got != l.raw[p] {
			t.Fatalf("%d bytes, want %d", got, l.raw[p])
		}
		if ratio := float64(s.bytes.Load()) / float64(l.raw[p]); s.gets.Load() != 3 || ratio > 1.05 {
			t.Errorf("%d GETs, %.3f bytes for each that was delivered; want 3 and nothing of others", s.gets.Load(), ratio)
		}
	}
}

// Who reads all partitions, whose runs are small, reads many with one GET; and who reads some that lie side by side reads
// little more than those.
func TestRuns_SmallRunsOfManyPartitionsShareGETs(t *testing.T) {
	const objects = 2
	var l library
	for range objects {
		l.put(t, partitionsOf(300), 1, 100_000)
	}
	for _, c := range []struct {
		partitions, gets int // for each object
		ratio            float64
	}{{1, 1, 1.01}, {2, 2, 1.6}, {6, 4, 2}, {300, 12, 1.3}} {
		e, s := l.open(Config{TailBytes: 1 << 20, CatchUpBytes: 170 << 20})
		var want int64
		for _, p := range partitionsOf(300)[:c.partitions] {
			if got := consume(t, e, p); got != l.raw[p] {
				t.Fatalf("%s: %d bytes, want %d", p, got, l.raw[p])
			}
			want += l.raw[p]
		}
		ratio := float64(s.bytes.Load()) / float64(want)
		if n := int(s.gets.Load()); n > objects*c.gets || ratio > c.ratio {
			t.Errorf("%d partitions: %d GETs, %.2f bytes for each delivered; want %d and %.2f", c.partitions, n, ratio, objects*c.gets, c.ratio)
		} else {
			t.Logf("%d partitions of %d objects: %d GETs, %.2f bytes for each delivered", c.partitions, objects, n, ratio)
		}
	}
}

// Small runs that follow each other are asked for together: each by itself would wait for the bucket once.
func TestRuns_SmallRunsAreReadTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l library
		for range 64 {
			l.put(t, partitionsOf(1), 1, 100_000)
		}
		p := partitionsOf(1)[0]
		e, s := l.open(Config{TailBytes: 1 << 20, CatchUpBytes: 64 << 20})
		s.delay = 20 * time.Millisecond
		began := time.Now()
		if got := consume(t, e, p); got != l.raw[p] {
			t.Errorf("%d bytes, want %d", got, l.raw[p])
		}
		if took := time.Since(began); took > 10*s.delay || s.gets.Load() != 64 {
			t.Errorf("%d GETs took the time of %d", s.gets.Load(), took/s.delay)
		}
	})
}

// Who reads a few records in the middle of a large run does not read much more.
func TestRuns_AFewRecordsInTheMiddle(t *testing.T) {
	var l library
	l.put(t, partitionsOf(1), 600, 100_000)
	e, s := l.open(Config{TailBytes: 1 << 20, CatchUpBytes: 170 << 20})
	r := e.Read(t.Context(), Request{MaxBytes: 1 << 20, Parts: []Part{{Partition: partitionsOf(1)[0], Offset: 333, MaxBytes: 200_000}}})[0]
	if r.Err != nil || len(r.Records) == 0 || s.gets.Load() != 2 || s.bytes.Load() > 3<<20 {
		t.Errorf("%d rows, %v, by %d GETs of %d bytes; want 2 of some MiB", len(r.Records), r.Err, s.gets.Load(), s.bytes.Load())
	}
}

// Many readers at once read ahead what the cache holds until they come to it: nothing is fetched twice.
func TestRuns_ManyReadersDoNotThrowOutEachOthers(t *testing.T) {
	var l library
	const readers = 24
	l.put(t, partitionsOf(readers), 120, 100_000) // 12 MB each
	e, s := l.open(Config{TailBytes: 1 << 20, CatchUpBytes: 64 << 20})
	var want int64
	for _, size := range l.raw {
		want += size
	}
	// One after the other they take a step, as the fetches of many consumers come in.
	at := make(map[topic.Partition]topic.Offset)
	var got int64
	for left := readers; left > 0; {
		left = 0
		for _, p := range partitionsOf(readers) {
			r := e.Read(t.Context(), Request{MaxBytes: 50 << 20, Parts: []Part{{Partition: p, Offset: at[p], MaxBytes: 1 << 20}}})[0]
			if r.Err != nil {
				t.Fatal(r.Err)
			}
			for _, row := range r.Records {
				got, at[p], left = got+int64(len(row)), behind(t, row), left+1
			}
		}
	}
	if ratio := float64(s.bytes.Load()) / float64(want); got != want || ratio > 1.3 {
		t.Errorf("%d bytes of %d, %.2f read for each delivered, by %d GETs", got, want, ratio, s.gets.Load())
	} else {
		t.Logf("%.3f bytes read for each delivered, by %d GETs of %d MiB", ratio, s.gets.Load(), want>>20)
	}
}

// Readers that come to the same place at once share a GET.
func TestRuns_ReadersAtOncePlaceShareGETs(t *testing.T) {
	var l library
	l.put(t, partitionsOf(1), 300, 100_000)
	p := partitionsOf(1)[0]
	e, s := l.open(Config{TailBytes: 1 << 20, CatchUpBytes: 170 << 20})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if got := consume(t, e, p); got != l.raw[p] {
				t.Errorf("%d bytes, want %d", got, l.raw[p])
			}
		})
	}
	wg.Wait()
	if ratio := float64(s.bytes.Load()) / float64(l.raw[p]); ratio > 1.3 {
		t.Errorf("%.2f bytes read for each of the log, for 8 readers", ratio)
	}
	if held := e.spans.used; held > e.spans.limit {
		t.Errorf("%d bytes are held, at most %d may be", held, e.spans.limit)
	}
}

// Reading a run costs about what its checksums cost, where nothing is packed.
func BenchmarkRead(b *testing.B) {
	b.Run("run-64MiB", func(b *testing.B) {
		var l library
		l.put(b, partitionsOf(1), 640, 100_000)
		p := partitionsOf(1)[0]
		b.SetBytes(l.raw[p])
		b.ReportAllocs()
		for b.Loop() {
			e, _ := l.open(Config{TailBytes: 1 << 20, CatchUpBytes: 170 << 20})
			if got := consume(b, e, p); got != l.raw[p] {
				b.Fatalf("%d bytes, want %d", got, l.raw[p])
			}
		}
	})
}
