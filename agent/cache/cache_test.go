package cache

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestPut_EvictsLeastRecentlyUsed(t *testing.T) {
	c := New[string, int](10)
	c.Put("a", 1, 4)
	c.Put("b", 2, 4)
	c.Get("a")
	c.Put("c", 3, 4)
	if _, ok := c.Get("b"); ok {
		t.Error("b, the least recently used, is still there")
	}
	if v, ok := c.Get("a"); !ok || v != 1 {
		t.Errorf("a = %d, %v; want 1", v, ok)
	}
	if s := c.Stats(); s.Bytes != 8 || s.Evicted != 1 {
		t.Errorf("stats %+v, want 8 bytes and 1 evicted", s)
	}
}

func TestPut_TooLargeIsNotKept(t *testing.T) {
	c := New[string, int](10)
	c.Put("a", 1, 4)
	c.Put("big", 2, 11)
	if _, ok := c.Get("big"); ok {
		t.Error("a value above the limit was kept")
	}
	if _, ok := c.Get("a"); !ok {
		t.Error("a was evicted for a value that was not kept")
	}
}

func TestDrop_NextLoadFetchesAgain(t *testing.T) {
	c := New[string, int](10)
	c.Put("a", 1, 4)
	c.Drop("a")
	c.Drop("never there")
	if s := c.Stats(); s.Bytes != 0 {
		t.Errorf("%d bytes are held after the only value was dropped", s.Bytes)
	}
	v, err := c.Load(t.Context(), "a", func(context.Context) (int, int64, error) { return 2, 4, nil })
	if v != 2 || err != nil {
		t.Errorf("load after drop: %d, %v; want 2", v, err)
	}
}

func TestLoad_ManyAskersFetchOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New[string, int](10)
		var fetches atomic.Int32
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				v, err := c.Load(t.Context(), "k", func(context.Context) (int, int64, error) {
					fetches.Add(1)
					time.Sleep(time.Second) // fake time
					return 7, 1, nil
				})
				if v != 7 || err != nil {
					t.Errorf("got %d, %v; want 7", v, err)
				}
			})
		}
		wg.Wait()
		if n := fetches.Load(); n != 1 {
			t.Errorf("%d fetches, want 1", n)
		}
	})
}

func TestLoad_ErrorIsNotKept(t *testing.T) {
	c := New[string, int](10)
	broken := errors.New("broken")
	_, err := c.Load(t.Context(), "k", func(context.Context) (int, int64, error) { return 0, 0, broken })
	if !errors.Is(err, broken) {
		t.Fatalf("error %v, want %v", err, broken)
	}
	v, err := c.Load(t.Context(), "k", func(context.Context) (int, int64, error) { return 5, 1, nil })
	if v != 5 || err != nil {
		t.Errorf("second load: %d, %v; want 5", v, err)
	}
}

func TestLoad_BeginsNothingForWhoLeft(t *testing.T) {
	c := New[string, int](10)
	c.Put("kept", 3, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	never := func(context.Context) (int, int64, error) {
		t.Error("fetched")
		return 0, 0, nil
	}
	if _, err := c.Load(ctx, "k", never); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if v, err := c.Load(ctx, "kept", never); v != 3 || err != nil {
		t.Errorf("what is there: %d, %v; want 3", v, err)
	}
}

func TestLoad_GoesOnWhenTheFirstAskerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New[string, int](10)
		ctx, cancel := context.WithCancel(t.Context())
		go c.Load(ctx, "k", func(ctx context.Context) (int, int64, error) {
			time.Sleep(time.Second)
			return 9, 1, ctx.Err()
		})
		synctest.Wait()
		cancel()
		v, err := c.Load(t.Context(), "k", func(context.Context) (int, int64, error) {
			t.Error("fetched twice")
			return 0, 0, nil
		})
		if v != 9 || err != nil {
			t.Errorf("got %d, %v; want 9", v, err)
		}
	})
}

// An agent that stops, and a client that went away, wait for no GET that hangs; what it brings is there for others.
func TestLoad_WhoLeavesWaitsNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New[string, int](10)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		began := time.Now()
		_, err := c.Load(ctx, "k", func(ctx context.Context) (int, int64, error) {
			time.Sleep(30 * time.Second)
			return 9, 1, ctx.Err()
		})
		if took := time.Since(began); !errors.Is(err, context.Canceled) || took != time.Second {
			t.Errorf("waited %v, error %v; want 1 s", took, err)
		}
		time.Sleep(30 * time.Second)
		if v, ok := c.Get("k"); v != 9 || !ok {
			t.Errorf("afterwards there is %d, %v; want 9", v, ok)
		}
	})
}

func TestLoad_PanicFailsThoseWhoAsk(t *testing.T) {
	c := New[string, int](10)
	if _, err := c.Load(t.Context(), "k", func(context.Context) (int, int64, error) { panic("out of bounds") }); err == nil || !strings.Contains(err.Error(), "out of bounds") {
		t.Errorf("error %v, want the panic", err)
	}
	if v, err := c.Load(t.Context(), "k", func(context.Context) (int, int64, error) { return 1, 1, nil }); v != 1 || err != nil {
		t.Errorf("the next one gets %d, %v; want 1", v, err)
	}
}

// A session that ends waits for its loads, and not for what hangs.
func TestClose_EndsLoadsAndWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New[string, int](10)
		c.Put("held", 7, 1)
		left, leave := context.WithCancel(t.Context())
		ended := false
		asked := make(chan error, 1)
		load := func(ctx context.Context) (int, int64, error) {
			<-ctx.Done()
			time.Sleep(time.Second)
			ended = true
			return 0, 0, context.Cause(ctx)
		}
		go func() {
			_, err := c.Load(left, "k", load)
			asked <- err
		}()
		synctest.Wait()
		leave()
		if err := <-asked; !errors.Is(err, context.Canceled) {
			t.Errorf("who left gets %v", err)
		}
		go func() {
			_, err := c.Load(context.WithoutCancel(t.Context()), "k", load)
			asked <- err
		}()
		synctest.Wait()
		began := time.Now()
		c.Close()
		if took := time.Since(began); !ended || took != time.Second {
			t.Errorf("closed after %v, the load ended: %v; want 1 s, true", took, ended)
		}
		if err := <-asked; !errors.Is(err, context.Canceled) {
			t.Errorf("who waits gets %v", err)
		}
		if _, err := c.Load(t.Context(), "k", load); !errors.Is(err, ErrClosed) {
			t.Errorf("afterwards: %v, want %v", err, ErrClosed)
		}
		if v, err := c.Load(t.Context(), "held", load); v != 7 || err != nil {
			t.Errorf("what is held: %d, %v", v, err)
		}
	})
}

func TestLoad_HangsNoLongerThanItMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New[string, int](10)
		began := time.Now()
		_, err := c.Load(t.Context(), "k", func(ctx context.Context) (int, int64, error) {
			<-ctx.Done()
			return 0, 0, context.Cause(ctx)
		})
		if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took != loadTimeout {
			t.Errorf("%v after %v, want %v", err, took, loadTimeout)
		}
	})
}
