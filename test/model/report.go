package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
)

// report is the table of all runs: a line for each bound of the whole protocol, the rules of a model in its last line.
func report(found []finding) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "model\tbound\tstates\tviolations\tablations caught\tseconds\t")
	for i, f := range found {
		if f.Off != "" {
			continue
		}
		violations, ablations, seconds := 0, "", f.Took.Seconds()
		if f.Violation != "" {
			violations = 1
		}
		if i+1 < len(found) && found[i+1].Off != "" { // the last bound of its model
			caught, all := 0, 0
			for _, g := range found[i+1:] {
				if g.Off == "" {
					break
				}
				all++
				seconds += g.Took.Seconds()
				if g.Violation != "" {
					caught++
				}
			}
			ablations = fmt.Sprintf("%d of %d", caught, all)
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\t%.1f\t\n", f.Name, f.Bound, f.States, violations, ablations, seconds)
	}
	w.Flush()
	return b.String()
}

// states counts the states of the whole protocol, all of them explored.
func states(found []finding) (n int) {
	for _, f := range found {
		if f.Off == "" {
			n += f.States
		}
	}
	return n
}

// failures tells of every run that did not go as it must: the whole protocol holds, and no rule can be spared.
func failures(found []finding) (bad []string) {
	for _, f := range found {
		switch {
		case f.Off == "" && f.Violation != "":
			bad = append(bad, "VIOLATED "+f.story())
		case f.Off != "" && f.Violation == "":
			bad = append(bad, fmt.Sprintf("MISSED %s, %s: nothing breaks in %d states without\n  %s", f.Name, f.Bound, f.States, f.Off))
		}
	}
	return bad
}

// story tells a violation and the steps that lead to it.
func (f finding) story() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s\n", f.Name, f.Bound)
	if f.Off != "" {
		fmt.Fprintf(&b, "  without %s\n", f.Off)
	}
	for i, step := range f.Trace {
		fmt.Fprintf(&b, "  %3d  %s\n", i+1, step)
	}
	fmt.Fprintf(&b, "       %s\n", f.Violation)
	return b.String()
}

// ruleTable is the table of rules in docs/model.md. What breaks and after how many steps does not depend on how far the
// whole protocol is explored.
func ruleTable(found []finding) string {
	var b strings.Builder
	fmt.Fprintln(&b, "| model | without | breaks | steps |")
	fmt.Fprintln(&b, "| --- | --- | --- | --- |")
	for _, f := range found {
		if f.Off != "" {
			fmt.Fprintf(&b, "| %s | %s | %s | %d |\n", f.Name, f.Off, f.Violation, len(f.Trace))
		}
	}
	return b.String()
}
