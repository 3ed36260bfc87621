package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// program is TestSim, built.
type program struct {
	binary     string
	repeatable bool // on the patched runtime
}

// moduleRoot finds the directory of go.mod.
func moduleRoot() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOMOD: %w", err)
	}
	mod := strings.TrimSpace(string(out))
	if mod == "" || mod == os.DevNull {
		return "", errors.New("no go.mod here")
	}
	return filepath.Dir(mod), nil
}

// cacheDir is where the patched sources stand: at one place, so that Go's build cache finds what it has built with them.
func cacheDir() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(base, "odradek-sim")
	return dir, os.MkdirAll(dir, 0o700)
}

// build compiles the tests of package agent of a tree.
func build(ctx context.Context, root, binary string) (program, error) {
	dir, err := cacheDir()
	if err != nil {
		return program{}, err
	}
	args := []string{"test", "-c", "-vet=off", "-o", binary}
	list, err := overlay(dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, "sim: seeds will not quite repeat, the runtime is not the one that is known:", err)
	} else {
		args = append(args, "-overlay", list)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "./agent")...)
	cmd.Dir = root
	if out, berr := cmd.CombinedOutput(); berr != nil {
		return program{}, fmt.Errorf("build: %w\n%s", berr, out)
	}
	return program{binary: binary, repeatable: err == nil}, nil
}
