package bill

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/test/servers"
)

// proxy stands before a server of S3's protocol and counts what arrives. It reads requests by itself, as a bill would: by
// method, query and range, not by what the client thinks it does.
type proxy struct {
	server *httptest.Server
	url    string
	held   sync.RWMutex // whoever has it alone holds every request back, once it has arrived

	mu       sync.Mutex // guards all below
	requests map[objectstore.Kind]int64
	bytes    map[objectstore.Kind]int64
	forks    int // requests for objects of the fork
	// refuse and slow are called with the number of the request among those of its kind, under the lock; nil: never.
	refuse func(kind objectstore.Kind, n int64) bool          // answer 503
	slow   func(kind objectstore.Kind, n int64) time.Duration // before it is passed on
	moved  int64                                              // bytes and requests until now, to see that nothing moves
}

func newProxy(t *testing.T, s *servers.S3Server) *proxy {
	t.Helper()
	target, err := url.Parse(s.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{requests: make(map[objectstore.Kind]int64), bytes: make(map[objectstore.Kind]int64)}
	pass := &httputil.ReverseProxy{
		Rewrite:  func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host }, // the host is signed
		ErrorLog: nil,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			w.WriteHeader(http.StatusBadGateway)
		},
	}
	p.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		kind := kindOf(r)
		body, err := io.ReadAll(r.Body)
		if err != nil && r.ContentLength <= 64<<10 {
			return // a hedge that was taken back before all of it was here
		}
		refused, wait := p.arrived(kind)
		if strings.Contains(r.URL.Path, "/"+forkPlace+"/") {
			p.mu.Lock()
			p.forks++
			p.mu.Unlock()
		}
		if !refused && (kind == objectstore.KindCreate || kind == objectstore.KindPart) {
			p.carried(kind, r.ContentLength)
		}
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		p.held.RLock() // until nobody looks
		defer p.held.RUnlock()
		if refused {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		if wait > 0 {
			time.Sleep(wait)
		}
		if kind == objectstore.KindGet || kind == objectstore.KindGetRange {
			w = &counting{ResponseWriter: w, tell: func(n int) { p.carried(kind, int64(n)) }}
		}
		pass.ServeHTTP(w, r)
	}))
	p.url = p.server.URL
	t.Cleanup(p.server.Close)
	return p
}

// arrived counts a request and says what becomes of it.
func (p *proxy) arrived(kind objectstore.Kind) (refused bool, wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests[kind]++
	p.moved++
	n := p.requests[kind]
	if p.slow != nil {
		wait = p.slow(kind, n)
	}
	return p.refuse != nil && p.refuse(kind, n), wait
}

func (p *proxy) carried(kind objectstore.Kind, n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bytes[kind] += n
	p.moved += n
}

func (p *proxy) counted() (requests, bytes map[objectstore.Kind]int64, moved int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.requests), maps.Clone(p.bytes), p.moved
}

// endpoint is the server behind the proxy, as clients are told of it.
func (p *proxy) endpoint(s *servers.S3Server) *servers.S3Server {
	through := *s
	through.Endpoint = p.url
	return &through
}

// kindOf reads a request of S3's protocol.
func kindOf(r *http.Request) objectstore.Kind {
	q := r.URL.RawQuery
	has := func(name string) bool {
		return strings.HasPrefix(q, name) || strings.Contains(q, "&"+name)
	}
	switch {
	case r.Method == http.MethodPut && has("partNumber="):
		return objectstore.KindPart
	case r.Method == http.MethodPut:
		return objectstore.KindCreate
	case r.Method == http.MethodPost && has("uploads"):
		return objectstore.KindUpload
	case r.Method == http.MethodPost:
		return objectstore.KindComplete
	case r.Method == http.MethodDelete && has("uploadId="):
		return objectstore.KindAbort
	case r.Method == http.MethodDelete:
		return objectstore.KindDelete
	case r.Method == http.MethodHead:
		return objectstore.KindHead
	case has("list-type=") || has("uploads"):
		return objectstore.KindList
	case r.Header.Get("Range") != "":
		return objectstore.KindGetRange
	}
	return objectstore.KindGet
}

// counting counts the bytes of an answer that holds an object, or a part of one.
type counting struct {
	http.ResponseWriter
	tell   func(int)
	object bool
}

// WriteHeader implements http.ResponseWriter.
func (c *counting) WriteHeader(status int) {
	c.object = status == http.StatusOK || status == http.StatusPartialContent
	c.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (c *counting) Write(b []byte) (int, error) {
	n, err := c.ResponseWriter.Write(b)
	if c.object {
		c.tell(n)
	}
	return n, err
}

// Flush implements http.Flusher, as a proxy wants it.
func (c *counting) Flush() {
	if f, ok := c.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
}
