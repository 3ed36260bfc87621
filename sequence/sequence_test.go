package sequence

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/odradek/odradek/topic"
)

// batchOf is a batch of count records of producer 1 at base.
func batchOf(epoch int16, first int32, base topic.Offset, count int) Delta {
	return Delta{
		ProducerID: 1, ProducerEpoch: epoch, FirstSequence: first,
		Base: base, Next: base + topic.Offset(count), Timestamp: 1000 + int64(base),
	}
}

// after makes a State of a log.
func after(log ...Delta) *State {
	var s State
	for _, d := range log {
		s.Apply(d)
	}
	return &s
}

func TestCheck_JudgesAsKafkaDoes(t *testing.T) {
	// Six batches of two records each under epoch 3: sequences 0 to 11 at offsets 100 to 111. The first is forgotten.
	var six []Delta
	for i := range 6 {
		six = append(six, batchOf(3, int32(2*i), topic.Offset(100+2*i), 2))
	}
	marker := Delta{ProducerID: 1, ProducerEpoch: 4, FirstSequence: NoSequence, Base: 112, Next: 113}
	for _, c := range []struct {
		name string
		log  []Delta
		d    Delta
		want Verdict
		err  error
	}{
		{"unknown producer from 0", nil, batchOf(0, 0, 0, 1), Verdict{}, nil},
		{"unknown producer from anywhere, its records may be deleted", nil, batchOf(5, 77, 0, 1), Verdict{}, nil},
		{"next", six, batchOf(3, 12, 0, 9), Verdict{}, nil},
		{"gap", six, batchOf(3, 13, 0, 1), Verdict{}, ErrOutOfOrderSequence},
		{"last again", six, batchOf(3, 10, 0, 2), Verdict{Duplicate: true, Base: 110, Next: 112, Timestamp: 1110}, nil},
		{"fifth last again", six, batchOf(3, 2, 0, 2), Verdict{Duplicate: true, Base: 102, Next: 104, Timestamp: 1102}, nil},
		{"sixth last again", six, batchOf(3, 0, 0, 2), Verdict{}, ErrOutOfOrderSequence},
		{"old sequence, other length", six, batchOf(3, 10, 0, 3), Verdict{}, ErrOutOfOrderSequence},
		{"inside an old batch", six, batchOf(3, 11, 0, 1), Verdict{}, ErrOutOfOrderSequence},
		{"stale epoch", six, batchOf(2, 12, 0, 1), Verdict{}, ErrInvalidProducerEpoch},
		{"stale epoch, even if the sequences were written", six, batchOf(2, 10, 0, 2), Verdict{}, ErrInvalidProducerEpoch},
		{"new epoch from 0", six, batchOf(4, 0, 0, 1), Verdict{}, nil},
		{"new epoch from elsewhere", six, batchOf(4, 12, 0, 1), Verdict{}, ErrOutOfOrderSequence},
		{"without sequence", six, batchOf(3, NoSequence, 0, 1), Verdict{}, nil},
		{"without sequence, stale epoch", six, batchOf(2, NoSequence, 0, 1), Verdict{}, ErrInvalidProducerEpoch},
		{"from 0 after a marker raised the epoch", append(six, marker), batchOf(4, 0, 0, 1), Verdict{}, nil},
		{"on after a marker raised the epoch", append(six, marker), batchOf(4, 12, 0, 1), Verdict{}, ErrOutOfOrderSequence},
		{"old epoch after a marker", append(six, marker), batchOf(3, 12, 0, 1), Verdict{}, ErrInvalidProducerEpoch},
		{"batch that wraps around", []Delta{batchOf(0, math.MaxInt32-1, 5, 4)}, batchOf(0, math.MaxInt32-1, 0, 4),
			Verdict{Duplicate: true, Base: 5, Next: 9, Timestamp: 1005}, nil},
		{"behind one that wraps around", []Delta{batchOf(0, math.MaxInt32-1, 5, 4)}, batchOf(0, 2, 0, 1), Verdict{}, nil},
		{"from 0 behind 2^31-1", []Delta{batchOf(0, math.MaxInt32, 5, 1)}, batchOf(0, 0, 0, 1), Verdict{}, nil},
		{"never negative", []Delta{batchOf(0, math.MaxInt32, 5, 1)}, batchOf(0, math.MinInt32, 0, 1), Verdict{}, ErrOutOfOrderSequence},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := after(c.log...).Check(c.d)
			if !errors.Is(err, c.err) || got != c.want {
				t.Errorf("got %+v, %v; want %+v, %v", got, err, c.want, c.err)
			}
		})
	}
}

func TestApply_NewEpochForgetsTheOldBatches(t *testing.T) {
	s := after(batchOf(0, 0, 0, 1), batchOf(1, 0, 1, 1))
	if v, err := s.Check(batchOf(1, 0, 9, 1)); err != nil || v.Base != 1 || !v.Duplicate {
		t.Errorf("%+v, %v", v, err)
	}
}

func TestClone_GoesItsOwnWay(t *testing.T) {
	counted := after(batchOf(0, 0, 0, 1))
	admitted := counted.Clone()
	admitted.Apply(batchOf(0, 1, 1, 1))
	if v, err := admitted.Check(batchOf(0, 1, 9, 1)); err != nil || !v.Duplicate {
		t.Errorf("admitted: %+v, %v", v, err)
	}
	if v, err := counted.Check(batchOf(0, 1, 9, 1)); err != nil || v.Duplicate {
		t.Errorf("counted: %+v, %v", v, err)
	}
}

