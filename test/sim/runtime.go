package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// patches make what happens inside a synctest bubble a function of what the program draws itself: the order in which
// ready cases of a select are looked at, of timers due at one instant and of map iteration come from a sequence that
// belongs to the bubble; hashes are the same in every process; nobody is preempted after 10 ms of a real clock.
var patches = []struct{ file, old, new string }{
	{"runtime/synctest.go", "	total   int // total goroutines\n", "	total   int // total goroutines\n	chance  uint64\n"},
	{"runtime/rand.go", "func rand() uint64 {\n", "func rand() uint64 {\n" + `	if gp := getg().m.curg; gp != nil && gp.bubble != nil {
		return bubbleRand(gp.bubble)
	}
`},
	{"runtime/rand.go", "//go:linkname maps_rand ", `//go:nosplit
func bubbleRand(b *synctestBubble) uint64 {
	b.chance += 0xa0761d6478bd642f
	hi, lo := math.Mul64(b.chance, b.chance^0xe7037ed1a0b428db)
	return hi ^ lo
}

// bubbleRandn is cheaprandn, in a bubble from its own sequence.
func bubbleRandn(n uint32) uint32 {
	if gp := getg().m.curg; gp != nil && gp.bubble != nil {
		return uint32((uint64(uint32(bubbleRand(gp.bubble))) * uint64(n)) >> 32)
	}
	return cheaprandn(n)
}

//go:linkname maps_rand `},
	{"runtime/rand.go", "	globalRand.state.Init(*seed)\n", "	*seed = [32]byte{1}\n	globalRand.state.Init(*seed)\n"},
	{"runtime/select.go", "cheaprandn(uint32(norder + 1))", "bubbleRandn(uint32(norder + 1))"},
	{"runtime/time.go", "t.rand = cheaprand()", "t.rand = bubbleRandn(1<<32 - 1)"},
	{"runtime/proc.go", "func retake(now int64) uint32 {\n", "func retake(now int64) uint32 {\n	if now != 0 {\n		return 0\n	}\n"},
}

// overlay writes the patched sources to a directory and gives the file for -overlay. An error means that this Go is not
// the one that the patches are made for: seeds run all the same, and are not quite the same story each time.
func overlay(dir string) (string, error) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOROOT: %w", err)
	}
	src := filepath.Join(strings.TrimSpace(string(root)), "src")
	files := make(map[string]string)
	for _, p := range patches {
		path := filepath.Join(src, p.file)
		if _, ok := files[path]; !ok {
			b, err := os.ReadFile(path)
			if err != nil {
				return "", err
			}
			files[path] = string(b)
		}
		if n := strings.Count(files[path], p.old); n != 1 {
			return "", fmt.Errorf("%s has %q %d times, want once", p.file, p.old, n)
		}
		files[path] = strings.Replace(files[path], p.old, p.new, 1)
	}
	replace := make(map[string]string)
	for path, text := range files {
		to := filepath.Join(dir, filepath.Base(path))
		if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
			return "", err
		}
		replace[path] = to
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	list := filepath.Join(dir, "overlay.json")
	return list, os.WriteFile(list, b, 0o600)
}
