package slotlog

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/memory"
	"github.com/odradek/odradek/topic"
)

// signatures is a store that is away until some time, and notes how old the signature of each PUT is.
type signatures struct {
	objectstore.Store
	until time.Time
	ages  []time.Duration
}

func (s *signatures) Create(ctx context.Context, key string, body objectstore.Body) error {
	signed, ok := objectstore.SigningTime(ctx)
	if !ok {
		return errors.New("a PUT without the time of its first attempt")
	}
	s.ages = append(s.ages, time.Since(signed))
	if time.Now().Before(s.until) {
		return errors.New("503")
	}
	return s.Store.Create(ctx, key, body)
}

// O3: what is sent again carries the signature of the first attempt, and a new one only once the control log was read.
func TestLand_SignsAnewOnlyAfterTheControlLogWasRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		store := &signatures{Store: memory.New(), until: began.Add(40 * time.Minute)}
		w := NewWriter(store, testJournal, 1)
		var read []time.Duration
		w.RenewAfter(func(context.Context) error {
			if read = append(read, time.Since(began)); time.Since(began) < 20*time.Minute {
				return errors.New("the control log is away, too")
			}
			return nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan error, 1)
		go func() { over <- w.Run(ctx, func(topic.Slot) {}) }()
		slot, err := w.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		w.Land(slot, Freeze(Data, []byte("x")))
		if err := w.Drained(t.Context()); err != nil {
			t.Fatal(err)
		}
		cancel()
		<-over
		if oldest := slices.Max(store.ages); oldest < 19*time.Minute || oldest > 21*time.Minute {
			t.Errorf("the oldest signature was sent after %v, want about the 20 minutes without the control log", oldest)
		}
		if len(read) == 0 || read[0] < signAnew || read[len(read)-1] < 30*time.Minute {
			t.Errorf("the control log was read after %v", read)
		}
		if renewed := slices.IndexFunc(store.ages[1:], func(d time.Duration) bool { return d == 0 }); renewed < 0 {
			t.Error("nothing was signed anew")
		}
	})
}

func TestDecide_GivesUpWhatMayNotBeSignedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &signatures{Store: memory.New(), until: time.Now().Add(time.Hour)}
		if err := Decide(t.Context(), store, 3, []byte("x")); !errors.Is(err, ErrLate) {
			t.Fatalf("%v, want ErrLate", err)
		}
		if oldest := slices.Max(store.ages); oldest > signAnew {
			t.Errorf("a signature was sent after %v", oldest)
		}
		if _, err := SealJournal(t.Context(), store, testJournal, 0, "test"); !errors.Is(err, ErrLate) {
			t.Errorf("seal: %v, want ErrLate", err)
		}
	})
}
