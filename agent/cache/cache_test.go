package cache

import (
	"context"
	"errors"
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
