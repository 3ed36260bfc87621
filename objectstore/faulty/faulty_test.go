package faulty_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/faulty"
	"github.com/odradek/odradek/objectstore/memory"
	"github.com/odradek/odradek/objectstore/objectstoretest"
)

func TestConformance_WithoutFaults(t *testing.T) {
	objectstoretest.Run(t, func(*testing.T) objectstore.Store { return faulty.New(memory.New(), nil) })
}

func TestCreate_FailsBeforeOrAfterTakingEffect(t *testing.T) {
	below := memory.New()
	s := faulty.New(below, faulty.Each(
		faulty.NthOf(objectstore.KindCreate, 1, faulty.Fault{Before: faulty.ErrRefused}),
		faulty.NthOf(objectstore.KindCreate, 2, faulty.Fault{After: faulty.ErrLost}),
	))
	body := objectstore.NewBody([]byte("x"))
	if err := s.Create(t.Context(), "k", body); !errors.Is(err, faulty.ErrRefused) {
		t.Fatalf("first create: %v, want ErrRefused", err)
	}
	if _, err := below.Head(t.Context(), "k"); !errors.Is(err, objectstore.ErrNotFound) {
		t.Fatalf("after a refused create the object is there: %v", err)
	}
	if err := s.Create(t.Context(), "k", body); !errors.Is(err, faulty.ErrLost) {
		t.Fatalf("second create: %v, want ErrLost", err)
	}
	if err := s.Create(t.Context(), "k", body); !errors.Is(err, objectstore.ErrExists) {
		t.Fatalf("create after the lost answer: %v, want ErrExists", err)
	}
}

func TestCreate_LateArrivesWithTheBytesItHad(t *testing.T) {
	s := faulty.New(memory.New(), faulty.Nth(1, faulty.Fault{Late: true}))
	part := []byte("first")
	if err := s.Create(t.Context(), "k", objectstore.NewBody(part)); !errors.Is(err, faulty.ErrLost) {
		t.Fatalf("late create: %v, want ErrLost", err)
	}
	copy(part, "other")
	if _, err := s.Get(t.Context(), "k"); !errors.Is(err, objectstore.ErrNotFound) {
		t.Fatalf("before it landed: %v, want ErrNotFound", err)
	}
	s.Cut()
	if errs := s.Land(t.Context()); len(errs) != 1 || errs[0] != nil {
		t.Fatalf("landing: %v", errs)
	}
	s.Mend()
	if got, err := s.Get(t.Context(), "k"); err != nil || string(got) != "first" {
		t.Fatalf("landed %q, %v; want the bytes of the call", got, err)
	}
	if errs := s.Land(t.Context()); len(errs) != 0 {
		t.Fatalf("landed twice: %v", errs)
	}
}

func TestReads_AreMangled(t *testing.T) {
	below := memory.New()
	if err := below.Create(t.Context(), "k", objectstore.NewBody([]byte("abcd"))); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		mangle func([]byte) []byte
		want   string
	}{
		{faulty.FlipBit(0), "`bcd"},
		{faulty.FlipBit(-1), "abce"},
		{faulty.FlipBit(9), "abcd"},
		{faulty.Truncate(2), "ab"},
		{faulty.Truncate(9), "abcd"},
	}
	for _, test := range tests {
		s := faulty.New(below, faulty.Nth(1, faulty.Fault{Mangle: test.mangle}))
		if got, err := s.Get(t.Context(), "k"); err != nil || string(got) != test.want {
			t.Errorf("mangled %q, %v; want %q", got, err, test.want)
		}
		if got, err := s.Get(t.Context(), "k"); err != nil || string(got) != "abcd" {
			t.Errorf("the next read gives %q, %v; the object must be whole", got, err)
		}
	}
}

