package objectstoretest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/odradek/odradek/objectstore"
)

// request is what the fake server saw of one HTTP request.
type request struct {
	method, path string
	header       http.Header
	body         []byte
}

// wire is a server that records requests and answers each with a fixed answer.
type wire struct {
	status int
	body   string

	mu   sync.Mutex // guards seen
	seen []request
}

func (w *wire) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.mu.Lock()
	w.seen = append(w.seen, request{r.Method, r.URL.Path, r.Header.Clone(), body})
	w.mu.Unlock()
	rw.Header().Set("Content-Type", "application/xml")
	rw.WriteHeader(w.status)
	io.WriteString(rw, w.body)
}

func (w *wire) requests() []request {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen
}

func errorBody(code string) string {
	return "<Error><Code>" + code + "</Code><Message>said so</Message></Error>"
}

// RunWire checks what a client of S3 sends and how it reads each answer, against a server that is scripted. open
// must return a store of bucket "bucket" and prefix "pre/fix".
func RunWire(t *testing.T, open func(t *testing.T, endpoint string) objectstore.Store) {
	serve := func(t *testing.T, status int, body string) (*wire, objectstore.Store) {
		w := &wire{status: status, body: body}
		server := httptest.NewServer(w)
		t.Cleanup(server.Close)
		return w, open(t, server.URL)
	}
	t.Run("Create_Request", func(t *testing.T) {
		w, s := serve(t, 200, "")
		wireCreate(t, w, s)
	})
	answers := []struct {
		status int
		code   string
		exists bool
	}{
		{412, "PreconditionFailed", true},
		{409, "ConditionalRequestConflict", false},
		{400, "BadDigest", false},
		{403, "AccessDenied", false},
		{404, "NoSuchBucket", false},
		{500, "InternalError", false},
		{503, "SlowDown", false},
	}
	for _, a := range answers {
		t.Run(fmt.Sprintf("Create_%d_%s", a.status, a.code), func(t *testing.T) {
			w, s := serve(t, a.status, errorBody(a.code))
			err := s.Create(t.Context(), "k", objectstore.NewBody([]byte("x")))
			if err == nil || errors.Is(err, objectstore.ErrExists) != a.exists || errors.Is(err, objectstore.ErrNotFound) {
				t.Errorf("create answered %d %s: %v; want ErrExists: %t", a.status, a.code, err, a.exists)
			}
			if len(w.requests()) != 1 {
				t.Errorf("create answered %d %s was sent %d times, want once", a.status, a.code, len(w.requests()))
			}
		})
	}
	t.Run("Create_ConnectionCutIsUnknownAndSentOnce", func(t *testing.T) { wireCut(t, open) })
	t.Run("Get_MissingBucketIsNotAMissingObject", func(t *testing.T) {
		_, s := serve(t, 404, errorBody("NoSuchBucket"))
		if _, err := s.Get(t.Context(), "k"); err == nil || errors.Is(err, objectstore.ErrNotFound) {
			t.Errorf("get from a bucket that does not exist: %v, want an error that is not ErrNotFound", err)
		}
	})
	t.Run("Get_TruncatedAnswer", func(t *testing.T) { wireTruncated(t, open) })
	runUploadWire(t, open)
	t.Run("Get_RetriesABusyStore", func(t *testing.T) {
		w, s := serve(t, 503, errorBody("SlowDown"))
		if _, err := s.Get(t.Context(), "k"); err == nil || len(w.requests()) < 2 || len(w.requests()) > 5 {
			t.Errorf("get of a busy store: %d attempts, %v; want a few and an error", len(w.requests()), err)
		}
	})
}

func wireCreate(t *testing.T, w *wire, s objectstore.Store) {
	body := objectstore.NewBody([]byte("1234"), []byte("56789"))
	body.Meta = map[string]string{"odradek-nonce": "00ff"}
	if err := s.Create(t.Context(), "journal/1", body); err != nil {
		t.Fatal(err)
	}
	if len(w.requests()) != 1 {
		t.Fatalf("%d requests for one create", len(w.requests()))
	}
	r := w.requests()[0]
	if r.method != http.MethodPut || r.path != "/bucket/pre/fix/journal/1" || string(r.body) != "123456789" {
		t.Errorf("sent %s %s %q", r.method, r.path, r.body)
	}
	want := map[string]string{
		"If-None-Match":            "*",
		"X-Amz-Content-Sha256":     "UNSIGNED-PAYLOAD",
		"X-Amz-Checksum-Crc32c":    "4waSgw==", // the check value of CRC-32C, e3069283
		"X-Amz-Meta-Odradek-Nonce": "00ff",
		"Content-Encoding":         "",
		"Expect":                   "",
		"X-Amz-Trailer":            "",
	}
	for name, value := range want {
		if got := r.header.Get(name); got != value {
			t.Errorf("header %s: %q, want %q", name, got, value)
		}
	}
	if auth := r.header.Get("Authorization"); !strings.Contains(auth, "if-none-match") {
		t.Errorf("the signature does not cover If-None-Match: %s", auth)
	}
}

// wireCut has the store drop the connection after it read the body: a lost answer.
func wireCut(t *testing.T, open func(*testing.T, string) objectstore.Store) {
	var bodies atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		bodies.Add(1)
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(server.Close)
	s := open(t, server.URL)
	err := s.Create(t.Context(), "k", objectstore.NewBody([]byte("x")))
	if err == nil || errors.Is(err, objectstore.ErrExists) {
		t.Errorf("create whose answer was lost: %v, want an error", err)
	}
	if n := bodies.Load(); n != 1 {
		t.Errorf("create whose answer was lost was sent %d times, want once", n)
	}
}

// wireTruncated has the connection end in the middle of an object.
func wireTruncated(t *testing.T, open func(*testing.T, string) objectstore.Store) {
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Length", "1000")
		rw.Header().Set("Last-Modified", "Mon, 02 Jan 2006 15:04:05 GMT")
		rw.Header().Set("Etag", `"0"`)
		rw.Write(bytes.Repeat([]byte("x"), 500))
	}))
	t.Cleanup(server.Close)
	s := open(t, server.URL)
	if data, err := s.Get(t.Context(), "k"); err == nil {
		t.Errorf("get of 1000 bytes that broke off after 500 returned %d bytes and no error", len(data))
	}
}
