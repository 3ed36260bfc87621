package project

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// foreign are words that have no place in a repository that speaks of itself alone: directories of one machine, and
// whatever wrote a line. The words are split so that this file does not hold them.
var foreign = regexp.MustCompile(strings.Join([]string{
	`(^|[^a-z0-9])/ro` + `ot/[a-z.]`, `(^|[^a-z0-9.])/wo` + `rk/[a-z.]`, `/ho` + `me/[a-z]+/`, `/tm` + `p/plan`,
	`sha` + `red/(design|style|kafka|model|bench)`, `(?i)\bcla` + `ude\b`, `(?i)\bchat` + `gpt\b`, `(?i)\banthro` + `pic\b`,
	`(?i)\bopen` + `ai\b`, `(?i)\b(ai|llm)[- ]gene` + `rated\b`, `(?i)co-auth` + `ored-by`, `(?i)\bissue ?#?` + `[0-9]\b`,
}, "|"))

func TestWords_TheProjectSpeaksOfItselfAlone(t *testing.T) {
	for _, file := range tracked(t) {
		text := read(t, file)
		if strings.ContainsRune(text, 0) {
			continue // a golden file
		}
		for i, line := range strings.Split(text, "\n") {
			if word := foreign.FindString(line); word != "" {
				t.Errorf("%s:%d: %q", file, i+1, word)
			}
		}
	}
}

// A lock file names where packages came from; that must be where everybody gets them.
func TestWords_LockFilesNameThePublicRegistry(t *testing.T) {
	resolved := regexp.MustCompile(`"resolved": "([^"]+)"`)
	for _, file := range tracked(t) {
		if !strings.HasSuffix(file, "package-lock.json") {
			continue
		}
		for _, m := range resolved.FindAllStringSubmatch(read(t, file), -1) {
			if !strings.HasPrefix(m[1], "https://registry.npmjs.org/") {
				t.Errorf("%s: %s", file, m[1])
			}
		}
	}
}

func TestWords_NoTestIsSkipped(t *testing.T) {
	skip := regexp.MustCompile(`\b[tbf]\.Skip(Now|f)?\(|testing\.Sho` + `rt\(`)
	for _, file := range tracked(t) {
		if !isTest(file) {
			continue
		}
		for i, line := range strings.Split(read(t, file), "\n") {
			if skip.MatchString(line) {
				t.Errorf("%s:%d: %s", file, i+1, strings.TrimSpace(line))
			}
		}
	}
}

func TestWords_NothingLargeOrBuiltIsTracked(t *testing.T) {
	out, err := exec.Command("git", "-C", root, "ls-files", "-z", "--", "*.jar", "*.class", "*.so", "*.exe", "*.pyc", "node_modules/*", "bin/*").Output()
	if err != nil {
		t.Fatal(err)
	}
	for file := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		if file != "" {
			t.Errorf("%s is built, not written", file)
		}
	}
	for _, file := range tracked(t) {
		if n := len(read(t, file)); n > 512<<10 {
			t.Errorf("%s has %d bytes", file, n)
		}
	}
}
