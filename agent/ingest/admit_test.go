package ingest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/faulty"
	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/sequence"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

func draft(change func(*recordbatch.Draft)) []byte {
	d := recordbatch.Draft{Records: records([]string{"x"})}
	change(&d)
	return recordbatch.Build(d)
}

// table is a partition of a topic that is compacted by key.
var table = topic.Partition{Topic: topic.ID{77}}

// keyed is a batch of records with keys; "" is none.
func keyed(codec recordbatch.Codec, keys ...string) []byte {
	var d recordbatch.Draft
	for _, k := range keys {
		r := recordbatch.Record{Value: []byte("value")}
		if k != "" {
			r.Key = []byte(k)
		}
		d.Records = append(d.Records, r)
	}
	b := recordbatch.Build(d)
	body, err := recordbatch.Compress(nil, codec, b[recordbatch.HeaderSize:])
	if err != nil {
		panic(err)
	}
	return sealed(append(b[:recordbatch.HeaderSize:recordbatch.HeaderSize], body...), codec)
}

// sealed fills in what the header of a batch says of its bytes.
func sealed(b []byte, codec recordbatch.Codec) []byte {
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)-12))
	b[22] = byte(codec)
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

func TestAppend_TakesKeyedRecordsOfCompactedTopics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, setup{own: []Ownership{{Partition: table, Limits: Limits{Keyed: true}}}})
		unread := keyed(recordbatch.None, "a") // a length that is none: it is kept as it is
		unread[recordbatch.HeaderSize] = 99
		for i, records := range [][]byte{keyed(recordbatch.None, "a", "b"), keyed(recordbatch.Snappy, "a"), sealed(unread, recordbatch.None)} {
			p := b.Append(t.Context(), AcksAll, []PartitionBatch{{Partition: table, Records: records}})
			if _, err := p[0].Wait(t.Context()); err != nil {
				t.Errorf("batch %d: %v", i, err)
			}
		}
	})
}

func TestAppend_RefusesWhatMayNotBeInTheLog(t *testing.T) {
	flipped := batch("flipped")
	flipped[len(flipped)-1] ^= 1
	old := batch("old")
	old[16] = 1
	now := func(ms int64) []byte {
		return recordbatch.Build(recordbatch.Draft{Records: []recordbatch.Record{{Timestamp: ms}}})
	}
	const day = 24 * 60 * 60 * 1000
	y2k := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli() // a bubble's clock begins then
	tests := []struct {
		name      string
		partition topic.Partition
		records   []byte
		want      error
	}{
		{"another's partition", topic.Partition{Topic: topic.ID{9}}, batch("x"), ErrNotOwner},
		{"nothing", orders, nil, recordbatch.ErrTruncated},
		{"a cut batch", orders, batch("x")[:70], recordbatch.ErrTruncated},
		{"bytes behind the batch", orders, append(batch("x"), 1, 2, 3), recordbatch.ErrTruncated},
		{"a flipped bit", orders, flipped, recordbatch.ErrCRC},
		{"an old format", orders, old, recordbatch.ErrMagic},
		{"a control batch", orders, draft(func(d *recordbatch.Draft) { d.Control = true }), recordbatch.ErrControl},
		{"a transaction", orders, draft(func(d *recordbatch.Draft) { d.Transactional = true }), ErrTransactional},
		{"an offset of the client's", orders, draft(func(d *recordbatch.Draft) { d.Base = 5 }), recordbatch.ErrBaseOffset},
		{"a negative offset", orders, draft(func(d *recordbatch.Draft) { d.Base = -5 }), recordbatch.ErrBaseOffset},
		{"a producer without sequence", orders, idempotent(5, 0, -1, "x"), recordbatch.ErrSequence},
		{"a negative sequence", orders, idempotent(5, 0, -5, "x"), recordbatch.ErrSequence},
		{"a negative producer epoch", orders, idempotent(5, -3, 0, "x"), recordbatch.ErrSequence},
		{"a batch above max.message.bytes", orders, batch(string(make([]byte, 2000))), ErrTooLarge},
		{"two batches of one producer", payments, slices.Concat(idempotent(5, 0, 0, "x"), idempotent(5, 0, 1, "y")), ErrManyBatches},
		{"a time too far ahead", orders, now(y2k + 2*day), ErrTimestamp},
		{"a time too long ago", orders, now(y2k - 2*day), ErrTimestamp},
		{"a record without a key", table, keyed(recordbatch.None, "a", ""), ErrNoKey},
		{"a packed record without a key", table, slices.Concat(keyed(recordbatch.Snappy, "a"), keyed(recordbatch.Snappy, "b", "")), ErrNoKey},
		{"more bytes than a slot holds", payments, bytes.Repeat(batch(string(make([]byte, 1<<20))), 49), ErrTooLarge},
		{"more batches than a footer names", payments, bytes.Repeat(batch("x"), maxBatches+1), ErrTooLarge},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				day := 24 * time.Hour
				b := start(t, setup{own: []Ownership{
					{Partition: orders, Limits: Limits{MaxBatchBytes: 1000, Before: day, After: day}}, {Partition: payments},
					{Partition: table, Limits: Limits{Keyed: true}},
				}})
				good := b.Append(t.Context(), AcksAll, []PartitionBatch{
					{Partition: test.partition, Records: test.records},
					{Partition: orders, Records: now(y2k)},
				})
				if _, err := good[0].Wait(t.Context()); !errors.Is(err, test.want) {
					t.Errorf("refused with %v, want %v", err, test.want)
				}
				if at := acked(t, good[1]); at != 0 {
					t.Errorf("the good batch of the same request is at %d, want 0", at)
				}
				synctest.Wait() // an ack comes before the memory of its batch is free
				if !b.memory.(interface{ TryAcquire(int64) bool }).TryAcquire(256 << 20) {
					t.Error("memory is held by a refused batch")
				}
			})
		})
	}
}

