package slotlog

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
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

// An answer that got lost is not waited for: the key is looked at, and there the body is.
func TestLand_LostAnswersAreSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		store := &deaf{Store: memory.New(), until: began.Add(time.Hour)}
		storeOne(t, store, nil)
		if took := time.Since(began); took > overdue+lookAgain {
			t.Errorf("stored after %v", took)
		}
	})
}

// A bucket that swallowed everything for a while is sent the bytes again as soon as it answers: what went out before may
// hang for long.
func TestLand_GoesOnSoonAfterAnOutage(t *testing.T) {
	for _, outage := range []time.Duration{4 * time.Second, 13 * time.Second, time.Minute, 20 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			store := &swallowing{Store: memory.New(), until: began.Add(outage)}
			storeOne(t, store, &control{began: began})
			if took := time.Since(began); took > outage+lookPatience+lookAgain {
				t.Errorf("stored %v after an outage of %v", took-outage, outage)
			}
			if most := int(outage/overdue) + mostAtOnce; int(store.puts.Load()) > most {
				t.Errorf("%d PUTs in an outage of %v, want at most %d", store.puts.Load(), outage, most)
			}
		})
	}
}

// Of many uploads, whose pauses and looks come at different times, the first that gets an answer wakes the others.
func TestLand_TheFirstAnswerAfterAnOutageIsForAll(t *testing.T) {
	const window = 16
	for _, refused := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			began, outage := time.Now(), time.Minute
			store := &swallowing{Store: memory.New(), until: began.Add(outage), refuses: refused}
			w := NewWriter(store, testJournal, window)
			ctx, cancel := context.WithCancel(t.Context())
			over := make(chan error, 1)
			var first, last time.Duration // when slots counted
			go func() {
				over <- w.Run(ctx, func(topic.Slot) {
					if last = time.Since(began); first == 0 {
						first = last
					}
				})
			}()
			for range window {
				slot, err := w.Next(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				w.Land(slot, Freeze(Data, []byte("x")))
				time.Sleep(300 * time.Millisecond)
			}
			if err := w.Drained(t.Context()); err != nil {
				t.Fatal(err)
			}
			cancel()
			<-over
			if first < outage || last > outage+lastRetry {
				t.Errorf("refused %v: slots counted %v to %v after the outage", refused, first-outage, last-outage)
			}
		})
	}
}

// A bucket that refuses every second request is not away: nobody's pause is cut short by another's success.
func TestOutage_SomeFailuresAreNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o outage
		o.answers()
		ended := o.ended()
		for range 100 {
			time.Sleep(outageLeast / 3)
			o.failed(time.Now())
			time.Sleep(outageLeast / 3)
			o.answers()
		}
		select {
		case <-ended:
			t.Error("an outage ended that never was")
		default:
		}
		sent := time.Now()
		time.Sleep(outageLeast)
		o.failed(sent.Add(-time.Second)) // sent before the newest answer
		o.answers()
		select {
		case <-ended:
			t.Error("what failed was older than an answer")
		default:
		}
		o.failed(time.Now().Add(time.Millisecond))
		time.Sleep(outageLeast)
		o.answers()
		select {
		case <-ended:
		default:
			t.Error("the end of an outage was not told")
		}
	})
}

// A PUT that takes its time while the bucket answers looks is sent no more than twice.
func TestLand_SlowIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &slow{Store: memory.New(), takes: attemptTimeout - time.Second}
		storeOne(t, store, nil)
		if n := store.puts.Load(); n != 2 {
			t.Errorf("%d PUTs", n)
		}
	})
}

// deaf is a store that takes PUTs and whose answers do not come, until some time.
type deaf struct {
	objectstore.Store
	until time.Time
}

func (s *deaf) Create(ctx context.Context, key string, body objectstore.Body) error {
	err := s.Store.Create(ctx, key, body)
	if time.Now().Before(s.until) {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	return err
}

// swallowing is a store that lets all calls hang that come before some time, or refuses them.
type swallowing struct {
	objectstore.Store
	until   time.Time
	refuses bool
	puts    atomic.Int32
}

func (s *swallowing) hang(ctx context.Context) error {
	if !time.Now().Before(s.until) {
		return nil
	}
	if s.refuses {
		return errors.New("connection refused")
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

func (s *swallowing) Create(ctx context.Context, key string, body objectstore.Body) error {
	s.puts.Add(1)
	if err := s.hang(ctx); err != nil {
		return err
	}
	return s.Store.Create(ctx, key, body)
}

func (s *swallowing) Head(ctx context.Context, key string) (objectstore.Info, error) {
	if err := s.hang(ctx); err != nil {
		return objectstore.Info{}, err
	}
	return s.Store.Head(ctx, key)
}

// slow is a store whose PUTs take their time.
type slow struct {
	objectstore.Store
	takes time.Duration
	puts  atomic.Int32
}

func (s *slow) Create(ctx context.Context, key string, body objectstore.Body) error {
	s.puts.Add(1)
	if err := sleep(ctx, s.takes); err != nil {
		return err
	}
	return s.Store.Create(ctx, key, body)
}
