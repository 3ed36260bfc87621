package kafka

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/test/harness"
)

// segmentBytes is the size of Kafka's segments: two of the batches that are meant to be units of their own do not fit.
const segmentBytes = 1000

// pair is Kafka and Odradek, which are told and asked the same.
type pair struct {
	t              *testing.T
	kafka, odradek *side
	now            int64 // ms; the same for both
	began          time.Time
}

// done notes how long a part of the test took.
func (p *pair) done(part string) {
	p.t.Logf("%s after %v", part, time.Since(p.began).Round(time.Second/10))
	p.began = time.Now()
}

func (p *pair) both(do func(s *side)) {
	p.t.Helper()
	do(p.kafka)
	do(p.odradek)
}

// same compares what both say.
func same[T any](p *pair, what string, of func(s *side) T) T {
	p.t.Helper()
	k, o := of(p.kafka), of(p.odradek)
	if d := cmp.Diff(k, o); d != "" {
		p.t.Errorf("%s (-Kafka, +Odradek):\n%s", what, d)
	}
	return k
}

// TestKafka_ForgetsTheSame is one test, as a JVM takes its time to start: the brokers clean and look for old records while
// the rest goes on.
func TestKafka_ForgetsTheSame(t *testing.T) {
	began := time.Now()
	addr := startBroker(t)
	agent := harness.Start(t, harness.Options{Flags: []string{
		"--wal-size", "64MiB", "--flush-interval", "5ms", "--checkpoint-slots", "64", "--compaction-interval", "1s",
		"--set", "log.retention.check.interval.ms=200", "--set", "offsets.topic.num.partitions=1",
	}})
	p := &pair{t: t, kafka: open(t, "Kafka", addr), odradek: open(t, "Odradek", agent.Addr), now: time.Now().UnixMilli(), began: began}
	p.done("both are up")
	p.createAll()
	p.both(func(s *side) { s.produce("kept", p.tables()...) })
	p.both(func(s *side) { s.produce("gone", p.tables()...) })
	p.retention()
	p.done("retention")
	p.times()
	p.deletes()
	p.done("times and deletions")
	p.both(func(s *side) { s.cleaned("kept", false) })
	p.both(func(s *side) { s.cleaned("gone", false) })
	p.done("cleaned")
	p.compareTables("kept", true)

	more := p.moreTables()
	p.both(func(s *side) { s.produce("kept", more...) })
	p.both(func(s *side) { s.produce("gone", more...) })
	p.both(func(s *side) { s.cleaned("kept", false) })
	p.both(func(s *side) { s.cleaned("gone", true) })
	p.done("cleaned again")
	p.compareTables("kept", true)
	p.compareTables("gone", false)
}

// createAll makes the topics. Kafka has segments as small as Odradek's units.
func (p *pair) createAll() {
	segment := fmt.Sprint(segmentBytes)
	old := fmt.Sprint(30 * time.Minute.Milliseconds())
	p.both(func(s *side) {
		create := func(name string, configs ...string) {
			if s == p.kafka {
				configs = append(configs, "internal.segment.bytes", segment)
			}
			s.create(name, configs...)
		}
		create("kept", "cleanup.policy", "compact", "min.cleanable.dirty.ratio", "0.01")
		create("gone", "cleanup.policy", "compact", "min.cleanable.dirty.ratio", "0.01", "delete.retention.ms", "1")
		create("sized", "retention.bytes", fmt.Sprint(5*len(p.unit(0, 0))+10), "retention.ms", "-1")
		create("aged", "retention.ms", old)
		create("mixed", "retention.ms", old)
		create("aged-table", "retention.ms", old, "cleanup.policy", "compact,delete")
		create("all-old", "retention.ms", old)
		create("times")
		create("deleted")
		create("empty")
		s.create("filler")
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.CoordinatorKeys = []string{"group"}
		s.until("coordinator", func() error {
			return kerr.ErrorForCode(ask[*kmsg.FindCoordinatorResponse](s, req).Coordinators[0].ErrorCode)
		})
	})
}

// unit is a batch of one record that is a unit, from some minutes ago.
func (p *pair) unit(n, minutes int) []byte {
	value := make([]byte, segmentBytes*6/10)
	at := p.now - int64(minutes)*time.Minute.Milliseconds()
	return recordbatch.Build(recordbatch.Draft{Records: []recordbatch.Record{{Timestamp: at, Key: fmt.Appendf(nil, "key-%d", n), Value: value}}})
}

// roll is a batch that fits into no segment with another one: all before it can be cleaned.
func (p *pair) roll(key string) []byte {
	value := make([]byte, segmentBytes*9/10)
	return recordbatch.Build(recordbatch.Draft{Records: []recordbatch.Record{{Timestamp: p.now, Key: []byte(key), Value: value}}})
}