// Whatever is admitted can be built, landed and read back: a slot that cannot is the end of the journal.
func TestAppend_TheMostThatIsAdmittedFitsASlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, setup{flushBytes: MaxBatchBytes, interval: time.Hour})
		var ps []Pending
		for range 3 { // small batches, packed by their producer and not, in turn: each is a block of its own
			ps = append(ps, b.send(t, AcksAll, orders, bytes.Repeat(slices.Concat(batch("x"), packed("x")), maxBatches/2)))
		}
		for i := range maxBatches { // and producers, each of which the footer names
			ps = append(ps, b.send(t, AcksAll, orders, idempotent(1<<40+int64(i), 7, 1<<30, "x")))
		}
		ps = append(ps, b.send(t, AcksAll, payments, bytes.Repeat(batch(string(make([]byte, 1<<20-100))), 48)))
		for _, p := range ps {
			acked(t, p)
		}
	})
}

// packed is a batch that says it is compressed; nobody looks at the body.
func packed(value string) []byte {
	b := batch(value)
	b[22] |= byte(recordbatch.LZ4)
	recordbatch.StampLogAppendTime(b, 1) // makes the CRC right again
	return b
}

func TestAppend_LogAppendTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, setup{own: []Ownership{{Partition: orders, Limits: Limits{LogAppendTime: true, After: time.Hour}}}})
		time.Sleep(42 * time.Second)
		now := time.Now().UnixMilli()
		p := b.send(t, AcksAll, orders, idempotent(5, 0, 0, "x"))
		r, err := p.Wait(t.Context())
		if err != nil || r.AppendTime != now {
			t.Fatalf("append time %d, %v; want %d", r.AppendTime, err, now)
		}
		time.Sleep(time.Minute)
		again, err := b.send(t, AcksAll, orders, idempotent(5, 0, 0, "x")).Wait(t.Context())
		if err != nil || again != r {
			t.Errorf("its duplicate got %+v, %v; want %+v", again, err, r)
		}
		if x := b.tail.footers()[0].Extents[0]; x.MaxTimestamp != now {
			t.Errorf("the extent's newest time is %d, want %d", x.MaxTimestamp, now)
		}
		b.log(t, orders) // checks the CRC of what was stamped
	})
}

