package project

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var directive = regexp.MustCompile(`(?m)^\s*(?:require\s+)?([a-z0-9.-]+\.[a-z]+/\S+) v\S+( // indirect)?$`)

// direct lists the modules that go.mod requires for this module's own imports.
func direct(t *testing.T) []string {
	t.Helper()
	var modules []string
	for _, m := range directive.FindAllStringSubmatch(read(t, "go.mod"), -1) {
		if m[2] == "" {
			modules = append(modules, m[1])
		}
	}
	if len(modules) == 0 {
		t.Fatal("no direct requirement found in go.mod")
	}
	return modules
}

// licences are told by a phrase of their text.
var licences = []struct{ name, phrase string }{
	{"Apache-2.0", "Apache License"},
	{"MIT", "Permission is hereby granted, free of charge"},
	{"BSD-2-Clause or BSD-3-Clause", "Redistribution and use in source and binary forms"},
}

// licenceOf tells what a module's licence file says.
func licenceOf(dir string) string {
	for _, name := range []string{"LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "COPYING", "License"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			continue
		}
		if strings.Contains(string(text), "AFFERO") {
			return "AGPL"
		}
		if strings.Contains(string(text), "GNU GENERAL PUBLIC") {
			return "GPL"
		}
		var named []string // some modules carry files under several
		for _, l := range licences {
			if strings.Contains(string(text), l.phrase) {
				named = append(named, l.name)
			}
		}
		return strings.Join(named, ", ")
	}
	return ""
}

// linked lists the modules, with their directories, whose packages end up in the binary.
func linked(t *testing.T) map[string]string {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-f", `{{with .Module}}{{if not .Main}}{{.Path}} {{.Dir}}{{end}}{{end}}`, "./cmd/odradek")
	cmd.Dir = root
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list -deps: %v", err)
	}
	dirs := make(map[string]string)
	for line := range strings.Lines(string(out)) {
		if path, dir, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			dirs[path] = dir
		}
	}
	if len(dirs) < 10 {
		t.Fatalf("the binary has %d modules in it", len(dirs))
	}
	return dirs
}

func TestModules_EachDirectOneHasItsLine(t *testing.T) {
	page := read(t, "docs/dependencies.md")
	required := make(map[string]bool)
	for _, m := range direct(t) {
		required[m] = true
		row := regexp.MustCompile(`(?m)^\| ` + regexp.QuoteMeta(m) + ` +\| ([^|]+)\| ([^|]+)\| ([^|]+)\|$`).FindStringSubmatch(page)
		if row == nil {
			t.Errorf("docs/dependencies.md has no line `| %s | what for | licence | why this one |`", m)
			continue
		}
		for i, column := range []string{"what for", "licence", "why this one"} {
			if strings.TrimSpace(row[i+1]) == "" {
				t.Errorf("docs/dependencies.md: %s: %s is empty", m, column)
			}
		}
	}
	for _, row := range regexp.MustCompile(`(?m)^\| ([a-z0-9.-]+\.[a-z]+/\S+) `).FindAllStringSubmatch(page, -1) {
		if !required[row[1]] {
			t.Errorf("docs/dependencies.md names %s, which go.mod does not require directly", row[1])
		}
	}
}

func TestModules_LicencesAreWhatThePageSays(t *testing.T) {
	page := read(t, "docs/dependencies.md")
	for m, dir := range linked(t) {
		got := licenceOf(dir)
		if got == "" || got == "AGPL" || got == "GPL" {
			t.Errorf("%s: licence %q may not be linked into the binary, or was not recognized", m, got)
		}
		row := regexp.MustCompile(`(?m)^\| ` + regexp.QuoteMeta(m) + ` +\| [^|]+\| ([^|]+?) *\|`).FindStringSubmatch(page)
		if row != nil && !strings.Contains(got, row[1]) {
			t.Errorf("docs/dependencies.md: %s is %s; its licence file says %s", m, row[1], got)
		}
	}
}

func TestModules_NothingIsReplacedOrLinkedFromServers(t *testing.T) {
	mod := read(t, "go.mod")
	if regexp.MustCompile(`(?m)^\s*replace\b`).MatchString(mod) {
		t.Error("go.mod has a replace directive")
	}
	for _, server := range []string{"github.com/minio/minio ", "github.com/versity/"} {
		if strings.Contains(mod, server) {
			t.Errorf("go.mod requires %s: servers are run, not linked", strings.TrimSpace(server))
		}
	}
}
