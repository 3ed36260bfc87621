package settings

import (
	"bytes"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWriteMarkdown_ThePageIsNotStale(t *testing.T) {
	page, err := os.ReadFile("../../docs/settings.md")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := WriteMarkdown(&out); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(page), out.String()); diff != "" {
		t.Errorf("docs/settings.md is stale; run `odradek docs settings > docs/settings.md` (-page +code):\n%s", diff)
	}
}
