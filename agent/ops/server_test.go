package ops

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func config(reasons ...string) Config {
	return Config{
		Ready:   func() []string { return reasons },
		Metrics: prometheus.NewRegistry(),
		Log:     slog.New(slog.DiscardHandler),
	}
}

// get asks a handler and gives status and body.
func get(t *testing.T, c Config, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	Handler(c).ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

func TestHandler_LivezIsOkEvenWhenNotReady(t *testing.T) {
	if status, body := get(t, config("bucket: away"), "/livez"); status != http.StatusOK || body != "ok\n" {
		t.Errorf("got %d %q", status, body)
	}
}

func TestHandler_ReadyzTellsWhyNot(t *testing.T) {
	if status, body := get(t, config(), "/readyz"); status != http.StatusOK || body != "ok\n" {
		t.Errorf("ready: got %d %q", status, body)
	}
	status, body := get(t, config("journal: opening", "bucket: away"), "/readyz")
	if status != http.StatusServiceUnavailable || body != "journal: opening\nbucket: away\n" {
		t.Errorf("not ready: got %d %q", status, body)
	}
}

func TestHandler_MetricsShowsTheRegistryGiven(t *testing.T) {
	c := config()
	registry := prometheus.NewRegistry()
	puts := prometheus.NewCounter(prometheus.CounterOpts{Name: "odradek_bucket_puts_total", Help: "PUTs sent."})
	registry.MustRegister(puts)
	puts.Add(3)
	c.Metrics = registry
	status, body := get(t, c, "/metrics")
	if status != http.StatusOK || !strings.Contains(body, "odradek_bucket_puts_total 3\n") {
		t.Errorf("got %d %q", status, body)
	}
	if strings.Contains(body, "go_goroutines") {
		t.Error("metrics that nobody registered")
	}
}

func TestHandler_ProfilesOnlyWhenAllowed(t *testing.T) {
	c := config()
	if status, _ := get(t, c, "/debug/pprof/"); status != http.StatusNotFound {
		t.Errorf("not allowed: got %d, want 404", status)
	}
	c.Pprof = true
	if status, _ := get(t, c, "/debug/pprof/"); status != http.StatusForbidden { // httptest's requests come from 192.0.2.1
		t.Errorf("from elsewhere: got %d, want 403", status)
	}
	here := httptest.NewRequest(http.MethodGet, "/debug/pprof/", nil)
	here.RemoteAddr = "127.0.0.1:4711"
	w := httptest.NewRecorder()
	Handler(c).ServeHTTP(w, here)
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "goroutine") {
		t.Errorf("from this machine: got %d", w.Code)
	}
}

func TestHandler_OtherPathsAndMethodsAreRefused(t *testing.T) {
	if status, _ := get(t, config(), "/nothing"); status != http.StatusNotFound {
		t.Errorf("got %d, want 404", status)
	}
	w := httptest.NewRecorder()
	Handler(config()).ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/livez", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: got %d, want 405", w.Code)
	}
}

func TestServer_RunEndsWithItsContext(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- NewServer(l, config()).Run(ctx) }()
	response, err := http.Get("http://" + l.Addr().String() + "/livez")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	response.Body.Close()
	if err != nil || string(body) != "ok\n" {
		t.Errorf("got %q, %v", body, err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("run: %v", err)
	}
	if _, err := net.Dial("tcp", l.Addr().String()); err == nil {
		t.Error("still listening")
	}
}

func TestServer_RunTellsWhenItCannotServe(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := NewServer(l, config()).Run(context.Background()); err == nil {
		t.Error("served on a closed listener")
	}
}
