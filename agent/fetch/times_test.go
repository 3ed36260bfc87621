package fetch

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"testing"

	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/topic"
)

func topicOffset(n int) topic.Offset { return topic.Offset(n) }
func slotOf(n int) topic.Slot        { return topic.Slot(n) }

// zipped is a batch with gzipped records at the times given.
func zipped(t *testing.T, base topic.Offset, times ...int64) []byte {
	t.Helper()
	var rs []recordbatch.Record
	for _, ms := range times {
		rs = append(rs, recordbatch.Record{Timestamp: ms, Value: []byte("v")})
	}
	plain := recordbatch.Build(recordbatch.Draft{Base: base, Records: rs})
	var body bytes.Buffer
	z := gzip.NewWriter(&body)
	if _, err := z.Write(plain[recordbatch.HeaderSize:]); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	b := append(bytes.Clone(plain[:recordbatch.HeaderSize]), body.Bytes()...)
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)-12))
	b[22] |= byte(recordbatch.Gzip)
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

func TestByTime_FindsTheFirstRecordNotBefore(t *testing.T) {
	for _, tail := range []bool{true, false} {
		b := newBench(Config{})
		b.writeRuns(t, tail, segment.S2, []segment.Run{{Partition: orders, Base: 0, Next: 5, Batches: [][]byte{
			zipped(t, 0, 10, 50, 20), zipped(t, 3, 30, 40),
		}}})
		b.writeRuns(t, tail, segment.S2, []segment.Run{{Partition: orders, Base: 5, Next: 7, Batches: [][]byte{zipped(t, 5, 45, 90)}}})
		tests := []struct {
			ms     int64
			offset topic.Offset
			time   int64
			ok     bool
		}{
			{-5, 0, 10, true}, {10, 0, 10, true}, {11, 1, 50, true}, {50, 1, 50, true}, {51, 6, 90, true}, {90, 6, 90, true}, {91, 0, 0, false},
		}
		for _, test := range tests {
			f, ok, err := b.ByTime(t.Context(), orders, test.ms)
			if err != nil || ok != test.ok || f.Offset != test.offset || f.Time != test.time {
				t.Errorf("at %d: %+v, %v, %v; want offset %d at %d", test.ms, f, ok, err, test.offset, test.time)
			}
		}
		if f, ok, err := b.MaxTime(t.Context(), orders); err != nil || !ok || f.Offset != 6 || f.Time != 90 {
			t.Errorf("newest: %+v, %v, %v; want offset 6 at 90", f, ok, err)
		}
	}
}

// What lies before the log start is found by no time, though the extent that holds it is still there.
func TestByTime_NothingBelowTheLogStart(t *testing.T) {
	b := newBench(Config{})
	b.writeRuns(t, true, segment.S2, []segment.Run{{Partition: orders, Base: 0, Next: 5, Batches: [][]byte{
		zipped(t, 0, 10, 90, 20), zipped(t, 3, 30, 60),
	}}})
	b.writeRuns(t, true, segment.S2, []segment.Run{{Partition: orders, Base: 5, Next: 8, Batches: [][]byte{zipped(t, 5, 45, 60, 50)}}})
	find := func(start topic.Offset, first, firstTime, newest, newestTime int64) {
		t.Helper()
		f, ok, err := b.ByTime(t.Context(), orders, 0)
		if err != nil || ok != (first >= 0) || ok && (int64(f.Offset) != first || f.Time != firstTime) {
			t.Errorf("from %d on the first is %+v, %v, %v; want %d at %d", start, f, ok, err, first, firstTime)
		}
		f, ok, err = b.MaxTime(t.Context(), orders)
		if err != nil || ok != (newest >= 0) || ok && (int64(f.Offset) != newest || f.Time != newestTime) {
			t.Errorf("from %d on the newest is %+v, %v, %v; want %d at %d", start, f, ok, err, newest, newestTime)
		}
	}
	find(0, 0, 10, 1, 90)
	for _, c := range []struct{ start, first, firstTime, newest, newestTime int64 }{
		{1, 1, 90, 1, 90}, {2, 2, 20, 4, 60}, {4, 4, 60, 4, 60}, {5, 5, 45, 6, 60}, {7, 7, 50, 7, 50}, {8, -1, 0, -1, 0},
	} {
		err := b.Add(testJournal, segment.SlotExtents{Slot: b.slot, LogStarts: []segment.LogStart{{Partition: orders, Start: topic.Offset(c.start)}}})
		if err != nil {
			t.Fatal(err)
		}
		find(topic.Offset(c.start), c.first, c.firstTime, c.newest, c.newestTime)
		if r := b.read(t, orders, topic.Offset(c.start-1)); !errors.Is(r.Err, ErrOutOfRange) || r.LogStart != topic.Offset(c.start) {
			t.Errorf("read below %d: %+v", c.start, r)
		}
	}
}

func TestByTime_OfNothing(t *testing.T) {
	b := newBench(Config{})
	if _, ok, err := b.ByTime(t.Context(), orders, 0); ok || err != nil {
		t.Errorf("found something in nothing, %v", err)
	}
	if _, ok, err := b.MaxTime(t.Context(), orders); ok || err != nil {
		t.Errorf("found the newest of nothing, %v", err)
	}
}

// A producer may lie about its newest timestamp, which nobody unpacks to check: the search goes on behind it, in one pass.
func TestByTime_LyingHeadersAreStepsNotEnds(t *testing.T) {
	b := newBench(Config{TailBytes: 64 << 20, CatchUpBytes: 1 << 20})
	const liars = 3 * candidatesAtOnce
	for i := range topic.Offset(liars) {
		lie := recordbatch.Build(recordbatch.Draft{Base: i, Records: []recordbatch.Record{{Timestamp: 1}}})
		binary.BigEndian.PutUint64(lie[35:], 1000)
		binary.BigEndian.PutUint32(lie[17:], crc32.Checksum(lie[21:], crc32.MakeTable(crc32.Castagnoli)))
		b.writeRuns(t, true, segment.None, []segment.Run{{Partition: orders, Base: i, Next: i + 1, Batches: [][]byte{lie}}})
	}
	b.writeRuns(t, true, segment.None, []segment.Run{
		{Partition: orders, Base: liars, Next: liars + 1, Batches: [][]byte{zipped(t, liars, 500)}},
	})
	f, ok, err := b.ByTime(t.Context(), orders, 500)
	if err != nil || !ok || f.Offset != liars {
		t.Errorf("%+v, %v, %v; want offset %d", f, ok, err, liars)
	}
}

func TestByTime_UnreadableIsAStorageError(t *testing.T) {
	b := newBench(Config{})
	b.write(t, false, segment.None, in{orders, []string{"a"}})
	b.store.Cut()
	if _, _, err := b.ByTime(t.Context(), orders, 0); !errors.Is(err, ErrStorage) {
		t.Errorf("%v, want ErrStorage", err)
	}
}