func TestSetLimits_HoldFromThenOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, setup{})
		acked(t, b.send(t, AcksAll, orders, batch("long enough to be too long later")))
		b.SetLimits(orders.Topic, Limits{MaxBatchBytes: 80})
		if _, err := b.send(t, AcksAll, orders, batch("long enough to be too long now")).Wait(t.Context()); !errors.Is(err, ErrTooLarge) {
			t.Errorf("above the new limit: %v", err)
		}
		acked(t, b.send(t, AcksAll, payments, batch("another topic has its own limits")))
	})
}

func TestDuplicate_OfAnUncountedBatchWaitsForItsSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, setup{script: faulty.Latency(objectstore.KindCreate, time.Second)})
		first := b.send(t, AcksAll, orders, idempotent(5, 0, 0, "a", "b"))
		second := b.send(t, AcksAll, orders, idempotent(5, 0, 2, "c"))
		again := b.send(t, AcksAll, orders, idempotent(5, 0, 0, "a", "b"))
		if !waits(again) {
			t.Fatal("a duplicate was acked before its slot counts")
		}
		if a, c, d := acked(t, first), acked(t, second), acked(t, again); a != 0 || c != 2 || d != 0 {
			t.Fatalf("at %d, %d and the duplicate at %d; want 0, 2, 0", a, c, d)
		}
		if values, _ := b.log(t, orders); !slices.Equal(values, []string{"a", "b", "c"}) {
			t.Errorf("the log holds %v", values)
		}
	})
}

// A duplicate of what counts is answered from state, whatever is in flight behind it and whatever becomes of that.
func TestDuplicate_OfACountedBatchIsAnsweredAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, setup{})
		acked(t, b.send(t, AcksAll, orders, idempotent(5, 0, 0, "a")))
		b.store.Cut()
		behind := b.send(t, AcksAll, orders, idempotent(5, 0, 1, "b"))
		again := b.send(t, AcksAll, orders, idempotent(5, 0, 0, "a"))
		if waits(again) {
			t.Fatal("the duplicate of a batch that counts waits for another slot")
		}
		if at := acked(t, again); at != 0 {
			t.Errorf("the duplicate is at %d, want 0", at)
		}
		b.stop()
		if _, err := behind.Wait(t.Context()); !errors.Is(err, ErrFenced) {
			t.Errorf("what did not count got %v", err)
		}
	})
}

func TestSequences_GapsAndOldEpochsAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, setup{})
		acked(t, b.send(t, AcksAll, orders, idempotent(5, 1, 0, "a")))
		if _, err := b.send(t, AcksAll, orders, idempotent(5, 1, 2, "c")).Wait(t.Context()); !errors.Is(err, sequence.ErrOutOfOrderSequence) {
			t.Errorf("a gap: %v", err)
		}
		if _, err := b.send(t, AcksAll, orders, idempotent(5, 0, 0, "z")).Wait(t.Context()); !errors.Is(err, sequence.ErrInvalidProducerEpoch) {
			t.Errorf("an old producer epoch: %v", err)
		}
		if at := acked(t, b.send(t, AcksAll, orders, idempotent(5, 1, 1, "b"))); at != 1 {
			t.Errorf("the right one is at %d, want 1", at)
		}
	})
}

// After a restart producer state comes from footers alone (I8).
func TestSequences_SurviveARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := start(t, setup{})
		for i := range 7 {
			acked(t, before.send(t, AcksAll, orders, idempotent(5, 0, int32(i), fmt.Sprint(i))))
		}
		before.stop()
		b := start(t, setup{own: []Ownership{
			{Partition: orders, Epoch: 1, Base: 7, Producers: producersOf(before.tail.footers(), orders)},
		}})
		if at := acked(t, b.send(t, AcksAll, orders, idempotent(5, 0, 6, "6"))); at != 6 {
			t.Errorf("a duplicate from before is at %d, want 6", at)
		}
		if _, err := b.send(t, AcksAll, orders, idempotent(5, 0, 9, "9")).Wait(t.Context()); !errors.Is(err, sequence.ErrOutOfOrderSequence) {
			t.Errorf("a gap: %v", err)
		}
		if at := acked(t, b.send(t, AcksAll, orders, idempotent(5, 0, 7, "7"))); at != 7 {
			t.Errorf("the next one is at %d, want 7", at)
		}
	})
}