// tables are batches that write few keys often, and delete some of them; at the end comes a key of its own.
func (p *pair) tables() [][]byte {
	random := rand.New(rand.NewPCG(1, 2))
	var all [][]byte
	for i := range 40 {
		var d recordbatch.Draft
		for k := range 1 + random.IntN(4) {
			r := recordbatch.Record{Timestamp: p.now - 60_000 + int64(i*100+random.IntN(300)), Key: fmt.Appendf(nil, "key-%d", random.IntN(25))}
			if random.IntN(3) > 0 {
				r.Value = fmt.Appendf(nil, "value %d of batch %d", k, i)
			}
			d.Records = append(d.Records, r)
		}
		all = append(all, recordbatch.Build(d))
	}
	return append(all, p.roll("first end"))
}

// moreTables are batches that write a part of the keys again and delete none.
func (p *pair) moreTables() [][]byte {
	var all [][]byte
	for i := range 8 {
		all = append(all, recordbatch.Build(recordbatch.Draft{Records: []recordbatch.Record{
			{Timestamp: p.now + int64(i), Key: fmt.Appendf(nil, "key-%d", i%5), Value: fmt.Appendf(nil, "newer value %d", i)},
		}}))
	}
	return append(all, p.roll("second end"))
}

// cleaned waits until no key is in a topic twice below its newest batch, and no tombstone if so wanted.
func (s *side) cleaned(name string, stones bool) {
	s.t.Helper()
	end := s.offset(name, -1).Offset
	tries := 0
	s.until(name+" that is cleaned", func() error {
		if s.name == "Odradek" && tries%200 == 0 { // checkpoints are made when something happens
			for n := range 70 {
				s.produce("filler", recordbatch.Build(recordbatch.Draft{Records: []recordbatch.Record{{Timestamp: int64(n), Value: []byte("x")}}}))
			}
		}
		tries++
		seen := make(map[string]bool)
		for _, r := range s.records(name, end-1) {
			switch key := string(r.Key); {
			case seen[key]:
				return fmt.Errorf("%s is there twice", key)
			case stones && r.Value == nil:
				return fmt.Errorf("the tombstone of %s at offset %d is still there", key, r.Offset)
			default:
				seen[key] = true
			}
		}
		return nil
	})
}

// compareTables compares what is left of a topic, which offset belongs to which time, and what is read from offsets that
// are gone.
func (p *pair) compareTables(name string, stones bool) {
	p.t.Helper()
	end := same(p, name+": log end", func(s *side) int64 { return s.offset(name, -1).Offset })
	start := same(p, name+": log start", func(s *side) int64 { return s.offset(name, -2).Offset })
	left := same(p, name+": records that are left", func(s *side) []recordbatch.Record { return s.records(name, end) })
	deleted := 0
	for _, r := range left {
		if r.Value == nil {
			deleted++
		}
	}
	if start != 0 || len(left) == 0 || int64(len(left)) >= end || (deleted > 0) != stones {
		p.t.Errorf("%s: %d records of [%d, %d) are left, %d of them tombstones: not what was to be compared", name, len(left), start, end, deleted)
	}
	p.compareTimes(name, p.now-61_000, p.now+1000)
	for from := range end + 2 {
		same(p, fmt.Sprintf("%s: the first record from offset %d on", name, from), func(s *side) string { return s.first(name, from) })
	}
}

// first tells what a client gets that reads from an offset on: the answer, and the first record. One that begins in a hole
// may be given batches that end below, as Kafka answers from one log file at a time.
func (s *side) first(name string, from int64) string {
	s.t.Helper()
	for at := from; ; {
		got := s.fetch(name, at, 1<<20)
		for _, r := range got.Records {
			if int64(r.Offset) >= from {
				return fmt.Sprintf("error %d, start %d, high watermark %d, offset %d", got.Code, got.Start, got.High, r.Offset)
			}
		}
		if got.Next <= at {
			return fmt.Sprintf("error %d, start %d, high watermark %d", got.Code, got.Start, got.High)
		}
		at = got.Next
	}
}

// compareTimes compares the offsets of 100 times, and of the times that stand for something else.
func (p *pair) compareTimes(name string, from, to int64) {
	p.t.Helper()
	random := rand.New(rand.NewPCG(3, 4))
	var times []int64
	for range 100 {
		times = append(times, from+random.Int64N(to-from))
	}
	of := same(p, fmt.Sprintf("%s: offsets of times since %d", name, p.now), func(s *side) map[int64]listed { return s.offsets(name, times...) })
	found := make(map[int64]bool)
	for _, o := range of {
		found[o.Offset] = true
	}
	if len(found) < 5 {
		p.t.Errorf("%s: the times have offsets %v only", name, found)
	}
	same(p, name+": offsets of special times", func(s *side) map[int64]listed { return s.offsets(name, -1, -2, -3, -4, -5, -6, -7, 0) })
}

