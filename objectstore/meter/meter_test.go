package meter_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/faulty"
	"github.com/odradek/odradek/objectstore/memory"
	"github.com/odradek/odradek/objectstore/meter"
	"github.com/odradek/odradek/objectstore/objectstoretest"
)

func TestConformance(t *testing.T) {
	objectstoretest.Run(t, func(t *testing.T) objectstore.Store { return wrap(t, memory.New()) })
}

func TestRequests_AreCountedByKindAndOutcome(t *testing.T) {
	below := faulty.New(memory.New(), faulty.NthOf(objectstore.KindHead, 1, faulty.Fault{Before: faulty.ErrRefused}))
	s := wrap(t, below)
	ctx, cancel := context.WithCancel(t.Context())
	s.Create(ctx, "k", objectstore.NewBody([]byte("12345")))
	s.Create(ctx, "k", objectstore.NewBody([]byte("123")))
	s.Get(ctx, "k")
	s.Get(ctx, "absent")
	s.GetRange(ctx, "k", 1, 3)
	s.GetRange(ctx, "k", 5, 1)
	s.Head(ctx, "k")
	s.Delete(ctx, "absent")
	cancel()
	s.Get(ctx, "k")

	want := []struct {
		kind    objectstore.Kind
		outcome meter.Outcome
	}{
		{objectstore.KindCreate, meter.OutcomeOK}, {objectstore.KindCreate, meter.OutcomeExists},
		{objectstore.KindGet, meter.OutcomeOK}, {objectstore.KindGet, meter.OutcomeNotFound}, {objectstore.KindGet, meter.OutcomeCancelled},
		{objectstore.KindGetRange, meter.OutcomeOK}, {objectstore.KindGetRange, meter.OutcomeRange},
		{objectstore.KindHead, meter.OutcomeError}, {objectstore.KindDelete, meter.OutcomeOK},
	}
	all := int64(0)
	for _, w := range want {
		if got := s.Requests(w.kind, w.outcome); got != 1 {
			t.Errorf("%s %s: %d requests, want 1", w.kind, w.outcome, got)
		}
	}
	for _, kind := range objectstore.Kinds {
		all += s.AllRequests(kind)
	}
	if all != int64(len(want)) {
		t.Errorf("%d requests in all, want %d", all, len(want))
	}
	if sent, got, part := s.Bytes(objectstore.KindCreate), s.Bytes(objectstore.KindGet), s.Bytes(objectstore.KindGetRange); sent != 8 || got != 5 || part != 3 {
		t.Errorf("bytes sent %d, got %d, got by range %d; want 8, 5, 3", sent, got, part)
	}
}

