package harness

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// toBreak says that the binary is built with the tag chaos and the overlay.
var toBreak bool

// BuildToBreak has Binary build agents that can be broken from inside (package agent/chaos), their wall clock included. It is
// called before the first agent is started. A binary named by ODRADEK_TEST_BINARY is taken as it is.
func BuildToBreak() { toBreak = true }

// clockShift is a file more for the time package: by how many seconds the wall clock is wrong.
const clockShift = `package time

import (
	"sync/atomic"
	_ "unsafe"
)

//go:linkname wallShift
var wallShift atomic.Int64
`

// What time.Now begins with, and what it begins with in a binary whose clock can be shifted: only the wall part of a Time
// changes, so that durations stay right.
const (
	nowReads  = "\tsec, nsec, mono := runtimeNow()\n\tif mono == 0 {\n"
	nowShifts = "\tsec, nsec, mono := runtimeNow()\n\tsec += wallShift.Load()\n\tif mono == 0 {\n"
)

// clockOverlay writes what makes `go build -overlay` use a time package whose clock can be shifted, and gives its path.
func clockOverlay(dir string) (string, error) {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOROOT: %w", err)
	}
	source := filepath.Join(strings.TrimSpace(string(out)), "src", "time")
	text, err := os.ReadFile(filepath.Join(source, "time.go"))
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(text), nowReads); n != 1 {
		return "", fmt.Errorf("time.Now of this Go reads its clock in another way: found it %d times; see nowReads", n)
	}
	replace := make(map[string]string)
	for name, content := range map[string]string{"time.go": strings.Replace(string(text), nowReads, nowShifts, 1), "zshift.go": clockShift} {
		path := filepath.Join(dir, "time_"+name)
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return "", err
		}
		replace[filepath.Join(source, name)] = path
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, b, 0o644)
}
