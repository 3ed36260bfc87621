package alerts

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/odradek/odradek/test/harness"
)

const rulesFile = "../../examples/monitoring/alerts.yml"

// faster is by how much ranges and waits of the rules are shorter here. A scrape a second leaves three samples in the shortest
// range.
const faster = 40

var durations = regexp.MustCompile(`(for: |\[)(\d+)([smh])`)

// hurried gives the rules with all durations a fortieth of what they are.
func hurried(t *testing.T, rules string) string {
	t.Helper()
	unit := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}
	return durations.ReplaceAllStringFunc(rules, func(s string) string {
		m := durations.FindStringSubmatch(s)
		n, err := strconv.Atoi(m[2])
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%s%dms", m[1], (time.Duration(n) * unit[m[3]] / faster).Milliseconds())
	})
}

// ruleNames are the alerts of the file.
func ruleNames(t *testing.T) []string {
	t.Helper()
	b, err := os.ReadFile(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	var rules struct {
		Groups []struct{ Rules []struct{ Alert string } }
	}
	if err := yaml.Unmarshal(b, &rules); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			names = append(names, r.Alert)
		}
	}
	if len(names) < 10 {
		t.Fatalf("%d alerts in %s", len(names), rulesFile)
	}
	return names
}

// watch is a Prometheus that scrapes agents and judges.
type watch struct {
	t    *testing.T
	addr string
}

// observe starts a Prometheus that scrapes targets, host:port by name; the name is the instance.
func observe(t *testing.T, targets map[string]string) *watch {
	t.Helper()
	path, err := exec.LookPath("prometheus")
	if err != nil {
		t.Fatalf("%v; type: sudo apt-get install -y --no-install-recommends prometheus", err)
	}
	rules, err := os.ReadFile(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	dir := harness.TempDir(t)
	var config strings.Builder
	config.WriteString("global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 500ms}\n" +
		"rule_files: [rules.yml]\nscrape_configs:\n- job_name: odradek\n  static_configs:\n")
	for name, addr := range targets {
		fmt.Fprintf(&config, "  - {targets: [%q], labels: {instance: %q}}\n", addr, name)
	}
	for name, content := range map[string]string{"rules.yml": hurried(t, string(rules)), "prometheus.yml": config.String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	w := &watch{t: t, addr: harness.FreeAddr(t)}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), path, "--config.file", filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", w.addr, "--log.level", "warn")
	c.Stdout, c.Stderr = log, log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
		log.Close()
		if b, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("prometheus printed:\n%s", b)
		}
	})
	return w
}

// fired gives what ever fired: "alert instance", without an instance where the alert has none.
func (w *watch) fired() map[string]bool {
	answer, err := http.Get("http://" + w.addr + "/api/v1/query?query=count_over_time(ALERTS%7Balertstate%3D%22firing%22%7D%5B1h%5D)")
	if err != nil {
		return nil // it is not there yet
	}
	defer answer.Body.Close()
	var found struct {
		Data struct {
			Result []struct{ Metric map[string]string }
		}
	}
	if err := json.NewDecoder(answer.Body).Decode(&found); err != nil {
		return nil
	}
	all := make(map[string]bool)
	for _, r := range found.Data.Result {
		all[strings.TrimSpace(r.Metric["alertname"]+" "+r.Metric["instance"])] = true
	}
	return all
}

// await waits until alerts have fired.
func (w *watch) await(limit time.Duration, alerts ...string) {
	w.t.Helper()
	for deadline := time.Now().Add(limit); ; time.Sleep(200 * time.Millisecond) {
		var missing []string
		fired := w.fired()
		for _, a := range alerts {
			if !fired[a] {
				missing = append(missing, a)
			}
		}
		if len(missing) == 0 {
			return
		}
		if time.Now().After(deadline) {
			w.t.Errorf("did not fire in %v: %s", limit, strings.Join(missing, ", "))
			return
		}
	}
}

// Ranges and waits are shortened, thresholds are not.
func TestHurried_ShortensDurationsOnly(t *testing.T) {
	got := hurried(t, "expr: rate(a[5m]) > 300 and b > 30\nfor: 10m\nexpr: rate(c[1h])\nfor: 0s")
	want := "expr: rate(a[7500ms]) > 300 and b > 30\nfor: 15000ms\nexpr: rate(c[90000ms])\nfor: 0ms"
	if got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
