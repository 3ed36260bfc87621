package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const root = "../../../terraform/"

func modules(t *testing.T, pattern string) []string {
	t.Helper()
	dirs, err := filepath.Glob(root + pattern)
	if err != nil || len(dirs) != 4 {
		t.Fatalf("%d directories %s, want 4: %v", len(dirs), pattern, err)
	}
	return dirs
}

func TestReadme_IsWhatTheModuleSays(t *testing.T) {
	for _, dir := range modules(t, "modules/*") {
		m, err := Read(dir)
		if err != nil {
			t.Fatal(err)
		}
		page, err := os.ReadFile(filepath.Join(dir, "README.md"))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(m.Markdown(), string(page)); diff != "" {
			t.Errorf("the README of %s is stale, type `make docs` (-module +page):\n%s", m.Name, diff)
		}
	}
}

// Everything says what it is, and a value that is refused is told what is wanted, by its name.
func TestModules_SpeakToPeople(t *testing.T) {
	refusals := 0
	for _, dir := range append(modules(t, "modules/*"), modules(t, "examples/*")...) {
		m, err := Read(dir)
		if err != nil {
			t.Fatal(err)
		}
		if len(m.Variables) == 0 || len(m.Outputs) == 0 {
			t.Errorf("%s has %d inputs and %d outputs", dir, len(m.Variables), len(m.Outputs))
		}
		for _, b := range append(m.Variables, m.Outputs...) {
			if !strings.HasSuffix(b.Description, ".") || len(b.Description) < 10 {
				t.Errorf("%s, %s: description %q", dir, b.Name, b.Description)
			}
			for _, said := range b.Refusals {
				refusals++
				if !strings.HasPrefix(said, b.Name+":") && !strings.HasPrefix(said, b.Name+".") && !strings.HasPrefix(said, b.Name+" ") {
					t.Errorf("%s, %s: a refusal does not begin with what it is about: %q", dir, b.Name, said)
				}
			}
		}
		for _, v := range m.Variables {
			if v.Type == "" {
				t.Errorf("%s, %s: no type", dir, v.Name)
			}
		}
	}
	if refusals < 30 {
		t.Errorf("only %d refusals", refusals)
	}
}

func TestRead_BlocksAsTheyAreFormatted(t *testing.T) {
	dir := t.TempDir()
	text := "# What it\n# is.\n\nresource \"a_b\" \"c\" {\n  d = {\n  }\n}\n\nvariable \"v\" {\n  description = \"A \\\"v\\\".\"\n" +
		"  type = object({\n    a = number # not a default\n  })\n  default = {}\n\n  validation {\n    condition     = true\n" +
		"    error_message = \"v: no\"\n  }\n}\n\noutput \"o\" {\n  description = \"O.\"\n  value = 1\n}\n"
	if err := os.WriteFile(filepath.Join(dir, "main.tf"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := Module{
		Name: filepath.Base(dir), About: "What it is.", Resources: []string{"a_b"},
		Variables: []Block{{
			Name: "v", Description: `A "v".`, Type: "object({\n  a = number # not a default\n})", Default: "{}", Refusals: []string{"v: no"},
		}},
		Outputs: []Block{{Name: "o", Description: "O."}},
	}
	if diff := cmp.Diff(want, m); diff != "" {
		t.Errorf("module (-want +got):\n%s", diff)
	}
	if err := os.WriteFile(filepath.Join(dir, "main.tf"), []byte(text+"variable \"open\" {\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(dir); err == nil {
		t.Error("a block that does not end was read")
	}
}