// What a footer says of a hostile but admitted batch must be readable, or no boot gets past it.
func TestAppend_StrangeTimesAndProducersReadBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, setup{})
		for i, ms := range []int64{-1 << 63, -1, 0, 1<<63 - 1} {
			acked(t, b.send(t, AcksAll, orders, recordbatch.Build(recordbatch.Draft{
				Producer: &recordbatch.Producer{ID: 1<<63 - 1 - int64(i), Epoch: 32767, Sequence: 1<<31 - 1},
				Records:  []recordbatch.Record{{Timestamp: ms}},
			})))
		}
		if _, offsets := b.log(t, orders); len(offsets) != 4 {
			t.Errorf("%d records read back, want 4", len(offsets))
		}
	})
}

// A small batch of a large request must not keep the request's bytes alive while it is cached.
func TestAppend_FewBytesOfALargeFrameAreCopied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, setup{})
		frame := make([]byte, 1<<20)
		small := frame[:copy(frame, batch("small"))]
		acked(t, b.Append(t.Context(), AcksAll, []PartitionBatch{{Partition: orders, Records: small, Frame: len(frame)}})[0])
		large := batch(string(make([]byte, 1<<20)))
		acked(t, b.Append(t.Context(), AcksAll, []PartitionBatch{{Partition: orders, Records: large, Frame: len(large) + 100}})[0])
		kept := b.tail.segments[0].Runs[0].Batches[0]
		if &kept[0] == &small[0] {
			t.Error("the frame is kept alive by a few of its bytes")
		}
		if same := b.tail.segments[1].Runs[0].Batches[0]; &same[0] != &large[0] {
			t.Error("a batch that fills its frame was copied")
		}
	})
}

func TestOwn_AnotherEpochGoesIntoAnotherSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, setup{})
		first := b.send(t, AcksAll, orders, batch("a"))
		b.Own(Ownership{Partition: orders, Epoch: 2, Base: 1})
		second := b.send(t, AcksAll, orders, batch("b"))
		if a, c := acked(t, first), acked(t, second); a != 0 || c != 1 {
			t.Fatalf("at %d and %d, want 0 and 1", a, c)
		}
	})
}

// What was begun under an epoch is not begun again, whoever says so twice: offsets would be given out a second time.
func TestOwn_TheSameEpochAgainChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, setup{own: []Ownership{{Partition: orders, Epoch: 3, Base: 10}}})
		acked(t, b.send(t, AcksAll, orders, batch("a", "b")))
		for _, again := range []topic.Epoch{3, 2} {
			b.Own(Ownership{Partition: orders, Epoch: again, Base: 10})
		}
		if at := acked(t, b.send(t, AcksAll, orders, batch("c"))); at != 12 {
			t.Errorf("the next batch at %d, want 12", at)
		}
		if _, err := b.Release(t.Context(), []topic.Partition{orders}); err != nil {
			t.Fatal(err)
		}
		b.Own(Ownership{Partition: orders, Epoch: 3, Base: 10})
		if _, err := b.send(t, AcksAll, orders, batch("d")).Wait(t.Context()); !errors.Is(err, ErrNotOwner) {
			t.Errorf("a batch under an epoch that was released: %v", err) // P5
		}
	})
}

// What the agent itself writes was decided under an epoch, and is admitted under that one or not at all.
func TestAppend_InternalUnderAnotherEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, setup{own: []Ownership{{Partition: orders, Epoch: 3, Base: 10}}})
		for epoch, want := range map[topic.Epoch]error{1: ErrNotOwner, 3: nil} {
			in := []PartitionBatch{{Partition: orders, Records: batch("a"), Internal: true, Epoch: epoch}}
			if _, err := b.Append(t.Context(), AcksAll, in)[0].Wait(t.Context()); !errors.Is(err, want) {
				t.Errorf("decided under epoch %d, owned under 3: %v, want %v", epoch, err, want)
			}
		}
	})
}