// retention compares where partitions begin whose oldest records are too old, or too many.
func (p *pair) retention() {
	fill := func(name string, minutes ...int) {
		var all [][]byte
		for n, m := range minutes {
			all = append(all, p.unit(n, m))
		}
		p.both(func(s *side) { s.produce(name, all...) })
	}
	fill("sized", make([]int, 20)...)
	fill("aged", 90, 80, 70, 60, 50, 5, 4, 3)
	fill("aged-table", 90, 80, 70, 60, 50, 5, 4, 3)
	fill("mixed", 90, 5, 90, 90, 4) // the first that is young keeps those behind it
	fill("all-old", 90, 80, 70)
	for name, want := range map[string]int64{"sized": 14, "aged": 5, "aged-table": 5, "mixed": 1, "all-old": 3} {
		p.both(func(s *side) {
			s.until("log start of "+name, func() error {
				if got := s.offset(name, -2).Offset; got != want {
					return fmt.Errorf("it is %d, want %d", got, want)
				}
				return nil
			})
		})
	}
	time.Sleep(time.Second) // nothing more goes
	for name := range map[string]bool{"sized": true, "aged": true, "aged-table": true, "mixed": true, "all-old": true} {
		same(p, name+" after retention: offsets of special times", func(s *side) map[int64]listed { return s.offsets(name, -1, -2, -3, -4, 0) })
		for offset := range int64(9) {
			same(p, fmt.Sprintf("%s after retention: fetch at %d", name, offset), func(s *side) fetched { return s.fetch(name, offset, 1) })
		}
	}
}

// times compares offsets by time where times go up and down.
func (p *pair) times() {
	random := rand.New(rand.NewPCG(5, 6))
	var all [][]byte
	for i := range 100 {
		var d recordbatch.Draft
		for range 1 + random.IntN(4) {
			d.Records = append(d.Records, recordbatch.Record{Timestamp: p.now - 600_000 + int64(i)*1000 + random.Int64N(20_000), Value: []byte("x")})
		}
		all = append(all, recordbatch.Build(d))
	}
	p.both(func(s *side) { s.produce("times", all...) })
	p.compareTimes("times", p.now-610_000, p.now-470_000)
}

// deletes compares the answers to DeleteRecords, and what is told of partitions that lost records by it.
func (p *pair) deletes() {
	var all [][]byte
	for i := range 10 {
		var d recordbatch.Draft
		for k := range 3 {
			d.Records = append(d.Records, recordbatch.Record{Timestamp: p.now - 600_000 + int64(i*1000+k*100), Value: []byte("x")})
		}
		all = append(all, recordbatch.Build(d))
	}
	p.both(func(s *side) { s.produce("deleted", all...) })
	for _, c := range []struct {
		name      string
		partition int32
		to        int64
	}{
		{"deleted", 0, 31}, {"deleted", 0, 1 << 40}, {"deleted", 0, -2}, {"deleted", 1, 0}, {"deleted", -1, 0},
		{"no-such", 0, 0}, {"a/b", 0, 0}, {"", 0, 0}, {"kept", 0, 1}, {"kept", 0, 0}, {"kept", 0, -1}, {"kept", 1, 0},
		{"__consumer_offsets", 0, 0}, {"aged-table", 0, 6}, {"empty", 0, 0}, {"empty", 0, -1}, {"empty", 0, 1},
		{"deleted", 0, 0}, {"deleted", 0, 13}, {"deleted", 0, 13}, {"deleted", 0, 5}, {"deleted", 0, 0},
	} {
		same(p, fmt.Sprintf("delete records of %s/%d up to %d", c.name, c.partition, c.to), func(s *side) deleted {
			return s.deleteRecords(c.name, c.partition, c.to)
		})
	}
	p.told("deleted", "after 13 were deleted")
	var times []int64
	for at := range int64(100) {
		times = append(times, p.now-600_000+at*100)
	}
	same(p, "deleted: offsets of times", func(s *side) map[int64]listed { return s.offsets("deleted", times...) })
	same(p, "delete all", func(s *side) deleted { return s.deleteRecords("deleted", 0, -1) })
	p.told("deleted", "after all were deleted")
	p.both(func(s *side) { s.produce("deleted", all[0]) })
	p.told("deleted", "with a batch after all were deleted")
	if code := same(p, "a record without a key for a compacted topic", func(s *side) int16 { return s.tryProduce("kept", all[0]) }); code != kerr.InvalidRecord.Code {
		p.t.Errorf("a record without a key got %v", errors.Join(kerr.ErrorForCode(code)))
	}
}

// told compares offsets and fetches around the log start.
func (p *pair) told(name, when string) {
	p.t.Helper()
	same(p, name+", "+when+": offsets of special times", func(s *side) map[int64]listed { return s.offsets(name, -1, -2, -4, -5, -6, 0) })
	// Kafka tells the largest time of a whole log file, also of records that are deleted; Odradek only of those that are there.
	start := p.odradek.offset(name, -2).Offset
	if k, o := p.kafka.offset(name, -3), p.odradek.offset(name, -3); k.Offset >= start && k != o || o.Offset != -1 && o.Offset < start {
		p.t.Errorf("%s, %s: the record with the largest time, from %d on: Kafka %+v, Odradek %+v", name, when, start, k, o)
	}
	for _, from := range []int64{-1, 0, 5, 11, 12, 13, 14, 15, 29, 30, 31, 33, 34, 1000} {
		same(p, fmt.Sprintf("%s, %s: fetch at %d", name, when, from), func(s *side) fetched { return s.fetch(name, from, 1) })
	}
}
