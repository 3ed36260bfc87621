package release

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/odradek/odradek/test/harness"
)

const version = "v0.0.0-test"

// build runs .ci/release of a tree for this machine's platform and gives the files that it made, by name.
func build(t *testing.T, tree string) map[string][]byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out")
	cmd := exec.Command(filepath.Join(tree, ".ci", "release"), version, out, runtime.GOOS+"/"+runtime.GOARCH)
	cmd.Dir = t.TempDir()
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("release: %v\n%s", err, text)
	}
	names, err := os.ReadDir(out)
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string][]byte)
	for _, n := range names {
		if files[n.Name()], err = os.ReadFile(filepath.Join(out, n.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// copied gives a copy of the tree's tracked files, as they are, in another directory.
func copied(t *testing.T, tree string) string {
	t.Helper()
	list, err := exec.Command("git", "-C", tree, "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		t.Fatal(err)
	}
	to := t.TempDir()
	for name := range strings.SplitSeq(strings.TrimRight(string(list), "\x00"), "\x00") {
		info, err := os.Stat(filepath.Join(tree, name))
		if err != nil || info.IsDir() {
			continue // deleted, not committed
		}
		b, err := os.ReadFile(filepath.Join(tree, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(to, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, name), b, info.Mode().Perm()); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// The writer of the bill is a module of its own, and so are its tests.
func TestRelease_BillIsWrittenRight(t *testing.T) {
	if out, err := exec.Command("go", "test", "-C", "sbom", ".").CombinedOutput(); err != nil {
		t.Fatalf("go test -C sbom: %v\n%s", err, out)
	}
}

func TestRelease_IsReproducibleAndSaysWhatItIsMadeOf(t *testing.T) {
	tree, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	files := build(t, tree)
	name := fmt.Sprintf("odradek-%s-%s-%s", version, runtime.GOOS, runtime.GOARCH)
	if len(files) != 3 || files[name] == nil {
		t.Fatalf("%d files, want 3 with %s", len(files), name)
	}
	for other, b := range build(t, copied(t, tree)) {
		if !bytes.Equal(b, files[other]) {
			t.Errorf("%s, built in another directory, has other bytes: %d and %d", other, len(b), len(files[other]))
		}
	}

	listed := 0
	for line := range strings.Lines(string(files["SHA256SUMS"])) {
		sum, of, ok := strings.Cut(strings.TrimSpace(line), "  ")
		have := sha256.Sum256(files[of])
		if !ok || files[of] == nil || sum != hex.EncodeToString(have[:]) {
			t.Errorf("SHA256SUMS: %q; the file has %x", line, have)
		}
		listed++
	}
	if listed != 2 {
		t.Errorf("SHA256SUMS lists %d files, want 2", listed)
	}

	info, err := buildinfo.Read(bytes.NewReader(files[name]))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"std": info.GoVersion}
	for _, m := range info.Deps {
		want[m.Path] = m.Version
	}
	var bom struct {
		BOMFormat   string
		SpecVersion string
		Metadata    struct {
			Component struct {
				Name, Version string
				Hashes        []struct{ Alg, Content string }
			}
		}
		Components []struct {
			Name, Version, PURL string
			Licenses            []struct{ License struct{ ID string } }
		}
	}
	if err := json.Unmarshal(files[name+".cdx.json"], &bom); err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for _, c := range bom.Components {
		got[c.Name] = c.Version
		if c.PURL != "pkg:golang/"+c.Name+"@"+c.Version {
			t.Errorf("package URL %q of %s %s", c.PURL, c.Name, c.Version)
		}
		if len(c.Licenses) == 0 || c.Licenses[0].License.ID == "" {
			t.Errorf("%s has no licence", c.Name)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" || len(got) < 20 {
		t.Errorf("modules (-binary +bill):\n%s", diff)
	}
	sum := sha256.Sum256(files[name])
	of := bom.Metadata.Component
	if bom.BOMFormat != "CycloneDX" || of.Name != name || of.Version != version || len(of.Hashes) != 1 || of.Hashes[0].Content != hex.EncodeToString(sum[:]) {
		t.Errorf("bill of %s %s, %+v, want %s %s with %x", bom.BOMFormat, bom.SpecVersion, of, name, version, sum)
	}
	for _, s := range info.Settings {
		if strings.HasPrefix(s.Key, "vcs") || s.Key == "CGO_ENABLED" && s.Value != "0" {
			t.Errorf("the binary was built with %s=%s", s.Key, s.Value)
		}
	}
}