// logged reads WAL entries back the way a boot does.
func loggedEntry(t *testing.T, p topic.Partition, epoch topic.Epoch, base topic.Offset, b []byte) Logged {
	t.Helper()
	entry := make([]byte, walHeader, walHeader+len(b))
	copy(entry, p.Topic[:])
	entry[19] = byte(p.Index)
	entry[23] = byte(epoch)
	entry[31] = byte(base)
	recordbatch.Patch(b, base, epoch)
	l, err := ReadLogged(append(entry, b...))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestReplay_AppendsOnlyTheVeryNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, setup{wal: true, own: []Ownership{{Partition: orders, Epoch: 4, Base: 10}}})
		tests := []struct {
			name  string
			entry Logged
			want  Replayed
		}{
			{"what counts already", loggedEntry(t, orders, 3, 8, batch("8", "9")), InLog},
			{"the next", loggedEntry(t, orders, 3, 10, batch("10", "11")), Appended},
			{"the next again", loggedEntry(t, orders, 3, 10, batch("10", "11")), InLog},
			{"behind a gap", loggedEntry(t, orders, 3, 13, batch("13")), Stranded},
			{"the next, of a producer", loggedEntry(t, orders, 3, 12, idempotent(5, 0, 0, "12")), Appended},
			{"another's partition", loggedEntry(t, payments, 3, 0, batch("p")), Stranded},
			{"of this epoch", loggedEntry(t, orders, 4, 13, batch("13")), Stranded},
		}
		var ps []Pending
		for _, test := range tests {
			what, p, err := b.Replay(t.Context(), test.entry)
			if err != nil || what != test.want {
				t.Fatalf("%s: %d, %v; want %d", test.name, what, err, test.want)
			}
			if what == Appended {
				ps = append(ps, p)
			}
		}
		if err := Synced(t.Context(), ps); err != nil {
			t.Fatal(err)
		}
		if at := acked(t, b.send(t, AcksAll, orders, idempotent(5, 0, 0, "12"))); at != 12 {
			t.Errorf("the producer's retry is at %d, want 12: it was replayed", at)
		}
		values, offsets := b.log(t, orders)
		if !slices.Equal(values, []string{"10", "11", "12"}) || !slices.Equal(offsets, []topic.Offset{10, 11, 12}) {
			t.Errorf("the log holds %v at %v", values, offsets)
		}
	})
}

func TestReadLogged_RefusesWhatIsNoEntry(t *testing.T) {
	whole := append(make([]byte, walHeader), batch("x")...)
	for n := range len(whole) {
		if _, err := ReadLogged(whole[:n]); err == nil {
			t.Fatalf("an entry cut to %d of %d bytes is read", n, len(whole))
		}
	}
	if _, err := ReadLogged(whole); err != nil {
		t.Fatal(err)
	}
}

// The WAL must hold what was patched, or a replay would bring back other bytes.
func TestAppend_WALAndSlotHoldTheSameBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, setup{wal: true, own: []Ownership{{Partition: orders, Epoch: 3, Base: 5, Limits: Limits{LogAppendTime: true}}}})
		sent := batch("x", "y")
		acked(t, b.send(t, AcksAll, orders, sent))
		e, err := slotlog.Read(t.Context(), b.store, slotlog.JournalKey(testJournal, 0))
		if err != nil {
			t.Fatal(err)
		}
		x := b.tail.footers()[0].Extents[0]
		raw, err := segment.ReadExtent(x, e.Payload[x.Position:x.Position+x.Length])
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(raw, sent) { // ingest patched what it was given, which the WAL wrote too
			t.Error("slot and admitted bytes differ")
		}
		if info, err := recordbatch.Check(sent); err != nil || info.BaseOffset != 5 || info.LeaderEpoch != 3 || !info.LogAppendTime() {
			t.Errorf("admitted batch %+v, %v", info, err)
		}
	})
}
