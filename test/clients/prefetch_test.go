package clients

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/odradek/odradek/test/harness"
)

// part is something that prefetch.sh makes, once per test process.
type part struct {
	name string
	make func() error
}

func partOf(name string) part {
	return part{name, sync.OnceValue(func() error {
		root, err := harness.Root()
		if err != nil {
			return err
		}
		output, err := exec.Command("bash", filepath.Join(root, "test", "clients", "prefetch.sh"), name).CombinedOutput()
		if err != nil {
			return fmt.Errorf("prefetch.sh %s: %w\n%s", name, err, strings.TrimSpace(string(output)))
		}
		return nil
	})}
}

// parts in the order in which they are made: those that most tests wait for come first.
var (
	javaPart      = partOf("java")
	pythonPart    = partOf("python")
	oldPythonPart = partOf("python-old")
	nodePart      = partOf("node")
	goPart        = partOf("go")
	kcatPart      = partOf("kcat")
	toolsPart     = partOf("tools")
	parts         = []part{kcatPart, nodePart, pythonPart, javaPart, toolsPart, goPart, oldPythonPart}
)

// prefetch makes all parts, two at a time, while tests that need none of them run already.
func prefetch() {
	limit := make(chan struct{}, 2)
	for _, p := range parts {
		go func() {
			limit <- struct{}{}
			p.make()
			<-limit
		}()
	}
}

// need waits for a part, and fails the test when it cannot be made.
func need(t testing.TB, p part) {
	t.Helper()
	if err := p.make(); err != nil {
		t.Fatal(err)
	}
}

// path is a file of the repository.
func path(t testing.TB, elements ...string) string {
	t.Helper()
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(append([]string{root}, elements...)...)
}

// cached is a file of .cache/clients.
func cached(t testing.TB, elements ...string) string {
	t.Helper()
	return path(t, append([]string{".cache", "clients"}, elements...)...)
}

// TestMain runs more tests at a time than there are processors: they wait for rebalances most of the time.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", strconv.Itoa(max(6, runtime.GOMAXPROCS(0)))); err != nil {
		panic(err)
	}
	prefetch()
	os.Exit(harness.Main(m))
}
