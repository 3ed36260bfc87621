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

// storeOne writes a slot, by a writer that heeds c, and waits until it counts.
func storeOne(t *testing.T, store objectstore.Store, c Control) {
	t.Helper()
	w := NewWriter(store, testJournal, 1)
	w.Heed(c)
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
}

// O3: what is sent again carries the signature of the first attempt, and a new one only once the control log was read.
func TestLand_SignsAnewOnlyAfterTheControlLogWasRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		store := &signatures{Store: memory.New(), until: began.Add(40 * time.Minute)}
		c := &control{began: began}
		storeOne(t, store, c)
		if oldest := slices.Max(store.ages); oldest < signAnew/2 || oldest > signAnew {
			t.Errorf("the oldest signature was sent after %v, want at most %v", oldest, signAnew)
		}
		if len(c.read) == 0 || c.read[0] < signAnew || c.read[len(c.read)-1] < 30*time.Minute {
			t.Errorf("the control log was read after %v", c.read)
		}
		if renewed := slices.IndexFunc(store.ages[1:], func(d time.Duration) bool { return d == 0 }); renewed < 0 {
			t.Error("nothing was signed anew")
		}
	})
}

// control cannot be read for 20 minutes, and is stale when it is told to be.
type control struct {
	began time.Time
	stale bool
	read  []time.Duration
}

func (c *control) Stale() bool { return c.stale }

func (c *control) CatchUp(context.Context) error {
	if c.read = append(c.read, time.Since(c.began)); time.Since(c.began) < 20*time.Minute {
		return errors.New("the control log is away, too")
	}
	c.stale = false
	return nil
}

func TestLand_SendsNothingWhileStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		store := &signatures{Store: memory.New()}
		storeOne(t, store, &control{began: began, stale: true})
		if took := time.Since(began); took < 20*time.Minute || len(store.ages) != 1 || store.ages[0] != 0 {
			t.Errorf("stored after %v by PUTs with signatures of age %v; the control log was read after 20 minutes", took, store.ages)
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
