package objectstore_test

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/faulty"
	"github.com/odradek/odradek/objectstore/memory"
)

// period is a row of bytes that objects repeat; no part or chunk is a multiple of it.
var period = func() []byte {
	b := make([]byte, 65_521)
	for i := range b {
		b[i] = byte(i>>8 ^ i)
	}
	return b
}()

// emits writes size bytes in steps of many sizes.
func emits(size int) func(func([]byte) error) error {
	return func(emit func([]byte) error) error {
		step := bytes.Repeat(period, 50)
		for at := 0; at < size; {
			n := min(len(step), size-at)
			given := append([]byte(nil), step[:n]...)
			if err := emit(given); err != nil {
				return err
			}
			clear(given) // it is the caller's again
			at += n
		}
		return nil
	}
}

func wantLarge(t *testing.T, s objectstore.Store, key string, size int) {
	t.Helper()
	got, err := s.Get(t.Context(), key)
	if err != nil || len(got) != size {
		t.Fatalf("%s: %d bytes, %v; want %d", key, len(got), err, size)
	}
	for at := 0; at < len(got); at += len(period) {
		if n := min(len(period), len(got)-at); !bytes.Equal(got[at:at+n], period[:n]) {
			t.Fatalf("%s differs behind byte %d", key, at)
		}
	}
}

func kindsOf(s *faulty.Store) map[objectstore.Kind]int {
	kinds := make(map[objectstore.Kind]int)
	for _, c := range s.Calls() {
		kinds[c.Kind]++
	}
	return kinds
}

func TestCreateLarge_OneCreateUpToTwoPartsElseAnUpload(t *testing.T) {
	for _, c := range []struct {
		size, creates, parts int
	}{
		{0, 1, 0}, {objectstore.MinPart + 1, 1, 0}, {2 * objectstore.MinPart, 1, 0}, {2*objectstore.MinPart + 1, 0, 3}, {3 * objectstore.MinPart, 0, 3},
	} {
		s := faulty.New(memory.New(), nil)
		n, err := objectstore.CreateInParts(t.Context(), s, "k", objectstore.MinPart, emits(c.size))
		if err != nil || n != int64(c.size) {
			t.Fatalf("%d bytes: %d, %v", c.size, n, err)
		}
		wantLarge(t, s, "k", c.size)
		kinds := kindsOf(s)
		if kinds[objectstore.KindCreate] != c.creates || kinds[objectstore.KindPart] != c.parts ||
			kinds[objectstore.KindUpload] != 1-c.creates || kinds[objectstore.KindComplete] != 1-c.creates {
			t.Errorf("%d bytes took %v; want %d creates, %d parts", c.size, kinds, c.creates, c.parts)
		}
	}
}

// Each call to the store fails once, before or after it takes effect: the object comes out all the same.
func TestCreateLarge_EachCallThatFailsIsMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, fault := range map[string]faulty.Fault{"before": {Before: faulty.ErrRefused}, "after": {After: faulty.ErrLost}} {
			for _, size := range []int{1000, 2*objectstore.MinPart + 5} {
				for n, calls := 1, 1; n <= calls; n++ {
					below := memory.New()
					s := faulty.New(below, faulty.Nth(n, fault))
					if got, err := objectstore.CreateInParts(t.Context(), s, "k", objectstore.MinPart, emits(size)); err != nil || got != int64(size) {
						t.Fatalf("call %d fails %s: %d, %v", n, name, got, err)
					}
					calls = len(s.Calls())
					wantLarge(t, below, "k", size)
				}
			}
		}
	})
}

func TestCreateLarge_WhatFailsForGoodIsAborted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		always := func(kind objectstore.Kind) faulty.Script {
			return func(c faulty.Call) faulty.Fault {
				if c.Kind == kind {
					return faulty.Fault{Before: faulty.ErrRefused}
				}
				return faulty.Fault{}
			}
		}
		for _, kind := range []objectstore.Kind{objectstore.KindUpload, objectstore.KindPart, objectstore.KindComplete} {
			s := faulty.New(memory.New(), always(kind))
			if _, err := objectstore.CreateInParts(t.Context(), s, "k", objectstore.MinPart, emits(2*objectstore.MinPart+5)); !errors.Is(err, faulty.ErrRefused) {
				t.Errorf("%s fails: %v", kind, err)
			}
			if kinds := kindsOf(s); kinds[kind] != 5 {
				t.Errorf("%s was tried %d times, want 5", kind, kinds[kind])
			}
			wantNothing(t, s)
		}
	})
}

