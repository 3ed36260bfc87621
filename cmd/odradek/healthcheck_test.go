package main

import (
	"crypto/x509"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/odradek/odradek/agent/ops"
	"github.com/odradek/odradek/agent/settings"
)

func TestHealthcheck_SaysWhatTheAgentSays(t *testing.T) {
	var reasons []string
	agent := httptest.NewServer(ops.Handler(ops.Config{
		Ready: func() []string { return reasons }, Metrics: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler),
	}))
	defer agent.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(agent.URL, "http://"), ":")
	file := t.TempDir() + "/odradek.yaml"
	if err := os.WriteFile(file, []byte("http: 127.0.0.1:"+port+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	asked := []world{
		{args: []string{"healthcheck", "--http", "127.0.0.1:" + port}},
		{args: []string{"healthcheck"}, environ: []string{"ODRADEK_HTTP=:" + port}},
		{args: []string{"healthcheck"}, environ: []string{"ODRADEK_HTTP=0.0.0.0:" + port, "HTTP_PROXY=http://127.0.0.1:1"}},
		{args: []string{"healthcheck", "--config", file}},
	}
	for _, w := range asked {
		if got := odradekIn(t, w); got != (outcome{status: 0, out: "ok\n"}) {
			t.Errorf("%v: ready: %+v", w, got)
		}
	}
	reasons = []string{"waiting for the bucket", "no journal"}
	for _, w := range asked {
		got := odradekIn(t, w)
		if got.status != 1 || got.out != "" || !strings.HasSuffix(got.err, ":"+port+"/readyz: 503 Service Unavailable: waiting for the bucket; no journal\n") {
			t.Errorf("%v: not ready: %+v", w, got)
		}
		w.args = append(w.args, "--live")
		if got := odradekIn(t, w); got != (outcome{status: 0, out: "ok\n"}) {
			t.Errorf("%v: alive: %+v", w, got)
		}
	}
	agent.Close()
	for _, args := range [][]string{{}, {"--live"}} {
		w := world{args: append([]string{"healthcheck", "--http", "127.0.0.1:" + port}, args...)}
		if got := odradekIn(t, w); got.status != 1 || strings.Count(got.err, "\n") != 1 {
			t.Errorf("%v: no agent: %+v", w, got)
		}
	}
}

func TestHealthcheck_WithoutHTTPCannotBeDone(t *testing.T) {
	wantUsage(t, odradekIn(t, world{args: []string{"healthcheck"}, environ: []string{"ODRADEK_HTTP=" + settings.None}}),
		"healthcheck: the agent has no HTTP side (--http none)")
}

func TestHealthcheck_WildcardsMeanLoopback(t *testing.T) {
	for listen, want := range map[string]string{
		":8080": "127.0.0.1:8080", "0.0.0.0:8080": "127.0.0.1:8080", "[::]:8080": "[::1]:8080", "10.0.0.7:8080": "10.0.0.7:8080",
		"localhost:8080": "localhost:8080",
	} {
		if got := here(listen); got != want {
			t.Errorf("here(%q) = %q, want %q", listen, got, want)
		}
	}
}

// The container image has no file but the binary: what it trusts must be in there. The certificates of a process are loaded
// once, so another one is asked.
func TestRoots_AreInTheBinary(t *testing.T) {
	if os.Getenv("ODRADEK_TEST_ROOTS") == "1" {
		pool, err := x509.SystemCertPool()
		if err != nil {
			t.Fatal(err)
		}
		if pool.Equal(x509.NewCertPool()) {
			t.Fatal("no root certificates")
		}
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestRoots_AreInTheBinary$")
	cmd.Env = append(os.Environ(), "ODRADEK_TEST_ROOTS=1", "SSL_CERT_FILE="+t.TempDir()+"/none", "SSL_CERT_DIR="+t.TempDir())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("without the system's certificates: %v\n%s", err, out)
	}
}
