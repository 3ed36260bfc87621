package project

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/odradek/odradek/test/harness"
)

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

func TestPages_LinksLeadSomewhere(t *testing.T) {
	links := 0
	for _, file := range tracked(t) {
		if !strings.HasSuffix(file, ".md") {
			continue
		}
		for _, m := range link.FindAllStringSubmatch(read(t, file), -1) {
			to, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(to, "://") {
				continue
			}
			links++
			target := path.Join(path.Dir(file), to)
			if to == "" {
				target = file
			}
			info, err := os.Stat(filepath.Join(root, target))
			if err != nil {
				t.Errorf("%s: link to %s, which is not there", file, m[1])
				continue
			}
			if anchor != "" && !info.IsDir() && !hasHeading(read(t, target), anchor) {
				t.Errorf("%s: link to %s: %s has no such heading", file, m[1], target)
			}
		}
	}
	if links < 20 {
		t.Errorf("only %d links found", links)
	}
}

// hasHeading tells whether a page has the heading that an anchor means, in the way that forges make anchors.
func hasHeading(page, anchor string) bool {
	drop := regexp.MustCompile(`[^a-z0-9 _-]`)
	for line := range strings.Lines(page) {
		if heading, ok := strings.CutPrefix(line, "#"); ok {
			heading = strings.ToLower(strings.TrimSpace(strings.TrimLeft(heading, "#")))
			if strings.ReplaceAll(drop.ReplaceAllString(heading, ""), " ", "-") == anchor {
				return true
			}
		}
	}
	return false
}

func TestPages_WrittenFromTheCodeAreFresh(t *testing.T) {
	for _, page := range []string{"settings", "metrics"} {
		want, status := harness.Run(t, nil, "docs", page)
		if status != 0 {
			t.Fatalf("odradek docs %s: %s", page, want)
		}
		if diff := cmp.Diff(want, read(t, "docs/"+page+".md")); diff != "" {
			t.Errorf("docs/%s.md is not what the code says, type `make docs` (-code +page):\n%s", page, diff)
		}
	}
}

// A metric that a page tells people to watch must be one that agents have, and a flag one that they take.
func TestPages_MetricsAndFlagsExist(t *testing.T) {
	metrics, settings := read(t, "docs/metrics.md"), read(t, "docs/settings.md")
	metric := regexp.MustCompile(`odradek_[a-z_]+[a-z]`)
	flag := regexp.MustCompile("`--([a-z-]+)")
	for _, page := range []string{"README.md", "CHANGELOG.md", "docs/operations.md", "docs/design.md", "docs/protocol.md"} {
		text := read(t, page)
		for _, name := range metric.FindAllString(text, -1) {
			if !strings.Contains(metrics, "`"+name+"`") {
				t.Errorf("%s names the metric %s, which docs/metrics.md does not have", page, name)
			}
		}
		for _, m := range flag.FindAllStringSubmatch(text, -1) {
			if !strings.Contains(settings, "`--"+m[1]+" ") {
				t.Errorf("%s names the flag --%s, which docs/settings.md does not have", page, m[1])
			}
		}
	}
}

func TestPages_EveryPackageSaysItsJob(t *testing.T) {
	for p, files := range goFiles(t) {
		doc := ""
		for _, f := range files {
			if path.Base(f) == "doc.go" {
				doc = read(t, f)
			}
		}
		if doc == "" {
			t.Errorf("%s has no doc.go", p)
			continue
		}
		lines := 0
		for line := range strings.Lines(doc) {
			if strings.HasPrefix(line, "//") {
				lines++
			}
		}
		if lines < 3 || lines > 50 {
			t.Errorf("%s/doc.go has %d lines of comment; 10 to 40 tell the job, the floor and the goroutines", p, lines)
		}
	}
}

var starts = regexp.MustCompile(`(^|[^a-z"` + "`" + `])go (func|[a-z.]+)\(|\.Go\(func`)

// A goroutine that nobody lists is one that nobody waits for.
func TestPages_ArchitectureListsEveryGoroutine(t *testing.T) {
	page := read(t, "docs/ARCHITECTURE.md")
	for p, files := range goFiles(t) {
		if inTests(p) {
			continue
		}
		for _, file := range files {
			if isTest(file) || strings.Contains(page, "`"+file+"`") {
				continue
			}
			for i, line := range strings.Split(read(t, file), "\n") {
				code, _, _ := strings.Cut(line, "//")
				if starts.MatchString(code) {
					t.Errorf("%s:%d starts a goroutine and docs/ARCHITECTURE.md does not name the file: %s", file, i+1, strings.TrimSpace(line))
				}
			}
		}
	}
}

// What the pages say of a file must be about a file that exists.
func TestPages_FilesThatTheyNameExist(t *testing.T) {
	known := make(map[string]bool)
	for _, f := range tracked(t) {
		for p := f; p != "."; p = path.Dir(p) {
			known[p] = true
		}
	}
	named := regexp.MustCompile("`([a-z0-9_]+(?:/[a-z0-9_]+)+\\.go)`")
	found := 0
	for _, page := range []string{"docs/ARCHITECTURE.md", "docs/design.md", "docs/GLOSSARY.md", "CONTRIBUTING.md", "README.md"} {
		for _, m := range named.FindAllStringSubmatch(read(t, page), -1) {
			found++
			if !known[m[1]] {
				t.Errorf("%s names %s, which is not there", page, m[1])
			}
		}
	}
	if found < 20 {
		t.Errorf("the pages name %d files", found)
	}
}