func TestExpire_ForgetsWhatIsUnusedLongEnough(t *testing.T) {
	old, young := batchOf(0, 0, 0, 1), batchOf(0, 0, 1, 1)
	young.ProducerID, old.Timestamp, young.Timestamp = 2, 1000, 1001
	s := after(old, young)
	day := 24 * time.Hour
	if n := s.Expire(999+day.Milliseconds(), day); n != 0 {
		t.Errorf("%d forgotten too early", n)
	}
	if n := s.Expire(1000+day.Milliseconds(), day); n != 1 || s.Len() != 1 {
		t.Errorf("%d forgotten, %d left", n, s.Len())
	}
	if v, err := s.Check(young); err != nil || !v.Duplicate {
		t.Errorf("the young one: %+v, %v", v, err)
	}
}

// randomLog is a plausible log of n batches by a few producers.
func randomLog(seed uint64, n int) []Delta {
	r := rand.New(rand.NewPCG(seed, 1))
	var log []Delta
	next := topic.Offset(0)
	for range n {
		d := batchOf(int16(len(log)/50), r.Int32N(1000), next, 1+r.IntN(20))
		d.ProducerID = r.Int64N(4)
		next = d.Next
		log = append(log, d)
	}
	return log
}

func TestSnapshot_RestoresTheSameState(t *testing.T) {
	for seed := range uint64(20) {
		s := after(randomLog(seed, int(seed)*10)...)
		b := s.AppendSnapshot(nil)
		got, err := Restore(b)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.AppendSnapshot(nil), b) || got.Len() != s.Len() {
			t.Errorf("seed %d: another state came back", seed)
		}
		for _, d := range randomLog(seed, int(seed)*10) {
			want, wantErr := s.Check(d)
			have, haveErr := got.Check(d)
			if want != have || (wantErr == nil) != (haveErr == nil) {
				t.Errorf("seed %d: %+v judged %+v, %v; want %+v, %v", seed, d, have, haveErr, want, wantErr)
			}
		}
	}
}

func TestRestore_NothingIsTheEmptyState(t *testing.T) {
	s, err := Restore(nil)
	if err != nil || s.Len() != 0 {
		t.Errorf("%d producers, %v", s.Len(), err)
	}
	s.Apply(batchOf(0, 0, 0, 1))
}

func TestRestore_RefusesEveryCutAndMore(t *testing.T) {
	b := after(randomLog(3, 100)...).AppendSnapshot(nil)
	for n := 1; n < len(b); n++ {
		if _, err := Restore(b[:n]); !errors.Is(err, ErrSnapshot) {
			t.Errorf("%d of %d bytes: %v", n, len(b), err)
		}
	}
	for name, bad := range map[string][]byte{
		"trailing byte": append(bytes.Clone(b), 0),
		"version 2":     append([]byte{2}, b[1:]...),
		"huge count":    {1, 0xff, 0xff, 0xff, 0xff, 0x0f},
		"six batches":   {1, 1, 0, 0, 0, 6},
	} {
		if _, err := Restore(bad); !errors.Is(err, ErrSnapshot) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// I8: what a footer leaves out must not change the state.
func TestRecent_GivesTheSameStateAsTheWholeLog(t *testing.T) {
	for seed := range uint64(20) {
		log := randomLog(seed, 40+int(seed)*5) // some end soon after a new producer epoch began
		for i := range log {
			if i%7 == 3 {
				log[i].FirstSequence = NoSequence
			}
		}
		whole := after(log...).AppendSnapshot(nil)
		short := Recent(slices.Clone(log))
		if got := after(short...).AppendSnapshot(nil); !bytes.Equal(got, whole) {
			t.Errorf("seed %d: %d of %d deltas give another state", seed, len(short), len(log))
		}
		if len(short) > 4*(Remembered+1) {
			t.Errorf("seed %d: %d deltas kept", seed, len(short))
		}
	}
}

func TestRecent_KeepsPartitionsApartAndTheOrder(t *testing.T) {
	var log, want []Delta
	for i := range 7 {
		for p := range int32(2) {
			d := batchOf(0, int32(i), topic.Offset(i), 1)
			d.Partition.Index = p
			log = append(log, d)
			if i >= 2 {
				want = append(want, d)
			}
		}
	}
	if diff := cmp.Diff(want, Recent(log)); diff != "" {
		t.Error(diff)
	}
}

func FuzzRestore(f *testing.F) {
	f.Add(after(randomLog(1, 30)...).AppendSnapshot(nil))
	f.Add(after(batchOf(0, math.MaxInt32-1, math.MaxInt64-10, 4)).AppendSnapshot(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Restore(b)
		if err != nil || len(b) == 0 {
			return
		}
		again, err := Restore(s.AppendSnapshot(nil))
		if err != nil || again.Len() != s.Len() {
			t.Errorf("%d producers, then %d, %v", s.Len(), again.Len(), err)
		}
		_, _ = s.Check(batchOf(1, 5, 0, 1))
		s.Apply(batchOf(1, 5, 0, 1))
	})
}

func BenchmarkCheckApply(b *testing.B) {
	var s State
	d := batchOf(0, 0, 0, 100)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Check(d); err != nil {
			b.Fatal(err)
		}
		s.Apply(d)
		d.FirstSequence = int32((int64(d.LastSequence()) + 1) & math.MaxInt32)
		d.Base, d.Next = d.Next, d.Next+100
	}
}
