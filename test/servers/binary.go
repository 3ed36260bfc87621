package servers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// binary finds a server's program, in PATH or in the repository's .cache/bin, or fails the test.
func binary(t testing.TB, name string) string {
	t.Helper()
	path, err := lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func lookup(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return filepath.Abs(path)
	}
	root, err := repositoryRoot()
	if err != nil {
		return "", err
	}
	path, err := exec.LookPath(filepath.Join(root, ".cache", "bin", name))
	if err != nil {
		return "", fmt.Errorf("%s is neither in PATH nor in %s: type `make deps`", name, filepath.Join(root, ".cache", "bin"))
	}
	return path, nil
}

// repositoryRoot is the directory of go.mod at or above the working directory.
func repositoryRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("no go.mod at or above the working directory")
		}
		dir = parent
	}
}
