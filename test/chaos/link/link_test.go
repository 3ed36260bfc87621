package link

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// echo is a server that says its name and then repeats what it reads.
func echo(t *testing.T, name string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.WriteString(c, name)
				io.Copy(c, c)
			}()
		}
	}()
	return l.Addr().String()
}

// dial connects and wants to be told a name.
func dial(t *testing.T, addr, name string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if got := hear(c, len(name), 5*time.Second); got != name {
		t.Fatalf("connected to %q, want %q", got, name)
	}
	return c
}

// hear reads n bytes, or what came until the time was up or the connection over.
func hear(c net.Conn, n int, limit time.Duration) string {
	c.SetReadDeadline(time.Now().Add(limit))
	b := make([]byte, n)
	n, _ = io.ReadFull(c, b)
	return string(b[:n])
}

func TestTCP_CutSwallowPointAndMend(t *testing.T) {
	p, err := Listen(echo(t, "a"))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	c := dial(t, p.Addr, "a")
	io.WriteString(c, "x")
	if got := hear(c, 1, 5*time.Second); got != "x" {
		t.Fatalf("heard %q", got)
	}
	p.Swallow()
	io.WriteString(c, "y")
	if got := hear(c, 1, 50*time.Millisecond); got != "" {
		t.Fatalf("heard %q through a link that swallows", got)
	}
	p.Mend()
	if got := hear(c, 1, 5*time.Second); got != "y" {
		t.Fatalf("heard %q, want what was held back", got)
	}
	p.Point(echo(t, "b"))
	if got := hear(c, 1, 5*time.Second); got != "" {
		t.Fatalf("heard %q on a connection that is over", got)
	}
	c = dial(t, p.Addr, "b")
	p.Cut()
	io.WriteString(c, "z")
	if got := hear(c, 1, 5*time.Second); got != "" {
		t.Fatalf("heard %q through a link that is cut", got)
	}
	p.Mend()
	dial(t, p.Addr, "b")
}

// shelf is a bucket: PUT keeps a body by its path, GET gives it.
type shelf struct {
	mu   sync.Mutex
	kept map[string][]byte
	host string // of the last request
}

func (s *shelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.host = r.Host
	if r.Method == http.MethodPut {
		s.kept[r.URL.Path] = body
		return
	}
	w.Write(s.kept[r.URL.Path])
}

func (s *shelf) has(path string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kept[path] != nil
}

func TestHTTP_Troubles(t *testing.T) {
	s := &shelf{kept: make(map[string][]byte)}
	server := httptest.NewServer(s)
	defer server.Close()
	h, err := ListenHTTP(strings.TrimPrefix(server.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	body := bytes.Repeat([]byte("body"), 100)
	do := func(method, path string) (int, []byte, error) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, method, "http://"+h.Addr+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if method == http.MethodPut {
			req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		}
		answer, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			return 0, nil, err
		}
		defer answer.Body.Close()
		b, err := io.ReadAll(answer.Body)
		return answer.StatusCode, b, err
	}
	if _, _, err := do(http.MethodPut, "/plain"); err != nil || s.host != h.Addr {
		t.Fatalf("PUT: %v, host %q, want %q", err, s.host, h.Addr)
	}
	if _, got, err := do(http.MethodGet, "/plain"); err != nil || !bytes.Equal(got, body) {
		t.Fatalf("GET: %v, %q", err, got)
	}

	h.Do(Storm, 1)
	if status, _, _ := do(http.MethodPut, "/storm"); status != http.StatusServiceUnavailable || s.has("/storm") {
		t.Errorf("503s: status %d, done %v", status, s.has("/storm"))
	}
	for _, trouble := range []Trouble{Deaf, Reset} {
		h.Do(trouble, 1)
		if status, _, err := do(http.MethodPut, "/"+string(trouble)); err == nil || !s.has("/"+string(trouble)) {
			t.Errorf("%s: status %d, done %v; want no answer and done", trouble, status, s.has("/"+string(trouble)))
		}
	}
	landed := make(chan int, 1)
	h.Hold(1, 300*time.Millisecond, func(status int) { landed <- status })
	if _, _, err := do(http.MethodPut, "/late"); err == nil || s.has("/late") {
		t.Errorf("late: %v, done %v; want an error and not done", err, s.has("/late"))
	}
	h.Do(Truncate, 1)
	if _, got, err := do(http.MethodGet, "/plain"); err == nil || len(got) >= len(body) {
		t.Errorf("truncate: %v, %d bytes; want fewer than %d and an error", err, len(got), len(body))
	}
	h.Do(Flip, 1)
	if _, got, err := do(http.MethodGet, "/plain"); err != nil || len(got) != len(body) || bytes.Equal(got, body) {
		t.Errorf("flip: %v, %d bytes, same %v; want all, one of them wrong", err, len(got), bytes.Equal(got, body))
	}
	h.Behave()
	if _, got, err := do(http.MethodGet, "/plain"); err != nil || !bytes.Equal(got, body) {
		t.Errorf("after Behave: %v, %q", err, got)
	}
	for trouble, n := range h.Done() {
		if n != 1 {
			t.Errorf("%s was done %d times, want 1", trouble, n)
		}
	}
	h.Close()
	if !s.has("/late") {
		t.Error("the held PUT was never delivered")
	}
	select {
	case status := <-landed:
		if status != http.StatusOK {
			t.Errorf("the held PUT was answered with %d", status)
		}
	default:
		t.Error("nobody was told that the held PUT landed")
	}
}