func TestList_CountsAsS3Bills(t *testing.T) {
	below := memory.New()
	for i := range 2001 {
		if err := below.Create(t.Context(), fmt.Sprintf("n/%04d", i), objectstore.NewBody()); err != nil {
			t.Fatal(err)
		}
	}
	s := wrap(t, below)
	enough := errors.New("enough")
	stop := func(objectstore.Info) error { return enough }
	if err := s.List(t.Context(), "n/", func(objectstore.Info) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if err := s.List(t.Context(), "n/", stop); !errors.Is(err, enough) {
		t.Fatal(err)
	}
	if err := s.List(t.Context(), "nothing/", stop); err != nil {
		t.Fatal(err)
	}
	if got := s.Requests(objectstore.KindList, meter.OutcomeOK); got != 3+1+1 {
		t.Errorf("%d list requests, want 3 for 2001 keys, 1 for one, 1 for none", got)
	}
}

func TestUpload_EachRequestCounts(t *testing.T) {
	s := wrap(t, memory.New())
	u, err := s.Upload(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{objectstore.MinPart, 5} {
		if err := u.Append(t.Context(), objectstore.NewBody(make([]byte, size))); err != nil {
			t.Fatal(err)
		}
	}
	if err := u.Complete(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := s.Upload(t.Context(), "other"); err != nil {
			t.Fatal(err)
		}
	}
	gone, err := s.Upload(t.Context(), "other")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := s.AbortStale(t.Context(), "", time.Now().Add(time.Hour)); n != 3 || err != nil {
		t.Fatal(n, err)
	}
	if err := gone.Append(t.Context(), objectstore.NewBody([]byte("x"))); !errors.Is(err, objectstore.ErrUploadGone) {
		t.Errorf("append to an upload that is gone: %v", err)
	}
	for kind, want := range map[objectstore.Kind]int64{
		objectstore.KindUpload: 4, objectstore.KindPart: 2, objectstore.KindComplete: 1, objectstore.KindAbort: 3, objectstore.KindList: 1,
		objectstore.KindCreate: 0,
	} {
		if got := s.Requests(kind, meter.OutcomeOK); got != want {
			t.Errorf("%s: %d requests, want %d", kind, got, want)
		}
	}
	if n := s.Requests(objectstore.KindPart, meter.OutcomeNotFound); n != 1 {
		t.Errorf("%d parts met no upload, want 1", n)
	}
	if sent := s.Bytes(objectstore.KindPart); sent != objectstore.MinPart+5+1 {
		t.Errorf("%d bytes of parts", sent)
	}
}

// telling is a store that tells of each request it sends: two for each Create, the first of which came to nothing.
type telling struct{ objectstore.Store }

func (telling) TellsAttempts() bool { return true }

func (s telling) Create(ctx context.Context, key string, body objectstore.Body) error {
	for range 2 {
		r, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://bucket/"+key, http.NoBody)
		if err != nil {
			return err
		}
		r.ContentLength = body.Size
		answer, err := objectstore.Attempt(r, func(*http.Request) (*http.Response, error) { return &http.Response{Body: http.NoBody}, nil })
		if err != nil {
			return err
		}
		answer.Body.Close()
	}
	return s.Store.Create(ctx, key, body)
}

// What is asked of another place of the bucket is on the same bill, whether or not its store, or the one here, tells of each
// request it sends.
func TestOf_AnotherPlaceIsOnTheSameBill(t *testing.T) {
	for _, test := range []struct {
		here, other objectstore.Store
		requests    int64
	}{
		{memory.New(), memory.New(), 1},
		{memory.New(), telling{memory.New()}, 2},
		{telling{memory.New()}, memory.New(), 1},
	} {
		anotherPlace(t, test.here, test.other, test.requests)
	}
}

func anotherPlace(t *testing.T, here, other objectstore.Store, want int64) {
	t.Helper()
	s := wrap(t, here)
	elsewhere := s.Of(other).For(objectstore.ReasonCompaction)
	if err := elsewhere.Create(t.Context(), "k", objectstore.NewBody([]byte("12345"))); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), "k"); !errors.Is(err, objectstore.ErrNotFound) {
		t.Errorf("it is here: %v", err)
	}
	if b, err := other.Get(t.Context(), "k"); err != nil || string(b) != "12345" {
		t.Errorf("it is not there: %q, %v", b, err)
	}
	requests, bytes := s.Billed(meter.Line{Kind: objectstore.KindCreate, Reason: objectstore.ReasonCompaction})
	if requests != want || bytes != 5*want {
		t.Errorf("%d requests of %d bytes on the bill, want %d", requests, bytes, want)
	}
	if n := s.Requests(objectstore.KindCreate, meter.OutcomeOK); n != 1 {
		t.Errorf("%d calls counted", n)
	}
}

func TestNew_RegistersOnce(t *testing.T) {
	registry := prometheus.NewRegistry()
	if _, err := meter.New(memory.New(), registry, meter.Free); err != nil {
		t.Fatal(err)
	}
	if _, err := meter.New(memory.New(), registry, meter.Free); err == nil {
		t.Error("the same metrics registered twice without an error")
	}
	families, err := registry.Gather()
	if err != nil || len(families) != 4 {
		t.Errorf("%d metric families, %v; want 4", len(families), err)
	}
}

func wrap(t *testing.T, below objectstore.Store) *meter.Store {
	t.Helper()
	s, err := meter.New(below, prometheus.NewRegistry(), meter.Free)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
