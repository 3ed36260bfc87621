package harness

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// client asks agents that may be hanging.
var client = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// scrapeTime is how long an agent that runs may leave /metrics unanswered.
const scrapeTime = 30 * time.Second

// tailBytes is how much of a log is shown when a test fails.
const tailBytes = 24 << 10

// Log is all that the agent printed in all its lives.
func (a *Agent) Log() string {
	b, err := os.ReadFile(a.logPath)
	if err != nil && !os.IsNotExist(err) {
		return err.Error()
	}
	return string(b)
}

// Tail is the end of the log.
func (a *Agent) Tail() string {
	s := a.Log()
	return s[max(0, len(s)-tailBytes):]
}

// LifeLog is what the agent printed since it was last started.
func (a *Agent) LifeLog() string {
	s := a.Log()
	return s[min(int(a.loggedAt), len(s)):]
}

// LogLines gives the lines of this life's log that hold a text.
func (a *Agent) LogLines(text string) []string {
	var out []string
	for line := range strings.Lines(a.LifeLog()) {
		if strings.Contains(line, text) {
			out = append(out, strings.TrimSuffix(line, "\n"))
		}
	}
	return out
}

// WaitLog waits until this life's log holds a text.
func (a *Agent) WaitLog(text string, limit time.Duration) {
	a.t.Helper()
	a.Wait(limit, fmt.Sprintf("%q in the log", text), func() bool { return len(a.LogLines(text)) > 0 })
}

// Wait waits until something holds, and fails the test with what it waited for.
func (a *Agent) Wait(limit time.Duration, what string, holds func() bool) {
	a.t.Helper()
	for deadline := time.Now().Add(limit); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			a.t.Fatalf("waited %v for %s\n%s", limit, what, a.Tail())
		}
	}
}

// Metric is the sum of a metric over its labels; 0 when there is none of that name. Labels, each written as name="value",
// narrow it down. An agent on a busy machine is asked again; one that is gone is not.
func (a *Agent) Metric(name string, labels ...string) float64 {
	a.t.Helper()
	for deadline := time.Now().Add(scrapeTime); ; time.Sleep(100 * time.Millisecond) {
		sum, err := scrape(a.HTTP, name, labels)
		if err == nil {
			return sum
		}
		if !a.Running() || time.Now().After(deadline) {
			a.t.Fatalf("metric %s: %v", name, err)
		}
	}
}

func scrape(addr, name string, labels []string) (float64, error) {
	answer, err := client.Get("http://" + addr + "/metrics")
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("/metrics: %s", answer.Status)
	}
	sum := 0.0
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		series, value, ok := strings.Cut(lines.Text(), " ")
		if i := strings.LastIndexByte(lines.Text(), ' '); i > 0 {
			series, value = lines.Text()[:i], lines.Text()[i+1:]
		}
		if metric, _, _ := strings.Cut(series, "{"); !ok || metric != name || !containsAll(series, labels) {
			continue
		}
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", lines.Text(), err)
		}
		sum += v
	}
	return sum, lines.Err()
}

func containsAll(s string, parts []string) bool {
	for _, p := range parts {
		if !strings.Contains(s, p) {
			return false
		}
	}
	return true
}

// Get asks a path of the agent's HTTP side and gives the body.
func (a *Agent) Get(path string) string {
	a.t.Helper()
	answer, err := client.Get("http://" + a.HTTP + path)
	if err != nil {
		a.t.Fatalf("GET %s: %v", path, err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		a.t.Fatalf("GET %s: %v", path, err)
	}
	return string(b)
}

// FreeAddr is an address of loopback that nobody listens on. Its port lies below those that the kernel gives to
// outgoing connections, so that a client that dials a killed agent cannot take its port.
func FreeAddr(t testing.TB) string {
	t.Helper()
	for range 200 {
		addr := fmt.Sprintf("127.0.0.1:%d", nextPort())
		l, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		l.Close()
		return addr
	}
	t.Fatal("no free port on loopback")
	return ""
}

// Scrape is the sum of a metric over its labels, of whatever answers on an HTTP address.
func Scrape(addr, name string) (float64, error) { return scrape(addr, name, nil) }
