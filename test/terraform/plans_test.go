package terraform

import (
	"testing"
)

// plans is where the tests of terraform's own language are.
const plans = "test/terraform/plans"

func TestFormat(t *testing.T) {
	w := newWorkspace(t)
	if out, err := w.try(t.Context(), ".", "fmt", "-check", "-recursive", "-diff"); err != nil {
		t.Errorf("not as terraform fmt writes it: %v\n%s", err, out)
	}
}
