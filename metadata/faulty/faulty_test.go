package faulty_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/metadata/embedded"
	"github.com/odradek/odradek/metadata/faulty"
	"github.com/odradek/odradek/metadata/metadatatest"
	"github.com/odradek/odradek/topic"
)

func TestConformance_WithoutFaults(t *testing.T) {
	metadatatest.Run(t, func(*testing.T) metadata.Store { return faulty.NewWorld().Connect(nil) })
}

// begun begins an era through a link and gives its pin.
func begun(t *testing.T, s *faulty.Store, era uint64) metadata.Pin {
	t.Helper()
	run, replication, err := s.Identity(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	pin := metadata.Pin{Era: era, RunID: run, ReplicationID: replication}
	if err := s.Begin(t.Context(), pin); err != nil {
		t.Fatal(err)
	}
	return pin
}

func TestCall_FailsBeforeOrAfterTakingEffect(t *testing.T) {
	w := faulty.NewWorld()
	s, other, j := w.Connect(nil), w.Connect(nil), topic.JournalID{1}
	pin := begun(t, s, 1)
	if err := s.Register(t.Context(), pin, j, ""); err != nil {
		t.Fatal(err)
	}
	beats := func() uint64 {
		c, err := other.Counters(t.Context(), pin)
		if err != nil {
			t.Fatal(err)
		}
		return c[j]
	}
	for _, test := range []struct {
		fault faulty.Fault
		want  uint64
	}{{faulty.Fault{Before: faulty.ErrRefused}, 0}, {faulty.Fault{After: faulty.ErrLost}, 1}} {
		s.SetScript(func(c faulty.Call) faulty.Fault {
			if c.Method == "Beat" {
				return test.fault
			}
			return faulty.Fault{}
		})
		if err := s.Beat(t.Context(), pin, j); !errors.Is(err, metadata.ErrUnavailable) {
			t.Fatalf("beat: %v, want ErrUnavailable", err)
		}
		if got := beats(); got != test.want {
			t.Fatalf("%d beats arrived, want %d", got, test.want)
		}
	}
}

func TestCut_OneLinkOnlyAndItHearsAllWhenMended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := faulty.NewWorld()
		s, other := w.Connect(nil), w.Connect(nil)
		ctx, hangUp := context.WithCancel(t.Context())
		heard := make(chan metadata.Kinds, 10)
		ended := make(chan error, 1)
		go func() { ended <- s.Listen(ctx, func(k metadata.Kinds) { heard <- k }) }()
		next := func() metadata.Kinds {
			synctest.Wait()
			select {
			case k := <-heard:
				return k
			default:
				return 0
			}
		}
		ring := func() {
			if err := other.Ring(ctx, metadata.KindIndex); err != nil {
				t.Fatal(err)
			}
		}
		if k := next(); k != metadata.AllKinds {
			t.Fatalf("heard %v first, want everything", k)
		}
		s.Cut()
		if _, _, err := s.Identity(ctx); !errors.Is(err, metadata.ErrUnavailable) {
			t.Fatalf("identity through a cut: %v", err)
		}
		synctest.Wait()
		ring()
		if k := next(); k != 0 {
			t.Fatalf("heard %v through a cut", k)
		}
		s.Mend()
		if k := next(); k != metadata.AllKinds {
			t.Fatalf("heard %v after the cut, want everything", k)
		}
		w.Forget()
		if k := next(); k != metadata.AllKinds {
			t.Fatalf("heard %v from another store, want everything", k)
		}
		ring()
		if k := next(); k != metadata.KindIndex {
			t.Fatalf("heard %v, want the ring", k)
		}
		hangUp()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Fatalf("listen ended with %v", err)
		}
	})
}

func TestDelay_EndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := faulty.NewWorld().Connect(func(faulty.Call) faulty.Fault { return faulty.Fault{Delay: time.Second} })
		start := time.Now()
		if _, _, err := s.Identity(t.Context()); err != nil || time.Since(start) != time.Second {
			t.Fatalf("answered after %v with %v, want a second later", time.Since(start), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, _, err := s.Identity(ctx); !errors.Is(err, metadata.ErrUnavailable) {
			t.Fatalf("answered %v, want ErrUnavailable", err)
		}
	})
}

func TestWorld_ForgetsGoesBackAndSplits(t *testing.T) {
	w := faulty.NewWorld()
	a, b, j := w.Connect(nil), w.Connect(nil), topic.JournalID{1}
	pin := begun(t, a, 1)
	old := w.Snapshot()
	if err := a.Register(t.Context(), pin, j, ""); err != nil {
		t.Fatal(err)
	}
	registered := func(s *faulty.Store) bool {
		c, err := s.Counters(t.Context(), pin)
		if err != nil {
			t.Fatal(err)
		}
		_, ok := c[j]
		return ok
	}
	w.Split(old, old.Identity(), b)
	if !registered(a) || registered(b) {
		t.Fatalf("registered %t, %t; want on one side of the split only", registered(a), registered(b))
	}
	w.Heal()
	if !registered(b) {
		t.Fatal("healed, and not the same store")
	}
	w.RollBack(old, old.Identity())
	if registered(a) || registered(b) {
		t.Fatal("registered before the snapshot was taken")
	}
	w.RollBack(old, embedded.Identity{RunID: pin.RunID, ReplicationID: embedded.NewIdentity().ReplicationID})
	if err := a.Beat(t.Context(), pin, j); !errors.Is(err, metadata.ErrEra) {
		t.Fatalf("beat under the identity before: %v, want ErrEra", err)
	}
	w.Forget()
	for _, s := range []*faulty.Store{a, b, w.Connect(nil)} {
		if status, err := s.Current(t.Context(), 1); err != nil || status.Begun {
			t.Fatalf("status %+v, %v; want nothing", status, err)
		}
	}
}
