package project

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// dependencies lists the packages that end up in the binary.
func dependencies(t *testing.T, tags string) []string {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-tags", tags, "./cmd/odradek")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	return strings.Fields(string(out))
}

// What breaks an agent from inside is in the binary that is built for it, and in no other.
func TestChaos_IsOnlyInTheBinaryBuiltToBreak(t *testing.T) {
	const injected = module + "/agent/chaos"
	if slices.Contains(dependencies(t, ""), injected) {
		t.Errorf("%s is in the binary of users", injected)
	}
	if !slices.Contains(dependencies(t, "chaos"), injected) {
		t.Errorf("%s is not in the binary built with the tag chaos", injected)
	}
}
