package fetch

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/odradek/odradek/topic"
)

// endless is an object of 1 MiB whose bytes say where they are.
var endless = func() []byte {
	b := make([]byte, 1<<20)
	for i := range b {
		b[i] = byte(i) ^ byte(i>>8)*31
	}
	return b
}()

func fromEndless(_ context.Context, at stretch) ([]byte, error) {
	return bytes.Clone(endless[min(int(at.from), len(endless)):min(int(at.to), len(endless))]), nil
}

// exactly fetches what is wanted.
func exactly(want stretch) widen { return func(around) (stretch, bool) { return want, false } }

// byAhead fetches n bytes more, as far as there is room.
func byAhead(want stretch, n int64) widen {
	return func(a around) (stretch, bool) {
		want.to += uint32(min(n, max(0, a.room())))
		return want, true
	}
}

// books compares what a cache counts with what it holds.
func books(t *testing.T, s *spans) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var used, readers, ahead int64
	held := 0
	for object, spans := range s.held {
		if len(spans) == 0 {
			t.Fatalf("nothing is held of %s", object)
		}
		for _, sp := range spans {
			held++
			used += int64(len(sp.bytes))
			if sp.ahead {
				readers, ahead = readers+1, ahead+int64(sp.to-sp.from)
			}
		}
	}
	if used != s.used || used > s.limit || held != s.recent.Len() || readers != s.readers || ahead != s.ahead {
		t.Fatalf("%d spans of %d bytes, %d read ahead with %d; the books say %d, %d, %d, %d; %d may be held",
			held, used, readers, ahead, s.recent.Len(), s.used, s.readers, s.ahead, s.limit)
	}
}

func TestSpans_GiveTheBytesAndKeepTheirBounds(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 6))
		s := newSpans(1 << 12 << r.IntN(6))
		for range 2000 {
			want := stretch{object: objectKey{slot: topic.Slot(r.IntN(5))}, from: uint32(r.IntN(1<<20 + 1000))}
			want.to = want.from + 1 + uint32(r.IntN(4000))
			switch r.IntN(12) {
			case 0:
				s.drop(want)
				continue
			case 1:
				broken := errors.New("broken")
				far := stretch{object: objectKey{slot: 9}, from: want.from, to: want.to}
				if _, err := s.load(t.Context(), far, byAhead(far, 1000), func(context.Context, stretch) ([]byte, error) { return nil, broken }); !errors.Is(err, broken) {
					t.Fatalf("seed %d: %v", seed, err)
				}
				continue
			}
			how := exactly(want)
			if r.IntN(2) == 0 {
				how = byAhead(want, r.Int64N(1<<15))
			}
			got, err := s.load(t.Context(), want, how, fromEndless)
			if there, _ := fromEndless(t.Context(), want); err != nil || !bytes.Equal(got, there) {
				t.Fatalf("seed %d: [%d,%d): %d bytes, %v; want %d", seed, want.from, want.to, len(got), err, len(there))
			}
			books(t, s)
		}
	}
}

func TestSpans_ThoseAtOnceShareAGETAndItsError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSpans(1 << 16)
		want := stretch{from: 100, to: 200}
		var gets atomic.Int64
		broken := errors.New("broken")
		slow := func(context.Context, stretch) ([]byte, error) {
			gets.Add(1)
			time.Sleep(time.Second)
			return nil, broken
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { // who asks first goes away
			if _, err := s.load(ctx, want, byAhead(want, 1000), slow); !errors.Is(err, context.Canceled) {
				t.Errorf("the first: %v", err)
			}
		})
		synctest.Wait()
		cancel()
		for i := range uint32(5) {
			part := stretch{from: 100 + i*100, to: 200 + i*100}
			wg.Go(func() {
				if _, err := s.load(t.Context(), part, exactly(part), slow); !errors.Is(err, broken) {
					t.Errorf("part %d: %v", i, err)
				}
			})
		}
		wg.Wait()
		if n := gets.Load(); n != 1 {
			t.Errorf("%d GETs, want 1", n)
		}
		if got, err := s.load(t.Context(), want, exactly(want), fromEndless); err != nil || !bytes.Equal(got, endless[100:200]) {
			t.Errorf("after it was mended: %d bytes, %v", len(got), err)
		}
		books(t, s)
	})
}

// What was read ahead for one who will come stays when others load much; for one who went away it does not stay for ever.
func TestSpans_WhatIsReadAheadWaitsForItsReader(t *testing.T) {
	s := newSpans(1 << 16)
	first := stretch{object: objectKey{slot: 1}, to: 1000}
	var gets int
	counted := func(ctx context.Context, at stretch) ([]byte, error) {
		gets++
		return fromEndless(ctx, at)
	}
	next := func() int {
		gets = 0
		part := stretch{object: objectKey{slot: 1}, from: 1000, to: 2000}
		if _, err := s.load(t.Context(), part, exactly(part), counted); err != nil {
			t.Fatal(err)
		}
		return gets
	}
	others := func(n uint32) {
		for i := range n {
			other := stretch{object: objectKey{slot: 2}, from: i * 4096, to: (i + 1) * 4096}
			if _, err := s.load(t.Context(), other, exactly(other), fromEndless); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := s.load(t.Context(), first, byAhead(first, 8000), counted); err != nil {
		t.Fatal(err)
	}
	others(48) // three times what the cache holds
	if n := next(); n != 0 {
		t.Errorf("%d GETs: what was read ahead is gone", n)
	}
	others(200)
	if s.readers != 0 || s.ahead != 0 {
		t.Errorf("%d readers with %d bytes are waited for that never come", s.readers, s.ahead)
	}
	if n := next(); n != 1 {
		t.Errorf("%d GETs, want 1: it was let go", n)
	}
	books(t, s)
}

// An agent that stops, and a client that went away, wait for no GET that hangs; what it brings is there for others.
func TestSpans_WhoLeavesWaitsNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSpans(1 << 20)
		want := stretch{objectKey{slot: 1}, 100, 300}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		began := time.Now()
		_, err := s.load(ctx, want, exactly(want), func(ctx context.Context, at stretch) ([]byte, error) {
			time.Sleep(30 * time.Second)
			return fromEndless(ctx, at)
		})
		if took := time.Since(began); !errors.Is(err, context.Canceled) || took != time.Second {
			t.Errorf("waited %v, error %v; want 1 s", took, err)
		}
		time.Sleep(30 * time.Second)
		b, err := s.load(t.Context(), want, exactly(want), func(context.Context, stretch) ([]byte, error) {
			t.Error("fetched again")
			return nil, nil
		})
		if err != nil || !bytes.Equal(b, endless[100:300]) {
			t.Errorf("afterwards there are %d bytes, error %v; want 200", len(b), err)
		}
		books(t, s)
	})
}

func TestSpans_PanicFailsThoseWhoAsk(t *testing.T) {
	s := newSpans(1 << 20)
	want := stretch{objectKey{slot: 1}, 100, 300}
	if _, err := s.load(t.Context(), want, exactly(want), func(context.Context, stretch) ([]byte, error) { panic("out of bounds") }); err == nil {
		t.Error("no error")
	}
	if b, err := s.load(t.Context(), want, exactly(want), fromEndless); err != nil || len(b) != 200 {
		t.Errorf("the next one gets %d bytes, error %v; want 200", len(b), err)
	}
	books(t, s)
}
