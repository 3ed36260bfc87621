package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// patches make what happens inside a synctest bubble a function of what the program draws itself. What is drawn in vain
// when something is done for the first time in a process must not change what is drawn later: then a seed would be another
// story when others were told before it. So hashes and the order of maps draw nothing at all.
var patches = []struct{ file, old, new string }{
	{"runtime/synctest.go", "	total   int // total goroutines\n", "	total   int // total goroutines\n	chance  uint64\n"},
	// Hashes and the iteration of maps are the same in every bubble and every process.
	{"runtime/rand.go", "func rand() uint64 {\n", "func rand() uint64 {\n" + `	if gp := getg().m.curg; gp != nil && gp.bubble != nil {
		return 0xa0761d6478bd642f
	}
`},
	{"runtime/rand.go", "	globalRand.state.Init(*seed)\n", "	*seed = [32]byte{1}\n	globalRand.state.Init(*seed)\n"},
	// The order in which ready cases of a select are looked at, that of timers due at one instant, and the numbers of
	// math/rand/v2 come from a sequence that belongs to the bubble.
	{"runtime/rand.go", "//go:linkname maps_rand ", `// bubbleRand is rand, in a bubble from its own sequence.
//
//go:nosplit
//go:linkname bubbleRand
func bubbleRand() uint64 {
	gp := getg().m.curg
	if gp == nil || gp.bubble == nil {
		return rand()
	}
	b := gp.bubble
	b.chance += 0xa0761d6478bd642f
	hi, lo := math.Mul64(b.chance, b.chance^0xe7037ed1a0b428db)
	return hi ^ lo
}

//go:linkname maps_rand `},
	{"runtime/select.go", "cheaprandn(uint32(norder + 1))", "uint32((uint64(uint32(bubbleRand())) * uint64(norder+1)) >> 32)"},
	// A timer draws when it is made: a select that waits for several sets them going in the order of their addresses.
	{"runtime/time.go", "\n		t.isFake = true\n", "\n		t.isFake = true\n		t.rand = uint32(bubbleRand()) | 1\n"},
	{"runtime/time.go", "			t.rand = cheaprand()\n", "			if t.rand == 0 {\n				t.rand = uint32(bubbleRand()) | 1\n			}\n"},
	{"math/rand/v2/rand.go", "//go:linkname runtime_rand runtime.rand\n", "//go:linkname runtime_rand runtime.bubbleRand\n"},
	// Nobody is preempted after 10 ms of a real clock, nor loses the processor to a call of the system that takes long.
	{"runtime/proc.go", "func retake(now int64) uint32 {\n", "func retake(now int64) uint32 {\n	if now != 0 {\n		return 0\n	}\n"},
	// Whether a goroutine from the queue of all processors comes before those of this one depends on how often anything
	// was scheduled since the process began.
	{"runtime/proc.go", "if pp.schedtick%61 == 0 && !sched.runq.empty() {", "if false {"},
	// A mutex is handed over in another order when somebody has waited for a millisecond.
	{"runtime/sema.go", "func internal_sync_nanotime() int64 {\n", `func internal_sync_nanotime() int64 {
	if bubble := getg().bubble; bubble != nil {
		return bubble.now
	}
`},
	// The children of a context are a map of pointers, whose order is that of addresses.
	{"context/context.go", "	children map[canceler]struct{} // set to nil by the first cancel call\n", "	children map[canceler]uint64\n	born     uint64\n"},
	{"context/context.go", "p.children = make(map[canceler]struct{})", "p.children = make(map[canceler]uint64)"},
	{"context/context.go", "			p.children[child] = struct{}{}\n", "			p.born++\n			p.children[child] = p.born\n"},
	{"context/context.go", "	for child := range c.children {\n", `	ordered := make([]canceler, 0, len(c.children))
	for child := range c.children {
		i := len(ordered)
		ordered = append(ordered, child)
		for ; i > 0 && c.children[ordered[i-1]] > c.children[child]; i-- {
			ordered[i] = ordered[i-1]
		}
		ordered[i] = child
	}
	for _, child := range ordered {
`},
	// Not for the order of things: most goroutines of a seed need more stack than the least.
	{"runtime/stack.go", "var startingStackSize uint32 = fixedStack\n", "var startingStackSize uint32 = 8192\n"},
	{"runtime/stack.go", "	if debug.adaptivestackstart == 0 {\n", "	if true {\n"},
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
	dir = filepath.Join(dir, digest(files)) // two versions of these patches may be built at once
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	replace := make(map[string]string)
	for path, text := range files {
		name, err := filepath.Rel(src, path)
		if err != nil {
			return "", err
		}
		to := filepath.Join(dir, strings.ReplaceAll(name, string(filepath.Separator), "-"))
		if err := put(to, []byte(text)); err != nil {
			return "", err
		}
		replace[path] = to
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	list := filepath.Join(dir, "overlay.json")
	return list, put(list, b)
}

// digest names the contents of files.
func digest(files map[string]string) string {
	h := sha256.New()
	for _, path := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(h, "%s %d %s", path, len(files[path]), files[path])
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// put writes a file if it is not there. Whoever finds it finds all of it.
func put(path string, b []byte) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
