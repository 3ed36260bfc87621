package explore

import (
	"slices"
	"strings"
	"testing"
)

// jug is the old puzzle: with jugs of 3 and 5, measure 4.
type jug struct{ Three, Five uint8 }

func pour(s *jug, to *Steps[jug]) {
	step := func(three, five uint8, what string) {
		t := jug{three, five}
		to.Step(&t, "%s: %d and %d", what, three, five)
	}
	step(3, s.Five, "fill three")
	step(s.Three, 5, "fill five")
	step(0, s.Five, "empty three")
	step(s.Three, 0, "empty five")
	n := min(s.Three, 5-s.Five)
	step(s.Three-n, s.Five+n, "three into five")
	n = min(s.Five, 3-s.Three)
	step(s.Three+n, s.Five-n, "five into three")
}

func TestRun_ShortestTraceInWords(t *testing.T) {
	r := Model[jug]{Next: pour, Wrong: func(s *jug) string {
		if s.Five == 4 {
			return "four"
		}
		return ""
	}}.Run()
	if r.Violation != "four" || len(r.Trace) != 6 || r.Trace[5] != "five into three: 3 and 4" {
		t.Errorf("got %q after\n%s", r.Violation, strings.Join(r.Trace, "\n"))
	}
}

func TestRun_EveryStateOnce(t *testing.T) {
	r := Model[jug]{Next: pour, Wrong: func(*jug) string { return "" }}.Run()
	if r.States != 16 || r.Violation != "" {
		t.Errorf("got %d states, %q; want 16, none", r.States, r.Violation)
	}
}

func TestRun_BrokenStep(t *testing.T) {
	r := Model[jug]{Wrong: func(*jug) string { return "" }, Next: func(s *jug, to *Steps[jug]) {
		pour(s, to)
		if s.Five == 2 {
			to.Broken("two")
		}
	}}.Run()
	if r.Violation != "two" || len(r.Trace) != 2 {
		t.Errorf("got %q after %q", r.Violation, r.Trace)
	}
}

// A goal that only a fault leads to is not reached.
func TestRun_GoalWithoutFaults(t *testing.T) {
	type light struct{ Broken bool }
	next := func(s *light, to *Steps[light]) {
		t := light{!s.Broken}
		if s.Broken {
			to.Step(&t, "is mended")
		} else {
			to.Fault(&t, "breaks")
		}
	}
	m := Model[light]{Next: next, Wrong: func(*light) string { return "" }, Lost: "dark"}
	m.Goal = func(s *light) bool { return !s.Broken }
	if r := m.Run(); r.Violation != "" {
		t.Errorf("got %q after %q, want none", r.Violation, r.Trace)
	}
	m.Goal = func(s *light) bool { return s.Broken }
	if r := m.Run(); r.Violation != "dark" || len(r.Trace) != 0 {
		t.Errorf("got %q after %q, want dark at once", r.Violation, r.Trace)
	}
}

func TestRun_TidyJoinsStates(t *testing.T) {
	type pair [2]uint8
	m := Model[pair]{Wrong: func(*pair) string { return "" }, Next: func(s *pair, to *Steps[pair]) {
		for i := range s {
			if t := *s; t[i] < 2 {
				t[i]++
				to.Step(&t, "raise %d", i)
			}
		}
	}}
	if r := m.Run(); r.States != 9 {
		t.Errorf("got %d states, want 9", r.States)
	}
	m.Tidy = func(s *pair) { slices.Sort(s[:]) }
	if r := m.Run(); r.States != 6 {
		t.Errorf("tidy: got %d states, want 6", r.States)
	}
	m.Tidy, m.Alike = nil, []func(pair) pair{func(s pair) pair { return pair{s[1], s[0]} }}
	if r := m.Run(); r.States != 6 {
		t.Errorf("alike: got %d states, want 6", r.States)
	}
}

func TestRun_StateWithPointerPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	Model[struct{ S string }]{}.Run()
}

// What is told goes by one set of names, whichever of the renamed states were visited.
func TestRun_TraceKeepsNames(t *testing.T) {
	type pair [2]uint8
	r := Model[pair]{
		Alike: []func(pair) pair{func(s pair) pair { return pair{s[1], s[0]} }},
		Wrong: func(s *pair) string {
			if s[0]+s[1] == 4 {
				return "four"
			}
			return ""
		},
		Next: func(s *pair, to *Steps[pair]) {
			for i := range s {
				if t := *s; t[i] == 0 || t[1-i] == 0 {
					t[i]++
					to.Step(&t, "raise %d", i)
				}
			}
		},
	}.Run()
	want := []string{"raise 0", "raise 0", "raise 0", "raise 1"}
	if r.Violation != "four" || !slices.Equal(r.Trace, want) {
		t.Errorf("got %q after %q, want four after %q", r.Violation, r.Trace, want)
	}
}
