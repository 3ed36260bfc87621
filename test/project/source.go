package project

import (
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	module = "github.com/odradek/odradek"
	root   = "../.." // of the repository, from this directory
)

// tracked lists the repository's files: those in git, and new ones that git would take. Paths have slashes and begin at
// the root.
func tracked(t *testing.T) []string {
	t.Helper()
	out, err := exec.Command("git", "-C", root, "ls-files", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		t.Fatalf("git ls-files: %v", err)
	}
	var files []string
	for _, f := range strings.Fields(string(out)) {
		if _, err := os.Stat(filepath.Join(root, f)); err == nil { // not deleted since
			files = append(files, f)
		}
	}
	if len(files) < 100 {
		t.Fatalf("git lists %d files; that is not this repository", len(files))
	}
	return files
}

// read returns the text of a tracked file.
func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// goFiles lists the Go files of this module by package directory, "" for none at the root. Modules below it, such as
// examples, are not meant.
func goFiles(t *testing.T) map[string][]string {
	t.Helper()
	files := tracked(t)
	var others []string
	for _, f := range files {
		if path.Base(f) == "go.mod" && f != "go.mod" {
			others = append(others, path.Dir(f)+"/")
		}
	}
	packages := make(map[string][]string)
	for _, f := range files {
		if !strings.HasSuffix(f, ".go") || strings.Contains(f, "/testdata/") ||
			slices.ContainsFunc(others, func(dir string) bool { return strings.HasPrefix(f, dir) }) {
			continue
		}
		packages[path.Dir(f)] = append(packages[path.Dir(f)], f)
	}
	return packages
}

// importsOf lists what a Go file imports.
func importsOf(t *testing.T, file string) []string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, file), nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, s := range f.Imports {
		p, err := strconv.Unquote(s.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, p)
	}
	return paths
}

func isTest(file string) bool { return strings.HasSuffix(file, "_test.go") }
