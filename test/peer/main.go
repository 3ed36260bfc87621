package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
)

// scenario is a row of requests that runs against one broker at a time.
type scenario struct {
	name string
	run  func(b *broker)
}

var scenarios = slices.Concat(versionScenarios, metadataScenarios, topicScenarios, configScenarios, produceScenarios,
	sequenceScenarios, fetchScenarios, offsetScenarios, groupScenarios, commitScenarios, clusterScenarios)

func main() {
	peer := flag.String("peer", "127.0.0.1:9092", "host:port of Apache Kafka")
	odradek := flag.String("odradek", "127.0.0.1:9093", "host:port of Odradek")
	only := flag.String("run", "", "regular expression of the scenarios to run")
	verbose := flag.Bool("v", false, "show intended differences and whole transcripts too")
	flag.Parse()
	want, err := regexp.Compile(*only)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	r := report{verbose: *verbose}
	if err := r.compare(*peer, *odradek, want); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if !r.print(*only == "") {
		os.Exit(1)
	}
}

// report gathers what differs.
type report struct {
	verbose bool
	rows    []row
	used    [256]int // differences that a row of intended explains
}

// row is one scenario's line in the table.
type row struct {
	name                                  string
	requests, fields, intended, different int
}

func (r *report) compare(peerAddr, odradekAddr string, want *regexp.Regexp) error {
	run := fmt.Sprintf("p%x-", time.Now().UnixMilli())
	now := time.Now().UnixMilli()
	peer, err := connect("kafka", peerAddr, run, now)
	if err != nil {
		return err
	}
	odradek, err := connect("odradek", odradekAddr, run, now)
	if err != nil {
		return err
	}
	peer.common, odradek.common = odradek.shown, peer.shown
	for _, s := range scenarios {
		if !want.MatchString(s.name) {
			continue
		}
		for _, b := range []*broker{peer, odradek} {
			b.begin(s.name)
			s.run(b)
			b.end()
		}
		r.scenario(s.name, peer.steps, odradek.steps)
	}
	return nil
}

// scenario compares two transcripts, step by step.
func (r *report) scenario(name string, peer, odradek []step) {
	out := row{name: name, requests: len(peer)}
	other := byLabel(odradek)
	for i, label := range labels(peer) {
		theirs, asked := other[label]
		delete(other, label)
		if !asked { // a second JoinGroup follows only when the first one asks for it
			theirs = step{label: label, fields: map[string]string{"": "was not sent"}}
		}
		out.fields += len(peer[i].fields)
		if r.verbose {
			fmt.Printf("  %s / %s\n    %s\n", name, peer[i].label, strings.Join(peer[i].lines(), "\n    "))
		}
		for _, d := range differences(peer[i], theirs) {
			where := name + " / " + peer[i].label + " / " + d.path
			if k := explain(where, d); k >= 0 {
				r.used[k]++
				out.intended++
				if r.verbose {
					fmt.Printf("intended  %s\n    kafka   %s\n    odradek %s\n    %s\n", where, d.peer, d.odradek, intended[k].why)
				}
				continue
			}
			out.different++
			fmt.Printf("DIFFERENT %s\n    kafka   %s\n    odradek %s\n", where, d.peer, d.odradek)
		}
	}
	for label := range other {
		d := difference{path: "", peer: "was not sent", odradek: "there"}
		if k := explain(name+" / "+label+" / ", d); k >= 0 {
			r.used[k]++
			out.intended++
			continue
		}
		fmt.Printf("DIFFERENT %s / %s was sent to odradek only\n", name, label)
		out.different++
	}
	r.rows = append(r.rows, out)
}

// labels numbers the steps that are called the same.
func labels(steps []step) []string {
	seen := map[string]int{}
	all := make([]string, len(steps))
	for i, s := range steps {
		seen[s.label]++
		all[i] = fmt.Sprintf("%s #%d", s.label, seen[s.label])
	}
	return all
}

func byLabel(steps []step) map[string]step {
	all := map[string]step{}
	for i, label := range labels(steps) {
		all[label] = steps[i]
	}
	return all
}

// print shows the table and tells whether all is as intended.
func (r *report) print(all bool) bool {
	var sum row
	fmt.Printf("\n%-44s %8s %8s %8s %9s\n", "scenario", "requests", "fields", "intended", "different")
	for _, s := range r.rows {
		fmt.Printf("%-44s %8d %8d %8d %9d\n", s.name, s.requests, s.fields, s.intended, s.different)
		sum.requests += s.requests
		sum.fields += s.fields
		sum.intended += s.intended
		sum.different += s.different
	}
	fmt.Printf("%-44s %8d %8d %8d %9d\n", fmt.Sprintf("%d scenarios", len(r.rows)), sum.requests, sum.fields, sum.intended, sum.different)
	ok := sum.different == 0
	for i, rule := range intended {
		if all && r.used[i] == 0 {
			fmt.Printf("intended.go: nothing differs on %s (%s)\n", rule.where, rule.why)
			ok = false
		}
	}
	return ok
}
