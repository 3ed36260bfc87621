package project

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A mutant is a patch of the code as it stands: whoever changes those lines writes the patch anew, or nobody would know
// whether the simulation still finds it.
func TestMutants_FitTheCode(t *testing.T) {
	patches, err := filepath.Glob(filepath.Join(root, "test", "sim", "mutants", "*.patch"))
	if err != nil || len(patches) < 15 {
		t.Fatalf("%d mutants, want at least 15: %v", len(patches), err)
	}
	for _, patch := range patches {
		rule, _, _ := strings.Cut(read(t, filepath.Join("test", "sim", "mutants", filepath.Base(patch))), "\n")
		if name, what, ok := strings.Cut(rule, ": "); !ok || name == "" || what == "" {
			t.Errorf("%s begins with %q, want the rule that it breaks and how", filepath.Base(patch), rule)
		}
		check := exec.Command("git", "apply", "--check", filepath.Join("test", "sim", "mutants", filepath.Base(patch)))
		check.Dir = root
		if out, err := check.CombinedOutput(); err != nil {
			t.Errorf("%s does not fit: %v\n%s", filepath.Base(patch), err, out)
		}
	}
}