func TestOutage_EveryCallFailsUntilMended(t *testing.T) {
	s := faulty.New(memory.New(), nil)
	s.Cut()
	if err := s.Delete(t.Context(), "k"); !errors.Is(err, faulty.ErrDown) {
		t.Fatalf("delete in an outage: %v", err)
	}
	if err := s.List(t.Context(), "", nil); !errors.Is(err, faulty.ErrDown) {
		t.Fatalf("list in an outage: %v", err)
	}
	s.Mend()
	if err := s.Delete(t.Context(), "k"); err != nil {
		t.Fatalf("delete after the outage: %v", err)
	}
	calls := s.Calls()
	if len(calls) != 3 || calls[2].OfKey != 2 || calls[2].OfKind != 2 || calls[2].N != 3 {
		t.Fatalf("calls %+v; want the last to be the third of all, the second delete of k", calls)
	}
}

func TestLatency_WaitsOnTheClockOrTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := faulty.New(memory.New(), faulty.Latency(objectstore.KindCreate, 30*time.Millisecond))
		start := time.Now()
		if err := s.Create(t.Context(), "k", objectstore.NewBody()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != 30*time.Millisecond {
			t.Errorf("create took %v, want 30ms", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if err := s.Create(ctx, "other", objectstore.NewBody()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("create with 10ms to live: %v", err)
		}
		if _, err := s.Get(t.Context(), "other"); !errors.Is(err, objectstore.ErrNotFound) {
			t.Errorf("create that ran out of time took effect: %v", err)
		}
	})
}

func TestUpload_FailsBeforeOrAfterTakingEffect(t *testing.T) {
	below := memory.New()
	s := faulty.New(below, faulty.Each(
		faulty.NthOf(objectstore.KindUpload, 1, faulty.Fault{Before: faulty.ErrRefused}),
		faulty.NthOf(objectstore.KindPart, 1, faulty.Fault{After: faulty.ErrLost}),
		faulty.NthOf(objectstore.KindComplete, 1, faulty.Fault{Before: faulty.ErrRefused}),
		faulty.NthOf(objectstore.KindComplete, 2, faulty.Fault{After: faulty.ErrLost}),
	))
	if _, err := s.Upload(t.Context(), "k"); !errors.Is(err, faulty.ErrRefused) {
		t.Fatalf("first upload: %v, want ErrRefused", err)
	}
	u, err := s.Upload(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	part := objectstore.NewBody([]byte("x"))
	if err := u.Append(t.Context(), part); !errors.Is(err, faulty.ErrLost) {
		t.Fatalf("first part: %v, want ErrLost", err)
	}
	if err := u.Append(t.Context(), part); err != nil {
		t.Fatal(err)
	}
	for i, want := range []error{faulty.ErrRefused, faulty.ErrLost, objectstore.ErrExists} {
		if err := u.Complete(t.Context()); !errors.Is(err, want) {
			t.Errorf("complete %d: %v, want %v", i+1, err, want)
		}
		if _, err := below.Head(t.Context(), "k"); (err == nil) != (i > 0) {
			t.Errorf("after complete %d: %v", i+1, err)
		}
	}
	if got, err := s.Get(t.Context(), "k"); err != nil || string(got) != "x" {
		t.Errorf("the object is %q, %v; want the part once", got, err)
	}
}

func TestUpload_LateCompleteLandsOrMeetsAnother(t *testing.T) {
	s := faulty.New(memory.New(), faulty.NthOf(objectstore.KindComplete, 1, faulty.Fault{Late: true}))
	u, err := s.Upload(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Append(t.Context(), objectstore.NewBody([]byte("late"))); err != nil {
		t.Fatal(err)
	}
	if err := u.Complete(t.Context()); !errors.Is(err, faulty.ErrLost) {
		t.Fatalf("late complete: %v, want ErrLost", err)
	}
	if err := s.Create(t.Context(), "k", objectstore.NewBody([]byte("first"))); err != nil {
		t.Fatal(err)
	}
	if errs := s.Land(t.Context()); len(errs) != 1 || !errors.Is(errs[0], objectstore.ErrExists) {
		t.Errorf("landing: %v, want ErrExists", errs)
	}
}
