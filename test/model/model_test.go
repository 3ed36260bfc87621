package main

import (
	"os"
	"strings"
	"testing"

	"github.com/odradek/odradek/test/model/explore"
)

// The nearest bounds hold (the farthest in the long form), and every rule is caught when it is off. docs/model.md says what breaks without each.
func TestModel(t *testing.T) {
	size := explore.Tiny
	if os.Getenv("ODRADEK_TEST_LONG") == "1" {
		size = explore.Long
	}
	found := run(models(size))
	t.Logf("\n%s", report(found))
	for _, bad := range failures(found) {
		t.Error(bad)
	}
	page, err := os.ReadFile("../../docs/model.md")
	if err != nil {
		t.Fatal(err)
	}
	if table := ruleTable(found); !strings.Contains(string(page), table) {
		t.Errorf("docs/model.md lacks this table; go run ./test/model -rules prints it:\n%s", table)
	}
}

func TestFailures(t *testing.T) {
	broken := explore.Result{States: 3, Violation: "I4: lost", Trace: []string{"a slot lands"}}
	for _, test := range []struct {
		name string
		f    finding
		want string
	}{
		{"whole and holds", finding{explore.Case{Name: "m"}, explore.Result{States: 3}}, ""},
		{"whole and violated", finding{explore.Case{Name: "m", Bound: "small"}, broken},
			"VIOLATED m, small\n    1  a slot lands\n       I4: lost\n"},
		{"off and caught", finding{explore.Case{Name: "m", Off: "a rule"}, broken}, ""},
		{"off and missed", finding{explore.Case{Name: "m", Bound: "small", Off: "a rule"}, explore.Result{States: 3}},
			"MISSED m, small: nothing breaks in 3 states without\n  a rule"},
	} {
		if got := strings.Join(failures([]finding{test.f}), "\n"); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}