func wantNothing(t *testing.T, s objectstore.Store) {
	t.Helper()
	if _, err := s.Head(t.Context(), "k"); !errors.Is(err, objectstore.ErrNotFound) {
		t.Errorf("the object is there: %v", err)
	}
	uploader, err := objectstore.Uploads(s)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := uploader.AbortStale(t.Context(), "", time.Now().Add(time.Hour)); n != 0 || err != nil {
		t.Errorf("%d uploads were left behind, %v", n, err)
	}
}

func TestCreateLarge_ErrorOfTheWriterEndsIt(t *testing.T) {
	enough := errors.New("enough")
	for _, size := range []int{10, 2*objectstore.MinPart + 5} {
		s := memory.New()
		_, err := objectstore.CreateInParts(t.Context(), s, "k", objectstore.MinPart, func(emit func([]byte) error) error {
			return errors.Join(emits(size)(emit), enough)
		})
		if !errors.Is(err, enough) {
			t.Errorf("after %d bytes: %v", size, err)
		}
		wantNothing(t, s)
	}
}

func TestCreateLarge_CancelledContextEndsIt(t *testing.T) {
	s := memory.New()
	ctx, cancel := context.WithCancel(t.Context())
	_, err := objectstore.CreateInParts(ctx, s, "k", objectstore.MinPart, func(emit func([]byte) error) error {
		if err := emits(2*objectstore.MinPart + 5)(emit); err != nil {
			return err
		}
		cancel()
		return emit([]byte("more"))
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled on its way: %v", err)
	}
	wantNothing(t, s)
}

// An object that was there before is not this call's, whatever its size.
func TestCreateLarge_AnothersObjectStays(t *testing.T) {
	for _, size := range []int{7, 2*objectstore.MinPart + 5} {
		s := memory.New()
		other := bytes.Repeat([]byte("o"), size)
		if err := s.Create(t.Context(), "k", objectstore.NewBody(other)); err != nil {
			t.Fatal(err)
		}
		if _, err := objectstore.CreateInParts(t.Context(), s, "k", objectstore.MinPart, emits(size)); !errors.Is(err, objectstore.ErrExists) {
			t.Errorf("%d bytes over another's: %v, want ErrExists", size, err)
		}
		if got, err := s.Get(t.Context(), "k"); err != nil || !bytes.Equal(got, other) {
			t.Errorf("the object has %d bytes, %v; want what was there", len(got), err)
		}
	}
}

// onlyStore wraps a store's own methods and nothing else.
type onlyStore struct{ objectstore.Store }

func TestCreateLarge_WithoutUploadsTakesOneCreate(t *testing.T) {
	s := onlyStore{memory.New()}
	if _, err := objectstore.CreateLarge(t.Context(), s, "k", emits(2*objectstore.PartSize)); err != nil {
		t.Error(err)
	}
	if _, err := objectstore.CreateLarge(t.Context(), s, "l", emits(2*objectstore.PartSize+1)); !errors.Is(err, objectstore.ErrNoUploads) {
		t.Errorf("more than one Create takes: %v, want ErrNoUploads", err)
	}
	if _, err := objectstore.CreateLarge(t.Context(), s, "no//key", emits(1)); err == nil {
		t.Error("a key that is none was created")
	}
}

// discard takes uploads and keeps nothing.
type discard struct{ objectstore.Store }

type discarded struct{}

func (discard) Upload(context.Context, string) (objectstore.Upload, error) { return discarded{}, nil }
func (discard) AbortStale(context.Context, string, time.Time) (int, error) { return 0, nil }
func (discarded) Append(context.Context, objectstore.Body) error           { return nil }
func (discarded) Complete(context.Context) error                           { return nil }
func (discarded) Abort(context.Context) error                              { return nil }

func TestCreateLarge_TakesTwoPartsOfMemory(t *testing.T) {
	const parts = 5
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n, err := objectstore.CreateLarge(t.Context(), discard{}, "k", func(emit func([]byte) error) error {
		for left := parts * objectstore.PartSize; left > 0; left -= len(period) {
			if err := emit(period[:min(left, len(period))]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || n != parts*objectstore.PartSize {
		t.Fatal(n, err)
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 2*objectstore.PartSize+1<<20 {
		t.Errorf("%d parts of %d MiB took %d MiB of memory in all", parts, objectstore.PartSize>>20, took>>20)
	}
}
