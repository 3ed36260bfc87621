package project

import (
	"encoding/json"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const (
	rulesFile = "examples/monitoring/alerts.yml"
	rulesTest = "examples/monitoring/alerts_test.yml"
)

// alerts reads the rules, as far as they are looked at here.
func alerts(t *testing.T) (list []alert) {
	t.Helper()
	var rules struct {
		Groups []struct{ Rules []alert }
	}
	if err := yaml.Unmarshal([]byte(read(t, rulesFile)), &rules); err != nil {
		t.Fatal(err)
	}
	for _, g := range rules.Groups {
		list = append(list, g.Rules...)
	}
	if len(list) < 10 {
		t.Fatalf("%d alerts in %s", len(list), rulesFile)
	}
	return list
}

type alert struct {
	Alert, Expr string
	Annotations struct{ Summary, Runbook string }
}

// Prometheus takes the rules, and each alert fires where it is told to, and not where all is well.
func TestAlerts_DoWhatTheirTestsSay(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatalf("%v; type: sudo apt-get install -y --no-install-recommends prometheus", err)
	}
	for _, args := range [][]string{{"check", "rules", path.Base(rulesFile)}, {"test", "rules", path.Base(rulesTest)}} {
		c := exec.CommandContext(t.Context(), promtool, args...)
		c.Dir = path.Join(root, path.Dir(rulesFile))
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	tests := read(t, rulesTest)
	for _, a := range alerts(t) {
		fires := regexp.MustCompile(`alertname: ` + a.Alert + `\s+exp_alerts:\s+- `)
		if !fires.MatchString(tests) {
			t.Errorf("%s: no test in %s lets it fire", a.Alert, rulesTest)
		}
	}
}

// Whom an alert wakes finds what to do in docs/operations.md, and every runbook there belongs to an alert.
func TestAlerts_HaveRunbooks(t *testing.T) {
	_, books, ok := strings.Cut(read(t, "docs/operations.md"), "\n## Runbooks\n")
	if !ok {
		t.Fatal("docs/operations.md has no section Runbooks")
	}
	var sections []string
	for _, m := range regexp.MustCompile(`(?m)^### (.+)$`).FindAllStringSubmatch(books, -1) {
		sections = append(sections, strings.ReplaceAll(strings.ToLower(m[1]), " ", "-"))
	}
	var named []string
	for _, a := range alerts(t) {
		file, section, _ := strings.Cut(a.Annotations.Runbook, "#")
		if file != "docs/operations.md" || !slices.Contains(sections, section) {
			t.Errorf("%s: there is no runbook %q", a.Alert, a.Annotations.Runbook)
		}
		if a.Annotations.Summary == "" {
			t.Errorf("%s says nothing", a.Alert)
		}
		named = append(named, section)
	}
	for _, s := range sections {
		if !slices.Contains(named, s) {
			t.Errorf("docs/operations.md: no alert names the runbook %s", s)
		}
	}
}

var metricName = regexp.MustCompile(`\b(?:odradek|kminion|go|process|up)(?:_[a-z0-9_]+)?\b`)

// What rules and dashboards ask for is what agents tell.
func TestMonitoring_AsksForMetricsThatExist(t *testing.T) {
	told := make(map[string]bool)
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z0-9_]+)` \\| (\\w+)").FindAllStringSubmatch(read(t, "docs/metrics.md"), -1) {
		told[m[1]] = true
		if m[2] == "histogram" {
			told[m[1]+"_bucket"], told[m[1]+"_sum"], told[m[1]+"_count"] = true, true, true
		}
	}
	asked := 0
	check := func(where, expr string) {
		expr = regexp.MustCompile(`"[^"]*"|(?:by|without|on|ignoring|group_left|group_right) ?\([^)]*\)`).ReplaceAllString(expr, "")
		for _, name := range metricName.FindAllString(expr, -1) {
			asked++
			switch {
			case told[name], name == "up", strings.HasPrefix(name, "go_"), strings.HasPrefix(name, "process_"): // Prometheus' own, and its client's
			default:
				t.Errorf("%s asks for %s, which no agent tells", where, name)
			}
		}
	}
	for _, a := range alerts(t) {
		check(a.Alert, a.Expr)
	}
	dashboards := 0
	for _, f := range tracked(t) {
		if path.Dir(f) != "examples/monitoring/dashboards" {
			continue
		}
		dashboards++
		var board any
		if err := json.Unmarshal([]byte(read(t, f)), &board); err != nil {
			t.Errorf("%s: %v", f, err)
			continue
		}
		before := asked
		walk(board, func(key, value string) {
			if key == "expr" || key == "query" {
				check(f, value)
			}
		})
		if asked == before {
			t.Errorf("%s asks for nothing", f)
		}
	}
	if dashboards < 4 {
		t.Errorf("%d dashboards", dashboards)
	}
}

// walk tells fn of every string under a key.
func walk(v any, fn func(key, value string)) {
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			walk(x, fn)
		}
	case map[string]any:
		for k, x := range v {
			if s, ok := x.(string); ok {
				fn(k, s)
			}
			walk(x, fn)
		}
	}
}
